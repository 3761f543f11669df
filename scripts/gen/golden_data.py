"""Writes tests/golden/data.lua: PyTorch's orders and values for the samplers and loaders of torch.utils.data.
Run by hand:

  python3 scripts/gen/golden_data.py
"""
import os

import torch
from torch.utils import data

OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/data.lua")


def lua(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (list, tuple)):
        return "{" + ", ".join(lua(x) for x in v) + "}"
    return repr(v)


class Draws(data.Dataset):
    """Items that are drawn: which stream does a worker draw from?"""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.rand(2), i


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = data.get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        for i in range(first, self.n, step):
            yield torch.rand(1), i


class Seeds(data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        info = data.get_worker_info()
        return torch.tensor([info.id, info.num_workers, info.seed])


def batches(loader):
    return [[x.double().reshape(-1).tolist(), i.tolist()] for x, i in loader]


def orders(loader, epochs):
    return [[b.tolist() for b in loader] for _ in range(epochs)]


def sampler_orders():
    ten = list(range(10))
    g = lambda: torch.Generator().manual_seed(11)
    weights = [0.1, 0.9, 0.4, 0.7, 3.0, 0.6]
    torch.manual_seed(4)
    rows = {
        "weighted": list(data.WeightedRandomSampler(weights, 20)),
        "weighted_generator": list(data.WeightedRandomSampler(weights, 20, generator=g())),
        "weighted_without": list(data.WeightedRandomSampler(weights, 5, replacement=False)),
        "subset_generator": list(data.SubsetRandomSampler([3, 5, 7, 9, 11], generator=g())),
        "random_generator": list(data.RandomSampler(ten, generator=g())),
        "random_more": list(data.RandomSampler(ten, num_samples=23, generator=g())),
        "random_with": list(data.RandomSampler(ten, replacement=True, num_samples=70)),
        "batches": list(data.BatchSampler(data.RandomSampler(ten), 4, False)),
    }
    distributed = []
    for n, replicas, rank, shuffle, seed, drop_last, epoch in [
        (10, 3, 0, True, 0, False, 0), (10, 3, 2, True, 0, False, 1), (10, 3, 1, True, 7, True, 0),
        (10, 4, 3, False, 0, False, 0), (10, 4, 3, False, 0, True, 0), (2, 5, 4, False, 0, False, 0),
        (9, 3, 1, True, 0, True, 5),
    ]:
        sampler = data.DistributedSampler(list(range(n)), replicas, rank, shuffle, seed, drop_last)
        sampler.set_epoch(epoch)
        distributed.append([n, replicas, rank, shuffle, seed, drop_last, epoch, list(sampler), len(sampler)])
    rows["distributed"] = distributed
    return rows


def main():
    result = sampler_orders()
    torch.manual_seed(5)
    result["split"] = [s.indices for s in data.random_split(list(range(11)), [0.5, 0.3, 0.2])]
    result["split_generator"] = [s.indices for s in data.random_split(list(range(7)), [3, 4],
                                                                       generator=torch.Generator().manual_seed(2))]
    for workers in (0, 1, 2, 3):
        torch.manual_seed(6)
        loader = data.DataLoader(Draws(10), batch_size=3, shuffle=True, num_workers=workers)
        result[f"draws_{workers}"] = [batches(loader), batches(loader), torch.rand(2).double().tolist()]
        torch.manual_seed(7)
        loader = data.DataLoader(Stream(11), batch_size=2, num_workers=workers)
        result[f"stream_{workers}"] = batches(loader)
    torch.manual_seed(8)
    loader = data.DataLoader(torch.arange(10), batch_size=4, shuffle=True, num_workers=2, persistent_workers=True)
    result["persistent"] = orders(loader, 3)
    result["persistent_after"] = torch.rand(2).double().tolist()
    torch.manual_seed(9)
    loader = data.DataLoader(torch.arange(10), batch_size=4, shuffle=True, num_workers=2)
    it = iter(loader)
    between = torch.rand(1).double().tolist()  # with workers the sampler has drawn by now
    result["ahead"] = [between, [b.tolist() for b in it]]
    torch.manual_seed(9)
    it = iter(data.DataLoader(torch.arange(10), batch_size=4, shuffle=True))
    between = torch.rand(1).double().tolist()
    result["lazy"] = [between, [b.tolist() for b in it]]
    torch.manual_seed(10)
    result["info"] = [b.reshape(-1).tolist() for b in data.DataLoader(Seeds(), num_workers=2)]
    with open(OUT, "w") as f:
        f.write(f"-- Written by scripts/gen/golden_data.py with PyTorch {torch.__version__.split('+')[0]}; do not edit.\nreturn {{\n")
        for name, value in result.items():
            f.write(f"  {name} = {lua(value)},\n")
        f.write("}\n")


if __name__ == "__main__":
    main()
