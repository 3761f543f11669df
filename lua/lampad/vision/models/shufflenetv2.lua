-- ShuffleNetV2 (Ma et al. 2018).
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"

local torch = zoo.torch

--- channel_shuffle(x, groups): the channels of the groups by turns.
local function channel_shuffle(x, groups) return torch.channel_shuffle(x, groups) end

-- Adds a convolution without bias and its normalisation.
local function conv(seq, from, to, kernel, stride, groups)
  seq:append(nn.Conv2d(from, to, kernel, { stride = stride, padding = kernel // 2, groups = groups or 1, bias = false }))
  seq:append(nn.BatchNorm2d(to))
end

local InvertedResidual = nn.Module:extend "InvertedResidual"
local block_spec = args "InvertedResidual(int inp, int oup, int stride)"

--- stride 1: half of the channels pass, half go through branch2; else both branches take all.
function InvertedResidual:init(...)
  local from, to, stride = block_spec(...)
  if stride < 1 or stride > 3 then args.fail("InvertedResidual", "illegal stride value %d", stride) end
  local half = to // 2
  if stride == 1 and from ~= half * 2 then
    args.fail("InvertedResidual", "Invalid combination of stride %d, inp %d and oup %d values. If stride == 1 then inp should "
      .. "be equal to oup // 2 * 2.", stride, from, to)
  end
  self:_set { stride = stride }
  local branch1, branch2 = nn.Sequential(), nn.Sequential()
  if stride > 1 then
    conv(branch1, from, from, 3, stride, from)
    conv(branch1, from, half, 1, 1)
    branch1:append(nn.ReLU(true))
  end
  self.branch1 = branch1
  conv(branch2, stride > 1 and from or half, half, 1, 1)
  branch2:append(nn.ReLU(true))
  conv(branch2, half, half, 3, stride, half)
  conv(branch2, half, half, 1, 1)
  branch2:append(nn.ReLU(true))
  self.branch2 = branch2
end

function InvertedResidual:forward(x)
  local left, right
  if self.stride == 1 then
    local parts = x:chunk(2, 1)
    left, right = parts[1], self.branch2(parts[2])
  else
    left, right = self.branch1(x), self.branch2(x)
  end
  return channel_shuffle(torch.cat({ left, right }, 1), 2)
end

local ShuffleNetV2 = nn.Module:extend "ShuffleNetV2"
local spec = args [[ShuffleNetV2(ints stages_repeats, ints stages_out_channels, int num_classes=1000, any inverted_residual=nil)]]

--- stages_repeats: blocks in the three stages; stages_out_channels: channels of the first convolution, the stages and the last
--- convolution. Images (N, 3, H, W) -> logits (N, num_classes).
function ShuffleNetV2:init(...)
  local repeats, channels, num_classes, block = spec(...)
  block = block or InvertedResidual
  if type(repeats) ~= "table" or #repeats ~= 3 then
    args.fail("ShuffleNetV2", "expected stages_repeats as list of 3 positive ints")
  end
  if type(channels) ~= "table" or #channels ~= 5 then
    args.fail("ShuffleNetV2", "expected stages_out_channels as list of 5 positive ints")
  end
  self:_set { _stage_out_channels = channels }
  local conv1 = nn.Sequential()
  conv(conv1, 3, channels[1], 3, 2)
  self.conv1 = conv1:append(nn.ReLU(true))
  self.maxpool = nn.MaxPool2d(3, 2, 1)
  for i, count in ipairs(repeats) do
    local stage = nn.Sequential(block(channels[i], channels[i + 1], 2))
    for _ = 2, count do stage:append(block(channels[i + 1], channels[i + 1], 1)) end
    self["stage" .. i + 1] = stage
  end
  local conv5 = nn.Sequential()
  conv(conv5, channels[4], channels[5], 1, 1)
  self.conv5 = conv5:append(nn.ReLU(true))
  self.fc = nn.Linear(channels[5], num_classes)
end

function ShuffleNetV2:_forward_impl(x)
  x = self.maxpool(self.conv1(x))
  x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
  return self.fc(x:mean { dim = { 2, 3 } })
end

function ShuffleNetV2:forward(x) return self:_forward_impl(x) end

local family = { ShuffleNetV2 = ShuffleNetV2, InvertedResidual = InvertedResidual, channel_shuffle = channel_shuffle }
for name, channels in pairs {
  shufflenet_v2_x0_5 = { 24, 48, 96, 192, 1024 }, shufflenet_v2_x1_0 = { 24, 116, 232, 464, 1024 },
  shufflenet_v2_x1_5 = { 24, 176, 352, 704, 1024 }, shufflenet_v2_x2_0 = { 24, 244, 488, 976, 2048 },
} do
  family[name] = zoo.builder(name, { build = function(options) return ShuffleNetV2({ 4, 8, 4 }, channels, options) end })
end
return family
