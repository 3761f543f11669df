"""Writes tests/golden/vision_utils.lua: torchvision.utils' pictures for tests/lua/vision_utils_spec.lua. Run by hand:

  python3 scripts/gen/golden_vision_utils.py
The picture drawn on is made by a formula that the spec knows too; results are hexadecimal bytes.
"""
import os
import warnings

import torch
from torchvision import utils
from torchvision.ops import box_convert

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "../../tests/golden/vision_utils.lua")
H, W = 28, 32


def picture(*shape):
    n = 1
    for s in shape:
        n *= s
    return (torch.arange(n) * 37 % 251).to(torch.uint8).reshape(shape)


image = picture(3, H, W)
floating = image.float() / 255
grey = picture(1, H, W)
masks = torch.zeros(2, H, W, dtype=torch.bool)
masks[0, 3:15, 5:20] = True
masks[1, 10:20, 15:30] = True
boxes = torch.tensor([[2, 3, 20, 15], [10, 8, 40, 30], [-6, -4, 4, 25], [25, 5, 25, 5]])
turned = box_convert(torch.tensor([[14., 12, 16, 9, 30], [20, 16, 10, 20, 135]]), "cxcywhr", "xyxyxyxy").long()
points = torch.tensor([[[5, 6], [20, 20], [30, 2]], [[-1, 10], [16, 27], [12, 12]]])
visible = torch.tensor([[1, 1, 0], [1, 0, 1]])
torch.manual_seed(3)
flow = torch.randn(2, 2, 6, 7)
flow = (flow * 100).round() / 100
batch = (torch.arange(5 * 3 * 4 * 3) * 37 % 101).float().reshape(5, 3, 4, 3) / 100 - 0.3
names = {k: v for k, v in globals().items() if isinstance(v, torch.Tensor)}
names["utils"] = utils
cases = [
    ("draw_bounding_boxes(image, boxes)",) * 2,
    ("draw_bounding_boxes(image, boxes, {width = 3, colors = 'red'})", "draw_bounding_boxes(image, boxes, width=3, colors='red')"),
    ("draw_bounding_boxes(image, boxes, {fill = true, colors = {'#0f0', '#1020F0', {1, 2, 3}, 'rgb(10%, 20, 30)'}})",
     "draw_bounding_boxes(image, boxes, fill=True, colors=['#0f0', '#1020F0', (1, 2, 3), (26, 20, 30)])"),
    ("draw_bounding_boxes(grey, boxes, {fill = true, width = 2})", "draw_bounding_boxes(grey, boxes, fill=True, width=2)"),
    ("draw_bounding_boxes(floating, boxes, {colors = {250, 100, 0}})", "draw_bounding_boxes(floating, boxes, colors=(250, 100, 0))"),
    ("draw_bounding_boxes(image, turned, {width = 1})", "draw_bounding_boxes(image, turned, width=1)"),
    ("draw_bounding_boxes(image, turned, {width = 3, fill = true, colors = 'Navy'})",
     "draw_bounding_boxes(image, turned, width=3, fill=True, colors='Navy')"),
    ("draw_segmentation_masks(image, masks)",) * 2,
    ("draw_segmentation_masks(image, masks, 0.3, {'blue', 'gold'})", "draw_segmentation_masks(image, masks, 0.3, ['blue', 'gold'])"),
    ("draw_segmentation_masks(floating, masks[0], {colors = 'teal'})", "draw_segmentation_masks(floating, masks[0], colors='teal')"),
    ("draw_keypoints(image, points, {colors = 'lime'})", "draw_keypoints(image, points, colors='lime')"),
    ("draw_keypoints(image, points, {{0, 1}, {1, 2}}, {9, 8, 7}, 4, 2)", "draw_keypoints(image, points, [(0, 1), (1, 2)], (9, 8, 7), 4, 2)"),
    ("draw_keypoints(image, points, {connectivity = {{0, 1}, {0, 2}}, visibility = visible, radius = 0, colors = '#f00', width = 1})",
     "draw_keypoints(image, points, connectivity=[(0, 1), (0, 2)], visibility=visible, radius=0, colors='#f00', width=1)"),
    ("draw_keypoints(floating, points, {connectivity = {{0, 2}}})", "draw_keypoints(floating, points, connectivity=[(0, 2)])"),
    ("flow_to_image(flow)",) * 2,
    ("flow_to_image(flow[0])",) * 2,
    ("make_grid(batch)",) * 2,
    ("make_grid(batch, 2, 1, {pad_value = 0.5})", "make_grid(batch, 2, 1, pad_value=0.5)"),
    ("make_grid(batch, {nrow = 3, normalize = true, padding = 0})", "make_grid(batch, nrow=3, normalize=True, padding=0)"),
    ("make_grid(batch, {normalize = true, value_range = {0, 0.5}})", "make_grid(batch, normalize=True, value_range=(0, 0.5))"),
    ("make_grid(batch, {normalize = true, scale_each = true})", "make_grid(batch, normalize=True, scale_each=True)"),
    ("make_grid(batch[0])",) * 2,
    ("make_grid(batch[0][0])",) * 2,
    ("make_grid(batch[':, 0:1'], 2)", "make_grid(batch[:, 0:1], 2)"),
    ("make_grid({image, image}, {padding = 3})", "make_grid([image, image], padding=3)"),
]
with open(OUT, "w") as f:
    f.write("-- Made by scripts/gen/golden_vision_utils.py with torchvision: {code, dtype, shape, hexadecimal bytes}.\n")
    f.write("-- Floats are 255 times as large and rounded.\nreturn {flow={%s},cases={\n" % ",".join("%g" % v for v in flow.flatten()))
    for code, python in cases:
        out = eval("utils." + python, names)
        shown = out if out.dtype == torch.uint8 else (out.double() * 255).round().clamp(-100, 155 + 100)
        if shown.dtype != torch.uint8:
            shown = (shown % 256).to(torch.uint8)
        f.write('{"%s","%s",{%s},"%s"},\n' % (code, str(out.dtype)[6:], ",".join(map(str, out.shape)),
                                            shown.contiguous().numpy().tobytes().hex()))
    f.write("}}\n")
print(os.path.getsize(OUT), "bytes")
