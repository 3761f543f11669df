"""Writes tests/golden/func.lua: PyTorch's values for tests/lua/func_spec.lua. Run by hand:

  python3 scripts/gen/golden_func.py
Inputs follow from formulas, weights from a seed; numbers in float64 unless randomness is the point.
"""
import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import (functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp,
                        vmap)

OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/func.lua")


def wave(*shape):
    n = 1
    for s in shape:
        n *= s
    return torch.sin(torch.arange(n, dtype=torch.float64) * 0.7 + 0.3).reshape(shape)


def lua(v):
    if isinstance(v, torch.Tensor):
        v = v.tolist()
    if isinstance(v, (list, tuple)):
        return "{ " + ", ".join(lua(x) for x in v) + " }"
    if isinstance(v, dict):
        return "{ " + ", ".join(f'["{k}"] = {lua(x)}' for k, x in v.items()) + " }"
    if isinstance(v, bool):
        return "true" if v else "false"
    return repr(v)


def mlp():
    torch.manual_seed(11)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def convnet():
    torch.manual_seed(12)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.LayerNorm(8),
                         nn.Linear(8, 3)).double()


def per_sample(net, x, target):
    params = {k: v.detach() for k, v in net.named_parameters()}

    def loss(p, sample, label):
        return F.cross_entropy(functional_call(net, p, (sample.unsqueeze(0),)), label.unsqueeze(0))
    return vmap(grad(loss), in_dims=(None, 0, 0))(params, x, target)


def ensemble():
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        models.append(nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double())
    params, buffers = stack_module_state(models)
    x = wave(5, 3)

    def run(p, b, inputs):
        return functional_call(models[0], (p, b), (inputs,))
    return [vmap(run, in_dims=(0, 0, None))(params, buffers, x).detach(),
            vmap(run)(params, buffers, wave(3, 2, 3)).detach()]


def randomness():
    def seeded(f):
        torch.manual_seed(5)
        return f()
    ones = torch.ones(2, 6)
    return {
        "rand": seeded(lambda: vmap(lambda a: torch.rand(3) + 0 * a.sum(), randomness="different")(ones)),
        "rand_same": seeded(lambda: vmap(lambda a: torch.rand(3) + 0 * a.sum(), randomness="same")(ones)),
        "dropout": seeded(lambda: vmap(lambda a: F.dropout(a), randomness="different")(ones)),
        "dropout_same": seeded(lambda: vmap(lambda a: F.dropout(a), randomness="same")(ones)),
        "dropout2d": seeded(lambda: vmap(lambda a: F.dropout2d(a), randomness="different")(torch.ones(2, 2, 3, 1, 1))),
        "bernoulli": seeded(lambda: vmap(torch.bernoulli, randomness="different")(ones / 2)),
        "randperm": seeded(lambda: vmap(lambda a: torch.randperm(5) + 0 * a.sum().long(),
                                        randomness="different")(ones)),
        "multinomial": seeded(lambda: vmap(lambda a: torch.multinomial(a, 3), randomness="different")(ones)),
        "normal": seeded(lambda: vmap(lambda a: torch.empty_like(a).normal_(), randomness="different")(ones)),
        "normal_same": seeded(lambda: vmap(lambda a: torch.empty_like(a).normal_(), randomness="same")(ones)),
        "grad_dropout": seeded(lambda: vmap(grad(lambda a: (F.dropout(a, 0.3) * a).sum()),
                                            randomness="different")(ones)),
    }


x3 = wave(3)
m = wave(3, 4)
b = wave(5, 3)
tables = {
    "hessian": hessian(lambda x: (x.exp() * x.roll(1)).sum())(x3),
    "jacrev_jacrev": jacrev(jacrev(lambda x: torch.softmax(x, 0)))(x3),
    "jacfwd_matrix": jacfwd(lambda x: (x @ m).tanh())(b[:2]),
    "jacrev_two": jacrev(lambda p, q: (p.sin() * q, (p * q).sum()), argnums=(0, 1))(x3, x3 + 1),
    "jacrev_dict": jacrev(lambda d: {"u": d["p"] * d["q"].sum()})({"p": x3, "q": x3 * 2}),
    "vmap_hessian": vmap(hessian(lambda x: (x ** 3).sum() + x.prod()))(b),
    "grad_vmap_grad": grad(lambda t: vmap(grad(lambda a: (a.sin() * a).sum()))(t).pow(2).sum())(b),
    "vmap_vmap": vmap(vmap(torch.dot, in_dims=(0, None)), in_dims=(None, 0))(b, wave(2, 3)),
    "vmap_dims": vmap(lambda p, q: (p * q, p.sum()), in_dims=(1, 0), out_dims=(-1, 0))(b, wave(3, 5)),
    "vmap_of_jvp": vmap(lambda p, t: jvp(torch.tanh, (p,), (t,))[1])(b, b.flip(0)),
    "jvp": list(jvp(lambda p, q: p * q.exp(), (x3, x3 * 2), (x3 + 1, x3 * 3))),
    "jvp_of_jvp": jvp(lambda p: jvp(lambda q: q.sin().exp(), (p,), (p * 2,))[1], (x3,), (torch.ones(3).double(),))[1],
    "vjp": list(vjp(lambda p, q: p * q.exp(), x3, x3 * 2)[1](x3 + 1)),
    "grad_and_value": list(grad_and_value(lambda p: (p * p.cumsum(0)).sum())(x3)),
    "per_sample_mlp": per_sample(mlp(), b, torch.tensor([0, 2, 1, 1, 0])),
    "per_sample_conv": per_sample(convnet(), wave(4, 1, 6, 6), torch.tensor([0, 2, 1, 2])),
    "ensemble": ensemble(),
    "vmap_linalg": vmap(lambda a: torch.linalg.solve(a @ a.T + 3 * torch.eye(3).double(), a))(wave(2, 3, 3)),
    "vmap_index": vmap(lambda a, i: a[i], in_dims=(0, 0))(b, torch.tensor([[0, 2], [1, 1], [2, 0], [0, 0], [2, 1]])),
    "vmap_scatter": vmap(lambda a, i: torch.zeros(4).double().scatter_add(0, i, a))(b, torch.arange(15).reshape(5, 3) % 4),
    "functional_jacobian": torch.autograd.functional.jacobian(lambda p, q: (p * q.sum(), q ** 2), (x3, x3 * 2)),
    "functional_hessian": torch.autograd.functional.hessian(lambda p, q: (p ** 2 * q).sum(), (x3, x3 * 2)),
    "functional_hvp": list(torch.autograd.functional.hvp(lambda p: (p ** 3).sum(), x3, x3 + 1)),
    "functional_jvp": list(torch.autograd.functional.jvp(lambda p: p.exp().cumsum(0), x3, x3 + 1)),
    "randomness": randomness(),
}

with open(OUT, "w") as file:
    file.write("-- Written by scripts/gen/golden_func.py with PyTorch " + torch.__version__.split("+")[0] + "; do not edit.\n")
    file.write("return {\n")
    for name, value in tables.items():
        text = lua(value)
        file.write(f"  {name} = " + text.replace(" }, [", " },\n    [") + ",\n")
    file.write("}\n")
