-- Full backward hooks of a module: identity functions around its inputs and outputs that see all of
-- their gradients at once. Used by module.lua when a module with such hooks is called.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local Watch = class.extend(class.Object, "BackwardHook")

--- hooks and pre_hooks: lists of entries (see module_hooks.lua).
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

-- What a hook returned as a list of gradients of the right length; one tensor stands for a list of it.
local function as_grads(returned, expected, what)
  if type(returned) == "userdata" then returned = { returned } end
  if type(returned) ~= "table" then
    args.fail(nil, "%s must return a list of gradients or nil, got %s", what[1], text.describe(returned))
  end
  local count = returned.n or #returned
  -- A list that ends in nil is shorter than it was meant.
  if count > expected or (returned.n and count < expected) then
    args.fail(nil, "%s returned an invalid number of %s, got %d, but expected %d", what[1], what[2], count, expected)
  end
  returned.n = expected
  return returned
end

local HOOK, PRE_HOOK = { "Backward hook", "grad_input" }, { "Backward pre hook", "grad_output" }

function Watch:_run(grad_input)
  for _, hook in ipairs(self.hooks) do
    local replacement = hook.fn(self.module, grad_input, self.grad_output)
    if replacement ~= nil then grad_input = as_grads(replacement, grad_input.n, HOOK) end
  end
  return grad_input
end

function Watch:inputs(inputs)
  local wrapped
  self.input_count = inputs.n
  wrapped, self.has_inputs = wrap(inputs, function(grads) return self:_run(grads) end)
  return wrapped
end

-- Where no input needs a gradient the hooks run all the same, with nothing to replace.
function Watch:_run_without_inputs()
  for _, hook in ipairs(self.hooks) do
    local replacement = hook.fn(self.module, { n = self.input_count }, self.grad_output)
    if type(replacement) == "userdata" or type(replacement) == "table" and next(replacement) ~= nil
      and #replacement > 0 then
      args.fail(nil, "Backward hook for Modules where no input requires gradient should always return nil or nil "
        .. "for all gradients.")
    end
  end
end

function Watch:outputs(outputs)
  return (wrap(outputs, function(grads)
    for _, hook in ipairs(self.pre_hooks) do
      local replacement = hook.fn(self.module, grads)
      if replacement ~= nil then grads = as_grads(replacement, grads.n, PRE_HOOK) end
    end
    self.grad_output = grads
    if not self.has_inputs then self:_run_without_inputs() end
    return grads
  end))
end

return Watch
