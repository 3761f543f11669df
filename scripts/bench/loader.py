"""Images per second of a DataLoader: loader.lua in PyTorch.   python3 scripts/bench/loader.py [FOLDER] [PASSES]"""
import sys
import time

import torch
from torchvision import datasets, transforms as T

folder = sys.argv[1] if len(sys.argv) > 1 else "../shared/data/hymenoptera_data/train"
passes = int(sys.argv[2]) if len(sys.argv) > 2 else 3

dataset = datasets.ImageFolder(folder, T.Compose([
    T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(),
    T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
]))


def measure(workers):
    loader = torch.utils.data.DataLoader(dataset, batch_size=32, shuffle=True, num_workers=workers)
    begin, first, count = time.perf_counter(), None, 0
    for images, _ in loader:
        first = first or time.perf_counter() - begin
        count += images.size(0)
    return count / (time.perf_counter() - begin), first * 1000


for workers in range(3):
    results = [measure(workers) for _ in range(passes)]
    print(f"{workers} {max(r[0] for r in results):.1f} {min(r[1] for r in results):.1f}")
