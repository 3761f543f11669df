"""Writes tests/golden/metrics.lua: torchmetrics' values for tests/lua/metrics_spec.lua. Run by hand:

  python3 scripts/gen/golden_metrics.py
Each case is a metric in Lua's spelling, a data set of two batches by name, the value of the first batch and that of both.
"""
import os
import warnings

import torch
import torchmetrics

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "../../tests/golden/metrics.lua")
warnings.filterwarnings("ignore")


def lua(v):
    if isinstance(v, torch.Tensor):
        return lua(v.tolist())
    if isinstance(v, dict):
        return "{ " + ", ".join(f"{k} = {lua(x)}" for k, x in v.items()) + " }"
    if isinstance(v, list):
        return "{ " + ", ".join(lua(x) for x in v) + " }"
    if isinstance(v, str):
        return '"' + v + '"'
    if v is True or v is False:
        return "true" if v else "false"
    if isinstance(v, float):
        if v != v:
            return "0/0"
        return f"{v:.7g}" if v != int(v) else f"{v:.1f}"
    return str(v)


def options(o):
    def one(v):
        if v is None:
            return "false"
        return lua(v)
    return "{" + ", ".join(f"{k} = {one(v)}" for k, v in o.items()) + "}"


torch.manual_seed(7)


def scores(*shape):
    return (torch.rand(*shape) * 100).round() / 100


def logits(*shape):
    return (torch.randn(*shape) * 200).round() / 100


def ints(high, *shape):
    return torch.randint(0, high, shape)


def ignoring(t, value, every):
    t = t.clone()
    t.view(-1)[::every] = value
    return t


data = {
    "binary": [(scores(23), ints(2, 23)), (scores(9), ints(2, 9))],
    "binary_logits": [(logits(17), ints(2, 17)), (logits(5), ints(2, 5))],
    "binary_labels": [(ints(2, 17), ints(2, 17)), (ints(2, 5), ints(2, 5))],
    "binary_ignored": [(scores(20), ignoring(ints(2, 20), -1, 3)), (scores(7), ignoring(ints(2, 7), -1, 4))],
    "binary_wide": [(scores(4, 3, 2), ints(2, 4, 3, 2)), (scores(2, 3, 2), ints(2, 2, 3, 2))],
    "binary_positive": [(scores(6), torch.ones(6, dtype=torch.int64)), (scores(4), torch.ones(4, dtype=torch.int64))],
    "binary_negative": [(scores(6), torch.zeros(6, dtype=torch.int64)), (scores(4), torch.zeros(4, dtype=torch.int64))],
    "multi": [(logits(25, 4), ints(4, 25)), (logits(8, 4), ints(4, 8))],
    "multi_labels": [(ints(4, 25), ints(4, 25)), (ints(4, 8), ints(4, 8))],
    "multi_absent": [(ints(2, 12), ints(2, 12)), (ints(2, 6), ints(3, 6))],
    "multi_scores_absent": [(logits(12, 5), ints(3, 12)), (logits(6, 5), ints(3, 6))],
    "multi_ignored": [(logits(20, 4), ignoring(ints(4, 20), -100, 4)), (logits(9, 4), ignoring(ints(4, 9), -100, 3))],
    "multi_wide": [(logits(3, 4, 5), ints(4, 3, 5)), (logits(2, 4, 5), ints(4, 2, 5))],
    "labels": [(scores(15, 3), ints(2, 15, 3)), (scores(6, 3), ints(2, 6, 3))],
    "labels_logits": [(logits(15, 3), ints(2, 15, 3)), (logits(6, 3), ints(2, 6, 3))],
    "labels_ignored": [(scores(15, 3), ignoring(ints(2, 15, 3), -1, 5)), (scores(6, 3), ignoring(ints(2, 6, 3), -1, 4))],
    "labels_wide": [(scores(4, 3, 5), ints(2, 4, 3, 5)), (scores(2, 3, 5), ints(2, 2, 3, 5))],
    "line": [(logits(12), logits(12)), (logits(5), logits(5))],
    "columns": [(logits(12, 3), logits(12, 3)), (logits(5, 3), logits(5, 3))],
}

cases = []


def case(name, where, *positional, **o):
    metric = getattr(torchmetrics, name)(*positional, **{k: v for k, v in o.items()})
    first = metric(*data[where][0])
    metric.update(*data[where][1])
    words = [lua(x) for x in positional] + ([options(o)] if o else [])
    code = f"{name}({', '.join(words)})"
    cases.append({"code": code, "data": where, "first": first, "value": metric.compute()})


STATS = ["Accuracy", "Precision", "Recall", "Specificity", "F1Score", "FBetaScore"]
for name in STATS:
    more = {"beta": 2.0} if name == "FBetaScore" else {}
    for where in ["binary", "binary_logits", "binary_labels", "binary_wide", "binary_negative"]:
        case(name, where, "binary", **more)
    case(name, "binary", "binary", threshold=0.25, **more)
    case(name, "binary_ignored", "binary", ignore_index=-1, **more)
    case(name, "binary", "binary", ignore_index=0, **more)
    case(name, "binary_wide", "binary", multidim_average="samplewise", **more)
    for average in ["micro", "macro", "weighted", "none"]:
        for where in ["multi", "multi_labels", "multi_absent", "multi_wide"]:
            case(name, where, "multiclass", num_classes=4, average=average, **more)
        case(name, "multi", "multiclass", num_classes=4, average=average, top_k=2, **more)
        case(name, "multi_scores_absent", "multiclass", num_classes=5, average=average, top_k=2, **more)
        case(name, "multi_ignored", "multiclass", num_classes=4, average=average, ignore_index=-100, **more)
        case(name, "multi", "multiclass", num_classes=4, average=average, ignore_index=1, **more)
        case(name, "multi_wide", "multiclass", num_classes=4, average=average, multidim_average="samplewise", **more)
        for where in ["labels", "labels_logits", "labels_wide"]:
            case(name, where, "multilabel", num_labels=3, average=average, **more)
        case(name, "labels_ignored", "multilabel", num_labels=3, average=average, ignore_index=-1, **more)
        case(name, "labels_wide", "multilabel", num_labels=3, average=average, multidim_average="samplewise", **more)

for normalize in [None, "true", "pred", "all"]:
    o = {"normalize": normalize} if normalize else {}
    case("ConfusionMatrix", "binary", "binary", **o)
    case("ConfusionMatrix", "binary_ignored", "binary", ignore_index=-1, **o)
    for where in ["multi", "multi_labels", "multi_absent", "multi_wide"]:
        case("ConfusionMatrix", where, "multiclass", num_classes=4, **o)
    case("ConfusionMatrix", "multi_ignored", "multiclass", num_classes=4, ignore_index=-100, **o)
    case("ConfusionMatrix", "labels", "multilabel", num_labels=3, **o)
    case("ConfusionMatrix", "labels_wide", "multilabel", num_labels=3, **o)
    case("ConfusionMatrix", "labels_ignored", "multilabel", num_labels=3, ignore_index=-1, **o)

for name in ["AUROC", "AveragePrecision"]:
    for o in [{}, {"thresholds": 11}, {"thresholds": [0.1, 0.35, 0.6, 0.85]}]:
        for where in ["binary", "binary_logits", "binary_wide", "binary_positive", "binary_negative"]:
            case(name, where, "binary", **o)
        case(name, "binary_ignored", "binary", ignore_index=-1, **o)
        for average in ["macro", "weighted", "none"]:
            for where in ["multi", "multi_wide"]:
                case(name, where, "multiclass", num_classes=4, average=average, **o)
            case(name, "multi_ignored", "multiclass", num_classes=4, average=average, ignore_index=-100, **o)
            case(name, "multi_scores_absent", "multiclass", num_classes=5, average=average, **o)
        for average in ["micro", "macro", "weighted", "none"]:
            case(name, "labels", "multilabel", num_labels=3, average=average, **o)
            case(name, "labels_logits", "multilabel", num_labels=3, average=average, **o)
            case(name, "labels_ignored", "multilabel", num_labels=3, average=average, ignore_index=-1, **o)
for max_fpr in [0.1, 0.5, 1.0]:
    case("AUROC", "binary", "binary", max_fpr=max_fpr)

case("MeanSquaredError", "line")
case("MeanSquaredError", "line", squared=False)
case("MeanSquaredError", "columns")
case("MeanSquaredError", "columns", num_outputs=3)
case("MeanAbsoluteError", "line")
case("MeanAbsoluteError", "columns", num_outputs=3)
case("R2Score", "line")
case("R2Score", "line", adjusted=2)
for multioutput in ["raw_values", "uniform_average", "variance_weighted"]:
    case("R2Score", "columns", multioutput=multioutput)

with open(OUT, "w") as out:
    out.write(f"-- Written by scripts/gen/golden_metrics.py with torchmetrics {torchmetrics.__version__}; do not edit.\n")
    out.write("return {\n  data = {\n")
    for name, batches in data.items():
        rows = ", ".join("{ " + lua(p) + ", " + lua(t) + " }" for p, t in batches)
        out.write(f"    {name} = {{ {rows} }},\n")
    out.write("  },\n  cases = {\n")
    for c in cases:
        out.write(f'    {{ code = [[{c["code"]}]], data = "{c["data"]}", first = {lua(c["first"])}, value = {lua(c["value"])} }},\n')
    out.write("  },\n}\n")
