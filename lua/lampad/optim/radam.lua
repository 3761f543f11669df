-- optim.RAdam (Liu et al. 2020): Adam that divides by the second moment only once it is known well enough.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local RAdam = Optimizer:extend "RAdam"
RAdam.none_options = { "foreach" }
local spec = args [[RAdam(any params, scalar lr=0.001, scalars betas=nil, float eps=1e-08, float weight_decay=0,
  bool decoupled_weight_decay=false, *, bool foreach=nil, bool maximize=false, bool capturable=false,
  bool differentiable=false)]]

--- optim.RAdam(params, lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, decoupled_weight_decay = false,
--- {foreach, maximize, capturable, differentiable}). State: step, exp_avg, exp_avg_sq.
function RAdam:init(...)
  local o = spec:collect(...)
  o.betas = o.betas or { 0.9, 0.999 }
  self:_setup(o)
end

function RAdam:_check_group(group) self:_check_common(group) end

local function start(state, p)
  state.step = Optimizer._scalar(0)
  state.exp_avg = torch.zeros_like(p)
  state.exp_avg_sq = torch.zeros_like(p)
end

local names = { "exp_avg", "exp_avg_sq", "step" }

function RAdam:_update(group, params, grads)
  local exp_avgs, exp_avg_sqs, steps = self:_collect(params, grads, start, names)
  kernels.radam_step_(params, grads, exp_avgs, exp_avg_sqs, steps, {
    lr = self._number(group.lr), beta1 = group.betas[1], beta2 = group.betas[2], eps = group.eps,
    weight_decay = group.weight_decay, maximize = group.maximize, decoupled = group.decoupled_weight_decay,
  })
end

return RAdam
