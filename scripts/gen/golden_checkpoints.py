"""Writes tests/golden/checkpoints: small files of every format that PyTorch's torch.save and torch.jit.save write.
Run by hand: python scripts/gen/golden_checkpoints.py. What they hold is checked by tests/lua/serialization_spec.lua."""
import collections
import os
import zipfile

import numpy
import torch
from torch import nn

folder = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden", "checkpoints")
os.makedirs(folder, exist_ok=True)


def path(name):
    return os.path.join(folder, name)


dtypes = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32,
          torch.float64, torch.complex64, torch.complex128, torch.bool]
tensors = {}
for dtype in dtypes:
    x = torch.arange(-3, 9).reshape(3, 4)
    x = (x % 2 == 0) if dtype == torch.bool else x.abs().to(dtype) if dtype == torch.uint8 else x.to(dtype)
    tensors[str(dtype)[6:]] = {"whole": x, "transposed": x.t(), "part": x[1:, ::2], "empty": x[:0], "number": x[1, 2],
                               "expanded": x[0, :1].expand(2, 1)}
torch.save(tensors, path("dtypes.pt"))
torch.save(tensors, path("dtypes_legacy.pt"), _use_new_zipfile_serialization=False)
with zipfile.ZipFile(path("dtypes.pt")) as source, \
        zipfile.ZipFile(path("dtypes_deflated.pt"), "w", zipfile.ZIP_DEFLATED) as packed:
    for info in source.infolist():
        packed.writestr(zipfile.ZipInfo(info.filename), source.read(info.filename), zipfile.ZIP_DEFLATED)

base = torch.arange(12.)
cycle = [1]
cycle.append(cycle)
shared = [7]
values = {
    "base": base, "view": base[3:9].view(2, 3), "parameter": nn.Parameter(base[:4].clone()),
    "frozen": nn.Parameter(torch.ones(2), requires_grad=False), "leaf": torch.ones(2, requires_grad=True),
    "conj": torch.tensor([1 + 2j, 3 - 1j]).conj(), "neg": torch.tensor([1 + 2j, 3 - 1j]).conj().imag,
    "ordered": collections.OrderedDict([("z", 1), ("a", 2), ("m", [1, 2, (3, None, "x")])]),
    "set": {1, 2, "q"}, "frozenset": frozenset([4]), "none": None, "big": 2 ** 70, "low": -2 ** 63, "minus": -1,
    "long": 2 ** 40, "bytes": b"\x00\xff\x80abc", "text": "h\u00e9\u4e16\U0001f600", "half": 1.5, "inf": float("inf"),
    "yes": True, "complex": 1 + 2j, "dtype": torch.float16, "device": torch.device("cpu"), "size": torch.Size([2, 3]),
    "tuple": (1, 2), "empty": {}, "default": collections.defaultdict(list, {"k": [1]}),
    "counter": collections.Counter("aab"), "array": numpy.arange(6, dtype=numpy.float32).reshape(2, 3),
    "fortran": numpy.asfortranarray(numpy.arange(6.).reshape(2, 3)), "big_endian": numpy.arange(3, dtype=">i4"),
    "number": numpy.float64(2.5), "integer": numpy.int64(7), "truth": numpy.bool_(True),
    "unsigned": numpy.arange(3, dtype=numpy.uint32), "keys": {0: "a", 5: "b", -1: "c"}, "cycle": cycle,
    "first": shared, "second": shared, "storage": base.storage(),
}
for protocol in (1, 2, 3, 4, 5):
    torch.save(values, path(f"values_{protocol}.pt"), pickle_protocol=protocol)
torch.save(values, path("values_legacy.pt"), _use_new_zipfile_serialization=False)

# What Python's dicts can hold and Lua's tables cannot, and sequences that look like other ones in Lua.
keys = {None: 1, 1.5: 2, True: 3, (1, "a"): 4, "none": None, 2: [None], 7: [], 8: (), 9: (1, 2), 10: {1, 2},
        11: [None, None, 3], 12: (None, 1e-3), float("nan"): 5, 1 + 2j: 6, torch.float32: 7, (): 8, (None, (1,)): 9, 13: set(),
        14: collections.OrderedDict([(None, 1), ("x", None), ("y", 2)]), torch.Size([2, 3]): 10}
torch.save(keys, path("keys.pt"))

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Linear(2, 2)))
torch.save(net, path("module.pt"))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for p in net.parameters():
    p.grad = torch.ones_like(p)
optimizer.step()
torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path("training.pt"))
script = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
torch.jit.save(torch.jit.script(script), path("script.pt"))
torch.jit.save(torch.jit.freeze(torch.jit.script(script)), path("script_frozen.pt"))
torch.save(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), path("quantized.pt"))
limited = {}
for dtype in [torch.uint16, torch.uint32, torch.uint64]:
    x = torch.tensor([[1, 2, 3], [torch.iinfo(dtype).max, 0, 7]], dtype=dtype)
    limited[str(dtype)[6:]] = {"x": x, "turned": x.t(), "parameter": nn.Parameter(x.clone(), requires_grad=False)}
# All 256 patterns, what they are as float32, and what float32 numbers beside and between them become.
for dtype in [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]:
    x = torch.arange(256, dtype=torch.int32).to(torch.uint8).view(dtype)
    wide = x.float().nan_to_num(1e30, 1e30, -1e30)
    given = torch.cat([wide * f for f in (1, 1.03125, 1.0625, 1.125, 1.25)] + [torch.tensor([float("inf"), -float("inf")])])
    limited[str(dtype)[6:]] = {"x": x.view(16, 16), "float": x.float(), "given": given, "rounded": given.to(dtype),
                               "parameter": nn.Parameter(x[:4].clone())}
torch.save(limited, path("limited.pt"))
