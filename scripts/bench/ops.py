"""Times the calls of ops.tsv on tensors of N float32 elements: the twin of ops.lua, which describes the output."""
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

n, pattern = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
torch.manual_seed(0)
columns = 1000 if n >= 1000000 else 50
rows = n // columns
side = math.isqrt(n)
third = math.isqrt(n // 16)
pixels = max(4, math.isqrt(n // 32))
env = {
    "torch": torch, "F": F, "L": lambda *x: list(x), "nil": None,
    "a": torch.randn(n), "b": torch.randn(n), "c": torch.randn(n), "p": torch.rand(n) + 0.5,
    "m": torch.randn(rows, columns), "w": torch.randn(rows, columns), "row": torch.randn(columns),
    "v": torch.randn(columns, columns), "q": torch.randn(side, side), "k": torch.randn(side, side),
    "u": torch.randn(16, third, third),
    "i": torch.randint(0, n, (n,)), "j": torch.randint(0, rows, (rows,)),
    "g": torch.randint(0, columns, (rows, columns)), "t": torch.randint(0, columns, (rows,)),
    "mask": torch.rand(n) > 0.5, "image": torch.randn(2, 16, pixels, pixels), "filter": torch.randn(16, 16, 3, 3),
    "add_": lambda x, y: x.add_(y), "mul_": lambda x, y: x.mul_(y),
    "to64": lambda x: x.to(torch.float64), "to16": lambda x: x.to(torch.bfloat16),
    "transposed": lambda x: x.t().contiguous(), "layer_norm": lambda x: F.layer_norm(x, [columns]),
}


def measure(fn):
    fn()
    start = time.perf_counter()
    fn()
    once = time.perf_counter() - start
    calls = math.ceil(0.02 / max(once, 1e-7)) if once < 0.02 else 1
    times = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(calls):
            fn()
        times.append((time.perf_counter() - start) / calls * 1e6)
    return sorted(times)[3]


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.tsv")) as file:
    for line in file:
        if line.startswith("#") or "\t" not in line:
            continue
        name, code = line.rstrip("\n").split("\t")
        if pattern in name:
            print("%s\t%.4f" % (name, measure(eval("lambda: " + code, env))), flush=True)
