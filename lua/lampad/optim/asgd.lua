-- optim.ASGD (Polyak and Juditsky 1992): gradient descent whose average of iterates is kept in the state (ax).
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local ASGD = Optimizer:extend "ASGD"
ASGD.none_options = { "foreach" }
local spec = args [[ASGD(any params, scalar lr=0.01, float lambd=0.0001, float alpha=0.75, float t0=1000000.0,
  float weight_decay=0, bool foreach=nil, bool maximize=false, bool differentiable=false, bool capturable=false)]]

--- optim.ASGD(params, lr = 0.01, lambd = 1e-4, alpha = 0.75, t0 = 1e6, weight_decay = 0, foreach = nil, maximize = false,
--- differentiable = false, capturable = false). The average starts after t0 steps. State: step, eta, mu, ax.
function ASGD:init(...)
  self:_setup(spec:collect(...))
end

function ASGD:_check_group(group)
  self:_check_common(group)
  self:_at_least(group, "lambd", "Invalid lambd value")
  self:_at_least(group, "alpha", "Invalid alpha value")
end

local function start(group)
  return function(state, p)
    state.step = Optimizer._scalar(0)
    state.eta = Optimizer._scalar(Optimizer._number(group.lr))
    state.mu = Optimizer._scalar(1)
    state.ax = torch.zeros_like(p)
  end
end

-- Older state_dicts hold eta and mu as plain numbers.
function ASGD:_loaded()
  for _, state in pairs(self.state) do
    if type(state.eta) == "number" then state.eta = Optimizer._scalar(state.eta) end
    if type(state.mu) == "number" then state.mu = Optimizer._scalar(state.mu) end
  end
end

local names = { "ax", "mu", "eta", "step" }

function ASGD:_update(group, params, grads)
  local axs, mus, etas, steps = self:_collect(params, grads, start(group), names)
  kernels.asgd_step_(params, grads, axs, mus, etas, steps, {
    lr = self._number(group.lr), lambd = group.lambd, alpha = group.alpha, t0 = group.t0,
    weight_decay = group.weight_decay, maximize = group.maximize,
  })
end

return ASGD
