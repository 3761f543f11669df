-- optim.Adam (Kingma and Ba 2015), with AMSGrad (Reddi et al. 2018); AdamW (adamw.lua) decouples the weight decay.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local Adam = Optimizer:extend "Adam"
Adam.none_options = { "foreach", "fused" }
Adam._rule = "Adam" -- the name of AdamW's differentiable step too
local spec = args [[Adam(any params, scalar lr=0.001, scalars betas=nil, float eps=1e-08, float weight_decay=0,
  bool amsgrad=false, *, bool foreach=nil, bool maximize=false, bool capturable=false, bool differentiable=false,
  bool fused=nil, bool decoupled_weight_decay=false)]]

--- optim.Adam(params, lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, amsgrad = false, {foreach, maximize,
--- capturable, differentiable, fused, decoupled_weight_decay}). State: step, exp_avg, exp_avg_sq, max_exp_avg_sq (amsgrad).
function Adam:init(...)
  local o = spec:collect(...)
  o.betas = o.betas or { 0.9, 0.999 }
  self:_setup(o)
end

function Adam:_check_group(group)
  self:_check_common(group)
  local first, second = torch.is_tensor(group.betas[1]), torch.is_tensor(group.betas[2])
  if first ~= second then
    args.fail(self.__name, "betas must be either both floats or both Tensors")
  end
  if group.foreach and not group.capturable then
    for name, is in pairs { lr = torch.is_tensor(group.lr), ["betas[0]"] = first } do
      if is then
        args.fail(self.__name, "%s as a Tensor is not supported for capturable=False and foreach=True", name)
      end
    end
  end
end

local function start(group)
  return function(state, p)
    state.step = Optimizer._scalar(0)
    state.exp_avg = torch.zeros_like(p)
    state.exp_avg_sq = torch.zeros_like(p)
    if group.amsgrad then state.max_exp_avg_sq = torch.zeros_like(p) end
  end
end

local names, names_amsgrad = { "exp_avg", "exp_avg_sq", "step" }, { "exp_avg", "exp_avg_sq", "step", "max_exp_avg_sq" }

function Adam:_update(group, params, grads)
  local exp_avgs, exp_avg_sqs, steps, largest = self:_collect(params, grads, start(group),
    group.amsgrad and names_amsgrad or names)
  kernels.adam_step_(params, grads, exp_avgs, exp_avg_sqs, largest or {}, steps, {
    lr = self._number(group.lr), beta1 = self._number(group.betas[1]), beta2 = self._number(group.betas[2]),
    eps = group.eps, weight_decay = self._number(group.weight_decay), amsgrad = group.amsgrad,
    maximize = group.maximize, decoupled = group.decoupled_weight_decay,
  })
end

return Adam
