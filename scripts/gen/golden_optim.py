"""Writes tests/golden/optim.lua: PyTorch's trajectories for the specs of torch.optim. Run by hand:

  python3 scripts/gen/golden_optim.py

Every optimizer under every argument combination of PyTorch's own tests (optim_db) and more, 20 steps in float64: a
number for each step, the parameters and the state at the end, the text of print. Every scheduler: 32 rates of two
groups, with the state saved and loaded in the middle. Errors of constructors. tests/lua/optim_golden_spec.lua does the
same steps in Lua; the net, its data and parameters are formulas, equal to the last bit in both languages.
"""
import math
import os
import warnings

import torch
from torch.optim import lr_scheduler, swa_utils
from torch.testing._internal.common_optimizers import optim_db

OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/optim.lua")
STEPS = 20
warnings.simplefilter("ignore")


def number(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if math.isnan(v):
        return "0/0"
    if math.isinf(v):
        return "math.huge" if v > 0 else "-math.huge"
    return repr(v)


def lua(v):
    """A Python value as Lua source on one line."""
    if v is None:
        return "nil"
    if isinstance(v, str):
        return '"' + v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(v, torch.Tensor):
        dtype = "float64" if v.dtype == torch.float64 else "float32"
        return f"torch.tensor({lua(v.tolist())}, {{ dtype = torch.{dtype} }})"
    if isinstance(v, (list, tuple)):
        return "{ " + ", ".join(lua(x) for x in v) + " }" if v else "{}"
    if isinstance(v, dict):
        items = [(k, lua(x)) for k, x in v.items() if x is not None]
        return "{ " + ", ".join(f"{k} = {x}" for k, x in items) + " }" if items else "{}"
    return number(v)


def short(t):
    """Numbers with 12 digits, enough for a tolerance of 1e-9 relative."""
    return "{ " + ", ".join(f"{x:.12g}" if math.isfinite(x) else number(x) for x in t) + " }"


# --- the net: tanh(x W1^T + b1) W2^T + b2 -----------------------------------------------------------
SHAPES = [(4, 3), (4,), (2, 4), (2,), ()]


def wave(shape, phase, dtype):
    count = math.prod(shape)
    values = torch.tensor([math.sin(0.7 * k + phase) for k in range(count)], dtype=torch.float64)
    if dtype.is_complex:
        imaginary = torch.tensor([math.cos(1.3 * k + phase) for k in range(count)], dtype=torch.float64)
        values = torch.complex(values, imaginary)
    return values.reshape(shape).to(dtype)


def parameters(dtype, shapes=None):
    result = []
    for i, shape in enumerate(shapes or SHAPES):
        p = 0.5 * wave(shape, i, dtype)
        result.append(p.requires_grad_())
    return result


def loss_of(params, step, dtype):
    w1, b1, w2, b2, scale = params
    x, y = wave((6, 3), 0.2 + 0.1 * step, dtype), wave((6, 2), 0.9, dtype)
    hidden = torch.tanh(x @ w1.T + b1)
    out = (hidden @ w2.T + b2) * (1 + scale) - y
    return (out * out.conj()).real.mean() if dtype.is_complex else (out * out).mean()


def matrix_loss(params, step, dtype):
    w1, w2 = params
    x, y = wave((6, 3), 0.2 + 0.1 * step, dtype), wave((6, 2), 0.9, dtype)
    out = torch.tanh(x @ w1.T) @ w2.T - y
    return (out * out).mean()


def flat(params):
    parts = [torch.view_as_real(p).reshape(-1) if p.is_complex() else p.reshape(-1) for p in params]
    return torch.cat([p.detach().double() for p in parts])


def checksum(params):
    v = flat(params)
    weights = torch.tensor([math.cos(0.3 * k) for k in range(v.numel())], dtype=torch.float64)
    return float(v @ weights)


# --- optimizers --------------------------------------------------------------------------------------
EXTRA = {
    "SGD": [dict(lr=0.1), dict(lr=0.1, momentum=0.9), dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1),
            dict(lr=0.1, momentum=0.8, nesterov=True, maximize=True), dict(lr=0.05, momentum=0.9, foreach=True),
            dict(lr=0.05, momentum=0.9, fused=True), dict(lr=0.05, foreach=False),
            dict(lr=torch.tensor(0.05), weight_decay=0.01), dict(lr=torch.tensor([0.05], dtype=torch.float64))],
    "Adam": [dict(lr=0.1, betas=(0.5, 0.6), eps=1e-3), dict(lr=0.01, fused=True, weight_decay=0.1, amsgrad=True),
             dict(lr=0.01, foreach=True), dict(lr=0.05, weight_decay=0.2, decoupled_weight_decay=True),
             dict(lr=torch.tensor(0.02)), dict(lr=0.05, betas=(0.0, 0.0)), dict(lr=0.05, amsgrad=True, maximize=True)],
    "AdamW": [dict(lr=0.1, betas=(0.5, 0.6), amsgrad=True), dict(lr=0.05, fused=True), dict(lr=torch.tensor(0.02))],
    "Adadelta": [dict(lr=0.5, eps=1e-3, foreach=True), dict(rho=1.0), dict(rho=0.0), dict(lr=torch.tensor(0.3))],
    "Adafactor": [dict(lr=0.1, eps=(1e-3, 1e-2)), dict(lr=0.05, foreach=True, weight_decay=0.3), dict(lr=torch.tensor(0.05))],
    "Adagrad": [dict(lr=0.1, fused=True, eps=1e-4), dict(lr=0.1, foreach=True), dict(lr=0.1, initial_accumulator_value=2)],
    "Adamax": [dict(lr=0.05, betas=(0.6, 0.7), eps=1e-4), dict(foreach=True), dict(lr=torch.tensor(0.03))],
    "ASGD": [dict(lr=0.1, lambd=0.01, alpha=0.5, t0=5, weight_decay=0.1), dict(foreach=True, t0=3),
             dict(lr=torch.tensor(0.03))],
    "NAdam": [dict(lr=0.05, betas=(0.6, 0.7), eps=1e-4), dict(foreach=True), dict(lr=torch.tensor(0.03))],
    "RAdam": [dict(lr=0.05, betas=(0.6, 0.7)), dict(lr=0.05, betas=(0.9, 0.99), eps=1e-4), dict(foreach=True),
              dict(lr=torch.tensor(0.03))],
    "RMSprop": [dict(momentum=0.9), dict(centered=True, alpha=0.5, eps=1e-3), dict(foreach=True, momentum=0.5),
                dict(lr=torch.tensor(0.03))],
    "Rprop": [dict(lr=0.1, etas=(0.3, 1.5), step_sizes=(1e-3, 0.2)), dict(foreach=True), dict(maximize=True)],
    "LBFGS": [dict(max_iter=4, history_size=2), dict(max_iter=3, max_eval=3, line_search_fn="strong_wolfe"),
              dict(lr=0.5, line_search_fn="strong_wolfe", history_size=3), dict(lr=0.1, tolerance_change=1e-3)],
    "Muon": [dict(lr=0.05, nesterov=False, momentum=0.5, weight_decay=0)],
}
COMPLEX = {
    "SGD": [dict(lr=0.1, momentum=0.9, weight_decay=0.1)], "Adam": [dict(lr=0.05, amsgrad=True, weight_decay=0.1)],
    "AdamW": [dict(lr=0.05)], "Adadelta": [dict(lr=0.5, weight_decay=0.1)], "Adamax": [dict(lr=0.05)],
    "Adagrad": [dict(lr=0.1, initial_accumulator_value=0.1)], "ASGD": [dict(lr=0.1, t0=3)],
    "NAdam": [dict(lr=0.05)], "RAdam": [dict(lr=0.05)], "RMSprop": [dict(momentum=0.5, centered=True)],
    "Rprop": [dict(lr=0.01)], "LBFGS": [dict(line_search_fn="strong_wolfe", max_iter=5)],
}


def state_text(optimizer):
    """The state of the first two parameters: names with sums (tensors, lists of them) or values."""
    result = {}
    for index, entry in optimizer.state_dict()["state"].items():
        if index > 1:
            continue
        row = {}
        for name, value in entry.items():
            if isinstance(value, torch.Tensor):
                row[name] = [checksum([value])] + list(value.shape)
            elif isinstance(value, (list, tuple)):
                row[name] = [len(value)]
            elif value is not None:
                row[name] = value
        result[index] = row
    parts = [f"[{k}] = {lua(v)}" for k, v in result.items()]
    return "{ " + ", ".join(parts) + " }" if parts else "{}"


def run(name, kwargs, dtype, shapes=None, objective=loss_of):
    cls = getattr(torch.optim, name)
    params = parameters(dtype, shapes)
    kwargs = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}
    source = lua(kwargs)
    optimizer = cls(params, **kwargs)
    sums = []
    # L-BFGS makes up to 20 iterations a step, on data that stays the same.
    for step in range(STEPS if name != "LBFGS" else 2):
        def closure(step=step if name != "LBFGS" else 0):
            optimizer.zero_grad()
            loss = objective(params, step, dtype)
            if kwargs.get("maximize"):
                loss = -loss
            loss.backward()
            return loss
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        sums.append(checksum(params))
    return (f'  {{ name = "{name}", options = {source}, dtype = "{str(dtype)[6:]}", sums = {short(sums)},\n'
            f"    values = {short(flat(params).tolist())},\n    state = {state_text(optimizer)},\n"
            f"    text = {lua(str(optimizer))} }},\n")


def optimizer_rows():
    rows = []
    for info in optim_db:
        name = info.optim_cls.__name__
        if name == "SparseAdam":
            continue
        shapes, objective = (SHAPES[0], SHAPES[2]), matrix_loss
        if name != "Muon":
            shapes, objective = None, loss_of
        configurations = [dict(i.kwargs) for i in info.optim_inputs_func(device="cpu") if i.params is None]
        for kwargs in configurations + EXTRA.get(name, []):
            rows.append(run(name, kwargs, torch.float64, shapes, objective))
        for kwargs in COMPLEX.get(name, []):
            rows.append(run(name, kwargs, torch.complex128))
    return rows


def named_rows():
    """Groups with options of their own, and named parameters."""
    params = parameters(torch.float64)
    rows = []
    groups = [{"params": params[:2], "lr": 0.3, "momentum": 0.5}, {"params": params[2:], "name": "head"}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    lr_scheduler.StepLR(optimizer, 3)
    rows.append(lua(str(optimizer)))
    names = ["a", "b", "c", "d", "e"]
    optimizer = torch.optim.Adam(list(zip(names, params)), lr=0.1)
    rows.append(lua(str(optimizer)))
    return rows


# --- errors ------------------------------------------------------------------------------------------
def error_rows():
    rows, seen = [], set()
    for info in optim_db:
        name = info.optim_cls.__name__
        for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float64):
            given = error.optimizer_error_input
            if given.params is not None or "step" in str(error.error_on).lower():
                continue
            source = lua(given.kwargs)
            if (name, source) in seen:
                continue
            seen.add((name, source))
            regex = error.error_regex.replace("\\", "")
            rows.append(f"  {{ name = {lua(name)}, options = {source}, message = {lua(regex)} }},\n")
    return rows


# --- schedulers ---------------------------------------------------------------------------------------
L = {"half": "function(e) return 0.95 ^ e end", "wave": "function(e) return 1 / (1 + e) end"}
P = {"half": lambda e: 0.95 ** e, "wave": lambda e: 1 / (1 + e)}
# Optimizer (SGD, Adam or the rate as a tensor), Lua text, Python text; S is torch.optim.lr_scheduler, o the optimizer.
SCHEDULERS = [
    ("S.StepLR(o, 4, {gamma = 0.5})", "S.StepLR(o, 4, gamma=0.5)"),
    ("S.MultiStepLR(o, {3, 7, 7, 20}, {gamma = 0.5})", "S.MultiStepLR(o, [3, 7, 7, 20], gamma=0.5)"),
    ("S.ConstantLR(o, {factor = 0.25, total_iters = 6})", "S.ConstantLR(o, factor=0.25, total_iters=6)"),
    ("S.LinearLR(o, {start_factor = 0.2, end_factor = 0.9, total_iters = 12})",
     "S.LinearLR(o, start_factor=0.2, end_factor=0.9, total_iters=12)"),
    ("S.ExponentialLR(o, 0.9)", "S.ExponentialLR(o, 0.9)"),
    ("S.PolynomialLR(o, {total_iters = 20, power = 2.5})", "S.PolynomialLR(o, total_iters=20, power=2.5)"),
    ("S.PolynomialLR(o)", "S.PolynomialLR(o)"),
    ("S.CosineAnnealingLR(o, 7, {eta_min = 0.001})", "S.CosineAnnealingLR(o, 7, eta_min=0.001)"),
    ("S.CosineAnnealingWarmRestarts(o, 4, {T_mult = 2, eta_min = 0.01})",
     "S.CosineAnnealingWarmRestarts(o, 4, T_mult=2, eta_min=0.01)"),
    ("S.CosineAnnealingWarmRestarts(o, 5)", "S.CosineAnnealingWarmRestarts(o, 5)"),
    ("S.LambdaLR(o, half)", "S.LambdaLR(o, half)"),
    ("S.LambdaLR(o, {half, wave})", "S.LambdaLR(o, [half, wave])"),
    ("S.MultiplicativeLR(o, half)", "S.MultiplicativeLR(o, half)"),
    ("S.MultiplicativeLR(o, {half, half})", "S.MultiplicativeLR(o, [half, half])"),
    ("S.CyclicLR(o, 0.01, 0.1, {step_size_up = 5})", "S.CyclicLR(o, 0.01, 0.1, step_size_up=5)"),
    ("S.CyclicLR(o, {0.01, 0.02}, {0.1, 0.3}, {step_size_up = 3, step_size_down = 6, mode = 'triangular2'})",
     "S.CyclicLR(o, [0.01, 0.02], [0.1, 0.3], step_size_up=3, step_size_down=6, mode='triangular2')"),
    ("S.CyclicLR(o, 0.01, 0.1, {step_size_up = 4, mode = 'exp_range', gamma = 0.95, base_momentum = 0.7})",
     "S.CyclicLR(o, 0.01, 0.1, step_size_up=4, mode='exp_range', gamma=0.95, base_momentum=0.7)"),
    ("S.CyclicLR(o, 0.01, 0.1, {step_size_up = 4, scale_fn = wave, scale_mode = 'iterations', cycle_momentum = false})",
     "S.CyclicLR(o, 0.01, 0.1, step_size_up=4, scale_fn=wave, scale_mode='iterations', cycle_momentum=False)"),
    ("S.OneCycleLR(o, 0.5, {total_steps = 33})", "S.OneCycleLR(o, 0.5, total_steps=33)"),
    ("S.OneCycleLR(o, {0.5, 0.2}, {epochs = 4, steps_per_epoch = 10, three_phase = true, pct_start = 0.25})",
     "S.OneCycleLR(o, [0.5, 0.2], epochs=4, steps_per_epoch=10, three_phase=True, pct_start=0.25)"),
    ("S.OneCycleLR(o, 0.5, {total_steps = 40, anneal_strategy = 'linear', div_factor = 10, final_div_factor = 100, "
     "base_momentum = 0.6, max_momentum = {0.9, 0.8}})",
     "S.OneCycleLR(o, 0.5, total_steps=40, anneal_strategy='linear', div_factor=10, final_div_factor=100, "
     "base_momentum=0.6, max_momentum=[0.9, 0.8])"),
    ("S.OneCycleLR(o, 0.5, {total_steps = 40, cycle_momentum = false})",
     "S.OneCycleLR(o, 0.5, total_steps=40, cycle_momentum=False)"),
    ("S.ChainedScheduler({S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.9)})",
     "S.ChainedScheduler([S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.9)])"),
    ("S.ChainedScheduler({S.LinearLR(o), S.CosineAnnealingLR(o, 9)}, o)",
     "S.ChainedScheduler([S.LinearLR(o), S.CosineAnnealingLR(o, 9)], o)"),
    ("S.SequentialLR(o, {S.ConstantLR(o, 0.1, 5), S.ExponentialLR(o, 0.9)}, {6})",
     "S.SequentialLR(o, [S.ConstantLR(o, 0.1, 5), S.ExponentialLR(o, 0.9)], [6])"),
    ("S.SequentialLR(o, {S.LinearLR(o, 0.1, {total_iters = 4}), S.CosineAnnealingLR(o, 12), S.StepLR(o, 2)}, {4, 16})",
     "S.SequentialLR(o, [S.LinearLR(o, 0.1, total_iters=4), S.CosineAnnealingLR(o, 12), S.StepLR(o, 2)], [4, 16])"),
    ("S.SequentialLR(o, {S.SequentialLR(o, {S.ConstantLR(o, 0.5, 3), S.StepLR(o, 3)}, {4}), S.ExponentialLR(o, 0.8)}, {12})",
     "S.SequentialLR(o, [S.SequentialLR(o, [S.ConstantLR(o, 0.5, 3), S.StepLR(o, 3)], [4]), S.ExponentialLR(o, 0.8)], [12])"),
    ("swa.SWALR(o, 0.05)", "swa.SWALR(o, 0.05)"),
    ("swa.SWALR(o, {0.05, 0.5}, {anneal_epochs = 5, anneal_strategy = 'linear'})",
     "swa.SWALR(o, [0.05, 0.5], anneal_epochs=5, anneal_strategy='linear')"),
    ("swa.SWALR(o, 0.05, {anneal_epochs = 0})", "swa.SWALR(o, 0.05, anneal_epochs=0)"),
]
PLATEAU = [
    ("S.ReduceLROnPlateau(o, {patience = 2, factor = 0.5})", "S.ReduceLROnPlateau(o, patience=2, factor=0.5)"),
    ("S.ReduceLROnPlateau(o, 'max', {patience = 1, cooldown = 2, threshold = 0.1, threshold_mode = 'abs', min_lr = {0.01, 0.02}})",
     "S.ReduceLROnPlateau(o, 'max', patience=1, cooldown=2, threshold=0.1, threshold_mode='abs', min_lr=[0.01, 0.02])"),
    ("S.ReduceLROnPlateau(o, 'min', 0.1, 0, {threshold_mode = 'abs', threshold = 0.01})",
     "S.ReduceLROnPlateau(o, 'min', 0.1, 0, threshold_mode='abs', threshold=0.01)"),
    ("S.ReduceLROnPlateau(o, 'max', 0.3, 3)", "S.ReduceLROnPlateau(o, 'max', 0.3, 3)"),
]
KINDS = {
    "SGD": lambda g: torch.optim.SGD(g, lr=0.1, momentum=0.9), "Adam": lambda g: torch.optim.Adam(g, lr=0.1),
    "tensor": lambda g: torch.optim.SGD(g, lr=torch.tensor(0.1, dtype=torch.float64), momentum=0.9),
}


def two_groups(kind):
    zero = lambda: torch.zeros(1, requires_grad=True)
    second = 0.3 if kind != "tensor" else torch.tensor(0.3, dtype=torch.float64)
    return KINDS[kind]([{"params": [zero()]}, {"params": [zero()], "lr": second}])


def metric(i):
    return math.sin(0.4 * i) + 1 / (1 + i)


def scheduler_rows():
    rows = []
    cases = [(kind, a, b, False) for a, b in SCHEDULERS for kind in ("SGD", "Adam", "tensor")
             if kind == "SGD" or "Cy" in a or (kind == "tensor" and "Sequential" not in a)]
    cases += [("SGD", a, b, True) for a, b in PLATEAU]
    for kind, lua_text, python_text, plateau in cases:
        # Momentum cycles as beta1 and tensors as rates are met by fewer schedulers.
        if kind == "tensor" and any(x in lua_text for x in ("Cyclic", "OneCycle", "SWALR", "Chained")):
            continue
        optimizer = two_groups(kind)
        scope = {"S": lr_scheduler, "swa": swa_utils, "o": optimizer, **P}
        scheduler = eval(python_text, scope)
        rates, momenta = [], []
        for i in range(32):
            groups = optimizer.param_groups
            rates += [float(g["lr"]) for g in groups]
            if "Cyclic" in lua_text or "OneCycle" in lua_text:
                momenta += [g["momentum"] if "momentum" in g else g["betas"][0] for g in groups]
            optimizer.step()
            scheduler.step(metric(i)) if plateau else scheduler.step()
        keys = sorted(k for k, v in scheduler.state_dict().items() if v is not None)
        rows.append(f"  {{ kind = {lua(kind)}, code = {lua(lua_text)}, plateau = {lua(plateau)},\n"
                    f"    rates = {lua(rates)},\n    momenta = {lua(momenta)},\n    keys = {lua(keys)} }},\n")
    return rows


def closed_form_rows():
    """step(epoch) jumps."""
    rows = []
    for lua_text, python_text in SCHEDULERS:
        if any(x in lua_text for x in ("Chained", "Sequential", "SWALR", "OneCycle")):
            continue
        optimizer = two_groups("SGD")
        scheduler = eval(python_text, {"S": lr_scheduler, "swa": swa_utils, "o": optimizer, **P})
        rates = []
        for epoch in (5, 2, 11, 30):
            optimizer.step()
            try:
                scheduler.step(epoch)
            except Exception:
                rates = None
                break
            rates += [float(g["lr"]) for g in optimizer.param_groups]
        if rates:
            rows.append(f"  {{ code = {lua(lua_text)}, rates = {lua(rates)} }},\n")
    return rows


# --- averages of weights ------------------------------------------------------------------------------
AVERAGES = [
    ("swa.AveragedModel(net)", "swa.AveragedModel(net)"),
    ("swa.AveragedModel(net, {use_buffers = true})", "swa.AveragedModel(net, use_buffers=True)"),
    ("swa.AveragedModel(net, {multi_avg_fn = swa.get_ema_multi_avg_fn(0.7)})",
     "swa.AveragedModel(net, multi_avg_fn=swa.get_ema_multi_avg_fn(0.7))"),
    ("swa.AveragedModel(net, {multi_avg_fn = swa.get_ema_multi_avg_fn(0.7), use_buffers = true})",
     "swa.AveragedModel(net, multi_avg_fn=swa.get_ema_multi_avg_fn(0.7), use_buffers=True)"),
    ("swa.AveragedModel(net, {avg_fn = swa.get_ema_avg_fn(0.6)})", "swa.AveragedModel(net, avg_fn=swa.get_ema_avg_fn(0.6))"),
    ("swa.AveragedModel(net, {avg_fn = swa.get_swa_avg_fn()})", "swa.AveragedModel(net, avg_fn=swa.get_swa_avg_fn())"),
    ("swa.AveragedModel(net, {multi_avg_fn = swa.get_swa_multi_avg_fn()})",
     "swa.AveragedModel(net, multi_avg_fn=swa.get_swa_multi_avg_fn())"),
]


def average_rows():
    nn, rows = torch.nn, []
    for lua_text, python_text in AVERAGES:
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
        for i, p in enumerate(net.parameters()):
            p.data.copy_(0.5 * wave(p.shape, i, torch.float64))
        averaged = eval(python_text, {"swa": swa_utils, "net": net})
        optimizer = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.5)
        batches = [wave((6, 3), 0.3 * step, torch.float64) for step in range(5)]
        for x in batches:
            optimizer.zero_grad()
            ((net(x) - wave((6, 2), 0.9, torch.float64)) ** 2).mean().backward()
            optimizer.step()
            averaged.update_parameters(net)
        before = [v.reshape(-1).tolist() for v in averaged.state_dict().values()]
        swa_utils.update_bn([(x, 0) for x in batches], averaged)
        after = [v.reshape(-1).tolist() for v in averaged.state_dict().values()]
        rows.append(f"  {{ code = {lua(lua_text)}, keys = {lua(list(averaged.state_dict()))},\n"
                    f"    before = {lua(before)},\n    after = {lua(after)} }},\n")
    return rows


def main():
    with open(OUT, "w") as f:
        f.write("-- Written by scripts/gen/golden_optim.py from PyTorch " + torch.__version__ + ".\n")
        f.write("local torch = require \"lampad\"\nlocal result = {}\n")
        for name, rows in (("optimizers", optimizer_rows()), ("errors", error_rows()),
                           ("schedulers", scheduler_rows()), ("jumps", closed_form_rows()), ("averages", average_rows())):
            f.write(f"result.{name} = {{\n" + "".join(rows) + "}\n")
        f.write("result.texts = { " + ",\n  ".join(named_rows()) + " }\n")
        f.write("return result\n")
    print(os.path.getsize(OUT), "bytes")


if __name__ == "__main__":
    main()
