"""Parts of nets that several measurements share; the twin of nets.lua."""
import time

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """Two convolutions with batch norm round which the input goes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


def measure(rows, pattern, warm_ups, seconds):
    """Prints "name<TAB>milliseconds" of each row (name, make) whose name contains the pattern, as nets.lua does."""
    for name, make in rows:
        if pattern not in name:
            continue
        torch.manual_seed(0)
        run, times = make(), []
        for _ in range(warm_ups):
            run()
        start = time.perf_counter()
        while len(times) < 5 or time.perf_counter() - start <= seconds:
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        times.sort()
        print(f"{name}\t{times[(len(times) - 1) // 2] * 1e3:.5g}", flush=True)
        del run
