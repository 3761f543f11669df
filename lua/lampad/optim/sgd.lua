-- optim.SGD: stochastic gradient descent with momentum, dampening, weight decay and Nesterov's form.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local SGD = Optimizer:extend "SGD"
local spec = args [[SGD(any params, float lr=0.001, float momentum=0, float dampening=0, float weight_decay=0,
  bool nesterov=false, *, bool maximize=false, bool foreach=nil, bool differentiable=false, bool fused=nil)]]

--- optim.SGD(net:parameters(), {lr = 0.1, momentum = 0.9}).
function SGD:init(...)
  local o = spec:collect(...)
  if o.differentiable then
    args.fail("SGD", "differentiable = true is not part of Lampad; steps run without gradient recording")
  end
  Optimizer.init(self, o.params, {
    lr = o.lr, momentum = o.momentum, dampening = o.dampening, weight_decay = o.weight_decay,
    nesterov = o.nesterov, maximize = o.maximize, differentiable = false,
  })
end

function SGD:_check_group(group)
  self:_require(group, "lr", group.lr >= 0)
  self:_require(group, "momentum", group.momentum >= 0)
  self:_require(group, "weight_decay", group.weight_decay >= 0)
  if group.nesterov and (group.momentum <= 0 or group.dampening ~= 0) then
    args.fail("SGD", "Nesterov momentum requires a momentum and zero dampening")
  end
end

local function run(group, params, grads, buffers, first)
  kernels.sgd_step_(params, grads, buffers, {
    lr = group.lr, momentum = group.momentum, dampening = group.dampening, weight_decay = group.weight_decay,
    nesterov = group.nesterov, maximize = group.maximize, first = first,
  })
end

-- A buffer starts as the first gradient; parameters that come later than the others take that step apart.
function SGD:_update(group, params, grads)
  if group.momentum == 0 then return run(group, params, grads, {}, false) end
  local old, new = { {}, {}, {} }, { {}, {}, {} }
  for i, p in ipairs(params) do
    local state = self:_state_of(p)
    local list = old
    if state.momentum_buffer == nil then
      state.momentum_buffer = torch.empty_like(p)
      list = new
    end
    local n = #list[1] + 1
    list[1][n], list[2][n], list[3][n] = p, grads[i], state.momentum_buffer
  end
  if #new[1] > 0 then run(group, new[1], new[2], new[3], true) end
  if #old[1] > 0 then run(group, old[1], old[2], old[3], false) end
end

return SGD
