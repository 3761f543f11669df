"""Images per second of PyTorch's DataLoader with PIL: decode, RandomResizedCrop(224), flip, ToTensor, Normalize; one line
a number of workers: "workers<TAB>images per second<TAB>milliseconds to the first batch". The twin of loader.lua.

  python3 scripts/bench/loader.py FOLDER [WORKERS ...]      FOLDER: of an ImageFolder, e.g. .../hymenoptera_data/train
"""
import sys
import time

import torch
import torchvision.transforms as T
from torchvision.datasets import ImageFolder

EPOCHS = 3


def measure(root, workers):
    transform = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(),
                           T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    dataset = ImageFolder(root, transform)
    best, first = 0.0, 1e9
    for _ in range(EPOCHS):
        loader = torch.utils.data.DataLoader(dataset, batch_size=32, shuffle=True, num_workers=workers)
        torch.manual_seed(0)
        start = time.perf_counter()
        count = 0
        for images, _ in loader:
            if count == 0:
                first = min(first, time.perf_counter() - start)
            count += len(images)
        best = max(best, count / (time.perf_counter() - start))
    return best, first


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for workers in [int(w) for w in sys.argv[2:]] or [0, 1, 2]:
        rate, first = measure(sys.argv[1], workers)
        print(f"{workers}\t{rate:.1f}\t{first * 1000:.0f}", flush=True)
