-- MobileNetV2 (Sandler et al. 2018).
local args = require "lampad.args"
local text = require "lampad.text"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local F = nn.functional
local Conv2dNormActivation = layers.Conv2dNormActivation

local InvertedResidual = nn.Module:extend "InvertedResidual"
local block_spec = args "InvertedResidual(int inp, int oup, int stride, float expand_ratio, any norm_layer=nil)"

--- Widens to inp * expand_ratio channels, convolves each channel by itself, narrows to oup; with a shortcut where the shape
--- stays.
function InvertedResidual:init(...)
  local from, to, stride, ratio, norm = block_spec(...)
  if stride ~= 1 and stride ~= 2 then args.fail("InvertedResidual", "stride should be 1 or 2 instead of %d", stride) end
  norm = norm or nn.BatchNorm2d
  local hidden = zoo.round(from * ratio)
  local conv = nn.Sequential()
  if ratio ~= 1 then
    conv:append(Conv2dNormActivation(from, hidden, 1, { norm_layer = norm, activation_layer = nn.ReLU6 }))
  end
  conv:append(Conv2dNormActivation(hidden, hidden, 3, stride, { groups = hidden, norm_layer = norm, activation_layer = nn.ReLU6 }))
  conv:append(nn.Conv2d(hidden, to, 1, { bias = false }))
  conv:append(norm(to))
  self.conv = conv
  self:_set { stride = stride, out_channels = to, use_res_connect = stride == 1 and from == to }
end

function InvertedResidual:forward(x)
  if self.use_res_connect then return x + self.conv(x) end
  return self.conv(x)
end

local MobileNetV2 = nn.Module:extend "MobileNetV2"
local spec = args [[MobileNetV2(int num_classes=1000, float width_mult=1.0, any inverted_residual_setting=nil,
  int round_nearest=8, any block=nil, any norm_layer=nil, float dropout=0.2)]]

-- Expansion, channels, repetitions, stride of the first.
local plan = { { 1, 16, 1, 1 }, { 6, 24, 2, 2 }, { 6, 32, 3, 2 }, { 6, 64, 4, 2 }, { 6, 96, 3, 1 }, { 6, 160, 3, 2 }, { 6, 320, 1, 1 } }

--- width_mult: all channels times this, rounded to multiples of round_nearest; inverted_residual_setting: lists {expansion,
--- channels, repetitions, stride}. Images (N, 3, H, W) -> logits (N, num_classes).
function MobileNetV2:init(...)
  local o = spec:collect(...)
  local block, norm, setting = o.block or InvertedResidual, o.norm_layer or nn.BatchNorm2d, o.inverted_residual_setting or plan
  if type(setting) ~= "table" or type(setting[1]) ~= "table" or #setting[1] ~= 4 then
    args.fail("MobileNetV2", "inverted_residual_setting should be a non-empty list of lists of 4 integers, got %s",
      text.repr(setting))
  end
  local function width(channels, mult) return zoo.make_divisible(channels * mult, o.round_nearest) end
  local relu6 = { norm_layer = norm, activation_layer = nn.ReLU6 }
  local from, last = width(32, o.width_mult), width(1280, math.max(1.0, o.width_mult))
  local features = nn.Sequential(Conv2dNormActivation(3, from, 3, 2, relu6))
  for _, row in ipairs(setting) do
    local expansion, channels, count, stride = table.unpack(row)
    local to = width(channels, o.width_mult)
    for i = 1, count do
      features:append(block(from, to, i == 1 and stride or 1, { expand_ratio = expansion, norm_layer = norm }))
      from = to
    end
  end
  features:append(Conv2dNormActivation(from, last, 1, relu6))
  self:_set { last_channel = last }
  self.features = features
  self.classifier = nn.Sequential(nn.Dropout(o.dropout), nn.Linear(last, o.num_classes))
  zoo.fill(self, {
    { nn.Conv2d, zoo.fan_out },
    { nn.BatchNorm2d, nn.GroupNorm, zoo.unit },
    { nn.Linear, zoo.small },
  })
end

function MobileNetV2:_forward_impl(x)
  return self.classifier(F.adaptive_avg_pool2d(self.features(x), { 1, 1 }):flatten(1))
end

function MobileNetV2:forward(x) return self:_forward_impl(x) end

return {
  MobileNetV2 = MobileNetV2, InvertedResidual = InvertedResidual,
  mobilenet_v2 = zoo.builder("mobilenet_v2", { build = MobileNetV2 }),
}
