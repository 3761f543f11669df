-- EfficientNet (Tan and Le 2019) and EfficientNetV2 (Tan and Le 2021).
local args = require "lampad.args"
local class = require "lampad.class"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local Conv2dNormActivation, StochasticDepth = layers.Conv2dNormActivation, layers.StochasticDepth

-- --- settings --------------------------------------------------------------------------------------
local Config = class.extend(class.Object, "_MBConvConfig")

local function adjust_channels(channels, width_mult, least) return zoo.make_divisible(channels * width_mult, 8, least) end
Config.adjust_channels = adjust_channels

local MBConv, FusedMBConv -- below

--- A stage of MBConv blocks: row of the paper's table 1, scaled.
local MBConvConfig = Config:extend "MBConvConfig"
local stage_arguments = "(float expand_ratio, int kernel, int stride, int input_channels, int out_channels, int num_layers%s, any block=nil)"
local config_spec = args("MBConvConfig" .. stage_arguments:format ", float width_mult=1.0, float depth_mult=1.0")

function MBConvConfig.adjust_depth(count, depth_mult) return math.ceil(count * depth_mult) end

function MBConvConfig:init(...)
  for name, value in pairs(config_spec:collect(...)) do self[name] = value end
  self.input_channels = adjust_channels(self.input_channels, self.width_mult)
  self.out_channels = adjust_channels(self.out_channels, self.width_mult)
  self.num_layers = MBConvConfig.adjust_depth(self.num_layers, self.depth_mult)
  self.block = self.block or MBConv
end

--- A stage of FusedMBConv blocks.
local FusedMBConvConfig = Config:extend "FusedMBConvConfig"
local fused_spec = args("FusedMBConvConfig" .. stage_arguments:format "")

function FusedMBConvConfig:init(...)
  for name, value in pairs(fused_spec:collect(...)) do self[name] = value end
  self.block = self.block or FusedMBConv
end

-- --- blocks ----------------------------------------------------------------------------------------
-- What both kinds of block share: members and the way through.
local function finish_block(self, cnf, block, depth_prob)
  self.block = block
  self.stochastic_depth = StochasticDepth(depth_prob, "row")
  self:_set { out_channels = cnf.out_channels, use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels }
end

local function check_stride(what, cnf)
  if cnf.stride ~= 1 and cnf.stride ~= 2 then args.fail(what, "stride should be 1 or 2 instead of %d", cnf.stride) end
end

local function forward(self, input)
  local result = self.block(input)
  if self.use_res_connect then result = self.stochastic_depth(result):add_(input) end
  return result
end

MBConv = nn.Module:extend "MBConv"
local block_spec = args "MBConv(any cnf, float stochastic_depth_prob, any norm_layer, any se_layer=nil)"

--- Widens, convolves each channel by itself, squeezes and excites, narrows; with a shortcut where the shape stays.
function MBConv:init(...)
  local cnf, depth_prob, norm, se_layer = block_spec(...)
  check_stride("MBConv", cnf)
  local silu, plain = { norm_layer = norm, activation_layer = nn.SiLU }, { norm_layer = norm, activation_layer = false }
  local from, wide = cnf.input_channels, adjust_channels(cnf.input_channels, cnf.expand_ratio)
  local block = nn.Sequential()
  if wide ~= from then block:append(Conv2dNormActivation(from, wide, 1, silu)) end
  block:append(Conv2dNormActivation(wide, wide, cnf.kernel, cnf.stride,
    { groups = wide, norm_layer = norm, activation_layer = nn.SiLU }))
  block:append((se_layer or layers.SqueezeExcitation)(wide, math.max(1, from // 4), { activation = zoo.inplace "SiLU" }))
  block:append(Conv2dNormActivation(wide, cnf.out_channels, 1, plain))
  finish_block(self, cnf, block, depth_prob)
end
MBConv.forward = forward

FusedMBConv = nn.Module:extend "FusedMBConv"
local fused_block_spec = args "FusedMBConv(any cnf, float stochastic_depth_prob, any norm_layer)"

--- As MBConv with one full convolution in the place of the first two, and no squeezing.
function FusedMBConv:init(...)
  local cnf, depth_prob, norm = fused_block_spec(...)
  check_stride("FusedMBConv", cnf)
  local silu, plain = { norm_layer = norm, activation_layer = nn.SiLU }, { norm_layer = norm, activation_layer = false }
  local from, wide = cnf.input_channels, adjust_channels(cnf.input_channels, cnf.expand_ratio)
  local block = nn.Sequential()
  if wide ~= from then
    block:append(Conv2dNormActivation(from, wide, cnf.kernel, cnf.stride, silu))
    block:append(Conv2dNormActivation(wide, cnf.out_channels, 1, plain))
  else
    block:append(Conv2dNormActivation(from, cnf.out_channels, cnf.kernel, cnf.stride, silu))
  end
  finish_block(self, cnf, block, depth_prob)
end
FusedMBConv.forward = forward

-- --- the network -----------------------------------------------------------------------------------
local EfficientNet = nn.Module:extend "EfficientNet"
local spec = args [[EfficientNet(any inverted_residual_setting, float dropout, float stochastic_depth_prob=0.2,
  int num_classes=1000, any norm_layer=nil, int last_channel=nil)]]

-- The setting of a later block of a stage: same size, same channels.
local function repeated(cnf)
  local copy = setmetatable({}, getmetatable(cnf))
  for key, value in pairs(cnf) do copy[key] = value end
  copy.input_channels, copy.stride = cnf.out_channels, 1
  return copy
end

--- inverted_residual_setting: a list of MBConvConfig and FusedMBConvConfig; stochastic_depth_prob: of the last block, growing
--- evenly from 0. Images (N, 3, H, W) -> logits (N, num_classes).
function EfficientNet:init(...)
  local o = spec:collect(...)
  local setting = o.inverted_residual_setting
  zoo.check_settings("EfficientNet", "inverted_residual_setting", setting, Config)
  local norm = o.norm_layer or nn.BatchNorm2d
  local silu = { norm_layer = norm, activation_layer = nn.SiLU }
  local features = nn.Sequential(Conv2dNormActivation(3, setting[1].input_channels, 3, 2, silu))
  local total, at = zoo.sum(setting, "num_layers"), 0
  for _, cnf in ipairs(setting) do
    local stage = nn.Sequential()
    for i = 1, cnf.num_layers do
      local block = i == 1 and cnf or repeated(cnf)
      stage:append(block.block(block, o.stochastic_depth_prob * at / total, norm))
      at = at + 1
    end
    features:append(stage)
  end
  local out = setting[#setting].out_channels
  local last = o.last_channel or 4 * out
  features:append(Conv2dNormActivation(out, last, 1, silu))
  self.features = features
  self.avgpool = nn.AdaptiveAvgPool2d(1)
  self.classifier = nn.Sequential(nn.Dropout(o.dropout, true), nn.Linear(last, o.num_classes))
  zoo.fill(self, {
    { nn.Conv2d, zoo.fan_out },
    { nn.BatchNorm2d, nn.GroupNorm, zoo.unit },
    { nn.Linear, function(m)
      local range = 1.0 / math.sqrt(m.out_features)
      nn.init.uniform_(m.weight, -range, range)
      zoo.zero_bias(m)
    end },
  })
end

function EfficientNet:_forward_impl(x)
  return self.classifier(self.avgpool(self.features(x)):flatten(1))
end

function EfficientNet:forward(x) return self:_forward_impl(x) end

-- --- the builders --------------------------------------------------------------------------------------
-- Expansion, kernel, stride, channels in and out, blocks.
local b_plan = { { 1, 3, 1, 32, 16, 1 }, { 6, 3, 2, 16, 24, 2 }, { 6, 5, 2, 24, 40, 2 }, { 6, 3, 2, 40, 80, 3 },
  { 6, 5, 1, 80, 112, 3 }, { 6, 5, 2, 112, 192, 4 }, { 6, 3, 1, 192, 320, 1 } }

-- Of version 2; the first three stages are fused.
local v2_plans = {
  s = { dropout = 0.2, { 1, 3, 1, 24, 24, 2 }, { 4, 3, 2, 24, 48, 4 }, { 4, 3, 2, 48, 64, 4 }, { 4, 3, 2, 64, 128, 6 },
    { 6, 3, 1, 128, 160, 9 }, { 6, 3, 2, 160, 256, 15 } },
  m = { dropout = 0.3, { 1, 3, 1, 24, 24, 3 }, { 4, 3, 2, 24, 48, 5 }, { 4, 3, 2, 48, 80, 5 }, { 4, 3, 2, 80, 160, 7 },
    { 6, 3, 1, 160, 176, 14 }, { 6, 3, 2, 176, 304, 18 }, { 6, 3, 1, 304, 512, 5 } },
  l = { dropout = 0.4, { 1, 3, 1, 32, 32, 4 }, { 4, 3, 2, 32, 64, 7 }, { 4, 3, 2, 64, 96, 7 }, { 4, 3, 2, 96, 192, 10 },
    { 6, 3, 1, 192, 224, 19 }, { 6, 3, 2, 224, 384, 25 }, { 6, 3, 1, 384, 640, 7 } },
}

local family = {
  EfficientNet = EfficientNet, MBConv = MBConv, FusedMBConv = FusedMBConv, MBConvConfig = MBConvConfig,
  FusedMBConvConfig = FusedMBConvConfig, _MBConvConfig = Config,
}

local function define(name, dropout, norm_layer, last_channel, make_setting)
  family[name] = zoo.builder(name, {
    build = function(options)
      if norm_layer and options.norm_layer ~= nil then
        args.fail(name, "argument 'norm_layer' is given by the network itself; make an EfficientNet with another")
      end
      options.dropout = options.dropout or dropout
      options.norm_layer = options.norm_layer or norm_layer
      options.last_channel = options.last_channel or last_channel
      return EfficientNet(make_setting(), options)
    end,
  })
end

-- Width, depth, dropout of B0 to B7.
for i, row in ipairs {
  { 1.0, 1.0, 0.2 }, { 1.0, 1.1, 0.2 }, { 1.1, 1.2, 0.3 }, { 1.2, 1.4, 0.3 },
  { 1.4, 1.8, 0.4 }, { 1.6, 2.2, 0.4 }, { 1.8, 2.6, 0.5 }, { 2.0, 3.1, 0.5 },
} do
  local width, depth, dropout = table.unpack(row)
  define("efficientnet_b" .. i - 1, dropout, i > 5 and zoo.with("BatchNorm2d", { eps = 0.001, momentum = 0.01 }) or nil, nil,
    function()
      local setting = {}
      for s, stage in ipairs(b_plan) do
        local expansion, kernel, stride, from, to, count = table.unpack(stage)
        setting[s] = MBConvConfig(expansion, kernel, stride, from, to, count, width, depth)
      end
      return setting
    end)
end

for size, plan in pairs(v2_plans) do
  define("efficientnet_v2_" .. size, plan.dropout, zoo.with("BatchNorm2d", { eps = 0.001 }), 1280, function()
    local setting = {}
    for s, stage in ipairs(plan) do setting[s] = (s <= 3 and FusedMBConvConfig or MBConvConfig)(table.unpack(stage)) end
    return setting
  end)
end

return family
