-- nn.init: fills tensors in place, with PyTorch's formulas and order of random draws, so that a seed
-- gives PyTorch's initial values. Every function returns its tensor and records no gradient.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local init = {}

-- Runs fn(tensor) without gradient recording and returns the tensor; nothing under nn.utils.skip_init.
local function quietly(tensor, fn)
  if core.skip_init then return tensor end
  torch.no_grad(function() fn(tensor) end)
  return tensor
end

local constant_gains = {
  linear = 1, conv1d = 1, conv2d = 1, conv3d = 1, conv_transpose1d = 1, conv_transpose2d = 1,
  conv_transpose3d = 1, sigmoid = 1, tanh = 5 / 3, relu = math.sqrt(2), selu = 3 / 4,
}
local nonlinearities = {
  "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
  "sigmoid", "tanh", "relu", "leaky_relu", "selu",
}

local gain_spec = args "calculate_gain(str nonlinearity, float param=nil)"

--- The gain recommended for a nonlinearity: calculate_gain("leaky_relu", 0.2).
function init.calculate_gain(...)
  local nonlinearity, param = gain_spec(...)
  if nonlinearity == "leaky_relu" then
    local slope = param or 0.01
    return math.sqrt(2.0 / (1 + slope ^ 2))
  end
  local gain = constant_gains[nonlinearity]
  if not gain then
    local near, edits = text.nearest(nonlinearity, nonlinearities)
    args.fail("calculate_gain", "Unsupported nonlinearity %s%s", nonlinearity,
      edits <= #nonlinearity // 2 and ("; did you mean '%s'?"):format(near) or "; those known are "
      .. table.concat(nonlinearities, ", "))
  end
  return gain
end

-- Inputs and outputs of one unit: size(1) and size(0) times the receptive field.
local function fans(what, tensor)
  if tensor.ndim < 2 then
    args.fail(what, "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions "
      .. "(got shape %s)", tostring(tensor.shape))
  end
  local field = 1
  for d = 2, tensor.ndim - 1 do field = field * tensor:size(d) end
  return tensor:size(1) * field, tensor:size(0) * field
end

--- fan_in, fan_out of a weight.
function init._calculate_fan_in_and_fan_out(tensor) return fans("fan_in_and_fan_out", tensor) end

local function fan_of(what, tensor, mode)
  local fan_in, fan_out = fans(what, tensor)
  mode = mode:lower()
  if mode == "fan_in" then return fan_in end
  if mode == "fan_out" then return fan_out end
  args.fail(what, "mode must be 'fan_in' or 'fan_out', got '%s'", mode)
end

local uniform_spec = args "uniform_(Tensor tensor, float a=0.0, float b=1.0, any generator=nil)"

--- Values of U(a, b).
function init.uniform_(...)
  local tensor, a, b, generator = uniform_spec(...)
  return quietly(tensor, function(t) t:uniform_(a, b, args.drawing(generator)) end)
end

local normal_spec = args "normal_(Tensor tensor, float mean=0.0, float std=1.0, any generator=nil)"

--- Values of N(mean, std^2).
function init.normal_(...)
  local tensor, mean, std, generator = normal_spec(...)
  return quietly(tensor, function(t) t:normal_(mean, std, args.drawing(generator)) end)
end

local constant_spec = args "constant_(Tensor tensor, float val)"

--- The value everywhere.
function init.constant_(...)
  local tensor, value = constant_spec(...)
  return quietly(tensor, function(t) t:fill_(value) end)
end

local one_spec = args "ones_(Tensor tensor)"
local zero_spec = args "zeros_(Tensor tensor)"

function init.ones_(...) return quietly(one_spec(...), function(t) t:fill_(1) end) end
function init.zeros_(...) return quietly(zero_spec(...), function(t) t:zero_() end) end

local eye_spec = args "eye_(Tensor tensor)"

--- The identity matrix (2-d tensors).
function init.eye_(...)
  local tensor = eye_spec(...)
  if tensor.ndim ~= 2 then
    args.fail("eye_", "Only tensors with 2 dimensions are supported, got shape %s", tostring(tensor.shape))
  end
  return quietly(tensor, function(t)
    t:zero_()
    for i = 0, math.min(t:size(0), t:size(1)) - 1 do t[{ i, i }] = 1 end
  end)
end

local dirac_spec = args "dirac_(Tensor tensor, int groups=1)"

--- The Dirac delta: a convolution that passes as many channels as it can through (3 to 5 dimensions).
function init.dirac_(...)
  local tensor, groups = dirac_spec(...)
  local ndim = tensor.ndim
  if ndim < 3 or ndim > 5 then
    args.fail("dirac_", "Only tensors with 3, 4, or 5 dimensions are supported, got shape %s",
      tostring(tensor.shape))
  end
  if groups < 1 or tensor:size(0) % groups ~= 0 then
    args.fail("dirac_", "dim 0 must be divisible by groups, got %d and groups=%d", tensor:size(0), groups)
  end
  local out_per_group = tensor:size(0) // groups
  return quietly(tensor, function(t)
    t:zero_()
    for g = 0, groups - 1 do
      for d = 0, math.min(out_per_group, t:size(1)) - 1 do
        local index = { g * out_per_group + d, d }
        for dim = 2, ndim - 1 do index[dim + 1] = t:size(dim) // 2 end
        t[index] = 1
      end
    end
  end)
end

local xavier_uniform = args "xavier_uniform_(Tensor tensor, float gain=1.0, any generator=nil)"

--- Glorot and Bengio (2010), uniform: U(-a, a) with a = gain * sqrt(6 / (fan_in + fan_out)).
function init.xavier_uniform_(...)
  local tensor, gain, generator = xavier_uniform(...)
  local fan_in, fan_out = fans("xavier_uniform_", tensor)
  local std = gain * math.sqrt(2.0 / (fan_in + fan_out))
  local a = math.sqrt(3.0) * std
  return init.uniform_(tensor, -a, a, args.drawing(generator))
end

local xavier_normal = args "xavier_normal_(Tensor tensor, float gain=1.0, any generator=nil)"

--- Glorot and Bengio (2010), normal: std = gain * sqrt(2 / (fan_in + fan_out)).
function init.xavier_normal_(...)
  local tensor, gain, generator = xavier_normal(...)
  local fan_in, fan_out = fans("xavier_normal_", tensor)
  return init.normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), args.drawing(generator))
end

local kaiming = "(Tensor tensor, float a=0, str mode='fan_in', str nonlinearity='leaky_relu', any generator=nil)"
local function is_empty(tensor)
  if tensor:numel() > 0 then return false end
  require("lampad.warnings").warn "Initializing zero-element tensors is a no-op"
  return true
end

local kaiming_uniform, kaiming_normal = args("kaiming_uniform_" .. kaiming), args("kaiming_normal_" .. kaiming)

--- He et al. (2015), uniform: U(-b, b) with b = gain * sqrt(3 / fan); a is leaky_relu's slope.
function init.kaiming_uniform_(...)
  local tensor, a, mode, nonlinearity, generator = kaiming_uniform(...)
  if is_empty(tensor) then return tensor end
  local std = init.calculate_gain(nonlinearity, a) / math.sqrt(fan_of("kaiming_uniform_", tensor, mode))
  local bound = math.sqrt(3.0) * std
  return init.uniform_(tensor, -bound, bound, args.drawing(generator))
end

--- He et al. (2015), normal: std = gain / sqrt(fan).
function init.kaiming_normal_(...)
  local tensor, a, mode, nonlinearity, generator = kaiming_normal(...)
  if is_empty(tensor) then return tensor end
  local std = init.calculate_gain(nonlinearity, a) / math.sqrt(fan_of("kaiming_normal_", tensor, mode))
  return init.normal_(tensor, 0.0, std, args.drawing(generator))
end

local orthogonal_spec = args "orthogonal_(Tensor tensor, float gain=1, any generator=nil)"

--- Saxe et al. (2013): a (semi) orthogonal matrix of the rows by all other dims.
function init.orthogonal_(...)
  local tensor, gain, generator = orthogonal_spec(...)
  if tensor.ndim < 2 then
    args.fail("orthogonal_", "Only tensors with 2 or more dimensions are supported, got shape %s",
      tostring(tensor.shape))
  end
  if tensor:numel() == 0 then return tensor end
  return quietly(tensor, function(t)
    local rows = t:size(0)
    local columns = t:numel() // rows
    local flat = torch.empty({ rows, columns }, { dtype = t.dtype })
    flat:normal_(0, 1, args.drawing(generator))
    if rows < columns then flat = flat:t() end
    local q, r = torch.linalg.qr(flat)
    q = q * torch.diag(r, 0):sign() -- the sign of the diagonal makes Q uniform (Mezzadri 2007)
    if rows < columns then q = q:t() end
    t:copy_(q:reshape(t.shape))
    t:mul_(gain)
  end)
end

local sparse_spec = args "sparse_(Tensor tensor, float sparsity, float std=0.01, any generator=nil)"

--- Martens (2010): N(0, std^2) with a fraction `sparsity` of each column zero (2-d tensors).
function init.sparse_(...)
  local tensor, sparsity, std, generator = sparse_spec(...)
  if tensor.ndim ~= 2 then
    args.fail("sparse_", "Only tensors with 2 dimensions are supported, got shape %s", tostring(tensor.shape))
  end
  return quietly(tensor, function(t)
    local rows, columns = t:size(0), t:size(1)
    local zeros = math.ceil(sparsity * rows)
    t:normal_(0, std, args.drawing(generator))
    for column = 0, columns - 1 do
      local chosen = torch.randperm(rows)
      if zeros > 0 then t[{ chosen:narrow(0, 0, zeros), column }] = 0 end
    end
  end)
end

-- The error function (Abramowitz and Stegun's series and continued fraction, to double precision).
local function erf(x)
  local z = math.abs(x)
  local value
  if z < 2.5 then -- 2/sqrt(pi) * sum of (-1)^n x^(2n+1) / (n! (2n+1)), in Kummer's form without cancellation
    local term, sum, n = z, z, 0
    repeat
      n = n + 1
      term = term * 2 * z * z / (2 * n + 1)
      sum = sum + term
    until term < sum * 1e-17
    value = 2 / math.sqrt(math.pi) * math.exp(-z * z) * sum
  else
    local fraction = 0.0
    for k = 60, 1, -1 do fraction = k / 2 / (z + fraction) end
    value = 1 - math.exp(-z * z) / math.sqrt(math.pi) / (z + fraction)
  end
  return x < 0 and -value or value
end

local trunc_spec = args [[trunc_normal_(Tensor tensor, float mean=0.0, float std=1.0, float a=-2.0,
  float b=2.0, any generator=nil)]]

--- N(mean, std^2) restricted to [a, b], by drawing again what falls outside.
function init.trunc_normal_(...)
  local tensor, mean, std, a, b, generator = trunc_spec(...)
  local drawing = args.drawing(generator)
  local function below(x) return (1.0 + erf(x / math.sqrt(2.0))) / 2.0 end
  local p = below((b - mean) / std) - below((a - mean) / std)
  return quietly(tensor, function(t)
    if p > 0.3 then
      local low = torch.tensor(a, { dtype = t.dtype }):item()
      local high = torch.tensor(b, { dtype = t.dtype }):item()
      t:normal_(mean, std, drawing)
      while true do
        local outside = t:lt(low):logical_or(t:gt(high))
        if not outside:any():item() then return end
        t:copy_(torch.where(outside, torch.empty_like(t):normal_(mean, std, drawing), t))
      end
    end
    -- Little of the bell lies inside: uniform proposals, accepted with the density over its peak.
    local mode = math.max(a, math.min(mean, b))
    local log_peak = -0.5 * ((mode - mean) / std) ^ 2
    local accept = torch.empty_like(t)
    local function rejected(candidates)
      local log_density = candidates:sub(mean):div(std):pow(2):mul(-0.5):sub(log_peak)
      return accept:uniform_(0, 1, drawing):log():gt(log_density)
    end
    t:uniform_(a, b, drawing)
    local pending = rejected(t)
    local candidates = torch.empty_like(t)
    while pending:any():item() do
      candidates:uniform_(a, b, drawing)
      t:copy_(torch.where(pending, candidates, t))
      pending = pending:logical_and(rejected(candidates))
    end
  end)
end

return init
