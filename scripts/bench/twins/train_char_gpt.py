"""scripts/train_char_gpt.lua in PyTorch: same net, seed, draws."""
import math

import common
import torch
import torch.nn as nn
import torch.nn.functional as F

options = common.options(
    [("steps", 600), ("eval-every", 100), ("batch-size", 16), ("context", 64), ("layers", 2), ("heads", 4), ("width", 64),
     ("dropout", 0.1), ("lr", 3e-3)],
    {"steps": 30, "eval-every": 10, "batch-size": 8, "context": 32, "layers": 2, "width": 32, "lr": 1e-2}, positional=True)
ids, vocabulary = common.encode(common.text(options.file))
split = int(len(ids) * 0.9)
train_ids, val_ids = ids[:split], ids[split:]


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.attention(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.dropout(self.out(mixed.transpose(1, 2).reshape(batch, length, width)), self.dropout, self.training)
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.token = nn.Embedding(vocabulary, o.width)
        self.position = nn.Embedding(o.context, o.width)
        self.blocks = nn.ModuleList([Block(o.width, o.heads, o.dropout) for _ in range(o.layers)])
        self.norm = nn.LayerNorm(o.width)
        self.head = nn.Linear(o.width, vocabulary, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, 0, 0.02)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.size(1)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


net = GPT(options)
optimizer = torch.optim.AdamW(net.parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.1)
warmup = max(1, options.steps // 20)


def rate(step):
    if step < warmup:
        return (step + 1) / warmup
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / max(1, options.steps - warmup)))


scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
steps_of = torch.arange(options.context + 1)


def batch(source, count, generator):
    first = torch.randint(0, len(source) - options.context, (count, 1), generator=generator)
    pieces = source[first + steps_of]
    return pieces[:, :-1], pieces[:, 1:]


def loss_of(x, y):
    return F.cross_entropy(net(x).flatten(0, 1), y.flatten())


def validate():
    net.eval()
    generator, rounds = torch.Generator(), 4 if options.quick else 20
    generator.manual_seed(1234)
    with torch.no_grad():
        return sum(loss_of(*batch(val_ids, 32, generator)).item() for _ in range(rounds)) / rounds


def step(_):
    net.train()
    total = 0.0
    for _ in range(options.eval_every):
        loss = loss_of(*batch(train_ids, options.batch_size, torch.default_generator))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1)
        optimizer.step()
        scheduler.step()
        total += loss.item()
    return {"loss": total / options.eval_every, "validation": validate()}


history = common.loop("round", options.steps // options.eval_every, step)
common.final("validation loss", history[-1]["validation"])
