-- nn.LazyLinear, nn.LazyConv1d to 3d, nn.LazyConvTranspose1d to 3d, nn.LazyBatchNorm1d to 3d and
-- nn.LazyInstanceNorm1d to 3d: layers whose number of input features is that of their first input.
local core = require "lampad.core"
local args = require "lampad.args"
local Linear = require "lampad.nn.linear"
local convolutions = require "lampad.nn.conv"
local norms = require "lampad.nn.batchnorm"
local LazyModuleMixin = require "lampad.nn.lazy_module"
local uninitialized = require "lampad.nn.uninitialized"

local torch = core.torch
local UninitializedParameter, UninitializedBuffer = uninitialized.UninitializedParameter, uninitialized.UninitializedBuffer
local classes = {}

-- The weight and, where there is one, the bias of a lazy layer.
local function declare(self, with_weight, with_bias, options)
  self:register_parameter("weight", with_weight and UninitializedParameter(options) or nil)
  self:register_parameter("bias", with_bias and UninitializedParameter(options) or nil)
end

local function size(input, dim, what)
  input = args.input(what, input, "input")
  if dim >= input.ndim then
    args.fail(what, "expected an input with a dim %d for the features, got shape %s", dim, tostring(input.shape))
  end
  return input:size(dim)
end

-- --- LazyLinear -------------------------------------------------------------------------------------------
local LazyLinear = LazyModuleMixin(Linear:extend "LazyLinear", Linear)
local linear_spec = args "LazyLinear(int out_features, bool bias=true, device device=nil, dtype dtype=nil)"

--- nn.LazyLinear(out_features, bias = true): an nn.Linear whose in_features is the last size of the first input.
function LazyLinear:init(...)
  local out_features, bias, device, dtype = linear_spec(...)
  self:_set { in_features = 0, out_features = out_features }
  declare(self, true, bias, { device = device, dtype = dtype })
end

function LazyLinear:reset_parameters()
  if not self:has_uninitialized_params() and self.in_features ~= 0 then Linear.reset_parameters(self) end
end

function LazyLinear:initialize_parameters(input)
  input = args.input(self.__name, input, "input")
  local features = size(input, math.max(input.ndim - 1, 0), self.__name)
  if self:has_uninitialized_params() then
    self:_set { in_features = features }
    self.weight:materialize { self.out_features, features }
    if self.bias ~= nil then self.bias:materialize { self.out_features } end
    self:reset_parameters()
  end
  if self.in_features == 0 then -- a loaded weight
    if features ~= self.weight:size(-1) then
      args.fail(self.__name, "The in_features inferred from input: %d is not equal to in_features from self.weight: %d",
        features, self.weight:size(-1))
    end
    self:_set { in_features = features }
  end
end
classes.LazyLinear = LazyLinear

-- --- convolutions -----------------------------------------------------------------------------------------
local function in_channels(self, input)
  if args.is_named(input) then input = input.input end -- forward{input = x, output_size = ...}
  args.tensor(self.__name, "input", input)
  local n = self.spatial_dims
  if input.ndim ~= n + 1 and input.ndim ~= n + 2 then
    args.fail(nil, "Expected %dD (unbatched) or %dD (batched) input to %s, but got input of size: %s", n + 1, n + 2,
      self.__name, tostring(input.shape))
  end
  return input:size(input.ndim - n - 1)
end

local arguments = {
  Conv = [[(int out_channels, ints kernel_size, ints stride=1, any padding=0, ints dilation=1, int groups=1,
    bool bias=true, str padding_mode='zeros', device device=nil, dtype dtype=nil)]],
  ConvTranspose = [[(int out_channels, ints kernel_size, ints stride=1, ints padding=0, ints output_padding=0,
    int groups=1, bool bias=true, ints dilation=1, str padding_mode='zeros', device device=nil, dtype dtype=nil)]],
}

for kind, signature in pairs(arguments) do
  for n = 1, 3 do
    local base = convolutions[kind .. n .. "d"]
    local name = "Lazy" .. kind .. n .. "d"
    local Lazy = LazyModuleMixin(base:extend(name), base)
    local spec = args(name .. signature)
    local transposed = kind == "ConvTranspose"

    --- As the convolution of this name, without in_channels: that is the first input's number of channels.
    function Lazy:init(...)
      local o = spec:collect(...)
      if transposed then self:_check_padding_mode(o) end
      local options, bias, out_channels = { device = o.device, dtype = o.dtype }, o.bias, o.out_channels
      o.device, o.dtype, o.bias = nil, nil, nil
      o.in_channels, o.out_channels = 0, 0 -- what divides by groups is seen at the first call
      self:_configure(o, transposed)
      self:_set { out_channels = out_channels }
      declare(self, true, bias, options)
    end

    function Lazy:reset_parameters()
      if not self:has_uninitialized_params() and self.in_channels ~= 0 then base.reset_parameters(self) end
    end

    function Lazy:initialize_parameters(input)
      local is_new = self:has_uninitialized_params()
      self:_set { in_channels = in_channels(self, input) }
      if not is_new then return end -- a loaded weight
      if self.in_channels % self.groups ~= 0 then
        args.fail(name, "in_channels must be divisible by groups, got in_channels=%d and groups=%d", self.in_channels,
          self.groups)
      end
      self.weight:materialize(self:_weight_sizes())
      if self.bias ~= nil then self.bias:materialize { self.out_channels } end
      self:reset_parameters()
    end
    classes[name] = Lazy
  end
end

-- --- normalisation ----------------------------------------------------------------------------------------
local norm_arguments = [[(float eps=1e-05, float? momentum=0.1, bool affine=true, bool track_running_stats=true,
  device device=nil, dtype dtype=nil, *, bool bias=true)]]

for _, kind in ipairs { "BatchNorm", "InstanceNorm" } do
  for n = 1, 3 do
    local base = norms[kind .. n .. "d"]
    local name = "Lazy" .. kind .. n .. "d"
    local Lazy = LazyModuleMixin(base:extend(name), base)
    local spec = args(name .. norm_arguments)

    --- As the layer of this name, without num_features: that is the size of dim 1 of the first input. (For instance
    --- norm too, affine and track_running_stats are true by default, as in PyTorch.)
    function Lazy:init(...)
      local o = spec:collect(...)
      local options = { device = o.device, dtype = o.dtype }
      self:_set {
        num_features = 0, eps = o.eps, momentum = o.momentum, affine = o.affine, track_running_stats = o.track_running_stats,
      }
      declare(self, o.affine, o.affine and o.bias, options)
      local track = o.track_running_stats
      self:register_buffer("running_mean", track and UninitializedBuffer(options) or nil)
      self:register_buffer("running_var", track and UninitializedBuffer(options) or nil)
      self:register_buffer("num_batches_tracked",
        track and torch.zeros({}, { dtype = torch.int64, device = o.device }) or nil)
    end

    function Lazy:reset_parameters()
      if not self:has_uninitialized_params() and self.num_features ~= 0 then base.reset_parameters(self) end
    end

    function Lazy:initialize_parameters(input)
      local is_new = self:has_uninitialized_params()
      local sizes = { size(input, 1, name) }
      self:_set { num_features = sizes[1] }
      if not is_new then return end -- a loaded weight
      for _, field in ipairs { "weight", "bias", "running_mean", "running_var" } do
        if self[field] ~= nil then self[field]:materialize(sizes) end
      end
      self:reset_parameters()
    end
    classes[name] = Lazy
  end
end

return classes
