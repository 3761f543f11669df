"""Training that begins in one library and goes on in the other: every optimizer, every scheduler.
    training.py write FOLDER     PyTorch trains, saves, and goes on itself: what Lampad must come to
    training.py check FOLDER     goes on from what Lampad saved, and looks at what became of its own states
The net and its data are formulas, equal in both languages."""
import json
import math
import os
import re
import sys
import warnings

import torch
from torch.optim import lr_scheduler

from describe import Checks, describe

warnings.simplefilter("ignore")
FIRST, MORE = 5, 5
SHAPES = [(4, 3), (4,), (2, 4), (2,), ()]
MATRICES = [(4, 3), (2, 4)]

# name, options. With "half" the parameters are float32.
OPTIMIZERS = [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "maximize": True}),
    ("Adam", {"lr": 0.01}), ("Adam", {"lr": 0.01, "betas": [0.8, 0.95], "amsgrad": True, "weight_decay": 0.02}),
    ("Adam", {"lr": 0.01, "foreach": False, "capturable": False, "half": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}), ("AdamW", {"lr": 0.01, "amsgrad": True, "half": True}),
    ("ASGD", {"lr": 0.05, "t0": 3, "weight_decay": 0.01}), ("Adadelta", {"lr": 0.5, "rho": 0.8}), ("Adafactor", {"lr": 0.05}),
    ("Adafactor", {"lr": 0.05, "eps": [1e-20, 0.01], "d": 2.0, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.01, "initial_accumulator_value": 0.1}), ("Adamax", {"lr": 0.02}),
    ("LBFGS", {"lr": 0.5, "max_iter": 4, "history_size": 3}), ("LBFGS", {"max_iter": 3, "line_search_fn": "strong_wolfe"}),
    ("Muon", {"lr": 0.02}), ("Muon", {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw"}), ("NAdam", {"lr": 0.01}),
    ("NAdam", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}), ("RAdam", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.01}), ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.9, "alpha": 0.9}),
    ("Rprop", {"lr": 0.02, "etas": [0.4, 1.3]}), ("SparseAdam", {"lr": 0.01}),
]

SCHEDULERS = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}), ("MultiStepLR", {"milestones": [2, 9, 9, 12], "gamma": 0.3}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 9}), ("LinearLR", {"start_factor": 0.2, "total_iters": 10}),
    ("ExponentialLR", {"gamma": 0.9}), ("PolynomialLR", {"total_iters": 12, "power": 1.7}),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.001}), ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "mode": "exp_range", "gamma": 0.98}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20}), ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20, "three_phase": True,
                                                                        "anneal_strategy": "linear"}),
    ("ReduceLROnPlateau", {"factor": 0.5, "patience": 1, "cooldown": 1}), ("LambdaLR", {}), ("MultiplicativeLR", {}),
    ("SequentialLR", {}), ("ChainedScheduler", {}),
]
FIRST_RATES, MORE_RATES = 7, 9


def wave(shape, phase, dtype):
    values = torch.tensor([math.sin(0.7 * k + phase) for k in range(math.prod(shape))], dtype=torch.float64)
    return values.reshape(shape).to(dtype)


def loss_of(params, step, dtype):
    x, y = wave((6, 3), 0.2 + 0.1 * step, dtype), wave((6, 2), 0.9, dtype)
    if len(params) == 2:
        return (torch.tanh(x @ params[0].T) @ params[1].T - y).square().mean()
    w1, b1, w2, b2, scale = params
    return (((torch.tanh(x @ w1.T + b1) @ w2.T + b2) * (scale + 1)) - y).square().mean()


def make(name, options):
    options = dict(options)
    dtype = torch.float32 if options.pop("half", False) else torch.float64
    shapes = MATRICES if name == "Muon" else SHAPES
    params = [(0.5 * wave(shape, i, dtype)).requires_grad_() for i, shape in enumerate(shapes)]
    for key in ("betas", "eps", "etas"):
        if isinstance(options.get(key), list):
            options[key] = tuple(options[key])
    return params, getattr(torch.optim, name)(params, **options), dtype


def train(name, params, optimizer, dtype, steps):
    for step in steps:
        def closure():
            optimizer.zero_grad()
            loss = loss_of(params, 0 if name == "LBFGS" else step, dtype)
            loss.backward()
            if name == "SparseAdam":
                for p in params:
                    p.grad = p.grad.reshape(-1, *p.shape[1:]).to_sparse() if p.dim() else p.grad.reshape(()).to_sparse()
            return loss
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()


def plain(params):
    return [p.detach().clone() for p in params]


def schedule(name, options):
    params = [torch.zeros(2, requires_grad=True), torch.zeros(3, requires_grad=True)]
    optimizer = torch.optim.SGD([{"params": params[:1], "lr": 0.1}, {"params": params[1:], "lr": 0.05}], momentum=0.9)
    if name == "LambdaLR":
        return optimizer, lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.95 ** epoch)
    if name == "MultiplicativeLR":
        return optimizer, lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.9)
    if name == "SequentialLR":
        parts = [lr_scheduler.ConstantLR(optimizer, 0.1, total_iters=4), lr_scheduler.ExponentialLR(optimizer, 0.9)]
        return optimizer, lr_scheduler.SequentialLR(optimizer, parts, milestones=[9])
    if name == "ChainedScheduler":
        parts = [lr_scheduler.ConstantLR(optimizer, 0.1, total_iters=8), lr_scheduler.ExponentialLR(optimizer, 0.9)]
        return optimizer, lr_scheduler.ChainedScheduler(parts, optimizer=optimizer)
    return optimizer, getattr(lr_scheduler, name)(optimizer, **options)


def rates(name, optimizer, scheduler, steps):
    result = []
    for step in steps:
        optimizer.step()
        if name == "ReduceLROnPlateau":
            scheduler.step(1.0 / (1 + min(step, 4)))
        else:
            scheduler.step()
        result.append([group["lr"] for group in optimizer.param_groups])
    return torch.tensor(result, dtype=torch.float64)


def write(folder):
    rows = []
    for i, (name, options) in enumerate(OPTIMIZERS):
        params, optimizer, dtype = make(name, options)
        train(name, params, optimizer, dtype, range(FIRST))
        path = os.path.join(folder, f"optimizer_{i:02d}")
        torch.save({"params": plain(params), "optimizer": optimizer.state_dict()}, path + ".pt")
        train(name, params, optimizer, dtype, range(FIRST, FIRST + MORE))
        torch.save(plain(params), path + ".end")
        rows.append({"id": f"optimizer_{i:02d}", "name": name, "options": options, "first": FIRST, "more": MORE})
    for i, (name, options) in enumerate(SCHEDULERS):
        optimizer, scheduler = schedule(name, options)
        rates(name, optimizer, scheduler, range(FIRST_RATES))
        path = os.path.join(folder, f"scheduler_{i:02d}")
        state = {k: v for k, v in scheduler.state_dict().items() if not callable(v)}
        torch.save({"optimizer": optimizer.state_dict(), "scheduler": state}, path + ".pt")
        torch.save(rates(name, optimizer, scheduler, range(FIRST_RATES, FIRST_RATES + MORE_RATES)), path + ".end")
        rows.append({"id": f"scheduler_{i:02d}", "name": name, "options": options, "first": FIRST_RATES, "more": MORE_RATES})
    with open(os.path.join(folder, "rows.json"), "w") as file:
        json.dump(rows, file)


def far(want, got, tolerance):
    """What is wrong with the numbers, as a list."""
    faults = []
    for i, (a, b) in enumerate(zip(want, got)):
        off = (a.double() - b.double()).abs().max().item() if a.numel() else 0.0
        if not off <= tolerance:
            faults.append(f"number {i} is off by {off:g}, allowed are {tolerance:g}")
    return faults


def tolerance_of(name, options):
    if name == "Muon":
        return 2e-2  # computes in bfloat16
    return 1e-5 if options.get("half") else 1e-9


def state_lines(state):
    """The lines of an optimizer's state, without what stands for an option's absence (None here, false there) and without
    the numbers of storages, which depend on the order of the keys."""
    lines = describe({"state": state["state"]})
    for i, group in enumerate(state["param_groups"]):
        lines += describe({i: {k: v for k, v in group.items() if v is not None and v is not False}})
    return sorted(re.sub(r" of storage \d+ of", " of storage of", line) for line in lines if "keys" not in line)


def check(folder):
    checks = Checks()
    for row in json.load(open(os.path.join(folder, "rows.json"))):
        name, options, path = row["name"], row["options"], os.path.join(folder, row["id"])
        label = f"{name} {options}"
        first, more = row["first"], row["more"]
        again = torch.load(os.path.join(folder, "again", row["id"] + ".pt"), weights_only=True)
        own_path = os.path.join(folder, "own", row["id"])
        own = torch.load(own_path + ".pt", weights_only=True) if os.path.exists(own_path + ".pt") else None
        end = torch.load(own_path + ".end", weights_only=True) if own else None
        if row["id"].startswith("optimizer"):
            want = torch.load(path + ".pt", weights_only=True)["optimizer"]
            # The state that went through Lampad is the one that came, to the last bit.
            try:
                states = []
                for state in (want, again["optimizer"]):
                    optimizer = make(name, options)[1]
                    optimizer.load_state_dict(state)
                    states.append(state_lines(optimizer.state_dict()))
                checks.same(f"state of {label}", *states)
            except Exception as error:
                checks.result(f"state of {label}", [f"{type(error).__name__}: {error}"])
            if own is None:
                continue
            params, optimizer, dtype = make(name, options)
            try:
                with torch.no_grad():
                    for p, saved in zip(params, own["params"]):
                        p.copy_(saved)
                optimizer.load_state_dict(own["optimizer"])
                train(name, params, optimizer, dtype, range(first, first + more))
                checks.result(f"Lampad's {label}", far(end, plain(params), tolerance_of(name, options)))
            except Exception as error:
                checks.result(f"Lampad's {label}", [f"{type(error).__name__}: {error}"])
        else:
            for what, saved, want in (("state of", again, torch.load(path + ".end")), ("Lampad's", own, end)):
                optimizer, scheduler = schedule(name, options)
                try:
                    optimizer.load_state_dict(saved["optimizer"])
                    scheduler.load_state_dict(saved["scheduler"])
                    got = rates(name, optimizer, scheduler, range(first, first + more))
                    checks.result(f"{what} {label}", far([want], [got], 1e-12))
                except Exception as error:
                    checks.result(f"{what} {label}", [f"{type(error).__name__}: {error}"])
    checks.end()


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](sys.argv[2])
