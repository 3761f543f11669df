"""Files that PyTorch, safetensors and NumPy write, and the check of those that Lampad wrote from them and of its own.
    files.py write FOLDER     before files.lua
    files.py check FOLDER     after it
Each X.pt, X.safetensors, X.npy, X.npz has its lines (describe.py) in X.EXT.txt; Lampad writes what it read again into
again/, and files of its own, with their lines, into own/."""
import collections
import glob
import os
import sys
import warnings

import numpy
import safetensors
import safetensors.torch
import torch
from torch import nn

from describe import Checks, describe, kinds

warnings.simplefilter("ignore")  # TorchScript is on its way out, its files stay
DTYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32,
          torch.float64, torch.complex64, torch.complex128, torch.bool]
RARE = [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz,
        torch.float8_e5m2fnuz]
NUMPY = ["|b1", "|u1", "|i1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8",
         ">c8", "<c16", ">c16"]


def bits(dtype, count, seed=1):
    """Elements of any bits, NaN with their payloads too; bools are 0 and 1."""
    random = numpy.random.RandomState(seed)
    data = torch.from_numpy(random.randint(0, 256, count * torch.empty(0, dtype=dtype).element_size(), dtype=numpy.uint8))
    return data.remainder(2).bool() if dtype == torch.bool else data.view(dtype)


def layouts(x):
    """A tensor of 120 elements in every layout, most of them over one storage."""
    whole = x.reshape(4, 5, 6)
    return {
        "whole": whole, "transposed": whole.transpose(0, 2), "part": whole[1:3, ::2, 1:5:3], "row": whole[2, 3],
        "number": whole[1, 2, 3], "alone": x[7].clone(), "expanded": whole[0, :1, :1].expand(3, 7), "empty": x[:0],
        "empty_2d": whole[:, :0], "middle": x[17:63], "end": x[119:], "strided": torch.as_strided(x, (5, 3), (7, 2), 11),
        "fortran": x.reshape(12, 10).t().contiguous().t(), "flat": x,
        "channels_last": x.reshape(1, 2, 6, 10).to(memory_format=torch.channels_last),
    }


def structures():
    shared, cycle, base = torch.arange(6.), [1], torch.arange(12.)
    cycle.append(cycle)
    return {
        "nested": {"a": [1, (2, [3, {"b": None, "c": (None, 4, None)}])], "d": {"e": {"f": {"g": [[[]]]}}}},
        "numbers": [0, -1, 255, 256, 65535, 65536, 2**31 - 1, -2**31, 2**31, 2**63 - 1, -2**63, 2**70, -2**80, 0.0, -0.0, 1.5,
                    float("inf"), -float("inf"), float("nan"), 5e-324, True, False, None, 1 + 2j, complex("nan")],
        "texts": ["", "a", "h\u00e9\u4e16\U0001f600", "x" * 300, b"", b"\x00\xff\x80", b"y" * 300, bytearray(b"abc")],
        "ordered": collections.OrderedDict([("z", 1), ("a", torch.ones(2)), ("m", [])]),
        "none": {None: 1, "a": None, "b": [None, None]}, "keys": {0: "a", -5: "b", 2**40: "c", "text": "d", True: "e", 1.5: "f"},
        "sets": [{"p", "q"}, frozenset(["q", 4]), set()], "cycle": cycle, "default": collections.defaultdict(list, {"k": [1]}),
        "counter": collections.Counter("aab"), "size": torch.Size([2, 3]), "no_size": torch.Size([]),
        "dtypes": DTYPES, "device": torch.device("cpu"), "parameter": nn.Parameter(torch.randn(3, 4)),
        "frozen": nn.Parameter(torch.ones(2), requires_grad=False), "leaf": torch.ones(2, requires_grad=True),
        "twice": [shared, shared, shared[2:], shared.view(2, 3)], "views": [base[1:], base.view(3, 4).t(), base[::3]],
        "conj": torch.tensor([1 + 2j, 3 - 1j]).conj(), "negative": torch.tensor([1 + 2j, 3 - 1j]).conj().imag,
        "parameters": nn.ParameterList([torch.ones(2), torch.zeros(3)]).state_dict(),
        "array": numpy.arange(6, dtype=numpy.float32).reshape(2, 3), "big": numpy.arange(3, dtype=">i4"),
        "fortran": numpy.asfortranarray(numpy.arange(6.).reshape(2, 3)), "scalar": numpy.float64(2.5),
        "arrays": [numpy.array(7), numpy.zeros((0, 3)), numpy.array([True, False]), numpy.arange(4, dtype=numpy.complex64)],
    }


def net():
    torch.manual_seed(3)
    return nn.Sequential(collections.OrderedDict(
        conv=nn.Conv2d(1, 4, 3), norm=nn.BatchNorm2d(4), act=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(2), flat=nn.Flatten(),
        head=nn.Sequential(nn.Linear(16, 8), nn.Dropout(0.1), nn.Linear(8, 3))))


def write(folder):
    def lines(path, value):
        with open(path + ".txt", "w") as file:
            file.write("\n".join(describe(value)) + "\n")

    def save(name, value, **options):
        path = os.path.join(folder, name + ".pt")
        torch.save(value, path, **options)
        lines(path, torch.load(path, weights_only=False))

    for dtype in DTYPES + RARE:
        name = str(dtype).split(".")[1]
        prefix = "rare_" if dtype in RARE else ""
        tensors = layouts(bits(dtype, 120))
        save(f"{prefix}dtype_{name}", tensors)
        if dtype not in RARE:
            save(f"legacy_{name}", tensors, _use_new_zipfile_serialization=False)
            save(f"ordered_{name}", collections.OrderedDict((k, nn.Parameter(v, v.is_floating_point()))
                                                            for k, v in layouts(bits(dtype, 120, 2)).items()))
    for name, value in structures().items():
        save(f"value_{name}", value)
        save(f"legacy_value_{name}", value, _use_new_zipfile_serialization=False)
    for protocol in (1, 2, 3, 4, 5):
        save(f"protocol_{protocol}", structures(), pickle_protocol=protocol)
    save("empty_dict", {})
    save("one_tensor", torch.arange(5))
    save("one_number", 3)
    save("long", {f"layer.{i}.weight": torch.full((i % 7,), float(i)) for i in range(3000)})
    save("large", {"w": torch.arange(3_000_000, dtype=torch.float32), "b": torch.arange(1_000_003, dtype=torch.int64)})

    # What Lampad reads as the weights within.
    model = net().eval()
    state = model.state_dict()
    for name, options in (("module", {}), ("module_legacy", {"_use_new_zipfile_serialization": False})):
        torch.save(model, os.path.join(folder, name + ".pt"), **options)
        lines(os.path.join(folder, name + ".pt"), {k: v for k, v in state.items()})
    torch.jit.save(torch.jit.script(model), os.path.join(folder, "script.pt"))
    lines(os.path.join(folder, "script.pt"), dict(torch.jit.load(os.path.join(folder, "script.pt")).state_dict()))
    torch.jit.save(torch.jit.trace(model, torch.ones(1, 1, 6, 6)), os.path.join(folder, "script_traced.pt"))
    lines(os.path.join(folder, "script_traced.pt"), dict(torch.jit.load(os.path.join(folder, "script_traced.pt")).state_dict()))

    for dtype in DTYPES:
        if dtype == torch.complex128:
            continue
        name = str(dtype).split(".")[1]
        tensors = {k: v.clone(memory_format=torch.contiguous_format) for k, v in layouts(bits(dtype, 120)).items()}
        path = os.path.join(folder, f"{name}.safetensors")
        safetensors.torch.save_file(tensors, path, metadata={"format": "h\u00e9"})
        with open(path + ".txt", "w") as file:
            for key in sorted(tensors):
                file.write("\n".join(describe({key: tensors[key]})) + "\n")

    for code in NUMPY:
        name = code.replace("<", "little_").replace(">", "big_").replace("|", "")
        raw = numpy.random.RandomState(4).randint(0, 256, 24 * numpy.dtype(code).itemsize, dtype=numpy.uint8)
        x = (raw % 2).astype("|b1") if code == "|b1" else raw.view(code)
        arrays = {"flat": x, "matrix": x.reshape(4, 6), "cube": x.reshape(2, 3, 4), "fortran": numpy.asfortranarray(x.reshape(4, 6)),
                  "number": x[3].reshape(()), "empty": x[:0].reshape(0, 3)}
        for key, array in arrays.items():
            path = os.path.join(folder, f"{name}_{key}.npy")
            numpy.save(path, array)
            lines(path, numpy.load(path))
        for store, kind in ((numpy.savez, "stored"), (numpy.savez_compressed, "packed")):
            path = os.path.join(folder, f"{name}_{kind}.npz")
            store(path, x, **arrays)
            with numpy.load(path) as loaded, open(path + ".txt", "w") as file:
                for key in sorted(loaded.files):
                    file.write("\n".join(describe({key: loaded[key]})) + "\n")


def read(path):
    if path.endswith(".pt"):
        return describe(torch.load(path, weights_only=True))
    if path.endswith(".npy"):
        return describe(numpy.load(path))
    lines = []
    if path.endswith(".npz"):
        with numpy.load(path) as loaded:
            for key in sorted(loaded.files):
                lines += describe({key: loaded[key]})
    else:
        tensors = safetensors.torch.load_file(path)
        for key in sorted(tensors):
            lines += describe({key: tensors[key].clone()})
    return lines




def check(folder):
    checks = Checks()
    for sub in ("again", "own"):
        paths = [p for p in sorted(glob.glob(os.path.join(folder, sub, "*"))) if not p.endswith(".txt")]
        for path in paths:
            want_path = path if sub == "own" else os.path.join(folder, os.path.basename(path))
            want = open(want_path + ".txt").read().splitlines()
            try:
                got = read(path)
            except Exception as error:
                checks.result(f"{sub}/{os.path.basename(path)}", [f"{type(error).__name__}: {error}"])
                continue
            for i, line in enumerate(want):
                if " written out: " in line and i < len(got):
                    head, tail = got[i].split(" strides ")[0], got[i].split(": ")[-1]
                    got[i] = f"{head} written out: {tail}"
            checks.same(f"{sub}/{os.path.basename(path)}", want, got)
            if sub == "again" and os.path.basename(path).startswith(("value_", "protocol_")):
                original = os.path.join(folder, os.path.basename(path))
                checks.same(f"kinds of {os.path.basename(path)}", kinds(torch.load(original, weights_only=False)),
                            kinds(torch.load(path, weights_only=True)))
    # The bytes too are those of the other library.
    for path in sorted(glob.glob(os.path.join(folder, "again", "*.safetensors")) + glob.glob(os.path.join(folder, "again", "*.npy"))):
        original = os.path.join(folder, os.path.basename(path))
        if "big_" in path:
            continue  # written in the machine's order
        same = open(path, "rb").read() == open(original, "rb").read()
        checks.result(f"bytes of {os.path.basename(path)}", [] if same else ["other bytes than the original's"])
    checks.end()


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](sys.argv[2])
