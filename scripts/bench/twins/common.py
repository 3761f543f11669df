"""What the twins share: the options, data and shuffling of scripts/lib/script.lua, in PyTorch."""
import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import time

import torch

NAME = sys.argv[0].rsplit("/", 1)[-1].removesuffix(".py")


def options(spec, quick, positional=False):
    """spec: (name, default) pairs; quick: the values under --quick."""
    parser = argparse.ArgumentParser(NAME)
    if positional:
        parser.add_argument("file", nargs="?")
    for name, default in [*spec, ("seed", 0), ("threads", 0)]:
        parser.add_argument("--" + name, type=type(default), default=None)
    parser.add_argument("--quick", action="store_true")
    parsed = parser.parse_args()
    for name, default in [*spec, ("seed", 0), ("threads", 0)]:
        key = name.replace("-", "_")
        if getattr(parsed, key) is None:
            setattr(parsed, key, quick.get(name, default) if parsed.quick else default)
    if parsed.threads:
        torch.set_num_threads(parsed.threads)
    torch.manual_seed(parsed.seed)
    return parsed


def loop(unit, count, step):
    history = []
    for i in range(1, count + 1):
        start = time.monotonic()
        values = step(i)
        history.append(values)
        text = ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in sorted(values.items()))
        print(f"{unit} {i}/{count}: {text} ({time.monotonic() - start:.2f} s)", flush=True)
    return history


def final(name, value):
    print(f"{name}: {value:.4f}")


def image_options(limit_train=60000):
    return [("data", "/usr/share/datasets/fashion-mnist"), ("limit-train", limit_train), ("limit-test", 10000)]


QUICK_IMAGES = {"limit-train": 512, "limit-test": 500}


def read_idx(path):
    with gzip.open(path, "rb") as file:
        data = file.read()
    ndim = data[3]
    sizes = [int.from_bytes(data[4 + 4 * d : 8 + 4 * d], "big") for d in range(ndim)]
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * ndim).view(sizes)


def images(o):
    result = []
    for prefix, limit in (("train", o.limit_train), ("t10k", o.limit_test)):
        x = read_idx(f"{o.data}/{prefix}-images-idx3-ubyte.gz")[:limit]
        y = read_idx(f"{o.data}/{prefix}-labels-idx1-ubyte.gz").long()[:limit]
        result += [x.unsqueeze(1).float().div_(255), y]
    return result


def batches(batch_size, *tensors):
    """DataLoader's draws: the base seed, then the sampler's seed and its permutation."""
    torch.empty((), dtype=torch.int64).random_()
    generator = torch.Generator()
    generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    for indices in torch.randperm(len(tensors[0]), generator=generator).split(batch_size):
        yield tuple(t.index_select(0, indices) for t in tensors)


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        right = sum((net(a).argmax(1) == b).sum().item() for a, b in zip(x.split(1000), y.split(1000)))
    return right / len(y)


def text(path):
    if path:
        with open(path, "rb") as file:
            data = file.read()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    if shutil.which("bible"):
        out = subprocess.run(["bible", "gen1:1-rev22:21"], capture_output=True, check=True).stdout
        return re.sub(rb"\n +\d+ ", b"\n", out)
    names = ["Apache-2.0", "Artistic", "GFDL-1.3", "GPL-2", "GPL-3", "LGPL-2.1", "LGPL-3", "MPL-1.1", "MPL-2.0"]
    paths = [f"/usr/share/common-licenses/{name}" for name in names]
    return b"".join(open(path, "rb").read() for path in paths if os.path.exists(path))


def encode(data):
    codes = torch.frombuffer(bytearray(data), dtype=torch.uint8).long()
    alphabet = codes.unique()
    number = torch.zeros(256, dtype=torch.int64)
    number[alphabet] = torch.arange(len(alphabet))
    return number[codes], len(alphabet)
