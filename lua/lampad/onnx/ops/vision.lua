-- Detection: regions, boxes, sampling grids.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"
local window = require "lampad.onnx.ops.window"

local torch = core.torch
local F = torch.nn.functional
local op = {}

-- --- RoiAlign -----------------------------------------------------------------------------------------
-- Sampling points along one dim of a region: `out` bins of `grid` points each.
local function points(first, bin, out, grid)
  local list = {}
  for i = 0, out - 1 do
    for j = 0, grid - 1 do list[#list + 1] = first + i * bin + (j + 0.5) * bin / grid end
  end
  return list
end

-- All pairs of rows and columns as coordinates; points outside by more than 1 are marked.
local function cross(rows, columns, height, width, dtype)
  local ys, xs, inside = {}, {}, {}
  for _, y in ipairs(rows) do
    for _, x in ipairs(columns) do
      inside[#inside + 1] = y >= -1 and y <= height and x >= -1 and x <= width
      ys[#ys + 1] = math.max(0.0, math.min(y, height - 1.0))
      xs[#xs + 1] = math.max(0.0, math.min(x, width - 1.0))
    end
  end
  local function tensor(list) return torch.tensor(list, { dtype = dtype }):unsqueeze(0) end
  return tensor(ys), tensor(xs), torch.tensor(inside)
end

op.RoiAlign = function(node, x, rois, batch_indices)
  local height, width, out_h, out_w = x:size(2), x:size(3), node:get("output_height", 1), node:get("output_width", 1)
  local scale, ratio = node:get("spatial_scale", 1.0), node:get("sampling_ratio", 0)
  local mode = node:get("coordinate_transformation_mode", node.opset < 16 and "output_half_pixel" or "half_pixel")
  local shifted = mode == "half_pixel"
  local offset = shifted and 0.5 or 0.0
  local results, largest = {}, node:get("mode", "avg") == "max"
  local images = batch_indices:tolist()
  for i, roi in ipairs(rois:to(torch.float64):tolist()) do
    local x1, y1, x2, y2 = roi[1] * scale - offset, roi[2] * scale - offset, roi[3] * scale - offset, roi[4] * scale - offset
    local roi_w, roi_h = x2 - x1, y2 - y1
    if not shifted then roi_w, roi_h = math.max(roi_w, 1.0), math.max(roi_h, 1.0) end
    local grid_h = ratio > 0 and ratio or math.max(1, math.ceil(roi_h / out_h))
    local grid_w = ratio > 0 and ratio or math.max(1, math.ceil(roi_w / out_w))
    common.check_count(node, 1.0 * out_h * grid_h * out_w * grid_w)
    local ys, xs, inside = cross(points(y1, roi_h / out_h, out_h, grid_h), points(x1, roi_w / out_w, out_w, grid_w),
      height, width, x.dtype)
    -- "max" takes the largest weighted corner of a point, not the interpolated value: so ONNX defines it.
    local sampled = window.sample(x:narrow(0, images[i], 1), { ys, xs }, largest and torch.maximum) * inside:to(x.dtype)
    local bins = sampled:reshape(x:size(1), out_h, grid_h, out_w, grid_w)
    results[i] = largest and bins:amax { 2, 4 } or bins:mean { 2, 4 }
  end
  if #results == 0 then return torch.zeros(0, x:size(1), out_h, out_w, { dtype = x.dtype }) end
  return torch.stack(results, 0)
end

-- Regions in whole pixels, each of whose bins gives its largest element; an empty bin gives 0.
op.MaxRoiPool = function(node, x, rois)
  local out_h, out_w = table.unpack(node:integers "pooled_shape")
  local height, width, scale = x:size(2), x:size(3), node:get("spatial_scale", 1.0)
  local corners = (rois * scale + 0.5):floor():to(torch.int64):tolist() -- in float32, as halves decide
  -- First element and number of elements of bin i, of `out` over the elements first..last.
  local function bin(i, out, first, last, size)
    local length = math.max(last - first + 1, 1) / out
    local from, to = math.floor(i * length) + first, math.ceil((i + 1) * length) + first
    from, to = math.max(0, math.min(from, size)), math.max(0, math.min(to, size))
    return from, to - from
  end
  common.check_count(node, 1.0 * rois:size(0) * out_h * out_w)
  local results = {}
  for r, roi in ipairs(rois:tolist()) do
    local image = x:select(0, math.tointeger(roi[1]))
    local x1, y1, x2, y2 = table.unpack(corners[r], 2)
    for i = 0, out_h - 1 do
      local top, rows = bin(i, out_h, y1, y2, height)
      for j = 0, out_w - 1 do
        local left, columns = bin(j, out_w, x1, x2, width)
        results[#results + 1] = rows > 0 and columns > 0
          and image:narrow(1, top, rows):narrow(2, left, columns):amax { 1, 2 } or torch.zeros(x:size(1), { dtype = x.dtype })
      end
    end
  end
  if #results == 0 then return torch.zeros(0, x:size(1), out_h, out_w, { dtype = x.dtype }) end
  return torch.stack(results, 0):reshape(rois:size(0), out_h, out_w, x:size(1)):permute(0, 3, 1, 2)
end

-- --- boxes --------------------------------------------------------------------------------------------
-- Corners in order, y1 <= y2 and x1 <= x2.
local function corners(box, centred)
  local a, b, c, d = table.unpack(box)
  if centred then return { b - d / 2, a - c / 2, b + d / 2, a + c / 2 } end
  return { math.min(a, c), math.min(b, d), math.max(a, c), math.max(b, d) }
end

local function overlap(p, q)
  local height = math.max(0.0, math.min(p[3], q[3]) - math.max(p[1], q[1]))
  local width = math.max(0.0, math.min(p[4], q[4]) - math.max(p[2], q[2]))
  local both = height * width
  local all = (p[3] - p[1]) * (p[4] - p[2]) + (q[3] - q[1]) * (q[4] - q[2]) - both
  return all > 0 and both / all or 0.0
end

op.NonMaxSuppression = function(node, boxes, scores, most, iou_threshold, score_threshold)
  most = most and most:item() or 0
  iou_threshold = iou_threshold and iou_threshold:item() or 0.0
  score_threshold = score_threshold and score_threshold:item()
  local centred = node:flag "center_point_box"
  local all_boxes, all_scores, chosen = boxes:tolist(), scores:tolist(), {}
  for batch, classes in ipairs(all_scores) do
    for class, row in ipairs(classes) do
      local order = {}
      for i, score in ipairs(row) do
        if not score_threshold or score > score_threshold then order[#order + 1] = i end
      end
      table.sort(order, function(i, j)
        if row[i] ~= row[j] then return row[i] > row[j] end
        return i < j
      end)
      local kept = {}
      for _, i in ipairs(order) do
        if #kept >= most then break end
        local box = corners(all_boxes[batch][i], centred)
        local free = true
        for _, other in ipairs(kept) do free = free and overlap(box, other) <= iou_threshold end
        if free then
          kept[#kept + 1] = box
          chosen[#chosen + 1] = { batch - 1, class - 1, i - 1 }
        end
      end
    end
  end
  if #chosen == 0 then return torch.zeros(0, 3, { dtype = torch.int64 }) end
  return torch.tensor(chosen)
end

-- --- pictures -----------------------------------------------------------------------------------------
op.ImageDecoder = function(node, bytes)
  local decode = torch.vision.io and torch.vision.io.decode_image
  if not decode then node:fail "torch.vision.io.decode_image is not there" end
  local format = node:get("pixel_format", "RGB")
  local picture = decode(bytes, format == "Grayscale" and "GRAY" or "RGB"):permute(1, 2, 0)
  return format == "BGR" and picture:flip(2) or picture
end

-- --- sampling -----------------------------------------------------------------------------------------
local grid_modes = { linear = "bilinear", bilinear = "bilinear", cubic = "bicubic", bicubic = "bicubic", nearest = "nearest" }

op.GridSample = function(node, x, grid)
  return F.grid_sample(x, grid, {
    mode = grid_modes[node:get("mode", "linear")], padding_mode = node:get("padding_mode", "zeros"),
    align_corners = node:flag "align_corners",
  })
end

return op
