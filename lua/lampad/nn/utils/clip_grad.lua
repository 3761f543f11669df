-- nn.utils.clip_grad: bounds on the gradients of parameters.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local clip_grad = {}

local function parameters_of(what, given)
  if torch.is_tensor(given) then return { given } end
  local list = iterate.list(given)
  for _, p in ipairs(list or { false }) do
    if not torch.is_tensor(p) then
      args.fail(what, "parameters must be a tensor, a list or an iterator of tensors, got %s",
        list and text.describe(p) .. " in the list" or text.describe(given))
    end
  end
  return list
end

<<<<<<< HEAD:lua/lampad/nn/utils/clip_grad.lua
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
function clip_grad.clip_grad_norm_(...)
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
function clip_grad.get_total_norm(tensors, norm_type)
  local list, norms = parameters_of("get_total_norm", tensors), {}
  if #list == 0 then return torch.tensor(0.0) end
  for i, t in ipairs(list) do norms[i] = torch.linalg.vector_norm(t, norm_type or 2.0) end
  return torch.linalg.vector_norm(torch.stack(norms), norm_type or 2.0)
end

local value_spec = args "clip_grad_value_(any parameters, float clip_value, bool foreach=nil)"

--- Brings every element of the gradients into [-clip_value, clip_value].
function clip_grad.clip_grad_value_(...)
  local parameters, clip_value = value_spec(...)
  local grads = grads_of("clip_grad_value_", parameters)
  torch.no_grad(function()
    for _, grad in ipairs(grads) do grad:clamp_(-clip_value, clip_value) end
  end)
end
=======
for name, fn in pairs(require "lampad.nn.clip_grad") do utils[name] = fn end
>>>>>>> opt:lua/lampad/nn/utils.lua

return clip_grad
