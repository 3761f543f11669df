-- VGG (Simonyan and Zisserman 2015), with and without batch normalisation.
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"

local VGG = nn.Module:extend "VGG"
local spec = args "VGG(Module features, int num_classes=1000, bool init_weights=true, float dropout=0.5)"

--- features: the convolutions, giving 512 channels. Images (N, 3, H, W) of at least 32 x 32 -> logits (N, num_classes).
function VGG:init(...)
  local features, num_classes, init_weights, dropout = spec(...)
  self.features = features
  self.avgpool = nn.AdaptiveAvgPool2d { 7, 7 }
  self.classifier = nn.Sequential(
    nn.Linear(512 * 7 * 7, 4096), nn.ReLU(true), nn.Dropout(dropout),
    nn.Linear(4096, 4096), nn.ReLU(true), nn.Dropout(dropout),
    nn.Linear(4096, num_classes))
  if not init_weights then return end
  zoo.fill(self, {
    { nn.Conv2d, zoo.fan_out },
    { nn.BatchNorm2d, zoo.unit },
    { nn.Linear, zoo.small },
  })
end

function VGG:forward(x)
  return self.classifier(self.avgpool(self.features(x)):flatten(1))
end

-- Channels of the convolutions before each of the five poolings.
local stages = {
  [11] = { { 64 }, { 128 }, { 256, 256 }, { 512, 512 }, { 512, 512 } },
  [13] = { { 64, 64 }, { 128, 128 }, { 256, 256 }, { 512, 512 }, { 512, 512 } },
  [16] = { { 64, 64 }, { 128, 128 }, { 256, 256, 256 }, { 512, 512, 512 }, { 512, 512, 512 } },
  [19] = { { 64, 64 }, { 128, 128 }, { 256, 256, 256, 256 }, { 512, 512, 512, 512 }, { 512, 512, 512, 512 } },
}

local function make_features(depth, batch_norm)
  local features, from = nn.Sequential(), 3
  for _, stage in ipairs(stages[depth]) do
    for _, channels in ipairs(stage) do
      features:append(nn.Conv2d(from, channels, 3, { padding = 1 }))
      if batch_norm then features:append(nn.BatchNorm2d(channels)) end
      features:append(nn.ReLU(true))
      from = channels
    end
    features:append(nn.MaxPool2d(2, 2))
  end
  return features
end

local family = { VGG = VGG }

for depth in pairs(stages) do
  for _, suffix in ipairs { "", "_bn" } do
    local name = "vgg" .. depth .. suffix
    family[name] = zoo.builder(name, {
      prepare = function(options) options.init_weights = false end,
      build = function(options) return VGG(make_features(depth, suffix == "_bn"), options) end,
    })
  end
end

return family
