#!/usr/bin/env python3
"""Writes tests/golden/print/print.lua: texts of tensors as PyTorch prints them, with what builds each.

Run by hand, with PyTorch 2.x: python3 scripts/gen/golden_print.py
A record holds dtype, shape and the elements (a list, or `linear = {a, b}`: element i is a + b * i),
print options, requires_grad, or an expression in Lua; tests/lua/printing_spec.lua rebuilds and compares.
"""
import math
import os
import random

import torch

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
OUT = os.path.join(ROOT, "tests", "golden", "print", "print.lua")
FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTS = ["int64", "int32", "int16", "int8", "uint8"]
COMPLEX = ["complex64", "complex128"]
random.seed(20)
records = []


def number(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if isinstance(v, complex):
        return "{%s, %s}" % (number(v.real), number(v.imag))
    if math.isnan(v):
        return "nan"
    if math.isinf(v):
        return "inf" if v > 0 else "-inf"
    return repr(v)


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def options_text(options):
    parts = []
    for k, v in options.items():
        parts.append("%s = %s" % (k, quote(v) if isinstance(v, str) else number(v)))
    return "{" + ", ".join(parts) + "}"


def emit(fields, tensor, options):
    torch.set_printoptions(profile="default")
    if options:
        torch.set_printoptions(**options)
        fields.append("options = " + options_text(options))
    fields.append("text = " + quote(str(tensor)))
    torch.set_printoptions(profile="default")
    records.append("{" + ", ".join(fields) + "}")


def case(dtype, shape, values=None, linear=None, transposed=False, grad=False, **options):
    """One record. `values`: a flat list; `linear`: (a, b)."""
    n = math.prod(shape)
    fields = ['dtype = "%s"' % dtype, "shape = {%s}" % ", ".join(map(str, shape))]
    if linear:
        fields.append("linear = {%s, %s}" % (number(linear[0]), number(linear[1])))
        values = [linear[0] + linear[1] * i for i in range(n)]
    else:
        assert len(values) == n, (len(values), shape)
        fields.append("values = {%s}" % ", ".join(map(number, values)))
    t = torch.tensor(values, dtype=getattr(torch, dtype)).reshape(shape)
    if transposed:
        t = t.transpose(0, -1)
        fields.append("transposed = true")
    if grad:
        t = t.detach().requires_grad_()
        fields.append("grad = true")
    emit(fields, t, options)


def expression(lua, tensor, **options):
    emit(["lua = " + quote(lua)], tensor, options)


def normals(n, scale=1.0):
    return [round(random.gauss(0, 1) * scale, 6) for _ in range(n)]


def main():
    inf, nan = math.inf, math.nan
    shapes = [(), (1,), (3,), (7,), (20,), (2, 3), (1, 1), (3, 1), (2, 2, 2), (1, 2, 1, 3), (2, 1, 2, 1, 2)]
    for dtype in FLOATS:
        for shape in shapes:
            case(dtype, shape, normals(math.prod(shape)))
        for values in ([0.0], [0.0, -0.0], [1.0, 2.0, 3.0], [1.0, 2.5], [nan], [inf], [-inf, 1.0], [nan, 1.5, inf],
                       [nan, 2.0, -inf], [0.0, nan], [1e-5, 1.0], [1e-4], [9e-5], [1e5, 1.0], [1000.0, 1.0],
                       [1001.0, 1.0], [30000.0, 0.5], [1e-7], [0.1, 0.2, 0.3], [-1.0, 10.0, 100.0], [0.00012345],
                       [123.456, -0.001], [65504.0], [1.0, nan, inf, -inf, 1e-3]):
            case(dtype, (len(values),), values)
    for dtype in ("float32", "float64"):
        for values in ([1e8], [1.1e8], [1e10, 1.0], [1e20], [1e38, 1e-38], [99999999.0], [12345678.0, 0.5], [1e16],
                       [3.4e38], [1e-30, 2e-30], [123456.0, 7.0, -3.0]):
            case(dtype, (len(values),), values)
    case("float64", (2,), [1e300, 1e-300])
    case("float64", (3,), [1e100, 1.0, nan])
    case("float64", (2,), [0.1 + 0.2, 1 / 3])
    for dtype in INTS:
        for values in ([0], [1, 2, 3], [-1 if dtype != "uint8" else 255, 100, 7], [127], list(range(0, 60, 2))):
            case(dtype, (len(values),), values)
        for shape in shapes:
            case(dtype, shape, [random.randint(0, 99) for _ in range(math.prod(shape))])
    case("int64", (2,), [2**63 - 1, -(2**63)])
    case("int64", (2, 2), [10**12, -5, 0, 3])
    for shape in shapes:
        case("bool", shape, [random.random() < 0.5 for _ in range(math.prod(shape))])
    case("bool", (2, 15), [i % 3 == 0 for i in range(30)])
    for dtype in COMPLEX:
        for shape in shapes:
            case(dtype, shape, [complex(a, b) for a, b in zip(normals(math.prod(shape)), normals(math.prod(shape)))])
        for values in ([0j], [1 + 2j, 3 - 4j], [1j], [complex(nan, inf), 1 + 1j], [complex(1, -0.0)],
                       [1e10 + 1e-10j, 1 + 1j], [0.5 + 2j, -100 - 0.25j], [complex(0, nan), complex(-inf, 2)],
                       [complex(1e-6, 1), complex(20, -3)], [complex(10, 100), complex(1, -1), complex(-5, 5)]):
            case(dtype, (len(values),), values)
    # Empty tensors.
    for dtype in FLOATS + INTS + COMPLEX + ["bool"]:
        for shape in ((0,), (2, 0), (0, 3, 1)):
            case(dtype, shape, [])
    # Summaries.
    for dtype, linear in (("float32", (0.0, 1.0)), ("float32", (-3.0, 0.25)), ("float64", (1e-6, 1.0)), ("int64", (0, 1)),
                          ("int32", (-500, 3)), ("float32", (0.5, 1e6)), ("float64", (1.0, 1e-3))):
        for shape in ((1000,), (1001,), (5000,), (40, 30), (2, 600), (600, 2), (7, 8, 30), (11, 12, 13), (2, 3, 200),
                      (1, 1, 1100), (7, 6, 6, 7)):
            case(dtype, shape, linear=linear)
    case("bool", (40, 40), [i % 7 == 0 for i in range(1600)])
    case("int8", (30, 40), [i % 100 for i in range(1200)])
    case("complex64", (40, 30), linear=(1 + 1j, 0.5 - 0.25j))
    case("complex128", (1200,), linear=(0j, 1 + 2j))
    case("float16", (35, 40), linear=(0.0, 0.5))
    case("bfloat16", (1100,), linear=(-64.0, 1.0))
    # Non-contiguous, gradients.
    for dtype in ("float32", "int64", "complex64"):
        case(dtype, (2, 3), linear=(1, 2) if dtype == "int64" else (0.5, 1.25), transposed=True)
        case(dtype, (2, 3, 4), linear=(0, 1) if dtype == "int64" else (0.0, 1.0), transposed=True)
        case(dtype, (50, 40), linear=(0, 1) if dtype == "int64" else (0.0, 1.0), transposed=True)
    for shape in ((), (1,), (3,), (9,), (2, 3), (11,), (10,), (8,), (40, 40), (0,)):
        case("float32", shape, linear=(0.125, 1.0), grad=True)
        case("float64", shape, linear=(0.125, 1.0), grad=True)
    case("complex64", (2,), [1 + 2j, 3j], grad=True)
    # Options.
    pi = [math.pi * 10 ** (i % 4) for i in range(12)]
    for options in ({"precision": 0}, {"precision": 1}, {"precision": 2}, {"precision": 8}, {"precision": 12},
                    {"sci_mode": True}, {"sci_mode": False}, {"linewidth": 40}, {"linewidth": 20}, {"linewidth": 200},
                    {"linewidth": 1}, {"threshold": 5}, {"threshold": 5, "edgeitems": 1}, {"threshold": 5, "edgeitems": 2},
                    {"threshold": 0, "edgeitems": 0}, {"edgeitems": 0}, {"profile": "short"}, {"profile": "full"},
                    {"profile": "short", "precision": 6}, {"threshold": 5, "edgeitems": 1, "linewidth": 30},
                    {"sci_mode": True, "precision": 2}, {"sci_mode": False, "precision": 6}):
        case("float32", (12,), pi, **options)
        case("float64", (3, 4), pi, **options)
        case("float32", (2, 3), linear=(1.0, 1.0), **options)
        case("int64", (4, 5), linear=(0, 17), **options)
        case("complex64", (2, 2), [1 + 2j, 0.5j, -3.25 + 1j, 100 - 1e-3j], **options)
        case("float32", (2, 3, 2), [v / 3 for v in range(12)], grad=True, **options)
    case("float32", (1100,), linear=(0.0, 1.0), profile="full")
    case("float32", (40, 40), linear=(0.0, 0.5), profile="short")
    case("float64", (2, 2), [1e-5, 1.0, 2.0, 3.0], sci_mode=False)
    # Results of ops.
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    lead = "local x = torch.tensor({{1., 2.}, {3., 4.}}, {requires_grad = true}); return "
    expression(lead + "x + 1", x + 1)
    expression(lead + "x * 2", x * 2)
    expression(lead + "x - x", x - x)
    expression(lead + "x / 3", x / 3)
    expression(lead + "-x", -x)
    expression(lead + "x:sum()", x.sum())
    expression(lead + "x:mean()", x.mean())
    expression(lead + "x:t()", x.t())
    expression(lead + "x[0]", x[0])
    expression(lead + "x:sqrt()", x.sqrt())
    expression(lead + "x:sigmoid()", x.sigmoid())
    expression(lead + "x:matmul(x)", x.matmul(x))
    expression(lead + "x:reshape(4)", x.reshape(4))
    expression(lead + "x:detach()", x.detach())
    expression(lead + "(x + 1):sum(0)", (x + 1).sum(0))
    expression(lead + 'x[":, 1:"]', x[:, 1:])
    expression(lead + "x:clone()", x.clone())
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    with open(OUT, "w") as f:
        f.write("-- Written by scripts/gen/golden_print.py with PyTorch %s.\n" % torch.__version__.split("+")[0])
        f.write("local nan, inf = 0 / 0, 1 / 0\nreturn {\n")
        for r in records:
            f.write(r + ",\n")
        f.write("}\n")
    print(len(records), "texts,", os.path.getsize(OUT), "bytes")


main()
