-- rotate, affine, perspective and elastic_transform: maps from a result's position to one of the source.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local common = require "lampad.vision.transforms.functional.common"
local convert = require "lampad.vision.transforms.functional.convert"
local InterpolationMode = require "lampad.vision.transforms.interpolation"
local Image = require "lampad.vision.image"

local torch = core.torch
local fail = args.fail
local warp = {}

-- --- images: Pillow's transform ---------------------------------------------------------------------
local usable = { [0] = true, [2] = true, [3] = true }

local function warp_image(what, img, height, width, matrix, mode, fill)
  if img.mode == "P" then mode = InterpolationMode.NEAREST end
  if img.mode == "I" and mode.pillow ~= 0 then fail(what, "images of mode I are mapped by nearest only") end
  local colour = common.image_fill(what, fill, img)
  if not usable[mode.pillow] then
    fail(what, "Image.Resampling.%s (%d) cannot be used. Use Image.Resampling.NEAREST (0), Image.Resampling.BILINEAR (2) or "
      .. "Image.Resampling.BICUBIC (3)", mode.name, mode.pillow)
  end
  local blends_alpha = (img.mode == "LA" or img.mode == "RGBA") and mode.pillow ~= 0
  local data = common.bytes(img)
  if blends_alpha then data = core.pixels_premultiply(data) end
  data = core.pixels_warp(data, height, width, matrix, mode.pillow, colour)
  if blends_alpha then data = core.pixels_premultiply(data, true) end
  return common.like(img, data)
end

-- To 15 decimals, as Python's round(x, 15).
local function round15(x) return tonumber(("%.15f"):format(x)) end

local function rotate_image(img, angle, mode, expand, center, fill)
  angle = angle % 360.0
  if not center then
    if angle == 0 then return common.like(img, img.data:clone()) end
    if angle == 180 then return common.like(img, core.pixels_flip(common.bytes(img), true, true)) end
    if (angle == 90 or angle == 270) and (expand or img.width == img.height) then
      local turned = core.pixels_transpose(common.bytes(img))
      return common.like(img, core.pixels_flip(turned, angle == 270, angle == 90))
    end
  end
  local w, h = img.width, img.height
  local cx, cy = w / 2, h / 2
  if center then cx, cy = center[1], center[2] end
  local radians = -math.rad(angle)
  local cos, sin = round15(math.cos(radians)), round15(math.sin(radians))
  local m = { cos, sin, 0.0, round15(-math.sin(radians)), cos, 0.0 }
  local function apply(x, y) return m[1] * x + m[2] * y + m[3], m[4] * x + m[5] * y + m[6] end
  local x, y = apply(-cx - 0, -cy - 0)
  m[3], m[6] = x + cx, y + cy
  if expand then
    local min_x, max_x, min_y, max_y = math.huge, -math.huge, math.huge, -math.huge
    for _, corner in ipairs { { 0, 0 }, { w, 0 }, { w, h }, { 0, h } } do
      x, y = apply(corner[1], corner[2])
      min_x, max_x, min_y, max_y = math.min(min_x, x), math.max(max_x, x), math.min(min_y, y), math.max(max_y, y)
    end
    local nw, nh = math.ceil(max_x) - math.floor(min_x), math.ceil(max_y) - math.floor(min_y)
    m[3], m[6] = apply(-(nw - w) / 2.0, -(nh - h) / 2.0)
    w, h = nw, nh
  end
  return warp_image("rotate", img, h, w, m, mode, fill)
end

-- --- tensors: grid_sample ---------------------------------------------------------------------------
local function check_tensor(what, img, mode, fill)
  local channels = common.dimensions(what, img)
  local list = common.list(fill)
  if fill ~= nil and type(fill) ~= "number" and not list then
    fail(what, "Argument fill should be either int, float, tuple or list, got %s", text.describe(fill))
  end
  if list and #list > 1 and #list ~= channels then
    fail(what, "The number of elements in 'fill' cannot broadcast to match the number of channels of the image (%d != %d)",
      #list, channels)
  end
  if mode.value ~= "nearest" and mode.value ~= "bilinear" then
    fail(what, "Interpolation mode '%s' is unsupported with Tensor input", mode.value)
  end
end

-- Samples a tensor at a grid (1, h, w, 2) of positions in [-1, 1]; what lies outside is `fill`.
local function sample(img, grid, mode, fill)
  local batch, back = common.to_batch(img, grid.dtype)
  local n, channels = batch:size(0), batch:size(1)
  if n > 1 then grid = grid:expand(n, -1, -1, -1) end
  if fill ~= nil then
    -- A channel of ones tells how much of a result lies inside.
    batch = torch.cat({ batch, torch.ones(n, 1, batch:size(2), batch:size(3), { dtype = batch.dtype }) }, 1)
  end
  local result = torch.nn.functional.grid_sample(batch, grid, { mode = mode, padding_mode = "zeros", align_corners = false })
  if fill ~= nil then
    local inside = result:narrow(1, channels, 1)
    result = result:narrow(1, 0, channels)
    local colour = torch.tensor(common.list(fill) or { fill }, { dtype = result.dtype }):view(1, -1, 1, 1)
    if mode == "nearest" then
      result = torch.where(inside:lt(0.5), colour, result)
    else
      result = result * inside + (1.0 - inside) * colour
    end
  end
  return common.restore(result, back)
end

local function compute_dtype(img) return img.dtype.is_floating_point and img.dtype or torch.float32 end

-- Positions (x, y, 1) of the pixels' centres: (1, oh * ow, 3).
local function positions(x_first, y_first, oh, ow, dtype)
  local base = torch.ones(1, oh, ow, 3, { dtype = dtype })
  base:select(-1, 0):copy_(torch.linspace(x_first, x_first + ow - 1, ow))
  base:select(-1, 1):copy_(torch.linspace(y_first, y_first + oh - 1, oh):unsqueeze(-1))
  return base:view(1, oh * ow, 3)
end

-- The map, whose origin is the centre, as a grid of results of oh x ow over a source of h x w.
local function affine_grid(matrix, h, w, oh, ow, dtype)
  local theta = torch.tensor(matrix, { dtype = dtype }):reshape(1, 2, 3)
  local scaled = theta:transpose(1, 2) / torch.tensor({ 0.5 * w, 0.5 * h }, { dtype = dtype })
  return positions(-ow * 0.5 + 0.5, -oh * 0.5 + 0.5, oh, ow, dtype):bmm(scaled):view(1, oh, ow, 2)
end

-- Height and width of what a map makes of the source, with PyTorch's float32 rounding.
local function expanded_size(matrix, w, h)
  local corners = torch.tensor { { -0.5 * w, -0.5 * h, 1.0 }, { -0.5 * w, 0.5 * h, 1.0 }, { 0.5 * w, 0.5 * h, 1.0 },
    { 0.5 * w, -0.5 * h, 1.0 } }
  local moved = torch.matmul(corners, torch.tensor(matrix, { dtype = torch.float32 }):view(2, 3).T)
  local middle = torch.tensor { w * 0.5, h * 0.5 }
  local tolerance = 1e-4 -- so that rounding errors do not add a row
  local function cut(x) return (x / tolerance):trunc() * tolerance end
  local size = torch.ceil(cut(moved:amax(0) + middle)) - torch.floor(cut(moved:amin(0) + middle))
  return common.truncate(size[1]:item()), common.truncate(size[0]:item())
end

local function check_angle(what, angle)
  if type(angle) ~= "number" then fail(what, "Argument angle should be int or float") end
  if angle ~= angle or math.abs(angle) == math.huge then fail(what, "Argument angle should be finite, got %s", tostring(angle)) end
end

-- --- the matrix -------------------------------------------------------------------------------------
--- The map from results to sources of: shear, then rotation by angle degrees, both about the centre, scale, translate.
function warp.inverse_matrix(center, angle, translate, scale, shear)
  local rot, sx, sy = math.rad(angle), math.rad(shear[1]), math.rad(shear[2])
  local cx, cy, tx, ty = center[1], center[2], translate[1], translate[2]
  local a = math.cos(rot - sy) / math.cos(sy)
  local b = -math.cos(rot - sy) * math.tan(sx) / math.cos(sy) - math.sin(rot)
  local c = math.sin(rot - sy) / math.cos(sy)
  local d = -math.sin(rot - sy) * math.tan(sx) / math.cos(sy) + math.cos(rot)
  -- The inverse of [a b; c d], whose determinant is 1.
  local m = { d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0 }
  m[3] = m[3] + (m[1] * (-cx - tx) + m[2] * (-cy - ty)) + cx
  m[6] = m[6] + (m[4] * (-cx - tx) + m[5] * (-cy - ty)) + cy
  return m
end

local function check_center(what, center)
  if center == nil then return nil end
  local list = common.list(center)
  if not list or #list ~= 2 then fail(what, "Argument center should be a sequence of length 2, got %s", text.describe(center)) end
  for _, c in ipairs(list) do
    if type(c) ~= "number" or c ~= c or math.abs(c) > 1e9 then
      fail(what, "Argument center should be two numbers of pixels, got %s", text.repr(center))
    end
  end
  return list
end

-- The centre as tensors count: from the middle.
local function from_middle(center, h, w)
  if not center then return { 0.0, 0.0 } end
  return { 1.0 * (center[1] - w * 0.5), 1.0 * (center[2] - h * 0.5) }
end

-- --- rotate -----------------------------------------------------------------------------------------
local rotate_spec = args [[rotate(any img, any angle, any interpolation='nearest', bool expand=false, any center=nil,
  any fill=nil)]]

--- Rotates by angle degrees, counter-clockwise, about the centre {x, y} (the middle by default). expand: the result is as
--- large as needed. fill: a number, or one for each channel.
function warp.rotate(...)
  local img, angle, interpolation, expand, center, fill = rotate_spec(...)
  local mode = InterpolationMode.of("rotate", interpolation)
  check_angle("rotate", angle)
  center = check_center("rotate", center)
  if common.image_or_tensor("rotate", img) then return rotate_image(img, angle, mode, expand, center, fill) end
  check_tensor("rotate", img, mode, fill)
  local h, w = img:size(-2), img:size(-1)
  local matrix = warp.inverse_matrix(from_middle(center, h, w), -angle, { 0.0, 0.0 }, 1.0, { 0.0, 0.0 })
  local oh, ow = h, w
  if expand then oh, ow = expanded_size(matrix, w, h) end
  return sample(img, affine_grid(matrix, h, w, oh, ow, compute_dtype(img)), mode.value, fill)
end

-- --- affine -----------------------------------------------------------------------------------------
local affine_spec = args [[affine(any img, any angle, any translate, float scale, any shear, any interpolation='nearest',
  any fill=nil, any center=nil)]]

--- Rotates by angle degrees (clockwise), moves by translate {x, y} pixels, scales, shears by a number or {x, y} degrees.
function warp.affine(...)
  local img, angle, translate, scale, shear, interpolation, fill, center = affine_spec(...)
  local mode = InterpolationMode.of("affine", interpolation)
  check_angle("affine", angle)
  translate = common.list(translate)
  if not translate then fail("affine", "Argument translate should be a sequence") end
  if #translate ~= 2 then fail("affine", "Argument translate should be a sequence of length 2") end
  if scale <= 0 then fail("affine", "Argument scale should be positive") end
  local shears = type(shear) == "number" and { shear, 0.0 } or common.list(shear)
  if not shears then fail("affine", "Shear should be either a single value or a sequence of two values") end
  if #shears == 1 then shears = { shears[1], shears[1] } end
  if #shears ~= 2 then fail("affine", "Shear should be a sequence containing two values. Got %s", text.repr(shears)) end
  center = check_center("affine", center)
  if common.image_or_tensor("affine", img) then
    local matrix = warp.inverse_matrix(center or { img.width * 0.5, img.height * 0.5 }, angle, translate, scale, shears)
    return warp_image("affine", img, img.height, img.width, matrix, mode, fill)
  end
  check_tensor("affine", img, mode, fill)
  local h, w = img:size(-2), img:size(-1)
  local matrix = warp.inverse_matrix(from_middle(center, h, w), angle, translate, scale, shears)
  return sample(img, affine_grid(matrix, h, w, h, w, compute_dtype(img)), mode.value, fill)
end

-- --- perspective ------------------------------------------------------------------------------------
-- The eight numbers of the map that takes each end point to its start point, by least squares, in float32.
local function perspective_coefficients(startpoints, endpoints)
  startpoints, endpoints = common.list(startpoints), common.list(endpoints)
  if not startpoints or not endpoints or #startpoints ~= 4 or #endpoints ~= 4 then
    fail("perspective", "Please provide exactly four corners, got %d startpoints and %d endpoints.",
      startpoints and #startpoints or 0, endpoints and #endpoints or 0)
  end
  local rows, right = {}, {}
  for i = 1, 4 do
    for _, point in ipairs { endpoints[i], startpoints[i] } do
      if type(point) ~= "table" or type(point[1]) ~= "number" or type(point[2]) ~= "number" then
        fail("perspective", "a corner is a list {x, y}, got %s", text.repr(point))
      end
    end
    local x, y = endpoints[i][1], endpoints[i][2]
    local u, v = startpoints[i][1], startpoints[i][2]
    rows[#rows + 1] = { x, y, 1, 0, 0, 0, -u * x, -u * y }
    rows[#rows + 1] = { 0, 0, 0, x, y, 1, -v * x, -v * y }
    right[#right + 1], right[#right + 2] = { u }, { v }
  end
  local double = { dtype = torch.float64 }
  local solution, _, rank = torch.linalg.lstsq(torch.tensor(rows, double), torch.tensor(right, double))
  if rank:item() < 8 then
    fail("perspective", "the corners do not define a map: three of them lie on a line, or two are the same. The least squares "
      .. "solution could not be computed because the input matrix does not have full rank")
  end
  return solution:view(8):to(torch.float32):tolist()
end

local function perspective_grid(m, h, w, dtype)
  local options = { dtype = dtype }
  local base = positions(0.5, 0.5, h, w, dtype)
  local above = torch.tensor({ { { m[1], m[2], m[3] }, { m[4], m[5], m[6] } } }, options)
  local below = torch.tensor({ { { m[7], m[8], 1.0 }, { m[7], m[8], 1.0 } } }, options)
  local scaled = above:transpose(1, 2) / torch.tensor({ 0.5 * w, 0.5 * h }, options)
  return (base:bmm(scaled) / base:bmm(below:transpose(1, 2)) - 1.0):view(1, h, w, 2)
end

local perspective_spec = args [[perspective(any img, any startpoints, any endpoints, any interpolation='bilinear',
  any fill=nil)]]

--- Moves the corners {x, y} (top left, top right, bottom right, bottom left) startpoints to endpoints.
function warp.perspective(...)
  local img, startpoints, endpoints, interpolation, fill = perspective_spec(...)
  local matrix = perspective_coefficients(startpoints, endpoints)
  local mode = InterpolationMode.of("perspective", interpolation)
  if common.image_or_tensor("perspective", img) then
    return warp_image("perspective", img, img.height, img.width, matrix, mode, fill)
  end
  check_tensor("perspective", img, mode, fill)
  return sample(img, perspective_grid(matrix, img:size(-2), img:size(-1), compute_dtype(img)), mode.value, fill)
end

-- --- elastic_transform ------------------------------------------------------------------------------
local elastic_spec = args [[elastic_transform(any img, any displacement, any interpolation='bilinear', any fill=nil)]]

--- Takes each pixel from its place plus displacement (1, H, W, 2), in units of half the image.
function warp.elastic_transform(...)
  local img, displacement, interpolation, fill = elastic_spec(...)
  local mode = InterpolationMode.of("elastic_transform", interpolation)
  if not common.is_tensor(displacement) then fail("elastic_transform", "Argument displacement should be a Tensor") end
  local is_image = common.image_or_tensor("elastic_transform", img)
  local tensor = is_image and convert.pil_to_tensor(img) or img
  local h, w = tensor:size(-2), tensor:size(-1)
  local expected = torch.Size { 1, h, w, 2 }
  if displacement.shape ~= expected then
    fail("elastic_transform", "Argument displacement shape should be %s, but given %s", text.repr { 1, h, w, 2 },
      tostring(displacement.shape))
  end
  if mode.value ~= "nearest" and mode.value ~= "bilinear" and mode.value ~= "bicubic" then
    fail("elastic_transform", "Interpolation mode '%s' is unsupported", mode.value)
  end
  local function along(n) return torch.linspace((-n + 1) / n, (n - 1) / n, n) end
  local x = along(w):unsqueeze(0):expand(h, w)
  local y = along(h):unsqueeze(1):expand(h, w)
  local grid = torch.stack({ x, y }, -1):unsqueeze(0) + displacement
  local result = sample(tensor, grid, mode.value, fill)
  if is_image then return Image(result:permute(1, 2, 0), img.mode) end
  return result
end

return warp
