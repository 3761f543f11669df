-- torch.vision.ops (torchvision.ops): boxes, pooling of regions, deformable convolution, losses and layers of detectors.
-- nms, roi_align and their like are ops of the schema (nn/ops/vision_ops.lua); the rest is loaded at first use.
local core = require "lampad.core"

local members = require("lampad.lazy").members("lampad.vision.ops.", {
  boxes = { "remove_small_boxes", "clip_boxes_to_image", "box_convert", "box_area", "box_iou", "generalized_box_iou",
    "distance_box_iou", "complete_box_iou", "masks_to_boxes" },
  losses = { "generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss", "sigmoid_focal_loss" },
  regions = { "RoIAlign", "RoIPool", "PSRoIAlign", "PSRoIPool", "MultiScaleRoIAlign" },
  deform_conv = { "DeformConv2d" },
  pyramid = { "FeaturePyramidNetwork", "ExtraFPNBlock", "LastLevelMaxPool", "LastLevelP6P7" },
  frozen_batchnorm = { "FrozenBatchNorm2d" },
  drop_block = { "drop_block2d", "drop_block3d", "DropBlock2d", "DropBlock3d" },
  layers = { "stochastic_depth", "StochasticDepth", "Conv2dNormActivation", "Conv3dNormActivation", "ConvNormActivation",
    "SqueezeExcitation", "MLP", "Permute" },
})
for name, op in pairs(core.modules["vision.ops"]) do
  members[name] = function() return op end
end

local ops = require "lampad.lazy"(members)
-- The modules in which torchvision keeps its functions, for ported programs: ops.boxes.nms is ops.nms.
for _, name in ipairs { "boxes", "ciou_loss", "deform_conv", "diou_loss", "drop_block", "feature_pyramid_network", "focal_loss",
  "giou_loss", "misc", "poolers" } do
  members[name] = function() return ops end
end

return ops
