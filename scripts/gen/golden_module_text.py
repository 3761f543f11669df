"""Writes tests/golden/print/modules.lua: what PyTorch prints for nested models; tests/lua/module_text_spec.lua builds the
same ones. Run by hand: python3 scripts/gen/golden_module_text.py
"""
import os
from collections import OrderedDict

import torch
import torch.nn as nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/print/modules.lua")
MODELS = {}


def model(fn):
    MODELS[fn.__name__] = fn
    return fn


@model
def alexnet():
    class AlexNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU(inplace=True),
                nn.MaxPool2d(kernel_size=3, stride=2), nn.Conv2d(64, 192, kernel_size=5, padding=2),
                nn.ReLU(inplace=True), nn.MaxPool2d(kernel_size=3, stride=2))
            self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
            self.classifier = nn.Sequential(nn.Dropout(p=0.5), nn.Linear(192 * 36, 40), nn.ReLU(inplace=True),
                                            nn.Linear(40, 10))
    return AlexNet()


@model
def vgg():
    layers, channels = [], 3
    for v in [8, "M", 16, "M", 32, 32, "M"]:
        if v == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, v, 3, padding=1), nn.BatchNorm2d(v), nn.ReLU(True)]
            channels = v
    net = nn.Module()
    net.features = nn.Sequential(*layers)
    net.avgpool = nn.AdaptiveAvgPool2d(7)
    return net


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))


@model
def resnet():
    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(8)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
            self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(16, 10)
    return ResNet()


class MLP(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.c_fc = nn.Linear(n, 4 * n)
        self.gelu = nn.GELU(approximate="tanh")
        self.c_proj = nn.Linear(4 * n, n)
        self.dropout = nn.Dropout(0.1)


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.ln_1 = nn.LayerNorm(n)
        self.attn = nn.Linear(n, 3 * n, bias=False)
        self.ln_2 = nn.LayerNorm(n, eps=1e-6)
        self.mlp = MLP(n)


@model
def gpt():
    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.transformer = nn.ModuleDict(dict(
                wte=nn.Embedding(50, 8), wpe=nn.Embedding(16, 8, padding_idx=0), drop=nn.Dropout(0.1),
                h=nn.ModuleList([Block(8) for _ in range(6)]), ln_f=nn.LayerNorm(8)))
            self.lm_head = nn.Linear(8, 50, bias=False)
    return GPT()


@model
def gpt_mixed():
    return nn.ModuleList([Block(8), Block(8), Block(4), nn.ReLU(), Block(4), Block(4)])


@model
def lists_of_lists():
    return nn.ModuleList([nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]) for _ in range(2)] + [nn.ModuleList()])


@model
def module_dict():
    return nn.ModuleDict([("conv", nn.Conv1d(1, 2, 3)), ("pool", nn.ModuleDict({"max": nn.MaxPool1d(2)})),
                          ("act", nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.LeakyReLU(0.2)]))])


@model
def empty():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Sequential(), nn.ModuleList(), nn.ModuleDict()
            self.d, self.e, self.f = nn.ParameterList(), nn.ParameterDict(), nn.Module()
    return Net()


@model
def only_parameters():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.register_buffer("shift", torch.zeros(2))
    return nn.Sequential(Scale(), Scale())


@model
def extra_repr():
    class Custom(nn.Module):
        def extra_repr(self):
            return "size=3, kind='x'"
    return Custom()


@model
def extra_repr_lines():
    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(1, 1)

        def extra_repr(self):
            return "first line\nsecond line"
    return nn.Sequential(Custom(), nn.ReLU())


@model
def extra_repr_lines_alone():
    class Custom(nn.Module):
        def extra_repr(self):
            return "first line\nsecond line"
    return nn.Sequential(Custom())


@model
def named_sequential():
    return nn.Sequential(OrderedDict([("conv1", nn.Conv2d(1, 20, 5)), ("relu1", nn.ReLU()),
                                      ("conv2", nn.Conv2d(20, 64, (5, 3), padding="same")), ("relu2", nn.ReLU())]))


@model
def unet():
    class Double(nn.Sequential):
        def __init__(self, a, b):
            super().__init__(nn.Conv2d(a, b, 3, padding=1), nn.ReLU())

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.ModuleList([Double(1, 4), Double(4, 8)])
            self.up = nn.ModuleList([nn.ConvTranspose2d(8, 4, 2, stride=2), Double(8, 4)])
            self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(4, 1, 1)
    return UNet()


@model
def inception():
    class Inception(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch1 = nn.Conv2d(4, 2, 1)
            self.branch2 = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 3, padding=1))
            self.branch3 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), nn.Conv2d(4, 2, 1))
    return nn.Sequential(Inception(), Inception())


@model
def mobilenet():
    class ConvBNReLU(nn.Sequential):
        def __init__(self, a, b, k, groups=1):
            super().__init__(nn.Conv2d(a, b, k, padding=k // 2, groups=groups, bias=False),
                             nn.BatchNorm2d(b, eps=0.001, momentum=0.01), nn.ReLU6(inplace=True))

    class InvertedResidual(nn.Module):
        def __init__(self, n, t):
            super().__init__()
            self.conv = nn.Sequential(ConvBNReLU(n, n * t, 1), ConvBNReLU(n * t, n * t, 3, groups=n * t),
                                      nn.Conv2d(n * t, n, 1, bias=False), nn.BatchNorm2d(n))
    return nn.Sequential(ConvBNReLU(3, 4, 3), InvertedResidual(4, 6))


@model
def autoencoder():
    net = nn.Module()
    net.encoder = nn.Sequential(nn.Conv3d(1, 2, 3, stride=2), nn.Hardswish(), nn.Flatten())
    net.decoder = nn.Sequential(nn.Unflatten(1, (2, 3, 3, 3)), nn.ConvTranspose3d(2, 1, 3, 2, output_padding=1),
                                nn.Sigmoid(), nn.Upsample(scale_factor=2))
    return net


@model
def parameters_inside():
    net = nn.Module()
    net.weights = nn.ParameterList([nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4).double()),
                                    nn.Parameter(torch.tensor(1.0))])
    net.named = nn.ParameterDict({"left": torch.zeros(2), "right": nn.Parameter(torch.zeros(2, 2).half())})
    net.out = nn.Linear(2, 2)
    return net


@model
def shared():
    layer = nn.Linear(2, 2)
    net = nn.Module()
    net.a, net.b = layer, nn.Sequential(layer, layer)
    return net


@model
def removed_child():
    net = nn.Module()
    net.a, net.b, net.c = nn.Linear(1, 1), nn.ReLU(), nn.Tanh()
    net.b = None
    net.register_module("d", None)
    del net.c
    return net


@model
def parametrized():
    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT
    net = nn.Sequential(nn.Linear(3, 3), nn.Conv2d(1, 2, 3), nn.Linear(3, 3))
    parametrize.register_parametrization(net[0], "weight", Symmetric())
    parametrizations.weight_norm(net[1])
    parametrizations.spectral_norm(parametrizations.orthogonal(net[2]))
    return net


@model
def parametrized_block():
    block = Block(4)
    parametrizations.spectral_norm(block.mlp.c_fc)
    return nn.ModuleList([block, Block(4)])


@model
def normed_and_pruned():
    net = nn.Sequential(weight_norm(nn.Linear(2, 2)), spectral_norm(nn.Linear(2, 2)), nn.Linear(2, 2))
    prune.l1_unstructured(net[2], "weight", 0.5)
    return net


@model
def attention():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(8, 2, batch_first=True)
            self.norm = nn.RMSNorm(8, eps=1e-5)
            self.bags = nn.EmbeddingBag(10, 8, mode="sum")
            self.bilinear = nn.Bilinear(2, 3, 4, bias=False)
            self.group = nn.GroupNorm(2, 8)
            self.loss = nn.CrossEntropyLoss()
    return Encoder()


@model
def long_list():
    return nn.ModuleList([nn.Linear(1, 1) if i % 5 else nn.Dropout(0.1) for i in range(12)])


@model
def quantities():
    return nn.Sequential(nn.Softmax(dim=1), nn.LogSoftmax(), nn.PReLU(), nn.Threshold(0.1, 20), nn.Identity(),
                         nn.ZeroPad2d((1, 2, 3, 4)), nn.LocalResponseNorm(2), nn.Hardtanh(-2, 2), nn.PixelShuffle(3),
                         nn.InstanceNorm2d(3), nn.Dropout2d(), nn.ConstantPad1d(2, 3.5))


def main():
    with open(OUT, "w", encoding="utf-8") as f:
        f.write("-- Written by scripts/gen/golden_module_text.py with PyTorch "
                f"{torch.__version__.split('+')[0]}; do not edit.\nreturn {{\n")
        for name, make in MODELS.items():
            f.write(f"  {name} = [=[\n{make()!r}]=],\n")
        f.write("}\n")


main()
