"""Writes tests/golden/nn_utils.lua: PyTorch's values for tests/lua/nn_utils_spec.lua and prune_spec.lua. Run by hand:

  python3 scripts/gen/golden_nn_utils.py
Weights follow from a seed (drawn as float32, then made float64 where no random numbers follow), inputs from formulas.
"""
import os

import torch
import torch.nn as nn
from torch.nn.utils import (fuse_conv_bn_eval, fuse_linear_bn_eval, parametrizations, parametrize, prune,
                            remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm)

OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/nn_utils.lua")


def wave(*shape):
    n = 1
    for s in shape:
        n *= s
    return torch.sin(torch.arange(n, dtype=torch.float64) * 0.7 + 0.3).reshape(shape)


def flat(t):
    if t.is_complex():
        t = torch.view_as_real(t)
    return t.detach().reshape(-1).tolist()


def lua(v, digits):
    if isinstance(v, torch.Tensor):
        v = flat(v)
    if isinstance(v, (list, tuple)):
        return "{" + ",".join(lua(x, digits) for x in v) + "}"
    if isinstance(v, dict):
        return "{" + ",".join(f'["{k}"]={lua(x, digits)}' for k, x in v.items()) + "}"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, float):
        text = format(v, f".{digits}g")
        return text if "." in text or "e" in text or "n" in text else text + ".0"
    if isinstance(v, str):
        return "[[" + ("\n" if v.startswith("\n") else "") + v + "]]"
    return repr(v)


def norm_stats(bn):
    with torch.no_grad():
        bn.running_mean.copy_(wave(bn.num_features) * 0.5)
        bn.running_var.copy_(wave(bn.num_features).abs() + 0.2)
        if bn.affine:
            bn.weight.copy_(wave(bn.num_features) + 1.5)
            bn.bias.copy_(wave(bn.num_features) - 0.2)


def fusion():
    result = {}
    cases = {
        "conv1": (nn.Conv1d, nn.BatchNorm1d, (2, 3, 2), {}, {}, False),
        "conv2": (nn.Conv2d, nn.BatchNorm2d, (4, 2, 3), {"groups": 2, "bias": False}, {}, False),
        "conv3": (nn.Conv3d, nn.BatchNorm3d, (1, 2, 2), {}, {"affine": False}, False),
        "transposed": (nn.ConvTranspose2d, nn.BatchNorm2d, (3, 2, 2), {}, {}, True),
        "linear": (nn.Linear, nn.BatchNorm1d, (4, 3), {}, {}, None),
        "linear_no_bias": (nn.Linear, nn.BatchNorm1d, (4, 3), {"bias": False}, {}, None),
    }
    for name, (Layer, Norm, sizes, options, norm_options, transpose) in cases.items():
        torch.manual_seed(3)
        layer = Layer(*sizes, **options).double().eval()
        bn = Norm(sizes[1], **norm_options).double().eval()
        norm_stats(bn)
        fused = fuse_linear_bn_eval(layer, bn) if transpose is None else fuse_conv_bn_eval(layer, bn, transpose)
        result[name] = {"weight": fused.weight, "bias": fused.bias}
    return result


def grads(module, loss):
    module.zero_grad()
    loss.backward()
    return {k: p.grad for k, p in module.named_parameters() if p.grad is not None}


def weight_norms():
    result = {}
    for name, dim in {"0": 0, "1": 1, "none": None}.items():
        for kind, make in {"new": parametrizations.weight_norm, "old": weight_norm}.items():
            torch.manual_seed(5)
            layer = make(nn.Linear(3, 2).double(), dim=dim)
            y = layer(wave(2, 3))
            entry = {"y": y, "grads": grads(layer, (y * wave(2, 2)).sum()), "keys": list(layer.state_dict().keys())}
            if kind == "new":
                parametrize.remove_parametrizations(layer, "weight")
            else:
                remove_weight_norm(layer)
            entry["after"] = layer.weight
            result[kind + name] = entry
    torch.manual_seed(5)
    conv = parametrizations.weight_norm(nn.Conv2d(2, 3, 2).double(), name="weight")
    with torch.no_grad():
        conv.weight = wave(3, 2, 2, 2)
    result["set"] = {k: v for k, v in conv.state_dict().items()}
    result["repr"] = repr(conv)
    return result


def spectral_norms():
    result = {}
    layers = {"linear": lambda: nn.Linear(3, 4), "conv": lambda: nn.Conv2d(2, 3, 2),
              "transposed": lambda: nn.ConvTranspose1d(3, 2, 2), "embedding": lambda: nn.Embedding(4, 3)}
    for name, make in layers.items():
        for kind, norm in {"new": parametrizations.spectral_norm, "old": spectral_norm}.items():
            torch.manual_seed(7)
            layer = norm(make(), n_power_iterations=2)
            weights = []
            for _ in range(2):
                if kind == "old":
                    for hook in layer._forward_pre_hooks.values():
                        hook(layer, ())
                weights.append(layer.weight.detach().clone())
            w = layer.weight
            entry = {"weights": weights, "grads": grads(layer, (w * wave(*w.shape).float()).sum()),
                     "keys": list(layer.state_dict().keys())}
            layer.eval()
            entry["eval"] = layer.weight
            if kind == "old":
                remove_spectral_norm(layer)
            else:
                parametrize.remove_parametrizations(layer, "weight")
            entry["after"] = layer.weight
            result[kind + "_" + name] = entry
    torch.manual_seed(8)
    bias = parametrizations.spectral_norm(nn.Linear(2, 3), name="bias")
    result["bias"] = bias.bias
    return result


def orthogonals():
    result = {}
    for map_name in ["matrix_exp", "cayley", "householder"]:
        for shape in [(3, 3), (4, 2), (2, 4)]:
            for trivial in [True, False]:
                torch.manual_seed(9)
                layer = parametrizations.orthogonal(nn.Linear(shape[1], shape[0], bias=False), orthogonal_map=map_name,
                                                    use_trivialization=trivial)
                with torch.no_grad():
                    off = wave(*shape).float() * (1 - torch.eye(*shape))
                    list(layer.parameters())[0].add_(off * 0.1)
                w = layer.weight
                result[f"{map_name}_{shape[0]}{shape[1]}_{trivial}"] = {
                    "weight": w, "grads": grads(layer, (w * wave(*shape).float()).sum()),
                    "keys": list(layer.state_dict().keys())}
    torch.manual_seed(10)
    layer = parametrizations.orthogonal(nn.Linear(3, 3))
    with torch.no_grad():
        q = torch.linalg.qr(wave(3, 3).float() + torch.eye(3))[0]
        layer.weight = q
    result["set"] = {"given": q, "got": layer.weight}
    torch.manual_seed(11)
    m = nn.Module()
    m.w = nn.Parameter(torch.complex(wave(2, 3, 3) + 2 * torch.eye(3), wave(2, 3, 3) * 0.5))
    parametrizations.orthogonal(m, "w")
    result["complex"] = m.w
    result["repr"] = repr(layer)
    return result


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, a):
        return a.triu()


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


def custom():
    torch.manual_seed(12)
    layer = nn.Linear(3, 3).double()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "weight", Double())
    parametrize.register_parametrization(layer, "bias", Double())
    y = layer(wave(2, 3))
    return {"y": y, "grads": grads(layer, (y * wave(2, 3)).sum()), "repr": repr(layer),
            "keys": list(layer.state_dict().keys()), "names": [n for n, _ in layer.named_parameters()]}


def net(seed=13):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))


def pruned():
    result = {}

    def case(name, fn):
        n = net()
        torch.manual_seed(14)
        fn(n)
        n(wave(1, 2, 4, 4).float()).sum().backward()
        result[name] = {"state": {k: v for k, v in n.state_dict().items() if k.endswith("_mask")},
                        "keys": list(n.state_dict().keys()), "weight": n[0].weight, "bias": n[3].bias,
                        "grad": n[0].weight_orig.grad if hasattr(n[0], "weight_orig") else None}
        if result[name]["grad"] is None:
            del result[name]["grad"]

    def many(*fns):
        def run(n):
            for fn in fns:
                fn(n)
        return run

    case("identity", lambda n: prune.identity(n[0], "weight"))
    case("random", lambda n: prune.random_unstructured(n[0], "weight", 0.4))
    case("random_count", lambda n: prune.random_unstructured(n[3], "bias", 2))
    case("l1", lambda n: prune.l1_unstructured(n[0], "weight", 0.25))
    case("l1_scores", lambda n: prune.l1_unstructured(n[0], "weight", 7, importance_scores=wave(4, 2, 3, 3)))
    case("random_structured", lambda n: prune.random_structured(n[0], "weight", 0.5, dim=1))
    case("ln1", lambda n: prune.ln_structured(n[0], "weight", 2, n=1, dim=0))
    case("ln2", lambda n: prune.ln_structured(n[0], "weight", 0.3, n=2, dim=-1))
    case("lninf", lambda n: prune.ln_structured(n[0], "weight", 0.3, n=float("inf"), dim=2))
    case("custom", lambda n: prune.custom_from_mask(n[3], "bias", torch.tensor([1, 0, 1, 0, 1])))
    case("twice", many(lambda n: prune.l1_unstructured(n[0], "weight", 0.25),
                       lambda n: prune.l1_unstructured(n[0], "weight", 0.5)))
    case("mixed", many(lambda n: prune.ln_structured(n[0], "weight", 1, n=2, dim=0),
                       lambda n: prune.random_unstructured(n[0], "weight", 0.3),
                       lambda n: prune.random_structured(n[0], "weight", 1, dim=3),
                       lambda n: prune.identity(n[0], "weight")))
    case("global_l1", lambda n: prune.global_unstructured([(n[0], "weight"), (n[3], "weight")],
                                                          pruning_method=prune.L1Unstructured, amount=0.2))
    case("global_random", lambda n: prune.global_unstructured([(n[0], "weight"), (n[3], "bias")],
                                                              pruning_method=prune.RandomUnstructured, amount=9))
    case("global_twice", many(
        lambda n: prune.l1_unstructured(n[0], "weight", 0.25),
        lambda n: prune.global_unstructured([(n[0], "weight"), (n[3], "weight")],
                                            pruning_method=prune.L1Unstructured, amount=0.2)))
    case("removed", many(lambda n: prune.l1_unstructured(n[0], "weight", 0.25), lambda n: prune.remove(n[0], "weight")))
    return result


def main():
    parts = {"fusion": (fusion(), 15), "weight_norm": (weight_norms(), 15), "spectral_norm": (spectral_norms(), 9),
             "orthogonal": (orthogonals(), 9), "custom": (custom(), 15), "prune": (pruned(), 8)}
    with open(OUT, "w", encoding="utf-8") as f:
        f.write(f"-- Written by scripts/gen/golden_nn_utils.py with PyTorch {torch.__version__.split('+')[0]}; do not edit.\n")
        f.write("return {\n")
        for name, (value, digits) in parts.items():
            f.write(f"  {name} = {{\n")
            for key, entry in value.items():
                f.write(f'    ["{key}"] = {lua(entry, digits)},\n')
            f.write("  },\n")
        f.write("}\n")


main()
