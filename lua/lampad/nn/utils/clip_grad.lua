-- nn.utils.clip_grad_norm_, clip_grad_value_, get_total_norm, clip_grads_with_norm_: bounds for gradients.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local clip = {}

-- What is given as one tensor, a list or an iterator, as a list.
local function list_of(what, name, given)
  if torch.is_tensor(given) then return { given } end
  local list = iterate.list(given)
  if not list then
    args.fail(what, "%s must be a tensor, a list or an iterator of tensors, got %s", name, text.describe(given))
  end
  for i, t in ipairs(list) do
    if not torch.is_tensor(t) and not is_lazy(t) then -- those have no gradient yet
      args.fail(what, "%s must be tensors, but number %d is %s", name, i - 1, text.describe(t))
    end
  end
  if type(given) == "function" and #list == 0 then
    require("lampad.warnings").warn("`parameters` is an empty iterator: it serves only once; no gradients are clipped")
  end
  return list
end

local function grads_of(parameters)
  local grads = {}
  for _, p in ipairs(parameters) do
    local grad = p.grad
    if grad ~= nil then grads[#grads + 1] = grad end
  end
  return grads
end

local function norm_of(what, norm_type)
  if norm_type == "inf" then return math.huge end
  if type(norm_type) == "string" then norm_type = tonumber(norm_type) end
  if type(norm_type) ~= "number" then
    args.fail(what, "norm_type must be a number or 'inf', got %s", text.describe(norm_type))
  end
  return norm_type
end

local function total_norm(what, tensors, norm_type, error_if_nonfinite)
  if #tensors == 0 then return torch.tensor(0.0) end
  local norms = {}
  for i, t in ipairs(tensors) do norms[i] = torch.linalg.vector_norm(t, norm_type) end
  local total = torch.linalg.vector_norm(torch.stack(norms), norm_type)
  if error_if_nonfinite and not torch.isfinite(total):item() then
    args.fail(what, "The total norm of order %s for gradients from `parameters` is non-finite, so it cannot be clipped. "
      .. "To disable this error and scale the gradients by the non-finite norm anyway, set error_if_nonfinite = false",
      text.repr(norm_type + 0.0))
  end
  return total
end

-- The factor is at most 1, so that small gradients stay; it multiplies without a look at its value.
local function scale(grads, max_norm, total)
  if #grads == 0 then return end
  local factor = torch.clamp((total + 1e-6):reciprocal() * max_norm, { max = 1.0 })
  for _, grad in ipairs(grads) do grad:mul_(factor) end
end

local total_spec = args [[get_total_norm(any tensors, any norm_type=2.0, bool error_if_nonfinite=false,
  bool foreach=nil)]]

--- The norm of the tensors, taken together as one vector. An empty list gives 0.
function clip.get_total_norm(...)
  local tensors, norm_type, error_if_nonfinite = total_spec(...)
  local list = list_of("get_total_norm", "tensors", tensors)
  norm_type = norm_of("get_total_norm", norm_type)
  local _ <close> = torch.no_grad()
  return total_norm("get_total_norm", list, norm_type, error_if_nonfinite)
end

local scale_spec = args [[clip_grads_with_norm_(any parameters, float max_norm, Tensor total_norm, bool foreach=nil)]]

--- Scales the gradients by max_norm / total_norm where that is below 1, with a norm computed before.
function clip.clip_grads_with_norm_(...)
  local parameters, max_norm, total = scale_spec(...)
  local list = list_of("clip_grads_with_norm_", "parameters", parameters)
  local _ <close> = torch.no_grad()
  scale(grads_of(list), max_norm, total)
end

local norm_spec = args [[clip_grad_norm_(any parameters, float max_norm, any norm_type=2.0,
  bool error_if_nonfinite=false, bool foreach=nil)]]

--- Scales the gradients so that their norm, taken together as one vector, is at most max_norm.
--- Returns the norm before, a 0-d tensor.
function clip.clip_grad_norm_(...)
  local parameters, max_norm, norm_type, error_if_nonfinite = norm_spec(...)
  local grads = grads_of(list_of("clip_grad_norm_", "parameters", parameters))
  norm_type = norm_of("clip_grad_norm_", norm_type)
  local _ <close> = torch.no_grad()
  local total = total_norm("clip_grad_norm_", grads, norm_type, error_if_nonfinite)
  scale(grads, max_norm, total)
  return total
end

local value_spec = args "clip_grad_value_(any parameters, float clip_value, bool foreach=nil)"

--- Brings every element of the gradients into [-clip_value, clip_value].
function clip.clip_grad_value_(...)
  local parameters, clip_value = value_spec(...)
  local grads = grads_of(list_of("clip_grad_value_", "parameters", parameters))
  local _ <close> = torch.no_grad()
  for _, grad in ipairs(grads) do grad:clamp_(-clip_value, clip_value) end
end

return clip
