-- vision.transforms.v2: the names of torchvision.transforms.v2 for images and tensors of images. Most are the transforms
-- themselves; there are no boxes, masks and videos, and a transform takes one image.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local lazy = require "lampad.lazy"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local convert = require "lampad.vision.transforms.functional.convert"
local transforms = require "lampad.vision.transforms"

local torch = core.torch
local v2 = {}

--- An Image -> its pixels, uint8 (C, H, W); a tensor stays.
v2.ToImage = base.class "ToImage"
function v2.ToImage:forward(img)
  if common.is_image(img) then return convert.pil_to_tensor(img):contiguous() end
  if not common.is_tensor(img) then args.fail("ToImage", "expected an Image or a tensor, got %s", text.describe(img)) end
  return img
end

local to_dtype_spec = args "ToDtype(any dtype, bool scale=false)"

--- To a dtype; scale = true: white stays white, as ConvertImageDtype.
v2.ToDtype = base.class "ToDtype"
function v2.ToDtype:init(...) self.dtype, self.scale = to_dtype_spec(...) end

function v2.ToDtype:forward(img)
  if not common.is_tensor(img) then
    args.fail("ToDtype", "expected a tensor, got %s; put ToImage() before it", text.describe(img))
  end
  if self.scale then return convert.convert_image_dtype(img, self.dtype) end
  return img:to(self.dtype)
end

function v2.ToDtype.__tostring(self) return ("ToDtype(scale=%s)"):format(text.repr(self.scale)) end

--- Does nothing.
v2.Identity = base.class "Identity"
function v2.Identity:forward(...) return ... end

--- Does nothing: tensors are plain already.
v2.ToPureTensor = base.class "ToPureTensor"
function v2.ToPureTensor:forward(...) return ... end

--- An Image or a tensor with three channels: grey ones are repeated.
v2.RGB = base.class "RGB"
function v2.RGB:forward(img)
  if common.is_image(img) then return img:convert("RGB") end
  local channels = common.dimensions("RGB", img)
  if channels == 3 then return img end
  if channels == 4 or channels == 2 then img = img:narrow(-3, 0, channels - 1) end
  return channels == 4 and img or torch.cat({ img, img, img }, -3)
end

--- The channels in a random order.
v2.RandomChannelPermutation = base.class "RandomChannelPermutation"
function v2.RandomChannelPermutation:forward(img)
  local order = torch.randperm((common.dimensions("RandomChannelPermutation", img)))
  if common.is_image(img) then return common.like(img, img.data:index_select(2, order):contiguous()) end
  return img:index_select(-3, order)
end

local mixes = { MixUp = true, CutMix = true }

return lazy({
  [1] = function(name)
    if mixes[name] then return require("lampad.vision.transforms.mix")[name] end
    return v2[name] or transforms[name]
  end,
}, function()
  local names = { "MixUp", "CutMix" }
  for name in pairs(v2) do names[#names + 1] = name end
  for name in pairs(transforms) do
    if name ~= "v2" then names[#names + 1] = name end
  end
  return names
end)
