-- What the functions of vision.transforms.functional share: telling images from tensors, sizes, fills, rounding.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local Image = require "lampad.vision.image"

local torch = core.torch
local fail = args.fail
local common = {}

local image_meta = Image.__meta

function common.is_image(value)
  return getmetatable(value) == image_meta or class.isinstance(value, Image)
end

function common.is_tensor(value) return type(value) == "userdata" and torch.is_tensor(value) end

--- True for an Image, false for a tensor of at least two dims, else an error.
function common.image_or_tensor(what, img)
  if common.is_image(img) then return true end
  if not common.is_tensor(img) then
    fail(what, "img should be an Image or a tensor. Got %s", text.describe(img))
  end
  if img.ndim < 2 then fail(what, "Tensor is not a torch image: it has %d dims, expected (..., H, W)", img.ndim) end
  return false
end

--- Channels, height, width.
function common.dimensions(what, img)
  if common.image_or_tensor(what, img) then return Image.modes[img.mode], img.height, img.width end
  local ndim = img.ndim
  return ndim == 2 and 1 or img:size(ndim - 3), img:size(ndim - 2), img:size(ndim - 1)
end

--- Raises unless the tensor's channels are among the permitted.
function common.assert_channels(what, img, ...)
  local channels = common.dimensions(what, img)
  for _, permitted in ipairs { ... } do
    if channels == permitted then return end
  end
  fail(what, "Input image tensor permitted channel values are [%s], but found %d", table.concat({ ... }, ", "), channels)
end

--- Raises unless a tensor (..., C, H, W).
function common.assert_3d(what, img)
  if img.ndim < 3 then
    fail(what, "Input image tensor should have at least 3 dimensions, but found %d", img.ndim)
  end
end

local max_values = {}
for dtype, max in pairs { uint8 = 255, int8 = 127, int16 = 32767, int32 = 2147483647, int64 = math.maxinteger } do
  max_values[torch[dtype]] = max
end

--- What stands for white in a dtype; 1 for floats.
function common.max_value(dtype) return max_values[dtype] or 1 end

--- A plain Lua list (or torch.Size) as a list, else nil.
function common.list(value)
  if type(value) == "table" and getmetatable(value) == nil then return value end
  if type(value) == "userdata" and not torch.is_tensor(value) then
    local ok, packed = pcall(function() return { value:unpack() } end)
    return ok and packed or nil
  end
end

-- More pixels on a side than any image has.
local LONGEST = 1 << 24

--- The value as a number of pixels, or a place, which may be negative; else an error that names it.
function common.pixels(what, name, value)
  local n = type(value) == "number" and math.tointeger(value)
  if not n then fail(what, "%s must be an integer, got %s", name, text.describe(value)) end
  if n > LONGEST or n < -LONGEST then fail(what, "%s must be at most %d pixels, got %d", name, LONGEST, n) end
  return n
end

--- Height and width from a number, a list of one or a list of two; else an error with the message.
function common.pair(what, size, message)
  if type(size) == "number" then
    local n = common.pixels(what, "size", math.tointeger(size) or common.truncate(size) or size)
    return n, n
  end
  local list = common.list(size)
  if not list or (#list ~= 1 and #list ~= 2) then fail(what, "%s", message) end
  local height = common.pixels(what, "size[1]", list[1])
  return height, #list == 1 and height or common.pixels(what, "size[2]", list[2])
end

--- Python's round() of a float to an integer: halves go to the even neighbour.
function common.round(x)
  local down = math.floor(x)
  local part = x - down
  if part > 0.5 or (part == 0.5 and down % 2 == 1) then down = down + 1 end
  return math.tointeger(down)
end

--- Python's int(): towards zero; nil of what is not finite.
function common.truncate(x) return math.tointeger(x >= 0 and math.floor(x) or math.ceil(x)) end

--- A colour for an image: one integer a channel, from nil, a number or a list.
function common.image_fill(what, fill, image)
  local channels = Image.modes[image.mode]
  if fill == nil then fill = 0 end
  local list = type(fill) == "number" and { fill } or common.list(fill)
  if not list then fail(what, "Got inappropriate fill arg: %s", text.describe(fill)) end
  if #list ~= 1 and #list ~= channels then
    fail(what, "The number of elements in 'fill' does not match the number of channels of the image (%d != %d)",
      #list, channels)
  end
  local result = {}
  for c = 1, channels do
    local value = #list == 1 and list[1] or list[c]
    result[c] = type(value) == "number" and common.truncate(value) or nil
    if not result[c] then fail(what, "fill must be finite numbers, got %s", text.describe(value)) end
  end
  if image.mode == "I" then result = { ("BBBB"):unpack(("<i4"):pack(result[1])) } end
  return result
end

--- The pixels of an image as bytes, as the functions of the core take them: mode I has four a pixel.
function common.bytes(image, data)
  data = data or image.data
  return image.mode == "I" and data:view(torch.uint8) or data
end

--- A new image of such pixels with the mode, and the palette, of another.
function common.like(image, data)
  if image.mode == "I" and data.dtype == torch.uint8 then data = data:view(torch.int32) end
  local result = Image(data, image.mode)
  result.palette = image.palette
  return result
end

--- Raises for images whose values are no colours: P and I.
function common.refuse_masks(what, image)
  if image.mode == "P" or image.mode == "I" then fail(what, "not supported for mode %s; convert the image first", image.mode) end
end

--- A tensor as (N, C, H, W) of a dtype that the ops have, and what common.restore needs to go back.
function common.to_batch(img, dtype)
  local back = { dtype = img.dtype, squeeze = img.ndim < 4 }
  if back.squeeze then img = img:unsqueeze(0) end
  if img.dtype ~= dtype then
    back.cast = true
    img = img:to(dtype)
  end
  return img, back
end

function common.restore(img, back)
  if back.squeeze then img = img:squeeze(0) end
  if back.cast then
    if not back.dtype.is_floating_point then img = img:round() end
    img = img:to(back.dtype)
  end
  return img
end

return common
