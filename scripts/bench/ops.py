"""Times the calls of ops.tsv on tensors of N float32 elements: the twin of ops.lua, which describes the output."""
import math
import os
import re

import torch
import torch.nn.functional as F

from nets import arguments, median_seconds, selects

options = arguments([("n", int, None), ("pattern", str, ""), ("group", str, None)], warm_ups=1, seconds=0.0, least=7, sample=0.02)
n = options.n
torch.manual_seed(0)
columns = 1000 if n >= 1000000 else 50
rows = n // columns
side = math.isqrt(n)
third = math.isqrt(n // 16)
pixels = max(4, math.isqrt(n // 32))
env = {
    "torch": torch, "F": F, "L": lambda *x: list(x), "nil": None,
    "add_": lambda x, y: x.add_(y), "mul_": lambda x, y: x.mul_(y),
    "to64": lambda x: x.to(torch.float64), "to16": lambda x: x.to(torch.bfloat16),
    "transposed": lambda x: x.t().contiguous(), "layer_norm": lambda x: F.layer_norm(x, [columns]),
}
makers = {
    "a": lambda: torch.randn(n), "b": lambda: torch.randn(n), "c": lambda: torch.randn(n), "p": lambda: torch.rand(n) + 0.5,
    "m": lambda: torch.randn(rows, columns), "w": lambda: torch.randn(rows, columns), "row": lambda: torch.randn(columns),
    "v": lambda: torch.randn(columns, columns), "q": lambda: torch.randn(side, side), "k": lambda: torch.randn(side, side),
    "u": lambda: torch.randn(16, third, third),
    "i": lambda: torch.randint(0, n, (n,)), "j": lambda: torch.randint(0, rows, (rows,)),
    "g": lambda: torch.randint(0, columns, (rows, columns)), "t": lambda: torch.randint(0, columns, (rows,)),
    "z": lambda: torch.randn(n // 2, dtype=torch.complex64), "y": lambda: torch.randn(n // 2, dtype=torch.complex64),
    "r": lambda: torch.rand(n), "s": lambda: torch.randn(n // 64 + 1, 8, 8) + torch.eye(8) * 8,
    "mask": lambda: torch.rand(n) > 0.5, "image": lambda: torch.randn(2, 16, pixels, pixels),
    "filter": lambda: torch.randn(16, 16, 3, 3),
}

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.tsv")) as file:
    for line in file:
        if line.startswith("#") or "\t" not in line:
            continue
        name, code, group = (line.rstrip("\n").split("\t") + [None])[:3]
        if selects(options.pattern, name) and options.group in (None, group):
            for word in re.findall(r"\w+", code):
                if word in makers:
                    env[word] = makers.pop(word)()
            print("%s\t%.4f" % (name, median_seconds(eval("lambda: " + code, env), options) * 1e6), flush=True)
