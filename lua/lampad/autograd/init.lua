-- torch.autograd: backward and grad (from C), functions with a backward of their own, hooks on graphs, Jacobians
-- and products with them, numerical checks of gradients.
local core = require "lampad.core"
local args = require "lampad.args"
local lazy = require "lampad.lazy"

local torch = core.torch

local names = {
  functional = "lampad.autograd.functional", graph = "lampad.autograd.graph",
  anomaly_mode = function() return require("lampad.autograd.graph").anomaly end,
}
for name, file in pairs {
  Function = "function", once_differentiable = "function", gradcheck = "gradcheck", gradgradcheck = "gradcheck",
} do
  names[name] = function(key) return require("lampad.autograd." .. file)[key] end
end
names["function"] = "lampad.autograd.function"
for _, name in ipairs { "detect_anomaly", "set_detect_anomaly" } do
  names[name] = function(key) return require("lampad.autograd.graph").anomaly[key] end
end

local autograd = lazy(names)

--- grad(outputs, inputs, grad_outputs = nil, retain_graph = nil, create_graph = false, only_inputs = true,
--- allow_unused = nil, {is_grads_batched = false, materialize_grads = false}): the gradients, one result for each
--- input. With is_grads_batched the first dim of grad_outputs counts examples, and so does that of the results.
function autograd.grad(...)
  local n = select("#", ...)
  local options = select(n > 0 and n or 1, ...)
  if n == 0 or type(options) ~= "table" or getmetatable(options) ~= nil or options.is_grads_batched == nil then
    return core.grad(...)
  end
  local given = table.pack(...)
  local rest = {}
  for key, value in pairs(options) do rest[key] = value end
  rest.is_grads_batched = nil
  given[n] = rest
  if not options.is_grads_batched then return core.grad(table.unpack(given, 1, n)) end
  local positional = n >= 4 and given[3] or nil
  local grad_outputs = positional or rest.grad_outputs
  if grad_outputs == nil then
    args.fail("autograd.grad", "is_grads_batched needs grad_outputs")
  end
  local list = torch.is_tensor(grad_outputs) and { grad_outputs } or grad_outputs
  rest.retain_graph = true
  local at, count = {}, 0 -- where the results that exist belong
  local results = table.pack(require("lampad.func.vmap")(function(...)
    if positional then given[3] = { ... } else rest.grad_outputs = { ... } end
    local grads = table.pack(core.grad(table.unpack(given, 1, n)))
    local present = {}
    count = grads.n
    for i = 1, grads.n do
      if grads[i] ~= nil then
        present[#present + 1] = grads[i]
        at[#present] = i
      end
    end
    return table.unpack(present)
  end)(table.unpack(list)))
  local placed = {}
  for k = 1, results.n do placed[at[k]] = results[k] end
  return table.unpack(placed, 1, count)
end

--- Variable(data, requires_grad = false): PyTorch's old name of a tensor that may require grad; shares data's memory.
function autograd.Variable(data, requires_grad)
  if type(requires_grad) == "table" then requires_grad = requires_grad.requires_grad end
  local alias = data:detach()
  if requires_grad then alias:requires_grad_(true) end
  return alias
end

autograd.backward = core.backward
autograd.no_grad, autograd.enable_grad = torch.no_grad, torch.enable_grad
autograd.set_grad_enabled, autograd.inference_mode = torch.set_grad_enabled, torch.inference_mode

autograd.grad_mode = { no_grad = torch.no_grad, enable_grad = torch.enable_grad,
  set_grad_enabled = torch.set_grad_enabled, inference_mode = torch.inference_mode }

return autograd
