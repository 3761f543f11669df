-- optim.Adadelta (Zeiler 2012): steps scaled by the ratio of two moving averages.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local Adadelta = Optimizer:extend "Adadelta"
Adadelta.none_options = { "foreach" }
local spec = args [[Adadelta(any params, scalar lr=1.0, float rho=0.9, float eps=1e-06, float weight_decay=0,
  bool foreach=nil, *, bool capturable=false, bool maximize=false, bool differentiable=false)]]

--- optim.Adadelta(params, lr = 1.0, rho = 0.9, eps = 1e-6, weight_decay = 0, foreach = nil, {capturable, maximize,
--- differentiable}). State: step, square_avg, acc_delta.
function Adadelta:init(...)
  self:_setup(spec:collect(...))
end

function Adadelta:_check_group(group)
  self:_check_common(group)
  if not (group.rho >= 0 and group.rho <= 1) then
    args.fail("Adadelta", "Invalid rho value: %s", text.repr(group.rho))
  end
end

local function start(state, p)
  state.step = Optimizer._scalar(0)
  state.square_avg = torch.zeros_like(p)
  state.acc_delta = torch.zeros_like(p)
end

local names = { "square_avg", "acc_delta", "step" }

function Adadelta:_update(group, params, grads)
  local square_avgs, acc_deltas, steps = self:_collect(params, grads, start, names)
  kernels.adadelta_step_(params, grads, square_avgs, acc_deltas, steps, {
    lr = self._number(group.lr), rho = group.rho, eps = group.eps, weight_decay = group.weight_decay,
    maximize = group.maximize,
  })
end

return Adadelta
