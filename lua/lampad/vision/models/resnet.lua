-- ResNet (He et al. 2016), ResNeXt (Xie et al. 2017) and Wide ResNet (Zagoruyko and Komodakis 2016). The stride of a
-- bottleneck stands in its 3x3 convolution ("v1.5").
local args = require "lampad.args"
local text = require "lampad.text"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"

local Module = nn.Module

local function conv(from, to, kernel, stride, groups, dilation)
  dilation = dilation or 1
  return nn.Conv2d(from, to, kernel, { stride = stride or 1, padding = kernel == 3 and dilation or 0, groups = groups or 1,
    dilation = dilation, bias = false })
end

local block_arguments = [[(int inplanes, int planes, int stride=1, Module downsample=nil, int groups=1, int base_width=64,
  int dilation=1, any norm_layer=nil)]]

-- --- the blocks ------------------------------------------------------------------------------------
local BasicBlock = Module:extend "BasicBlock"
BasicBlock.expansion = 1
local basic_spec = args("BasicBlock" .. block_arguments)

--- Two 3x3 convolutions with a shortcut round them. Input (N, inplanes, H, W), result (N, planes, H / stride, W / stride).
function BasicBlock:init(...)
  local o = basic_spec:collect(...)
  local norm = o.norm_layer or nn.BatchNorm2d
  if o.groups ~= 1 or o.base_width ~= 64 then
    args.fail("BasicBlock", "only supports groups=1 and base_width=64, got groups=%d and base_width=%d", o.groups, o.base_width)
  end
  if o.dilation > 1 then args.fail("BasicBlock", "dilation > 1 is not supported, got %d", o.dilation) end
  self.conv1 = conv(o.inplanes, o.planes, 3, o.stride)
  self.bn1 = norm(o.planes)
  self.relu = nn.ReLU(true)
  self.conv2 = conv(o.planes, o.planes, 3)
  self.bn2 = norm(o.planes)
  self.downsample = o.downsample
  self:_set { stride = o.stride }
end

function BasicBlock:forward(x)
  local out = self.relu(self.bn1(self.conv1(x)))
  out = self.bn2(self.conv2(out))
  local shortcut = self.downsample
  return self.relu(out:add_(shortcut ~= nil and shortcut(x) or x))
end

local Bottleneck = Module:extend "Bottleneck"
Bottleneck.expansion = 4
local bottleneck_spec = args("Bottleneck" .. block_arguments)

--- 1x1, 3x3 and 1x1 convolutions with a shortcut round them. Result (N, 4 * planes, H / stride, W / stride).
function Bottleneck:init(...)
  local o = bottleneck_spec:collect(...)
  local norm = o.norm_layer or nn.BatchNorm2d
  local width = math.tointeger(o.planes * o.base_width // 64) * o.groups
  local out = o.planes * self.expansion
  self.conv1 = conv(o.inplanes, width, 1)
  self.bn1 = norm(width)
  self.conv2 = conv(width, width, 3, o.stride, o.groups, o.dilation)
  self.bn2 = norm(width)
  self.conv3 = conv(width, out, 1)
  self.bn3 = norm(out)
  self.relu = nn.ReLU(true)
  self.downsample = o.downsample
  self:_set { stride = o.stride }
end

function Bottleneck:forward(x)
  local out = self.relu(self.bn1(self.conv1(x)))
  out = self.relu(self.bn2(self.conv2(out)))
  out = self.bn3(self.conv3(out))
  local shortcut = self.downsample
  return self.relu(out:add_(shortcut ~= nil and shortcut(x) or x))
end

-- --- the network -----------------------------------------------------------------------------------
local ResNet = Module:extend "ResNet"
local spec = args [[ResNet(any block, ints layers, int num_classes=1000, bool zero_init_residual=false, int groups=1,
  int width_per_group=64, any replace_stride_with_dilation=nil, any norm_layer=nil)]]

--- block: BasicBlock, Bottleneck or a class like them; layers: how many blocks in each of the four stages;
--- replace_stride_with_dilation: three booleans, for the last three stages. Images (N, 3, H, W) -> logits (N, num_classes).
function ResNet:init(...)
  local o = spec:collect(...)
  local dilated = o.replace_stride_with_dilation or { false, false, false }
  if type(dilated) ~= "table" or #dilated ~= 3 then
    args.fail("ResNet", "replace_stride_with_dilation should be nil or a list of 3 booleans, got %s", text.repr(dilated))
  end
  if type(o.layers) ~= "table" or #o.layers ~= 4 then
    args.fail("ResNet", "layers must be a list of 4 integers, got %s", text.repr(o.layers))
  end
  local norm = o.norm_layer or nn.BatchNorm2d
  self:_set { inplanes = 64, dilation = 1, groups = o.groups, base_width = o.width_per_group, _norm_layer = norm }
  self.conv1 = nn.Conv2d(3, 64, 7, { stride = 2, padding = 3, bias = false })
  self.bn1 = norm(64)
  self.relu = nn.ReLU(true)
  self.maxpool = nn.MaxPool2d(3, 2, 1)
  for i = 1, 4 do
    self["layer" .. i] = self:_make_layer(o.block, 64 << (i - 1), o.layers[i], i > 1 and 2 or 1, i > 1 and dilated[i - 1])
  end
  self.avgpool = nn.AdaptiveAvgPool2d { 1, 1 }
  self.fc = nn.Linear(512 * o.block.expansion, o.num_classes)
  zoo.fill(self, {
    { nn.Conv2d, function(m) nn.init.kaiming_normal_(m.weight, { mode = "fan_out", nonlinearity = "relu" }) end },
    { nn.BatchNorm2d, nn.GroupNorm, zoo.unit },
  })
  if o.zero_init_residual then -- each block starts as the identity (Goyal et al. 2017)
    local function zero(norm_layer)
      if norm_layer.weight ~= nil then nn.init.zeros_(norm_layer.weight) end
    end
    zoo.fill(self, {
      { Bottleneck, function(m) zero(m.bn3) end },
      { BasicBlock, function(m) zero(m.bn2) end },
    })
  end
end

-- A stage: the first block changes size and width, its shortcut with it.
function ResNet:_make_layer(block, planes, count, stride, dilate)
  local norm, width, before = self._norm_layer, planes * block.expansion, self.dilation
  if dilate then
    self.dilation = self.dilation * stride
    stride = 1
  end
  local downsample
  if stride ~= 1 or self.inplanes ~= width then
    downsample = nn.Sequential(conv(self.inplanes, width, 1, stride), norm(width))
  end
  local stage = nn.Sequential()
  for i = 1, count do
    local first = i == 1
    stage:append(block(first and self.inplanes or width, planes, {
      stride = first and stride or 1, downsample = first and downsample or nil, groups = self.groups,
      base_width = self.base_width, dilation = first and before or self.dilation, norm_layer = norm,
    }))
  end
  self.inplanes = width
  return stage
end

function ResNet:_forward_impl(x)
  x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
  x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
  return self.fc(self.avgpool(x):flatten(1))
end

function ResNet:forward(x) return self:_forward_impl(x) end

-- --- the builders --------------------------------------------------------------------------------------
local family = { ResNet = ResNet, BasicBlock = BasicBlock, Bottleneck = Bottleneck }

local function define(name, block, layers, fixed)
  family[name] = zoo.builder(name, {
    build = function(options)
      for key, value in pairs(fixed or {}) do zoo.determine(name, options, key, value) end
      return ResNet(block, layers, options)
    end,
  })
end

define("resnet18", BasicBlock, { 2, 2, 2, 2 })
define("resnet34", BasicBlock, { 3, 4, 6, 3 })
define("resnet50", Bottleneck, { 3, 4, 6, 3 })
define("resnet101", Bottleneck, { 3, 4, 23, 3 })
define("resnet152", Bottleneck, { 3, 8, 36, 3 })
define("resnext50_32x4d", Bottleneck, { 3, 4, 6, 3 }, { groups = 32, width_per_group = 4 })
define("resnext101_32x8d", Bottleneck, { 3, 4, 23, 3 }, { groups = 32, width_per_group = 8 })
define("resnext101_64x4d", Bottleneck, { 3, 4, 23, 3 }, { groups = 64, width_per_group = 4 })
define("wide_resnet50_2", Bottleneck, { 3, 4, 6, 3 }, { width_per_group = 128 })
define("wide_resnet101_2", Bottleneck, { 3, 4, 23, 3 }, { width_per_group = 128 })

return family
