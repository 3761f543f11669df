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
  layers = { "stochastic_depth", "StochasticDepth", "Conv2dNormActivation", "Conv3dNormActivation", "SqueezeExcitation",
    "MLP", "Permute" },
})
for name, op in pairs(core.modules["vision.ops"]) do
  members[name] = function() return op end
end
-- torchvision keeps these in a module of their own, where ported programs look for them.
members.feature_pyramid_network = function() return require "lampad.vision.ops.pyramid" end

return require "lampad.lazy"(members)
