-- vision.ops: functions of boxes (torchvision.ops.boxes). A box is the last dim of a tensor (..., 4): its corners
-- x1, y1, x2, y2 ("xyxy"), a corner and its size ("xywh"), or its centre and its size ("cxcywh"). Rotated boxes have 5
-- numbers, the last an angle in degrees counter-clockwise ("xywhr", "cxcywhr"), or 8, four corners ("xyxyxyxy").
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local boxes = {}

local PI = math.pi

-- Small dtypes are computed in one that products of coordinates fit into.
local function upcast(t)
  local dtype = t.dtype
  if dtype.is_floating_point then
    return (dtype == torch.float32 or dtype == torch.float64) and t or t:float()
  end
  return (dtype == torch.int32 or dtype == torch.int64) and t or t:int()
end

-- Integers are widened before a difference, which in their own dtype could wrap round.
local function widen(t) return t.dtype.is_floating_point and t or upcast(t) end

local function check(what, name, t, width)
  if t.ndim == 0 or t:size(-1) ~= width then
    args.fail(what, "expected '%s' of shape (..., %d), got %s", name, width, tostring(t.shape))
  end
end

-- --- formats -------------------------------------------------------------------------------------------------
-- Each takes and returns the list of a box's numbers.
local function centre_to_corners(cx, cy, w, h)
  return cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h
end
local function corners_to_centre(x1, y1, x2, y2) return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1 end
local function size_to_corners(x, y, w, h) return x, y, x + w, y + h end
local function corners_to_size(x1, y1, x2, y2) return x1, y1, x2 - x1, y2 - y1 end

local function turn(r)
  local radians = r * PI / 180.0
  return radians:cos(), radians:sin()
end
local function turned_centre_to_corner(cx, cy, w, h, r)
  local c, s = turn(r)
  return cx - w / 2 * c - h / 2 * s, cy - h / 2 * c + w / 2 * s, w, h, r
end
local function turned_corner_to_centre(x, y, w, h, r)
  local c, s = turn(r)
  return x + w / 2 * c + h / 2 * s, y - w / 2 * s + h / 2 * c, w, h, r
end
local function turned_corner_to_corners(x1, y1, w, h, r)
  local c, s = turn(r)
  local x2, y2 = x1 + w * c, y1 - w * s
  return x1, y1, x2, y2, x2 + h * s, y2 + h * c, x1 + h * s, y1 + h * c
end
local function corners_to_turned_corner(x1, y1, x2, y2, x3, y3)
  local r = torch.atan2(y1 - y2, x2 - x1) * 180 / PI
  local w = ((x2 - x1) ^ 2 + (y1 - y2) ^ 2):sqrt()
  local h = ((x3 - x2) ^ 2 + (y3 - y2) ^ 2):sqrt()
  return x1, y1, w, h, r
end

local widths = { xyxy = 4, xywh = 4, cxcywh = 4, xywhr = 5, cxcywhr = 5, xyxyxyxy = 8 }
-- The steps from one format to another.
local steps = {
  ["xywh xyxy"] = { size_to_corners }, ["cxcywh xyxy"] = { centre_to_corners }, ["xyxy xywh"] = { corners_to_size },
  ["xyxy cxcywh"] = { corners_to_centre }, ["xywh cxcywh"] = { size_to_corners, corners_to_centre },
  ["cxcywh xywh"] = { centre_to_corners, corners_to_size }, ["cxcywhr xywhr"] = { turned_centre_to_corner },
  ["xywhr cxcywhr"] = { turned_corner_to_centre },
  ["cxcywhr xyxyxyxy"] = { turned_centre_to_corner, turned_corner_to_corners },
  ["xyxyxyxy cxcywhr"] = { corners_to_turned_corner, turned_corner_to_centre },
  ["xywhr xyxyxyxy"] = { turned_corner_to_corners }, ["xyxyxyxy xywhr"] = { corners_to_turned_corner },
}
local convert_spec = args "box_convert(Tensor boxes, str in_fmt, str out_fmt)"

--- box_convert(boxes, in_fmt, out_fmt): boxes (..., K) in another format. Formats: xyxy, xywh, cxcywh; rotated: xywhr,
--- cxcywhr (K = 5), xyxyxyxy (K = 8). Integers stay integers where no halves arise, and, rounded, in rotated boxes.
function boxes.box_convert(...)
  local given, from, to = convert_spec(...)
  if not widths[from] or not widths[to] then
    args.fail("box_convert", "Unsupported Bounding Box Conversions for given in_fmt %s and out_fmt %s: expected xyxy, xywh, "
      .. "cxcywh, xywhr, cxcywhr or xyxyxyxy", from, to)
  end
  if from == to then return given:clone() end
  local path = steps[from .. " " .. to]
  if not path then
    args.fail("box_convert", "Unsupported Bounding Box Conversions for given in_fmt %s and out_fmt %s: one is rotated, the "
      .. "other not", from, to)
  end
  check("box_convert", "boxes", given, widths[from])
  local rotated, dtype = widths[from] ~= 4, given.dtype
  for _, step in ipairs(path) do
    given = torch.stack({ step(table.unpack(given:unbind(-1))) }, -1)
    if rotated and not dtype.is_floating_point then given = given:round():to(dtype) end
  end
  return given
end

-- --- areas and overlaps -----------------------------------------------------------------------------------------
local plain = { xyxy = true, xywh = true, cxcywh = true }
local area_spec = args "box_area(Tensor boxes, str fmt='xyxy')"

local function area_of(given, format)
  given = upcast(given)
  local a, b, c, d = table.unpack(given:unbind(-1))
  if format == "xyxy" then return (c - a) * (d - b) end
  return c * d
end

--- box_area(boxes, fmt = "xyxy"): the area of each box of (..., 4), a tensor (...). Formats: xyxy, xywh, cxcywh.
function boxes.box_area(...)
  local given, format = area_spec(...)
  if not plain[format] then args.fail("box_area", "Unsupported Bounding Box area for given format %s", format) end
  check("box_area", "boxes", given, 4)
  return area_of(given, format)
end

-- The corners (..., 2) that lie low and high, of boxes (..., N, 4).
local function corners(given, format)
  given = widen(given)
  local first, second = given["..., :2"], given["..., 2:"]
  if format == "xywh" then return first, first + second end
  if format == "cxcywh" then return first - second / 2, first + second / 2 end
  return first, second
end

-- Sides (..., N, M, 2) from corners low and high, at least 0.
local function sides(low, high) return upcast(high - low):clamp { min = 0 } end

local function check_pair(what, a, b)
  for i, t in ipairs { a, b } do
    check(what, "boxes" .. i, t, 4)
    if t.ndim < 2 then args.fail(what, "expected 'boxes%d' of shape (..., N, 4), got %s", i, tostring(t.shape)) end
  end
end

-- Intersections and unions (..., N, M).
local function inter_union(a, b, format)
  local low_a, high_a = corners(a, format)
  local low_b, high_b = corners(b, format)
  local wh = sides(torch.maximum(low_a:unsqueeze(-2), low_b:unsqueeze(-3)),
    torch.minimum(high_a:unsqueeze(-2), high_b:unsqueeze(-3)))
  local both = wh["..., 0"] * wh["..., 1"]
  return both, area_of(a, format):unsqueeze(-1) + area_of(b, format):unsqueeze(-2) - both
end

-- Sides (..., N, M, 2) of the smallest boxes round each pair.
local function hull(a, b)
  local low_a, high_a = corners(a, "xyxy")
  local low_b, high_b = corners(b, "xyxy")
  return sides(torch.minimum(low_a:unsqueeze(-2), low_b:unsqueeze(-3)),
    torch.maximum(high_a:unsqueeze(-2), high_b:unsqueeze(-3)))
end

local iou_spec = args "box_iou(Tensor boxes1, Tensor boxes2, str fmt='xyxy')"

--- box_iou(boxes1, boxes2, fmt = "xyxy"): intersection over union of each box of (..., N, 4) with each of (..., M, 4), a
--- tensor (..., N, M). Rotated formats take (N, 5) or (N, 8), give float32 and have no gradient.
function boxes.box_iou(...)
  local a, b, format = iou_spec(...)
  if plain[format] then
    check_pair("box_iou", a, b)
    local both, union = inter_union(a, b, format)
    return both / union
  end
  if not widths[format] then
    args.fail("box_iou", "Unsupported format '%s'. Supported axis-aligned formats: ('xyxy', 'xywh', 'cxcywh'). Supported "
      .. "rotated formats: ('cxcywhr', 'xywhr', 'xyxyxyxy').", format)
  end
  if format ~= "cxcywhr" then
    a, b = boxes.box_convert(a, format, "cxcywhr"), boxes.box_convert(b, format, "cxcywhr")
  end
  return core.modules.vision_kernels.rotated_box_iou(a, b)
end

local generalized_spec = args "generalized_box_iou(Tensor boxes1, Tensor boxes2)"

--- generalized_box_iou(boxes1, boxes2): box_iou less the share of the smallest box round both that neither covers
--- (Rezatofighi et al. 2019). Boxes (..., N, 4) and (..., M, 4), xyxy; a tensor (..., N, M).
function boxes.generalized_box_iou(...)
  local a, b = generalized_spec(...)
  check_pair("generalized_box_iou", a, b)
  local both, union = inter_union(a, b, "xyxy")
  local wh = hull(a, b)
  local around = wh["..., 0"] * wh["..., 1"]
  return both / union - (around - union) / around
end

local function distance_iou(a, b, eps)
  local both, union = inter_union(a, b, "xyxy")
  local iou, wh = both / union, hull(a, b)
  local diagonal = wh["..., 0"] ^ 2 + wh["..., 1"] ^ 2 + eps
  local ax1, ay1, ax2, ay2 = table.unpack(a:unbind(-1))
  local bx1, by1, bx2, by2 = table.unpack(b:unbind(-1))
  local dx = ((ax1 + ax2) / 2):unsqueeze(-1) - ((bx1 + bx2) / 2):unsqueeze(-2)
  local dy = ((ay1 + ay2) / 2):unsqueeze(-1) - ((by1 + by2) / 2):unsqueeze(-2)
  return iou - (upcast(dx) ^ 2 + upcast(dy) ^ 2) / diagonal, iou
end

local distance_spec = args "distance_box_iou(Tensor boxes1, Tensor boxes2, float eps=1e-7)"

--- distance_box_iou(boxes1, boxes2, eps = 1e-7): box_iou less the squared distance of the centres over the squared
--- diagonal of the smallest box round both (Zheng et al. 2020); a tensor (..., N, M).
function boxes.distance_box_iou(...)
  local a, b, eps = distance_spec(...)
  check_pair("distance_box_iou", a, b)
  return (distance_iou(upcast(a), upcast(b), eps))
end

local complete_spec = args "complete_box_iou(Tensor boxes1, Tensor boxes2, float eps=1e-7)"

--- complete_box_iou(boxes1, boxes2, eps = 1e-7): distance_box_iou less a term for unlike aspect ratios (Zheng et al.
--- 2020); a tensor (..., N, M).
function boxes.complete_box_iou(...)
  local a, b, eps = complete_spec(...)
  check_pair("complete_box_iou", a, b)
  a, b = upcast(a), upcast(b)
  local diou, iou = distance_iou(a, b, eps)
  local function angle(t)
    local x1, y1, x2, y2 = table.unpack(t:unbind(-1))
    return ((x2 - x1) / (y2 - y1)):atan()
  end
  local v = 4 / PI ^ 2 * (angle(a):unsqueeze(-1) - angle(b):unsqueeze(-2)) ^ 2
  local alpha
  torch.no_grad(function() alpha = v / (1 - iou + v + eps) end)
  return diou - alpha * v
end

-- --- other --------------------------------------------------------------------------------------------------------
local small_spec = args "remove_small_boxes(Tensor boxes, float min_size)"

--- remove_small_boxes(boxes, min_size): the indices of the boxes (N, 4), xyxy, no side of which is less than min_size.
function boxes.remove_small_boxes(...)
  local given, least = small_spec(...)
  check("remove_small_boxes", "boxes", given, 4)
  local x1, y1, x2, y2 = table.unpack(widen(given):unbind(-1))
  local keep = (x2 - x1):ge(least) & (y2 - y1):ge(least)
  return torch.nonzero(keep)[":, 0"]
end

local clip_spec = args "clip_boxes_to_image(Tensor boxes, ints size)"

--- clip_boxes_to_image(boxes, size): boxes (..., 4), xyxy, cut off at the edges of an image of size {height, width}.
function boxes.clip_boxes_to_image(...)
  local given, size = clip_spec(...)
  if type(size) ~= "table" or #size ~= 2 then
    args.fail("clip_boxes_to_image", "expected 'size' of two numbers, {height, width}, got %s",
      type(size) == "table" and #size .. " numbers" or tostring(size))
  end
  check("clip_boxes_to_image", "boxes", given, 4)
  local x = given["..., 0::2"]:clamp { min = 0, max = size[2] }
  local y = given["..., 1::2"]:clamp { min = 0, max = size[1] }
  return torch.stack({ x, y }, given.ndim):reshape(given.shape)
end

local masks_spec = args "masks_to_boxes(Tensor masks)"

--- masks_to_boxes(masks): the box (x1, y1, x2, y2) of the first and last nonzero columns and rows of each mask of
--- (N, H, W), a float32 tensor (N, 4); zeros for an empty mask.
function boxes.masks_to_boxes(...)
  local masks = masks_spec(...)
  if masks:numel() == 0 then return torch.zeros(0, 4) end
  if masks.ndim ~= 3 then
    args.fail("masks_to_boxes", "expected 'masks' of shape (N, H, W), got %s", tostring(masks.shape))
  end
  local inside = masks:bool()
  local rows, columns = inside:any(2), inside:any(1)
  local function ends(hit)
    local as_numbers = hit:to(torch.uint8)
    return as_numbers:argmax(1), hit:size(1) - 1 - as_numbers:flip({ 1 }):argmax(1)
  end
  local y1, y2 = ends(rows)
  local x1, x2 = ends(columns)
  local result = torch.stack({ x1, y1, x2, y2 }, 1):float()
  return result:masked_fill(rows:any(1):logical_not():unsqueeze(1), 0)
end

return boxes
