-- optim.RMSprop (Hinton's lecture 6 of 2012; centered: Graves 2013): steps divided by the root mean square.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local RMSprop = Optimizer:extend "RMSprop"
RMSprop.none_options = { "foreach" }
local spec = args [[RMSprop(any params, scalar lr=0.01, float alpha=0.99, float eps=1e-08, float weight_decay=0,
  float momentum=0, bool centered=false, bool capturable=false, bool foreach=nil, bool maximize=false,
  bool differentiable=false)]]

--- optim.RMSprop(params, lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0, centered = false,
--- capturable = false, foreach = nil, maximize = false, differentiable = false). State: step, square_avg, momentum_buffer
--- (momentum), grad_avg (centered).
function RMSprop:init(...)
  self:_setup(spec:collect(...))
end

function RMSprop:_check_group(group)
  self:_check_common(group)
  self:_at_least(group, "momentum", "Invalid momentum value")
  self:_at_least(group, "alpha", "Invalid alpha value")
end

local function start(group)
  return function(state, p)
    state.step = Optimizer._scalar(0)
    state.square_avg = torch.zeros_like(p)
    if group.momentum > 0 then state.momentum_buffer = torch.zeros_like(p) end
    if group.centered then state.grad_avg = torch.zeros_like(p) end
  end
end

function RMSprop:_update(group, params, grads)
  local names = { "square_avg", "step" }
  if group.momentum > 0 then names[#names + 1] = "momentum_buffer" end
  if group.centered then names[#names + 1] = "grad_avg" end
  local lists = { self:_collect(params, grads, start(group), names) }
  kernels.rmsprop_step_(params, grads, lists[1], group.momentum > 0 and lists[3] or {},
    group.centered and lists[#names] or {}, lists[2], {
      lr = self._number(group.lr), alpha = group.alpha, eps = group.eps, momentum = group.momentum,
      weight_decay = group.weight_decay, maximize = group.maximize,
    })
end

return RMSprop
