-- MobileNetV3, large and small (Howard et al. 2019).
local args = require "lampad.args"
local class = require "lampad.class"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local Conv2dNormActivation = layers.Conv2dNormActivation

--- One row of the paper's tables 1 and 2; the channels times width_mult, rounded to multiples of 8.
local InvertedResidualConfig = class.extend(class.Object, "InvertedResidualConfig")
local config_spec = args [[InvertedResidualConfig(int input_channels, int kernel, int expanded_channels, int out_channels,
  bool use_se, str activation, int stride, int dilation, float width_mult)]]

local function adjust(channels, width_mult) return zoo.make_divisible(channels * width_mult, 8) end
InvertedResidualConfig.adjust_channels = adjust

function InvertedResidualConfig:init(...)
  local o = config_spec:collect(...)
  for _, name in ipairs { "input_channels", "expanded_channels", "out_channels" } do
    self[name] = adjust(o[name], o.width_mult)
  end
  self.kernel, self.use_se, self.use_hs = o.kernel, o.use_se, o.activation == "HS"
  self.stride, self.dilation = o.stride, o.dilation
end

local function squeeze_excitation(channels, squeezed)
  return layers.SqueezeExcitation(channels, squeezed, { scale_activation = nn.Hardsigmoid })
end

local InvertedResidual = nn.Module:extend "InvertedResidual"
local block_spec = args "InvertedResidual(any cnf, any norm_layer, any se_layer=nil)"

--- Widens, convolves each channel by itself, squeezes and excites, narrows; with a shortcut where the shape stays.
function InvertedResidual:init(...)
  local cnf, norm, se_layer = block_spec(...)
  if cnf.stride ~= 1 and cnf.stride ~= 2 then args.fail("InvertedResidual", "stride should be 1 or 2 instead of %d", cnf.stride) end
  local activation, wide = cnf.use_hs and nn.Hardswish or nn.ReLU, cnf.expanded_channels
  local block = nn.Sequential()
  if wide ~= cnf.input_channels then
    block:append(Conv2dNormActivation(cnf.input_channels, wide, 1, { norm_layer = norm, activation_layer = activation }))
  end
  block:append(Conv2dNormActivation(wide, wide, cnf.kernel, cnf.dilation > 1 and 1 or cnf.stride,
    { dilation = cnf.dilation, groups = wide, norm_layer = norm, activation_layer = activation }))
  if cnf.use_se then block:append((se_layer or squeeze_excitation)(wide, zoo.make_divisible(wide // 4, 8))) end
  block:append(Conv2dNormActivation(wide, cnf.out_channels, 1, { norm_layer = norm, activation_layer = false }))
  self.block = block
  self:_set { out_channels = cnf.out_channels, use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels }
end

function InvertedResidual:forward(input)
  local result = self.block(input)
  if self.use_res_connect then result = result:add_(input) end
  return result
end

local MobileNetV3 = nn.Module:extend "MobileNetV3"
local spec = args [[MobileNetV3(any inverted_residual_setting, int last_channel, int num_classes=1000, any block=nil,
  any norm_layer=nil, float dropout=0.2)]]

--- inverted_residual_setting: a list of InvertedResidualConfig; last_channel: channels before the classifier. Images
--- (N, 3, H, W) -> logits (N, num_classes).
function MobileNetV3:init(...)
  local o = spec:collect(...)
  local setting = o.inverted_residual_setting
  zoo.check_settings("MobileNetV3", "inverted_residual_setting", setting, InvertedResidualConfig)
  local block, norm = o.block or InvertedResidual, o.norm_layer or zoo.with("BatchNorm2d", { eps = 0.001, momentum = 0.01 })
  local hardswish = { norm_layer = norm, activation_layer = nn.Hardswish }
  local features = nn.Sequential(Conv2dNormActivation(3, setting[1].input_channels, 3, 2, hardswish))
  for _, cnf in ipairs(setting) do features:append(block(cnf, norm)) end
  local out = setting[#setting].out_channels
  features:append(Conv2dNormActivation(out, 6 * out, 1, hardswish))
  self.features = features
  self.avgpool = nn.AdaptiveAvgPool2d(1)
  self.classifier = nn.Sequential(nn.Linear(6 * out, o.last_channel), nn.Hardswish(true), nn.Dropout(o.dropout, true),
    nn.Linear(o.last_channel, o.num_classes))
  zoo.fill(self, {
    { nn.Conv2d, zoo.fan_out },
    { nn.BatchNorm2d, nn.GroupNorm, zoo.unit },
    { nn.Linear, zoo.small },
  })
end

function MobileNetV3:_forward_impl(x)
  return self.classifier(self.avgpool(self.features(x)):flatten(1))
end

function MobileNetV3:forward(x) return self:_forward_impl(x) end

-- Input channels, kernel, expanded channels, output channels, squeeze and excitation, activation, stride. The last rows
-- are those whose channels reduced_tail halves and which dilated dilates.
local plans = {
  large = { tail = 3, last = 1280,
    { 16, 3, 16, 16, false, "RE", 1 }, { 16, 3, 64, 24, false, "RE", 2 }, { 24, 3, 72, 24, false, "RE", 1 },
    { 24, 5, 72, 40, true, "RE", 2 }, { 40, 5, 120, 40, true, "RE", 1 }, { 40, 5, 120, 40, true, "RE", 1 },
    { 40, 3, 240, 80, false, "HS", 2 }, { 80, 3, 200, 80, false, "HS", 1 }, { 80, 3, 184, 80, false, "HS", 1 },
    { 80, 3, 184, 80, false, "HS", 1 }, { 80, 3, 480, 112, true, "HS", 1 }, { 112, 3, 672, 112, true, "HS", 1 },
    { 112, 5, 672, 160, true, "HS", 2 }, { 160, 5, 960, 160, true, "HS", 1 }, { 160, 5, 960, 160, true, "HS", 1 },
  },
  small = { tail = 3, last = 1024,
    { 16, 3, 16, 16, true, "RE", 2 }, { 16, 3, 72, 24, false, "RE", 2 }, { 24, 3, 88, 24, false, "RE", 1 },
    { 24, 5, 96, 40, true, "HS", 2 }, { 40, 5, 240, 40, true, "HS", 1 }, { 40, 5, 240, 40, true, "HS", 1 },
    { 40, 5, 120, 48, true, "HS", 1 }, { 48, 5, 144, 48, true, "HS", 1 }, { 48, 5, 288, 96, true, "HS", 2 },
    { 96, 5, 576, 96, true, "HS", 1 }, { 96, 5, 576, 96, true, "HS", 1 },
  },
}

local setting_spec = args "mobilenet_v3(float width_mult=1.0, bool reduced_tail=false, bool dilated=false)"

local function settings(plan, width_mult, reduced_tail, dilated)
  local divider, list = reduced_tail and 2 or 1, {}
  for i, row in ipairs(plan) do
    local from, kernel, wide, to, se, activation, stride = table.unpack(row)
    local at = i - (#plan - plan.tail) -- 1, 2, 3 in the tail
    if at >= 1 then to = to // divider end
    if at >= 2 then from, wide = from // divider, wide // divider end
    list[i] = InvertedResidualConfig(from, kernel, wide, to, se, activation, stride, at >= 1 and dilated and 2 or 1, width_mult)
  end
  return list, adjust(plan.last // divider, width_mult)
end

local family = { MobileNetV3 = MobileNetV3, InvertedResidual = InvertedResidual, InvertedResidualConfig = InvertedResidualConfig }

for size, plan in pairs(plans) do
  local name = "mobilenet_v3_" .. size
  family[name] = zoo.builder(name, {
    build = function(options)
      local list, last = settings(plan, setting_spec { width_mult = options.width_mult, reduced_tail = options.reduced_tail,
        dilated = options.dilated })
      options.width_mult, options.reduced_tail, options.dilated = nil, nil, nil
      return MobileNetV3(list, last, options)
    end,
  })
end

return family
