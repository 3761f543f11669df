"""PyTorch's times for the nets of steps.lua, which tells what is measured.   python3 scripts/bench/steps.py [PATTERN]"""
import torch
import torch.nn.functional as F
from torch import nn, optim

from nets import Residual, arguments, measure, placed

options = arguments([("pattern", str, "")], warm_ups=3, seconds=2.0, least=5, sample=0.001)


def classifier(net, x, y, optimizer):
    def step():
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return step


def mlp(batch, *sizes):
    layers = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(nn.ReLU())
    net = nn.Sequential(*layers)
    return classifier(net, torch.randn(batch, sizes[0]), torch.randint(0, sizes[-1], (batch,)),
                      optim.SGD(net.parameters(), lr=0.01, momentum=0.9))


def convnet(net, batch, channels, side, classes):
    net, x = placed(net, options), placed(torch.randn(batch, channels, side, side), options)
    return classifier(net, x, torch.randint(0, classes, (batch,)),
                      optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4))


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(256, 256)
        self.head = nn.Linear(256, 50)

    def forward(self, x):
        return self.head(self.lstm(x)[0]).view(-1, 50)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (part.view(n, t, self.heads, width // self.heads).transpose(1, 2)
                   for part in self.qkv(self.ln_1(x)).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(n, t, width))
        return x + self.mlp(self.ln_2(x))


def resnet20():
    layers, inputs = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage, width in enumerate((16, 32, 64)):
        for i in range(3):
            layers.append(Residual(inputs, width, 2 if stage > 0 and i == 0 else 1))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def depthwise_net():
    layers, inputs = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()], 32
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += [nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU6(),
                   nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6()]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 100))


def lstm():
    net = Tagger()
    return classifier(net, torch.randn(64, 32, 256), torch.randint(0, 50, (64 * 32,)), optim.Adam(net.parameters()))


def gpt_block():
    net = Block(384, 6)
    x, y = torch.randn(8, 256, 384), torch.randn(8, 256, 384)
    optimizer = optim.AdamW(net.parameters())

    def step():
        optimizer.zero_grad()
        F.mse_loss(net(x), y).backward()
        optimizer.step()
    return step


def lenet():
    return convnet(nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1),
                                 nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(),
                                 nn.Linear(128, 10)), 64, 1, 28, 10)


NETS = {
    "MLP 784-512-512-10, batch 128": lambda: mlp(128, 784, 512, 512, 10),
    "MLP 64-64-10, batch 1": lambda: mlp(1, 64, 64, 10),
    "LSTM, batch 32, 64 steps, 256 wide": lstm,
    "GPT block, 8 x 256 x 384, 6 heads": gpt_block,
    "LeNet-like CNN, batch 64, 28 x 28": lenet,
    "ResNet-20, batch 32, 32 x 32": lambda: convnet(resnet20(), 32, 3, 32, 10),
    "depthwise separable net, batch 16, 112 x 112": lambda: convnet(depthwise_net(), 16, 3, 112, 100),
}

measure(NETS.items(), options)
