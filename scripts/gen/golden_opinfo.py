#!/usr/bin/env python3
"""Writes what PyTorch's own op samples (its OpInfo database) give: calls, results, gradients.

Run by hand with PyTorch 2.x: python3 scripts/gen/golden_opinfo.py OUT.bin [--dtype float64] [--per-op N]
[--max-bytes B] [--only PATTERN] [--errors]
tests/opinfo/run.lua replays the calls. Each variant gives its first, its last and evenly spaced samples, N in all,
those whose record is larger than B left out. With --errors: the calls that must raise an error. The committed files:
  float64.bin --per-op 8 --max-bytes 8000, complex128.bin --dtype complex128 --per-op 3 --max-bytes 6000,
  errors.bin --errors --max-bytes 4000

A file is "LPO1" and records, little endian; strings are u16 length and bytes:
  record  str name, str variant, u8 dtype, u8 flags (1 method, 2 in place, 4 out, 8 must raise), value arguments,
          u8 count of named and str, value each; then value result, u8 count and that many values: gradients
  value   as in golden.py ('T' tensor, 'L' list, 'b' 'i' 'f' 'c' 'd' 'N'), and 'P' like 'L': a tuple; 's' str;
          'V' u8 wants gradient, u8 dtype, u8 ndim, i32 sizes..., i32 strides..., i32 offset, i32 count, raw elements;
          'S' three values: a slice; 'e' the ellipsis; 'm' str: a memory format or layout
"""
import argparse
import itertools
import struct
import sys
import warnings

import torch
from torch.testing._internal.common_methods_invocations import op_db

import golden

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

# Not there by design: sparse and jiterator ops, vendor kernels, names with a leading underscore.
SKIP = ("sparse.", "jiterator", "torch.", "_", "to_sparse", "bmm.triton")
KEEP = ("__getitem__",)


class Unfit(Exception):
    pass


def pack_view(t):
    flat = torch.as_strided(t.detach(), (span(t),), (1,), first(t)) if t.numel() else t.detach().reshape(-1)
    raw = flat.resolve_conj().resolve_neg().contiguous()
    raw = raw.view(torch.uint8).numpy().tobytes() if raw.numel() else b""
    head = struct.pack("<BBB", t.requires_grad, golden.dtype_number(t.dtype), t.dim())
    head += struct.pack("<%di" % (2 * t.dim() + 2), *t.shape, *t.stride(), 0, span(t))
    return b"V" + head + raw


def first(t):
    return t.storage_offset()


def span(t):
    if t.numel() == 0:
        return 0
    return 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride()))


def pack(v):
    if isinstance(v, torch.Tensor):
        if v.layout != torch.strided or v.is_quantized or v.device.type != "cpu":
            raise Unfit("layout")
        if str(v.dtype).split(".")[-1] not in golden.DTYPES:
            raise Unfit("dtype " + str(v.dtype))
        return pack_view(v)
    if isinstance(v, torch.Size) or isinstance(v, tuple):
        return b"P" + struct.pack("<H", len(v)) + b"".join(pack(x) for x in v)
    if isinstance(v, list):
        return b"L" + struct.pack("<H", len(v)) + b"".join(pack(x) for x in v)
    if isinstance(v, str):
        return b"s" + golden.pack_string(v)
    if isinstance(v, slice):
        return b"S" + pack(v.start) + pack(v.stop) + pack(v.step)
    if v is Ellipsis:
        return b"e"
    if isinstance(v, (torch.memory_format, torch.layout)):
        return b"m" + golden.pack_string(str(v).split(".")[-1])
    if isinstance(v, torch.device):
        return b"s" + golden.pack_string(str(v))
    if isinstance(v, type) and v in (int, float, bool, complex):
        return b"d" + struct.pack("<B", golden.dtype_number(
            {int: torch.int64, float: torch.float32, bool: torch.bool, complex: torch.complex64}[v]))
    if isinstance(v, torch.dtype) and str(v).split(".")[-1] not in golden.DTYPES:
        raise Unfit("dtype " + str(v))
    if hasattr(v, "item") and not isinstance(v, torch.Tensor):
        v = v.item()
    try:
        return golden.pack_value(v)
    except (TypeError, struct.error) as e:
        raise Unfit(str(e))


def pack_result(v):
    if isinstance(v, tuple) and not isinstance(v, torch.Size):
        return b"P" + struct.pack("<H", len(v)) + b"".join(pack_result(x) for x in v)
    if isinstance(v, (list, torch.Size)):
        return b"L" + struct.pack("<H", len(v)) + b"".join(pack_result(x) for x in v)
    if isinstance(v, torch.Tensor):
        if str(v.dtype).split(".")[-1] not in golden.DTYPES or v.layout != torch.strided:
            raise Unfit("result")
        return golden.pack_value(v)
    if isinstance(v, torch.dtype):
        return golden.pack_value(v)
    return pack(v)


def fresh(v, found, copies):
    """Leaves of their own, of the same strides; what requires gradients is added to found."""
    if isinstance(v, torch.Tensor):
        if id(v) in copies:
            return copies[id(v)]
        t = v.detach()
        if t.numel():
            t = torch.as_strided(torch.as_strided(t, (span(t),), (1,), first(t)).clone(), t.shape, t.stride(), 0)
        else:
            t = t.clone()
        if v.requires_grad:
            t.requires_grad_()
            found.append(t)
        copies[id(v)] = t
        return t
    if isinstance(v, tuple) and not isinstance(v, torch.Size):
        return tuple(fresh(x, found, copies) for x in v)
    if isinstance(v, list):
        return [fresh(x, found, copies) for x in v]
    if isinstance(v, dict):
        return {k: fresh(x, found, copies) for k, x in v.items()}
    return v


def record(op, sample, dtype, flags):
    inputs = []
    args, kwargs = fresh([(sample.input,) + tuple(sample.args), dict(sample.kwargs)], inputs, {})
    body = pack(args) + struct.pack("<B", len(kwargs))
    for k, v in kwargs.items():
        body += golden.pack_string(k) + pack(v)
    torch.manual_seed(42)
    result = op.op(*args, **kwargs)
    body += pack_result(result)
    grads = []
    outputs = [t for t in golden.tensors_of(result) if t.requires_grad]
    if outputs and inputs and (dtype.is_floating_point or dtype.is_complex):
        fed = [golden.weights(t, "opinfo|w%d" % i) for i, t in enumerate(outputs)]
        try:
            grads = list(torch.autograd.grad(outputs, inputs, fed, allow_unused=True))
        except RuntimeError:
            grads = []
    body += struct.pack("<B", len(grads)) + b"".join(golden.pack_value(g) for g in grads)
    return head(op, dtype, flags) + body


def head(op, dtype, flags):
    number = golden.DTYPES.index(str(dtype).split(".")[-1])
    return golden.pack_string(op.name) + golden.pack_string(op.variant_test_name) + struct.pack("<BB", number, flags)


def error_record(op, error_input, dtype):
    sample = error_input.sample_input
    args, kwargs = (sample.input,) + tuple(sample.args), sample.kwargs
    body = pack(tuple(args)) + struct.pack("<B", len(kwargs))
    for k, v in kwargs.items():
        body += golden.pack_string(k) + pack(v)
    return head(op, dtype, 8) + body + pack(str(error_input.error_regex)) + struct.pack("<B", 0)


def spaced(items, n):
    if n <= 0 or len(items) <= n:
        return items
    picked = sorted({round(i * (len(items) - 1) / (n - 1)) for i in range(n)}) if n > 1 else [0]
    return [items[i] for i in picked]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--per-op", type=int, default=0)
    parser.add_argument("--max-bytes", type=int, default=1 << 22)
    parser.add_argument("--only", default="")
    parser.add_argument("--errors", action="store_true")
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    chunks, variants, left = [], 0, {}
    for op in op_db:
        full = op.name + ("." + op.variant_test_name if op.variant_test_name else "")
        if (op.name.startswith(SKIP) and op.name not in KEEP) or options.only not in full:
            continue
        if options.errors:
            if op.error_inputs_func is None:
                continue
            for error_input in op.error_inputs("cpu"):
                try:
                    text = error_record(op, error_input, dtype)
                    if len(text) <= options.max_bytes:
                        chunks.append(text)
                except Unfit as e:
                    left[full] = str(e)
            continue
        if dtype not in op.dtypes:
            continue
        wants = dtype in op.get_supported_backward_dtypes("cpu") if hasattr(op, "get_supported_backward_dtypes") else \
            op.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
        flags = (1 if op.get_method() else 0) | (2 if op.get_inplace() else 0) | (4 if op.supports_out else 0)
        torch.manual_seed(7)
        try:
            samples = list(itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=bool(wants) and op.supports_autograd), 600))
        except Exception as e:
            left[full] = "samples: %s" % str(e).split("\n")[0]
            continue
        some = False
        for sample in spaced(samples, options.per_op):
            try:
                text = record(op, sample, dtype, flags)
            except Unfit as e:
                left[full] = str(e)
                continue
            except Exception as e:
                left[full] = "%s: %s" % (type(e).__name__, str(e).split("\n")[0][:100])
                continue
            if len(text) <= options.max_bytes:
                chunks.append(text)
                some = True
        variants += some
    data = b"LPO1" + b"".join(chunks)
    with open(options.out, "wb") as f:
        f.write(data)
    for name, why in left.items():
        print("left out of %s: %s" % (name, why))
    print("%d records of %d variants, %d bytes" % (len(chunks), variants, len(data)))


if __name__ == "__main__":
    main()
