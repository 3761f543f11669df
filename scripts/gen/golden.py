#!/usr/bin/env python3
"""Writes tests/golden/ops/*.bin: what PyTorch gives for the schema's sample calls.

Run by hand, with PyTorch 2.x and torchvision, after a build: python3 scripts/gen/golden.py [BUILD_FOLDER] [PATTERN]
Reads BUILD_FOLDER/gen/op_db.lua (default build), evaluates each row's `cases` over the dtypes
PyTorch supports, with gradients in float64 and complex128, and writes one file for each schema file.
Inputs are not stored: tests/ops/samples.lua makes the same numbers from the same small generator.
PATTERN limits the report of calls that PyTorch refuses to rows whose C name contains it.

A file is "LPG1" and records, little endian; strings are u16 length and bytes:
  record  str cname, str case, u8 dtype, value result, u8 count and that many values: gradients
  value   'T' u8 dtype, u8 ndim, u32 dims..., raw elements | 'L' u16 count, values | 'b' u8 | 'i' i64
          | 'f' f64 | 'c' f64 f64 | 'd' u8 dtype | 'N' (none)
dtype numbers are those of LpDtype.
"""
import json
import math
import os
import struct
import subprocess
import sys
import warnings

import torch
import torch.nn.functional as F
import torchvision.ops

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
OUT = os.environ.get('GOLDEN_OUT', os.path.join(ROOT, 'tests', 'golden', 'ops'))
DTYPES = ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128",
          "bool", "bfloat16"]
MAIN = ["float32", "float64"]  # every case; the other dtypes: the first case only
MODULES = {"torch": torch, "nn.functional": F, "linalg": torch.linalg, "special": torch.special, "fft": torch.fft,
           "signal.windows": torch.signal.windows, "vision.ops": torchvision.ops}

# Calls whose results in PyTorch are accidents of its implementation, or of no use: no golden values.
INTS = {"uint8", "int8", "int16", "int32", "int64", "bool"}
LEFT_OUT = {
    "rms_norm": {"complex64", "complex128"},  # a complex tensor's epsilon
    "hardtanh": {"uint8"},  # the limit -1 in an unsigned dtype
    "div_mode": {"float16", "bfloat16"},  # the quotient rounded before it is truncated
    "soft_margin_loss": {"complex64", "complex128"},
    "gru_input": {"complex64"},  # a state close to a pole of tanh
    "linalg_vander": {"float16", "bfloat16"},  # a first column that is not 1
    "local_response_norm": INTS, "avg_pool1d": INTS, "avg_pool2d": INTS, "avg_pool3d": INTS,
    "unfold_patches": INTS, "fold": INTS, "hinge_embedding_loss": INTS, "margin_ranking_loss": INTS,
    "matrix_exp": {"float16", "bfloat16"}, "linalg_matrix_exp": {"float16", "bfloat16"},
    "ps_roi_align": {"float16"}, "ps_roi_align_list": {"float16"}, "deform_conv2d": {"float16"},  # sums in float16
}
# Functions of a triangle, whose gradients in PyTorch spread over the other one when it is not zero; and one whose gradient
# in torchvision is that of larger bins than those it pools.
NO_GRADIENTS = {"cholesky_solve", "cholesky_inverse", "ps_roi_pool", "ps_roi_pool_list"}

# What newer PyTorch dropped, by what it names instead.
REMOVED = {
    "cholesky": lambda a, upper=False: torch.linalg.cholesky(a, upper=upper),
    "qr": lambda a, some=True: torch.linalg.qr(a, "reduced" if some else "complete"),
}

TO_JSON = r"""
local function text(v)
  if type(v) == "table" then
    local parts = {}
    if #v > 0 or next(v) == nil then
      for i, x in ipairs(v) do parts[i] = text(x) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for k, x in pairs(v) do parts[#parts + 1] = text(k) .. ":" .. text(x) end
    return "{" .. table.concat(parts, ",") .. "}"
  elseif type(v) == "string" then
    return '"' .. v:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  end
  return tostring(v)
end
print(text(dofile(arg[1])))
"""


def load_db(path):
    script = os.path.join("/tmp", "op_db_to_json_%d.lua" % os.getpid())
    with open(script, "w") as f:
        f.write(TO_JSON)
    out = subprocess.run(["lua5.4", script, path], capture_output=True, check=True).stdout
    os.remove(script)
    return json.loads(out.decode("utf-8", "replace"))


# --- sample numbers: the same in tests/ops/samples.lua --------------------------------------------
class Generator:
    def __init__(self, text):
        h = 5381
        for b in text.encode():
            h = (h * 33 + b) & 0x7FFFFFFF
        self.state = h
        for _ in range(3):
            self.uniform()

    def uniform(self):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) / 8388608.0

    def normal(self):
        return (self.uniform() + self.uniform() + self.uniform() + self.uniform() - 2.0) * 1.75

    def below(self, n):
        return int(self.uniform() * n)


def permutation(gen, n):
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = gen.below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def spd(gen, shape, is_complex):
    """Symmetric positive definite matrices, exact: M * M^H + n * I with M in eighths."""
    n = shape[-1]
    out = []
    for _ in range(math.prod(shape[:-2])):
        m = [[complex(gen.below(17) - 8, gen.below(17) - 8 if is_complex else 0) / 8 for _ in range(n)] for _ in range(n)]
        for i in range(n):
            for j in range(n):
                s = complex(n if i == j else 0)
                for k in range(n):
                    s += m[i][k] * m[j][k].conjugate()
                out.append(s if is_complex else s.real)
    return out


def element(gen, flags, dtype):
    is_float = dtype.startswith("float") or dtype.startswith("bfloat")
    if dtype.startswith("complex"):
        return complex(element(gen, flags, "float64"), element(gen, flags, "float64"))
    if is_float:
        if "u" in flags:
            return 0.02 + 0.96 * gen.uniform()
        if "p" in flags:
            return 0.1 + 2.0 * gen.uniform()
        return gen.normal()
    if dtype == "bool":
        return gen.uniform() >= 0.5
    if "u" in flags:
        return gen.below(2)
    if "p" in flags:
        return 1 + gen.below(5)
    if dtype == "uint8":
        return gen.below(10)
    return gen.below(10) - 5


def make_tensor(spec, seed, default_dtype):
    shape, flags, below = spec
    gen = Generator(seed)
    dtype = default_dtype
    if below is not None or "i" in flags:
        dtype = "int64"
    elif "b" in flags:
        dtype = "bool"
    made = list(shape)
    transposed = "t" in flags and len(shape) > 1
    if transposed:
        made[0], made[-1] = made[-1], made[0]
    n = math.prod(made)
    if below is not None:
        values = [gen.below(below) for _ in range(n)]
    elif "s" in flags:
        values = spd(gen, shape, dtype.startswith("complex"))
        transposed, made = False, list(shape)
    elif "d" in flags and dtype != "bool":
        values = permutation(gen, n)
    else:
        values = [element(gen, flags, dtype) for _ in range(n)]
    t = torch.tensor(values, dtype=getattr(torch, dtype)).reshape(made)
    if transposed:
        t = t.transpose(0, -1)
    elif "t" in flags and len(shape) == 1:
        wide = torch.zeros(2 * shape[0], dtype=t.dtype)
        wide[::2] = t
        t = wide[::2]
    wants = "g" not in flags and below is None and not ({"i", "b"} & set(flags)) and (
        t.dtype.is_floating_point or t.dtype.is_complex)
    return t, wants


# --- reading cases ----------------------------------------------------------------------------------
class TensorSpec(tuple):
    pass


class Parser:
    def __init__(self, text):
        self.text, self.pos = text, 0

    def blanks(self):
        while self.pos < len(self.text) and self.text[self.pos] in " \n":
            self.pos += 1

    def peek(self):
        return self.text[self.pos] if self.pos < len(self.text) else ""

    def word(self, allowed):
        start = self.pos
        while self.peek() and (self.peek().isalnum() or self.peek() in allowed):
            self.pos += 1
        return self.text[start:self.pos]

    def tensor(self):
        end = self.text.index(")", self.pos)
        inner = self.text[self.pos + 1:end]
        shape = tuple(int(x) for x in inner.replace(" ", "").split(",") if x)
        self.pos = end + 1
        flags, below = "", None
        while self.peek() and self.peek() in "ibputsdg<":
            c = self.peek()
            self.pos += 1
            if c == "<":
                start = self.pos
                while self.peek().isdigit():
                    self.pos += 1
                below = int(self.text[start:self.pos])
            else:
                flags += c
        return TensorSpec((shape, flags, below))

    def value(self):
        self.blanks()
        c = self.peek()
        if c == "(":
            return self.tensor()
        if c == "[":
            self.pos += 1
            items = []
            while True:
                self.blanks()
                if self.peek() == "]":
                    self.pos += 1
                    return items
                items.append(self.value())
                self.blanks()
                if self.peek() == ",":
                    self.pos += 1
        if c == "'":
            end = self.text.index("'", self.pos + 1)
            s = self.text[self.pos + 1:end]
            self.pos = end + 1
            return s
        w = self.word("+-._")
        fixed = {"true": True, "false": False, "nil": None, "inf": math.inf, "-inf": -math.inf, "nan": math.nan}
        if w in fixed:
            return fixed[w]
        if w in DTYPES:
            return getattr(torch, w)
        try:
            return int(w)
        except ValueError:
            if w.endswith("j"):
                return complex(w)
            return float(w)

    def call(self):
        args, named = [], {}
        self.blanks()
        while self.pos < len(self.text):
            start = self.pos
            w = self.word("_")
            self.blanks()
            if w and self.peek() == "=":
                self.pos += 1
                named[w] = self.value()
            else:
                self.pos = start
                args.append(self.value())
            self.blanks()
            if self.peek() == ",":
                self.pos += 1
                self.blanks()
            elif self.pos < len(self.text):
                raise ValueError("cannot read %r at %d" % (self.text, self.pos))
        return args, named


class Sample:
    """One call with its tensors made."""

    def __init__(self, row, case, dtype):
        self.seed = row["cname"] + "|" + case
        self.dtype, self.count, self.inputs = dtype, 0, []
        args, named = Parser(case).call()
        self.args = [self.make(a) for a in args]
        self.named = {k: self.make(v) for k, v in named.items()}

    def make(self, v):
        if isinstance(v, TensorSpec):
            self.count += 1
            t, wants = make_tensor(v, "%s|%d" % (self.seed, self.count), self.dtype)
            if wants:
                self.inputs.append(t)
            return t
        if isinstance(v, list):
            return [self.make(x) for x in v]
        return v


def candidates(row):
    name, variants = row["name"], row["variants"]
    found = []
    if "function" in variants:
        for module in row["module"].split():
            fn = getattr(MODULES.get(module), name, None)
            if fn:
                found.append(fn)
        for module in (torch, F):
            fn = getattr(module, name, None)
            if fn and fn not in found:
                found.append(fn)
    if "method" in variants or not variants or variants == ["function"]:
        method = getattr(torch.Tensor, {"rep": "repeat"}.get(name, name), None)
        if method:
            found.append(method)
    if "inplace" in variants:
        method = getattr(torch.Tensor, name + "_", None)
        if method:
            found.append(lambda self, *a, **k: method(self.clone(), *a, **k))
    if name in REMOVED:
        found.insert(0, REMOVED[name])
    if hasattr(torch.ops.aten, name):
        found.append(getattr(torch.ops.aten, name))
    return found


def evaluate(row, sample):
    error = None
    # Where a tensor is due, a number stands for a 0-d tensor, which promotes alike.
    due = [a["type"].startswith("Tensor") and "[" not in a["type"] for a in row["args"]]
    wrapped = [torch.tensor(v) if d and isinstance(v, (int, float)) else v for v, d in zip(sample.args, due)]
    calls = [sample.args] + ([wrapped] if any(a is not b for a, b in zip(wrapped, sample.args)) else [])
    for fn, args in [(fn, args) for args in calls for fn in candidates(row)]:
        try:
            torch.manual_seed(0)
            return fn(*args, **sample.named)
        except Exception as e:  # PyTorch's refusals come in every class
            error = error or e
    raise error or RuntimeError("PyTorch has no such function")


# --- writing ------------------------------------------------------------------------------------------
def pack_string(s):
    b = s.encode()
    return struct.pack("<H", len(b)) + b


def dtype_number(dtype):
    return DTYPES.index(str(dtype).split(".")[-1])


def pack_value(v):
    if v is None:
        return b"N"
    if isinstance(v, torch.Tensor):
        t = v.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
        head = b"T" + struct.pack("<BB%dI" % t.dim(), dtype_number(t.dtype), t.dim(), *t.shape)
        raw = torch.ravel(t).view(torch.uint8).numpy().tobytes() if t.numel() else b""
        return head + raw
    if isinstance(v, (tuple, list)):
        return b"L" + struct.pack("<H", len(v)) + b"".join(pack_value(x) for x in v)
    if isinstance(v, bool):
        return b"b" + struct.pack("<B", v)
    if isinstance(v, int):
        return b"i" + struct.pack("<q", v)
    if isinstance(v, float):
        return b"f" + struct.pack("<d", v)
    if isinstance(v, complex):
        return b"c" + struct.pack("<dd", v.real, v.imag)
    if isinstance(v, torch.dtype):
        return b"d" + struct.pack("<B", dtype_number(v))
    raise TypeError("cannot store %r" % type(v))


def tensors_of(v):
    if isinstance(v, torch.Tensor):
        return [v]
    return [t for x in v for t in tensors_of(x)] if isinstance(v, (tuple, list)) else []


def weights(t, text):
    """The gradient fed to a result."""
    gen = Generator(text)
    values = [element(gen, "", str(t.dtype).split(".")[-1]) for _ in range(t.numel())]
    return torch.tensor(values, dtype=t.dtype).reshape(t.shape)


def gradients(row, case, dtype):
    """Gradients of the differentiable results' weighted sum, or None."""
    sample = Sample(row, case, dtype)
    if not sample.inputs or not row["differentiable"]:
        return []
    for t in sample.inputs:
        t.requires_grad_()
    result = evaluate(row, sample)
    outputs = [t for t in tensors_of(result) if t.requires_grad]
    if not outputs:
        return []
    fed = [weights(t, "%s|w%d" % (sample.seed, i)) for i, t in enumerate(outputs)]
    return list(torch.autograd.grad(outputs, sample.inputs, fed, allow_unused=True))


def record(row, case, dtype):
    result = evaluate(row, Sample(row, case, dtype))
    grads = []
    if dtype in ("float64", "complex128") and row["cname"] not in NO_GRADIENTS:
        try:
            grads = gradients(row, case, dtype)
        except Exception:
            grads = []
    return (pack_string(row["cname"]) + pack_string(case) + struct.pack("<B", DTYPES.index(dtype)) + pack_value(result)
            + struct.pack("<B", len(grads)) + b"".join(pack_value(g) for g in grads))


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build")
    pattern = sys.argv[2] if len(sys.argv) > 2 else ""
    files, count, refused = {}, 0, []
    for row in load_db(os.path.join(build, "gen", "op_db.lua")):
        if row["variants"] == ["internal"]:
            continue
        chunks = files.setdefault(row["source"].split(":")[0].replace(".lua", "").replace("/", "_"), [])
        for i, case in enumerate(row["cases"]):
            some = False
            left_out = INTS if row["name"].startswith("conv") else LEFT_OUT.get(row["cname"], set())
            more = [d for d in DTYPES if d not in MAIN and d not in left_out] if i == 0 and "(" in case else []
            for dtype in MAIN + more:
                try:
                    chunks.append(record(row, case, dtype))
                    count += 1
                    some = True
                except Exception as e:
                    error = e
            if not some and pattern in row["cname"]:
                refused.append("%s (%s): %s: %s" % (row["cname"], row["source"], case, str(error).split("\n")[0][:150]))
    os.makedirs(OUT, exist_ok=True)
    total = 0
    for name in os.listdir(OUT):
        if name.endswith(".bin") and name[:-4] not in files:
            os.remove(os.path.join(OUT, name))
    for name, chunks in files.items():
        if not chunks:
            continue
        data = b"LPG1" + b"".join(chunks)
        total += len(data)
        with open(os.path.join(OUT, name + ".bin"), "wb") as f:
            f.write(data)
    for line in refused:
        print("refused:", line)
    print(count, "records,", total, "bytes,", len(refused), "calls refused by PyTorch")


if __name__ == "__main__":
    main()
