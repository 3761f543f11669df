"""scripts/train_regression.lua in PyTorch: same net, seed, draws."""
import gzip
import math

import common
import torch
import torch.nn as nn
import torch.nn.functional as F

options = common.options(
    [("target", -1), ("rows", 2000), ("epochs", 60), ("batch-size", 32), ("hidden", 64), ("lr", 3e-3), ("weight-decay", 1e-3),
     ("patience", 15)],
    {"rows": 200, "epochs": 6, "hidden": 16, "lr": 1e-2}, positional=True)


def read_table(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    rows = []
    for line in data.decode().splitlines():
        fields = [f.replace('"', "") for f in line.replace(";", " ").replace(",", " ").split()]
        try:
            row = [float(f) for f in fields]
        except ValueError:
            continue
        if rows and len(row) != len(rows[0]):
            if len(rows) != 1:
                continue
            rows = []
        if len(row) > 1:
            rows.append(row)
    return torch.tensor(rows)


def friedman(count):
    x = torch.rand(count, 10)
    y = torch.sin(x[:, 0] * x[:, 1] * math.pi) * 10 + (x[:, 2] - 0.5) ** 2 * 20 + x[:, 3] * 10 + x[:, 4] * 5
    return torch.cat([x, (y + torch.randn(count)).unsqueeze(1)], 1)


rows = read_table(options.file) if options.file else friedman(options.rows)
columns = rows.size(1)
target = options.target % columns
rows = rows[torch.randperm(len(rows))]
inputs = torch.cat([rows[:, :target], rows[:, target + 1 :]], 1)
outputs = rows[:, target : target + 1]
test_count = len(rows) // 5


def scaled(t):
    known = t[test_count:]
    mean, deviation = known.mean(0, True), known.std(0, keepdim=True).clamp(1e-6)
    return (t - mean) / deviation, mean, deviation


x, _, _ = scaled(inputs)
y, y_mean, y_deviation = scaled(outputs)
test_x, test_y, train_x, train_y = x[:test_count], outputs[:test_count], x[test_count:], y[test_count:]
hidden = options.hidden
net = nn.Sequential(nn.Linear(columns - 1, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
optimizer = torch.optim.AdamW(net.parameters(), lr=options.lr, weight_decay=options.weight_decay)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)


def step(_):
    total = 0.0
    for a, b in common.batches(options.batch_size, train_x, train_y):
        loss = F.mse_loss(net(a), b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(a)
    with torch.no_grad():
        residual = (net(test_x) * y_deviation + y_mean - test_y).double()
    error = residual.square().mean().sqrt().item()
    r2 = 1 - residual.square().sum() / (test_y.double() - test_y.double().mean()).square().sum()
    scheduler.step()
    return {"loss": total / len(train_x), "error": error, "r2": r2.item()}


best, waited, history = math.inf, 0, []
for epoch in range(1, options.epochs + 1):
    history += common.loop(f"epoch {epoch} of {options.epochs}: round", 1, step)
    error = history[-1]["error"]
    best, waited = (error, 0) if error < best else (best, waited + 1)
    if waited >= options.patience:
        break
common.final("test R2", history[-1]["r2"])
