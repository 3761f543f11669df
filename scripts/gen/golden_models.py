#!/usr/bin/env python3
"""Golden values of vision.models: python scripts/gen/golden_models.py [MODEL ...] (needs torch and torchvision).

For every network of torchvision.models for classification, made with seed 0: the number of parameters, a hash of the
state_dict's keys and shapes, sums over its tensors, a hash of what print shows, and the logits of one batch in evaluation and
in training. Written to tests/golden/models.txt, one line a network; named models replace their lines.
"""
import sys
import warnings
from pathlib import Path

import torch
import torchvision
from torchvision import models

warnings.simplefilter("ignore")
OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "models.txt"

# Sizes of the images where it is not 224.
SIZES = {
    "inception_v3": 299, "swin_v2_b": 256, "swin_v2_s": 256, "swin_v2_t": 256, "efficientnet_b1": 240, "efficientnet_b2": 288,
    "efficientnet_b3": 300, "efficientnet_b4": 380, "efficientnet_b5": 456, "efficientnet_b6": 528, "efficientnet_b7": 600,
    "efficientnet_v2_s": 384, "efficientnet_v2_m": 480, "efficientnet_v2_l": 480,
}


def fnv(text):
    h = 0x811C9DC5
    for byte in text.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def state_sums(state):
    """Sum, sum of absolute values, and the latter weighted with the tensor's place."""
    total = absolute = placed = 0.0
    for i, tensor in enumerate(state.values()):
        t = tensor.double()
        a = t.abs().sum().item()
        total += t.sum().item()
        absolute += a
        placed += (i + 1) * a
    return total, absolute, placed


def stir(model):
    """What starts with zeros, or as good as, gets values: else the logits would say nothing of the blocks."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("layer_scale"):
                p.fill_(0.1)
            elif name == "heads.head.weight":
                p.normal_(0.0, 0.02)


def logits_of(output):
    return list(output) if isinstance(output, tuple) else [output]


def summary(output):
    values = []
    for y in logits_of(output):
        y = y.double().flatten()
        values += y[:8].tolist() + [y.sum().item(), y.abs().sum().item(), y.abs().max().item()]
    return values


def line_of(name):
    torch.manual_seed(0)
    model = models.get_model(name)
    state = model.state_dict()
    keys = "\n".join(f"{k} {tuple(t.shape)}" for k, t in state.items())
    count = sum(p.numel() for p in model.parameters())
    numbers = list(state_sums(state))
    text = repr(model)
    del state
    torch.manual_seed(1)
    stir(model)
    size = SIZES.get(name, 224)
    x = torch.randn(1, 3, size, size)
    with torch.no_grad():
        evaluated = summary(model.eval()(x))
        # Small images where the network takes any size; a batch of 4 for the statistics of normalisation.
        small = size if name in FIXED else SMALL.get(name, 64)
        x = torch.randn(4 if name not in FIXED else 2, 3, small, small)
        torch.manual_seed(2)
        trained = summary(model.train()(x))
    del model
    fields = [name, str(count), str(fnv(keys)), str(fnv(text))]
    for values in (numbers, evaluated, trained):
        fields.append(" ".join(f"{v:.7g}" for v in values))
    return "|".join(fields)


FIXED = {n for n in models.list_models(module=models) if n.startswith(("vit_", "maxvit"))}
SMALL = {"inception_v3": 299}


def main():
    lines = {}
    if OUT.exists():
        lines = {line.split("|")[0]: line for line in OUT.read_text().splitlines() if not line.startswith("#")}
    torch.set_num_threads(2)
    for name in sys.argv[1:] or models.list_models(module=models):
        lines[name] = line_of(name)
        print(lines[name][:150], flush=True)
        head = f"# torch {torch.__version__}, torchvision {torchvision.__version__}: see scripts/gen/golden_models.py\n"
        OUT.write_text(head + "".join(lines[n] + "\n" for n in sorted(lines)))


if __name__ == "__main__":
    main()
