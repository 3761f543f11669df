-- optim.NAdam (Dozat 2016): Adam with Nesterov's momentum.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local NAdam = Optimizer:extend "NAdam"
NAdam.none_options = { "foreach" }
local spec = args [[NAdam(any params, scalar lr=0.002, scalars betas=nil, float eps=1e-08, float weight_decay=0,
  float momentum_decay=0.004, bool decoupled_weight_decay=false, *, bool foreach=nil, bool maximize=false,
  bool capturable=false, bool differentiable=false)]]

--- optim.NAdam(params, lr = 2e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3,
--- decoupled_weight_decay = false, {foreach, maximize, capturable, differentiable}). State: step, mu_product, exp_avg,
--- exp_avg_sq.
function NAdam:init(...)
  local o = spec:collect(...)
  o.betas = o.betas or { 0.9, 0.999 }
  self:_setup(o)
end

function NAdam:_check_group(group)
  self:_check_common(group)
  self:_at_least(group, "momentum_decay", "Invalid momentum_decay value")
end

local function start(state, p)
  state.step = Optimizer._scalar(0)
  state.mu_product = Optimizer._scalar(1)
  state.exp_avg = torch.zeros_like(p)
  state.exp_avg_sq = torch.zeros_like(p)
end

-- Older state_dicts hold mu_product as a plain number.
function NAdam:_loaded()
  for _, state in pairs(self.state) do
    if type(state.mu_product) == "number" then state.mu_product = Optimizer._scalar(state.mu_product) end
  end
end

local names = { "exp_avg", "exp_avg_sq", "mu_product", "step" }

function NAdam:_update(group, params, grads)
  local exp_avgs, exp_avg_sqs, mu_products, steps = self:_collect(params, grads, start, names)
  kernels.nadam_step_(params, grads, exp_avgs, exp_avg_sqs, mu_products, steps, {
    lr = self._number(group.lr), beta1 = group.betas[1], beta2 = group.betas[2], eps = group.eps,
    momentum_decay = group.momentum_decay, weight_decay = group.weight_decay, maximize = group.maximize,
    decoupled = group.decoupled_weight_decay,
  })
end

return NAdam
