-- RandomHorizontalFlip and RandomVerticalFlip.
local args = require "lampad.args"
local base = require "lampad.vision.transforms.base"
local F = require "lampad.vision.transforms.functional.crop"

local flip = {}

local function make(name, apply)
  local spec = args(name .. "(float p=0.5)")
  local Flip = base.class(name)

  function Flip:init(...) self.p = spec(...) end

  --- Draws whether to flip.
  function Flip:draw() return base.chance(self.p) end

  function Flip:forward(img)
    if self:draw() then return apply(img) end
    return img
  end

  function Flip.__tostring(self) return base.describe(self, "p") end
  flip[name] = Flip
end

--- Left becomes right, with probability p.
make("RandomHorizontalFlip", F.hflip)
--- Top becomes bottom, with probability p.
make("RandomVerticalFlip", F.vflip)

return flip
