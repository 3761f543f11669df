#!/usr/bin/env python3
"""Writes tests/golden/ops/index.lua: what PyTorch's indexing gives for many index texts.

Run by hand, with PyTorch 2.x: python3 scripts/gen/golden_index.py
Rows: {tensor, text, shape, values} for reads (values missing: PyTorch raises an error) and
{tensor, text, shape of the value, values of the whole tensor afterwards} for assignments, in which the
value written counts 100, 101, ... (an empty shape: the number 100).
"""
import itertools
import os
import warnings

import torch

warnings.filterwarnings("ignore")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
OUT = os.path.join(ROOT, "tests", "golden", "ops", "index.lua")
SHAPES = {"a": (), "b": (10,), "c": (2, 3, 4), "d": (2, 1, 3, 2), "e": (0, 3)}
ITEMS = ["0", "-1", ":", "1:", "::2", "None", "...", "[0, 1]", "True", "-2:", "False"]
MORE = {
    "a": ["None", "...", "()", "None, None", "True", "0", ":", "..., None"],
    "b": ["3", "-3", "10", "-11", "2:5", "5:2", "-3:", ":-3", "::3", "1:8:2", "-100:100", "100:", ":0", "...", "None, 2:4",
          "[1, 1, 9]", "[-1, 0]", "[]", "[[0, 1], [2, 3]]", "[10]", "::", " 1 : 3 ", "1:3,", "2,", "1:None", "None:4:None",
          "+3", "[True, False, True, False, False, False, False, False, False, True]", "[True, False]"],
    "c": ["1, 2, 3", "1, 2, 3, 0", "2", "0, 3", "0, 0, -5", "[0, 1], [1, 2]", "[0, 1], :, [1, 2]", "[[0], [1]], [0, 2]",
          "[0, 1], [0, 1, 2]", "..., [0, 3]", "[0], ..., [1]", "..., ...", "[1], None, [2]", "None, [1], [2]",
          "0, [1, 2], None", "[[True, False, True], [False, True, False]]", "[[True, False, True], [False, True, False]],", "[[0, 1], [1, 0]],", "[[True, False, True], [False, True, False]], 1",
          "[[True, False, True], [False, True, False]], 1:3", "0, [True, False, True]", ":, [True, False, True], 0",
          "[True, True, False]", "..., None, 0", "1, ..., 2", "..., :2, ::3", "None, ..., None", "[5]", "[0, -3]"],
    "d": ["..., 0", ":, 0, [0, 2]", "[1, 0], 0, [2, 2], [0, 1]", "1, 0, ..., 1", "[1], :, [0, 1]", "::2, ::2, ::2, ::2"],
    "e": [":", "...", ":, 1", "0", "[]", "None", "1:", "..., [0, 2]"],
}
VALUES = {"b": [("3", ()), ("2:5", ()), ("2:5", (3,)), ("2:5", (1,)), ("2:5", (2,)), ("[1, 3]", (2,)), ("[1, 3]", ()), ("...", ()),
                ("None", (1, 10)), ("None", (10,)), ("5:2", ()), ("True", ()), ("False", ()), ("12", ()), ("::3", (1, 4)),
                ("[[0, 1], [2, 3]]", (2, 2)), ("[0, -1]", (1, 1, 2)), ("3", (1, 1)), ("3", (2,))],
          "c": [("0", ()), ("0", (4,)), ("0", (3, 1)), ("0", (3, 4)), ("0", (1, 1, 3, 4)), (":, 1", (2, 4)), ("..., 0", (3,)),
                ("[0, 1], [1, 2]", (2, 4)), ("[0, 1], [1, 2]", (4,)), ("[0, 1], :, [1, 2]", (2, 3)),
                ("[[True, False, True], [False, True, False]],", ()), ("[[True, False, True], [False, True, False]],", (3, 4)),
                ("[[0, 1], [2, 0]]", (2, 4)),
                ("[[True, False, True], [False, True, False]], 1", (3,)), ("0, 1, 2", ()), ("1, ..., None", (3, 4, 1)),
                ("0", (5,)), ("0, [0, 2], ::2", (2, 2)), ("None, 0", (1, 3, 4)), (":, :, [3, 0]", (2,)), ("1:, 1:, 1:", (2, 3)),
                ("[0, 1], 0", (1, 2, 4)), ("...", (2, 3, 4)), ("[0, 0], 0, 0", ())]}


def numbers(values):
    return "{" + ",".join(map(str, values)) + "}"


def main():
    reads, writes = [], []
    texts = {k: list(v) for k, v in MORE.items()}
    for n, names in ((1, "bcd"), (2, "bc"), (3, "c")):
        for combo in itertools.product(ITEMS, repeat=n):
            if combo.count("...") < 2 and combo.count("[0, 1]") < 3:
                for name in names:
                    text = ", ".join(combo)
                    if text not in texts[name]:
                        texts[name].append(text)
    for name, list_ in texts.items():
        x = torch.arange(torch.Size(SHAPES[name]).numel()).reshape(SHAPES[name])
        for text in list_:
            if text == "()":
                continue
            try:
                r = eval("x[%s]" % text)
                tail = ", %s, %s" % (numbers(r.shape), numbers(r.flatten().tolist()))
            except (IndexError, RuntimeError, ValueError, TypeError):
                tail = ""
            reads.append('{"%s", "%s"%s}' % (name, text, tail))
    for name, list_ in VALUES.items():
        for text, shape in list_:
            x = torch.arange(torch.Size(SHAPES[name]).numel()).reshape(SHAPES[name])
            value = (torch.arange(torch.Size(shape).numel()) + 100).reshape(shape) if shape else 100
            try:
                exec("x[%s] = value" % text)
                tail = ", " + numbers(x.flatten().tolist())
            except (IndexError, RuntimeError, ValueError, TypeError):
                tail = ""
            writes.append('{"%s", "%s", %s%s}' % (name, text, numbers(shape), tail))
    with open(OUT, "w") as f:
        f.write("-- Written by scripts/gen/golden_index.py with PyTorch %s.\n" % torch.__version__.split("+")[0])
        f.write("return { shapes = {%s},\nreads = {\n" % ", ".join("%s = %s" % (k, numbers(v)) for k, v in SHAPES.items()))
        f.write(",\n".join(reads) + "},\nwrites = {\n" + ",\n".join(writes) + "} }\n")
    print(len(reads), "reads,", len(writes), "writes,", os.path.getsize(OUT), "bytes")


main()
