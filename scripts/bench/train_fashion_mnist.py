"""scripts/train_fashion_mnist.lua in PyTorch: same net, seed, batches and hyperparameters, for comparison.

  python3 scripts/bench/train_fashion_mnist.py [--epochs 5] [--batch-size 128] [--lr 0.1] [--seed 0]
                                               [--data FOLDER] [--threads N] [--limit-train N] [--channels-last]
Prints the time of each epoch, the test accuracy and the peak resident memory.
"""
import argparse
import gzip
import os
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.drop = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = self.drop(torch.flatten(x, 1))
        return self.fc2(F.relu(self.fc1(x)))


def read_idx(path):
    with gzip.open(path, "rb") as file:
        data = file.read()
    ndim = data[3]
    sizes = [int.from_bytes(data[4 + 4 * d : 8 + 4 * d], "big") for d in range(ndim)]
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * ndim).view(sizes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit-train", type=int)
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    images = read_idx(os.path.join(options.data, "train-images-idx3-ubyte.gz"))
    labels = read_idx(os.path.join(options.data, "train-labels-idx1-ubyte.gz")).long()
    if options.limit_train:
        images, labels = images[: options.limit_train], labels[: options.limit_train]
    test_images = read_idx(os.path.join(options.data, "t10k-images-idx3-ubyte.gz"))
    test_labels = read_idx(os.path.join(options.data, "t10k-labels-idx1-ubyte.gz")).long()

    def prepare(batch):
        return batch.unsqueeze(1).to(torch.float32, memory_format=layout).div_(255).sub_(0.2860).div_(0.3530)

    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    net = Net().to(memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4)
    # One cosine over all batches: the rate reaches 0 with the last one.
    steps = (len(images) + options.batch_size - 1) // options.batch_size
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=options.epochs * steps)
    for epoch in range(options.epochs):
        net.train()
        start, total = time.monotonic(), 0.0
        # DataLoader's draws: the base seed, then the sampler's seed and its permutation. Batches are then
        # read in one step, as Lampad's DataLoader does for this dataset.
        torch.empty((), dtype=torch.int64).random_()
        generator = torch.Generator()
        generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
        for indices in torch.randperm(len(images), generator=generator).split(options.batch_size):
            x, y = prepare(images.index_select(0, indices)), labels.index_select(0, indices)
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(x)
        print(f"epoch {epoch + 1}: {time.monotonic() - start:.2f} s, loss {total / len(images):.4f}", flush=True)

    net.eval()
    correct = 0
    with torch.no_grad():
        for start in range(0, len(test_images), 1000):
            x, y = prepare(test_images[start : start + 1000]), test_labels[start : start + 1000]
            correct += (net(x).argmax(1) == y).sum().item()
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    print(f"test accuracy: {correct / len(test_images):.4f}")


main()
