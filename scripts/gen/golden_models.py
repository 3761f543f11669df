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
from torchvision.models import vision_transformer

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


def line_of(label):
    name, options, size, small = VARIANTS[label] if label in VARIANTS else (label, {}, SIZES.get(label, 224), SMALL.get(label, 64))
    torch.manual_seed(0)
    model = models.get_model(name, **options)
    state = model.state_dict()
    keys = "\n".join(f"{k} {tuple(t.shape)}" for k, t in state.items())
    count = sum(p.numel() for p in model.parameters())
    numbers = list(state_sums(state))
    text = repr(model)
    del state
    torch.manual_seed(1)
    stir(model)
    x = torch.randn(1, 3, size, size)
    with torch.no_grad():
        evaluated = summary(model.eval()(x))
        # Small images where the network takes any size; a batch of 4 for the statistics of normalisation.
        small = size if name in FIXED else small
        x = torch.randn(4 if name not in FIXED else 2, 3, small, small)
        if name in DOUBLE:
            model, x = model.double(), x.double()
        torch.manual_seed(2)
        trained = summary(model.train()(x))
    del model
    fields = [label, str(count), str(fnv(keys)), str(fnv(text))]
    for values in (numbers, evaluated, trained):
        fields.append(" ".join(f"{v:.7g}" for v in values))
    return "|".join(fields)


FIXED = {n for n in models.list_models(module=models) if n.startswith(("vit_", "maxvit"))}
SMALL = {"inception_v3": 299}

# So deep that in training float32 alone leaves about the tolerance (of resnet101 torch's own result is 2e-4 from its float64 one).
DOUBLE = {"resnet101", "resnet152", "wide_resnet101_2", "resnext101_32x8d", "resnext101_64x4d", "inception_v3"}

# Networks with options: label -> network, options, sizes of the images in evaluation and in training. As in
# tests/lua/models_golden.lua.
VARIANTS = {
    "resnet18 groups": ("resnet18", {"num_classes": 10, "norm_layer": lambda c: torch.nn.GroupNorm(8, c)}, 64, 64),
    "resnet50 dilated": ("resnet50", {"num_classes": 10, "replace_stride_with_dilation": [False, True, True],
                                      "zero_init_residual": True, "width_per_group": 32}, 64, 64),
    "densenet121 drop": ("densenet121", {"drop_rate": 0.2, "bn_size": 2, "num_classes": 7, "memory_efficient": True}, 64, 64),
    "googlenet plain": ("googlenet", {"aux_logits": False, "transform_input": True, "init_weights": False, "dropout": 0.4,
                                      "num_classes": 10}, 64, 64),
    "googlenet aux": ("googlenet", {"dropout_aux": 0.5, "num_classes": 10, "init_weights": False}, 64, 96),
    "inception_v3 plain": ("inception_v3", {"aux_logits": False, "transform_input": True, "init_weights": False,
                                            "dropout": 0.1, "num_classes": 10}, 96, 139),
    "vgg11 dropout": ("vgg11", {"dropout": 0.2, "init_weights": False, "num_classes": 2}, 32, 32),
    "mobilenet_v2 narrow": ("mobilenet_v2", {"width_mult": 0.35, "round_nearest": 4, "dropout": 0.5, "num_classes": 10}, 64, 64),
    "mobilenet_v3_large dilated": ("mobilenet_v3_large", {"width_mult": 0.5, "reduced_tail": True, "dilated": True,
                                                          "num_classes": 10}, 64, 64),
    "mobilenet_v3_small wide": ("mobilenet_v3_small", {"width_mult": 1.25, "dropout": 0.4}, 64, 64),
    "mnasnet1_3 dropout": ("mnasnet1_3", {"dropout": 0.6, "num_classes": 10}, 64, 64),
    "efficientnet_b1 depth": ("efficientnet_b1", {"stochastic_depth_prob": 0.6, "dropout": 0.1, "num_classes": 10}, 64, 64),
    "regnet_y_400mf width": ("regnet_y_400mf", {"stem_width": 16, "activation": torch.nn.SiLU, "num_classes": 10}, 64, 64),
    "convnext_tiny scale": ("convnext_tiny", {"layer_scale": 0.5, "stochastic_depth_prob": 0.5, "num_classes": 10}, 64, 64),
    "vit_b_32 small": ("vit_b_32", {"image_size": 64, "representation_size": 48, "dropout": 0.1, "attention_dropout": 0.1,
                                    "num_classes": 10}, 64, 64),
    "vit_b_16 stem": ("vit_b_16", {"image_size": 64, "num_classes": 10, "conv_stem_configs": [
        vision_transformer.ConvStemConfig(out, 3, 2) for out in (16, 32, 64, 128)]}, 64, 64),
    "swin_t dropout": ("swin_t", {"dropout": 0.1, "attention_dropout": 0.1, "mlp_ratio": 2.0, "num_classes": 10}, 80, 72),
    "swin_v2_t dropout": ("swin_v2_t", {"dropout": 0.1, "attention_dropout": 0.1, "num_classes": 10}, 80, 72),
    "maxvit_t dropout": ("maxvit_t", {"mlp_dropout": 0.1, "attention_dropout": 0.1, "num_classes": 10}, 224, 224),
}


def main():
    lines = {}
    if OUT.exists():
        lines = {line.split("|")[0]: line for line in OUT.read_text().splitlines() if not line.startswith("#")}
    torch.set_num_threads(2)
    for name in sys.argv[1:] or models.list_models(module=models) + list(VARIANTS):
        lines[name] = line_of(name)
        print(lines[name][:150], flush=True)
        head = f"# torch {torch.__version__}, torchvision {torchvision.__version__}: see scripts/gen/golden_models.py\n"
        OUT.write_text(head + "".join(lines[n] + "\n" for n in sorted(lines)))


if __name__ == "__main__":
    main()
