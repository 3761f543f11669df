"""Writes tests/golden/weights.txt: what PyTorch reads from the files of ../shared/data/weights. Run by hand:

  python3 scripts/gen/golden_weights.py

A line for each tensor: file, path within it, dtype, sizes, strides, CRC-32 of its elements in C order; for a file that
PyTorch refuses, the file alone. tests/lua/weights_spec.lua compares."""
import os
import sys
import zlib

import safetensors.torch
import torch

ROOT = os.path.join(os.path.dirname(__file__), "../..")
DATA = os.path.join(ROOT, "../shared/data/weights")
OUT = os.path.join(ROOT, "tests/golden/weights.txt")
ENDINGS = (".pt", ".pth", ".th", ".tar", ".safetensors")


def tensors(value, at, lines):
    if isinstance(value, torch.Tensor):
        data = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        sizes, strides = (",".join(map(str, x)) for x in (value.shape, value.stride()))
        lines.append(f"{at} {value.dtype} ({sizes}) ({strides}) {zlib.crc32(data):08x}")
    elif isinstance(value, dict):
        for key, item in value.items():
            tensors(item, f"{at}.{key}" if at else str(key), lines)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            tensors(item, f"{at}[{i + 1}]", lines)


with open(OUT, "w") as file:
    for folder, _, names in sorted(os.walk(DATA)):
        for name in sorted(names):
            if not name.endswith(ENDINGS):
                continue
            path = os.path.join(folder, name)
            lines = []
            try:
                # The tar format needs the full unpickler; these files name nothing but PyTorch's own functions.
                if name.endswith(".safetensors"):
                    value = dict(sorted(safetensors.torch.load_file(path).items()))
                else:
                    value = torch.load(path, map_location="cpu", weights_only=not name.endswith(".tar"))
                tensors(value, "", lines)
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
            for line in lines or [""]:
                file.write(f"{os.path.relpath(path, DATA)} {line}".rstrip() + "\n")
