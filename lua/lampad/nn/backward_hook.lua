-- Full backward hooks of a module: identity functions around its inputs and outputs that see all of
-- their gradients at once. Used by module.lua when a module with such hooks is called.
local core = require "lampad.core"
local class = require "lampad.class"
local OrderedDict = require "lampad.ordered_dict"

local torch = core.torch
local Watch = class.extend(class.Object, "BackwardHook")

--- hooks and pre_hooks: ordered maps of functions, or nil.
function Watch:init(module, hooks, pre_hooks)
  self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
end

local function needs_grad(value)
  return type(value) == "userdata" and torch.is_tensor(value) and value.requires_grad
end

-- Passes the tensors of `values` that need a gradient through an identity function whose backward calls
-- on_grads(list) with their gradients and takes the list it returns. Returns the new list, and whether
-- any tensor was wrapped.
local function wrap(values, on_grads)
  local positions, tensors = {}, {}
  for i = 1, values.n do
    if needs_grad(values[i]) then
      positions[#positions + 1], tensors[#tensors + 1] = i, values[i]
    end
  end
  if #tensors == 0 then return values, false end
  local Identity = torch.autograd.Function:extend "BackwardHookFunction"
  function Identity.forward(_, ...)
    local results = { ... }
    for i = 1, #results do results[i] = results[i]:view_as(results[i]) end
    return table.unpack(results)
  end
  function Identity.backward(_, ...)
    local grads = { n = values.n }
    local given = { ... }
    for i, position in ipairs(positions) do grads[position] = given[i] end
    grads = on_grads(grads)
    local result = {}
    for i, position in ipairs(positions) do result[i] = grads[position] end
    return table.unpack(result, 1, #positions)
  end
  local results = table.pack(Identity.apply(table.unpack(tensors)))
  local wrapped = { n = values.n }
  for i = 1, values.n do wrapped[i] = values[i] end
  for i, position in ipairs(positions) do wrapped[position] = results[i] end
  return wrapped, true
end

function Watch:_run(grad_input)
  if not self.hooks then return grad_input end
  for hook in OrderedDict.values(self.hooks) do
    local replacement = hook(self.module, grad_input, self.grad_output)
    if replacement ~= nil then
      if type(replacement) ~= "table" then replacement = { replacement, n = 1 } end
      grad_input = replacement
    end
  end
  return grad_input
end

function Watch:inputs(inputs)
  local wrapped
  wrapped, self.has_inputs = wrap(inputs, function(grads) return self:_run(grads) end)
  return wrapped
end

function Watch:outputs(outputs)
  return (wrap(outputs, function(grads)
    for hook in OrderedDict.values(self.pre_hooks or OrderedDict()) do
      local replacement = hook(self.module, grads)
      if replacement ~= nil then
        grads = type(replacement) == "table" and replacement or { replacement, n = 1 }
      end
    end
    self.grad_output = grads
    if not self.has_inputs then self:_run({ n = 0 }) end
    return grads
  end))
end

return Watch
