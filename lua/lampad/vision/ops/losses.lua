-- vision.ops: losses of detectors. Boxes are x1, y1, x2, y2 in the last dim, of both arguments alike.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local losses = {}

local function reduced(what, loss, reduction)
  if reduction == "none" then return loss end
  if reduction == "mean" then return loss:numel() > 0 and loss:mean() or 0.0 * loss:sum() end
  if reduction == "sum" then return loss:sum() end
  args.fail(what, "Invalid Value for arg 'reduction': '%s'. Supported reduction modes: 'none', 'mean', 'sum'", reduction)
end

local function as_float(t) return (t.dtype == torch.float32 or t.dtype == torch.float64) and t or t:float() end

-- Both boxes' corners, 8 tensors.
local function corners(what, a, b)
  for i, t in ipairs { a, b } do
    if t.ndim == 0 or t:size(-1) ~= 4 then
      args.fail(what, "expected 'boxes%d' of shape (..., 4), got %s", i, tostring(t.shape))
    end
  end
  local ax1, ay1, ax2, ay2 = table.unpack(as_float(a):unbind(-1))
  return ax1, ay1, ax2, ay2, table.unpack(as_float(b):unbind(-1))
end

-- Intersection and union. The sides, not their product, are put to 0 where the boxes are apart: the gradients of far
-- away boxes are then 0, whatever their coordinates.
local function inter_union(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
  local w = torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)
  local h = torch.minimum(ay2, by2) - torch.maximum(ay1, by1)
  local meet, nothing = w:gt(0) & h:gt(0), w:new_zeros({})
  local both = torch.where(meet, w, nothing) * torch.where(meet, h, nothing)
  return both, (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both
end

local function hull(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
  return torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1), torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
end

local arguments = "(Tensor boxes1, Tensor boxes2, str reduction='none', float eps=1e-7)"
local generalized_spec = args("generalized_box_iou_loss" .. arguments)

--- generalized_box_iou_loss(boxes1, boxes2, reduction = "none", eps = 1e-7): 1 less the generalized intersection over
--- union (Rezatofighi et al. 2019) of boxes (..., 4), pair by pair. reduction: none, mean or sum.
function losses.generalized_box_iou_loss(...)
  local a, b, reduction, eps = generalized_spec(...)
  local what = "generalized_box_iou_loss"
  local both, union = inter_union(corners(what, a, b))
  local w, h = hull(corners(what, a, b))
  local around = w * h
  local giou = both / (union + eps) - (around - union) / (around + eps)
  return reduced(what, 1 - giou, reduction)
end

local function distance(what, a, b, eps)
  local ax1, ay1, ax2, ay2, bx1, by1, bx2, by2 = corners(what, a, b)
  local both, union = inter_union(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
  local iou = both / (union + eps)
  local w, h = hull(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
  local dx, dy = (ax1 + ax2) / 2 - (bx1 + bx2) / 2, (ay1 + ay2) / 2 - (by1 + by2) / 2
  return 1 - iou + (dx ^ 2 + dy ^ 2) / (w ^ 2 + h ^ 2 + eps), iou
end

local distance_spec = args("distance_box_iou_loss" .. arguments)

--- distance_box_iou_loss(boxes1, boxes2, reduction = "none", eps = 1e-7): 1 - IoU and the squared distance of the centres
--- over the squared diagonal of the smallest box round both (Zheng et al. 2020).
function losses.distance_box_iou_loss(...)
  local a, b, reduction, eps = distance_spec(...)
  return reduced("distance_box_iou_loss", (distance("distance_box_iou_loss", a, b, eps)), reduction)
end

local complete_spec = args("complete_box_iou_loss" .. arguments)

--- complete_box_iou_loss(boxes1, boxes2, reduction = "none", eps = 1e-7): distance_box_iou_loss and a term for unlike
--- aspect ratios (Zheng et al. 2020).
function losses.complete_box_iou_loss(...)
  local a, b, reduction, eps = complete_spec(...)
  local what = "complete_box_iou_loss"
  local diou, iou = distance(what, a, b, 1e-7) -- as torchvision, whose eps is for the last term alone
  local ax1, ay1, ax2, ay2, bx1, by1, bx2, by2 = corners(what, a, b)
  local v = 4 / math.pi ^ 2 * (((bx2 - bx1) / (by2 - by1)):atan() - ((ax2 - ax1) / (ay2 - ay1)):atan()) ^ 2
  local alpha
  torch.no_grad(function() alpha = v / (1 - iou + v + eps) end)
  return reduced(what, diou + alpha * v, reduction)
end

local focal_spec = args [[sigmoid_focal_loss(Tensor inputs, Tensor targets, float alpha=0.25, float gamma=2,
  str reduction='none')]]

--- sigmoid_focal_loss(inputs, targets, alpha = 0.25, gamma = 2, reduction = "none"): binary cross-entropy of logits, times
--- (1 - p of the right class)^gamma, times alpha for positives and 1 - alpha for negatives (alpha = -1: for neither; Lin
--- et al. 2017). targets are 0 or 1, of inputs' shape and dtype.
function losses.sigmoid_focal_loss(...)
  local inputs, targets, alpha, gamma, reduction = focal_spec(...)
  if not (alpha >= 0 and alpha <= 1) and alpha ~= -1 then
    args.fail("sigmoid_focal_loss", "Invalid alpha value: %s. alpha must be in the range [0,1] or -1 for ignore.", alpha)
  end
  if reduction ~= "none" and reduction ~= "mean" and reduction ~= "sum" then
    reduced("sigmoid_focal_loss", nil, reduction)
  end
  local p = torch.sigmoid(inputs)
  local loss = torch.nn.functional.binary_cross_entropy_with_logits(inputs, targets, { reduction = "none" })
  local right = p * targets + (1 - p) * (1 - targets)
  loss = loss * (1 - right) ^ gamma
  if alpha >= 0 then loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss end
  if reduction == "mean" then return loss:mean() end
  return reduction == "sum" and loss:sum() or loss
end

return losses
