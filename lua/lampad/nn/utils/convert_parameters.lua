-- nn.utils.convert_parameters: parameters as one vector, and back.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local convert = {}

local function parameters_of(what, given)
  if torch.is_tensor(given) then return { given } end
  local list = iterate.list(given)
  if not list then
    args.fail(what, "parameters must be a tensor, a list or an iterator of tensors, got %s", text.describe(given))
  end
  for i, p in ipairs(list) do
    if not torch.is_tensor(p) then
      args.fail(what, "parameters must be tensors, got %s at position %d", text.describe(p), i - 1)
    end
    if p.device ~= list[1].device then
      args.fail(what, "Found two parameters on different devices, this is currently not supported.")
    end
  end
  return list
end

--- One vector of all elements, in order; gradients flow back into the parameters.
function convert.parameters_to_vector(parameters)
  local parts = {}
  for i, p in ipairs(parameters_of("parameters_to_vector", parameters)) do parts[i] = p:reshape(-1) end
  return torch.cat(parts)
end

--- Makes each parameter's data the next part of the vector, of the parameter's shape. As in PyTorch the parameters then
--- share the vector's memory; elements left over are not used.
function convert.vector_to_parameters(vec, parameters)
  if not torch.is_tensor(vec) then
    args.fail("vector_to_parameters", "argument 'vec' must be a tensor, got %s", text.describe(vec))
  end
  local list, total = parameters_of("vector_to_parameters", parameters), 0
  for _, p in ipairs(list) do total = total + p:numel() end
  if vec.ndim ~= 1 or vec:numel() < total then
    args.fail("vector_to_parameters", "the vector has %d elements, the parameters %d (vector of shape %s)",
      vec:numel(), total, tostring(vec.shape))
  end
  local data, at = vec:detach(), 0
  for _, p in ipairs(list) do
    local count = p:numel()
    local part = data:narrow(0, at, count):view(p.shape)
    if part.dtype == p.dtype then
      p.data = part
    else -- a leaf changes its dtype between two states without gradient
      local requires_grad = p.requires_grad
      p:requires_grad_(false)
      p.data = part
      p:requires_grad_(requires_grad)
    end
    at = at + count
  end
end

return convert
