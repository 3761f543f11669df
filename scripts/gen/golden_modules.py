#!/usr/bin/env python3
"""Writes what PyTorch's own module samples (its ModuleInfo database) give, and samples of the modules it lacks.

Run by hand with PyTorch 2.x: python3 scripts/gen/golden_modules.py OUT.bin [--only PATTERN] [--per-module N]
[--max-bytes B] [--part main|recurrent]
tests/modules/run.lua replays the samples. A sample makes the module, looks at its initial values, fills parameters
and buffers from a small generator (tests/ops/samples.lua has it too), runs forward and differentiates a weighted sum of
the results. The committed files: modules.bin --per-module 32 --max-bytes 26000, recurrent.bin --part recurrent
--per-module 16 --max-bytes 16000.

A file is "LPM1" and records, little endian; strings are u16 length and bytes:
  record   str name, str what, u8 flags (1 training, 2 without gradients, 4 must raise in the constructor, 8 must
           raise in forward), arguments of the constructor, arguments of forward; then with 4 or 8: str message; else
           u8 count and for each tensor of state_dict() after torch.manual_seed(0): str key, u8 is there (0: not
           initialised), u8 ndim, u32 sizes..., f64 sum, u8 count, f64 first values...; str text; value results;
           str text after forward, empty when it is the same; u8 count and values: gradients of the inputs; u8 count, str key and value: gradients
           of the parameters; u8 count, str key and value: buffers
  arguments  value (a 'P'), u8 count of named and str, value each
  value    as in golden_opinfo.py, and 'W' like 'V': doubles stored as floats; 'D' a digest of a large tensor: u8 dtype,
           u8 ndim, u32 sizes..., f64 sum, f64 sum of magnitudes, u32 step, u16 count, f32 every step-th element; 'F' str: a function of torch; 'M' str name, arguments: a module;
           'R' u16: the tensor of that number among those of the call; 'Q': a packed sequence: value data, value batch_sizes, value sorted, value unsorted
"""
import argparse
import dataclasses
import re
import struct
import sys
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

import golden
import golden_modules_more
import golden_opinfo
from golden_opinfo import Unfit, spaced

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

RECURRENT = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
FUNCTIONS = {F.relu: "nn.functional.relu", F.gelu: "nn.functional.gelu", torch.tanh: "tanh", torch.sigmoid: "sigmoid",
             F.silu: "nn.functional.silu", torch.relu: "relu", F.pairwise_distance: "nn.functional.pairwise_distance"}
FEW = {"CTCLoss": 12, "TransformerEncoder": 20, "Transformer": 20, "MultiheadAttention": 28}  # samples of much data
TRAIN, NO_GRAD, BAD_MAKE, BAD_CALL = 1, 2, 4, 8

# Modules that stand as arguments remember how they were made.
made_with = {}


def remember(cls):
    make = cls.__init__

    def init(self, *args, **kwargs):
        made_with.setdefault(id(self), (self, cls.__name__, args, kwargs))
        make(self, *args, **kwargs)
    cls.__init__ = init


for _cls in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.LayerNorm, nn.ReLU, nn.GELU, nn.Tanh, nn.Linear,
             nn.TransformerEncoder, nn.TransformerDecoder, nn.Conv2d):
    remember(_cls)

opinfo_pack = golden_opinfo.pack
LARGE = 96  # elements: larger results are stored as a digest


def rounded(v, copies):
    """The samples' doubles as floats: they take half the room."""
    if isinstance(v, torch.Tensor):
        if v.dtype != torch.float64:
            return v
        if id(v) not in copies:
            copies[id(v)] = v.detach().clone()
            with torch.no_grad():
                flat = torch.as_strided(copies[id(v)], (golden_opinfo.span(v),), (1,)) if v.numel() else copies[id(v)]
                flat.copy_(flat.float().double())
            copies[id(v)].requires_grad_(v.requires_grad)
        return copies[id(v)]
    if isinstance(v, tuple) and type(v) is tuple:
        return tuple(rounded(x, copies) for x in v)
    if isinstance(v, list):
        return [rounded(x, copies) for x in v]
    if isinstance(v, dict):
        return {k: rounded(x, copies) for k, x in v.items()}
    return v


def pack_tensor(t, large, count):
    """A result: whole, or its sizes, its sum and elements spread over it."""
    if t.numel() <= large or not t.is_floating_point():
        return golden.pack_value(t)
    flat = t.detach().reshape(-1)
    step = max(1, t.numel() // count) | 1
    picked = flat[::step].double().tolist()
    head = b"D" + struct.pack("<BB%dI" % t.dim(), golden.dtype_number(t.dtype), t.dim(), *t.shape)
    return head + struct.pack("<ddIH", flat.double().sum(), flat.double().abs().sum(), step, len(picked)) \
        + struct.pack("<%df" % len(picked), *picked)


def pack_result(v, large=LARGE, count=40):
    if isinstance(v, (tuple, list)):
        return b"L" + struct.pack("<H", len(v)) + b"".join(pack_result(x, large, count) for x in v)
    if isinstance(v, torch.Tensor):
        return pack_tensor(v, large, count)
    return golden.pack_value(v)


def pack_input(t):
    text = opinfo_pack(t)
    if t.dtype != torch.float64:
        return text
    raw = struct.unpack("<%dd" % golden_opinfo.span(t), text[len(text) - 8 * golden_opinfo.span(t):])
    return b"W" + text[1:len(text) - 8 * len(raw)] + struct.pack("<%df" % len(raw), *raw)


packed = {}  # the tensors of the call that is being packed, by identity: their number


def pack(v):
    if isinstance(v, torch.Tensor):
        if id(v) in packed:
            return b"R" + struct.pack("<H", packed[id(v)])
        text = pack_input(v)
        packed[id(v)] = len(packed)
        return text
    if isinstance(v, nn.utils.rnn.PackedSequence):
        return b"Q" + b"".join(pack(x) for x in v)
    if isinstance(v, nn.Module):
        if id(v) not in made_with:
            raise Unfit("module " + type(v).__name__)
        _, name, args, kwargs = made_with[id(v)]
        return b"M" + golden.pack_string(name) + pack_call(args, kwargs)
    if isinstance(v, nn.LinearCrossEntropyOptions):
        fields = {f.name: getattr(v, f.name) for f in dataclasses.fields(v) if getattr(v, f.name) != f.default}
        return b"M" + golden.pack_string("LinearCrossEntropyOptions") + pack_call((), fields)
    if callable(v) and not isinstance(v, (torch.dtype, type)):
        if v not in FUNCTIONS:
            raise Unfit("function %s" % v)
        return b"F" + golden.pack_string(FUNCTIONS[v])
    return opinfo_pack(v)


golden_opinfo.pack = pack  # lists and tuples call it


def pack_forward(args, kwargs):
    packed.clear()
    text = pack_call(args, kwargs)
    packed.clear()
    return text


def pack_call(args, kwargs):
    kwargs = {k: v for k, v in kwargs.items() if not (v is None and k in ("device", "dtype"))}
    text = pack(tuple(args)) + struct.pack("<B", len(kwargs))
    for k, v in kwargs.items():
        text += golden.pack_string(k) + pack(v)
    return text


def made_anew(v):
    """A module that is an argument, made again: its initial values follow the seed."""
    if not isinstance(v, nn.Module):
        return v
    _, _, args, kwargs = made_with[id(v)]
    return type(v)(*[made_anew(x) for x in args], **{k: made_anew(x) for k, x in kwargs.items()})


def fresh(v, found, copies):
    if isinstance(v, nn.utils.rnn.PackedSequence):
        return nn.utils.rnn.PackedSequence(*[fresh(x, found, copies) for x in v])
    return golden_opinfo.fresh(v, found, copies)


def fill(module):
    """The numbers of the parameters and buffers: from the generator, named by their key."""
    with torch.no_grad():
        for key, t in list(module.named_parameters()) + list(module.named_buffers()):
            if not t.is_floating_point() or nn.parameter.is_lazy(t):
                continue
            values = golden.weights(t.double(), "module|" + key) * 0.5
            if key.endswith("running_var"):
                values = values.abs() + 0.5
            t.copy_(values)


def initial(module):
    state = module.state_dict()
    text = struct.pack("<B", len(state))
    for key, t in state.items():
        text += golden.pack_string(key)
        if nn.parameter.is_lazy(t):
            text += struct.pack("<B", 0)
            continue
        flat = t.double().reshape(-1)
        first = flat[:3].tolist()
        text += struct.pack("<BB%dI" % t.dim(), 1, t.dim(), *t.shape) + struct.pack("<dB", flat.sum(), len(first))
        text += struct.pack("<%dd" % len(first), *first)
    return text


def flat(v):
    if isinstance(v, nn.utils.rnn.PackedSequence):
        return (v.data, v.batch_sizes, v.sorted_indices, v.unsorted_indices)
    if isinstance(v, tuple):
        return tuple(flat(x) for x in v)
    return v


def record(cls, args, kwargs, f_args, f_kwargs, what, flags):
    kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "dtype")} if "LinearCross" in cls.__name__ else kwargs
    copies = {}
    args, kwargs, f_args, f_kwargs = [rounded(v, copies) for v in (tuple(args), kwargs, tuple(f_args), f_kwargs)]
    head = golden.pack_string(cls.__name__) + golden.pack_string(what[:60]) + struct.pack("<B", flags)
    head += pack_forward(args, kwargs)
    inputs = []
    f_args, f_kwargs = fresh([tuple(f_args), dict(f_kwargs)], inputs, {})
    head += pack_forward(f_args, f_kwargs)
    torch.manual_seed(0)
    module = cls(*[made_anew(v) for v in args], **{k: made_anew(v) for k, v in kwargs.items()})
    before = repr(module)
    body = initial(module) + golden.pack_string(before)
    module.double().train(bool(flags & TRAIN))
    lazy = any(nn.parameter.is_lazy(p) for p in list(module.parameters()) + list(module.buffers()))
    if lazy:  # the values of the first call are those of the initialisation: fill, then call again
        with torch.no_grad():
            module(*fresh(f_args, [], {}), **fresh(f_kwargs, [], {}))
    fill(module)
    torch.manual_seed(42)
    if flags & NO_GRAD:
        with torch.no_grad():
            result = module(*f_args, **f_kwargs)
    else:
        result = module(*f_args, **f_kwargs)
    result = flat(result)
    after = repr(module)
    body += pack_result(result) + golden.pack_string("" if after == before else after)
    parameters = list(module.named_parameters())
    outputs = [t for t in golden.tensors_of(result) if t.requires_grad]
    grads = [None] * (len(inputs) + len(parameters))
    if outputs:
        fed = [golden.weights(t, "opinfo|w%d" % i) for i, t in enumerate(outputs)]
        grads = torch.autograd.grad(outputs, inputs + [p for _, p in parameters], fed, allow_unused=True)
    body += struct.pack("<B", len(inputs)) + b"".join(pack_result(g) for g in grads[:len(inputs)])
    body += struct.pack("<B", len(parameters))
    for (key, _), g in zip(parameters, grads[len(inputs):]):
        body += golden.pack_string(key) + pack_result(g, 12, 8)
    buffers = list(module.named_buffers())
    body += struct.pack("<B", len(buffers))
    for key, t in buffers:
        body += golden.pack_string(key) + pack_result(t)
    return head + body


def error_record(cls, sample, on, text):
    make, call = sample.constructor_input, sample.forward_input
    flags = BAD_MAKE if on == ModuleErrorEnum.CONSTRUCTION_ERROR else BAD_CALL
    head = golden.pack_string(cls.__name__) + golden.pack_string("error") + struct.pack("<B", flags)
    head += pack_forward(make.args, make.kwargs)
    head += pack_forward(call.args if call else (), call.kwargs if call else {})
    try:
        module = cls(*make.args, **make.kwargs)
        module(*call.args, **call.kwargs)
    except Exception as e:
        text = str(e)
    return head + golden.pack_string(text[:300])


class Report:
    def __init__(self, options):
        self.options, self.chunks, self.left, self.names, self.large = options, [], {}, {}, {}

    def add(self, name, make):
        try:
            text = make()
        except Unfit as e:
            self.left[name] = str(e)
            return
        except Exception as e:
            self.left[name] = "%s: %s" % (type(e).__name__, str(e).split("\n")[0][:150])
            return
        if len(text) > self.options.max_bytes:
            self.large[name] = self.large.get(name, 0) + 1
            return
        self.chunks.append(text)
        self.names[name] = self.names.get(name, 0) + 1


def from_database(report, options):
    for info in module_db:
        cls = info.module_cls
        if (cls.__name__ in RECURRENT) != (options.part == "recurrent") or not re.search(options.only, cls.__name__):
            continue
        for training in (True, False) if info.train_and_eval_differ else (True,):
            torch.manual_seed(7)
            samples = info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=training)
            for s in spaced(samples, FEW.get(cls.__name__, options.per_module)):
                make, call = s.constructor_input, s.forward_input
                report.add(cls.__name__, lambda: record(cls, make.args, make.kwargs, call.args, call.kwargs, s.desc,
                                                        TRAIN if training else 0))
        if info.module_error_inputs_func:
            torch.manual_seed(7)
            errors = info.module_error_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=False, training=False)
            for e in errors:
                report.add(cls.__name__, lambda: error_record(cls, e.module_error_input, e.error_on, str(e.error_regex)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--only", default="")
    parser.add_argument("--per-module", type=int, default=48)
    parser.add_argument("--max-bytes", type=int, default=14000)
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--part", default="main")
    options = parser.parse_args()
    report = Report(options)
    from_database(report, options)
    if options.part == "main":
        for cls, make, call, what, flags in golden_modules_more.samples():
            if re.search(options.only, cls.__name__):
                report.add(cls.__name__, lambda: record(cls, *make, *call, what, flags))
    data = b"LPM1" + b"".join(report.chunks)
    with open(options.out, "wb") as f:
        f.write(data)
    for name, why in report.left.items():
        print("left out of %s: %s" % (name, why))
    for name, n in report.large.items():
        print("%d samples of %s are too large" % (n, name))
    if options.sizes:
        sizes = {}
        for text in report.chunks:
            name = text[2:2 + text[0]].decode()
            sizes[name] = sizes.get(name, 0) + len(text)
        print(sorted(sizes.items(), key=lambda x: -x[1])[:40])
    print("%d records of %d modules, %d bytes" % (len(report.chunks), len(report.names), len(data)))


if __name__ == "__main__":
    sys.exit(main())
