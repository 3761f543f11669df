"""scripts/distillation.lua in PyTorch: same nets, seed, draws."""
import copy

import common
import torch
import torch.nn as nn
import torch.nn.functional as F

options = common.options(
    [("epochs", 5), ("batch-size", 128), ("hidden", 32), ("temperature", 2.0), ("alpha", 0.5), ("lr", 5e-3), *common.image_options(10000)],
    {"epochs": 2, **common.QUICK_IMAGES})
train_x, train_y, test_x, test_y = common.images(options)
teacher = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))
alone = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, options.hidden), nn.ReLU(), nn.Linear(options.hidden, 10))
distilled = copy.deepcopy(alone)
phases = [("teacher", teacher), ("alone", alone), ("distilled", distilled)]
optimizers = [torch.optim.Adam(net.parameters(), lr=options.lr) for _, net in phases]


def distillation_loss(logits, x, y):
    t = options.temperature
    with torch.no_grad():
        answers = (teacher(x) / t).softmax(1)
    soft = F.kl_div((logits / t).log_softmax(1), answers, reduction="batchmean") * (t * t)
    return options.alpha * soft + (1 - options.alpha) * F.cross_entropy(logits, y)


def step(round):
    which = (round - 1) // options.epochs
    (name, net), optimizer = phases[which], optimizers[which]
    teacher.eval()
    net.train()
    total = 0.0
    for x, y in common.batches(options.batch_size, train_x, train_y):
        logits = net(x)
        loss = distillation_loss(logits, x, y) if name == "distilled" else F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    return {name: common.accuracy(net, test_x, test_y), "loss": total / len(train_x)}


common.loop("epoch", 3 * options.epochs, step)
print(f"teacher accuracy: {common.accuracy(teacher, test_x, test_y):.4f}")
print(f"student accuracy: {common.accuracy(alone, test_x, test_y):.4f}")
common.final("distilled accuracy", common.accuracy(distilled, test_x, test_y))
