-- RegNet, X and Y (Radosavovic et al. 2020).
local args = require "lampad.args"
local class = require "lampad.class"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local torch = zoo.torch
local Conv2dNormActivation = layers.Conv2dNormActivation

-- --- the widths of the stages -----------------------------------------------------------------------
--- What the stages are made of: lists depths, widths, group_widths, bottleneck_multipliers, strides, and se_ratio.
local BlockParams = class.extend(class.Object, "BlockParams")
local params_spec = args [[BlockParams(ints depths, ints widths, ints group_widths, floats bottleneck_multipliers,
  ints strides, float se_ratio=nil)]]

function BlockParams:init(...)
  for name, value in pairs(params_spec:collect(...)) do self[name] = value end
end

local init_spec = args [[BlockParams.from_init_params(int depth, int w_0, float w_a, float w_m, int group_width,
  float bottleneck_multiplier=1.0, float se_ratio=nil)]]

--- The stages of the paper's section 3.3: widths w_0 + w_a * j of `depth` blocks, drawn to the nearest w_0 * w_m^k and to
--- multiples of 8; blocks of the same width are a stage. In float32, as the published networks were made.
function BlockParams.from_init_params(...)
  local o = init_spec:collect(...)
  if o.w_a < 0 or o.w_0 <= 0 or o.w_m <= 1 or o.w_0 % 8 ~= 0 then
    args.fail("BlockParams.from_init_params", "Invalid RegNet settings: w_a must be at least 0, w_0 a positive multiple of 8, "
      .. "w_m greater than 1")
  end
  local even = torch.arange(o.depth) * o.w_a + o.w_0
  local power = ((even / o.w_0):log() / math.log(o.w_m)):round()
  local quantised = ((torch.pow(o.w_m, power) * o.w_0 / 8):round() * 8):to(torch.int32):tolist()
  local widths, depths = {}, {}
  for _, width in ipairs(quantised) do
    if width ~= widths[#widths] then
      widths[#widths + 1], depths[#depths + 1] = width, 0
    end
    depths[#depths] = depths[#depths] + 1
  end
  local multiplier, groups, multipliers, strides = o.bottleneck_multiplier, {}, {}, {}
  for i, width in ipairs(widths) do
    -- Groups are no wider than the bottleneck, whose width they divide.
    local inner = math.tointeger(width * multiplier // 1)
    groups[i] = math.min(o.group_width, inner)
    widths[i] = math.tointeger(zoo.make_divisible(inner, groups[i]) / multiplier // 1)
    multipliers[i], strides[i] = multiplier, 2
  end
  return BlockParams(depths, widths, groups, multipliers, strides, o.se_ratio)
end

-- --- blocks ----------------------------------------------------------------------------------------
local SimpleStemIN = Conv2dNormActivation:extend "SimpleStemIN"
local stem_spec = args "SimpleStemIN(int width_in, int width_out, any norm_layer, any activation_layer)"

--- A 3x3 convolution of stride 2.
function SimpleStemIN:init(...)
  local from, to, norm, activation = stem_spec(...)
  Conv2dNormActivation.init(self, from, to, 3, 2, { norm_layer = norm, activation_layer = activation })
end

local block_arguments = [[(int width_in, int width_out, int stride, any norm_layer, any activation_layer, int group_width=1,
  float bottleneck_multiplier=1.0, float se_ratio=nil)]]

local BottleneckTransform = nn.Sequential:extend "BottleneckTransform"
local transform_spec = args("BottleneckTransform" .. block_arguments)

--- 1x1, 3x3 in groups, squeeze and excitation, 1x1.
function BottleneckTransform:init(...)
  local o = transform_spec:collect(...)
  local norm, activation, inner = o.norm_layer, o.activation_layer, zoo.round(o.width_out * o.bottleneck_multiplier)
  self.a = Conv2dNormActivation(o.width_in, inner, 1, 1, { norm_layer = norm, activation_layer = activation })
  self.b = Conv2dNormActivation(inner, inner, 3, o.stride,
    { groups = inner // o.group_width, norm_layer = norm, activation_layer = activation })
  if o.se_ratio and o.se_ratio ~= 0 then
    -- What is squeezed is a share of the block's input.
    self.se = layers.SqueezeExcitation(inner, zoo.round(o.se_ratio * o.width_in), { activation = activation })
  end
  self.c = Conv2dNormActivation(inner, o.width_out, 1, 1, { norm_layer = norm, activation_layer = false })
end

local ResBottleneckBlock = nn.Module:extend "ResBottleneckBlock"
local block_spec = args("ResBottleneckBlock" .. block_arguments)

--- The transform with a shortcut round it.
function ResBottleneckBlock:init(...)
  local o = block_spec:collect(...)
  if o.width_in ~= o.width_out or o.stride ~= 1 then
    self.proj = Conv2dNormActivation(o.width_in, o.width_out, 1, o.stride, { norm_layer = o.norm_layer, activation_layer = false })
  end
  self.f = BottleneckTransform(o.width_in, o.width_out, o.stride, o.norm_layer, o.activation_layer, o.group_width,
    o.bottleneck_multiplier, o.se_ratio)
  self.activation = o.activation_layer { inplace = true }
end

function ResBottleneckBlock:forward(x)
  local proj = self.proj
  local shortcut = proj ~= nil and proj(x) or x
  return self.activation(shortcut + self.f(x))
end

local AnyStage = nn.Sequential:extend "AnyStage"
local stage_spec = args [[AnyStage(int width_in, int width_out, int stride, int depth, any block_constructor, any norm_layer,
  any activation_layer, int group_width, float bottleneck_multiplier, float se_ratio=nil, int stage_index=0)]]

--- `depth` blocks, the first of which changes width and size.
function AnyStage:init(...)
  local o = stage_spec:collect(...)
  for i = 0, o.depth - 1 do
    self:add_module(("block%d-%d"):format(o.stage_index, i), o.block_constructor(i == 0 and o.width_in or o.width_out, o.width_out,
      i == 0 and o.stride or 1, o.norm_layer, o.activation_layer, o.group_width, o.bottleneck_multiplier, o.se_ratio))
  end
end

-- --- the network -----------------------------------------------------------------------------------
local RegNet = nn.Module:extend "RegNet"
local spec = args [[RegNet(any block_params, int num_classes=1000, int stem_width=32, any stem_type=nil, any block_type=nil,
  any norm_layer=nil, any activation=nil)]]

--- block_params: a BlockParams. Images (N, 3, H, W) -> logits (N, num_classes).
function RegNet:init(...)
  local o = spec:collect(...)
  local params = o.block_params
  if not class.isinstance(params, BlockParams) then args.fail("RegNet", "argument 'block_params' must be a BlockParams") end
  local norm, activation = o.norm_layer or nn.BatchNorm2d, o.activation or nn.ReLU
  self.stem = (o.stem_type or SimpleStemIN)(3, o.stem_width, norm, activation)
  local trunk, width = nn.Sequential(), o.stem_width
  for i, to in ipairs(params.widths) do
    trunk:add_module("block" .. i, AnyStage(width, to, params.strides[i], params.depths[i], o.block_type or ResBottleneckBlock,
      norm, activation, params.group_widths[i], params.bottleneck_multipliers[i], params.se_ratio, i))
    width = to
  end
  self.trunk_output = trunk
  self.avgpool = nn.AdaptiveAvgPool2d { 1, 1 }
  self.fc = nn.Linear(width, o.num_classes)
  zoo.fill(self, {
    { nn.Conv2d, function(m) -- fan_out without regard to groups
      nn.init.normal_(m.weight, 0.0, math.sqrt(2.0 / (m.kernel_size[1] * m.kernel_size[2] * m.out_channels)))
    end },
    { nn.BatchNorm2d, zoo.unit },
    { nn.Linear, function(m)
      nn.init.normal_(m.weight, 0.0, 0.01)
      zoo.zero_bias(m)
    end },
  })
end

function RegNet:forward(x)
  return self.fc(self.avgpool(self.trunk_output(self.stem(x))):flatten(1))
end

-- --- the builders --------------------------------------------------------------------------------------
local family = {
  RegNet = RegNet, BlockParams = BlockParams, SimpleStemIN = SimpleStemIN, BottleneckTransform = BottleneckTransform,
  ResBottleneckBlock = ResBottleneckBlock, AnyStage = AnyStage,
}

-- depth, w_0, w_a, w_m, group width. Y has squeeze and excitation.
for name, row in pairs {
  regnet_y_400mf = { 16, 48, 27.89, 2.09, 8 }, regnet_y_800mf = { 14, 56, 38.84, 2.4, 16 },
  regnet_y_1_6gf = { 27, 48, 20.71, 2.65, 24 }, regnet_y_3_2gf = { 21, 80, 42.63, 2.66, 24 },
  regnet_y_8gf = { 17, 192, 76.82, 2.19, 56 }, regnet_y_16gf = { 18, 200, 106.23, 2.48, 112 },
  regnet_y_32gf = { 20, 232, 115.89, 2.53, 232 }, regnet_y_128gf = { 27, 456, 160.83, 2.52, 264 },
  regnet_x_400mf = { 22, 24, 24.48, 2.54, 16 }, regnet_x_800mf = { 16, 56, 35.73, 2.28, 16 },
  regnet_x_1_6gf = { 18, 80, 34.01, 2.25, 24 }, regnet_x_3_2gf = { 25, 88, 26.31, 2.25, 48 },
  regnet_x_8gf = { 23, 80, 49.56, 2.88, 120 }, regnet_x_16gf = { 22, 216, 55.59, 2.1, 128 },
  regnet_x_32gf = { 23, 320, 69.86, 2.0, 168 },
} do
  family[name] = zoo.builder(name, {
    build = function(options)
      local depth, w_0, w_a, w_m, group_width = table.unpack(row)
      return RegNet(BlockParams.from_init_params(depth, w_0, w_a, w_m, group_width, { se_ratio = name:find "_y_" and 0.25 or nil }),
        options)
    end,
  })
end

return family
