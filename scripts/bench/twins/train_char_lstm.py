"""scripts/train_char_lstm.lua in PyTorch: same net, seed, draws."""
import common
import torch
import torch.nn as nn
import torch.nn.functional as F

options = common.options(
    [("steps", 600), ("eval-every", 100), ("batch-size", 16), ("length", 64), ("layers", 2), ("width", 96), ("embedding", 32),
     ("dropout", 0.1), ("lr", 5e-3), ("validate", 20000)],
    {"steps": 30, "eval-every": 10, "batch-size": 8, "length": 32, "width": 32, "lr": 2e-2, "validate": 1000}, positional=True)
ids, vocabulary = common.encode(common.text(options.file))
split = int(len(ids) * 0.9)
train_ids, val_ids = ids[:split], ids[split : split + options.validate + 1]
stream_length = len(train_ids) // options.batch_size
streams = train_ids[: stream_length * options.batch_size].view(options.batch_size, stream_length)


class CharLSTM(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, o.embedding)
        self.lstm = nn.LSTM(o.embedding, o.width, num_layers=o.layers, dropout=o.dropout, batch_first=True)
        self.head = nn.Linear(o.width, vocabulary)

    def forward(self, tokens, state=None):
        output, state = self.lstm(self.embedding(tokens), state)
        return self.head(output), state


net = CharLSTM(options)
optimizer = torch.optim.Adam(net.parameters(), lr=options.lr)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
at, state = 0, None


def validate():
    net.eval()
    total, s = 0.0, None
    with torch.no_grad():
        for x, y in zip(val_ids[:-1].split(1000), val_ids[1:].split(1000)):
            logits, s = net(x.unsqueeze(0), s)
            total += F.cross_entropy(logits[0], y, reduction="sum").item()
    return total / (len(val_ids) - 1)


def step(_):
    global at, state
    net.train()
    total = 0.0
    for _ in range(options.eval_every):
        if at + options.length >= stream_length:
            at, state = 0, None
        x, y = streams[:, at : at + options.length], streams[:, at + 1 : at + 1 + options.length]
        at += options.length
        logits, state = net(x, state)
        state = tuple(s.detach() for s in state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1)
        optimizer.step()
        scheduler.step()
        total += loss.item()
    return {"loss": total / options.eval_every, "validation": validate()}


history = common.loop("round", options.steps // options.eval_every, step)
common.final("validation loss", history[-1]["validation"])
