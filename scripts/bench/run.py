"""Measures Lampad and PyTorch side by side, alternately, on the same machine with the same threads.

  scripts/bench/run.sh [--quick] [--threads N] [--no-write] [--ops [PATTERN] | --steps [PATTERN] | --zoo [PATTERN]]

Start-up time, cost of one small op, a whole epoch of training, peak memory; medians of several runs. With --ops
instead: the time of single ops on tensors of three sizes; with --steps: of training steps of small nets; with --zoo: of networks of vision.models (the Python needs torchvision). The tables go between the marks in docs/performance.md. LAMPAD_BENCH_PYTHON names the Python that has PyTorch (default
python3); without PyTorch only Lampad is measured and nothing is written.
"""
import argparse
import datetime
import os
import re
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAMPAD = os.path.join(ROOT, os.environ.get("LAMPAD_BUILD", "build"), "lampad")
PYTHON = os.environ.get("LAMPAD_BENCH_PYTHON", "python3")
PAGE = os.path.join(ROOT, "docs", "performance.md")
MARKS = "<!-- measured: begin -->", "<!-- measured: end -->"
OPS_MARKS = "<!-- ops: begin -->", "<!-- ops: end -->"
STEPS_MARKS = "<!-- steps: begin -->", "<!-- steps: end -->"
ZOO_MARKS = "<!-- zoo: begin -->", "<!-- zoo: end -->"
SIZES = {"1e3 elements": 1000, "1e6 elements": 1000000, "1e8 bytes": 25000000}


class Run:
    """One finished process: wall seconds, output, peak resident bytes."""

    def __init__(self, command, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment)
        self.output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - start
        self.peak_bytes = usage.ru_maxrss * 1024
        process.returncode = status
        if status != 0:
            sys.exit(f"error: {' '.join(command)} ended with status {status}\n{self.output}")

    def number(self, pattern):
        found = re.search(pattern, self.output)
        if not found:
            sys.exit(f"error: no '{pattern}' in the output:\n{self.output}")
        return float(found.group(1))


def alternate(commands, rounds, threads):
    """Runs the commands in turn, `rounds` times; a list of Runs for each."""
    results = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            results[name].append(Run(command, threads))
    return results


def median(runs, value):
    return statistics.median(value(run) for run in runs)


def processor():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*:\s*(.*)", file.read())
    return found.group(1) if found else "unknown processor"


def write_table(marks, lines):
    with open(PAGE) as file:
        text = file.read()
    before, rest = text.split(marks[0], 1)
    after = rest.split(marks[1], 1)[1]
    with open(PAGE, "w") as file:
        file.write(before + "\n".join([marks[0], "", *lines, "", marks[1]]) + after)
    print(f"written to {os.path.relpath(PAGE, ROOT)}")


def conditions(threads, version):
    today = datetime.date.today().isoformat()
    return f"{today}, {processor()}, {threads} threads, PyTorch {version}."


def measure_named(script, arguments, rounds, threads):
    """Times by name of both sides of a script that prints "name<TAB>time" lines: medians over alternating processes."""
    runs = alternate({"Lampad": [LAMPAD, f"scripts/bench/{script}.lua", *arguments],
                      "PyTorch": [PYTHON, f"scripts/bench/{script}.py", *arguments]}, rounds, threads)
    times = {side: [dict(line.split("\t") for line in run.output.strip().split("\n")) for run in list_of]
             for side, list_of in runs.items()}
    return {name: [statistics.median(float(run[name]) for run in times[side]) for side in ("Lampad", "PyTorch")]
            for name in times["Lampad"][0]}


def measure_nets(script):
    """A function that gives the lines of a table of the script's nets."""
    def measure(threads, version, rounds, pattern):
        lines = [conditions(threads, version) + " Milliseconds.", "", "| | Lampad | PyTorch | ratio |", "|---|---|---|---|"]
        for name, (ours, theirs) in measure_named(script, [pattern], rounds, threads).items():
            lines.append(f"| {name} | {ours:.4g} | {theirs:.4g} | {ours / theirs:.2f} |")
        return lines
    return measure


def measure_ops(threads, version, rounds, pattern):
    """The lines of a table: each op's times and ratio for each size; medians over alternating processes."""
    cells, ratios = {}, {}
    for size, n in SIZES.items():
        for op, (ours, theirs) in measure_named("ops", [str(n), pattern], rounds, threads).items():
            ratios.setdefault(op, []).append(ours / theirs)
            cells.setdefault(op, []).append(f"{ours:.4g} / {theirs:.4g} = {ours / theirs:.2f}")
    lines = [conditions(threads, version) + " Microseconds of Lampad / of PyTorch = ratio.", "",
             "| | " + " | ".join(SIZES) + " |", "|---|" + "---|" * len(SIZES)]
    lines += [f"| {op} | " + " | ".join(list_of) + " |" for op, list_of in cells.items()]
    every = [r for list_of in ratios.values() for r in list_of]
    lines += ["", f"Median ratio {statistics.median(every):.2f}; {sum(r > 1.2 for r in every)} of {len(every)} above 1.2."]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and a tenth of the training data")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    parser.add_argument("--ops", nargs="?", const="", metavar="PATTERN", help="single ops whose name contains PATTERN")
    parser.add_argument("--steps", nargs="?", const="", metavar="PATTERN", help="training steps of nets whose name contains PATTERN")
    parser.add_argument("--zoo", nargs="?", const="", metavar="PATTERN", help="networks of vision.models whose name contains PATTERN")
    options = parser.parse_args()
    threads = options.threads

    probe = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    version = probe.stdout.strip() if probe.returncode == 0 else None
    if not version:
        print(f"{PYTHON} has no PyTorch: measuring Lampad alone (set LAMPAD_BENCH_PYTHON)")

    for measure_table, pattern, marks in ((measure_ops, options.ops, OPS_MARKS),
                                          (measure_nets("steps"), options.steps, STEPS_MARKS),
                                          (measure_nets("zoo"), options.zoo, ZOO_MARKS)):
        if pattern is None:
            continue
        if not version:
            sys.exit("error: --ops, --steps and --zoo compare with PyTorch")
        lines = measure_table(threads, version, 1 if options.quick else 3, pattern)
        print("\n".join(lines))
        if not (options.no_write or options.quick or pattern):
            write_table(marks, lines)
        return

    def pair(lampad_arguments, python_arguments):
        commands = {"Lampad": [LAMPAD, *lampad_arguments]}
        if version:
            commands["PyTorch"] = [PYTHON, *python_arguments]
        return commands

    rows = []

    def row(what, unit, digits, values):
        line = [what] + [f"{values[name]:.{digits}f} {unit}" if name in values else "" for name in ("Lampad", "PyTorch")]
        line.append(f"{values['Lampad'] / values['PyTorch']:.2f}" if "PyTorch" in values else "")
        rows.append(line)
        print("  ".join(line), flush=True)

    def measure(what, unit, digits, runs, value):
        row(what, unit, digits, {name: median(list_of, value) for name, list_of in runs.items()})

    rounds = 3 if options.quick else 9
    runs = alternate(pair(["-e", ""], ["-c", "import torch"]), rounds, threads)
    measure("start (`-e ''`; `import torch`)", "ms", 1, runs, lambda run: run.seconds * 1e3)
    runs = alternate(pair(["-e", "torch.ones(1)"], ["-c", "import torch; torch.ones(1)"]), rounds, threads)
    measure("start and first tensor", "ms", 1, runs, lambda run: run.seconds * 1e3)
    measure("peak memory of that", "MiB", 0, runs, lambda run: run.peak_bytes / 2**20)

    runs = alternate(pair(["scripts/bench/overhead.lua"], ["scripts/bench/overhead.py"]), 3, 1)
    measure("`a + b`, one element", "µs", 3, runs, lambda run: run.number(r"plain ([\d.]+)"))
    measure("`a + b`, one element, recording gradients", "µs", 3, runs, lambda run: run.number(r"grad ([\d.]+)"))

    training = ["--epochs", "1", "--threads", str(threads)]
    if options.quick:
        training += ["--limit-train", "6000"]
    runs = alternate(pair(["scripts/train_fashion_mnist.lua", "--no-pictures", *training],
                          ["scripts/bench/train_fashion_mnist.py", *training]), 1 if options.quick else 3, threads)
    measure("training epoch, Fashion-MNIST CNN", "s", 2, runs, lambda run: run.number(r"epoch 1: ([\d.]+) s"))
    measure("the whole script, test included", "s", 2, runs, lambda run: run.seconds)
    measure("peak memory of the script", "MiB", 0, runs, lambda run: run.peak_bytes / 2**20)
    measure("test accuracy after it", "", 4, runs, lambda run: run.number(r"test accuracy: ([\d.]+)"))

    if not version or options.no_write or options.quick:
        return
    write_table(MARKS, [conditions(threads, version), "", "| | Lampad | PyTorch | ratio |", "|---|---|---|---|",
                        *["| " + " | ".join(cell.strip() for cell in line) + " |" for line in rows]])



main()
