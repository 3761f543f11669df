"""scripts/train_gan.lua in PyTorch: same nets, seed, draws."""
import common
import torch
import torch.nn as nn
import torch.nn.functional as F

options = common.options(
    [("epochs", 5), ("batch-size", 64), ("latent", 32), ("width", 32), ("lr", 5e-4), *common.image_options(10000)],
    {"epochs": 2, "width": 8, **common.QUICK_IMAGES})
train_x, _, test_x, _ = common.images(options)
train_x, test_x = train_x * 2 - 1, test_x * 2 - 1
w = options.width
generator = nn.Sequential(
    nn.Linear(options.latent, 2 * w * 7 * 7, bias=False), nn.BatchNorm1d(2 * w * 7 * 7), nn.ReLU(), nn.Unflatten(1, (2 * w, 7, 7)),
    nn.ConvTranspose2d(2 * w, w, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(w), nn.ReLU(),
    nn.ConvTranspose2d(w, 1, 4, stride=2, padding=1), nn.Tanh())
discriminator = nn.Sequential(
    nn.Conv2d(1, w, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
    nn.Conv2d(w, 2 * w, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * w), nn.LeakyReLU(0.2),
    nn.Flatten(), nn.Linear(2 * w * 7 * 7, 1))
for net in (generator, discriminator):
    for p in net.parameters():
        if p.ndim == 4:
            nn.init.normal_(p, 0, 0.02)
g_optimizer = torch.optim.Adam(generator.parameters(), lr=options.lr, betas=(0.5, 0.999))
d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=options.lr, betas=(0.5, 0.999))
projection = torch.randn(784, 64, generator=torch.Generator().manual_seed(7)).double() / 28


def moments(images):
    points = images.reshape(len(images), 784).double() @ projection
    return points.mean(0), torch.cov(points.T)


def frechet(m1, c1, m2, c2):
    values, vectors = torch.linalg.eigh(c1)
    root = (vectors * values.clamp(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c2 @ root).clamp(0).sqrt().sum()
    return (((m1 - m2) ** 2).sum() + c1.trace() + c2.trace() - 2 * cross).item()


test_moments = moments(test_x)


def distance():
    generator.eval()
    seed = torch.Generator().manual_seed(11)
    sizes = [len(part) for part in test_x.split(500)]
    with torch.no_grad():
        drawn = torch.cat([generator(torch.randn(size, options.latent, generator=seed)) for size in sizes])
    return frechet(*test_moments, *moments(drawn))


def verdict(images, real):
    logits = discriminator(images)
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits) if real else torch.zeros_like(logits))


def step(_):
    generator.train()
    d_total = g_total = 0.0
    count = 0
    for (real,) in common.batches(options.batch_size, train_x):
        drawn = generator(torch.randn(len(real), options.latent))
        d_loss = verdict(real, True) + verdict(drawn.detach(), False)
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        g_loss = verdict(drawn, True)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        d_total, g_total, count = d_total + d_loss.item(), g_total + g_loss.item(), count + 1
    return {"discriminator": d_total / count, "generator": g_total / count, "distance": distance()}


history = common.loop("epoch", options.epochs, step)
common.final("Fréchet distance", history[-1]["distance"])
