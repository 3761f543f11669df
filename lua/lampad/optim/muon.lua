-- optim.Muon (Jordan et al. 2024): momentum whose update is made nearly orthogonal by Newton and Schulz's iteration.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local Muon = Optimizer:extend "Muon"
Muon.none_options = { "adjust_lr_fn" }
local spec = args [[Muon(any params, scalar lr=0.001, float weight_decay=0.1, float momentum=0.95, bool nesterov=true,
  floats ns_coefficients=nil, float eps=1e-07, int ns_steps=5, str adjust_lr_fn=nil)]]

-- By how much the learning rate changes with the shape of a matrix.
local adjustments = {
  original = function(rows, columns) return math.sqrt(math.max(1, rows / columns)) end,
  match_rms_adamw = function(rows, columns) return 0.2 * math.sqrt(math.max(rows, columns)) end,
  spectral_unclamped = function(rows, columns) return math.sqrt(rows / columns) end,
}

--- optim.Muon(params, lr = 1e-3, weight_decay = 0.1, momentum = 0.95, nesterov = true, ns_coefficients = {3.4445, -4.775,
--- 2.0315}, eps = 1e-7, ns_steps = 5, adjust_lr_fn = nil): for matrices; other parameters want an optimizer of their own.
--- adjust_lr_fn: 'original', 'match_rms_adamw' or 'spectral_unclamped'. State: momentum_buffer.
function Muon:init(...)
  local o = spec:collect(...)
  o.ns_coefficients = o.ns_coefficients or { 3.4445, -4.7750, 2.0315 }
  self:_setup(o)
end

function Muon:_check_group(group)
  self:_at_least(group, "lr", "Learning rate should be >= 0 but is")
  self:_at_least(group, "momentum", "momentum should be >= 0 but is")
  self:_at_least(group, "weight_decay", "weight decay should be >= 0 but is")
  if group.adjust_lr_fn ~= nil and not adjustments[group.adjust_lr_fn] then
    args.fail("Muon", "Adjust learning rate function %s is not supported", tostring(group.adjust_lr_fn))
  end
  for _, p in ipairs(group.params or {}) do
    if is_lazy(p) then
      args.fail("Muon", "Muon only supports 2D parameters whereas we found one that is not initialized; call the model once "
        .. "before making the optimizer")
    elseif torch.is_tensor(p) and p.ndim ~= 2 then
      args.fail("Muon", "Muon only supports 2D parameters whereas we found a parameter with size: %s", tostring(p.shape))
    end
  end
end

-- U V^T of the singular value decomposition, roughly: a quintic in bfloat16 drives the singular values towards 1.
local function orthogonal(update, group)
  local a, b, c = table.unpack(group.ns_coefficients)
  local tall = update:size(0) > update:size(1)
  local x = update:to(torch.bfloat16)
  if tall then x = x.T end
  x = x:div(x:norm():clamp { min = group.eps }) -- no singular value above 1
  for _ = 1, group.ns_steps do
    local gram = x:mm(x.T)
    local polynomial = torch.addmm(gram, gram, gram, { beta = b, alpha = c })
    x = torch.addmm(x, polynomial, x, { beta = a })
  end
  return tall and x.T or x
end

--- One step over lists of matrices, gradients and momentum buffers, with the options of a group.
function Muon.step_all(params, grads, buffers, group)
  if group.ns_steps >= 100 then
    args.fail("Muon.step", "Number of steps must be less than 100 for computational efficiency, got %d", group.ns_steps)
  end
  if type(group.ns_coefficients) ~= "table" or #group.ns_coefficients ~= 3 then
    args.fail("Muon.step", "ns_coefficients must be 3 numbers, got %s", text.repr(group.ns_coefficients))
  end
  local lr, adjust = Optimizer._number(group.lr), adjustments[group.adjust_lr_fn or "original"]
  for i, p in ipairs(params) do
    if p.dtype.is_complex then args.fail("Muon.step", "Muon does not support complex parameters") end
    local grad, buffer = grads[i], buffers[i]
    if grad.ndim ~= 2 then args.fail("Muon.step", "Param gradient must be a 2D matrix, got %s", text.describe(grad)) end
    buffer:lerp_(grad, 1 - group.momentum)
    local update = orthogonal(group.nesterov and grad:lerp(buffer, group.momentum) or buffer, group)
    p:mul_(1 - lr * group.weight_decay)
    p:add_(update, { alpha = -lr * (adjust and adjust(p:size(0), p:size(1)) or 1) })
  end
end

function Muon:_update(group, params, grads)
  local buffers = {}
  for i, p in ipairs(params) do
    local state = self.state[p]
    if state.momentum_buffer == nil then state.momentum_buffer = torch.zeros_like(grads[i]) end
    buffers[i] = state.momentum_buffer
  end
  Muon.step_all(params, grads, buffers, group)
end

return Muon
