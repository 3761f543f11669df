-- The preprocessing that published weights expect: what weights.transforms() gives (torchvision.transforms._presets).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"

local presets = {}

local ImageClassification = Module:extend "ImageClassification"
presets.ImageClassification = ImageClassification
local spec = args [[ImageClassification(*, int crop_size, int resize_size=256, floats mean=nil, floats std=nil,
  any interpolation='bilinear', bool antialias=true)]]

--- ImageClassification{crop_size = 224, resize_size = 256, mean, std, interpolation = "bilinear", antialias = true}: resizes
--- the smaller edge, cuts the middle out and normalises. Takes a vision.Image or a tensor (C, H, W) or (B, C, H, W), gives
--- float32 (C, crop, crop) or (B, C, crop, crop).
function ImageClassification:init(...)
  local o = spec:collect(...)
  self:_set {
    crop_size = { o.crop_size }, resize_size = { o.resize_size },
    mean = o.mean or { 0.485, 0.456, 0.406 }, std = o.std or { 0.229, 0.224, 0.225 },
    interpolation = o.interpolation, antialias = o.antialias,
  }
end

-- The member of InterpolationMode for a name such as "bilinear".
local function mode_of(value)
  local modes = core.torch.vision.transforms.InterpolationMode
  return type(value) == "string" and modes and modes[value:upper()] or value
end

function ImageClassification:forward(image)
  local torch = core.torch
  local F = torch.vision.transforms.functional
  image = F.resize(image, self.resize_size, { interpolation = mode_of(self.interpolation), antialias = self.antialias })
  image = F.center_crop(image, self.crop_size)
  if not torch.is_tensor(image) then image = F.pil_to_tensor(image) end
  image = F.convert_image_dtype(image, torch.float32)
  return F.normalize(image, self.mean, self.std)
end

-- [0.5, 0.25]: a list as Python writes it.
local function list_text(list)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = text.repr(value) end
  return "[" .. table.concat(parts, ", ") .. "]"
end

local function mode_text(value)
  return type(value) == "string" and "InterpolationMode." .. value:upper() or tostring(value)
end

function ImageClassification.__tostring(self)
  return ("ImageClassification(\n    crop_size=%s\n    resize_size=%s\n    mean=%s\n    std=%s\n    interpolation=%s\n)"):format(
    list_text(self.crop_size), list_text(self.resize_size), list_text(self.mean), list_text(self.std),
    mode_text(self.interpolation))
end

--- One sentence or two on what it does.
function ImageClassification:describe()
  return ("Takes an image, or a tensor (C, H, W) or (B, C, H, W). Images are resized to resize_size=%s with %s and cut to "
    .. "crop_size=%s in the middle; the values are scaled to [0.0, 1.0] and normalised with mean=%s and std=%s."):format(
    list_text(self.resize_size), mode_text(self.interpolation), list_text(self.crop_size), list_text(self.mean),
    list_text(self.std))
end

return presets
