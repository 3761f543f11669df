-- vision.ops: the layers that networks of the zoo share (torchvision.ops.misc and .stochastic_depth).
--
-- Where a layer takes a class (norm_layer, activation_layer), a function that makes a module serves too: norm_layer is
-- called with the number of channels, activation_layer without arguments, or with {inplace = true}. `false` stands for
-- Python's None: no such layer.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local class = require "lampad.class"
local nn = require "lampad.nn"

local torch = core.torch
local Module = nn.Module
local layers = {}

-- A class of nn by name, which stands for a default in the signatures, or the maker itself.
local function maker_of(what, argument, value)
  if type(value) == "string" then
    return nn[value] or args.fail(what, "argument '%s': nn has no layer '%s'", argument, value)
  end
  if value == nil or type(value) == "function" or (getmetatable(value) or {}).__call then return value end
  args.fail(what, "argument '%s' must be a layer class, a function that makes one, or false, got %s", argument,
    text.describe(value))
end

-- An activation. What takes no inplace is asked for with inplace = false.
local function activate(maker, inplace)
  if inplace then return maker { inplace = true } end
  return maker()
end

-- --- convolution, normalisation, activation -----------------------------------------------------------
local ConvNormActivation = nn.Sequential:extend "ConvNormActivation"
layers.ConvNormActivation = ConvNormActivation

local arguments = [[(int in_channels, int out_channels, ints kernel_size=3, ints stride=1, any padding=nil, int groups=1,
  any? norm_layer='%s', any? activation_layer='ReLU', ints dilation=1, bool inplace=true, bool bias=nil%s)]]

-- Same-size padding of odd kernels: (kernel - 1) // 2 * dilation, for each dim.
local function same_padding(what, kernel, dilation)
  if type(kernel) == "number" and type(dilation) == "number" then return (kernel - 1) // 2 * dilation end
  local count = type(kernel) == "table" and #kernel or #dilation
  kernel, dilation = args.tuple(what, "kernel_size", kernel, count), args.tuple(what, "dilation", dilation, count)
  local padding = {}
  for i = 1, count do padding[i] = (kernel[i] - 1) // 2 * dilation[i] end
  return padding
end

function ConvNormActivation:_build(o, Conv)
  local what = self.__name
  local norm = maker_of(what, "norm_layer", o.norm_layer)
  local activation = maker_of(what, "activation_layer", o.activation_layer)
  local bias = o.bias
  if bias == nil then bias = norm == nil end
  local padding = o.padding
  if padding == nil then padding = same_padding(what, o.kernel_size, o.dilation) end
  self:append(Conv(o.in_channels, o.out_channels, o.kernel_size, o.stride, padding,
    { dilation = o.dilation, groups = o.groups, bias = bias }))
  if norm then self:append(norm(o.out_channels)) end
  if activation then self:append(activate(activation, o.inplace)) end
  self:_set { out_channels = o.out_channels }
end

local conv_spec = args("ConvNormActivation" .. arguments:format("BatchNorm2d", ", any conv_layer='Conv2d'"))

--- What Conv2dNormActivation and Conv3dNormActivation are made of; those are to be used.
function ConvNormActivation:init(...)
  local o = conv_spec:collect(...)
  self:_build(o, maker_of(self.__name, "conv_layer", o.conv_layer))
  if class.class_of(self) == ConvNormActivation then
    require("lampad.warnings").warn("Don't use ConvNormActivation directly, please use Conv2dNormActivation and "
      .. "Conv3dNormActivation instead.")
  end
end

for n = 2, 3 do
  local name = ("Conv%ddNormActivation"):format(n)
  local Block = ConvNormActivation:extend(name)
  local spec = args(name .. arguments:format("BatchNorm" .. n .. "d", ""))

  --- nn.Sequential of a convolution, a normalisation and an activation. padding = nil keeps the size of odd kernels at
  --- stride 1; bias = nil gives the convolution a bias where there is no normalisation. Input (N, in_channels, ...).
  function Block:init(...) self:_build(spec:collect(...), nn["Conv" .. n .. "d"]) end
  layers[name] = Block
end

-- --- squeeze and excitation (Hu et al. 2018) -----------------------------------------------------------
local SqueezeExcitation = Module:extend "SqueezeExcitation"
layers.SqueezeExcitation = SqueezeExcitation
local squeeze_spec = args [[SqueezeExcitation(int input_channels, int squeeze_channels, any activation='ReLU',
  any scale_activation='Sigmoid')]]

--- Scales each channel by what two 1x1 convolutions make of the channels' means. Input (N, input_channels, H, W), of
--- which the result has the shape.
function SqueezeExcitation:init(...)
  local channels, squeezed, activation, scale = squeeze_spec(...)
  self.avgpool = nn.AdaptiveAvgPool2d(1)
  self.fc1 = nn.Conv2d(channels, squeezed, 1)
  self.fc2 = nn.Conv2d(squeezed, channels, 1)
  self.activation = maker_of("SqueezeExcitation", "activation", activation)()
  self.scale_activation = maker_of("SqueezeExcitation", "scale_activation", scale)()
end

function SqueezeExcitation:forward(input)
  local squeezed = self.activation(self.fc1(self.avgpool(input)))
  return self.scale_activation(self.fc2(squeezed)) * input
end

-- --- MLP ------------------------------------------------------------------------------------------------
local MLP = nn.Sequential:extend "MLP"
layers.MLP = MLP
local mlp_spec = args [[MLP(int in_channels, ints hidden_channels, any? norm_layer=nil, any activation_layer='ReLU',
  bool inplace=nil, bool bias=true, float dropout=0.0)]]

--- nn.Sequential of linear layers with normalisation, activation and dropout between them, and a dropout at the end.
--- Input (..., in_channels), result (..., the last of hidden_channels).
function MLP:init(...)
  local o = mlp_spec:collect(...)
  local widths = type(o.hidden_channels) == "table" and o.hidden_channels or { o.hidden_channels }
  if #widths == 0 then args.fail(self.__name, "hidden_channels must name at least one width, got an empty list") end
  local norm = maker_of(self.__name, "norm_layer", o.norm_layer)
  local activation = maker_of(self.__name, "activation_layer", o.activation_layer)
  local width = o.in_channels
  for i, hidden in ipairs(widths) do
    self:append(nn.Linear(width, hidden, { bias = o.bias }))
    if i < #widths then
      if norm then self:append(norm(hidden)) end
      self:append(activate(activation, o.inplace))
    end
    self:append(nn.Dropout(o.dropout, o.inplace == true))
    width = hidden
  end
end

-- --- Permute ---------------------------------------------------------------------------------------------
local Permute = Module:extend "Permute"
layers.Permute = Permute
local permute_spec = args "Permute(ints dims)"

--- The input with its dims in another order: a view.
function Permute:init(...)
  self:_set { dims = permute_spec(...) }
end

function Permute:forward(x) return x:permute(self.dims) end

-- --- stochastic depth (Huang et al. 2016) -----------------------------------------------------------------
local depth_spec = args "stochastic_depth(Tensor input, float p, str mode, bool training=true)"

--- stochastic_depth(input, p, mode, training = true): with probability p the whole input ("batch") or rows of it ("row")
--- become zeros; what stays is divided by 1 - p.
function layers.stochastic_depth(...)
  local input, p, mode, training = depth_spec(...)
  if p < 0 or p > 1 then
    args.fail("stochastic_depth", "drop probability has to be between 0 and 1, but got %s", text.repr(p))
  end
  if mode ~= "batch" and mode ~= "row" then
    args.fail("stochastic_depth", "mode has to be either 'batch' or 'row', but got %s", mode)
  end
  if not training or p == 0 then return input end
  local survival, sizes = 1.0 - p, {}
  for i = 1, input.ndim do sizes[i] = 1 end
  if mode == "row" then sizes[1] = input:size(0) end
  local noise = torch.empty(sizes, { dtype = input.dtype, device = input.device }):bernoulli_(survival)
  if survival > 0 then noise:div_(survival) end
  return input * noise
end

local StochasticDepth = Module:extend "StochasticDepth"
layers.StochasticDepth = StochasticDepth
local depth_layer_spec = args "StochasticDepth(float p, str mode)"

--- vision.ops.stochastic_depth as a layer, at work in training.
function StochasticDepth:init(...)
  local p, mode = depth_layer_spec(...)
  self:_set { p = p, mode = mode }
end

function StochasticDepth:forward(input) return layers.stochastic_depth(input, self.p, self.mode, self.training) end

function StochasticDepth.__tostring(self)
  return ("StochasticDepth(p=%s, mode=%s)"):format(text.repr(self.p), self.mode)
end

for _, C in pairs(layers) do
  if type(C) == "table" then C:_guard_methods() end
end

return layers
