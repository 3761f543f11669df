-- optim.SGD: gradient descent with momentum (Sutskever et al. 2013 for Nesterov's).
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local SGD = Optimizer:extend "SGD"
SGD.none_options = { "foreach", "fused" }
local spec = args [[SGD(any params, scalar lr=0.001, float momentum=0, float dampening=0, scalar weight_decay=0,
  bool nesterov=false, *, bool maximize=false, bool foreach=nil, bool differentiable=false, bool fused=nil)]]

--- optim.SGD(params, lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, {maximize, foreach,
--- differentiable, fused}): optim.SGD(net:parameters(), {lr = 0.1, momentum = 0.9}). State: momentum_buffer.
function SGD:init(...)
  self:_setup(spec:collect(...))
end

function SGD:_check_group(group)
  self:_check_common(group)
  self:_at_least(group, "momentum", "Invalid momentum value")
  -- As in PyTorch a group may have nesterov and no momentum: then there is none to look ahead with.
  if not group.params and group.nesterov and (group.momentum <= 0 or group.dampening ~= 0) then
    args.fail("SGD", "Nesterov momentum requires a momentum and zero dampening")
  end
end

local function run(self, group, params, grads, buffers, first)
  kernels.sgd_step_(params, grads, buffers, {
    lr = self._number(group.lr), momentum = group.momentum, dampening = group.dampening,
    weight_decay = self._number(group.weight_decay), nesterov = group.nesterov, maximize = group.maximize,
    first = first,
  })
end

-- A buffer starts as the first gradient; parameters that come later than the others take that step apart.
function SGD:_update(group, params, grads)
  if group.momentum == 0 then return run(self, group, params, grads, {}, false) end
  local old, new = { {}, {}, {} }, { {}, {}, {} }
  for i = 1, #params do
    local p = params[i]
    local state = self.state[p]
    local list = old
    if state.momentum_buffer == nil then
      state.momentum_buffer = torch.empty_like(p)
      list = new
    end
    local n = #list[1] + 1
    list[1][n], list[2][n], list[3][n] = p, grads[i], state.momentum_buffer
  end
  if #new[1] > 0 then run(self, group, new[1], new[2], new[3], true) end
  if #old[1] > 0 then run(self, group, old[1], old[2], old[3], false) end
end

return SGD
