-- SqueezeNet (Iandola et al. 2016), versions 1.0 and 1.1.
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"

local torch = zoo.torch

local Fire = nn.Module:extend "Fire"
local fire_spec = args "Fire(int inplanes, int squeeze_planes, int expand1x1_planes, int expand3x3_planes)"

--- A 1x1 convolution that squeezes, then a 1x1 and a 3x3 one side by side. Result (N, expand1x1 + expand3x3 planes, H, W).
function Fire:init(...)
  local from, squeezed, wide1, wide3 = fire_spec(...)
  self:_set { inplanes = from }
  self.squeeze = nn.Conv2d(from, squeezed, 1)
  self.squeeze_activation = nn.ReLU(true)
  self.expand1x1 = nn.Conv2d(squeezed, wide1, 1)
  self.expand1x1_activation = nn.ReLU(true)
  self.expand3x3 = nn.Conv2d(squeezed, wide3, 3, { padding = 1 })
  self.expand3x3_activation = nn.ReLU(true)
end

function Fire:forward(x)
  x = self.squeeze_activation(self.squeeze(x))
  return torch.cat({ self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x)) }, 1)
end

-- The first convolution and, in order, poolings ("pool") and fires {squeeze, expand}, both expansions alike.
local versions = {
  ["1_0"] = { 96, 7, "pool", { 16, 64 }, { 16, 64 }, { 32, 128 }, "pool", { 32, 128 }, { 48, 192 }, { 48, 192 }, { 64, 256 },
    "pool", { 64, 256 } },
  ["1_1"] = { 64, 3, "pool", { 16, 64 }, { 16, 64 }, "pool", { 32, 128 }, { 32, 128 }, "pool", { 48, 192 }, { 48, 192 },
    { 64, 256 }, { 64, 256 } },
}

local SqueezeNet = nn.Module:extend "SqueezeNet"
local spec = args "SqueezeNet(str version='1_0', int num_classes=1000, float dropout=0.5)"

--- Images (N, 3, H, W) -> logits (N, num_classes).
function SqueezeNet:init(...)
  local version, num_classes, dropout = spec(...)
  local plan = versions[version] or args.fail("SqueezeNet", "Unsupported SqueezeNet version %s: 1_0 or 1_1 expected", version)
  self:_set { num_classes = num_classes }
  local features = nn.Sequential(nn.Conv2d(3, plan[1], plan[2], { stride = 2 }), nn.ReLU(true))
  local from = plan[1]
  for i = 3, #plan do
    if plan[i] == "pool" then
      features:append(nn.MaxPool2d(3, 2, { ceil_mode = true }))
    else
      local squeezed, expanded = plan[i][1], plan[i][2]
      features:append(Fire(from, squeezed, expanded, expanded))
      from = 2 * expanded
    end
  end
  self.features = features
  local final = nn.Conv2d(from, num_classes, 1)
  self.classifier = nn.Sequential(nn.Dropout(dropout), final, nn.ReLU(true), nn.AdaptiveAvgPool2d { 1, 1 })
  zoo.fill(self, { { nn.Conv2d, function(m)
    if m == final then
      nn.init.normal_(m.weight, 0.0, 0.01)
    else
      nn.init.kaiming_uniform_(m.weight)
    end
    zoo.zero_bias(m)
  end } })
end

function SqueezeNet:forward(x)
  return self.classifier(self.features(x)):flatten(1)
end

local family = { SqueezeNet = SqueezeNet, Fire = Fire }
for version in pairs(versions) do
  local name = "squeezenet" .. version
  family[name] = zoo.builder(name, { build = function(options) return SqueezeNet(version, options) end })
end
return family
