-- The layers without parameters, from one table: activations, pooling, dropout, padding, shapes.
-- A row gives the constructor's signature (its arguments become fields), what forward computes, and the
-- text of print: a format over the fields, or a function. lampad.nn makes the class at first use.
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local F = require "lampad.nn.functional"

local rows = {}

-- "negative_slope={negative_slope}" with Python's spelling of the fields.
local function fill(format, self)
  return (format:gsub("{([%w_]+)}", function(name) return text.repr(self[name]) end))
end

--- layer { "ELU(float alpha=1.0, bool inplace=false)", forward = fn(self, x), repr = text or fn, setup = fn(self) }
local function layer(row)
  local name = row[1]:match("^[%w_]+")
  rows[name] = row
end

-- Layers whose print shows inplace only when it is true.
local function inplace_repr(format)
  return function(self)
    local shown = fill(format, self)
    if not self.inplace then return shown end
    return shown == "" and "inplace=True" or shown .. ", inplace=True"
  end
end

-- --- activations ---------------------------------------------------------------------------------
for name, op in pairs { ReLU = "relu", ReLU6 = "relu6", SELU = "selu", SiLU = "silu", Mish = "mish" } do
  layer { name .. "(bool inplace=false)", repr = inplace_repr "",
    forward = function(self, x) return F[op](x, self.inplace) end }
end
for name, op in pairs { Hardswish = "hardswish", Hardsigmoid = "hardsigmoid" } do
  layer { name .. "(bool inplace=false)", forward = function(self, x) return F[op](x, self.inplace) end }
end
for name, op in pairs {
  Sigmoid = "sigmoid", Tanh = "tanh", Softsign = "softsign", Tanhshrink = "tanhshrink", LogSigmoid = "logsigmoid",
} do
  layer { name .. "()", forward = function(_, x) return F[op](x) end }
end
for name, op in pairs { ELU = "elu", CELU = "celu" } do
  layer { name .. "(float alpha=1.0, bool inplace=false)", repr = inplace_repr "alpha={alpha}",
    forward = function(self, x) return F[op](x, self.alpha, self.inplace) end }
end
layer { "LeakyReLU(float negative_slope=0.01, bool inplace=false)",
  repr = inplace_repr "negative_slope={negative_slope}",
  forward = function(self, x) return F.leaky_relu(x, self.negative_slope, self.inplace) end }
layer { "RReLU(float lower=0.125, float upper=0.3333333333333333, bool inplace=false)",
  repr = inplace_repr "lower={lower}, upper={upper}",
  forward = function(self, x) return F.rrelu(x, self.lower, self.upper, self.training, self.inplace) end }
layer { "Hardtanh(float min_val=-1.0, float max_val=1.0, bool inplace=false, float min_value=nil, float max_value=nil)",
  setup = function(self) -- the names of old
    self:_set { min_val = self.min_value or self.min_val, max_val = self.max_value or self.max_val }
    if self.max_val < self.min_val then
      args.fail("Hardtanh", "max_val (%s) must be greater than min_val (%s)", text.repr(self.max_val), text.repr(self.min_val))
    end
  end,
  repr = inplace_repr "min_val={min_val}, max_val={max_val}",
  forward = function(self, x) return F.hardtanh(x, self.min_val, self.max_val, self.inplace) end }
layer { "Threshold(float threshold, float value, bool inplace=false)",
  repr = inplace_repr "threshold={threshold}, value={value}",
  forward = function(self, x) return F.threshold(x, self.threshold, self.value, self.inplace) end }
layer { "GELU(str approximate='none')", repr = "approximate={approximate}",
  forward = function(self, x) return F.gelu(x, { approximate = self.approximate }) end }
layer { "GLU(int dim=-1)", repr = "dim={dim}", forward = function(self, x) return F.glu(x, self.dim) end }
layer { "Softplus(float beta=1.0, float threshold=20.0)", repr = "beta={beta}, threshold={threshold}",
  forward = function(self, x) return F.softplus(x, self.beta, self.threshold) end }
layer { "Hardshrink(float lambd=0.5)", repr = "{lambd}",
  forward = function(self, x) return F.hardshrink(x, self.lambd) end }
layer { "Softshrink(float lambd=0.5)", repr = "{lambd}",
  forward = function(self, x) return F.softshrink(x, self.lambd) end }

for name, op in pairs { Softmax = "softmax", LogSoftmax = "log_softmax", Softmin = "softmin" } do
  layer { name .. "(int dim=nil)", repr = "dim={dim}",
    forward = function(self, x) return F[op](x, self.dim) end }
end
layer { "Softmax2d()", forward = function(_, x)
  if x.ndim ~= 3 and x.ndim ~= 4 then
    args.fail("Softmax2d", "expected input to be 3D or 4D (got %dD input)", x.ndim)
  end
  return F.softmax(x, -3)
end }

-- --- pooling ---------------------------------------------------------------------------------------
-- PyTorch stores what was given: a number stays a number in print.
for n = 1, 3 do
  local max_pool, avg_pool = "max_pool" .. n .. "d", "avg_pool" .. n .. "d"
  local function own_stride(self) if self.stride == nil then self:_set { stride = self.kernel_size } end end
  layer { "MaxPool" .. n .. "d(ints kernel_size, ints stride=nil, ints padding=0, ints dilation=1, "
    .. "bool return_indices=false, bool ceil_mode=false)", setup = own_stride,
    repr = "kernel_size={kernel_size}, stride={stride}, padding={padding}, dilation={dilation}, ceil_mode={ceil_mode}",
    forward = function(self, x)
      local op = self.return_indices and max_pool .. "_with_indices" or max_pool
      return F[op](x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
    end }
  layer { "AvgPool" .. n .. "d(ints kernel_size, ints stride=nil, ints padding=0, bool ceil_mode=false, "
    .. "bool count_include_pad=true" .. (n > 1 and ", int divisor_override=nil)" or ")"),
    setup = function(self)
      own_stride(self)
      if n == 1 then -- PyTorch shows the 1-d sizes as tuples
        for _, name in ipairs { "kernel_size", "stride", "padding" } do
          self:_set { [name] = args.tuple("AvgPool1d", name, self[name], 1) }
        end
      end
    end,
    repr = "kernel_size={kernel_size}, stride={stride}, padding={padding}",
    forward = function(self, x)
      if n == 1 then
        return F.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
      end
      return F[avg_pool](x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
        self.divisor_override)
    end }
  -- output_size may hold nil (or false) for "as the input": nn.AdaptiveAvgPool2d{nil, 7}.
  local function sizes_for(self, x)
    local wanted = self.output_size
    if type(wanted) ~= "table" then return wanted end
    local result = {}
    for i = 1, n do result[i] = wanted[i] or x:size(x.ndim - n + i - 1) end
    return result
  end
  local function check_sizes(self)
    local wanted = self.output_size
    if type(wanted) == "table" then
      self:_set { output_size = { n = n, table.unpack(wanted, 1, n) } }
      for i = 1, n do
        if not wanted[i] then self.output_size[i] = nil end
      end
    elseif math.type(wanted) ~= "integer" then
      args.fail(self.__name, "output_size must be an integer or a list of %d, got %s", n, text.describe(wanted))
    end
  end
  layer { "AdaptiveAvgPool" .. n .. "d(any output_size)", repr = "output_size={output_size}", setup = check_sizes,
    forward = function(self, x) return F["adaptive_avg_pool" .. n .. "d"](x, sizes_for(self, x)) end }
  layer { "AdaptiveMaxPool" .. n .. "d(any output_size, bool return_indices=false)",
    repr = "output_size={output_size}", setup = check_sizes,
    forward = function(self, x)
      local op = "adaptive_max_pool" .. n .. "d" .. (self.return_indices and "_with_indices" or "")
      return F[op](x, sizes_for(self, x))
    end }
end

-- --- dropout ---------------------------------------------------------------------------------------
local function check_p(self)
  if self.p < 0 or self.p > 1 then
    args.fail(self.__name, "dropout probability has to be between 0 and 1, but got %s", text.repr(self.p))
  end
end
for name, op in pairs {
  Dropout = "dropout", Dropout1d = "dropout1d", Dropout2d = "dropout2d", Dropout3d = "dropout3d",
  AlphaDropout = "alpha_dropout", FeatureAlphaDropout = "feature_alpha_dropout",
} do
  layer { name .. "(float p=0.5, bool inplace=false)", repr = "p={p}, inplace={inplace}", setup = check_p,
    forward = function(self, x) return F[op](x, self.p, self.training, self.inplace) end }
end

-- --- shapes ----------------------------------------------------------------------------------------
layer { "Identity()", any_arguments = true, forward = function(_, x)
  if args.is_named(x) and x.input ~= nil then return x.input end
  return x
end }
layer { "Flatten(int start_dim=1, int end_dim=-1)", repr = "start_dim={start_dim}, end_dim={end_dim}",
  forward = function(self, x) return x:flatten(self.start_dim, self.end_dim) end }
layer { "Unflatten(int dim, ints unflattened_size)", repr = "dim={dim}, unflattened_size={unflattened_size}",
  setup = function(self)
    if type(self.unflattened_size) == "number" then
      self:_set { unflattened_size = { self.unflattened_size } }
    end
  end,
  forward = function(self, x) return x:unflatten(self.dim, self.unflattened_size) end }
layer { "PixelShuffle(int upscale_factor)", repr = "upscale_factor={upscale_factor}",
  forward = function(self, x) return F.pixel_shuffle(x, self.upscale_factor) end }
layer { "PixelUnshuffle(int downscale_factor)", repr = "downscale_factor={downscale_factor}",
  forward = function(self, x) return F.pixel_unshuffle(x, self.downscale_factor) end }
layer { "ChannelShuffle(int groups)", repr = "groups={groups}",
  forward = function(self, x) return F.channel_shuffle(x, self.groups) end }
layer { "CosineSimilarity(int dim=1, float eps=1e-08)", inputs = { "x1", "x2" },
  forward = function(self, x, y) return F.cosine_similarity(x, y, self.dim, self.eps) end }
layer { "PairwiseDistance(float p=2.0, float eps=1e-06, bool keepdim=false)", inputs = { "x1", "x2" },
  setup = function(self) self:_set { norm = self.p } end,
  forward = function(self, x, y) return F.pairwise_distance(x, y, self.p, self.eps, self.keepdim) end }

layer { "LocalResponseNorm(int size, float alpha=0.0001, float beta=0.75, float k=1.0)",
  repr = "{size}, alpha={alpha}, beta={beta}, k={k}",
  forward = function(self, x) return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k) end }
for n = 1, 3 do
  layer { "LPPool" .. n .. "d(float norm_type, ints kernel_size, ints stride=nil, bool ceil_mode=false)",
    setup = function(self)
      if self.norm_type == 0 then args.fail("LPPool" .. n .. "d", "norm_type must be a non-zero value, but got 0") end
    end,
    repr = "norm_type={norm_type}, kernel_size={kernel_size}, stride={stride}, ceil_mode={ceil_mode}",
    forward = function(self, x)
      return F["lp_pool" .. n .. "d"](x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
    end }
end
local function show_upsample(self)
  return ("%s, mode=%s"):format(self.scale_factor ~= nil and "scale_factor=" .. text.repr(self.scale_factor)
    or "size=" .. text.repr(self.size), text.repr(self.mode))
end
-- PyTorch keeps factors as floats.
local function float_factors(self)
  local factor = self.scale_factor
  if type(factor) == "number" then
    self:_set { scale_factor = factor + 0.0 }
  elseif factor ~= nil then
    local list = {}
    for i, f in ipairs(factor) do list[i] = f + 0.0 end
    self:_set { scale_factor = list }
  end
end
layer { "Upsample(ints size=nil, floats scale_factor=nil, str mode='nearest', bool align_corners=nil, "
  .. "bool recompute_scale_factor=nil)", repr = show_upsample, setup = float_factors,
  forward = function(self, x)
    return F.interpolate(x, { size = self.size, scale_factor = self.scale_factor, mode = self.mode,
      align_corners = self.align_corners, recompute_scale_factor = self.recompute_scale_factor })
  end }
for name, mode in pairs { UpsamplingNearest2d = "nearest", UpsamplingBilinear2d = "bilinear" } do
  layer { name .. "(ints size=nil, floats scale_factor=nil)", repr = show_upsample,
    setup = function(self)
      float_factors(self)
      self:_set { mode = mode, align_corners = mode == "bilinear" or nil }
    end,
    forward = function(self, x)
      return F.interpolate(x, { size = self.size, scale_factor = self.scale_factor, mode = mode,
        align_corners = self.align_corners })
    end }
end
layer { "Fold(ints output_size, ints kernel_size, ints dilation=1, ints padding=0, ints stride=1)",
  repr = "output_size={output_size}, kernel_size={kernel_size}, dilation={dilation}, padding={padding}, stride={stride}",
  forward = function(self, x)
    return F.fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
  end }
layer { "Unfold(ints kernel_size, ints dilation=1, ints padding=0, ints stride=1)",
  repr = "kernel_size={kernel_size}, dilation={dilation}, padding={padding}, stride={stride}",
  forward = function(self, x) return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride) end }

-- --- padding: {left, right, top, bottom, ...} or one number for all sides ------------------------------
for n = 1, 3 do
  local function spread(self)
    self:_set { padding = args.tuple(self.__name, "padding", self.padding, 2 * n) }
  end
  for kind, mode in pairs { Reflection = "reflect", Replication = "replicate", Circular = "circular" } do
    layer { kind .. "Pad" .. n .. "d(ints padding)", repr = "{padding}", setup = spread,
      forward = function(self, x) return F.pad(x, self.padding, mode) end }
  end
  layer { "ZeroPad" .. n .. "d(ints padding)", repr = "{padding}", setup = spread,
    forward = function(self, x) return F.pad(x, self.padding) end }
  layer { "ConstantPad" .. n .. "d(ints padding, float value)", repr = "padding={padding}, value={value}",
    setup = spread, forward = function(self, x) return F.pad(x, self.padding, "constant", self.value) end }
end

-- --- making the classes -----------------------------------------------------------------------------
-- Base classes for isinstance (nn.modules.dropout._DropoutNd), with the pattern of the names below them.
local bases, families = {}, {
  _DropoutNd = "Dropout", _MaxPoolNd = "^MaxPool", _AvgPoolNd = "^AvgPool", _AdaptiveAvgPoolNd = "^AdaptiveAvgPool",
  _AdaptiveMaxPoolNd = "^AdaptiveMaxPool", _LPPoolNd = "^LPPool", _ConstantPadNd = "^ConstantPad",
  _ReflectionPadNd = "^ReflectionPad", _ReplicationPadNd = "^ReplicationPad", _CircularPadNd = "^CircularPad",
}
for name in pairs(families) do bases[name] = Module:extend(name) end

local function base_of(name)
  for base, pattern in pairs(families) do
    if name:find(pattern) then return bases[base] end
  end
  return Module
end

local function make(name)
  local row = rows[name]
  local Class = base_of(name):extend(name)
  local spec = args(row[1])
  local repr, setup = row.repr, row.setup
  function Class:init(...)
    if not row.any_arguments then self:_set(spec:collect(...)) end
    if setup then setup(self) end
  end
  -- Identity passes anything along.
  Class.forward = row.any_arguments and row.forward or args.forward(name, row.inputs or { "input" }, row.forward)
  if type(repr) == "function" then
    Class.extra_repr = repr
  elseif repr then
    function Class:extra_repr() return fill(repr, self) end
  end
  return Class
end

return { rows = rows, make = make, bases = bases }
