"""Times the calls of shapes.tsv on tensors of odd shapes: the twin of shapes.lua, which describes the output."""
import os

import torch
import torch.nn.functional as F

from nets import arguments, median_seconds, selects

options = arguments([("pattern", str, ""), ("dtype", str, "float32")], warm_ups=1, seconds=0.0, least=7, sample=0.005)
DTYPE = getattr(torch, options.dtype)
SHAPES = [(100000, 3), (3, 100000), (20000, 17), (17, 20000), (1000, 7, 50), (64, 32, 7, 7), (512, 5, 5, 13), (2, 3, 300, 301),
          (8, 128, 1, 1), (300, 300), (33, 65, 129)]


def numbers(shape):
    if DTYPE.is_floating_point or DTYPE.is_complex:
        return torch.randn(shape).to(DTYPE)
    return torch.randint(0, 2 if DTYPE == torch.bool else 100, shape).to(DTYPE)


def runs(call):
    try:
        call()
    except (RuntimeError, TypeError, IndexError):
        return False
    return True


def environment(shape):
    x, dims = numbers(shape), len(shape)
    return {
        "torch": torch, "F": F, "L": lambda *x: list(x), "dense": lambda t: t.contiguous(),
        "x": x, "y": numbers(shape), "i": torch.randint(0, 100, shape), "row": numbers((shape[-1],)),
        "column": x.narrow(dims - 1, 0, 1).contiguous(), "last": dims - 1, "first": 0, "perm": list(range(dims))[::-1],
        "short": max(1, shape[-1] - 1),
        "back_first": torch.arange(shape[0] - 1, -1, -1), "back_last": torch.arange(shape[-1] - 1, -1, -1),
    }


torch.manual_seed(0)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shapes.tsv")) as file:
    calls = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#") and "\t" in line]
for shape in SHAPES:
    env = environment(shape)
    for name, code in calls:
        title = name + ", " + " x ".join(map(str, shape))
        call = eval("lambda: " + code, env)
        if selects(options.pattern, title) and runs(call):
            print("%s\t%.4f" % (title, median_seconds(call, options) * 1e6), flush=True)
