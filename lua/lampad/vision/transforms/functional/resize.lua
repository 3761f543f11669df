-- resize and resized_crop.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local common = require "lampad.vision.transforms.functional.common"
local crop = require "lampad.vision.transforms.functional.crop"
local InterpolationMode = require "lampad.vision.transforms.interpolation"
local warnings = require "lampad.warnings"

local torch = core.torch
local fail = args.fail
local resize = {}

--- The height and width that resize gives: both as they are, or the shorter side, the longer being at most max_size.
function resize.output_size(what, h, w, size, max_size)
  local list = type(size) == "number" and { size } or common.list(size)
  if not list or (#list ~= 1 and #list ~= 2) then
    fail(what, "Size must be an int or a 1 or 2 element tuple/list, not a %s", list and #list .. " element tuple/list"
      or text.describe(size))
  end
  for _, side in ipairs(list) do
    if type(side) ~= "number" or not math.tointeger(side) then
      fail(what, "Size should be int or sequence of ints. Got %s", text.repr(size))
    end
    common.pixels(what, "size", side)
  end
  if #list == 2 then
    if max_size ~= nil then
      fail(what, "max_size should only be passed if size specifies the length of the smaller edge, i.e. size should be "
        .. "an int or a list of length 1.")
    end
    return list[1], list[2]
  end
  local short, long = math.min(h, w), math.max(h, w)
  if short == 0 then fail(what, "the image of %d x %d has no pixels", w, h) end
  local new_short = list[1]
  local new_long = common.truncate(new_short * long / short)
  if max_size ~= nil then
    if max_size <= new_short then
      fail(what, "max_size = %d must be strictly greater than the requested size for the smaller edge size = %s", max_size,
        text.repr(size))
    end
    if new_long > max_size then
      new_short, new_long = common.truncate(max_size * new_short / new_long), max_size
    end
  end
  if w <= h then return new_long, new_short end
  return new_short, new_long
end

-- Colours of transparent pixels must not leak into their neighbours.
local has_alpha = { LA = true, RGBA = true }

--- Pixels (H, W, C) of an image's mode, resized by Pillow's filter.
function resize.pixels(data, mode, height, width, filter)
  if mode == "P" then filter = 0 end -- there is nothing between two indices
  if mode == "I" then
    if filter ~= 0 then fail("resize", "images of mode I are resized by nearest only") end
    return core.pixels_resample(data:view(torch.uint8), height, width, 0)
  end
  if has_alpha[mode] and filter ~= 0 then
    return core.pixels_premultiply(core.pixels_resample(core.pixels_premultiply(data), height, width, filter), true)
  end
  return core.pixels_resample(data, height, width, filter)
end

--- The box (top, left, h, w) of an image resized to height x width, from the pixels it depends on alone.
function resize.part(img, height, width, filter, top, left, h, w)
  local y, rows = core.pixels_needed(filter, img.height, height, top, h)
  local x, columns = core.pixels_needed(filter, img.width, width, left, w)
  return common.like(img, core.pixels_resample_part(img:box(y, x, rows, columns), filter, img.height, height, top, h, y,
    img.width, width, left, w, x))
end

--- True where resize.part gives what resize and crop give.
function resize.has_parts(img, mode)
  return mode.pillow ~= 0 and not has_alpha[img.mode] and img.mode ~= "P" and img.mode ~= "I"
end

local tensor_modes = { nearest = true, ["nearest-exact"] = true, bilinear = true, bicubic = true }

local function resize_tensor(what, img, height, width, mode, antialias)
  if not tensor_modes[mode.value] then
    fail(what, "interpolation %s is for images only; tensors take nearest, nearest-exact, bilinear and bicubic",
      tostring(mode))
  end
  local smooth = mode.value == "bilinear" or mode.value == "bicubic"
  local dtype = img.dtype
  local batch, back = common.to_batch(img, dtype == torch.float64 and dtype or torch.float32)
  local leading = batch.ndim > 4 and batch.shape -- interpolate takes one leading dim
  if leading then batch = batch:flatten(0, batch.ndim - 4) end
  local result = torch.nn.functional.interpolate(batch, { size = { height, width }, mode = mode.value,
    align_corners = smooth and false or nil, antialias = smooth and antialias or false })
  if leading then
    local sizes = { leading:unpack() }
    sizes[#sizes - 1], sizes[#sizes] = height, width
    result = result:view(sizes)
  end
  if mode.value == "bicubic" and dtype == torch.uint8 then result = result:clamp(0, 255) end
  return common.restore(result, back)
end

local function check_output(what, height, width)
  common.pixels(what, "height", height)
  common.pixels(what, "width", width)
  if height <= 0 or width <= 0 then fail(what, "height and width must be > 0, got %s", text.repr { height, width }) end
end

--- Checked arguments: see resize.
function resize.checked(what, img, size, mode, max_size, antialias)
  local _, h, w = common.dimensions(what, img)
  local height, width = resize.output_size(what, h, w, size, max_size)
  if height == h and width == w then return img end
  check_output(what, height, width)
  if common.is_image(img) then
    if h == 0 or w == 0 then fail(what, "the image of %d x %d has no pixels", w, h) end
    if antialias == false then
      warnings.warn("Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.")
    end
    return common.like(img, resize.pixels(img.data, img.mode, height, width, mode.pillow))
  end
  return resize_tensor(what, img, height, width, mode, antialias)
end

local resize_spec = args [[resize(any img, any size, any interpolation='bilinear', int max_size=nil, bool? antialias=true)]]

--- Resizes to {height, width}, or so that the shorter side is `size` (the longer at most max_size). Images are always
--- antialiased, by Pillow's filters; tensors where antialias and bilinear or bicubic.
function resize.resize(...)
  local img, size, interpolation, max_size, antialias = resize_spec(...)
  return resize.checked("resize", img, size, InterpolationMode.of("resize", interpolation), max_size, antialias)
end

--- Checked arguments: see resized_crop. An image not decoded yet decodes the box alone.
function resize.cropped(what, img, top, left, height, width, size, mode, antialias)
  if common.is_image(img) and top >= 0 and left >= 0 and height > 0 and width > 0 and top + height <= img.height
    and left + width <= img.width and antialias ~= false then
    local new_height, new_width = resize.output_size(what, height, width, size)
    check_output(what, new_height, new_width)
    local data = img:box(top, left, height, width)
    if img.mode == "I" then data = data:contiguous() end
    if new_height ~= height or new_width ~= width then
      data = resize.pixels(data, img.mode, new_height, new_width, mode.pillow)
    end
    return common.like(img, data)
  end
  return resize.checked(what, crop.crop(img, top, left, height, width), size, mode, nil, antialias)
end

local cropped_spec = args [[resized_crop(any img, int top, int left, int height, int width, any size,
  any interpolation='bilinear', bool? antialias=true)]]

--- crop, then resize.
function resize.resized_crop(...)
  local img, top, left, height, width, size, interpolation, antialias = cropped_spec(...)
  common.image_or_tensor("resized_crop", img)
  return resize.cropped("resized_crop", img, top, left, height, width, size,
    InterpolationMode.of("resized_crop", interpolation), antialias)
end

return resize
