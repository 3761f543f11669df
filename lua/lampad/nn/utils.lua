-- nn.utils: gradient clipping, parameters as one vector.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local utils = {}

local function parameters_of(what, given)
  if torch.is_tensor(given) then return { given } end
  return iterate.list(given)
    or args.fail(what, "parameters must be a tensor, a list or an iterator of tensors, got %s", text.describe(given))
end

for name, fn in pairs(require "lampad.nn.clip_grad") do utils[name] = fn end

--- One vector of all elements, in order.
function utils.parameters_to_vector(parameters)
  local parts = {}
  for i, p in ipairs(parameters_of("parameters_to_vector", parameters)) do parts[i] = p:reshape(-1) end
  return torch.cat(parts)
end

--- Puts the elements of a vector back into the parameters.
function utils.vector_to_parameters(vector, parameters)
  if not torch.is_tensor(vector) then
    args.fail("vector_to_parameters", "expected a tensor, got %s", text.describe(vector))
  end
  local list, total = parameters_of("vector_to_parameters", parameters), 0
  for _, p in ipairs(list) do total = total + p:numel() end
  if vector:numel() ~= total then
    args.fail("vector_to_parameters", "the vector has %d elements, the parameters %d", vector:numel(), total)
  end
  local at = 0
  torch.no_grad(function()
    for _, p in ipairs(list) do
      local count = p:numel()
      p:copy_(vector:narrow(0, at, count):view(p.shape))
      at = at + count
    end
  end)
end

return utils
