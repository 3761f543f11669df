"""Writes the numbers that scripts/bench/parity.lua compares with: the CNN of parity.lua in PyTorch, seed 0.

  python3 scripts/bench/parity.py [FILE]     (default: tests/golden/parity.txt)
Lines: "weight NAME CRC32" of the initial parameters' bytes, then "loss STEP VALUE" of 100 steps of SGD.
"""
import sys
import zlib

import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(32 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/parity.txt"
    torch.manual_seed(0)
    net = Net()
    lines = []
    for name, p in net.named_parameters():
        lines.append(f"weight {name} {zlib.crc32(p.detach().numpy().tobytes()):08x}")
    # Images and labels from the same generator: no files needed.
    images = torch.rand(1000, 1, 28, 28) * 0.1
    labels = torch.randint(0, 10, (1000,))
    images[torch.arange(1000), 0, labels, :] += 0.5  # the class is a bright row
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, labels), batch_size=64, shuffle=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.005)
    step = 0
    while step < 100:
        for x, y in loader:
            step += 1
            if step > 100:
                break
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            lines.append(f"loss {step} {loss.item():.9e}")
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")


main()
