"""Measures steps of optimizers in Lampad and PyTorch, in turn, and writes the table into docs/performance.md.

  LAMPAD_BENCH_PYTHON=/path/to/python python3 scripts/bench/optim.py [--no-write] [--threads N] [--rounds N] [PATTERN]

Two sets of parameters: an MLP (784-512-512-10) and those of ResNet-18 (11.7 million in 62 tensors), float32. PyTorch's
figure is the better one of foreach=True and fused=True (where it has that). optim.lua is the twin in Lua.
"""
import argparse
import datetime
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LAMPAD = os.path.join(ROOT, os.environ.get("LAMPAD_BUILD", "build"), "lampad")
PYTHON = os.environ.get("LAMPAD_BENCH_PYTHON", "python3")
PAGE = os.path.join(ROOT, "docs", "performance.md")
MARKS = "<!-- optim: begin -->", "<!-- optim: end -->"
MODELS = {"mlp": "MLP, 0.67 million in 6 tensors", "resnet": "ResNet-18, 11.7 million in 62 tensors"}


def worker(model, pattern):
    import torch
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    shapes = [[int(n) for n in line.split()] for line in open(os.path.join(HERE, f"optim_{model}.txt")) if line.strip()]

    def parameters(only_matrices):
        result = []
        for shape in shapes:
            if not only_matrices or len(shape) == 2:
                p = (torch.randn(shape) * 0.05).requires_grad_()
                p.grad = torch.randn(shape) * 0.01
                result.append(p)
        return result

    # With one thread the processor's time counts: busy neighbours do not change it.
    clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
    cases = [
        ("SGD", dict(lr=1e-3)), ("SGD momentum", dict(lr=1e-3, momentum=0.9, weight_decay=1e-4)), ("Adam", {}),
        ("Adam amsgrad", dict(amsgrad=True)), ("AdamW", {}), ("Adadelta", {}), ("Adagrad", {}), ("Adamax", {}),
        ("ASGD", {}), ("NAdam", {}), ("RAdam", {}), ("RMSprop", {}),
        ("RMSprop centered", dict(centered=True, momentum=0.9)), ("Rprop", {}), ("Adafactor", {}), ("Muon", {}),
        ("clip_grad_norm_", {}), ("clip_grad_value_", {}), ("zero_grad", {})]
    for name, options in cases:
        if pattern not in name:
            continue
        best = None
        cls = getattr(torch.optim, name.split()[0], None)
        variants = [dict(foreach=True), dict(fused=True)]
        if cls is None:
            variants = [dict(foreach=True), dict(foreach=False)]
        elif name == "Muon":
            variants = [{}]
        elif name.split()[0] not in ("SGD", "Adam", "AdamW", "Adagrad"):
            variants = variants[:1]
        for variant in variants:
            params = parameters(name == "Muon")
            if not params:
                continue
            if name == "clip_grad_norm_":
                fn = lambda: torch.nn.utils.clip_grad_norm_(params, 1e9, **variant)
            elif name == "clip_grad_value_":
                fn = lambda: torch.nn.utils.clip_grad_value_(params, 1e9, **variant)
            elif name == "zero_grad":
                optimizer = torch.optim.SGD(params, lr=0.1, **variant)
                fn = lambda: optimizer.zero_grad(set_to_none=False)
            else:
                optimizer = cls(params, **options, **variant)
                fn = optimizer.step
            for _ in range(3):
                fn()
            times, start = [], time.perf_counter()
            while time.perf_counter() - start < 0.4 or len(times) < 7:
                before = clock()
                fn()
                times.append(clock() - before)
            value = statistics.median(times) * 1e6
            best = value if best is None else min(best, value)
        if best is not None:
            print(f"{name}\t{best:.2f}", flush=True)


def run(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    output = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, check=True).stdout
    return {line.split("\t")[0]: float(line.split("\t")[1]) for line in output.splitlines() if "\t" in line}


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def write(lines):
    page = open(PAGE).read()
    before, rest = page.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    with open(PAGE, "w") as f:
        f.write(before + MARKS[0] + "\n\n" + "\n".join(lines) + "\n\n" + MARKS[1] + after)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--worker")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    o = parser.parse_args()
    if o.worker:
        return worker(o.worker, o.pattern)
    ours, theirs = {}, {}
    for model in MODELS:
        for _ in range(o.rounds):
            for results, command in ((ours, [LAMPAD, "scripts/bench/optim.lua", model, o.pattern]),
                                     (theirs, [PYTHON, "scripts/bench/optim.py", "--worker", model, o.pattern])):
                for name, value in run(command, o.threads).items():
                    results.setdefault((model, name), []).append(value)
    version = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__)"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True).stdout.strip()
    names = list(dict.fromkeys(name for _, name in ours))
    lines = [f"{datetime.date.today()}, {processor()}, {o.threads} thread{'' if o.threads == 1 else 's'}, PyTorch {version}. "
             f"Microseconds{' of processor time' if o.threads == 1 else ''} a step of Lampad / of PyTorch = ratio.", "",
             "| | " + " | ".join(MODELS.values()) + " |", "|---|---|---|"]
    for name in names:
        cells = []
        for model in MODELS:
            a, b = ours.get((model, name)), theirs.get((model, name))
            if a and b:
                a, b = min(a), min(b)  # busy neighbours only add
                cells.append(f"{a:.4g} / {b:.4g} = {a / b:.2f}")
            else:
                cells.append("")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    print("\n".join(lines))
    if not o.no_write and not o.pattern:
        write(lines)


if __name__ == "__main__":
    sys.exit(main())
