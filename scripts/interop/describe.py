"""What a checkpoint holds, as lines of text that describe.lua writes alike: every value, tensors with their dtype, sizes,
strides, storage and bytes. Two files with the same lines hold the same, to the last bit. Where Lua has one type for two of
Python's, the two are written alike: list and tuple, str and bytes, dict and OrderedDict, set and a dict of truths."""
import collections
import struct
import zlib

import numpy
import torch


def text_of(x):
    data = x.encode("utf-8") if isinstance(x, str) else bytes(x)
    return "text " + (data.hex() if len(data) <= 64 else f"{len(data)} bytes {zlib.crc32(data):08x}")


def key_of(k):
    if k is None:
        return "none"
    if isinstance(k, bool):
        return "true" if k else "false"
    if isinstance(k, int):
        return f"int {k}"
    if isinstance(k, float):
        return "float " + struct.pack(">d", k).hex()
    return text_of(k)


def ints(x):
    return "(" + ",".join(str(int(i)) for i in x) + ")"


class Describer:
    def __init__(self):
        self.lines, self.storages, self.above, self.kept = [], {}, [], []

    def tensor(self, t):
        # Lua has no lazy conjugates and negatives: they are written out there, with strides of their own.
        lazy = t.is_conj() or t.is_neg()
        t = t.resolve_conj().resolve_neg()
        self.kept.append(t)  # storages are told apart by their address
        storage = t.untyped_storage()
        number = 0
        if storage.nbytes():
            number = self.storages.setdefault(storage._cdata, len(self.storages) + 1)
        data = t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""
        where = "written out" if lazy else f"strides {ints(t.stride())} at {t.storage_offset()} of storage {number} of {storage.nbytes()}"
        kind = "parameter" if isinstance(t, torch.nn.Parameter) else "tensor"
        grad = " grad" if t.requires_grad else ""
        return f"{kind}{grad} {t.dtype} {ints(t.shape)} {where}: {zlib.crc32(data):08x} {data[:32].hex()}"

    def add(self, at, x):
        add = self.lines.append
        if x is None:
            add(f"{at}: none")
        elif isinstance(x, (bool, numpy.bool_)):
            add(f"{at}: {'true' if x else 'false'}")
        elif isinstance(x, (int, numpy.integer)):
            x = int(x)
            add(f"{at}: " + (f"int {x}" if -2**63 <= x < 2**63 else key_of(float(x))))
        elif isinstance(x, (float, numpy.floating)):
            add(f"{at}: {key_of(float(x))}")
        elif isinstance(x, complex):
            add(f"{at}: complex {struct.pack('>dd', x.real, x.imag).hex()}")
        elif isinstance(x, (str, bytes, bytearray)):
            add(f"{at}: {text_of(x)}")
        elif isinstance(x, torch.Tensor):
            add(f"{at}: {self.tensor(x)}")
        elif isinstance(x, (torch.dtype, torch.device)):
            add(f"{at}: {x}")
        elif isinstance(x, numpy.ndarray):
            x = numpy.array(x, dtype=x.dtype.newbyteorder("="), order="K")
            self.kept.append(torch.from_numpy(x) if x.size else torch.empty(x.shape, dtype=torch.from_numpy(x).dtype))
            self.add(at, self.kept[-1])
        else:
            self.container(at, x)

    def container(self, at, x):
        add = self.lines.append
        if any(x is y for y in self.above):
            add(f"{at}: again")
            return
        self.above.append(x)
        if isinstance(x, (set, frozenset)):
            x = {k: True for k in sorted(x, key=key_of)}
        if not len(x):
            add(f"{at}: empty")
        elif isinstance(x, (list, tuple)):
            add(f"{at}: {len(x)} items")
            for i, item in enumerate(x):
                self.add(f"{at}[{i + 1}]", item)
        elif isinstance(x, dict):
            add(f"{at}: {len(x)} keys")
            for k, v in x.items():
                self.add(f"{at}.{{{key_of(k)}}}", v)
        else:
            add(f"{at}: object {type(x).__module__}.{type(x).__name__}")
        self.above.pop()


def describe(x):
    d = Describer()
    d.add("", x)
    return d.lines


def kinds(x, at=""):
    """The containers of a value, by Python's exact kinds; what describe() writes alike is told apart."""
    lines = []
    if isinstance(x, (list, tuple, set, frozenset, dict)):
        # torch.load(..., weights_only=True) knows no frozensets: Lampad writes sets.
        kind = next(k for k in (collections.OrderedDict, dict, torch.Size, tuple, list, (frozenset, set)) if isinstance(x, k))
        lines.append(f"{at}: {'set' if isinstance(kind, tuple) else kind.__name__}")
        if isinstance(x, (set, frozenset)):
            return lines
        for key, item in x.items() if isinstance(x, dict) else enumerate(x):
            if item is not x:
                lines += kinds(item, f"{at}.{key}")
    return lines


class Checks:
    """Counts comparisons of lines, prints what differs, ends with "N passed, N failed"."""

    def __init__(self):
        self.passed = self.failed = 0

    def result(self, name, faults):
        if faults:
            self.failed += 1
            print(f"failed: {name}")
            for fault in faults[:6]:
                print(f"    {fault[:400]}")
        else:
            self.passed += 1

    def same(self, name, want, got):
        faults = [f"expected {a}\n    got      {b}" for a, b in zip(want, got) if a != b]
        if len(want) != len(got):
            faults.append(f"expected {len(want)} lines, got {len(got)}")
        self.result(name, faults)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        raise SystemExit(self.failed > 0 or self.passed == 0)
