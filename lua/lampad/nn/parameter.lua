-- nn.Parameter: a tensor that a Module registers when it is assigned to it.
-- In Lua a Parameter is an ordinary tensor that the table `core.parameters` (weak keys) remembers.
local core = require "lampad.core"
local args = require "lampad.args"

local known = core.parameters or setmetatable({}, { __mode = "k" })
core.parameters = known

local spec = args "Parameter(Tensor data=nil, bool requires_grad=true)"

local Parameter = {}

--- nn.Parameter(data, requires_grad = true): shares the memory of `data`, without its history; empty without data.
local function new(...)
  local data, requires_grad = spec(...)
  data = data or core.torch.empty(0)
  local parameter = data:detach()
  if requires_grad then
    local dtype = tostring(data.dtype)
    if not (dtype:find "float" or dtype:find "complex") then
      args.fail("Parameter", "only floating point and complex tensors can require gradients, got %s; "
        .. "pass {requires_grad = false} or convert with data:float()", dtype)
    end
    parameter:requires_grad_(true)
  end
  known[parameter] = true
  return parameter
end

--- Marks an existing leaf tensor as a Parameter (used by deepcopy and conversion).
function Parameter.mark(tensor)
  known[tensor] = true
  return tensor
end

--- True when the value is a Parameter.
function Parameter.is(value) return type(value) == "userdata" and known[value] == true end

Parameter.known = known
Parameter.__name = "Parameter"

-- nn.Parameter is callable, and tensors answer to torch.isinstance(x, nn.Parameter).
return setmetatable(Parameter, {
  __call = function(_, ...) return new(...) end,
  __tostring = function() return "class Parameter" end,
})
