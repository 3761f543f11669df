"""Writes tests/golden/libs.lua: PyTorch's values for the specs of the Lua libraries. Run by hand:

  python3 scripts/gen/golden_libs.py
Texts of print, CRC-32 of initial parameters (exact for a seed), outputs of layers, steps of optimizers, rates of
schedulers, orders of loaders.
"""
import math
import os
import zlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils import data

OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/libs.lua")


def crc(t):
    return zlib.crc32(t.detach().contiguous().numpy().tobytes())


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


def lua(v, indent=2):
    """A Python value as Lua source; short lists on one line."""
    if v is None:
        return "nil"
    if isinstance(v, str):
        return "[==[\n" + v + "]==]" if "\n" in v else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(v, torch.Tensor):
        return lua(v.tolist(), indent)
    if isinstance(v, (list, tuple)):
        return "{ " + ", ".join(lua(x, indent + 2) for x in v) + " }" if v else "{}"
    if isinstance(v, dict):
        pad = " " * indent
        rows = "".join(f"{pad}[{lua(k)}] = {lua(x, indent + 2)},\n" for k, x in v.items())
        return "{\n" + rows + " " * (indent - 2) + "}"
    return number(v)


# --- layers: Lua text, Python text, input shape (None: not run) ---------------------------------------
LAYERS = [
    ("nn.Linear(3, 4)", "nn.Linear(3, 4)", (2, 3)),
    ("nn.Linear(3, 4, {bias = false})", "nn.Linear(3, 4, bias=False)", (2, 3)),
    ("nn.Bilinear(2, 3, 4)", "nn.Bilinear(2, 3, 4)", None),
    ("nn.Identity()", "nn.Identity()", (2,)),
    ("nn.Conv1d(3, 4, 3)", "nn.Conv1d(3, 4, 3)", (2, 3, 6)),
    ("nn.Conv2d(3, 4, 3, {stride = 2, padding = 1, dilation = 2, bias = false})",
     "nn.Conv2d(3, 4, 3, stride=2, padding=1, dilation=2, bias=False)", (1, 3, 7, 7)),
    ("nn.Conv2d(4, 4, {3, 5}, {padding = 'same', padding_mode = 'reflect', groups = 2})",
     "nn.Conv2d(4, 4, (3, 5), padding='same', padding_mode='reflect', groups=2)", (1, 4, 6, 6)),
    ("nn.Conv2d(2, 3, 3, {padding = 'same'})", "nn.Conv2d(2, 3, 3, padding='same')", (1, 2, 4, 4)),
    ("nn.Conv3d(2, 3, 2)", "nn.Conv3d(2, 3, 2)", (1, 2, 3, 3, 3)),
    ("nn.ConvTranspose1d(3, 4, 3)", "nn.ConvTranspose1d(3, 4, 3)", (1, 3, 4)),
    ("nn.ConvTranspose2d(3, 4, 3, {stride = 2, output_padding = 1, padding = 1})",
     "nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1, padding=1)", (1, 3, 3, 3)),
    ("nn.ConvTranspose3d(2, 2, 2)", "nn.ConvTranspose3d(2, 2, 2)", (1, 2, 2, 2, 2)),
    ("nn.BatchNorm1d(3)", "nn.BatchNorm1d(3)", (4, 3)),
    ("nn.BatchNorm2d(3, {momentum = false, affine = false})", "nn.BatchNorm2d(3, momentum=None, affine=False)",
     (2, 3, 2, 2)),
    ("nn.BatchNorm3d(2, {eps = 1e-3})", "nn.BatchNorm3d(2, eps=1e-3)", (2, 2, 2, 2, 2)),
    ("nn.LayerNorm(5)", "nn.LayerNorm(5)", (2, 5)),
    ("nn.LayerNorm({2, 3}, {elementwise_affine = false})", "nn.LayerNorm([2, 3], elementwise_affine=False)", (2, 2, 3)),
    ("nn.GroupNorm(2, 4)", "nn.GroupNorm(2, 4)", (2, 4, 3)),
    ("nn.RMSNorm(4)", "nn.RMSNorm(4)", (2, 4)),
    ("nn.InstanceNorm1d(3)", "nn.InstanceNorm1d(3)", (2, 3, 4)),
    ("nn.InstanceNorm2d(3, {affine = true})", "nn.InstanceNorm2d(3, affine=True)", (2, 3, 2, 2)),
    ("nn.MaxPool1d(2)", "nn.MaxPool1d(2)", (1, 2, 5)),
    ("nn.MaxPool2d(2, 2, 1)", "nn.MaxPool2d(2, 2, 1)", (1, 1, 4, 4)),
    ("nn.MaxPool2d({2, 3}, {stride = {2, 1}})", "nn.MaxPool2d((2, 3), stride=(2, 1))", (1, 1, 4, 4)),
    ("nn.MaxPool3d(2)", "nn.MaxPool3d(2)", (1, 1, 2, 4, 2)),
    ("nn.AvgPool1d(2)", "nn.AvgPool1d(2)", (1, 2, 5)),
    ("nn.AvgPool2d(2)", "nn.AvgPool2d(2)", (1, 1, 4, 4)),
    ("nn.AvgPool3d(2)", "nn.AvgPool3d(2)", (1, 1, 2, 4, 2)),
    ("nn.AdaptiveAvgPool1d(2)", "nn.AdaptiveAvgPool1d(2)", (1, 2, 5)),
    ("nn.AdaptiveAvgPool2d{1, 1}", "nn.AdaptiveAvgPool2d((1, 1))", (1, 2, 3, 3)),
    ("nn.AdaptiveAvgPool2d{nil, 2}", "nn.AdaptiveAvgPool2d((None, 2))", (1, 1, 3, 4)),
    ("nn.AdaptiveAvgPool3d(1)", "nn.AdaptiveAvgPool3d(1)", (1, 1, 2, 2, 2)),
    ("nn.AdaptiveMaxPool1d(2)", "nn.AdaptiveMaxPool1d(2)", (1, 2, 5)),
    ("nn.AdaptiveMaxPool2d(2)", "nn.AdaptiveMaxPool2d(2)", (1, 1, 3, 4)),
    ("nn.Dropout()", "nn.Dropout()", (3, 4)),
    ("nn.Dropout(0.3, {inplace = true})", "nn.Dropout(0.3, inplace=True)", (3, 4)),
    ("nn.Dropout1d()", "nn.Dropout1d()", (2, 3, 4)),
    ("nn.Dropout2d(0.2)", "nn.Dropout2d(0.2)", (2, 3, 2, 2)),
    ("nn.Dropout3d()", "nn.Dropout3d()", (2, 3, 1, 2, 2)),
    ("nn.AlphaDropout()", "nn.AlphaDropout()", (3, 4)),
    ("nn.Flatten()", "nn.Flatten()", (2, 3, 2)),
    ("nn.Flatten(0, -2)", "nn.Flatten(0, -2)", (2, 3, 2)),
    ("nn.Unflatten(1, {2, 3})", "nn.Unflatten(1, (2, 3))", (2, 6)),
    ("nn.Embedding(10, 3)", "nn.Embedding(10, 3)", None),
    ("nn.Embedding(10, 3, {padding_idx = 0, max_norm = 2.0, norm_type = 1.0, scale_grad_by_freq = true})",
     "nn.Embedding(10, 3, padding_idx=0, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=True)", None),
    ("nn.ReLU()", "nn.ReLU()", (5,)),
    ("nn.ReLU{inplace = true}", "nn.ReLU(inplace=True)", (5,)),
    ("nn.ReLU(true)", "nn.ReLU(True)", (5,)),
    ("nn.ReLU6()", "nn.ReLU6()", (5,)),
    ("nn.LeakyReLU()", "nn.LeakyReLU()", (5,)),
    ("nn.LeakyReLU(0.2, {inplace = true})", "nn.LeakyReLU(0.2, inplace=True)", (5,)),
    ("nn.PReLU()", "nn.PReLU()", (5,)),
    ("nn.ELU()", "nn.ELU()", (5,)),
    ("nn.ELU(0.5, true)", "nn.ELU(0.5, True)", (5,)),
    ("nn.CELU()", "nn.CELU()", (5,)),
    ("nn.SELU()", "nn.SELU()", (5,)),
    ("nn.GELU()", "nn.GELU()", (5,)),
    ("nn.GELU('tanh')", "nn.GELU('tanh')", (5,)),
    ("nn.GLU()", "nn.GLU()", (2, 4)),
    ("nn.Hardshrink()", "nn.Hardshrink()", (5,)),
    ("nn.Hardsigmoid()", "nn.Hardsigmoid()", (5,)),
    ("nn.Hardswish()", "nn.Hardswish()", (5,)),
    ("nn.Hardtanh()", "nn.Hardtanh()", (5,)),
    ("nn.Hardtanh(-2, 2, {inplace = true})", "nn.Hardtanh(-2, 2, inplace=True)", (5,)),
    ("nn.LogSigmoid()", "nn.LogSigmoid()", (5,)),
    ("nn.Mish()", "nn.Mish()", (5,)),
    ("nn.SiLU{inplace = true}", "nn.SiLU(inplace=True)", (5,)),
    ("nn.Sigmoid()", "nn.Sigmoid()", (5,)),
    ("nn.Softplus()", "nn.Softplus()", (5,)),
    ("nn.Softshrink()", "nn.Softshrink()", (5,)),
    ("nn.Softsign()", "nn.Softsign()", (5,)),
    ("nn.Tanh()", "nn.Tanh()", (5,)),
    ("nn.Tanhshrink()", "nn.Tanhshrink()", (5,)),
    ("nn.Threshold(0.1, 20)", "nn.Threshold(0.1, 20)", (5,)),
    ("nn.Softmax(1)", "nn.Softmax(1)", (2, 3)),
    ("nn.Softmax{dim = 0}", "nn.Softmax(dim=0)", (2, 3)),
    ("nn.Softmin(1)", "nn.Softmin(1)", (2, 3)),
    ("nn.Softmax2d()", "nn.Softmax2d()", (1, 3, 2, 2)),
    ("nn.LogSoftmax(1)", "nn.LogSoftmax(1)", (2, 3)),
    ("nn.PixelShuffle(2)", "nn.PixelShuffle(2)", (1, 4, 2, 2)),
    ("nn.ZeroPad2d(1)", "nn.ZeroPad2d(1)", (1, 1, 2, 2)),
    ("nn.ConstantPad2d(1, 3.5)", "nn.ConstantPad2d(1, 3.5)", (1, 1, 2, 2)),
    ("nn.ReflectionPad1d(2)", "nn.ReflectionPad1d(2)", (1, 2, 4)),
    ("nn.ReplicationPad2d{1, 2, 3, 4}", "nn.ReplicationPad2d((1, 2, 3, 4))", (1, 1, 2, 2)),
    ("nn.CircularPad2d(1)", "nn.CircularPad2d(1)", (1, 1, 3, 3)),
    ("nn.RReLU()", "nn.RReLU()", (3, 4)),
    ("nn.LocalResponseNorm(2)", "nn.LocalResponseNorm(2)", (1, 4, 3)),
    ("nn.LPPool2d(2, 3)", "nn.LPPool2d(2, 3)", (1, 1, 6, 6)),
    ("nn.LPPool1d(3, 2)", "nn.LPPool1d(3, 2)", (1, 2, 6)),
    ("nn.Upsample{scale_factor = 2}", "nn.Upsample(scale_factor=2)", (1, 1, 2, 3)),
    ("nn.Upsample({5, 4}, {mode = 'bilinear'})", "nn.Upsample((5, 4), mode='bilinear')", (1, 1, 2, 3)),
    ("nn.UpsamplingNearest2d{scale_factor = 2}", "nn.UpsamplingNearest2d(scale_factor=2)", (1, 1, 2, 2)),
    ("nn.UpsamplingBilinear2d{scale_factor = 2}", "nn.UpsamplingBilinear2d(scale_factor=2)", (1, 1, 2, 3)),
    ("nn.Fold({4, 5}, 2)", "nn.Fold((4, 5), 2)", (1, 4, 12)),
    ("nn.Unfold(2)", "nn.Unfold(2)", (1, 2, 3, 3)),
    ("nn.PReLU(3)", "nn.PReLU(3)", (2, 3, 2)),
    ("nn.ChannelShuffle(2)", "nn.ChannelShuffle(2)", (1, 4, 1, 2)),
    ("nn.PixelUnshuffle(2)", "nn.PixelUnshuffle(2)", (1, 1, 4, 4)),
    ("nn.FeatureAlphaDropout()", "nn.FeatureAlphaDropout()", (2, 3, 2)),
    ("nn.ReflectionPad2d(1)", "nn.ReflectionPad2d(1)", (1, 1, 3, 3)),
    ("nn.Sequential(nn.Linear(2, 3), nn.ReLU())", "nn.Sequential(nn.Linear(2, 3), nn.ReLU())", (2, 2)),
    ("nn.Sequential()", "nn.Sequential()", None),
    ("nn.ModuleList{nn.ReLU(), nn.ReLU(), nn.Linear(2, 2), nn.Sequential(nn.ReLU())}",
     "nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(2, 2), nn.Sequential(nn.ReLU())])", None),
    ("nn.ModuleDict{a = nn.ReLU(), b = nn.Linear(1, 1)}", "nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Linear(1, 1)})", None),
    ("nn.ParameterList{torch.zeros(2, 3), torch.zeros(2)}",
     "nn.ParameterList([nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2))])", None),
]


def layers():
    result = []
    for lua_text, python_text, shape in LAYERS:
        torch.manual_seed(1)
        layer = eval(python_text)
        row = {"code": lua_text, "text": repr(layer) + ("\n" if "\n" in repr(layer) else "")}
        row["state"] = [[k, crc(v)] for k, v in layer.state_dict().items()]
        if shape is not None:
            x = torch.randn(shape)
            row["shape"] = list(shape)
            y = layer(x)
            row["out_shape"] = list(y.shape)
            row["out"] = y.detach().flatten().tolist()
        result.append(row)
    return result


LOSSES = [
    ("nn.MSELoss()", "nn.MSELoss()", "real"), ("nn.MSELoss{reduction = 'sum'}", "nn.MSELoss(reduction='sum')", "real"),
    ("nn.L1Loss()", "nn.L1Loss()", "real"), ("nn.SmoothL1Loss{beta = 0.5}", "nn.SmoothL1Loss(beta=0.5)", "real"),
    ("nn.HuberLoss{delta = 0.5}", "nn.HuberLoss(delta=0.5)", "real"),
    ("nn.CrossEntropyLoss()", "nn.CrossEntropyLoss()", "class"),
    ("nn.CrossEntropyLoss{label_smoothing = 0.1}", "nn.CrossEntropyLoss(label_smoothing=0.1)", "class"),
    ("nn.CrossEntropyLoss{ignore_index = 1, reduction = 'sum'}",
     "nn.CrossEntropyLoss(ignore_index=1, reduction='sum')", "class"),
    ("nn.CrossEntropyLoss(torch.tensor{0.5, 1.0, 2.0})", "nn.CrossEntropyLoss(torch.tensor([0.5, 1.0, 2.0]))", "class"),
    ("nn.CrossEntropyLoss()", "nn.CrossEntropyLoss()", "probability"),
    ("nn.NLLLoss()", "nn.NLLLoss()", "class"),
    ("nn.BCEWithLogitsLoss()", "nn.BCEWithLogitsLoss()", "probability"),
    ("nn.BCEWithLogitsLoss{pos_weight = torch.tensor{1.0, 2.0, 3.0}}",
     "nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0]))", "probability"),
    ("nn.BCELoss()", "nn.BCELoss()", "both probability"),
    ("nn.KLDivLoss{reduction = 'batchmean'}", "nn.KLDivLoss(reduction='batchmean')", "probability"),
    ("nn.PoissonNLLLoss()", "nn.PoissonNLLLoss()", "probability"),
    ("nn.SoftMarginLoss()", "nn.SoftMarginLoss()", "sign"),
    ("nn.HingeEmbeddingLoss()", "nn.HingeEmbeddingLoss()", "sign"),
]


def losses():
    result = []
    for lua_text, python_text, kind in LOSSES:
        torch.manual_seed(2)
        x = torch.randn(4, 3)
        if kind == "real":
            y = torch.randn(4, 3)
        elif kind == "class":
            y = torch.tensor([0, 2, 1, 2])
        elif kind == "sign":
            y = torch.randn(4, 3).sign()
        else:
            y = torch.softmax(torch.randn(4, 3), 1)
        if kind == "both probability":
            x = torch.sigmoid(x)
        x.requires_grad_()
        loss = eval(python_text)(x, y)
        loss.backward()
        result.append({"code": lua_text, "kind": kind, "value": loss.item(), "grad": x.grad.flatten().tolist()})
    return result


INITS = [
    ("uniform_(t, -1, 2)", "uniform_(t, -1, 2)", (3, 4)), ("normal_(t, 1, 2)", "normal_(t, 1, 2)", (3, 4)),
    ("normal_(t)", "normal_(t)", (5, 7)),
    ("constant_(t, 0.3)", "constant_(t, 0.3)", (3,)), ("ones_(t)", "ones_(t)", (3,)), ("zeros_(t)", "zeros_(t)", (3,)),
    ("eye_(t)", "eye_(t)", (3, 4)), ("dirac_(t)", "dirac_(t)", (4, 3, 3, 3)), ("dirac_(t, 2)", "dirac_(t, 2)", (4, 3, 3)),
    ("xavier_uniform_(t)", "xavier_uniform_(t)", (3, 4)),
    ("xavier_uniform_(t, {gain = 2})", "xavier_uniform_(t, gain=2)", (3, 4, 2, 2)),
    ("xavier_normal_(t)", "xavier_normal_(t)", (3, 4)), ("kaiming_uniform_(t)", "kaiming_uniform_(t)", (3, 4)),
    ("kaiming_uniform_(t, {mode = 'fan_out', nonlinearity = 'relu'})",
     "kaiming_uniform_(t, mode='fan_out', nonlinearity='relu')", (3, 4)),
    ("kaiming_normal_(t, 0.1)", "kaiming_normal_(t, 0.1)", (3, 4)),
    ("kaiming_normal_(t, {mode = 'fan_out', nonlinearity = 'relu'})",
     "kaiming_normal_(t, mode='fan_out', nonlinearity='relu')", (16, 3, 3, 3)),
    ("trunc_normal_(t)", "trunc_normal_(t)", (20, 20)),
    ("trunc_normal_(t, {std = 0.02})", "trunc_normal_(t, std=0.02)", (8, 8)),
    ("trunc_normal_(t, {mean = 0, std = 1, a = 3, b = 4})", "trunc_normal_(t, mean=0, std=1, a=3, b=4)", (8, 8)),
    ("orthogonal_(t)", "orthogonal_(t)", (3, 5)), ("orthogonal_(t, 2)", "orthogonal_(t, 2)", (5, 3)),
    ("sparse_(t, 0.5)", "sparse_(t, 0.5)", (4, 3)),
]


def inits():
    result = []
    for lua_text, python_text, shape in INITS:
        torch.manual_seed(3)
        t = torch.empty(shape)
        eval("nn.init." + python_text)
        result.append({"code": lua_text, "shape": list(shape), "crc": crc(t), "values": t.flatten().tolist()[:40]})
    return result


def small_net():
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


OPTIMIZERS = [
    ("optim.SGD(p, {lr = 0.1})", "torch.optim.SGD(p, lr=0.1)"),
    ("optim.SGD(p, {lr = 0.1, momentum = 0.9, weight_decay = 0.01})",
     "torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)"),
    ("optim.SGD(p, {lr = 0.1, momentum = 0.9, dampening = 0.5})",
     "torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5)"),
    ("optim.SGD(p, {lr = 0.1, momentum = 0.9, nesterov = true})",
     "torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)"),
    ("optim.SGD(p, {lr = 0.1, maximize = true})", "torch.optim.SGD(p, lr=0.1, maximize=True)"),
    ("optim.Adam(p)", "torch.optim.Adam(p)"),
    ("optim.Adam(p, {lr = 0.05, betas = {0.8, 0.9}, weight_decay = 0.1})",
     "torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.9), weight_decay=0.1)"),
    ("optim.Adam(p, {lr = 0.05, amsgrad = true})", "torch.optim.Adam(p, lr=0.05, amsgrad=True)"),
    ("optim.AdamW(p, {lr = 0.05})", "torch.optim.AdamW(p, lr=0.05)"),
    ("optim.AdamW(p, {lr = 0.05, weight_decay = 0.2, eps = 1e-4})",
     "torch.optim.AdamW(p, lr=0.05, weight_decay=0.2, eps=1e-4)"),
]


def optimizers():
    result = []
    for lua_text, python_text in OPTIMIZERS:
        net = small_net()
        p = net.parameters()
        optimizer = eval(python_text)
        torch.manual_seed(5)
        for _ in range(6):
            loss = F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 2))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        flat = torch.cat([q.detach().flatten() for q in net.parameters()])
        result.append({"code": lua_text, "values": flat.tolist(), "text": repr(optimizer) + "\n"})
    return result


SCHEDULERS = [
    ("StepLR(o, 3)", "StepLR(o, 3)"), ("StepLR(o, {step_size = 2, gamma = 0.5})", "StepLR(o, step_size=2, gamma=0.5)"),
    ("MultiStepLR(o, {2, 5, 5, 9}, {gamma = 0.3})", "MultiStepLR(o, [2, 5, 5, 9], gamma=0.3)"),
    ("ExponentialLR(o, 0.9)", "ExponentialLR(o, 0.9)"),
    ("CosineAnnealingLR(o, 5)", "CosineAnnealingLR(o, 5)"),
    ("CosineAnnealingLR(o, {T_max = 7, eta_min = 0.01})", "CosineAnnealingLR(o, T_max=7, eta_min=0.01)"),
    ("LambdaLR(o, function(e) return 0.95 ^ e end)", "LambdaLR(o, lambda e: 0.95 ** e)"),
    ("LinearLR(o)", "LinearLR(o)"),
    ("LinearLR(o, {start_factor = 0.5, end_factor = 0.1, total_iters = 4})",
     "LinearLR(o, start_factor=0.5, end_factor=0.1, total_iters=4)"),
]


def schedulers():
    result = []
    for lua_text, python_text in SCHEDULERS:
        a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
        o = torch.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.3}], lr=0.1)
        scheduler = eval("torch.optim.lr_scheduler." + python_text)
        rates = []
        for _ in range(16):
            rates.append([group["lr"] for group in o.param_groups])
            o.step()
            scheduler.step()
        result.append({"code": lua_text, "rates": rates})
    return result


def loaders():
    result = {}
    items = data.TensorDataset(torch.arange(10))

    def order(loader):
        return [batch[0].tolist() for batch in loader]

    torch.manual_seed(6)
    loader = data.DataLoader(items, batch_size=4, shuffle=True)
    result["shuffle"] = [order(loader), order(loader)]
    result["after"] = torch.rand(2)
    torch.manual_seed(6)
    result["drop_last"] = order(data.DataLoader(items, batch_size=4, shuffle=True, drop_last=True))
    torch.manual_seed(6)
    g = torch.Generator()
    g.manual_seed(7)
    loader = data.DataLoader(items, batch_size=3, shuffle=True, generator=g)
    result["generator"] = [order(loader), order(loader)]
    torch.manual_seed(8)
    sampler = data.RandomSampler(range(10), replacement=True, num_samples=40)
    result["replacement"] = list(sampler)
    torch.manual_seed(8)
    result["num_samples"] = list(data.RandomSampler(range(10), num_samples=13))
    torch.manual_seed(8)
    result["subset"] = list(data.SubsetRandomSampler([3, 5, 7, 9, 11]))
    torch.manual_seed(9)
    result["split"] = [list(s.indices) for s in data.random_split(range(10), [6, 4])]
    torch.manual_seed(9)
    result["fractions"] = [list(s.indices) for s in data.random_split(range(10), [0.5, 0.25, 0.25])]
    return result


def clipping():
    net = small_net()
    net(torch.ones(2, 3)).pow(2).sum().backward()
    result = {}
    norm = nn.utils.clip_grad_norm_(net.parameters(), 0.5)
    result["norm"] = norm.item()
    result["clipped"] = torch.cat([p.grad.flatten() for p in net.parameters()])
    net = small_net()
    net(torch.ones(2, 3)).pow(2).sum().backward()
    result["norm_inf"] = nn.utils.clip_grad_norm_(net.parameters(), 0.5, norm_type=float("inf")).item()
    nn.utils.clip_grad_value_(net.parameters(), 0.1)
    result["by_value"] = torch.cat([p.grad.flatten() for p in net.parameters()])
    return result


with open(OUT, "w") as file:
    file.write("-- Written by scripts/gen/golden_libs.py with PyTorch " + torch.__version__.split("+")[0] + "; do not edit.\n")
    tables = {"layers": layers(), "losses": losses(), "inits": inits(), "optimizers": optimizers(),
              "schedulers": schedulers(), "loaders": loaders(), "clipping": clipping()}
    file.write("return {\n")
    for name, value in tables.items():
        file.write(f"  {name} = ")
        if isinstance(value, list):
            file.write("{\n" + "".join("    " + lua(row, 6) + ",\n" for row in value) + "  },\n")
        else:
            file.write(lua(value, 4) + ",\n")
    file.write("}\n")
