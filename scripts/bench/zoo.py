"""torchvision's times for the networks of zoo.lua, which tells what is measured.   python3 scripts/bench/zoo.py [PATTERN]"""
import contextlib

import torch
import torch.nn.functional as F
from torch.fx.experimental.optimization import fuse
from torchvision import models

from nets import arguments, measure, placed

options = arguments([("pattern", str, "")], warm_ups=2, seconds=1.0, least=5, sample=0.001)


def training(name, batch, side, dtype):
    net = placed(getattr(models, name)().train(), options)
    x, y = placed(torch.randn(batch, 3, side, side), options), torch.randint(0, 1000, (batch,))
    if dtype != torch.float32 and not options.autocast:
        net, x = net.to(dtype), x.to(dtype)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype) if dtype != torch.float32 and options.autocast else contextlib.nullcontext():
            loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    return step


def inference(name, folded, side):
    net = getattr(models, name)().eval()
    net = placed(fuse(net) if folded else net, options)
    x = placed(torch.randn(1, 3, side, side), options)

    def run():
        with torch.no_grad():
            net(x)
    return run


def training_row(name, batch, side, dtype=torch.float32):
    kind = name if dtype == torch.float32 else name + " in bfloat16"
    return f"{kind}, training step, batch {batch}, {side} x {side}", lambda: training(name, batch, side, dtype)


def inference_row(name, folded, side):
    kind = name + " folded" if folded else name
    return f"{kind}, inference, batch 1, {side} x {side}", lambda: inference(name, folded, side)


rows = [training_row("vgg16", 16, 224), training_row("resnet18", 16, 224), training_row("alexnet", 32, 224),
        training_row("mobilenet_v2", 16, 224), training_row("efficientnet_b0", 16, 224),
        training_row("resnet18", 16, 224, torch.bfloat16),
        inference_row("resnet50", False, 224), inference_row("resnet50", True, 224), inference_row("vgg16", False, 224),
        inference_row("vgg16_bn", False, 224), inference_row("vgg16_bn", True, 224)]
for network in ("squeezenet1_1", "resnet18", "mobilenet_v2", "efficientnet_b0"):
    rows += [training_row(network, 4, 64), inference_row(network, False, 64)]

measure(rows, options)
