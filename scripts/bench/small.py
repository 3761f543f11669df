"""PyTorch's times for the rows of small.lua, which tells what is measured.   python3 scripts/bench/small.py [PATTERN]"""
import torch
import torch.nn.functional as F
from torch import nn

from nets import arguments, measure

options = arguments([("pattern", str, "")], warm_ups=100, seconds=0.5, least=15, sample=0.02)


def sum_of_ones(requires_grad):
    a, b = torch.ones(1, requires_grad=requires_grad), torch.ones(1)
    return lambda: a + b


def add_in_place():
    a, b = torch.ones(1), torch.ones(1)
    return lambda: a.add_(b)


def times_a_number():
    a = torch.ones(1)
    return lambda: a * 2.5


def row_of_a_matrix():
    a = torch.ones(4, 4)
    return lambda: a[2]


def linear():
    x, weight, bias = torch.randn(1, 64), torch.randn(64, 64), torch.randn(64)
    return lambda: F.linear(x, weight, bias)


def mlp_backward():
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    loss = F.cross_entropy(net(torch.randn(1, 64)), torch.tensor([3]))
    return lambda: loss.backward(retain_graph=True)


measure([
    ("one element, a + b", lambda: sum_of_ones(False)),
    ("one element with gradient, a + b", lambda: sum_of_ones(True)),
    ("one element, add_", add_in_place),
    ("one element, times a number", times_a_number),
    ("a row of a matrix", row_of_a_matrix),
    ("linear, 1 x 64", linear),
    ("backward of MLP 64-64-10, batch 1", mlp_backward),
], options)
