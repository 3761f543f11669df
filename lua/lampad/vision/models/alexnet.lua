-- AlexNet (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks").
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"

local AlexNet = nn.Module:extend "AlexNet"
local spec = args "AlexNet(int num_classes=1000, float dropout=0.5)"

--- Images (N, 3, H, W) of at least 63 x 63 -> logits (N, num_classes).
function AlexNet:init(...)
  local num_classes, dropout = spec(...)
  local features = nn.Sequential()
  local function conv(from, to, kernel, options)
    features:append(nn.Conv2d(from, to, kernel, options)):append(nn.ReLU(true))
  end
  local function pool() features:append(nn.MaxPool2d(3, 2)) end
  conv(3, 64, 11, { stride = 4, padding = 2 })
  pool()
  conv(64, 192, 5, { padding = 2 })
  pool()
  conv(192, 384, 3, { padding = 1 })
  conv(384, 256, 3, { padding = 1 })
  conv(256, 256, 3, { padding = 1 })
  pool()
  self.features = features
  self.avgpool = nn.AdaptiveAvgPool2d { 6, 6 }
  self.classifier = nn.Sequential(
    nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(true),
    nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(true),
    nn.Linear(4096, num_classes))
end

function AlexNet:forward(x)
  return self.classifier(self.avgpool(self.features(x)):flatten(1))
end

return { AlexNet = AlexNet, alexnet = zoo.builder("alexnet", { build = AlexNet }) }
