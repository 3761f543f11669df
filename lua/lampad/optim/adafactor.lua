-- optim.Adafactor (Shazeer and Stern 2018): Adam's second moment from factors of rows and columns, no first moment.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local Adafactor = Optimizer:extend "Adafactor"
Adafactor.none_options = { "foreach" }
local spec = args [[Adafactor(any params, scalar lr=0.01, float beta2_decay=-0.8, any eps=nil, float d=1.0,
  float weight_decay=0.0, *, bool foreach=nil, bool maximize=false)]]

--- optim.Adafactor(params, lr = 0.01, beta2_decay = -0.8, eps = {nil, 1e-3}, d = 1.0, weight_decay = 0.0, {foreach,
--- maximize}). eps[1] nil stands for the dtype's resolution; d bounds the update's root mean square. State: step, row_var and
--- col_var (two or more dims) or variance.
function Adafactor:init(...)
  local o = spec:collect(...)
  if o.eps == nil then o.eps = { nil, 1e-3 } end
  self:_setup(o)
end

function Adafactor:_check_group(group)
  self:_at_least(group, "lr", "Learning rate should be >= 0 but is")
  if not (group.beta2_decay <= 0) then
    args.fail("Adafactor", "beta2_decay should be <= 0 but is: %s", text.repr(group.beta2_decay))
  end
  local eps = group.eps
  -- false, too, stands for None; the length is kept for print.
  if type(eps) == "table" then
    eps = { n = 2, [1] = eps[1] or nil, [2] = eps[2] }
    group.eps = eps
  end
  if type(eps) ~= "table" or type(eps[2]) ~= "number" or not (eps[1] == nil or type(eps[1]) == "number") then
    args.fail("Adafactor", "eps must be a list of two numbers, the first of which may be nil, got %s", text.repr(eps))
  end
  for i = 1, 2 do
    if eps[i] and not (eps[i] >= 0) then
      args.fail("Adafactor", "epsilon%d should be >= 0 but is: %s", i, text.repr(eps[i]))
    end
  end
  if not (group.d >= 1) then
    args.fail("Adafactor", "Clipping threshold d should be >= 1 but is: %s", text.repr(group.d))
  end
  self:_at_least(group, "weight_decay", "weight_decay should be >= 0 but is")
end

local function start(state, _, grad)
  state.step = Optimizer._scalar(0)
  if grad.ndim > 1 then
    local shape = { grad.shape:unpack() }
    local rows, columns = table.move(shape, 1, #shape, 1, {}), table.move(shape, 1, #shape, 1, {})
    rows[#rows], columns[#columns - 1] = 1, 1
    state.row_var, state.col_var = grad:new_zeros(rows), grad:new_zeros(columns)
  else
    state.variance = torch.zeros_like(grad)
  end
end

function Adafactor:_update(group, params, grads)
  local row_vars, col_vars, variances, steps = {}, {}, {}, {}
  for i, p in ipairs(params) do
    if p.dtype.is_complex then args.fail("Adafactor.step", "Adafactor does not support complex parameters") end
    local state = self.state[p]
    if next(state) == nil then start(state, p, grads[i]) end
    -- Each list has an entry a parameter; the kernel takes no holes, so a stand-in fills the unused ones.
    row_vars[i], col_vars[i] = state.row_var or state.step, state.col_var or state.step
    variances[i], steps[i] = state.variance or state.step, state.step
  end
  kernels.adafactor_step_(params, grads, row_vars, col_vars, variances, steps, {
    lr = self._number(group.lr), beta2_decay = group.beta2_decay, eps1 = group.eps[1], eps2 = group.eps[2],
    d = group.d, weight_decay = group.weight_decay, maximize = group.maximize,
  })
end

return Adafactor
