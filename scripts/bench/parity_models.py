"""Writes the numbers that scripts/bench/parity_models.lua compares with: its two models in PyTorch, seed 0.

  python3 scripts/bench/parity_models.py [FOLDER]     (default: tests/golden)
Writes parity_gpt.txt and parity_resnet.txt. Lines: "weight NAME CRC32" of the initial parameters' bytes, then
"loss STEP VALUE" of 100 steps.
"""
import sys
import zlib

import torch
import torch.nn as nn
import torch.nn.functional as F

from nets import Residual

VOCAB, CONTEXT, WIDTH, HEADS = 61, 32, 64, 4


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = [y.view(n, t, HEADS, c // HEADS).transpose(1, 2) for y in self.qkv(x).split(WIDTH, dim=2)]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).contiguous().view(n, t, c))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = Attention()
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH), nn.Dropout(0.1))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(VOCAB, WIDTH)
        self.wpe = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.ln_f = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)
        self.apply(self.init_weights)
        self.head.weight = self.wte.weight  # one matrix for both

    def init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.size(1)))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.ln_f(x))
        return F.cross_entropy(logits.view(-1, VOCAB), targets.reshape(-1))


def gpt():
    torch.manual_seed(0)
    net = GPT()
    # Each token tells the next one, but for some noise.
    tokens = torch.randint(0, VOCAB, (64, CONTEXT + 1))
    for t in range(1, CONTEXT + 1):
        tokens[:, t] = torch.where(torch.rand(64) < 0.9, (tokens[:, t - 1] * 5 + 7) % VOCAB, tokens[:, t])
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)

    def step():
        rows = torch.randint(0, 64, (8,))
        batch = tokens[rows]
        loss = net(batch[:, :-1], batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss
    return net, step


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layers = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 32, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(32, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.fc(self.pool(x).flatten(1))


def resnet():
    torch.manual_seed(0)
    net = ResNet()
    images = torch.randn(128, 3, 32, 32)
    labels = torch.randint(0, 10, (128,))
    images[torch.arange(128), :, labels * 3, :] += 1.5  # the class is a bright row
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)

    def step():
        rows = torch.randperm(128)[:16]
        loss = F.cross_entropy(net(images[rows]), labels[rows], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss
    return net, step


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "tests/golden"
    for name, make in ("gpt", gpt), ("resnet", resnet):
        net, step = make()
        lines = []
        for key, p in net.named_parameters():
            lines.append(f"weight {key} {zlib.crc32(p.detach().numpy().tobytes()):08x}")
        for i in range(1, 101):
            lines.append(f"loss {i} {step().item():.9e}")
        with open(f"{folder}/parity_{name}.txt", "w") as file:
            file.write("\n".join(lines) + "\n")


main()
