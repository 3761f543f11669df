-- ConvNeXt (Liu et al. 2022).
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local torch, F = zoo.torch, nn.functional
local Permute = layers.Permute

local LayerNorm2d = nn.LayerNorm:extend "LayerNorm2d"

--- LayerNorm over the channels of (N, C, H, W).
function LayerNorm2d:forward(x)
  x = F.layer_norm(x:permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
  return x:permute(0, 3, 1, 2)
end

local CNBlock = nn.Module:extend "CNBlock"
local block_spec = args "CNBlock(int dim, float layer_scale, float stochastic_depth_prob, any norm_layer=nil)"

--- A 7x7 convolution of each channel by itself, LayerNorm, two linear layers; scaled, with a shortcut round it all.
function CNBlock:init(...)
  local dim, scale, depth_prob, norm = block_spec(...)
  norm = norm or zoo.with("LayerNorm", { eps = 1e-6 })
  self.block = nn.Sequential(
    nn.Conv2d(dim, dim, 7, { padding = 3, groups = dim }),
    Permute { 0, 2, 3, 1 },
    norm(dim),
    nn.Linear(dim, 4 * dim),
    nn.GELU(),
    nn.Linear(4 * dim, dim),
    Permute { 0, 3, 1, 2 })
  self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1) * scale)
  self.stochastic_depth = layers.StochasticDepth(depth_prob, "row")
end

function CNBlock:forward(input)
  return self.stochastic_depth(self.layer_scale * self.block(input)):add_(input)
end

--- A stage: CNBlockConfig(input_channels, out_channels or nil for the last, num_layers).
local CNBlockConfig = class.extend(class.Object, "CNBlockConfig")
local config_spec = args "CNBlockConfig(int input_channels, int? out_channels, int num_layers)"

function CNBlockConfig:init(...)
  self.input_channels, self.out_channels, self.num_layers = config_spec(...)
end

function CNBlockConfig.__tostring(self)
  return ("CNBlockConfig(input_channels=%d, out_channels=%s, num_layers=%d)"):format(self.input_channels,
    text.repr(self.out_channels), self.num_layers)
end

local ConvNeXt = nn.Module:extend "ConvNeXt"
local spec = args [[ConvNeXt(any block_setting, float stochastic_depth_prob=0.0, float layer_scale=1e-6, int num_classes=1000,
  any block=nil, any norm_layer=nil)]]

--- block_setting: a list of CNBlockConfig. Images (N, 3, H, W) of at least 32 x 32 -> logits (N, num_classes).
function ConvNeXt:init(...)
  local o = spec:collect(...)
  local setting = o.block_setting
  zoo.check_settings("ConvNeXt", "block_setting", setting, CNBlockConfig)
  local block = o.block or CNBlock
  local norm = o.norm_layer or function(channels) return LayerNorm2d(channels, { eps = 1e-6 }) end
  local features = nn.Sequential(layers.Conv2dNormActivation(3, setting[1].input_channels, 4, 4, 0,
    { norm_layer = norm, activation_layer = false, bias = true }))
  local total, at = zoo.sum(setting, "num_layers"), 0
  for _, cnf in ipairs(setting) do
    local stage = nn.Sequential()
    for _ = 1, cnf.num_layers do
      stage:append(block(cnf.input_channels, o.layer_scale, o.stochastic_depth_prob * at / (total - 1.0)))
      at = at + 1
    end
    features:append(stage)
    if cnf.out_channels then
      features:append(nn.Sequential(norm(cnf.input_channels), nn.Conv2d(cnf.input_channels, cnf.out_channels, 2, 2)))
    end
  end
  self.features = features
  self.avgpool = nn.AdaptiveAvgPool2d(1)
  local last = setting[#setting]
  local channels = last.out_channels or last.input_channels
  self.classifier = nn.Sequential(norm(channels), nn.Flatten(1), nn.Linear(channels, o.num_classes))
  zoo.fill(self, { { nn.Conv2d, nn.Linear, function(m)
    nn.init.trunc_normal_(m.weight, { std = 0.02 })
    zoo.zero_bias(m)
  end } })
end

function ConvNeXt:_forward_impl(x)
  return self.classifier(self.avgpool(self.features(x)))
end

function ConvNeXt:forward(x) return self:_forward_impl(x) end

local family = { ConvNeXt = ConvNeXt, CNBlock = CNBlock, CNBlockConfig = CNBlockConfig, LayerNorm2d = LayerNorm2d }

-- Channels of the first stage (each later one has twice as many), blocks of the third (the others have 3), depth.
for size, row in pairs { tiny = { 96, 9, 0.1 }, small = { 96, 27, 0.4 }, base = { 128, 27, 0.5 }, large = { 192, 27, 0.5 } } do
  local name = "convnext_" .. size
  family[name] = zoo.builder(name, {
    build = function(options)
      local c, third, depth_prob = table.unpack(row)
      options.stochastic_depth_prob = options.stochastic_depth_prob or depth_prob
      return ConvNeXt({ CNBlockConfig(c, 2 * c, 3), CNBlockConfig(2 * c, 4 * c, 3), CNBlockConfig(4 * c, 8 * c, third),
        CNBlockConfig(8 * c, nil, 3) }, options)
    end,
  })
end

return family
