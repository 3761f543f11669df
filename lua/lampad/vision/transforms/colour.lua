-- ColorJitter, Grayscale, RandomGrayscale, and the random colour operations.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local F = require "lampad.vision.transforms.functional.colour"

local torch = core.torch
local fail = args.fail
local colour = {}

-- --- ColorJitter ----------------------------------------------------------------------------------------
local jitter_spec = args "ColorJitter(any brightness=0, any contrast=0, any saturation=0, any hue=0)"

-- {low, high} around the centre from a number, or a list of two; nil when nothing would change.
local function range(name, value, center, low, high, low_text)
  local pair
  if type(value) == "number" then
    if value < 0 then fail("ColorJitter", "If %s is a single number, it must be non negative.", name) end
    pair = { center - (value + 0.0), center + (value + 0.0) }
    if center == 1 then pair[1] = math.max(pair[1], 0.0) end
  else
    local list = common.list(value)
    if not list or #list ~= 2 then
      fail("ColorJitter", "%s should be a single number or a list/tuple with length 2.", name)
    end
    pair = { list[1] + 0.0, list[2] + 0.0 }
  end
  if not (low <= pair[1] and pair[1] <= pair[2] and pair[2] <= high) then
    fail("ColorJitter", "%s values should be between %s, but got %s.", name, low_text, base.list_text(pair))
  end
  if pair[1] == center and pair[2] == center then return nil end
  return pair
end

--- Changes brightness, contrast, saturation (factors in [max(0, 1 - x), 1 + x], or {min, max}) and hue ([-x, x]) in a
--- random order.
local ColorJitter = base.class "ColorJitter"
colour.ColorJitter = ColorJitter

function ColorJitter:init(...)
  local brightness, contrast, saturation, hue = jitter_spec(...)
  self.brightness = range("brightness", brightness, 1, 0, math.huge, "(0, inf)")
  self.contrast = range("contrast", contrast, 1, 0, math.huge, "(0, inf)")
  self.saturation = range("saturation", saturation, 1, 0, math.huge, "(0, inf)")
  self.hue = range("hue", hue, 0, -0.5, 0.5, "(-0.5, 0.5)")
end

--- Draws the order (a list of 0 to 3: brightness, contrast, saturation, hue) and the factors (nil where unchanged).
function ColorJitter.get_params(brightness, contrast, saturation, hue)
  local order = torch.randperm(4):tolist()
  local function factor(pair) return pair and base.uniform(pair[1], pair[2]) or nil end
  local b = factor(brightness)
  local c = factor(contrast)
  local s = factor(saturation)
  return order, b, c, s, factor(hue)
end

function ColorJitter:forward(img)
  local order, b, c, s, h = ColorJitter.get_params(self.brightness, self.contrast, self.saturation, self.hue)
  for _, step in ipairs(order) do
    if step == 0 and b then
      img = F.adjust_brightness(img, b)
    elseif step == 1 and c then
      img = F.adjust_contrast(img, c)
    elseif step == 2 and s then
      img = F.adjust_saturation(img, s)
    elseif step == 3 and h then
      img = F.adjust_hue(img, h)
    end
  end
  return img
end

function ColorJitter.__tostring(self) return base.describe(self, "brightness", "contrast", "saturation", "hue") end

-- --- Grayscale ------------------------------------------------------------------------------------------
local gray_spec = args "Grayscale(int num_output_channels=1)"

--- Luma, as one channel or as three equal ones.
local Grayscale = base.class "Grayscale"
colour.Grayscale = Grayscale

function Grayscale:init(...) self.num_output_channels = gray_spec(...) end
function Grayscale:forward(img) return F.rgb_to_grayscale(img, self.num_output_channels) end
function Grayscale.__tostring(self) return base.describe(self, "num_output_channels") end

local random_gray_spec = args "RandomGrayscale(float p=0.1)"

--- Luma in as many channels as the image has, with probability p.
local RandomGrayscale = base.class "RandomGrayscale"
colour.RandomGrayscale = RandomGrayscale

function RandomGrayscale:init(...) self.p = random_gray_spec(...) end

function RandomGrayscale:forward(img)
  local channels = common.dimensions("RandomGrayscale", img)
  if base.chance(self.p) then return F.rgb_to_grayscale(img, channels) end
  return img
end

function RandomGrayscale.__tostring(self) return base.describe(self, "p") end

-- --- an operation with probability p --------------------------------------------------------------------
-- A class with an argument before p, or with p alone. These compare the draw in double precision, as torchvision does.
local function random(name, argument, apply)
  local spec = args(("%s(%sfloat p=0.5)"):format(name, argument and "float " .. argument .. ", " or ""))
  local Random = base.class(name)

  function Random:init(...)
    if argument then
      self[argument], self.p = spec(...)
    else
      self.p = spec(...)
    end
  end

  function Random:forward(img)
    if base.draw() < self.p then return apply(img, argument and self[argument]) end
    return img
  end

  function Random.__tostring(self)
    if not argument then return base.describe(self, "p") end
    return ("%s(%s=%s,p=%s)"):format(name, argument, text.repr(self[argument]), text.repr(self.p))
  end
  colour[name] = Random
end
colour.random = random

--- Inverts with probability p.
random("RandomInvert", nil, function(img) return F.invert(img) end)
--- Keeps the upper `bits` bits with probability p.
random("RandomPosterize", "bits", function(img, bits) return F.posterize(img, bits) end)
--- Inverts what is at least threshold with probability p.
random("RandomSolarize", "threshold", function(img, threshold) return F.solarize(img, threshold) end)
--- Stretches contrast with probability p.
random("RandomAutocontrast", nil, function(img) return F.autocontrast(img) end)
--- Equalizes the histogram with probability p.
random("RandomEqualize", nil, function(img) return F.equalize(img) end)
--- Changes sharpness with probability p.
random("RandomAdjustSharpness", "sharpness_factor", function(img, factor)
  return require("lampad.vision.transforms.functional.filter").adjust_sharpness(img, factor)
end)

return colour
