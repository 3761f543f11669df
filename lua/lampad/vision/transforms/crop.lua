-- Transforms that change an image's size: Resize, CenterCrop, Pad, FiveCrop, TenCrop, RandomCrop, RandomResizedCrop.
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local F = require "lampad.vision.transforms.functional.crop"
local resize = require "lampad.vision.transforms.functional.resize"
local InterpolationMode = require "lampad.vision.transforms.interpolation"
local warnings = require "lampad.warnings"

local fail = args.fail
local crop = {}

-- --- Resize -------------------------------------------------------------------------------------------
local resize_spec = args "Resize(any size, any interpolation='bilinear', int max_size=nil, bool? antialias=true)"

--- To {height, width}, or so that the shorter side is `size` and the longer at most max_size.
local Resize = base.class "Resize"
crop.Resize = Resize

function Resize:init(...)
  local size, interpolation, max_size, antialias = resize_spec(...)
  if type(size) ~= "number" then
    local list = common.list(size)
    if not list then fail("Resize", "Size should be int or sequence. Got %s", text.describe(size)) end
    if #list ~= 1 and #list ~= 2 then fail("Resize", "If size is a sequence, it should have 1 or 2 values") end
    size = list
  end
  self.size, self.max_size, self.antialias = size, max_size, antialias
  self.interpolation = InterpolationMode.of("Resize", interpolation)
end

function Resize:forward(img)
  return resize.checked("Resize", img, self.size, self.interpolation, self.max_size, self.antialias)
end

function Resize.__tostring(self)
  return ("Resize(size=%s, interpolation=%s, max_size=%s, antialias=%s)"):format(text.repr(self.size),
    self.interpolation.value, text.repr(self.max_size), text.repr(self.antialias))
end

-- --- CenterCrop, FiveCrop, TenCrop --------------------------------------------------------------------
local center_spec = args "CenterCrop(any size)"

--- The middle of the image, {height, width} or a square; smaller images are padded with zeros.
local CenterCrop = base.class "CenterCrop"
crop.CenterCrop = CenterCrop

function CenterCrop:init(...) self.size = base.size("CenterCrop", center_spec(...)) end
function CenterCrop:forward(img) return F.center_crop(img, self.size) end
function CenterCrop.__tostring(self) return base.describe(self, "size") end

--- Resize and CenterCrop of an Image in one, which leaves out what is cropped away; nil where that is not to be had.
function crop.resize_and_center(resizing, centering, img)
  if img.height == 0 or img.width == 0 or resizing.antialias == false or not resize.has_parts(img, resizing.interpolation) then
    return nil
  end
  local height, width = resize.output_size("Resize", img.height, img.width, resizing.size, resizing.max_size)
  local h, w = centering.size[1], centering.size[2]
  if height <= 0 or width <= 0 or h <= 0 or w <= 0 or h > height or w > width then return nil end
  return resize.part(img, height, width, resizing.interpolation.pillow, common.round((height - h) / 2),
    common.round((width - w) / 2), h, w)
end

local five_spec = args "FiveCrop(any size)"

--- A list of five: the corners and the centre.
local FiveCrop = base.class "FiveCrop"
crop.FiveCrop = FiveCrop

function FiveCrop:init(...) self.size = base.size("FiveCrop", five_spec(...)) end
function FiveCrop:forward(img) return { F.five_crop(img, self.size) } end
function FiveCrop.__tostring(self) return base.describe(self, "size") end

local ten_spec = args "TenCrop(any size, bool vertical_flip=false)"

--- A list of ten: the five crops of the image and those of its mirror image.
local TenCrop = base.class "TenCrop"
crop.TenCrop = TenCrop

function TenCrop:init(...)
  local size
  size, self.vertical_flip = ten_spec(...)
  self.size = base.size("TenCrop", size)
end

function TenCrop:forward(img) return { F.ten_crop(img, self.size, self.vertical_flip) } end
function TenCrop.__tostring(self) return base.describe(self, "size", "vertical_flip") end

-- --- Pad ----------------------------------------------------------------------------------------------
local pad_spec = args "Pad(any padding, any fill=0, any padding_mode='constant')"

--- Pads on all sides: a number, {left and right, top and bottom} or {left, top, right, bottom}.
local Pad = base.class "Pad"
crop.Pad = Pad

function Pad:init(...)
  self.padding, self.fill, self.padding_mode = pad_spec(...)
  F.check_mode("Pad", self.padding_mode)
  F.borders("Pad", self.padding)
  if type(self.fill) ~= "number" and not common.list(self.fill) then
    fail("Pad", "Got inappropriate fill arg: %s", text.describe(self.fill))
  end
end

function Pad:forward(img) return F.pad(img, self.padding, self.fill, self.padding_mode) end

function Pad.__tostring(self)
  return ("Pad(padding=%s, fill=%s, padding_mode=%s)"):format(text.repr(self.padding), text.repr(self.fill),
    self.padding_mode)
end

-- --- RandomCrop ---------------------------------------------------------------------------------------
local random_spec = args [[RandomCrop(any size, any padding=nil, bool pad_if_needed=false, any fill=0,
  any padding_mode='constant')]]

--- A box of {height, width} anywhere in the image, after padding.
local RandomCrop = base.class "RandomCrop"
crop.RandomCrop = RandomCrop

function RandomCrop:init(...)
  local size
  size, self.padding, self.pad_if_needed, self.fill, self.padding_mode = random_spec(...)
  self.size = base.size("RandomCrop", size)
  F.check_mode("RandomCrop", self.padding_mode)
  if self.padding ~= nil then F.borders("RandomCrop", self.padding) end
end

--- Draws top, left, height, width of a box of output_size {height, width}.
function RandomCrop.get_params(img, output_size)
  local _, h, w = common.dimensions("RandomCrop", img)
  local height, width = output_size[1], output_size[2]
  if h < height or w < width then
    fail("RandomCrop", "Required crop size %s is larger than input image size %s", text.repr { height, width },
      text.repr { h, w })
  end
  if w == width and h == height then return 0, 0, h, w end
  local top = base.integer(0, h - height + 1)
  return top, base.integer(0, w - width + 1), height, width
end

function RandomCrop:forward(img)
  if self.padding ~= nil then img = F.pad(img, self.padding, self.fill, self.padding_mode) end
  local _, h, w = common.dimensions("RandomCrop", img)
  local height, width = self.size[1], self.size[2]
  if self.pad_if_needed and w < width then img = F.pad(img, { width - w, 0 }, self.fill, self.padding_mode) end
  if self.pad_if_needed and h < height then img = F.pad(img, { 0, height - h }, self.fill, self.padding_mode) end
  return F.window(img, RandomCrop.get_params(img, self.size))
end

function RandomCrop.__tostring(self) return base.describe(self, "size", "padding") end

-- --- RandomResizedCrop --------------------------------------------------------------------------------
local resized_spec = args [[RandomResizedCrop(any size, any scale=nil, any ratio=nil, any interpolation='bilinear',
  bool? antialias=true)]]

--- A box of random area (scale: its share of the image) and shape (ratio: width / height), resized to {height, width}.
local RandomResizedCrop = base.class "RandomResizedCrop"
crop.RandomResizedCrop = RandomResizedCrop

function RandomResizedCrop:init(...)
  local size, scale, ratio, interpolation, antialias = resized_spec(...)
  self.size = base.size("RandomResizedCrop", size)
  self.scale = scale == nil and { 0.08, 1.0 } or common.list(scale)
  self.ratio = ratio == nil and { 3.0 / 4.0, 4.0 / 3.0 } or common.list(ratio)
  if not self.scale then fail("RandomResizedCrop", "Scale should be a sequence") end
  if not self.ratio then fail("RandomResizedCrop", "Ratio should be a sequence") end
  if #self.scale ~= 2 then fail("RandomResizedCrop", "Scale should be a sequence of length 2") end
  if #self.ratio ~= 2 then fail("RandomResizedCrop", "Ratio should be a sequence of length 2") end
  if self.scale[1] > self.scale[2] or self.ratio[1] > self.ratio[2] then
    warnings.warn("Scale and ratio should be of kind (min, max)")
  end
  self.interpolation, self.antialias = InterpolationMode.of("RandomResizedCrop", interpolation), antialias
end

--- Draws top, left, height, width; after ten vain tries the middle of the image in the nearest allowed shape.
function RandomResizedCrop.get_params(img, scale, ratio)
  local _, height, width = common.dimensions("RandomResizedCrop", img)
  local draw = base.draw_box(height * width, scale, ratio)
  for _ = 1, 10 do
    local area, aspect = draw()
    local w, h = common.round(math.sqrt(area * aspect)), common.round(math.sqrt(area / aspect))
    if w > 0 and w <= width and h > 0 and h <= height then
      local top = base.integer(0, height - h + 1)
      return top, base.integer(0, width - w + 1), h, w
    end
  end
  local shape = width / height
  local narrowest, widest = math.min(ratio[1], ratio[2]), math.max(ratio[1], ratio[2])
  local w, h = width, height
  if shape < narrowest then
    h = common.round(w / narrowest)
  elseif shape > widest then
    w = common.round(h * widest)
  end
  return (height - h) // 2, (width - w) // 2, h, w
end

function RandomResizedCrop:forward(img)
  local top, left, height, width = RandomResizedCrop.get_params(img, self.scale, self.ratio)
  return resize.cropped("RandomResizedCrop", img, top, left, height, width, self.size, self.interpolation, self.antialias)
end

-- To four decimals, as Python's round(x, 4); integers stay.
local function rounded(list)
  local result = {}
  for i, v in ipairs(list) do result[i] = math.type(v) == "integer" and v or tonumber(("%.4f"):format(v)) end
  return text.repr(result)
end

function RandomResizedCrop.__tostring(self)
  return ("RandomResizedCrop(size=%s, scale=%s, ratio=%s, interpolation=%s, antialias=%s)"):format(text.repr(self.size),
    rounded(self.scale), rounded(self.ratio), self.interpolation.value, text.repr(self.antialias))
end

return crop
