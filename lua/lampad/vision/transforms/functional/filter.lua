-- Filters over neighbours: gaussian_blur and adjust_sharpness.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local common = require "lampad.vision.transforms.functional.common"
local convert = require "lampad.vision.transforms.functional.convert"
local colour = require "lampad.vision.transforms.functional.colour"
local Image = require "lampad.vision.image"

local torch = core.torch
local fail = args.fail
local filter = {}

-- One kernel (h, w) over every channel of (N, C, H, W), which has been padded for it.
local function convolve(img, kernel)
  local channels = img:size(1)
  kernel = kernel:expand(channels, 1, kernel:size(0), kernel:size(1))
  return torch.nn.functional.conv2d(img, kernel, { groups = channels })
end

local function compute_dtype(img) return img.dtype.is_floating_point and img.dtype or torch.float32 end

-- --- gaussian_blur ----------------------------------------------------------------------------------
local function gaussian(size, sigma, dtype)
  local half = (size - 1) * 0.5
  local x = torch.linspace(-half, half, size, { dtype = dtype })
  local density = torch.exp((x / sigma):pow(2) * -0.5)
  return density / density:sum()
end

--- Checked arguments: a tensor (..., C, H, W), sizes and sigmas {x, y}.
function filter.blur_tensor(img, sizes, sigmas)
  local dtype = compute_dtype(img)
  local kernel = torch.mm(gaussian(sizes[2], sigmas[2], dtype):unsqueeze(1), gaussian(sizes[1], sigmas[1], dtype):unsqueeze(0))
  local batch, back = common.to_batch(img, dtype)
  local across, down = sizes[1] // 2, sizes[2] // 2
  batch = torch.nn.functional.pad(batch, { across, across, down, down }, { mode = "reflect" })
  return common.restore(convolve(batch, kernel), back)
end

local blur_spec = args "gaussian_blur(any img, any kernel_size, any sigma=nil)"

--- Blurs with a Gaussian of kernel_size (odd; a number or {x, y}) and sigma (by default 0.15 * kernel_size + 0.35).
function filter.gaussian_blur(...)
  local img, kernel_size, sigma = blur_spec(...)
  local sizes = type(kernel_size) == "number" and { kernel_size, kernel_size } or common.list(kernel_size)
  if not sizes then
    fail("gaussian_blur", "kernel_size should be int or a sequence of integers. Got %s", text.describe(kernel_size))
  end
  if #sizes ~= 2 then
    fail("gaussian_blur", "If kernel_size is a sequence its length should be 2. Got %d", #sizes)
  end
  for _, size in ipairs(sizes) do
    if math.tointeger(size) == nil or size % 2 == 0 or size < 0 then
      fail("gaussian_blur", "kernel_size should have odd and positive integers. Got %s", text.repr(sizes))
    end
  end
  local sigmas
  if sigma == nil then
    sigmas = { sizes[1] * 0.15 + 0.35, sizes[2] * 0.15 + 0.35 }
  elseif type(sigma) == "number" then
    sigmas = { sigma + 0.0, sigma + 0.0 }
  else
    sigmas = common.list(sigma)
    if not sigmas then
      fail("gaussian_blur", "sigma should be either float or sequence of floats. Got %s", text.describe(sigma))
    end
    if #sigmas == 1 then sigmas = { sigmas[1], sigmas[1] } end
  end
  if #sigmas ~= 2 then fail("gaussian_blur", "If sigma is a sequence, its length should be 2. Got %d", #sigmas) end
  for _, s in ipairs(sigmas) do
    if s <= 0 then fail("gaussian_blur", "sigma should have positive values. Got %s", text.repr(sigmas)) end
  end
  if common.image_or_tensor("gaussian_blur", img) then
    common.refuse_masks("gaussian_blur", img)
    return convert.to_pil_image(filter.blur_tensor(img:tensor(), sizes, sigmas), img.mode)
  end
  return filter.blur_tensor(img, sizes, sigmas)
end

-- --- adjust_sharpness -------------------------------------------------------------------------------
local sharpness_spec = args "adjust_sharpness(any img, float sharpness_factor)"

-- Smoothed inside the border of one pixel.
local function smooth(img)
  local dtype = compute_dtype(img)
  local kernel = torch.ones(3, 3, { dtype = dtype })
  kernel[{ 1, 1 }] = 5
  kernel:div_(kernel:sum())
  local batch, back = common.to_batch(img, dtype)
  local inside = common.restore(convolve(batch, kernel), back)
  local result = img:clone()
  result:narrow(-2, 1, img:size(-2) - 2):narrow(-1, 1, img:size(-1) - 2):copy_(inside)
  return result
end

--- 0 gives a blurred image, 1 the image, 2 twice its sharpness.
function filter.adjust_sharpness(...)
  local img, factor = sharpness_spec(...)
  if common.image_or_tensor("adjust_sharpness", img) then
    common.refuse_masks("adjust_sharpness", img)
    local has_alpha = img.mode == "LA" or img.mode == "RGBA"
    return Image(core.pixels_sharpen(img.data, factor, has_alpha), img.mode)
  end
  if factor < 0 then fail("adjust_sharpness", "sharpness_factor (%s) is not non-negative.", text.repr(factor)) end
  common.assert_channels("adjust_sharpness", img, 1, 3)
  if img:size(-1) <= 2 or img:size(-2) <= 2 then return img end
  return colour.blend(img, smooth(img), factor)
end

return filter
