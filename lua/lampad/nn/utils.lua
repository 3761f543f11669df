-- nn.utils: gradient clipping, parameters as one vector.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local utils = { rnn = require "lampad.nn.utils.rnn" }

local function parameters_of(what, given)
  if torch.is_tensor(given) then return { given } end
  return iterate.list(given)
    or args.fail(what, "parameters must be a tensor, a list or an iterator of tensors, got %s", text.describe(given))
end

local function grads_of(what, given)
  local grads = {}
  for _, p in ipairs(parameters_of(what, given)) do
    if p.grad ~= nil then grads[#grads + 1] = p.grad end
  end
  return grads
end

local norm_spec = args [[clip_grad_norm_(any parameters, float max_norm, float norm_type=2.0,
  bool error_if_nonfinite=false, bool foreach=nil)]]

--- Scales the gradients so that their norm, taken together as one vector, is at most max_norm.
--- Returns the norm before, a 0-d tensor.
function utils.clip_grad_norm_(...)
  local parameters, max_norm, norm_type, error_if_nonfinite = norm_spec(...)
  local grads = grads_of("clip_grad_norm_", parameters)
  if #grads == 0 then return torch.tensor(0.0) end
  local total
  torch.no_grad(function()
    local norms = {}
    for i, grad in ipairs(grads) do norms[i] = torch.linalg.vector_norm(grad, norm_type) end
    total = torch.linalg.vector_norm(torch.stack(norms), norm_type)
    if error_if_nonfinite and not torch.isfinite(total):item() then
      args.fail("clip_grad_norm_", "The total norm of order %s for gradients is %s, so they cannot be clipped",
        text.repr(norm_type), text.repr(total:item()))
    end
    local scale = torch.clamp((total + 1e-6):reciprocal() * max_norm, { max = 1.0 })
    for _, grad in ipairs(grads) do grad:mul_(scale) end
  end)
  return total
end

--- The norm of the gradients taken together.
function utils.get_total_norm(tensors, norm_type)
  local list, norms = parameters_of("get_total_norm", tensors), {}
  if #list == 0 then return torch.tensor(0.0) end
  for i, t in ipairs(list) do norms[i] = torch.linalg.vector_norm(t, norm_type or 2.0) end
  return torch.linalg.vector_norm(torch.stack(norms), norm_type or 2.0)
end

local value_spec = args "clip_grad_value_(any parameters, float clip_value, bool foreach=nil)"

--- Brings every element of the gradients into [-clip_value, clip_value].
function utils.clip_grad_value_(...)
  local parameters, clip_value = value_spec(...)
  local grads = grads_of("clip_grad_value_", parameters)
  torch.no_grad(function()
    for _, grad in ipairs(grads) do grad:clamp_(-clip_value, clip_value) end
  end)
end

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
