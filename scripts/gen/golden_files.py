"""Writes tests/golden/files: safetensors and NumPy files made by the packages themselves.

Run by hand with a Python that has torch, numpy and safetensors:  python scripts/gen/golden_files.py
The elements of every array are 0, 1, 2, ... in row-major order (modulo 2 for booleans; i - 1j * i for
complex numbers), so that the specs need no further golden values.
"""
import os

import numpy as np
import safetensors.torch
import torch

FOLDER = os.path.join(os.path.dirname(__file__), "../../tests/golden/files")
SHAPES = [(), (0, 3), (5,), (2, 3), (2, 1, 3)]


def tensor(name, shape):
    x = torch.arange(int(np.prod(shape))).reshape(shape)
    if name == "bool":
        return x % 2 == 1
    return torch.complex(x.float(), -x.float()) if name == "complex64" else x.to(getattr(torch, name))


def array(code, shape, order):
    x = np.arange(int(np.prod(shape))).reshape(shape)
    if "b1" in code:
        x = x % 2
    if "c" in code:
        x = x - 1j * x
    return np.array(x, dtype=np.dtype(code), order=order)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    os.chdir(FOLDER)
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64".split()
    tensors = {f"{n}.{i}": tensor(n, s) for n in names for i, s in enumerate(SHAPES)}
    tensors['odd "name"\\\n \u00e9'] = torch.tensor([1.0, float("nan"), float("-inf"), -0.0])
    safetensors.torch.save_file(tensors, "plain.safetensors", metadata={"format": "pt"})
    foreign = {"f8": torch.ones(2).to(torch.float8_e4m3fn), "u16": torch.ones(3, dtype=torch.uint16),
               "good": torch.ones(2)}
    safetensors.torch.save_file(foreign, "foreign.safetensors")

    arrays = {}
    for code in "b1 i1 u1 i2 i4 i8 f2 f4 f8 c8 c16".split():
        for sign in "<>":
            for order in "CF":
                for i, shape in enumerate(SHAPES):
                    if sign == "<" or i == 3:
                        arrays[f"{sign}{code}.{order}.{i}"] = array(sign + code, shape, order)
    np.savez("stored.npz", **arrays)
    np.savez_compressed("deflated.npz", **arrays)
    np.save("plain.npy", array("<f4", (2, 3), "C"))
    np.save("fortran.npy", array("<f4", (2, 3), "F"))
    for major in (2, 3):
        with open(f"version{major}.npy", "wb") as file:
            np.lib.format.write_array(file, array("<f8", (5,), "C"), version=(major, 0))
    np.save("object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("uint32.npy", np.arange(3, dtype="u4"))
    np.save("text.npy", np.array(["a"]))
    np.save("record.npy", np.zeros(2, dtype=[("a", "<f4")]))


main()
