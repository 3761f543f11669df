"""Writes the numbers that scripts/bench/parity_rnn.lua compares with: its char-LSTM in PyTorch, seed 0.

  python3 scripts/bench/parity_rnn.py [FILE]     (default: tests/golden/parity_rnn.txt)
Lines: "weight NAME CRC32" of the initial parameters' bytes, then "loss STEP VALUE" of 100 steps of Adam.
"""
import sys
import zlib

import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT = ("the quick brown fox jumps over the lazy dog. pack my box with five dozen liquor jugs. "
        "how vexingly quick daft zebras jump! sphinx of black quartz, judge my vow. ") * 8


class Net(nn.Module):
    def __init__(self, letters):
        super().__init__()
        self.embedding = nn.Embedding(letters, 16)
        self.lstm = nn.LSTM(16, 64, num_layers=2, dropout=0.2)
        self.head = nn.Linear(64, letters)

    def forward(self, x, state):
        y, state = self.lstm(self.embedding(x), state)
        return self.head(y), state


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/parity_rnn.txt"
    letters = sorted(set(TEXT))
    codes = torch.tensor([letters.index(c) for c in TEXT])
    torch.manual_seed(0)
    net = Net(len(letters))
    lines = []
    for name, p in net.named_parameters():
        lines.append(f"weight {name} {zlib.crc32(p.detach().numpy().tobytes()):08x}")
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    batch, steps, state = 8, 20, None
    for step in range(1, 101):
        at = torch.randint(0, len(codes) - steps - 1, (batch,))
        window = at + torch.arange(steps + 1).unsqueeze(1)
        x, y = codes[window[:-1]], codes[window[1:]]
        logits, state = net(x, state)
        state = tuple(s.detach() for s in state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        lines.append(f"loss {step} {loss.item():.9e}")
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")


main()
