-- optim.Adam (Kingma and Ba 2015), with AMSGrad; AdamW (adamw.lua) decouples the weight decay.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local Adam = Optimizer:extend "Adam"
local signature = [[(any params, float lr=0.001, floats betas=nil, float eps=1e-08, float weight_decay=%s,
  bool amsgrad=false, *, bool foreach=nil, bool maximize=false, bool capturable=false, bool differentiable=false,
  bool fused=nil, bool decoupled_weight_decay=%s)]]

-- Sets the group defaults from the matched arguments; shared with AdamW.
function Adam:_setup(o)
  if o.differentiable then
    args.fail(self.__name, "differentiable = true is not part of Lampad; steps run without gradient recording")
  end
  Optimizer.init(self, o.params, {
    lr = o.lr, betas = o.betas or { 0.9, 0.999 }, eps = o.eps, weight_decay = o.weight_decay,
    amsgrad = o.amsgrad, maximize = o.maximize, decoupled_weight_decay = o.decoupled_weight_decay,
    capturable = false, differentiable = false,
  })
end

local spec = args("Adam" .. signature:format("0", "false"))

--- optim.Adam(net:parameters(), {lr = 1e-3, betas = {0.9, 0.999}}).
function Adam:init(...) self:_setup(spec:collect(...)) end

function Adam.spec_for(name, weight_decay, decoupled)
  return args(name .. signature:format(weight_decay, decoupled))
end

function Adam:_check_group(group)
  self:_require(group, "lr", group.lr >= 0)
  self:_require(group, "eps", group.eps >= 0)
  self:_require(group, "weight_decay", group.weight_decay >= 0)
  if type(group.betas) ~= "table" or #group.betas ~= 2 then
    args.fail(self.__name, "betas must be a list of two numbers, got %s", text.repr(group.betas))
  end
  for i, beta in ipairs(group.betas) do
    if beta < 0 or beta >= 1 then
      args.fail(self.__name, "Invalid beta parameter at index %d: %s", i - 1, text.repr(beta))
    end
  end
end

-- The kernel takes one step number; parameters that missed steps form batches of their own.
function Adam:_update(group, params, grads)
  local batches, order = {}, {}
  for i, p in ipairs(params) do
    local state = self:_state_of(p)
    if state.step == nil then
      state.step = 0
      state.exp_avg, state.exp_avg_sq = torch.zeros_like(p), torch.zeros_like(p)
      if group.amsgrad then state.max_exp_avg_sq = torch.zeros_like(p) end
    end
    state.step = math.tointeger(state.step + 1)
    local batch = batches[state.step]
    if not batch then
      batch = { {}, {}, {}, {}, {} }
      batches[state.step] = batch
      order[#order + 1] = state.step
    end
    local n = #batch[1] + 1
    batch[1][n], batch[2][n], batch[3][n], batch[4][n] = p, grads[i], state.exp_avg, state.exp_avg_sq
    if group.amsgrad then batch[5][n] = state.max_exp_avg_sq end
  end
  for _, step in ipairs(order) do
    local batch = batches[step]
    kernels.adam_step_(batch[1], batch[2], batch[3], batch[4], batch[5], step, {
      lr = group.lr, beta1 = group.betas[1], beta2 = group.betas[2], eps = group.eps,
      weight_decay = group.weight_decay, amsgrad = group.amsgrad, maximize = group.maximize,
      decoupled = group.decoupled_weight_decay,
    })
  end
end

return Adam
