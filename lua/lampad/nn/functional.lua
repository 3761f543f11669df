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
-- positional calls go straight to the op; named arguments through the matcher. check(<extra arguments>) may raise.
local function with_inplace(name, extra, check)
  local op, op_ = ops[name], ops[name .. "_"] or core.methods[name .. "_"]
  local spec = args(name .. "(Tensor input, " .. extra .. ", bool inplace=false)")
  local count = spec.count - 2 -- arguments between input and inplace
  local function matched(...)
    local values = table.pack(spec(...))
    if check then check(table.unpack(values, 2, count + 1)) end
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
with_inplace("hardtanh", "float min_val=-1.0, float max_val=1.0", function(low, high)
  if low > high then args.fail("hardtanh", "min_val must not be greater than max_val, got %s and %s", low, high) end
end)
with_inplace("threshold", "float threshold, float value")

-- --- in terms of other ops ----------------------------------------------------------------------------
local rrelu_spec = args [[rrelu(Tensor input, float lower=0.125, float upper=0.3333333333333333,
  bool training=false, bool inplace=false)]]

--- leaky_relu with slopes drawn from U(lower, upper) in training, with their mean otherwise.
function F.rrelu(...)
  local x, lower, upper, training, inplace = rrelu_spec(...)
  return (inplace and core.methods.rrelu_ or ops.rrelu)(x, lower, upper, training)
end

local distance_spec = args [[triplet_margin_with_distance_loss(Tensor anchor, Tensor positive, Tensor negative, *,
  function distance_function=nil, float margin=1.0, bool swap=false, str reduction='mean')]]

--- max(d(anchor, positive) - d(anchor, negative) + margin, 0) for any distance d.
function F.triplet_margin_with_distance_loss(...)
  local anchor, positive, negative, distance, margin, swap, reduction = distance_spec(...)
  if margin <= 0 then
    args.fail("triplet_margin_with_distance_loss", "margin must be greater than 0, got %s", margin)
  end
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

--- x moved towards 0 by lambd; 0 within lambd of it.
function F.softshrink(...)
  local _, lambd = ...
  local options = args.options(select(-1, nil, ...))
  lambd = options and options.lambd or lambd
  if type(lambd) == "number" and lambd < 0 then args.fail("softshrink", "lambd must not be negative, got %s", lambd) end
  return ops.softshrink(...)
end

--- The op takes all arguments but `options` (an nn.LinearCrossEntropyOptions), which changes no result.
function F.linear_cross_entropy(...)
  local count = select("#", ...)
  local named = count > 0 and args.options((select(count, ...)))
  if not named or named.options == nil then return ops.linear_cross_entropy(...) end
  local given, rest = { ... }, {}
  for key, value in pairs(named) do rest[key] = value end
  rest.options = nil
  given[count] = rest
  return ops.linear_cross_entropy(table.unpack(given, 1, count))
end

-- The softmaxes may leave dim out: it is 0 for 0, 1 and 3 dims, else 1.
for _, name in ipairs { "softmax", "log_softmax", "softmin" } do
  local op = ops[name]
  F[name] = function(...)
    local input, dim = ...
    if not (type(input) == "userdata" and torch.is_tensor(input)) then return op(...) end
    local options = select("#", ...) == 2 and args.options(dim)
    if dim ~= nil and not (options and options.dim == nil) then return op(...) end
    require("lampad.warnings").warn(("Implicit dimension choice for %s has been deprecated. Change the call to include "
      .. "dim as an argument"):format(name))
    local implicit = (input.ndim == 0 or input.ndim == 1 or input.ndim == 3) and 0 or 1
    if options then return op(input, implicit, options) end
    return op(input, implicit, select(3, ...))
  end
end

require "lampad.nn.functional_pool"(F, ops)
require "lampad.nn.functional_attention"(F)

return F
