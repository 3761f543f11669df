"""Parts of nets that several measurements share; the twin of nets.lua."""
import argparse
import math
import os
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


def arguments(positional, **budget):
    """The script's arguments as nets.lua reads them, and the variants that PyTorch has; sets the threads."""
    parser = argparse.ArgumentParser()
    for name, kind, default in positional:
        parser.add_argument(name, nargs="?", type=kind, default=default)
    for name, value in budget.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    parser.add_argument("--channels-last", action="store_true", help="nets and images in channels_last")
    parser.add_argument("--autocast", action="store_true", help="bfloat16 by autocast, not by model.bfloat16()")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    return parser.parse_args()


def placed(thing, options):
    """The net or the batch of images in the memory format that is asked for."""
    return thing.to(memory_format=torch.channels_last) if options.channels_last else thing


def selects(pattern, name):
    return name in pattern[1:].split("|") if pattern.startswith("=") else pattern in name


def median_seconds(run, budget):
    for _ in range(budget.warm_ups):
        run()
    begin = time.perf_counter()
    run()
    once = time.perf_counter() - begin
    calls = max(1, math.ceil(budget.sample / max(once, 1e-7)))
    times, start = [once] if calls == 1 else [], time.perf_counter()
    while len(times) < budget.least or time.perf_counter() - start < budget.seconds:
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        times.append((time.perf_counter() - begin) / calls)
    return sorted(times)[(len(times) - 1) // 2]


def measure(rows, options):
    """Prints "name<TAB>microseconds" of each row (name, make) that options.pattern selects, as nets.lua does."""
    for name, make in rows:
        if selects(options.pattern, name):
            torch.manual_seed(0)
            run = make()
            print(f"{name}\t{median_seconds(run, options) * 1e6:.5g}", flush=True)
            del run
