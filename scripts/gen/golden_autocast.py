#!/usr/bin/env python3
"""Writes tests/golden/autocast.lua: what PyTorch's autocast makes of the schema's sample calls, and networks under it.

Run by hand, with PyTorch 2.x, after a build: python3 scripts/gen/golden_autocast.py [BUILD_FOLDER]
dtypes: "cname|case" -> the dtypes of the results in bfloat16 autocast where the results differ from those without, as
"kind=dtype,dtype ..." for kinds of input: f all float32, b all bfloat16, h all float16, m the first bfloat16 and the
others float32. What PyTorch refuses in autocast is left out. nets: the dtype of the output, the loss and the
sums of the gradients' moduli.
"""
import os
import sys
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F

import golden

warnings.filterwarnings("ignore")
OUT = os.path.join(golden.ROOT, "tests", "golden", "autocast.lua")
KINDS = {"f": [torch.float32], "b": [torch.bfloat16], "h": [torch.float16], "m": [torch.bfloat16, torch.float32]}


def names(value):
    if isinstance(value, torch.Tensor):
        return [str(value.dtype).split(".")[-1]]
    if isinstance(value, (tuple, list)):
        return [n for v in value for n in names(v)]
    return [type(value).__name__]


def in_dtypes(sample, dtypes):
    """The sample with its floating tensors in these dtypes, in order; the last counts for the rest."""
    count = [0]

    def convert(v):
        if isinstance(v, torch.Tensor) and v.is_floating_point():
            count[0] += 1
            return v.to(dtypes[min(count[0], len(dtypes)) - 1])
        return [convert(x) for x in v] if isinstance(v, list) else v
    sample.args = [convert(a) for a in sample.args]
    sample.named = {k: convert(v) for k, v in sample.named.items()}
    return sample


def result_of(row, case, dtypes, enabled):
    try:
        sample = in_dtypes(golden.Sample(row, case, "float32"), dtypes)
        with torch.autocast("cpu", enabled=enabled):
            return golden.evaluate(row, sample)
    except Exception:  # PyTorch's refusals come in every class
        return None


def differs(a, b):
    a, b = golden.tensors_of(a), golden.tensors_of(b)
    return len(a) != len(b) or any(x.dtype != y.dtype or x.shape != y.shape or not torch.allclose(
        x.to(torch.complex128), y.to(torch.complex128), rtol=0, atol=0, equal_nan=True) for x, y in zip(a, b))


def calls(build):
    for row in golden.load_db(os.path.join(build, "gen", "op_db.lua")):
        if row["variants"] == ["internal"]:
            continue
        for case in row["cases"]:
            if "(" not in case:
                continue
            changed = []
            for kind, dtypes in KINDS.items():
                inside, outside = (result_of(row, case, dtypes, enabled) for enabled in (True, False))
                again = result_of(row, case, dtypes, False)  # differs where memory comes as it was
                if inside is not None and (outside is None or differs(inside, outside) and not differs(outside, again)):
                    changed.append("%s=%s" % (kind, ",".join(names(inside))))
            if changed:
                yield row["cname"] + "|" + case, " ".join(changed)


def wave(*shape):
    n = 1
    for s in shape:
        n *= s
    return torch.sin(torch.arange(n, dtype=torch.float32) * 0.7 + 0.3).reshape(shape)


def first(y):
    return y[0] if isinstance(y, tuple) else y


def nets():
    image = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(72, 5))
    norms = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.0), nn.Linear(8, 8), nn.PReLU(),
                          nn.Linear(8, 5))
    yield "image", image, wave(3, 2, 6, 6), False
    yield "norms", norms, wave(3, 6), False
    yield "transformer", nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), wave(2, 5, 8), False
    yield "lstm", nn.LSTM(4, 6, num_layers=2), wave(5, 3, 4), False
    yield "gru", nn.GRU(4, 6), wave(5, 3, 4), False
    yield "rnn", nn.RNN(4, 6, bidirectional=True), wave(5, 3, 4), False
    yield "lstm_packed", nn.LSTM(4, 6), wave(5, 3, 4), True
    yield "lstm_projected", nn.LSTM(4, 6, proj_size=3), wave(5, 3, 4), False


def train(name, net, x, packed):
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(wave(*p.shape) * 0.4 + 0.01 * i)
    with torch.autocast("cpu"):
        if packed:
            y = first(net(nn.utils.rnn.pack_padded_sequence(x, [5, 4, 2]))).data
        else:
            y = first(net(x))
        loss = F.mse_loss(y, wave(*y.shape))
    loss.backward()
    grads = [p.grad for p in net.parameters()]
    assert all(g.dtype == torch.float32 for g in grads)
    return "{ dtype = \"%s\", loss = %.6g, grads = { %s } }" % (
        names(y)[0], loss.item(), ", ".join("%.6g" % g.abs().sum().item() for g in grads))


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(golden.ROOT, "build")
    with open(OUT, "w") as file:
        file.write("-- Written by scripts/gen/golden_autocast.py with PyTorch %s; do not edit.\n"
                   % torch.__version__.split("+")[0])
        file.write("return {\n  dtypes = {\n")
        for call, text in calls(build):
            file.write("    [ [=[%s]=] ] = \"%s\",\n" % (call, text))
        file.write("  },\n  nets = {\n")
        for row in nets():
            file.write("    %s = %s,\n" % (row[0], train(*row)))
        file.write("  },\n}\n")


if __name__ == "__main__":
    main()
