"""PyTorch's times for the cases of rnn.tsv; the twin of rnn.lua, which tells what is measured.
    python3 scripts/bench/rnn.py [PATTERN] [--threads N]"""
import os
import sys
import time

import torch
from torch import nn

arguments = sys.argv[1:]
threads = 2
if "--threads" in arguments:
    at = arguments.index("--threads")
    threads = int(arguments[at + 1])
    del arguments[at : at + 2]
pattern = arguments[0] if arguments else ""
torch.set_num_threads(threads)


def measure(fn):
    fn()
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start <= 0.5:
        begin = time.perf_counter()
        fn()
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def case(name, kind, batch, steps, inputs, hidden, layers, directions, dtype):
    torch.manual_seed(0)
    if "Cell" in kind:
        cell = getattr(nn, kind)(inputs, hidden, dtype=dtype)
        x, h = torch.randn(batch, inputs, dtype=dtype), torch.randn(batch, hidden, dtype=dtype)
        hx = (h, h) if kind == "LSTMCell" else h

        def forward():
            with torch.no_grad():
                cell(x, hx)

        def step():
            result = cell(x, hx)
            (result[0] if kind == "LSTMCell" else result).sum().backward()
            cell.zero_grad()
    else:
        net = getattr(nn, kind)(inputs, hidden, layers, bidirectional=directions == 2, dtype=dtype)
        x = torch.randn(steps, batch, inputs, dtype=dtype).requires_grad_("fixed input" not in name)

        def forward():
            with torch.no_grad():
                net(x)

        def step():
            net(x)[0].sum().backward()
            net.zero_grad()
            x.grad = None
    return forward, step


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rnn.tsv")) as lines:
    for line in lines:
        if line.startswith("#") or pattern not in line:
            continue
        name, kind, *sizes, dtype = line.rstrip("\n").split("\t")
        forward, step = case(name, kind, *map(int, sizes), getattr(torch, dtype))
        print(f"{name}\t{measure(forward):.4f}\t{measure(step):.4f}", flush=True)
