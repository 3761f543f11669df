-- Moving pixels without changing them: crop, center_crop, pad, hflip, vflip, five_crop, ten_crop, erase.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local common = require "lampad.vision.transforms.functional.common"
local Image = require "lampad.vision.image"

local torch = core.torch
local fail = args.fail
local crop = {}

-- --- pad ------------------------------------------------------------------------------------------
local modes = { constant = "constant", edge = "replicate", reflect = "reflect", symmetric = "symmetric" }

--- left, top, right, bottom from a number or a list of one, two (left and right, top and bottom) or four.
function crop.borders(what, padding)
  local given = type(padding) == "number" and { padding } or common.list(padding)
  if not given then fail(what, "Got inappropriate padding arg: %s", text.describe(padding)) end
  local p = {}
  for i, side in ipairs(given) do p[i] = common.pixels(what, "padding", side) end
  if #p == 1 then return p[1], p[1], p[1], p[1] end
  if #p == 2 then return p[1], p[2], p[1], p[2] end
  if #p == 4 then return p[1], p[2], p[3], p[4] end
  fail(what, "Padding must be an int or a 1, 2, or 4 element tuple, not a %d element tuple", #p)
end

local function check_mode(what, mode)
  if type(mode) ~= "string" then fail(what, "Got inappropriate padding_mode arg: %s", text.describe(mode)) end
  if not modes[mode] then fail(what, "Padding mode should be either constant, edge, reflect or symmetric") end
end
crop.check_mode = check_mode

local function pad_image(img, left, top, right, bottom, fill, mode)
  local colour = mode == "constant" and common.image_fill("pad", fill, img) or nil
  local height, width = img.height + top + bottom, img.width + left + right
  if height < 0 or width < 0 then
    fail("pad", "an image of %dx%d has too few pixels for padding of %d, %d, %d, %d", img.width, img.height, left, top,
      right, bottom)
  end
  if mode ~= "constant" then
    if img.height + math.min(top, 0) + math.min(bottom, 0) <= 0 or img.width + math.min(left, 0) + math.min(right, 0) <= 0 then
      fail("pad", "padding mode %s needs at least one pixel", text.repr(mode))
    end
    -- What negative padding takes away cannot be mirrored.
    local data = img:box(-math.min(top, 0), -math.min(left, 0), img.height + math.min(top, 0) + math.min(bottom, 0),
      img.width + math.min(left, 0) + math.min(right, 0))
    local result = core.pixels_window(common.bytes(img, data), -math.max(top, 0), -math.max(left, 0), height, width, mode)
    -- The mode is what the number of channels says (CMYK becomes RGBA), as in torchvision.
    return img.mode == "CMYK" and Image(result) or common.like(img, result)
  end
  return common.like(img, core.pixels_window(common.bytes(img), -top, -left, height, width, mode, colour))
end

-- Positions along an axis mirrored at its edge.
local function mirrored(n, before, after)
  local list = {}
  for i = before - 1, 0, -1 do list[#list + 1] = i end
  for i = 0, n - 1 do list[#list + 1] = i end
  for i = 1, after do list[#list + 1] = -i end
  return torch.tensor(list, { dtype = torch.int64 })
end

local function pad_symmetric(img, left, top, right, bottom)
  local ndim = img.ndim
  if ndim ~= 3 and ndim ~= 4 then fail("pad", "Symmetric padding of N-D tensors are not supported yet") end
  img = img:narrow(-2, -math.min(top, 0), img:size(-2) + math.min(top, 0) + math.min(bottom, 0))
    :narrow(-1, -math.min(left, 0), img:size(-1) + math.min(left, 0) + math.min(right, 0))
  local rows = mirrored(img:size(-2), math.max(top, 0), math.max(bottom, 0)):unsqueeze(1)
  local columns = mirrored(img:size(-1), math.max(left, 0), math.max(right, 0)):unsqueeze(0)
  return ndim == 3 and img[{ ":", rows, columns }] or img[{ ":", ":", rows, columns }]
end

local function pad_tensor(img, left, top, right, bottom, fill, mode)
  if fill == nil then fill = 0 end
  if type(fill) ~= "number" then
    local list = common.list(fill)
    if not list or #list ~= 1 then fail("pad", "Got inappropriate fill arg: for tensors it is a number") end
    fill = list[1]
  end
  if mode == "symmetric" then return pad_symmetric(img, left, top, right, bottom) end
  local back
  local dtype = img.dtype
  local compute = mode ~= "constant" and dtype ~= torch.float32 and dtype ~= torch.float64 and torch.float32 or dtype
  img, back = common.to_batch(img, compute)
  img = torch.nn.functional.pad(img, { left, right, top, bottom },
    { mode = modes[mode], value = mode == "constant" and (dtype.is_floating_point and fill + 0.0 or fill) or nil })
  if back.squeeze then img = img:squeeze(0) end
  return img:to(dtype)
end

local pad_spec = args "pad(any img, any padding, any fill=0, any padding_mode='constant')"

--- Pads on all sides. padding: a number, {left and right, top and bottom} or {left, top, right, bottom}; negative numbers
--- crop. padding_mode: "constant" (with fill), "edge", "reflect", "symmetric".
function crop.pad(...)
  local img, padding, fill, mode = pad_spec(...)
  local is_image = common.image_or_tensor("pad", img)
  check_mode("pad", mode)
  local left, top, right, bottom = crop.borders("pad", padding)
  return (is_image and pad_image or pad_tensor)(img, left, top, right, bottom, fill, mode)
end

-- --- crop -----------------------------------------------------------------------------------------
local crop_spec = args "crop(any img, int top, int left, int height, int width)"

--- Checked arguments: see crop.
function crop.window(img, top, left, height, width)
  common.pixels("crop", "top", top)
  common.pixels("crop", "left", left)
  common.pixels("crop", "height", height)
  common.pixels("crop", "width", width)
  if common.is_image(img) then
    if width < 0 then fail("crop", "Coordinate 'right' is less than 'left'") end
    if height < 0 then fail("crop", "Coordinate 'lower' is less than 'upper'") end
    if top >= 0 and left >= 0 and top + height <= img.height and left + width <= img.width then
      return common.like(img, img:box(top, left, height, width))
    end
    return common.like(img, core.pixels_window(common.bytes(img), top, left, height, width))
  end
  local h, w = img:size(-2), img:size(-1)
  local bottom, right = top + height, left + width
  if left < 0 or top < 0 or right > w or bottom > h then
    -- A box beyond the upper or left border keeps what Python's slice with a negative end does, as in torchvision.
    local function slice(dim, from, to, size)
      from = math.min(math.max(from, 0), size)
      to = math.min(math.max(to < 0 and to + size or to, from), size)
      return dim, from, to - from
    end
    local inside = img:narrow(slice(-2, top, bottom, h)):narrow(slice(-1, left, right, w))
    return pad_tensor(inside, math.max(math.min(0, right) - left, 0), math.max(math.min(0, bottom) - top, 0),
      math.max(right - math.max(w, left), 0), math.max(bottom - math.max(h, top), 0), 0, "constant")
  end
  return img:narrow(-2, top, height):narrow(-1, left, width)
end

--- The box of height x width whose upper left corner is (top, left); zeros where it leaves the image.
function crop.crop(...)
  local img, top, left, height, width = crop_spec(...)
  common.image_or_tensor("crop", img)
  return crop.window(img, top, left, height, width)
end

local center_spec = args "center_crop(any img, any output_size)"
local two_dims = "Please provide only two dimensions (h, w) for size."

--- The middle of the image; where it is smaller than output_size, it is padded with zeros first.
function crop.center_crop(...)
  local img, size = center_spec(...)
  local height, width = common.pair("center_crop", size, two_dims)
  local _, h, w = common.dimensions("center_crop", img)
  if width > w or height > h then
    local more_w, more_h = math.max(width - w, 0), math.max(height - h, 0)
    img = crop.pad(img, { more_w // 2, more_h // 2, (more_w + 1) // 2, (more_h + 1) // 2 })
    _, h, w = common.dimensions("center_crop", img)
    if height == h and width == w then return img end
  end
  return crop.window(img, common.round((h - height) / 2), common.round((w - width) / 2), height, width)
end

-- --- flips ----------------------------------------------------------------------------------------
--- Left becomes right.
function crop.hflip(img)
  if common.image_or_tensor("hflip", img) then return common.like(img, core.pixels_flip(common.bytes(img), true, false)) end
  return img:flip(-1)
end

--- Top becomes bottom.
function crop.vflip(img)
  if common.image_or_tensor("vflip", img) then return common.like(img, core.pixels_flip(common.bytes(img), false, true)) end
  return img:flip(-2)
end

-- --- several crops ----------------------------------------------------------------------------------
local five_spec = args "five_crop(any img, any size)"
local ten_spec = args "ten_crop(any img, any size, bool vertical_flip=false)"

--- Five results: the corners (top left, top right, bottom left, bottom right) and the centre.
function crop.five_crop(...)
  local img, size = five_spec(...)
  local height, width = common.pair("five_crop", size, two_dims)
  local _, h, w = common.dimensions("five_crop", img)
  if width > w or height > h then
    fail("five_crop", "Requested crop size %s is bigger than input size %s", text.repr { height, width }, text.repr { h, w })
  end
  local function at(top, left) return crop.window(img, top, left, height, width) end
  return at(0, 0), at(0, w - width), at(h - height, 0), at(h - height, w - width), crop.center_crop(img, { height, width })
end

--- Ten results: five_crop of the image and of its mirror image (upside down when vertical_flip).
function crop.ten_crop(...)
  local img, size, vertical_flip = ten_spec(...)
  local height, width = common.pair("ten_crop", size, two_dims)
  local a, b, c, d, e = crop.five_crop(img, { height, width })
  return a, b, c, d, e, crop.five_crop(vertical_flip and crop.vflip(img) or crop.hflip(img), { height, width })
end

-- --- erase ------------------------------------------------------------------------------------------
local erase_spec = args "erase(any img, int i, int j, int h, int w, any v, bool inplace=false)"

--- Sets the box of h x w at (i, j) of a tensor to v, a tensor that spreads over it.
function crop.erase(...)
  local img, i, j, h, w, v, inplace = erase_spec(...)
  if not common.is_tensor(img) then fail("erase", "img should be Tensor Image. Got %s", text.describe(img)) end
  common.image_or_tensor("erase", img)
  if not inplace then img = img:clone() end
  local rows, columns = img:size(-2), img:size(-1)
  h, w = math.max(math.min(h, rows - i), 0), math.max(math.min(w, columns - j), 0) -- a slice ends with the image
  local box = img:narrow(-2, math.min(i, rows), h):narrow(-1, math.min(j, columns), w)
  if common.is_tensor(v) then
    box:copy_(v)
  else
    box:fill_(v)
  end
  return img
end

return crop
