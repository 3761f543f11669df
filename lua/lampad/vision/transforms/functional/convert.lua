-- Between images and tensors, and between dtypes: to_tensor, pil_to_tensor, to_pil_image, convert_image_dtype,
-- normalize, and the sizes of images.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local common = require "lampad.vision.transforms.functional.common"
local Image = require "lampad.vision.image"

local torch = core.torch
local fail = args.fail
local convert = {}

--- [channels, height, width] of an Image or a tensor (..., H, W), as a list.
function convert.get_dimensions(img) return { common.dimensions("get_dimensions", img) } end

--- [width, height], as a list.
function convert.get_image_size(img)
  local _, height, width = common.dimensions("get_image_size", img)
  return { width, height }
end

--- The number of channels.
function convert.get_image_num_channels(img) return (common.dimensions("get_image_num_channels", img)) end

-- uint8 values become floats in [0, 1]; others keep their dtype.
local function to_unit(x)
  if x.dtype == torch.uint8 then return x:to(torch.get_default_dtype()):div_(255) end
  return x
end

--- Whether the first of three sizes is the channels: of (C, H, W) with C of 1, 3 or 4, however long the last is.
function convert.is_planar(first) return first == 1 or first == 3 or first == 4 end

--- An Image, or a tensor (H, W), (H, W, C) or (C, H, W) -> a float tensor (C, H, W) with values in [0, 1] where the
--- pixels are uint8; other dtypes keep their values. A tensor whose first size is 1, 3 or 4 counts as (C, H, W).
function convert.to_tensor(pic)
  if common.is_image(pic) then
    if pic.mode ~= "I" and torch.get_default_dtype() == torch.float32 then return core.pixels_to_float(pic.data) end
    return to_unit(pic:tensor():contiguous())
  end
  if not common.is_tensor(pic) then fail("to_tensor", "pic should be an Image or a tensor. Got %s", text.describe(pic)) end
  if pic.ndim == 2 then return to_unit(pic:unsqueeze(0)) end
  if pic.ndim ~= 3 then fail("to_tensor", "pic should be 2/3 dimensional. Got %d dimensions.", pic.ndim) end
  if not convert.is_planar(pic:size(0)) then pic = pic:permute(2, 0, 1):contiguous() end
  return to_unit(pic)
end

--- An Image -> uint8 (C, H, W), not scaled; a copy.
function convert.pil_to_tensor(pic)
  if not common.is_image(pic) then fail("pil_to_tensor", "pic should be an Image. Got %s", text.describe(pic)) end
  return pic.data:clone():permute(2, 0, 1)
end

local several = { [2] = { "LA" }, [3] = { "RGB", "YCbCr", "HSV" }, [4] = { "RGBA", "CMYK", "RGBX" } }

--- A tensor (C, H, W) or (H, W) -> Image. Floats are taken times 255 and cut to uint8. mode: by default what the
--- number of channels says.
function convert.to_pil_image(pic, mode)
  if not common.is_tensor(pic) then
    if common.is_image(pic) then fail("to_pil_image", "pic should be a tensor. Got an Image") end
    fail("to_pil_image", "pic should be a tensor. Got %s.", text.describe(pic))
  end
  if args.is_named(mode) then
    args.check_names("to_pil_image", mode, { "mode" })
    mode = mode.mode
  end
  pic = pic:detach()
  if pic.ndim == 3 then
    pic = pic:permute(1, 2, 0)
  elseif pic.ndim == 2 then
    pic = pic:unsqueeze(2)
  else
    fail("to_pil_image", "pic should be 2/3 dimensional. Got %d dimensions.", pic.ndim)
  end
  local channels = pic:size(2)
  if channels > 4 then fail("to_pil_image", "pic should not have > 4 channels. Got %d channels.", channels) end
  if pic.dtype.is_floating_point then pic = pic:mul(255):to(torch.uint8) end
  if pic.dtype ~= torch.uint8 then fail("to_pil_image", "Input type %s is not supported", tostring(pic.dtype)) end
  if channels == 1 then
    if mode ~= nil and mode ~= "L" then
      fail("to_pil_image", "Incorrect mode (%s) supplied for input type uint8. Should be L", tostring(mode))
    end
  elseif mode ~= nil then
    local permitted = false
    for _, name in ipairs(several[channels]) do permitted = permitted or name == mode end
    if not permitted then
      fail("to_pil_image", "Only modes ['%s'] are supported for inputs of %d channels",
        table.concat(several[channels], "', '"), channels)
    end
    if not Image.modes[mode] then fail("to_pil_image", "there are no images of mode %s", text.repr(mode)) end
  end
  return Image(pic:contiguous(), mode)
end

--- True for torch.float32 and its like.
function convert.is_dtype(value)
  return type(value) == "userdata" and not torch.is_tensor(value) and tostring(value):find "^torch%.%l+%d*$" ~= nil
end

local convert_spec = args "convert_image_dtype(any image, any dtype=nil)"

--- Converts a tensor to a dtype (default float32) and scales its values: white stays white.
function convert.convert_image_dtype(...)
  local image, dtype = convert_spec(...)
  if not common.is_tensor(image) then fail("convert_image_dtype", "Input img should be Tensor Image") end
  dtype = dtype or torch.float32
  if not convert.is_dtype(dtype) then
    fail("convert_image_dtype", "dtype must be a dtype such as torch.float32, got %s", text.describe(dtype))
  end
  local from = image.dtype
  if from == dtype then return image end
  if from.is_floating_point then
    if dtype.is_floating_point then return image:to(dtype) end
    if from == torch.float32 and (dtype == torch.int32 or dtype == torch.int64)
      or from == torch.float64 and dtype == torch.int64 then
      fail("convert_image_dtype", "The cast from %s to %s cannot be performed safely.", tostring(from), tostring(dtype))
    end
    -- A little less than one level more than white, so that every level gets the same share of [0, 1].
    return image:mul(common.max_value(dtype) + 1.0 - 1e-3):to(dtype)
  end
  local in_max = common.max_value(from)
  if dtype.is_floating_point then return image:to(dtype):div(in_max) end
  local out_max = common.max_value(dtype)
  if in_max > out_max then
    local factor = common.truncate((in_max + 1.0) // (out_max + 1.0))
    return torch.div(image, factor, { rounding_mode = "floor" }):to(dtype)
  end
  return image:to(dtype):mul(common.truncate((out_max + 1.0) // (in_max + 1.0)))
end

local normalize_spec = args "normalize(any tensor, any mean, any std, bool inplace=false)"

-- A statistic as a tensor that spreads over (C, H, W).
local function per_channel(value, dtype)
  if not common.is_tensor(value) then value = torch.tensor(type(value) == "number" and { value } or value) end
  value = value:to(dtype)
  return value.ndim == 1 and value:view(-1, 1, 1) or value
end

--- Checked arguments: see normalize.
function convert.normalize_checked(what, tensor, mean, std, inplace)
  if not common.is_tensor(tensor) then
    fail(what, "img should be Tensor Image. Got %s; put ToTensor() before it", text.describe(tensor))
  end
  local dtype = tensor.dtype
  if not dtype.is_floating_point then
    fail(what, "Input tensor should be a float tensor. Got %s; put ToTensor() before it", tostring(dtype))
  end
  if tensor.ndim < 3 then
    fail(what, "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = %s", tostring(tensor.shape))
  end
  mean, std = per_channel(mean, dtype), per_channel(std, dtype)
  if std:eq(0):any():item() then
    fail(what, "std evaluated to zero after conversion to %s, leading to division by zero.", tostring(dtype))
  end
  if inplace then return tensor:sub_(mean):div_(std) end
  return tensor:sub(mean):div_(std)
end

--- (tensor - mean) / std, channel by channel, for float tensors (..., C, H, W).
function convert.normalize(...)
  return convert.normalize_checked("normalize", normalize_spec(...))
end

return convert
