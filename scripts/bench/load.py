"""Times torch.load of one file in Lampad and in PyTorch, alternately, each in a process of its own that has warmed up with a small file.

  LAMPAD_BENCH_PYTHON=/path/to/python scripts/bench/load.py [--megabytes N] [--rounds N]      (run by any python3)

Writes checkpoints of N megabytes (tensors of 1 to 50 MB) and of 20,000 small tensors to a temporary folder, with PyTorch, and prints a
table: milliseconds (medians), the peak of resident memory and by how much the load raised it, with and without mmap. The files are in the page cache."""
import argparse
import os
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAMPAD = os.path.join(os.environ.get("LAMPAD_BUILD", os.path.join(ROOT, "build")), "lampad")
PYTHON = os.environ.get("LAMPAD_BENCH_PYTHON", "python3")

WRITE = """
import sys, torch
folder, megabytes = sys.argv[1], int(sys.argv[2])
sizes, left = [], megabytes
for size in [50, 20, 10, 5, 2, 1] * megabytes:
    if left >= size:
        sizes.append(size)
        left -= size
torch.save({f"layer{i}.weight": torch.randn(size * 250000) for i, size in enumerate(sizes)}, folder + "/large.pt")
torch.save({f"layer{i}.weight": torch.randn(64) for i in range(20000)}, folder + "/many.pt")
torch.save({"x": torch.zeros(1)}, folder + "/small.pt")
"""
READ_PYTHON = """
import sys, time, torch
folder, name, use_mmap = sys.argv[1], sys.argv[2], sys.argv[3] == "mmap"
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
torch.load(folder + "/small.pt", mmap=use_mmap)
before, start = peak(), time.perf_counter()
loaded = torch.load(folder + "/" + name, mmap=use_mmap)
print((time.perf_counter() - start) * 1e3, (peak() - before) / 1024, peak() / 1024)
"""
READ_LAMPAD = """
local core = require "lampad.core"
local folder, name, use_mmap = arg[1], arg[2], arg[3] == "mmap"
local function peak()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmHWM:%s*(%d+)"
    if kib then return tonumber(kib) end
  end
end
torch.load(folder .. "/small.pt", { mmap = use_mmap })
local before, start = peak(), core.now()
local loaded = torch.load(folder .. "/" .. name, { mmap = use_mmap })
print((core.now() - start) * 1e3, (peak() - before) / 1024, peak() / 1024)
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PYTHON, "-c", WRITE, folder, str(options.megabytes)], check=True)
        scripts = {"Lampad": [LAMPAD, folder + "/read.lua"], "PyTorch": [PYTHON, folder + "/read.py"]}
        for path, text in (("/read.lua", READ_LAMPAD), ("/read.py", READ_PYTHON)):
            with open(folder + path, "w") as file:
                file.write(text)
        print("| | Lampad | PyTorch | ratio | peak of the process, MiB | growth, MiB |\n|---|---|---|---|---|---|")
        for title, name, mode in ((f"{options.megabytes} MB", "large.pt", ""), (f"{options.megabytes} MB, mmap", "large.pt", "mmap"),
                                  ("20,000 tensors", "many.pt", ""), ("20,000 tensors, mmap", "many.pt", "mmap")):
            runs = {side: [] for side in scripts}
            for _ in range(options.rounds):
                for side, command in scripts.items():
                    output = subprocess.run([*command, folder, name, mode], check=True, capture_output=True, text=True).stdout
                    runs[side].append([float(word) for word in output.split()])
            (ours, our_growth, our_peak), (theirs, their_growth, their_peak) = ([statistics.median(column) for column in zip(*runs[side])]
                                                      for side in ("Lampad", "PyTorch"))
            print(f"| {title} | {ours:.4g} | {theirs:.4g} | {ours / theirs:.2f} | {our_peak:.0f} against {their_peak:.0f} "
                  f"| {our_growth:.0f} against {their_growth:.0f} |")


main()
