"""Writes tests/golden/vision_ops.lua: torchvision's values for tests/lua/vision_ops_spec.lua. Run by hand:

  python3 scripts/gen/golden_vision_ops.py
A case is a call in Lua's spelling and in Python's, its inputs, the result's dtype and values, and the inputs' gradients
when the result is multiplied with weights 1, 2, ... (modulo 7) and summed.
"""
import os
import warnings
from collections import OrderedDict

import torch
from torchvision import ops
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "../../tests/golden/vision_ops.lua")
lines = []


def lua(v):
    if isinstance(v, torch.Tensor):
        v = v.detach()
        return lua(v.double().tolist() if v.is_floating_point() else v.tolist())
    if isinstance(v, (list, tuple)):
        return "{" + ",".join(lua(x) for x in v) + "}"
    if v is True or v is False:
        return "true" if v else "false"
    if isinstance(v, float):
        if v != v:
            return "nan"
        if v in (float("inf"), float("-inf")):
            return "inf" if v > 0 else "-inf"
        return f"{v:.7g}" if v != int(v) or abs(v) > 1e15 else f"{v:.1f}"
    if isinstance(v, str):
        return '"' + v.replace("\n", "\\n") + '"'
    return str(v)


def tensor(t):
    return "{%s,%s,%s}" % (lua(str(t.dtype)[6:]), lua(list(t.shape)), lua(t.reshape(-1)))


def weights(t):
    return (torch.arange(t.numel(), dtype=torch.float64) % 7 + 1).reshape(t.shape).to(t.dtype)


def case(code, python, inputs, grads=()):
    inputs = {k: v.clone() for k, v in inputs.items()}
    for k in grads:
        inputs[k].requires_grad_()
    out = eval(python, {"ops": ops, "torch": torch}, inputs)
    parts = ["code=" + lua(code)]
    parts.append("inputs={" + ",".join(f"{k}={tensor(v)}" for k, v in inputs.items()) + "}")
    parts.append("out=" + tensor(out))
    if grads:
        found = torch.autograd.grad((out * weights(out)).sum(), [inputs[k] for k in grads], allow_unused=True)
        parts.append("grads={" + ",".join(f"{k}={tensor(g)}" for k, g in zip(grads, found)) + "}")
    lines.append("{" + ",".join(parts) + "}")


gen = torch.Generator().manual_seed(5)


def rand(*shape, scale=1.0, digits=3):
    return ((torch.rand(*shape, generator=gen) * scale * 10**digits).round() / 10**digits)


def boxes(*shape, size=20.0, digits=2):
    lo = rand(*shape, 2, scale=size, digits=digits)
    return torch.cat([lo, lo + rand(*shape, 2, scale=size / 2, digits=digits) + 0.5], -1)


nan, inf = float("nan"), float("inf")
odd = torch.tensor([[0., 0, 4, 4], [4, 4, 1, 1], [2, 2, 2, 2], [nan, 0, 4, 4], [0, 0, inf, 4], [-3, -3, 1e20, 1e20]])

# --- overlaps, over dtypes --------------------------------------------------------------------------------------
a, b = boxes(3), boxes(4)
for name in ["box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou"]:
    call = f"ops.{name}(a, b)"
    case(call, call, {"a": a, "b": b}, ("a", "b"))
    case(call, call, {"a": boxes(2, 3), "b": boxes(2, 2)}, ("a", "b"))
    for dtype in [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]:
        case(call, call, {"a": boxes(3, digits=0).to(dtype), "b": boxes(2, digits=0).to(dtype)})
    case(call, call, {"a": odd, "b": odd})
    case(call, call, {"a": a[:0], "b": b})
for fmt in ["xywh", "cxcywh"]:
    case(f"ops.box_iou(a, b, '{fmt}')", f"ops.box_iou(a, b, '{fmt}')", {"a": a, "b": b}, ("a", "b"))
turned = torch.cat([boxes(5)[:, :2], rand(5, 2, scale=12) + 1, rand(5, 1, scale=720, digits=1) - 360], 1)
turned[3] = torch.tensor([5., 5, 4, 4, 45])
turned[4] = torch.tensor([5., 5, 4, 2, 0])
for fmt in ["cxcywhr", "xywhr"]:
    case(f"ops.box_iou(a, b, '{fmt}')", f"ops.box_iou(a, b, '{fmt}')", {"a": turned, "b": turned.flip(0)})
corners = ops.box_convert(turned, "cxcywhr", "xyxyxyxy")
case("ops.box_iou(a, b, {fmt = 'xyxyxyxy'})", "ops.box_iou(a, b, fmt='xyxyxyxy')", {"a": corners, "b": corners})
case("ops.box_iou(a, b, 'cxcywhr')", "ops.box_iou(a, b, 'cxcywhr')", {"a": turned[:0], "b": turned})

# --- formats --------------------------------------------------------------------------------------------------------
for pair in ["xyxy xywh", "xyxy cxcywh", "xywh xyxy", "xywh cxcywh", "cxcywh xyxy", "cxcywh xywh"]:
    f, t = pair.split()
    call = f"ops.box_convert(a, '{f}', '{t}')"
    case(call, call, {"a": a}, ("a",))
    for dtype in [torch.int64, torch.uint8, torch.float16, torch.float64]:
        case(call, call, {"a": boxes(2, digits=0).to(dtype)})
    case(call, call, {"a": a[:0]})
    case(call, call, {"a": boxes(2, 2)[0, 0]})
for pair in ["cxcywhr xywhr", "xywhr cxcywhr", "cxcywhr xyxyxyxy", "xywhr xyxyxyxy", "xyxyxyxy xywhr", "xyxyxyxy cxcywhr"]:
    f, t = pair.split()
    call = f"ops.box_convert(a, '{f}', '{t}')"
    given = corners if len(f) == 8 else turned
    case(call, call, {"a": given}, ("a",))
    case(call, call, {"a": given.round().to(torch.int64)})
case("ops.box_convert(a, 'xywh', 'xywh')", "ops.box_convert(a, 'xywh', 'xywh')", {"a": a})
for fmt in ["xyxy", "xywh", "cxcywh"]:
    for dtype in [torch.float32, torch.float16, torch.uint8, torch.int64]:
        case(f"ops.box_area(a, '{fmt}')", f"ops.box_area(a, '{fmt}')", {"a": boxes(3, digits=0).to(dtype)})
case("ops.box_area(a)", "ops.box_area(a)", {"a": odd})
case("ops.remove_small_boxes(a, 3)", "ops.remove_small_boxes(a, 3)", {"a": boxes(8)})
case("ops.remove_small_boxes(a, 0.0)", "ops.remove_small_boxes(a, 0.0)", {"a": odd})
case("ops.clip_boxes_to_image(a, {12, 15})", "ops.clip_boxes_to_image(a, (12, 15))", {"a": boxes(2, 3) - 5}, ("a",))
case("ops.clip_boxes_to_image(a, {12, 15})", "ops.clip_boxes_to_image(a, (12, 15))", {"a": odd})
case("ops.clip_boxes_to_image(a, {12, 15})", "ops.clip_boxes_to_image(a, (12, 15))", {"a": boxes(3, digits=0).to(torch.int64)})
masks = torch.zeros(4, 5, 6, dtype=torch.bool)
masks[0, 1:3, 2:5] = True
masks[1, 4, 0] = masks[1, 0, 5] = True
masks[3] = True
for dtype in [torch.bool, torch.float32, torch.uint8, torch.int64]:
    case("ops.masks_to_boxes(a)", "ops.masks_to_boxes(a)", {"a": masks.to(dtype)})
case("ops.masks_to_boxes(a)", "ops.masks_to_boxes(a)", {"a": torch.zeros(0, 4, 4)})

# --- losses ------------------------------------------------------------------------------------------------------------
near = (a + rand(3, 4, scale=2)).sort(-1)[0][:, [0, 1, 2, 3]]
near = torch.stack([torch.minimum(near[:, 0], near[:, 2]), near[:, 1], near[:, 2], near[:, 3] + 1], 1)
for name in ["generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"]:
    for reduction in ["none", "mean", "sum"]:
        call = f"ops.{name}(a, b, '{reduction}')"
        case(call, call, {"a": a, "b": near}, ("a", "b"))
        case(call, call, {"a": a[:0], "b": near[:0]})
    case(f"ops.{name}(a, b, {{eps = 0.01}})", f"ops.{name}(a, b, eps=0.01)", {"a": a, "b": b[:3]}, ("a",))
    call = f"ops.{name}(a, b)"
    case(call, call, {"a": a[0], "b": b[0]})
    case(call, call, {"a": odd, "b": odd.flip(0)})
    for dtype in [torch.float16, torch.float64, torch.int64]:
        case(call, call, {"a": boxes(2, digits=0).to(dtype), "b": boxes(2, digits=0).to(dtype)})
logits, targets = rand(3, 4, scale=6) - 3, (rand(3, 4) > 0.5).float()
for options in ["", ", -1", ", 0.5, 3", ", {reduction = 'mean'}", ", 0.25, 2, 'sum'"]:
    python = options.replace("{reduction = 'mean'}", "reduction='mean'")
    case(f"ops.sigmoid_focal_loss(a, b{options})", f"ops.sigmoid_focal_loss(a, b{python})", {"a": logits, "b": targets}, ("a",))
for dtype in [torch.float16, torch.bfloat16, torch.float64]:
    case("ops.sigmoid_focal_loss(a, b)", "ops.sigmoid_focal_loss(a, b)", {"a": logits.to(dtype), "b": targets.to(dtype)})

# --- suppression ---------------------------------------------------------------------------------------------------------
many, scores = boxes(60, size=12.0), rand(60)
for threshold in ["0.1", "0.5", "0.9", "0", "-1", "1"]:
    case(f"ops.nms(a, b, {threshold})", f"ops.nms(a, b, {threshold})", {"a": many, "b": scores})
    case(f"ops.nms(a, b, {threshold})", f"ops.nms(a, b, {threshold})", {"a": many.round(), "b": (scores * 5).round()})
case("ops.nms(a, b, 0.5)", "ops.nms(a, b, 0.5)", {"a": many.double(), "b": scores.double()})
case("ops.nms(a, b, 0.5)", "ops.nms(a, b, 0.5)", {"a": odd, "b": torch.tensor([0.5, 0.4, nan, 0.9, inf, 0.1])})
case("ops.nms(a, b, 0.5)", "ops.nms(a, b, 0.5)", {"a": many[:0], "b": scores[:0]})
classes = torch.randint(0, 4, (60,), generator=gen)
for threshold in ["0.2", "0.5"]:
    call = f"ops.batched_nms(a, b, c, {threshold})"
    case(call, call, {"a": many, "b": scores, "c": classes})
    case(call, call, {"a": many, "b": scores, "c": classes.float()})
    case(call, call, {"a": many.double(), "b": scores.double(), "c": classes - 2})

# --- regions, at the edges ------------------------------------------------------------------------------------------------
image = rand(2, 4, 7, 9, scale=4) - 2
rois = torch.tensor([[0., 0, 0, 8, 6], [1, 2.5, 1.5, 4.5, 5.5], [0, -4, -4, 3, 3], [1, 6, 5, 14, 11], [0, 4, 4, 1, 1],
                     [1, 2, 2, 2, 2], [0, -30, -30, -20, -20], [1, 30, 30, 40, 40], [0, 0, 0, 40, 40]])
for scale in ["1.0", "0.5", "0.3"]:
    for call in [f"ops.roi_align(x, r, {{2, 3}}, {scale})", f"ops.roi_align(x, r, 2, {scale}, 2, true)",
                 f"ops.roi_align(x, r, 2, {scale}, -1, true)", f"ops.roi_pool(x, r, {{3, 2}}, {scale})",
                 f"ops.ps_roi_align(x, r, 2, {scale}, 3)", f"ops.ps_roi_align(x, r, {{1, 2}}, {scale})"]:
        python = call.replace("{", "(").replace("}", ")").replace("true", "True")
        case(call, python, {"x": image, "r": rois}, ("x",))
    call = f"ops.ps_roi_pool(x, r, 2, {scale})"  # its gradient in torchvision is of larger bins
    case(call, call, {"x": image, "r": rois})
case("ops.roi_align(x, {r[':, 1:'], s}, 2)", "ops.roi_align(x, [r[:, 1:], s], 2)", {"x": image, "r": rois, "s": rois[:0, 1:]}, ("x",))
case("ops.roi_pool(x, {r[':, 1:'], s}, 2)", "ops.roi_pool(x, [r[:, 1:], s], 2)", {"x": image, "r": rois, "s": rois[:2, 1:]}, ("x",))

# --- deformable convolution ---------------------------------------------------------------------------------------------------
x, w, bias = rand(2, 4, 5, 6, scale=2) - 1, rand(6, 2, 3, 2, scale=2) - 1, rand(6)
offset, mask = rand(2, 24, 3, 3, scale=8) - 4, rand(2, 12, 3, 3)
call = "ops.deform_conv2d(x, o, w, b, stride={2, 3}, padding={1, 2}, mask=m)"
case("ops.deform_conv2d(x, o, w, b, {stride = {2, 3}, padding = {1, 2}, mask = m})",
     call.replace("{", "(").replace("}", ")"), {"x": x, "o": offset, "w": w, "b": bias, "m": mask}, ("x", "o", "w", "b", "m"))
zero = torch.zeros(1, 18, 5, 6)
case("ops.deform_conv2d(x, o, w, nil, 1, 1)", "ops.deform_conv2d(x, o, w, None, 1, 1)",
     {"x": x[:1], "o": zero, "w": rand(2, 4, 3, 3)}, ("x", "o", "w"))
case("ops.deform_conv2d(x, o, w, nil, 1, 2, 2)", "ops.deform_conv2d(x, o, w, None, 1, 2, 2)",
     {"x": x[:1].double(), "o": (rand(1, 18, 5, 6, scale=30) - 15).double(), "w": rand(2, 4, 3, 3).double()}, ("x", "o", "w"))

# --- layers ------------------------------------------------------------------------------------------------------------------
texts, states = [], []


def layer(code, python):
    torch.manual_seed(0)
    m = eval(python, {"ops": ops, "torch": torch, "nn": torch.nn, "LastLevelMaxPool": LastLevelMaxPool,
                      "LastLevelP6P7": LastLevelP6P7})
    keys = " ".join(m.state_dict().keys())
    total = sum(float(v.double().abs().sum()) for v in m.state_dict().values())
    texts.append("{code=%s,text=%s,keys=%s,total=%s}" % (lua(code), lua(str(m)), lua(keys), lua(total)))
    return m


layer("ops.RoIAlign(2, 0.5, 2)", "ops.RoIAlign(2, 0.5, 2)")
layer("ops.RoIAlign({2, 3}, 1.0, -1, true)", "ops.RoIAlign((2, 3), 1.0, -1, True)")
layer("ops.RoIPool(2, 0.5)", "ops.RoIPool(2, 0.5)")
layer("ops.PSRoIAlign(2, 0.5, 2)", "ops.PSRoIAlign(2, 0.5, 2)")
layer("ops.PSRoIPool(2, 0.5)", "ops.PSRoIPool(2, 0.5)")
layer("ops.MultiScaleRoIAlign({'feat1', 'feat3'}, 3, 2)", "ops.MultiScaleRoIAlign(['feat1', 'feat3'], 3, 2)")
layer("ops.DeformConv2d(4, 6, 3)", "ops.DeformConv2d(4, 6, 3)")
layer("ops.DeformConv2d(4, 6, {3, 2}, 2, {1, 0}, {1, 2}, 2, false)", "ops.DeformConv2d(4, 6, (3, 2), 2, (1, 0), (1, 2), 2, False)")
layer("ops.FrozenBatchNorm2d(3)", "ops.FrozenBatchNorm2d(3)")
layer("ops.DropBlock2d(0.1, 3)", "ops.DropBlock2d(0.1, 3)")
layer("ops.DropBlock3d(0.1, 3, true)", "ops.DropBlock3d(0.1, 3, True)")
layer("ops.StochasticDepth(0.2, 'row')", "ops.StochasticDepth(0.2, 'row')")
layer("ops.Conv2dNormActivation(3, 8, {stride = 2})", "ops.Conv2dNormActivation(3, 8, stride=2)")
layer("ops.Conv3dNormActivation(3, 4)", "ops.Conv3dNormActivation(3, 4)")
layer("ops.SqueezeExcitation(8, 2)", "ops.SqueezeExcitation(8, 2)")
layer("ops.MLP(4, {8, 3}, {dropout = 0.1})", "ops.MLP(4, [8, 3], dropout=0.1)")
layer("ops.Permute({0, 2, 1})", "ops.Permute([0, 2, 1])")
fpn = layer("ops.FeaturePyramidNetwork({4, 8, 6}, 3, ops.LastLevelMaxPool())", "ops.FeaturePyramidNetwork([4, 8, 6], 3, LastLevelMaxPool())")
p67 = layer("ops.FeaturePyramidNetwork({4, 8}, 3, ops.LastLevelP6P7(8, 3), nn.BatchNorm2d)",
            "ops.FeaturePyramidNetwork([4, 8], 3, LastLevelP6P7(8, 3), torch.nn.BatchNorm2d)")
maps = OrderedDict([("a", rand(1, 4, 8, 6)), ("b", rand(1, 8, 4, 3)), ("c", rand(1, 6, 2, 2))])
results = fpn(maps)
pyramid = "{inputs={%s},out={%s},names=%s}" % (",".join(tensor(v) for v in maps.values()),
                                               ",".join(tensor(v) for v in results.values()), lua(list(results)))
pool = ops.MultiScaleRoIAlign(["a", "c"], 2, 2, canonical_scale=16, canonical_level=2)
levels = OrderedDict([("a", rand(2, 2, 16, 16)), ("b", rand(2, 2, 8, 8)), ("c", rand(2, 2, 4, 4))])
lists = [boxes(4, size=40.0), torch.cat([boxes(2, size=20.0), torch.tensor([[0., 0, 60, 60]])])]
for v in levels.values():
    v.requires_grad_()
out = pool(levels, lists, [(64, 60), (60, 64)])
grads = torch.autograd.grad((out * weights(out)).sum(), [levels["a"], levels["c"]])
multi = "{maps={%s},boxes={%s},out=%s,scales=%s,grads={%s}}" % (
    ",".join(tensor(v) for v in levels.values()), ",".join(tensor(v) for v in lists), tensor(out), lua(pool.scales),
    ",".join(tensor(v) for v in grads))
drops = []
for code, python in [("ops.drop_block2d(x, 0.3, 3)", "ops.drop_block2d(x, 0.3, 3)"),
                     ("ops.drop_block2d(x, 0.2, 7)", "ops.drop_block2d(x, 0.2, 7)"),
                     ("ops.drop_block3d(x:unsqueeze(1), 0.1, 3)", "ops.drop_block3d(x.unsqueeze(1), 0.1, 3)"),
                     ("ops.stochastic_depth(x, 0.5, 'row')", "ops.stochastic_depth(x, 0.5, 'row')")]:
    ones = torch.ones(2, 5, 9, 7)
    torch.manual_seed(0)
    drops.append("{code=%s,out=%s}" % (lua(code), tensor(eval(python, {"ops": ops, "x": ones}))))

with open(OUT, "w") as f:
    f.write("-- Made by scripts/gen/golden_vision_ops.py with torchvision. A tensor is {dtype, shape, values}.\n")
    f.write("local nan, inf = 0/0, math.huge\n")
    f.write("return {cases={\n" + ",\n".join(lines) + "},\nlayers={\n" + ",\n".join(texts) + "},\npyramid=" + pyramid
            + ",\nmulti=" + multi + ",\ndrops={\n" + ",\n".join(drops) + "}}\n")
print(len(lines), "cases,", os.path.getsize(OUT), "bytes")
