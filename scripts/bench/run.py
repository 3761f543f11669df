"""Measures Lampad and PyTorch side by side, the processes taking turns, on the same machine with the same threads.

  LAMPAD_BENCH_PYTHON=/path/to/python scripts/dev bench [--all [PATTERN] | --ops [PATTERN] | --shapes [PATTERN]]
                                                        [--dtype NAME] [--quick] [--threads N] [--no-write]

--all, which is also what happens without it, runs the workloads of the list below (those whose name contains PATTERN) and
prints a table: medians, their spread, the ratio, the ratio aimed at, the peak memory of both processes. It takes 15 to 20
minutes on a quiet machine, --quick less than 5: one round, short samples, a tenth of the training data. --ops: the time of
single ops (ops.tsv) on tensors of three sizes; --shapes: of calls (shapes.tsv) on tensors of odd shapes, of float32 or of --dtype (bfloat16, int64, bool, ...), those that
both sides have. A whole table goes between its marks in docs/performance.md, which has one for processors with a tile unit
and one for those without.

A round is one process of each side, the order changing from round to round; a process gives the median of its samples. The
figure of a side is the median over the rounds, its spread their least and greatest; the ratio is the median of the rounds'
quotients, for the two processes of a round ran one after the other, on a machine in the same mood. The first round tries the
variants of PyTorch (channels_last; for bfloat16 autocast and model.bfloat16()); the fastest one stays and is named.

LAMPAD_BENCH_PYTHON names the Python that has PyTorch and torchvision (default python3); without PyTorch only Lampad is
measured and nothing is written. LAMPAD_BUILD names another build folder.
"""
import argparse
import datetime
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAMPAD = os.path.join(ROOT, os.environ.get("LAMPAD_BUILD", "build"), "lampad")
PYTHON = os.environ.get("LAMPAD_BENCH_PYTHON", "python3")
PAGE = os.path.join(ROOT, "docs", "performance.md")
ALL_MARKS = "<!-- measured: begin -->", "<!-- measured: end -->"  # on a processor with a tile unit (AMX)
PLAIN_MARKS = "<!-- measured, vectors: begin -->", "<!-- measured, vectors: end -->"  # without one
OPS_MARKS = "<!-- ops: begin -->", "<!-- ops: end -->"
SHAPES_MARKS = "<!-- shapes: begin -->", "<!-- shapes: end -->"
SIZES = {"1e3 elements": 1000, "1e6 elements": 1000000, "1e8 bytes": 25000000}


class Failed(Exception):
    """A process that ended with an error."""


class Run:
    """One finished process: wall seconds, output, peak resident bytes."""

    def __init__(self, command, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        with tempfile.TemporaryFile(mode="w+") as errors:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True,
                                       cwd=ROOT, env=environment)
            self.output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            self.seconds = time.perf_counter() - start
            self.peak_bytes = usage.ru_maxrss * 1024
            process.returncode = status
            if status != 0:
                errors.seek(0)
                raise Failed(f"{' '.join(command)} ended with status {status}\n{self.output}{errors.read()[-2000:]}")

    def number(self, pattern):
        found = re.search(pattern, self.output)
        if not found:
            raise Failed(f"no '{pattern}' in the output:\n{self.output}")
        return float(found.group(1))

    def named_seconds(self):
        """Seconds by name, of a script that prints "name<TAB>microseconds" lines."""
        return {name: float(us) / 1e6 for name, us in (line.split("\t") for line in self.output.strip().split("\n"))}


class Workload:
    """What is measured of both sides, and how often.

    lampad: arguments of the executable; pytorch: of the Python, by variant; seconds(run): times by name, of which the median
    of their ratios counts; aim: the ratio hoped for, or None; peak_aim: a row for the peak memory, with that aim."""

    def __init__(self, title, aim, lampad, pytorch, seconds, rounds, peak_aim=None):
        self.title, self.aim, self.rounds, self.peak_aim = title, aim, rounds, peak_aim
        self.lampad, self.pytorch, self.seconds = lampad, pytorch, seconds


def script(name, aim, row, variants=None, rounds=3, arguments=(), **budget):
    """A workload that is one row of the scripts NAME.lua and NAME.py."""
    options = [word for key, value in budget.items() for word in ("--" + key.replace("_", "-"), str(value))]
    command = [*arguments, "=" + row, *options]
    return Workload(row, aim, [f"scripts/bench/{name}.lua", *command],
                    {variant: [f"scripts/bench/{name}.py", *command, *flags] for variant, flags in (variants or {"": []}).items()},
                    Run.named_seconds, rounds)


def op_group(title, aim, group, size, rounds):
    """The ops of a group of ops.tsv on tensors of `size` float32 elements."""
    command = [str(size), "", group]
    return Workload(title, aim, ["scripts/bench/ops.lua", *command], {"": ["scripts/bench/ops.py", *command]},
                    Run.named_seconds, rounds)


def workloads(quick, threads):
    layouts = {"": [], "channels_last": ["--channels-last"]}
    bfloat16 = {"autocast": ["--autocast"], "autocast, channels_last": ["--autocast", "--channels-last"],
                "model": [], "model, channels_last": ["--channels-last"]}
    if quick:  # the one that has been the faster of them nearly everywhere
        layouts, bfloat16 = ({name: variants[name]} for variants, name in (
            (layouts, "channels_last"), (bfloat16, "model, channels_last")))
    rounds, more, many = (1, 1, 3) if quick else (3, 5, 9)
    slow = dict(warm_ups=1, seconds=0, least=1 if quick else 2)
    net = dict(warm_ups=1, seconds=0, least=2) if quick else dict(warm_ups=2, seconds=0, least=5)
    quickly = dict(warm_ups=2, seconds=0.2, least=2) if quick else {}
    epoch = ["--epochs", "1", "--batch-size", "64", "--threads", str(threads), *(["--limit-train", "6000"] if quick else [])]

    def zoo(row, aim, variants=layouts, **budget):
        return script("zoo", aim, row, variants, rounds, **budget)

    resnet18 = zoo("resnet18, training step, batch 16, 224 x 224", 0.58, **net)
    resnet18.peak_aim = 0.90
    return [
        zoo("vgg16, training step, batch 16, 224 x 224", 0.45, **slow),
        resnet18,
        zoo("alexnet, training step, batch 32, 224 x 224", 0.80, **net),
        zoo("mobilenet_v2, training step, batch 16, 224 x 224", 0.70, **net),
        zoo("efficientnet_b0, training step, batch 16, 224 x 224", 0.70, **net),
        zoo("resnet18 in bfloat16, training step, batch 16, 224 x 224", 0.70, bfloat16, warm_ups=1, seconds=0,
            least=1 if quick else 3),
        *(zoo(f"{name}, inference, batch 1, 224 x 224", 0.60, **quickly)
          for name in ("resnet50", "resnet50 folded", "vgg16", "vgg16_bn", "vgg16_bn folded")),
        Workload("Fashion-MNIST CNN, epoch, batch 64, with its data", 0.50,
                 ["scripts/train_fashion_mnist.lua", "--no-pictures", *epoch],
                 {variant: ["scripts/bench/train_fashion_mnist.py", *epoch, *flags] for variant, flags in layouts.items()},
                 lambda run: {"epoch": run.number(r"epoch 1: ([\d.]+) s")}, rounds),
        script("steps", 0.70, "MLP 784-512-512-10, batch 128", None, more, **quickly),
        script("steps", 0.30, "MLP 64-64-10, batch 1", None, more, **quickly),
        script("steps", 0.85, "GPT block, 8 x 256 x 384, 6 heads", None, rounds, **quickly),
        script("steps", 0.70, "LSTM, batch 32, 64 steps, 256 wide", None, more, **quickly),
        script("steps", None, "LeNet-like CNN, batch 64, 28 x 28", layouts, rounds, **quickly),
        script("steps", None, "ResNet-20, batch 32, 32 x 32", layouts, rounds, **quickly),
        script("steps", None, "depthwise separable net, batch 16, 112 x 112", layouts, rounds, **quickly),
        script("small", 0.50, "one element, a + b", None, more),
        script("small", 0.50, "one element with gradient, a + b", None, more),
        op_group("20 pointwise ops, softmax, layer norm: 4 MB", 0.70, "pointwise", 1000000, rounds),
        op_group("20 pointwise ops, softmax, layer norm: 64 MB", 0.30, "pointwise", 16000000, rounds),
        op_group("9 reductions: 4 MB", 1.10, "reduction", 1000000, rounds),
        op_group("9 reductions: 64 MB", 1.10, "reduction", 16000000, rounds),
        Workload("start and first tensor; `import torch`", 0.05, ["-e", "torch.ones(1)"], {"": ["-c", "import torch"]},
                 lambda run: {"start": run.seconds}, many),
    ]


def text_of(seconds):
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def cell_of(values, text=text_of):
    """The median of the rounds, with the least and the greatest one."""
    if len(values) == 1:
        return text(values[0])
    return f"{text(statistics.median(values))} ({text(min(values))} .. {text(max(values))})"


def measure(workload, threads, with_pytorch):
    """The runs of Lampad and, by variant, of PyTorch: the variants that in the first round were nearly as fast as the fastest."""
    def middle(run):
        return statistics.median(workload.seconds(run).values())

    lampad, pytorch = [], {}
    for number in range(workload.rounds):
        sides = [(None, [LAMPAD, *workload.lampad])]
        if with_pytorch:
            if number == 1:
                most = 1.15 * min(middle(runs[0]) for runs in pytorch.values())
                pytorch = {variant: runs for variant, runs in pytorch.items() if middle(runs[0]) <= most}
            sides += [(variant, [PYTHON, *command]) for variant, command in workload.pytorch.items()
                      if number == 0 or variant in pytorch]
        for variant, command in sides if number % 2 == 0 else reversed(sides):
            (lampad if variant is None else pytorch.setdefault(variant, [])).append(Run(command, threads))
    return lampad, pytorch


def row_of(title, ours, theirs, variant, ratio, aim, peaks):
    verdict = "" if aim is None else f"{aim:.2f}" if ratio is None or round(ratio, 2) <= aim else f"{aim:.2f} **missed**"
    return [title, ours, f"{theirs}, {variant}" if variant else theirs, "" if ratio is None else f"{ratio:.2f}", verdict, peaks]


def rows_of(workload, threads, with_pytorch):
    """The rows of a workload's figures, and a line on its extremes where it stands for several ops."""
    lampad, pytorch = measure(workload, threads, with_pytorch)
    ours = [workload.seconds(run) for run in lampad]

    def mebibytes(runs):
        return statistics.median(run.peak_bytes for run in runs) / 2**20

    def middles(list_of):
        return [statistics.median(by_name.values()) for by_name in list_of]

    if not with_pytorch:
        return [row_of(workload.title, cell_of(middles(ours)), "", "", None, workload.aim, f"{mebibytes(lampad):.0f}")], []
    variant = min(pytorch, key=lambda name: statistics.median(middles(map(workload.seconds, pytorch[name]))))
    theirs = [workload.seconds(run) for run in pytorch[variant]]
    ratios = {name: statistics.median(a[name] / b[name] for a, b in zip(ours, theirs)) for name in ours[0]}
    rows = [row_of(workload.title, cell_of(middles(ours)), cell_of(middles(theirs)), variant,
                   statistics.median(ratios.values()), workload.aim,
                   f"{mebibytes(lampad):.0f} / {mebibytes(pytorch[variant]):.0f}")]
    if workload.peak_aim:
        least = min(pytorch, key=lambda name: mebibytes(pytorch[name]))
        rows.append(row_of(f"peak memory of {workload.title}", f"{mebibytes(lampad):.0f} MiB",
                           f"{mebibytes(pytorch[least]):.0f} MiB", least, mebibytes(lampad) / mebibytes(pytorch[least]),
                           workload.peak_aim, ""))
    if len(ratios) == 1:
        return rows, []
    ranked = sorted(ratios, key=ratios.get)
    return rows, [f"{workload.title}: " + ", ".join(f"{name} {ratios[name]:.2f}" for name in ranked) + "."]


def measure_all(options, version):
    """The lines of the table of workloads; each row is printed as soon as it is there."""
    rows, notes, failures = [], [], []
    start = time.perf_counter()
    for workload in workloads(options.quick, options.threads):
        if options.all and options.all not in workload.title:
            continue
        try:
            more, extremes = rows_of(workload, options.threads, bool(version))
        except Failed as failure:
            print(f"error: {failure}", file=sys.stderr)
            failures.append(workload.title)
            more, extremes = [[workload.title, "failed", "", "", "" if workload.aim is None else f"{workload.aim:.2f} **missed**", ""]], []
        rows += more
        notes += extremes
        for row in more:
            print("  ".join(row), flush=True)
    minutes = (time.perf_counter() - start) / 60
    aims = [row for row in rows if row[4]]
    missed = sum("missed" in row[4] for row in aims)
    lines = [f"{conditions(options.threads, version)} Median (least .. greatest) of the rounds; {minutes:.0f} minutes together.", "",
             "| | Lampad | PyTorch | ratio | aim | peak memory, MiB |", "|---|---|---|---|---|---|",
             *("| " + " | ".join(row) + " |" for row in rows)]
    if aims:
        lines += ["", f"{len(aims) - missed} of {len(aims)} aims are met."]
    if notes:
        lines += ["", "The ratios of the single ops:", "", *("- " + note for note in notes)]
    return lines, failures


def processor():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*:\s*(.*)", file.read())
    return found.group(1) if found else "unknown processor"


def has_tiles():
    with open("/proc/cpuinfo") as file:
        return re.search(r"^flags\s*:.*\bamx_tile\b", file.read(), re.MULTILINE) is not None


def conditions(threads, version):
    today = datetime.date.today().isoformat()
    return f"{today}, {processor()}, {threads} threads, PyTorch {version}."


def write_table(marks, lines):
    with open(PAGE) as file:
        text = file.read()
    before, rest = text.split(marks[0], 1)
    after = rest.split(marks[1], 1)[1]
    with open(PAGE, "w") as file:
        file.write(before + "\n".join([marks[0], "", *lines, "", marks[1]]) + after)
    print(f"written to {os.path.relpath(PAGE, ROOT)}")


def measure_ops(options, version):
    """The lines of a table: each op's times and ratio for each size; medians over processes that take turns."""
    cells, ratios = {}, {}
    for size, n in SIZES.items():
        command = [str(n), options.ops]
        workload = Workload(size, None, ["scripts/bench/ops.lua", *command], {"": ["scripts/bench/ops.py", *command]},
                            Run.named_seconds, 1 if options.quick else 3)
        lampad, pytorch = measure(workload, options.threads, True)
        sides = [[run.named_seconds() for run in runs] for runs in (lampad, pytorch[""])]
        for op in sides[0][0]:
            ours, theirs = (statistics.median(run[op] for run in side) * 1e6 for side in sides)
            ratios.setdefault(op, []).append(ours / theirs)
            cells.setdefault(op, []).append(f"{ours:.4g} / {theirs:.4g} = {ours / theirs:.2f}")
    lines = [conditions(options.threads, version) + " Microseconds of Lampad / of PyTorch = ratio.", "",
             "| | " + " | ".join(SIZES) + " |", "|---|" + "---|" * len(SIZES)]
    lines += [f"| {op} | " + " | ".join(list_of) + " |" for op, list_of in cells.items()]
    every = [r for list_of in ratios.values() for r in list_of]
    lines += ["", f"Median ratio {statistics.median(every):.2f}; {sum(r > 1.2 for r in every)} of {len(every)} above 1.2."]
    return lines


def measure_shapes(options, version):
    """The lines of a table of calls: the median and the greatest of their ratios over all shapes."""
    what = [options.shapes, options.dtype]
    workload = Workload("shapes", None, ["scripts/bench/shapes.lua", *what], {"": ["scripts/bench/shapes.py", *what]},
                        Run.named_seconds, 1 if options.quick else 3)
    lampad, pytorch = measure(workload, options.threads, True)
    sides = [[run.named_seconds() for run in runs] for runs in (lampad, pytorch[""])]
    ratios = {}
    for title in sides[0][0]:
        if title not in sides[1][0]:
            continue
        name, shape = title.split(", ")
        ratio = statistics.median(a[title] / b[title] for a, b in zip(*sides))
        ratios.setdefault(name, []).append((ratio, shape))
    lines = [conditions(options.threads, version) + " Times of Lampad / of PyTorch.", "",
             "| | median of the shapes | greatest | of shape |", "|---|---|---|---|"]
    for name, list_of in ratios.items():
        worst, shape = max(list_of)
        lines.append(f"| {name} | {statistics.median(ratio for ratio, _ in list_of):.2f} | {worst:.2f} | {shape} |")
    every = [ratio for list_of in ratios.values() for ratio, _ in list_of]
    lines += ["", f"Median ratio {statistics.median(every):.2f}; {sum(r > 1.2 for r in every)} of {len(every)} above 1.2."]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--all", nargs="?", const="", default="", metavar="PATTERN", help="the workloads whose name contains PATTERN")
    parser.add_argument("--ops", nargs="?", const="", metavar="PATTERN", help="single ops whose name contains PATTERN")
    parser.add_argument("--shapes", nargs="?", const="", metavar="PATTERN", help="calls on odd shapes whose name contains PATTERN")
    parser.add_argument("--dtype", default="float32", metavar="NAME", help="of the tensors of --shapes")
    parser.add_argument("--quick", action="store_true", help="one round, short samples, a tenth of the training data")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    options = parser.parse_args()

    probe = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    version = probe.stdout.strip() if probe.returncode == 0 else None
    if not version:
        print(f"{PYTHON} has no PyTorch: measuring Lampad alone (set LAMPAD_BENCH_PYTHON)")

    failures, marks = [], ALL_MARKS if has_tiles() else PLAIN_MARKS
    if options.ops is not None or options.shapes is not None:
        if not version:
            sys.exit("error: --ops and --shapes compare with PyTorch")
        by_shape = options.shapes is not None
        lines = (measure_shapes if by_shape else measure_ops)(options, version)
        marks = SHAPES_MARKS if by_shape else OPS_MARKS
    else:
        lines, failures = measure_all(options, version)
    print("\n".join(["", *lines]))
    if version and not (options.no_write or options.quick or options.ops or options.all or options.shapes or options.dtype != "float32"):
        write_table(marks, lines)
    if failures:
        sys.exit("error: these did not run: " + "; ".join(failures))


main()
