-- optim.LBFGS: limited-memory BFGS (Nocedal 1980; Nocedal and Wright 2006, algorithm 7.4), with a line search for the
-- strong Wolfe conditions (their algorithms 3.5 and 3.6, trial points by cubic interpolation, in line_search.lua).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local LBFGS = Optimizer:extend "LBFGS"
LBFGS.none_options = { "line_search_fn" }
local spec = args [[LBFGS(any params, scalar lr=1, int max_iter=20, int max_eval=nil, float tolerance_grad=1e-07,
  float tolerance_change=1e-09, int history_size=100, str line_search_fn=nil, *, bool maximize=false)]]

--- optim.LBFGS(params, lr = 1, max_iter = 20, max_eval = max_iter * 5 // 4, tolerance_grad = 1e-7,
--- tolerance_change = 1e-9, history_size = 100, line_search_fn = nil, {maximize}): step(closure) evaluates the closure several
--- times; line_search_fn: 'strong_wolfe'. There is one group.
function LBFGS:init(...)
  local o = spec:collect(...)
  o.max_eval = o.max_eval or o.max_iter * 5 // 4
  self:_setup(o)
  if #self.param_groups ~= 1 then
    args.fail("LBFGS", "LBFGS doesn't support per-parameter options (parameter groups)")
  end
end

function LBFGS:_check_group(group) self:_at_least(group, "lr", "Invalid learning rate") end

-- Real and imaginary parts as two numbers.
local function real(t)
  return t.dtype.is_complex and torch.view_as_real(t) or t
end

local function number(v)
  if v == nil then return nil end
  return Optimizer._number(v)
end

-- What a step works on: the group's parameters as one vector.
local Problem = {}
Problem.__index = Problem

function Problem:gradient()
  local parts = {}
  for i, p in ipairs(self.params) do
    local grad = p.grad
    if grad == nil and is_lazy(p) then
      args.fail("LBFGS.step", "parameter %d is not initialized: the closure does not call its module", i - 1)
    end
    parts[i] = grad == nil and torch.zeros_like(real(p)):reshape(-1) or real(grad:detach()):reshape(-1)
  end
  local flat = torch.cat(parts)
  return self.maximize and flat:neg_() or flat
end

-- params += t * direction
function Problem:move(t, direction)
  local at = 0
  for _, p in ipairs(self.params) do
    local x = real(p)
    local count = x:numel()
    x:add_(direction:narrow(0, at, count):view_as(x), { alpha = t })
    at = at + count
  end
end

function Problem:copy()
  local result = {}
  for i, p in ipairs(self.params) do result[i] = p:clone() end
  return result
end

-- The loss as a number to make small, and what the closure returned.
function Problem:loss()
  local value = torch.enable_grad(self.closure)
  local loss = number(value)
  if type(loss) ~= "number" then
    args.fail("LBFGS.step", "the closure must return the loss, got %s", text.describe(value))
  end
  return self.maximize and -loss or loss, value
end

-- Loss and gradient at x + t * direction; the parameters stay at x.
function Problem:evaluate(x, t, direction)
  self:move(t, direction)
  local loss = self:loss()
  local flat = self:gradient()
  for i, p in ipairs(self.params) do p:copy_(x[i]) end
  return loss, flat
end

local function largest(t) return t:abs():max():item() end

-- The product of the approximate inverse Hessian and -gradient, from the last steps and changes of the gradient.
local function direction(state, gradient, history_size)
  local changes, steps, ro = state.old_dirs, state.old_stps, state.ro
  local al = state.al
  if al == nil then
    al = {}
    for i = 1, history_size do al[i] = 0.0 end
    state.al = al
  end
  local q = gradient:neg()
  for i = #changes, 1, -1 do
    al[i] = steps[i]:dot(q):item() * number(ro[i])
    q:add_(changes[i], { alpha = -al[i] })
  end
  local r = q:mul(number(state.H_diag))
  for i = 1, #changes do
    local be = changes[i]:dot(r):item() * number(ro[i])
    r:add_(steps[i], { alpha = al[i] - be })
  end
  return r
end

-- Takes the last step and its change of the gradient into the history, if the curvature along it is positive.
local function remember(state, gradient, history_size)
  local y = gradient:sub(state.prev_flat_grad)
  local s = state.d:mul(number(state.t))
  local ys = y:dot(s):item()
  if ys <= 1e-10 then return end
  if #state.old_dirs == history_size then
    for _, list in ipairs { state.old_dirs, state.old_stps, state.ro } do table.remove(list, 1) end
  end
  table.insert(state.old_dirs, y)
  table.insert(state.old_stps, s)
  table.insert(state.ro, 1 / ys)
  state.H_diag = ys / y:dot(y):item()
end

--- One step of up to max_iter iterations; closure() must compute the loss and its gradients, and return the loss.
--- Returns the first loss.
function LBFGS:step(closure)
  if type(closure) ~= "function" and not (getmetatable(closure) or {}).__call then
    args.fail("LBFGS.step", "a closure that computes the loss again is required, got %s", text.describe(closure))
  end
  local group = self.param_groups[1]
  local lr, tolerance_change = number(group.lr), group.tolerance_change
  if group.line_search_fn ~= nil and group.line_search_fn ~= "strong_wolfe" then
    args.fail("LBFGS.step", "only 'strong_wolfe' is supported, got line_search_fn %s", text.repr(group.line_search_fn))
  end
  local _ <close> = torch.no_grad()
  local problem = setmetatable({ params = group.params, closure = closure, maximize = group.maximize }, Problem)
  if #group.params == 0 then return torch.enable_grad(closure) end
  local state = self.state[group.params[1]] -- the state of all hangs on the first parameter
  state.func_evals, state.n_iter = (state.func_evals or 0) + 1, state.n_iter or 0

  local loss, first_loss = problem:loss()
  local evals = 1
  local gradient = problem:gradient()
  if largest(gradient) <= group.tolerance_grad then return first_loss end

  for iteration = 1, group.max_iter do
    state.n_iter = state.n_iter + 1
    if state.n_iter == 1 then
      state.d, state.old_dirs, state.old_stps, state.ro, state.H_diag = gradient:neg(), {}, {}, {}, 1
    else
      remember(state, gradient, group.history_size)
      state.d = direction(state, gradient, group.history_size)
    end
    state.prev_flat_grad, state.prev_loss = gradient:clone(), loss
    local t = lr
    if state.n_iter == 1 then t = math.min(1.0, 1.0 / gradient:abs():sum():item()) * lr end
    state.t = t
    local slope = gradient:dot(state.d):item()
    if slope > -tolerance_change then break end

    local new_evals = 0
    if group.line_search_fn then
      local x = problem:copy()
      loss, gradient, t, new_evals = require("lampad.optim.line_search")(function(step)
        return problem:evaluate(x, step, state.d)
      end, t, state.d, loss, gradient, slope, tolerance_change, group.max_eval - evals)
      state.t = t
      problem:move(t, state.d)
    else
      problem:move(t, state.d)
      if iteration ~= group.max_iter then -- the last point is not evaluated: the next step does so
        loss = problem:loss()
        gradient = problem:gradient()
        new_evals = 1
      end
    end
    evals, state.func_evals = evals + new_evals, state.func_evals + new_evals
    if iteration == group.max_iter or evals >= group.max_eval or largest(gradient) <= group.tolerance_grad
      or largest(state.d:mul(t)) <= tolerance_change or math.abs(loss - state.prev_loss) < tolerance_change then
      break
    end
  end
  return first_loss
end

return LBFGS
