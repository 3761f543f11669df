-- RandomErasing (Zhong et al. 2017).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local F = require "lampad.vision.transforms.functional.crop"
local warnings = require "lampad.warnings"

local torch = core.torch
local fail = args.fail
local spec = args "RandomErasing(float p=0.5, any scale=nil, any ratio=nil, any value=0, bool inplace=false)"

--- Sets a random box of a tensor (..., C, H, W) to value (a number, one for each channel, or "random"), with
--- probability p. scale: the box's share of the area; ratio: its height / width.
local RandomErasing = base.class "RandomErasing"

function RandomErasing:init(...)
  local scale, ratio
  self.p, scale, ratio, self.value, self.inplace = spec(...)
  local what = "RandomErasing"
  if type(self.value) == "string" then
    if self.value ~= "random" then fail(what, "If value is str, it should be 'random'") end
  elseif type(self.value) ~= "number" and not common.list(self.value) then
    fail(what, "Argument value should be either a number or str or a sequence")
  end
  self.scale = scale == nil and { 0.02, 0.33 } or common.list(scale)
  self.ratio = ratio == nil and { 0.3, 3.3 } or common.list(ratio)
  if not self.scale or #self.scale ~= 2 then fail(what, "Scale should be a sequence") end
  if not self.ratio or #self.ratio ~= 2 then fail(what, "Ratio should be a sequence") end
  if self.scale[1] > self.scale[2] or self.ratio[1] > self.ratio[2] then
    warnings.warn("Scale and ratio should be of kind (min, max)")
  end
  if self.scale[1] < 0 or self.scale[2] > 1 then fail(what, "Scale should be between 0 and 1") end
  if self.p < 0 or self.p > 1 then fail(what, "Random erasing probability should be between 0 and 1") end
end

--- Draws top, left, height, width and the tensor that comes there; value: a list, or nil for random values. After ten
--- vain tries the whole image, as it is.
function RandomErasing.get_params(img, scale, ratio, value)
  local channels, height, width = img:size(-3), img:size(-2), img:size(-1)
  local draw = base.draw_box(height * width, scale, ratio)
  for _ = 1, 10 do
    local area, aspect = draw()
    local h, w = common.round(math.sqrt(area * aspect)), common.round(math.sqrt(area / aspect))
    if h < height and w < width then
      local v
      if value == nil then
        v = torch.empty({ channels, h, w }, { dtype = torch.float32 }):normal_()
      else
        v = torch.tensor(value):view(-1, 1, 1)
      end
      local top = base.integer(0, height - h + 1)
      return top, base.integer(0, width - w + 1), h, w, v
    end
  end
  return 0, 0, height, width, img
end

function RandomErasing:forward(img)
  if not base.chance(self.p) then return img end
  if not common.is_tensor(img) or img.ndim < 3 then
    fail("RandomErasing", "expected a tensor (..., C, H, W), got %s", text.describe(img))
  end
  local value
  if type(self.value) ~= "string" then
    value = {}
    for i, v in ipairs(type(self.value) == "number" and { self.value } or self.value) do value[i] = v + 0.0 end
    if #value ~= 1 and #value ~= img:size(-3) then
      fail("RandomErasing", "If value is a sequence, it should have either a single value or %d (number of input channels)",
        img:size(-3))
    end
  end
  local top, left, h, w, v = RandomErasing.get_params(img, self.scale, self.ratio, value)
  return F.erase(img, top, left, h, w, v, self.inplace)
end

function RandomErasing.__tostring(self)
  local value = type(self.value) == "string" and self.value or text.repr(self.value)
  return ("RandomErasing(p=%s, scale=%s, ratio=%s, value=%s, inplace=%s)"):format(text.repr(self.p), text.repr(self.scale),
    text.repr(self.ratio), value, text.repr(self.inplace))
end

return { RandomErasing = RandomErasing }
