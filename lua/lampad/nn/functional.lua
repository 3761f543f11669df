-- torch.nn.functional. Most functions are ops of the schema (core.modules["nn.functional"]), found at
-- first use; here stand those whose PyTorch form takes an `inplace` flag.
local core = require "lampad.core"
local args = require "lampad.args"

local ops = core.modules["nn.functional"]
local torch = core.torch

local F = setmetatable({}, {
  __index = function(t, name)
    local value = ops[name]
    if value ~= nil then rawset(t, name, value) end
    return value
  end,
  __pairs = function(t) -- for completion and help: the ops too
    for name, value in pairs(ops) do
      if rawget(t, name) == nil then rawset(t, name, value) end
    end
    return next, t, nil
  end,
})

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
  F[name] = function(input, first, ...)
    if select("#", ...) == 0 and type(input) == "userdata" then
      if first == nil then return op(input) end
      if count == 1 and type(first) == "number" then return op(input, first) end
    end
    return matched(input, first, ...)
  end
end

for _, name in ipairs { "relu", "relu6", "selu", "silu", "mish", "hardsigmoid", "hardswish" } do
  local op, op_ = ops[name], ops[name .. "_"] or core.methods[name .. "_"]
  local spec = args(name .. "(Tensor input, bool inplace=false)")
  F[name] = function(input, inplace)
    if not inplace and type(input) == "userdata" then return op(input) end
    local x, in_place = spec(input, inplace)
    return (in_place and op_ or op)(x)
  end
end
with_inplace("leaky_relu", "float negative_slope=0.01")
with_inplace("elu", "float alpha=1.0")
with_inplace("celu", "float alpha=1.0")
with_inplace("hardtanh", "float min_val=-1.0, float max_val=1.0")
with_inplace("threshold", "float threshold, float value")

return F
