-- optim.Adamax (Kingma and Ba 2015, section 7.1): Adam by the infinity norm.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local Adamax = Optimizer:extend "Adamax"
Adamax.none_options = { "foreach" }
local spec = args [[Adamax(any params, scalar lr=0.002, scalars betas=nil, float eps=1e-08, float weight_decay=0,
  bool foreach=nil, *, bool maximize=false, bool differentiable=false, bool capturable=false)]]

--- optim.Adamax(params, lr = 2e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, foreach = nil, {maximize,
--- differentiable, capturable}). State: step, exp_avg, exp_inf.
function Adamax:init(...)
  local o = spec:collect(...)
  o.betas = o.betas or { 0.9, 0.999 }
  self:_setup(o)
end

function Adamax:_check_group(group) self:_check_common(group) end

local function start(state, p)
  state.step = Optimizer._scalar(0)
  state.exp_avg = torch.zeros_like(p)
  state.exp_inf = torch.zeros_like(p)
end

local names = { "exp_avg", "exp_inf", "step" }

function Adamax:_update(group, params, grads)
  local exp_avgs, exp_infs, steps = self:_collect(params, grads, start, names)
  kernels.adamax_step_(params, grads, exp_avgs, exp_infs, steps, {
    lr = self._number(group.lr), beta1 = group.betas[1], beta2 = group.betas[2], eps = group.eps,
    weight_decay = group.weight_decay, maximize = group.maximize,
  })
end

return Adamax
