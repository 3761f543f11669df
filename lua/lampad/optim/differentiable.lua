-- The optimizers' rules in differentiable ops, for groups with differentiable = true: a step is then part of the graph
-- (learning to learn, hyper-gradients). Each function does what its kernel in nn/cpu/simd/optim_body.h does. States are
-- replaced, not changed in place, so that earlier steps keep what they saved; lr, betas and weight_decay may be tensors
-- that want gradients.
local core = require "lampad.core"
local torch = core.torch

local rules = {}

-- Parts of complex numbers are stepped as two real ones.
local function real(t) return t.dtype.is_complex and torch.view_as_real(t) or t end

-- p -= update, in place, the update in real parts.
local function move(p, update)
  if p.dtype.is_complex then update = torch.view_as_complex(update) end
  p:sub_(update)
end

local function root(v) return torch.is_tensor(v) and v:sqrt() or math.sqrt(v) end

local function is_zero(v) return type(v) == "number" and v == 0 end

-- The gradient after maximize and weight decay, in real parts. The parameter changes later: what saves it gets a copy.
local function direction(group, p, grad)
  local d = group.maximize and -grad or grad
  if not group.decoupled_weight_decay and not is_zero(group.weight_decay or 0) then
    d = d + p:clone() * group.weight_decay
  end
  return real(d)
end

local function decay_apart(group, p)
  if group.decoupled_weight_decay and not is_zero(group.weight_decay) then
    p:mul_(1 - group.lr * group.weight_decay)
  end
end

-- Runs rule(state, p, d, step) for every parameter; the optimizer's own step starts the states.
local function each(optimizer, group, params, grads, start, rule)
  for i, p in ipairs(params) do
    local state = optimizer.state[p]
    if next(state) == nil then start(state, p, grads[i]) end
    state.step:add_(1)
    decay_apart(group, p)
    rule(state, p, direction(group, p, grads[i]), state.step:item())
  end
end

local scalar = require("lampad.optim.optimizer")._scalar

local function zeros(...)
  local names = { ... }
  return function(state, p)
    state.step = scalar(0)
    for _, name in ipairs(names) do state[name] = torch.zeros_like(p) end
  end
end

-- state[name] = its real parts through fn.
local function update(state, name, fn)
  local old = state[name]
  local new = fn(real(old))
  state[name] = old.dtype.is_complex and torch.view_as_complex(new) or new
  return new
end

local function mean(state, name, d, beta)
  return update(state, name, function(old) return old + (d - old) * (1 - beta) end)
end

local function mean_square(state, name, d, beta)
  return update(state, name, function(old) return old * beta + d * d * (1 - beta) end)
end

function rules.SGD(optimizer, group, params, grads)
  for i, p in ipairs(params) do
    local d, state = direction(group, p, grads[i]), optimizer.state[p]
    if group.momentum ~= 0 then
      if state.momentum_buffer == nil then
        local buffer = d:detach():clone()
        state.momentum_buffer = p.dtype.is_complex and torch.view_as_complex(buffer) or buffer
      else
        update(state, "momentum_buffer", function(old) return old * group.momentum + d * (1 - group.dampening) end)
      end
      local buffer = real(state.momentum_buffer)
      d = group.nesterov and d + buffer * group.momentum or buffer
    end
    move(p, d * group.lr)
  end
end

function rules.Adam(optimizer, group, params, grads)
  local beta1, beta2 = group.betas[1], group.betas[2]
  local start = group.amsgrad and zeros("exp_avg", "exp_avg_sq", "max_exp_avg_sq") or zeros("exp_avg", "exp_avg_sq")
  each(optimizer, group, params, grads, start, function(state, p, d, step)
    local m, v = mean(state, "exp_avg", d, beta1), mean_square(state, "exp_avg_sq", d, beta2)
    if group.amsgrad then
      v = update(state, "max_exp_avg_sq", function(old) return torch.maximum(old, v) end)
    end
    local denominator = v:sqrt() / root(1 - beta2 ^ step) + group.eps
    move(p, m / denominator * (group.lr / (1 - beta1 ^ step)))
  end)
end

function rules.Adadelta(optimizer, group, params, grads)
  each(optimizer, group, params, grads, zeros("square_avg", "acc_delta"), function(state, p, d)
    local s = mean_square(state, "square_avg", d, group.rho)
    local delta = (real(state.acc_delta) + group.eps):sqrt() / (s + group.eps):sqrt() * d
    mean_square(state, "acc_delta", delta, group.rho)
    move(p, delta * group.lr)
  end)
end

-- Adagrad's states are there from the start.
function rules.Adagrad(optimizer, group, params, grads)
  each(optimizer, group, params, grads, zeros "sum", function(state, p, d, step)
    local sum = update(state, "sum", function(old) return old + d * d end)
    move(p, d / (sum:sqrt() + group.eps) * (group.lr / (1 + (step - 1) * group.lr_decay)))
  end)
end

function rules.Adamax(optimizer, group, params, grads)
  local beta1, beta2 = group.betas[1], group.betas[2]
  each(optimizer, group, params, grads, zeros("exp_avg", "exp_inf"), function(state, p, d, step)
    local m = mean(state, "exp_avg", d, beta1)
    local u = update(state, "exp_inf", function(old) return torch.maximum(old * beta2, d:abs() + group.eps) end)
    move(p, m / u * (group.lr / (1 - beta1 ^ step)))
  end)
end

function rules.ASGD(optimizer, group, params, grads)
  local function start(state, p)
    state.step, state.mu, state.eta = scalar(0), scalar(1), scalar(optimizer._number(group.lr))
    state.ax = torch.zeros_like(p)
  end
  each(optimizer, group, params, grads, start, function(state, p, d, step)
    local eta, mu = state.eta:item(), state.mu:item()
    p:mul_(1 - group.lambd * eta)
    move(p, d * eta)
    state.ax = mu == 1 and p:clone() or state.ax + (p - state.ax) * mu
    local lr = optimizer._number(group.lr)
    state.eta = scalar(lr / (1 + group.lambd * lr * step) ^ group.alpha)
    state.mu = scalar(1 / math.max(1, step - group.t0))
  end)
end

function rules.NAdam(optimizer, group, params, grads)
  local beta1, beta2 = group.betas[1], group.betas[2]
  local function start(state, p)
    zeros("exp_avg", "exp_avg_sq")(state, p)
    state.mu_product = scalar(1)
  end
  each(optimizer, group, params, grads, start, function(state, p, d, step)
    local mu = beta1 * (1 - 0.5 * 0.96 ^ (step * group.momentum_decay))
    local next_mu = beta1 * (1 - 0.5 * 0.96 ^ ((step + 1) * group.momentum_decay))
    state.mu_product = state.mu_product * mu
    local product = state.mu_product:item()
    local m, v = mean(state, "exp_avg", d, beta1), mean_square(state, "exp_avg_sq", d, beta2)
    local denominator = (v / (1 - beta2 ^ step)):sqrt() + group.eps
    local step_of = d * ((1 - mu) / (1 - product)) + m * (next_mu / (1 - product * next_mu))
    move(p, step_of / denominator * group.lr)
  end)
end

function rules.RAdam(optimizer, group, params, grads)
  local beta1, beta2 = group.betas[1], group.betas[2]
  local longest = 2 / (1 - beta2) - 1
  each(optimizer, group, params, grads, zeros("exp_avg", "exp_avg_sq"), function(state, p, d, step)
    local m, v = mean(state, "exp_avg", d, beta1), mean_square(state, "exp_avg_sq", d, beta2)
    local change = m * (1 / (1 - beta1 ^ step))
    local length = longest - 2 * step * beta2 ^ step / (1 - beta2 ^ step)
    if length > 5 then
      local rectification = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
      change = change / (v:sqrt() + group.eps) * (math.sqrt(1 - beta2 ^ step) * rectification)
    end
    move(p, change * group.lr)
  end)
end

function rules.RMSprop(optimizer, group, params, grads)
  local function start(state, p)
    zeros "square_avg"(state, p)
    if group.momentum > 0 then state.momentum_buffer = torch.zeros_like(p) end
    if group.centered then state.grad_avg = torch.zeros_like(p) end
  end
  each(optimizer, group, params, grads, start, function(state, p, d)
    local variance = mean_square(state, "square_avg", d, group.alpha)
    if group.centered then
      local average = mean(state, "grad_avg", d, group.alpha)
      variance = variance - average * average
    end
    local change = d / (variance:sqrt() + group.eps)
    if group.momentum > 0 then
      change = update(state, "momentum_buffer", function(old) return old * group.momentum + change end)
    end
    move(p, change * group.lr)
  end)
end

function rules.Rprop(optimizer, group, params, grads)
  local minus, plus = group.etas[1], group.etas[2]
  local function start(state, p)
    zeros("prev", "step_size")(state, p)
    real(state.step_size):fill_(optimizer._number(group.lr))
  end
  each(optimizer, group, params, grads, start, function(state, p, d)
    local turn = (d * real(state.prev)):sign()
    local factor = torch.ones_like(d):masked_fill(turn:gt(0), plus):masked_fill(turn:lt(0), minus)
    local size = update(state, "step_size", function(old)
      return (old * factor):clamp(group.step_sizes[1], group.step_sizes[2])
    end)
    local kept = torch.where(turn:lt(0), torch.zeros_like(d), d)
    update(state, "prev", function() return kept:clone() end)
    move(p, kept:sign() * size)
  end)
end

return rules
