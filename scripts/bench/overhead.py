"""Time per call of `a + b` on one-element tensors, without and with gradient recording, in microseconds.

Prints "plain X" and "grad Y": the median of several rounds. The twin of overhead.lua.
"""
import statistics
import time

import torch

ROUNDS, CALLS = 15, 50000
torch.set_num_threads(1)


def median_time(a, b):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            a + b
        times.append((time.perf_counter() - start) / CALLS * 1e6)
    return statistics.median(times)


a, b = torch.ones(1), torch.ones(1)
print(f"plain {median_time(a, b):.4f}")
a.requires_grad_(True)
print(f"grad {median_time(a, b):.4f}")
