#!/usr/bin/env python3
"""Writes tests/golden/rnn.lua: what PyTorch's recurrent modules give, forward and backward.

Run by hand, with PyTorch 2.x: python3 scripts/gen/golden_rnn.py
Modules and inputs come from torch.manual_seed(case number): tests/lua/rnn_spec.lua makes the same ones. Every tensor is
kept as a digest: its sum, and its sums with weights cos(i) and sin(i) over the elements in order.
"""
import os
import warnings

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# kind, options, batch, steps, flags: packed lengths, with hx, unbatched
KINDS = ["LSTM", "GRU", "RNN", "RELU"]
SHAPES = [
    dict(options={}, hx=False),
    dict(options={"bias": False, "batch_first": True}, hx=True),
    dict(options={"num_layers": 2, "bidirectional": True}, hx=True),
    dict(options={"num_layers": 3, "dropout": 0.5, "bidirectional": True}, hx=False),
    dict(options={"num_layers": 2, "bidirectional": True}, hx=True, lengths=[2, 5, 1, 5]),
    dict(options={"batch_first": True, "dropout": 0.25, "num_layers": 2}, hx=False, lengths=[5, 3, 3, 1]),
    dict(options={"num_layers": 2}, hx=True, unbatched=True),
    dict(options={"hidden_size": 37, "input_size": 19}, hx=True, batch=7),
]
PROJECTED = [
    dict(options={"proj_size": 2}, hx=True),
    dict(options={"proj_size": 3, "num_layers": 2, "bidirectional": True, "bias": False}, hx=True, lengths=[4, 5, 2, 1]),
]


def digest(t):
    t = t.detach().double().reshape(-1)
    i = torch.arange(t.numel(), dtype=torch.float64)
    return [t.sum().item(), (t * i.cos()).sum().item(), (t * i.sin()).sum().item()]


def run(number, kind, shape, dtype):
    torch.manual_seed(number)
    options = dict(shape["options"])
    sizes = [options.pop("input_size", 3), options.pop("hidden_size", 4)]
    if kind == "RELU":
        options["nonlinearity"] = "relu"
    net = getattr(nn, "RNN" if kind == "RELU" else kind)(*sizes, dtype=dtype, **options)
    batch, steps = shape.get("batch", 4), 5
    first = options.get("batch_first", False)
    layers = net.num_layers * (2 if net.bidirectional else 1)
    if shape.get("unbatched"):
        x = torch.randn(steps, sizes[0], dtype=dtype)
        states = [(layers,), (layers,)]
    else:
        x = torch.randn(*((batch, steps) if first else (steps, batch)), sizes[0], dtype=dtype)
        states = [(layers, batch), (layers, batch)]
    x.requires_grad_()
    h = torch.randn(*states[0], net.proj_size or sizes[1], dtype=dtype).requires_grad_()
    c = torch.randn(*states[1], sizes[1], dtype=dtype).requires_grad_()
    hx = ((h, c) if kind == "LSTM" else h) if shape["hx"] else None
    given = x
    if "lengths" in shape:
        lengths = shape["lengths"]
        given = pack_padded_sequence(x, lengths, first, lengths == sorted(lengths, reverse=True))
    out, last = net(given, hx)
    if "lengths" in shape:
        out, _ = pad_packed_sequence(out, first)
    results = [out, *(last if kind == "LSTM" else [last])]
    loss = sum(((i + 1) * r.sin()).sum() for i, r in enumerate(results))
    loss.backward()
    leaves = [x] + ([h] + ([c] if kind == "LSTM" else []) if shape["hx"] else []) + list(net.parameters())
    return repr(net), [digest(r) for r in results], [digest(t.grad) for t in leaves]


def numbers(list_of_digests):
    return "{ " + ", ".join("{ " + ", ".join(f"{v:.12g}" for v in d) + " }" for d in list_of_digests) + " }"


def lua(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "{ " + ", ".join(map(lua, value)) + " }"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {lua(v)}" for k, v in value.items()) + " }"
    return repr(value)


def main():
    lines = [f"-- Written by scripts/gen/golden_rnn.py with PyTorch {torch.__version__.split('+')[0]}; do not edit.", "return {"]
    number = 0
    for kind in KINDS:
        for shape in SHAPES + (PROJECTED if kind == "LSTM" else []):
            for dtype in [torch.float64] if number % 3 else [torch.float64, torch.float32]:
                text, results, grads = run(number, kind, shape, dtype)
                lines += ["  {", f"    seed = {number}, kind = '{kind}', dtype = '{str(dtype)[6:]}', text = '{text}',",
                          f"    shape = {lua(shape)},", f"    results = {numbers(results)},",
                          f"    grads = {numbers(grads)},", "  },"]
            number += 1
    lines.append("}")
    with open(os.path.join(ROOT, "tests", "golden", "rnn.lua"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
