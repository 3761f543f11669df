-- nn.Conv1d/2d/3d and nn.ConvTranspose1d/2d/3d.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"
local F = require "lampad.nn.functional"

local torch = core.torch
local classes = {}

local padding_modes = { zeros = "constant", reflect = "reflect", replicate = "replicate", circular = "circular" }

-- Number or list of `count` positive (or non-negative) integers -> a list.
local function tuple(what, name, value, count, least)
  local list = args.tuple(what, name, value, count)
  for i = 1, count do
    if type(list[i]) ~= "number" or not math.tointeger(list[i]) then
      args.fail(what, "argument '%s' must be an integer or a list of integers, got %s", name, text.describe(value))
    end
    if list[i] < least then
      args.fail(what, "%s must be at least %d in every dimension, got %s", name, least, text.repr(list))
    end
  end
  return list
end

local Base = Module:extend "_ConvNd"

-- Checks the arguments and keeps them as fields. A lazy layer knows its in_channels later.
function Base:_configure(o, transposed)
  local what, n = self.__name, self.spatial_dims
  if o.groups <= 0 then args.fail(what, "groups must be a positive integer, got %d", o.groups) end
  for _, name in ipairs { "in_channels", "out_channels" } do
    if o[name] < 0 then args.fail(what, "%s must not be negative, got %d", name, o[name]) end
    if o[name] % o.groups ~= 0 then
      args.fail(what, "%s must be divisible by groups, got %s=%d and groups=%d", name, name, o[name], o.groups)
    end
  end
  if not padding_modes[o.padding_mode] then
    args.fail(what, "padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular', but got padding_mode='%s'",
      o.padding_mode)
  end
  o.kernel_size = tuple(what, "kernel_size", o.kernel_size, n, 1)
  o.stride = tuple(what, "stride", o.stride, n, 1)
  o.dilation = tuple(what, "dilation", o.dilation, n, 1)
  o.output_padding = tuple(what, "output_padding", o.output_padding or 0, n, 0)
  if type(o.padding) == "string" then
    if o.padding ~= "same" and o.padding ~= "valid" then
      args.fail(what, "Invalid padding string '%s', should be one of 'same', 'valid'", o.padding)
    end
    if o.padding == "same" then
      for i = 1, n do
        if o.stride[i] ~= 1 then
          args.fail(what, "padding='same' is not supported for strided convolutions; "
            .. "use stride 1 or give the padding as a number")
        end
      end
    end
  else
    o.padding = tuple(what, "padding", o.padding, n, 0)
  end
  o.transposed = transposed
  self:_set(o)
  self:_set { _padded = o.padding_mode ~= "zeros" and self:_pad_widths() or nil }
end

function Base:_weight_sizes()
  local sizes = self.transposed and { self.in_channels, self.out_channels // self.groups }
    or { self.out_channels, self.in_channels // self.groups }
  return table.move(self.kernel_size, 1, self.spatial_dims, 3, sizes)
end

-- Fields and parameters common to both directions.
function Base:_setup(o, transposed)
  local options, bias = args.making(o.device, o.dtype), o.bias
  o.device, o.dtype, o.bias = nil, nil, nil
  self:_configure(o, transposed)
  self.weight = Parameter(torch.empty(self:_weight_sizes(), options))
  self:register_parameter("bias", bias and Parameter(torch.empty({ self.out_channels }, options)) or nil)
  self:reset_parameters()
end

-- {left, right} for every spatial dim, the last dim first, as F.pad wants them.
function Base:_pad_widths()
  local widths = {}
  for i = self.spatial_dims, 1, -1 do
    local left, right
    if self.padding == "same" then
      local total = self.dilation[i] * (self.kernel_size[i] - 1)
      left, right = total // 2, total - total // 2
    elseif self.padding == "valid" then
      left, right = 0, 0
    else
      left, right = self.padding[i], self.padding[i]
    end
    widths[#widths + 1] = left
    widths[#widths + 1] = right
  end
  return widths
end

--- Both from U(-k, k), k = 1 / sqrt(fan_in).
function Base:reset_parameters()
  init.kaiming_uniform_(self.weight, math.sqrt(5))
  if self.bias ~= nil then
    local fan_in = init._calculate_fan_in_and_fan_out(self.weight)
    if fan_in ~= 0 then
      local bound = 1 / math.sqrt(fan_in)
      init.uniform_(self.bias, -bound, bound)
    end
  end
end

local function all_are(list, value)
  for i = 1, #list do
    if list[i] ~= value then return false end
  end
  return true
end

function Base:extra_repr()
  local parts = { ("%d, %d, kernel_size=%s, stride=%s"):format(self.in_channels, self.out_channels,
    text.repr(self.kernel_size), text.repr(self.stride)) }
  local function add(format, ...) parts[#parts + 1] = format:format(...) end
  if type(self.padding) == "string" or not all_are(self.padding, 0) then add("padding=%s", text.str(self.padding)) end
  if not all_are(self.dilation, 1) then add("dilation=%s", text.repr(self.dilation)) end
  if not all_are(self.output_padding, 0) then add("output_padding=%s", text.repr(self.output_padding)) end
  if self.groups ~= 1 then add("groups=%d", self.groups) end
  if self.bias == nil then add("bias=False") end
  if self.padding_mode ~= "zeros" then add("padding_mode=%s", self.padding_mode) end
  return table.concat(parts, ", ")
end

-- Convolutions: weight (out_channels, in_channels / groups, *kernel_size).
for n = 1, 3 do
  local name = "Conv" .. n .. "d"
  local Conv = Base:extend(name)
  local spec = args(name .. [[(int in_channels, int out_channels, ints kernel_size, ints stride=1, any padding=0,
    ints dilation=1, int groups=1, bool bias=true, str padding_mode='zeros', device device=nil, dtype dtype=nil)]])
  local op = "conv" .. n .. "d"
  local zeros = {}
  for i = 1, n do zeros[i] = 0 end
  Conv.spatial_dims = n

  function Conv:init(...) self:_setup(spec:collect(...), false) end

  --- The convolution with other weights than the layer's own, for subclasses that change them.
  function Conv:_conv_forward(input, weight, bias)
    local padding = self.padding
    if self._padded then
      input = F.pad(input, self._padded, self.padding_mode)
      padding = zeros
    end
    return F[op](input, weight, bias, self.stride, padding, self.dilation, self.groups)
  end

  function Conv:forward(input)
    if type(input) ~= "userdata" then input = args.input(self.__name, input, "input") end
    return self:_conv_forward(input, self.weight, self.bias)
  end
  classes[name] = Conv
end

-- A plain list of the integers in a list or a torch.Size, or nil.
local function sizes_of(value)
  if type(value) == "userdata" and tostring(value):find "^torch.Size" then value = { value:unpack() } end
  if type(value) ~= "table" or getmetatable(value) ~= nil then return nil end
  for i = 1, #value do
    if math.tointeger(value[i]) == nil then return nil end
  end
  return value
end

-- Transposed convolutions: weight (in_channels, out_channels / groups, *kernel_size).
for n = 1, 3 do
  local name = "ConvTranspose" .. n .. "d"
  local Conv = Base:extend(name)
  local spec = args(name .. [[(int in_channels, int out_channels, ints kernel_size, ints stride=1, ints padding=0,
    ints output_padding=0, int groups=1, bool bias=true, ints dilation=1, str padding_mode='zeros',
    device device=nil, dtype dtype=nil)]])
  local op = "conv_transpose" .. n .. "d"
  Conv.spatial_dims = n

  function Conv:init(...)
    local o = spec:collect(...)
    self:_check_padding_mode(o)
    self:_setup(o, true)
  end

  function Conv:_check_padding_mode(o)
    if o.padding_mode ~= "zeros" then
      args.fail(self.__name, "Only \"zeros\" padding mode is supported for %s, got '%s'", self.__name, o.padding_mode)
    end
  end

  -- The output padding that gives the wanted spatial sizes.
  function Conv:_output_padding_for(input, output_size)
    local first = input.ndim - n
    if first ~= 1 and first ~= 2 then
      args.fail(name, "expected an input of %d dims (with batch) or %d (without), got shape %s", n + 2, n + 1,
        tostring(input.shape))
    end
    local sizes = sizes_of(output_size)
    if not sizes then
      args.fail(name, "argument 'output_size' must be a list of integers, got %s", text.describe(output_size))
    end
    output_size = sizes
    if #output_size == n + 2 or (first == 1 and #output_size == n + 1) then
      output_size = table.move(output_size, #output_size - n + 1, #output_size, 1, {})
    end
    if #output_size ~= n then
      args.fail(name, "output_size must have %d or %d elements, got %d", n, n + 2, #output_size)
    end
    local result = {}
    for i = 1, n do
      local least = (input:size(first + i - 1) - 1) * self.stride[i] - 2 * self.padding[i]
        + self.dilation[i] * (self.kernel_size[i] - 1) + 1
      local most = least + self.stride[i] - 1
      if output_size[i] < least or output_size[i] > most then
        args.fail(name, "requested an output size of %s, but dim %d must lie in [%d, %d] for an input of shape %s",
          text.repr(output_size), i - 1, least, most, tostring(input.shape))
      end
      result[i] = output_size[i] - least
    end
    return result
  end

  --- net(x) or net(x, output_size): the sizes wanted, among those that stride leaves open.
  Conv.forward = args.forward(name, { "input", "output_size" }, function(self, input, output_size)
    local output_padding = output_size ~= nil and self:_output_padding_for(input, output_size) or self.output_padding
    return F[op](input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation)
  end)
  classes[name] = Conv
end

return classes
