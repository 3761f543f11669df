-- Colours: brightness, contrast, saturation, hue, gamma, grayscale, invert, posterize, solarize, autocontrast, equalize.
-- Images take Pillow's steps: what depends on one value alone is a table of 256; tensors take torchvision's.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local common = require "lampad.vision.transforms.functional.common"
local convert = require "lampad.vision.transforms.functional.convert"
local Image = require "lampad.vision.image"

local torch = core.torch
local fail = args.fail
local colour = {}

-- --- images -----------------------------------------------------------------------------------------
-- The image in a mode whose pixels are its colours: CMYK has no such, it goes through RGB.
local function in_rgb(img) return img.mode == "CMYK" and img:convert("RGB") or img end

-- A new image: values through a table (a function of 0..255, results cut to 0..255) for every channel.
local function through_table(img, value_of)
  local bytes = {}
  for i = 0, 255 do bytes[i + 1] = string.char(math.min(math.max(value_of(i), 0), 255)) end
  return common.like(img, core.pixels_lut(img.data, table.concat(bytes):rep(Image.modes[img.mode])))
end

local function only_l_and_rgb(what, img)
  if img.mode ~= "L" and img.mode ~= "RGB" then fail(what, "not supported for mode %s", img.mode) end
end

-- The luma of every pixel, as an image of mode L.
local function to_l(img)
  if img.mode == "L" then return img end
  if img.mode == "P" or img.mode == "I" then return img:convert("L") end
  if img.mode == "LA" then return Image(img.data:narrow(2, 0, 1)) end
  return Image(core.pixels_luma(in_rgb(img).data))
end
colour.to_l = to_l

-- --- blending ---------------------------------------------------------------------------------------
local function check_factor(what, name, factor)
  if factor < 0 then fail(what, "%s (%s) is not non-negative.", name, text.repr(factor)) end
end

-- ratio * a + (1 - ratio) * b, within what the dtype of a can show.
local function blend(a, b, ratio)
  return a:mul(ratio + 0.0):add(b:mul(1.0 - ratio)):clamp(0, common.max_value(a.dtype)):to(a.dtype)
end
colour.blend = blend

-- CMYK has no luma of its own: the grey image goes there and back, and all four inks are blended.
local function blend_cmyk(img, degenerate, factor)
  return common.like(img, core.pixels_blend(degenerate, img.data, factor))
end

local function check_tensor(what, img) common.assert_channels(what, img, 1, 3) end

local function factor_spec(name, factor)
  return args(("%s(any img, float %s)"):format(name, factor))
end

local brightness_spec = factor_spec("adjust_brightness", "brightness_factor")

--- 0 gives black, 1 the image, 2 twice its brightness.
function colour.adjust_brightness(...)
  local img, factor = brightness_spec(...)
  if common.image_or_tensor("adjust_brightness", img) then
    common.refuse_masks("adjust_brightness", img)
    if img.mode == "CMYK" then return blend_cmyk(img, torch.zeros_like(img.data), factor) end
    return common.like(img, core.pixels_blend_grey(img.data, 0, factor))
  end
  check_factor("adjust_brightness", "brightness_factor", factor)
  check_tensor("adjust_brightness", img)
  return blend(img, torch.zeros_like(img), factor)
end

local contrast_spec = factor_spec("adjust_contrast", "contrast_factor")

--- 0 gives the mean grey, 1 the image.
function colour.adjust_contrast(...)
  local img, factor = contrast_spec(...)
  if common.image_or_tensor("adjust_contrast", img) then
    common.refuse_masks("adjust_contrast", img)
    local pixels = img.height * img.width
    if pixels == 0 then return img end
    local mean = math.floor(core.pixels_luma_sum(in_rgb(img).data) / pixels + 0.5)
    if img.mode == "CMYK" then
      local grey = torch.full({ img.height, img.width, 1 }, mean, { dtype = torch.uint8 })
      return blend_cmyk(img, Image(grey):convert("CMYK").data, factor)
    end
    return common.like(img, core.pixels_blend_grey(img.data, mean, factor))
  end
  check_factor("adjust_contrast", "contrast_factor", factor)
  common.assert_channels("adjust_contrast", img, 3, 1)
  local dtype = img.dtype.is_floating_point and img.dtype or torch.float32
  local grey = img.ndim > 2 and img:size(-3) == 3 and colour.rgb_to_grayscale(img) or img
  local mean = torch.mean(grey:to(dtype), { dim = img.ndim > 2 and { -3, -2, -1 } or { -2, -1 }, keepdim = true })
  return blend(img, mean, factor)
end

local saturation_spec = factor_spec("adjust_saturation", "saturation_factor")

--- 0 gives grey, 1 the image.
function colour.adjust_saturation(...)
  local img, factor = saturation_spec(...)
  if common.image_or_tensor("adjust_saturation", img) then
    common.refuse_masks("adjust_saturation", img)
    if img.mode == "L" or img.mode == "LA" then return img end
    if img.mode == "CMYK" then return blend_cmyk(img, to_l(img):convert("CMYK").data, factor) end
    return common.like(img, core.pixels_saturate(img.data, factor))
  end
  check_factor("adjust_saturation", "saturation_factor", factor)
  check_tensor("adjust_saturation", img)
  if common.dimensions("adjust_saturation", img) == 1 then return img end
  return blend(img, colour.rgb_to_grayscale(img), factor)
end

-- --- hue --------------------------------------------------------------------------------------------
local hue_spec = factor_spec("adjust_hue", "hue_factor")

-- (..., 3, H, W) floats -> hue, saturation, value, each (..., H, W), in [0, 1].
local function to_hsv(img)
  local rgb = img:unbind(-3)
  local r, g, b = rgb[1], rgb[2], rgb[3]
  local max, min = img:amax(-3), img:amin(-3)
  local grey = max:eq(min)
  local range = max - min
  -- Where a pixel is grey, dividing by 1 keeps NaN out of values and gradients.
  local one = torch.ones_like(max)
  local saturation = range / torch.where(grey, one, max)
  local divisor = torch.where(grey, one, range)
  local rc, gc, bc = (max - r) / divisor, (max - g) / divisor, (max - b) / divisor
  local is_r, is_g = max:eq(r), max:eq(g)
  local hue = (bc - gc) * is_r + (rc - bc + 2.0) * (is_g & ~is_r) + (gc - rc + 4.0) * (~is_g & ~is_r)
  return torch.fmod(hue / 6.0 + 1.0, 1.0), saturation, max
end

-- Which of (v, q, p, t) each channel is in each sixth of the circle: positions in the list {v, q, p, t}.
local sectors = { { 0, 1, 2, 2, 3, 0 }, { 3, 0, 0, 1, 2, 2 }, { 2, 2, 3, 0, 0, 1 } }

local function to_rgb(h, s, v)
  local sixth = torch.floor(h * 6.0)
  local f = h * 6.0 - sixth
  sixth = sixth:to(torch.int64) % 6
  local p = torch.clamp(v * (1.0 - s), 0.0, 1.0)
  local q = torch.clamp(v * (1.0 - s * f), 0.0, 1.0)
  local t = torch.clamp(v * (1.0 - s * (1.0 - f)), 0.0, 1.0)
  local all = torch.stack({ v, q, p, t }, -3)
  local channels = {}
  for c, which in ipairs(sectors) do channels[c] = torch.tensor(which, { dtype = torch.int64 })[sixth] end
  return torch.gather(all, -3, torch.stack(channels, -3))
end

--- Turns the hue: hue_factor in [-0.5, 0.5] of the circle.
function colour.adjust_hue(...)
  local img, factor = hue_spec(...)
  if not (factor >= -0.5 and factor <= 0.5) then
    fail("adjust_hue", "hue_factor (%s) is not in [-0.5, 0.5].", text.repr(factor))
  end
  if common.image_or_tensor("adjust_hue", img) then
    if img.mode == "L" or img.mode == "I" then return img end
    common.refuse_masks("adjust_hue", img)
    local data = img.data
    if img.mode == "CMYK" then return colour.adjust_hue(img:convert("RGB"), factor):convert("CMYK") end
    -- Pillow's HSV has no alpha: the result is opaque.
    if img.mode ~= "LA" then data = core.pixels_shift_hue(data, common.truncate(factor * 255) % 256) end
    if img.mode ~= "RGB" then
      if data == img.data then data = data:clone() end
      data:narrow(2, Image.modes[img.mode] - 1, 1):fill_(255)
    end
    return common.like(img, data)
  end
  check_tensor("adjust_hue", img)
  if common.dimensions("adjust_hue", img) == 1 then return img end
  local h, s, v = to_hsv(convert.convert_image_dtype(img, torch.float32))
  return convert.convert_image_dtype(to_rgb((h + factor) % 1.0, s, v), img.dtype)
end

-- --- gamma ------------------------------------------------------------------------------------------
local gamma_spec = args "adjust_gamma(any img, float gamma, float gain=1)"

--- 255 * gain * (value / 255) ^ gamma.
function colour.adjust_gamma(...)
  local img, gamma, gain = gamma_spec(...)
  local is_image = common.image_or_tensor("adjust_gamma", img)
  if not is_image then check_tensor("adjust_gamma", img) end
  if gamma < 0 then fail("adjust_gamma", "Gamma should be a non-negative real number") end
  if is_image then
    common.refuse_masks("adjust_gamma", img)
    if img.mode == "CMYK" then return colour.adjust_gamma(img:convert("RGB"), gamma, gain):convert("CMYK") end
    local result = through_table(img, function(v)
      local level = common.truncate((255 + 1 - 1e-3) * gain * (v / 255.0) ^ gamma)
      if not level then fail("adjust_gamma", "gamma and gain must be finite, got %s and %s", text.repr(gamma), text.repr(gain)) end
      return level
    end)
    -- Pillow goes through RGB: the result is opaque.
    if img.mode == "LA" or img.mode == "RGBA" then result.data:narrow(2, Image.modes[img.mode] - 1, 1):fill_(255) end
    return result
  end
  local result = img
  if not img.dtype.is_floating_point then result = convert.convert_image_dtype(img, torch.float32) end
  return convert.convert_image_dtype((result:pow(gamma) * gain):clamp(0, 1), img.dtype)
end

-- --- grayscale --------------------------------------------------------------------------------------
local function check_outputs(what, count)
  if count ~= 1 and count ~= 3 then fail(what, "num_output_channels should be either 1 or 3") end
end

local function grey_image(what, img, count)
  check_outputs(what, count)
  local grey = to_l(img)
  if count == 1 then return grey end
  return Image(grey.data:expand(-1, -1, 3))
end

local to_grayscale_spec = args "to_grayscale(any img, int num_output_channels=1)"
local rgb_to_grayscale_spec = args "rgb_to_grayscale(any img, int num_output_channels=1)"

--- An Image as mode L, or as RGB with three equal channels.
function colour.to_grayscale(...)
  local img, count = to_grayscale_spec(...)
  if not common.is_image(img) then fail("to_grayscale", "Input should be PIL Image (a vision.Image)") end
  return grey_image("to_grayscale", img, count)
end

--- Luma: of an Image as Pillow's mode L; of a tensor 0.2989 r + 0.587 g + 0.114 b.
function colour.rgb_to_grayscale(...)
  local img, count = rgb_to_grayscale_spec(...)
  if common.image_or_tensor("rgb_to_grayscale", img) then return grey_image("rgb_to_grayscale", img, count) end
  common.assert_3d("rgb_to_grayscale", img)
  check_tensor("rgb_to_grayscale", img)
  check_outputs("rgb_to_grayscale", count)
  local grey
  if img:size(-3) == 3 then
    local rgb = img:unbind(-3)
    grey = (rgb[1] * 0.2989 + rgb[2] * 0.587 + rgb[3] * 0.114):to(img.dtype):unsqueeze(-3)
  else
    grey = img:clone()
  end
  return count == 3 and grey:expand(img.shape) or grey -- one channel stays one, as in torchvision
end

-- --- tables -----------------------------------------------------------------------------------------
--- White becomes black.
function colour.invert(img)
  if common.image_or_tensor("invert", img) then
    only_l_and_rgb("invert", img)
    return through_table(img, function(v) return 255 - v end)
  end
  common.assert_3d("invert", img)
  check_tensor("invert", img)
  return img:neg():add(common.max_value(img.dtype))
end

local posterize_spec = args "posterize(any img, int bits)"

--- Keeps the upper `bits` bits of each value.
function colour.posterize(...)
  local img, bits = posterize_spec(...)
  if bits < 0 or bits > 8 then
    fail("posterize", "The number if bits should be between 0 and 8. Got %d", bits)
  end
  local mask = 256 - (1 << (8 - bits))
  if common.image_or_tensor("posterize", img) then
    only_l_and_rgb("posterize", img)
    if bits == 0 then fail("posterize", "bits must be between or equal to 1 and 8") end
    return through_table(img, function(v) return v & mask end)
  end
  common.assert_3d("posterize", img)
  if img.dtype ~= torch.uint8 then
    fail("posterize", "Only torch.uint8 image tensors are supported, but found %s", tostring(img.dtype))
  end
  check_tensor("posterize", img)
  return img & mask
end

local solarize_spec = args "solarize(any img, float threshold)"

--- Inverts the values of at least the threshold.
function colour.solarize(...)
  local img, threshold = solarize_spec(...)
  if common.image_or_tensor("solarize", img) then
    only_l_and_rgb("solarize", img)
    return through_table(img, function(v) return v < threshold and v or 255 - v end)
  end
  common.assert_3d("solarize", img)
  check_tensor("solarize", img)
  if threshold > common.max_value(img.dtype) then fail("solarize", "Threshold should be less than bound of img.") end
  return torch.where(img:ge(threshold), colour.invert(img), img)
end

-- --- histograms -------------------------------------------------------------------------------------
--- Stretches each channel so that its darkest value becomes black and its lightest white.
function colour.autocontrast(img)
  if common.image_or_tensor("autocontrast", img) then
    only_l_and_rgb("autocontrast", img)
    return common.like(img, core.pixels_autocontrast(img.data))
  end
  common.assert_3d("autocontrast", img)
  check_tensor("autocontrast", img)
  local bound = common.max_value(img.dtype)
  local dtype = img.dtype.is_floating_point and img.dtype or torch.float32
  local low = img:amin({ -2, -1 }, true):to(dtype)
  local high = img:amax({ -2, -1 }, true):to(dtype)
  local scale = torch.full_like(low, bound):div(high - low)
  local flat = torch.isfinite(scale):logical_not()
  low = torch.where(flat, torch.zeros_like(low), low)
  scale = torch.where(flat, torch.ones_like(scale), scale)
  return ((img - low) * scale):clamp(0, bound):to(img.dtype)
end

-- Of all counts but the last that is not 0, 1/255: as many pixels each level should get.
local function step_of(counts)
  local sum, last, kinds = 0, 0, 0
  for v = 0, 255 do
    if counts[v] > 0 then sum, last, kinds = sum + counts[v], counts[v], kinds + 1 end
  end
  return kinds > 0 and (sum - last) // 255 or 0
end

local function equalize_channel(channel)
  local list = torch.bincount(channel:reshape(-1):to(torch.int64), { minlength = 256 }):tolist()
  local counts = {}
  for v = 0, 255 do counts[v] = list[v + 1] end
  local step = step_of(counts)
  if step == 0 then return channel end
  -- Unlike Pillow's table this one begins with 0.
  local levels, n = { 0 }, step // 2
  for v = 0, 254 do
    n = n + counts[v]
    levels[v + 2] = math.min(n // step, 255)
  end
  return torch.tensor(levels, { dtype = torch.uint8 })[channel:to(torch.int64)]
end

--- Spreads the values so that each level has about as many pixels.
function colour.equalize(img)
  if common.image_or_tensor("equalize", img) then
    only_l_and_rgb("equalize", img)
    return common.like(img, core.pixels_equalize(img.data))
  end
  if img.ndim ~= 3 and img.ndim ~= 4 then
    fail("equalize", "Input image tensor should have 3 or 4 dimensions, but found %d", img.ndim)
  end
  if img.dtype ~= torch.uint8 then
    fail("equalize", "Only torch.uint8 image tensors are supported, but found %s", tostring(img.dtype))
  end
  check_tensor("equalize", img)
  local function single(image)
    local channels = image:unbind(0)
    for c, channel in ipairs(channels) do channels[c] = equalize_channel(channel) end
    return torch.stack(channels)
  end
  if img.ndim == 3 then return single(img) end
  local images = img:unbind(0)
  for i, image in ipairs(images) do images[i] = single(image) end
  return torch.stack(images)
end

return colour
