-- torch.nn.functional. Most functions are ops of the schema (core.modules["nn.functional"]), found at
-- first use; here stand those whose PyTorch form takes an `inplace` flag, and a few written in terms of others.
local core = require "lampad.core"
local args = require "lampad.args"

local ops = core.modules["nn.functional"]
local torch = core.torch

local F = require "lampad.lazy"({ function(name) return ops[name] end }, function()
  local names = {}
  for name in pairs(ops) do names[#names + 1] = name end
  return names
end)

-- sigmoid, tanh and others of torch that PyTorch also lists here.
for _, name in ipairs { "sigmoid", "tanh" } do
  if ops[name] == nil then F[name] = torch[name] end
end

-- Defines F.name(input, <extra arguments>, inplace = false) on the op and its in-place form. Plain
-- positional calls go straight to the op; named arguments through the matcher.
local function with_inplace(name, extra)
  local op, op_ = ops[name], ops[name .. "_"] or core.methods[name .. "_"]
  local spec = args(name .. "(Tensor input, " .. extra .. ", bool inplace=false)")
  local count = spec.count - 2 -- arguments between input and inplace
  local function matched(...)
    local values = table.pack(spec(...))
    return (values[count + 2] and op_ or op)(table.unpack(values, 1, count + 1))
  end
  F[name] = function(...)
    local input, first = ...
    if select("#", ...) <= 2 and type(input) == "userdata" then
      if first == nil and count == 1 then return op(input) end
      if count == 1 and type(first) == "number" then return op(input, first) end
    end
    return matched(...)
  end
end

for _, name in ipairs { "relu", "relu6", "selu", "silu", "mish", "hardsigmoid", "hardswish" } do
  local op, op_ = ops[name], ops[name .. "_"] or core.methods[name .. "_"]
  local spec = args(name .. "(Tensor input, bool inplace=false)")
  F[name] = function(...)
    local input, inplace = ...
    if not inplace and type(input) == "userdata" then return op(input) end
    input, inplace = spec(...)
    return (inplace and op_ or op)(input)
  end
end
with_inplace("leaky_relu", "float negative_slope=0.01")
with_inplace("elu", "float alpha=1.0")
with_inplace("celu", "float alpha=1.0")
with_inplace("hardtanh", "float min_val=-1.0, float max_val=1.0")
with_inplace("threshold", "float threshold, float value")

-- --- in terms of other ops ----------------------------------------------------------------------------
local prelu_spec = args "prelu(Tensor input, Tensor weight)"

--- x where x > 0, weight * x elsewhere; weight has one element, or one for each channel (dim 1).
function F.prelu(...)
  local x, weight = prelu_spec(...)
  local count = weight:numel()
  if weight.ndim > 1 then
    args.fail("prelu", "weight must be a scalar or 1-d tensor, got shape %s", tostring(weight.shape))
  end
  if count > 1 then
    local channels = x.ndim > 1 and x:size(1) or x.ndim == 1 and x:size(0) or 1
    if channels ~= count then
      args.fail("prelu", "weight has %d elements, but the input of shape %s has %d channels", count,
        tostring(x.shape), channels)
    end
    local shape = {}
    for d = 1, x.ndim do shape[d] = 1 end
    shape[x.ndim > 1 and 2 or 1] = count
    weight = weight:reshape(shape)
  elseif x.ndim == 0 then
    weight = weight:reshape({})
  end
  return torch.where(x:gt(0), x, weight * x)
end

local rrelu_spec = args [[rrelu(Tensor input, float lower=0.125, float upper=0.3333333333333333,
  bool training=false, bool inplace=false)]]

--- leaky_relu with slopes drawn from U(lower, upper) in training, with their mean otherwise.
function F.rrelu(...)
  local x, lower, upper, training, inplace = rrelu_spec(...)
  return (inplace and core.methods.rrelu_ or ops.rrelu)(x, lower, upper, training)
end

local bilinear_spec = args "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor bias=nil)"

--- y[..., o] = input1 W[o] input2 + bias[o]; weight has shape (out, in1, in2).
function F.bilinear(...)
  local a, b, weight, bias = bilinear_spec(...)
  local out, in1, in2 = weight.shape:unpack()
  if weight.ndim ~= 3 or a:size(-1) ~= in1 or b:size(-1) ~= in2 then
    args.fail("bilinear", "weight of shape %s does not fit inputs of shapes %s and %s", tostring(weight.shape),
      tostring(a.shape), tostring(b.shape))
  end
  local leading = { a.shape:unpack() }
  leading[#leading] = out
  local rows = a:reshape(-1, in1):matmul(weight:permute(1, 0, 2):reshape(in1, out * in2)):view(-1, out, in2)
  local y = (rows * b:reshape(-1, 1, in2)):sum(-1)
  if bias ~= nil then y = y + bias end
  return y:reshape(leading)
end

local gumbel_spec = args [[gumbel_softmax(Tensor logits, float tau=1, bool hard=false, float eps=1e-10,
  int dim=-1)]]

--- Samples of the Gumbel-softmax distribution (Jang et al. 2017); hard: one-hot with the soft gradient.
function F.gumbel_softmax(...)
  local logits, tau, hard, _, dim = gumbel_spec(...)
  local noise = -torch.empty_like(logits):detach():exponential_():log()
  local soft = F.softmax((logits + noise) / tau, dim)
  if not hard then return soft end
  local index = soft:argmax(dim, true)
  return torch.zeros_like(logits):detach():scatter_(dim, index, 1.0) - soft:detach() + soft
end

local lp_spec = "(Tensor input, float norm_type, ints kernel_size, ints stride=nil, bool ceil_mode=false)"
for n = 1, 2 do
  local name = "lp_pool" .. n .. "d"
  local spec, average = args(name .. lp_spec), "avg_pool" .. n .. "d"
  --- (sum of x^p over each window)^(1/p).
  F[name] = function(...)
    local x, p, kernel, stride, ceil_mode = spec(...)
    local sizes, count = args.tuple(name, "kernel_size", kernel, n), 1
    for i = 1, n do count = count * sizes[i] end
    local y = F[average](x:pow(p), sizes, stride or sizes, 0, ceil_mode)
    return (y:sign() * F.relu(y:abs()) * count):pow(1.0 / p)
  end
end

local distance_spec = args [[triplet_margin_with_distance_loss(Tensor anchor, Tensor positive, Tensor negative, *,
  function distance_function=nil, float margin=1.0, bool swap=false, str reduction='mean')]]

--- max(d(anchor, positive) - d(anchor, negative) + margin, 0) for any distance d.
function F.triplet_margin_with_distance_loss(...)
  local anchor, positive, negative, distance, margin, swap, reduction = distance_spec(...)
  distance = distance or F.pairwise_distance
  local near, far = distance(anchor, positive), distance(anchor, negative)
  if swap then far = torch.minimum(far, distance(positive, negative)) end
  local loss = (near - far + margin):clamp_min(0)
  if reduction == "mean" then return loss:mean() end
  if reduction == "sum" then return loss:sum() end
  if reduction == "none" then return loss end
  args.fail("triplet_margin_with_distance_loss", "%s is not a valid value for reduction; use 'mean', 'sum' or 'none'",
    reduction)
end

F.log_sigmoid = ops.logsigmoid

require "lampad.nn.functional_pool"(F, ops)
require "lampad.nn.functional_attention"(F)

return F
