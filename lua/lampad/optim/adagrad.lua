-- optim.Adagrad (Duchi et al. 2011): steps divided by the root of the sum of all squared gradients.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local Adagrad = Optimizer:extend "Adagrad"
Adagrad.none_options = { "foreach", "fused" }
local spec = args [[Adagrad(any params, scalar lr=0.01, float lr_decay=0, float weight_decay=0,
  float initial_accumulator_value=0, float eps=1e-10, bool foreach=nil, *, bool maximize=false,
  bool differentiable=false, bool fused=nil)]]

local function start(value)
  return function(state, p)
    state.step = Optimizer._scalar(0)
    state.sum = torch.full_like(p, value)
    if p.dtype.is_complex then torch.view_as_real(state.sum):fill_(value) end -- both parts are squares
  end
end

--- optim.Adagrad(params, lr = 0.01, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10,
--- foreach = nil, {maximize, differentiable, fused}). State, there from the start: step, sum.
function Adagrad:init(...)
  self:_setup(spec:collect(...))
  for _, group in ipairs(self.param_groups) do
    local fill = start(self.defaults.initial_accumulator_value)
    for i, p in ipairs(group.params) do
      if is_lazy(p) then
        args.fail("Adagrad", "parameter %d is not initialized, but its sum of squares needs a shape; call the model once "
          .. "before making the optimizer", i - 1)
      end
      fill(self.state[p], p)
    end
  end
end

function Adagrad:_check_group(group)
  self:_check_common(group)
  self:_at_least(group, "lr_decay", "Invalid lr_decay value")
  self:_at_least(group, "initial_accumulator_value", "Invalid initial_accumulator_value value")
end

--- Returns self: tensors may be shared between threads as they are.
function Adagrad.share_memory(self) return self end

local names = { "sum", "step" }

function Adagrad:_update(group, params, grads)
  local sums, steps = self:_collect(params, grads, start(self.defaults.initial_accumulator_value), names)
  kernels.adagrad_step_(params, grads, sums, steps, {
    lr = self._number(group.lr), lr_decay = group.lr_decay, eps = group.eps, weight_decay = group.weight_decay,
    maximize = group.maximize,
  })
end

return Adagrad
