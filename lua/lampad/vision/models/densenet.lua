-- DenseNet (Huang et al. 2017).
local args = require "lampad.args"
local nn = require "lampad.nn"
local OrderedDict = require "lampad.ordered_dict"
local zoo = require "lampad.vision.models.zoo"

local torch, F = zoo.torch, nn.functional

-- --- layers --------------------------------------------------------------------------------------
local DenseLayer = nn.Module:extend "_DenseLayer"
local layer_spec = args [[_DenseLayer(int num_input_features, int growth_rate, int bn_size, float drop_rate,
  bool memory_efficient=false)]]

--- growth_rate new channels from all that came before: BN, ReLU, 1x1 convolution, BN, ReLU, 3x3 convolution.
function DenseLayer:init(...)
  local from, growth, size, drop_rate, memory_efficient = layer_spec(...)
  local inner = size * growth
  self.norm1 = nn.BatchNorm2d(from)
  self.relu1 = nn.ReLU(true)
  self.conv1 = nn.Conv2d(from, inner, 1, { bias = false })
  self.norm2 = nn.BatchNorm2d(inner)
  self.relu2 = nn.ReLU(true)
  self.conv2 = nn.Conv2d(inner, growth, 3, { padding = 1, bias = false })
  self:_set { drop_rate = drop_rate, memory_efficient = memory_efficient }
end

function DenseLayer:_bottleneck(...)
  return self.conv1(self.relu1(self.norm1(torch.cat({ ... }, 1))))
end

local function any_requires_grad(list)
  for _, x in ipairs(list) do
    if x.requires_grad then return true end
  end
  return false
end

--- input: a tensor, or the list of what came before.
function DenseLayer:forward(input)
  local before = type(input) == "table" and input or { input }
  local x
  if self.memory_efficient and any_requires_grad(before) then
    x = torch.utils.checkpoint.checkpoint(function(...) return self:_bottleneck(...) end, table.unpack(before))
  else
    x = self:_bottleneck(table.unpack(before))
  end
  x = self.conv2(self.relu2(self.norm2(x)))
  if self.drop_rate > 0 then x = F.dropout(x, self.drop_rate, self.training) end
  return x
end

local DenseBlock = nn.ModuleDict:extend "_DenseBlock"
DenseBlock._version = 2
local block_spec = args [[_DenseBlock(int num_layers, int num_input_features, int bn_size, int growth_rate, float drop_rate,
  bool memory_efficient=false)]]

--- Layers each of which sees the results of all before it; the result is all of them, one after the other.
function DenseBlock:init(...)
  local count, from, size, growth, drop_rate, memory_efficient = block_spec(...)
  for i = 1, count do
    self["denselayer" .. i] = DenseLayer(from + (i - 1) * growth, growth, size, drop_rate, memory_efficient)
  end
end

function DenseBlock:forward(x)
  local features = { x }
  for _, layer in self:items() do features[#features + 1] = layer(features) end
  return torch.cat(features, 1)
end

local Transition = nn.Sequential:extend "_Transition"
local transition_spec = args "_Transition(int num_input_features, int num_output_features)"

--- Fewer channels, half the height and width.
function Transition:init(...)
  local from, to = transition_spec(...)
  self.norm = nn.BatchNorm2d(from)
  self.relu = nn.ReLU(true)
  self.conv = nn.Conv2d(from, to, 1, { bias = false })
  self.pool = nn.AvgPool2d(2, 2)
end

-- --- the network -----------------------------------------------------------------------------------
local DenseNet = nn.Module:extend "DenseNet"
local spec = args [[DenseNet(int growth_rate=32, any block_config=nil, int num_init_features=64, int bn_size=4,
  float drop_rate=0, int num_classes=1000, bool memory_efficient=false)]]

--- block_config: the numbers of layers in the blocks, {6, 12, 24, 16} by default; memory_efficient: computes the bottlenecks
--- again in the backward pass. Images (N, 3, H, W) of at least 29 x 29 -> logits (N, num_classes).
function DenseNet:init(...)
  local o = spec:collect(...)
  local config, channels = o.block_config or { 6, 12, 24, 16 }, o.num_init_features
  local features = nn.Sequential {
    { "conv0", nn.Conv2d(3, channels, 7, { stride = 2, padding = 3, bias = false }) },
    { "norm0", nn.BatchNorm2d(channels) },
    { "relu0", nn.ReLU(true) },
    { "pool0", nn.MaxPool2d(3, 2, 1) },
  }
  for i, count in ipairs(config) do
    features:add_module("denseblock" .. i,
      DenseBlock(count, channels, o.bn_size, o.growth_rate, o.drop_rate, o.memory_efficient))
    channels = channels + count * o.growth_rate
    if i < #config then
      features:add_module("transition" .. i, Transition(channels, channels // 2))
      channels = channels // 2
    end
  end
  features:add_module("norm5", nn.BatchNorm2d(channels))
  self.features = features
  self.classifier = nn.Linear(channels, o.num_classes)
  zoo.fill(self, {
    { nn.Conv2d, function(m) nn.init.kaiming_normal_(m.weight) end },
    { nn.BatchNorm2d, zoo.unit },
    { nn.Linear, zoo.zero_bias },
  })
end

function DenseNet:forward(x)
  x = F.relu(self.features(x), true)
  return self.classifier(F.adaptive_avg_pool2d(x, { 1, 1 }):flatten(1))
end

-- The published files write norm.1.weight where the network has norm1.weight.
local function renamed(state)
  local result = OrderedDict()
  for key, value in OrderedDict.items(state) do
    local before, part, number, after = key:match "^(.*denselayer%d+%.)(%a+)%.([12])(%..*)$"
    if before and (part == "norm" or part == "relu" or part == "conv") then key = before .. part .. number .. after end
    result[key] = value
  end
  rawset(result, "_metadata", rawget(state, "_metadata"))
  return result
end

local family = { DenseNet = DenseNet, _DenseLayer = DenseLayer, _DenseBlock = DenseBlock, _Transition = Transition }

for name, config in pairs {
  densenet121 = { 32, { 6, 12, 24, 16 }, 64 }, densenet161 = { 48, { 6, 12, 36, 24 }, 96 },
  densenet169 = { 32, { 6, 12, 32, 32 }, 64 }, densenet201 = { 32, { 6, 12, 48, 32 }, 64 },
} do
  family[name] = zoo.builder(name, {
    build = function(options) return DenseNet(config[1], config[2], config[3], options) end,
    convert = renamed,
  })
end

return family
