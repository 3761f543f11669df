"""scripts/train_vae.lua in PyTorch: same net, seed, draws."""
import common
import torch
import torch.nn as nn
import torch.nn.functional as F

options = common.options(
    [("epochs", 10), ("batch-size", 128), ("hidden", 400), ("latent", 20), ("lr", 1e-3), *common.image_options()],
    {"epochs": 2, "hidden": 64, "latent": 8, "lr": 3e-3, **common.QUICK_IMAGES})
train_x, _, test_x, _ = common.images(options)


class VAE(nn.Module):
    def __init__(self, hidden, latent):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Unflatten(1, (1, 28, 28)))

    def forward(self, x):
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.randn_like(mean) * (log_variance * 0.5).exp()
        return self.decoder(z), mean, log_variance


def bound(net, x):
    logits, mean, log_variance = net(x)
    pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return pixels, (mean**2 + log_variance.exp() - 1 - log_variance).sum() * 0.5


net = VAE(options.hidden, options.latent)
optimizer = torch.optim.Adam(net.parameters(), lr=options.lr)


def step(_):
    total = 0.0
    for (x,) in common.batches(options.batch_size, train_x):
        pixels, distance = bound(net, x)
        loss = (pixels + distance) / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    with torch.no_grad():
        sums = [[v.item() for v in bound(net, x)] for x in test_x.split(500)]
    pixels, distance = (sum(s[i] for s in sums) / len(test_x) for i in range(2))
    return {"loss": total / len(train_x), "test": pixels + distance, "distance": distance}


history = common.loop("epoch", options.epochs, step)
common.final("test bound", history[-1]["test"])
