-- optim.Rprop (Riedmiller and Braun 1993): steps from the signs of the gradients alone.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local Rprop = Optimizer:extend "Rprop"
Rprop.none_options = { "foreach" }
local spec = args [[Rprop(any params, scalar lr=0.01, floats etas=nil, floats step_sizes=nil, *, bool capturable=false,
  bool foreach=nil, bool maximize=false, bool differentiable=false)]]

--- optim.Rprop(params, lr = 0.01, etas = {0.5, 1.2}, step_sizes = {1e-6, 50}, {capturable, foreach, maximize,
--- differentiable}): steps grow by etas[2] while the sign of the gradient stays and shrink by etas[1] when it turns. State: step,
--- prev, step_size.
function Rprop:init(...)
  local o = spec:collect(...)
  o.etas, o.step_sizes = o.etas or { 0.5, 1.2 }, o.step_sizes or { 1e-6, 50 }
  self:_setup(o)
end

function Rprop:_check_group(group)
  self:_check_common(group)
  for _, name in ipairs { "etas", "step_sizes" } do
    if type(group[name]) ~= "table" or #group[name] ~= 2 then
      args.fail("Rprop", "%s must be a list of two numbers, got %s", name, text.repr(group[name]))
    end
  end
  local minus, plus = group.etas[1], group.etas[2]
  if not (minus > 0 and minus < 1 and plus > 1) then
    args.fail("Rprop", "Invalid eta values: %s, %s", text.repr(minus), text.repr(plus))
  end
end

local function start(group)
  return function(state, p, grad)
    local lr = Optimizer._number(group.lr)
    state.step = Optimizer._scalar(0)
    state.prev = torch.zeros_like(p)
    state.step_size = torch.full_like(grad, lr)
    if p.dtype.is_complex then torch.view_as_real(state.step_size):fill_(lr) end -- the parts step apart
  end
end

local names = { "prev", "step_size", "step" }

function Rprop:_update(group, params, grads)
  local prevs, step_sizes, steps = self:_collect(params, grads, start(group), names)
  kernels.rprop_step_(params, grads, prevs, step_sizes, steps, {
    eta_minus = group.etas[1], eta_plus = group.etas[2], step_min = group.step_sizes[1],
    step_max = group.step_sizes[2], maximize = group.maximize,
  })
end

return Rprop
