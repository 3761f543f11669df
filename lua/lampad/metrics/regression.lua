-- MeanSquaredError, MeanAbsoluteError, R2Score: how far numbers are from those that were to be met. Source: torchmetrics.
local core = require "lampad.core"
local args = require "lampad.args"
local Metric = require "lampad.metrics.metric"
local inputs = require "lampad.metrics.inputs"

local torch = core.torch

local function check(what, preds, target, num_outputs)
  inputs.check_pair(what, preds, target)
  if preds.shape ~= target.shape then
    args.fail(what, "Predictions and targets are expected to have the same shape, got %s and %s", tostring(preds.shape),
      tostring(target.shape))
  end
  if num_outputs > 1 and (preds.ndim < 2 or preds:size(1) ~= num_outputs) then
    args.fail(what, "with num_outputs = %d the shape must be (N, %d), got %s", num_outputs, num_outputs, tostring(preds.shape))
  end
end

local function floating(t)
  if t:is_floating_point() then return t:detach() end
  return t:to(torch.get_default_dtype())
end

local function zeros_for(num_outputs)
  return torch.zeros(num_outputs > 1 and { num_outputs } or {})
end

-- A metric whose value is a mean over all elements (over the samples, with num_outputs columns).
local function mean_of(name, signature, term, finish)
  local C = Metric:extend(name)
  local spec = args(name .. signature)

  function C:init(...)
    self.options = spec:collect(...)
    if self.options.num_outputs < 1 then
      args.fail(name, "`num_outputs` must be larger than 0, got %d", self.options.num_outputs)
    end
    self:add_state("sum_error", zeros_for(self.options.num_outputs), "sum")
    self:add_state("total", torch.tensor(0), "sum")
  end

  --- update(preds, target): adds a batch of equal shapes.
  function C:update(preds, target)
    local outputs = self.options.num_outputs
    check(name, preds, target, outputs)
    local errors = term(floating(preds) - floating(target))
    if outputs == 1 then errors = errors:reshape(-1) end
    self.sum_error = self.sum_error + errors:sum { dim = 0 }
    self.total = self.total + errors:size(0)
  end

  function C:compute()
    local mean = self.sum_error / self.total
    return finish and finish(self, mean) or mean
  end

  return C
end

--- MeanSquaredError({squared = true, num_outputs = 1}): the mean of (preds - target)^2; its root with squared = false.
local MeanSquaredError = mean_of("MeanSquaredError", "(bool squared=true, int num_outputs=1)",
  function(d) return d * d end, function(self, mean) return self.options.squared and mean or mean:sqrt() end)

--- MeanAbsoluteError({num_outputs = 1}): the mean of |preds - target|.
local MeanAbsoluteError = mean_of("MeanAbsoluteError", "(int num_outputs=1)", function(d) return d:abs() end)

-- --- R2Score ------------------------------------------------------------------------------------------
local R2Score = Metric:extend "R2Score"
local r2_spec = args "R2Score(int adjusted=0, str multioutput='uniform_average')"
local outputs = { raw_values = true, uniform_average = true, variance_weighted = true }

--- R2Score({adjusted = 0, multioutput = "uniform_average"}): 1 - squared error / squared deviation from the mean. preds and target
--- are (N) or (N, outputs). adjusted: the number of explaining variables to correct for. multioutput: "raw_values",
--- "uniform_average" or "variance_weighted". The sums are kept in float64.
function R2Score:init(...)
  local o = r2_spec:collect(...)
  if o.adjusted < 0 then args.fail("R2Score", "`adjusted` must be an integer larger or equal to 0, got %d", o.adjusted) end
  if not outputs[o.multioutput] then
    args.fail("R2Score", "`multioutput` must be 'raw_values', 'uniform_average' or 'variance_weighted', got '%s'", o.multioutput)
  end
  self.options = o
  for _, name in ipairs { "sum_squared_obs", "sum_obs", "rss" } do
    self:add_state(name, torch.tensor(0.0, { dtype = torch.float64 }), "sum") -- becomes (outputs) by broadcasting
  end
  self:add_state("total", torch.tensor(0), "sum")
end

--- update(preds, target): adds a batch.
function R2Score:update(preds, target)
  check("R2Score", preds, target, 1)
  if preds.ndim < 1 or preds.ndim > 2 then
    args.fail("R2Score", "Expected both prediction and target to be 1D or 2D tensors, got the shape %s", tostring(preds.shape))
  end
  preds, target = preds:detach():to(torch.float64), target:detach():to(torch.float64)
  local residual = target - preds
  self.sum_squared_obs = self.sum_squared_obs + (target * target):sum { dim = 0 }
  self.sum_obs = self.sum_obs + target:sum { dim = 0 }
  self.rss = self.rss + (residual * residual):sum { dim = 0 }
  self.total = self.total + target:size(0)
end

function R2Score:compute()
  local o, n = self.options, self.total:item()
  if n < 2 then args.fail("R2Score", "Needs at least two samples to calculate r2 score, got %d", n) end
  local tss = self.sum_squared_obs - self.sum_obs * self.sum_obs / n
  -- No error at all scores 1, whatever the variance; an error where nothing varies scores 0.
  local wrong, varies = self.rss:abs():gt(1e-4), tss:abs():gt(1e-4)
  local scores = torch.where(wrong, torch.where(varies, 1 - self.rss / tss, torch.zeros_like(tss)), torch.ones_like(tss))
  local r2 = scores
  if o.multioutput == "uniform_average" then
    r2 = scores:mean()
  elseif o.multioutput == "variance_weighted" then
    r2 = (tss / tss:sum() * scores):sum()
  end
  if o.adjusted > 0 and o.adjusted < n - 1 then r2 = 1 - (1 - r2) * (n - 1) / (n - o.adjusted - 1) end
  return r2:to(torch.float32)
end

return { MeanSquaredError = MeanSquaredError, MeanAbsoluteError = MeanAbsoluteError, R2Score = R2Score }
