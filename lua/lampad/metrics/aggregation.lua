-- MeanMetric, SumMetric, MaxMetric, MinMetric: of values that come one after the other, such as the losses of batches.
-- Source: torchmetrics.aggregation.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Metric = require "lampad.metrics.metric"

local torch = core.torch
local strategies = { error = true, warn = true, ignore = true, disable = true }

local Aggregator = Metric:extend "BaseAggregator"

function Aggregator:_setup(name, strategy)
  if type(strategy) ~= "number" and not strategies[strategy] then
    args.fail(name, "`nan_strategy` must be 'error', 'warn', 'ignore', 'disable' or a number, got %s", text.repr(strategy))
  end
  self.nan_strategy = strategy
end

-- The value (a number or a tensor) and its weights as flat tensors of the default dtype, NaN treated as asked.
function Aggregator:_values(value, weight)
  local dtype = torch.get_default_dtype()
  local function flat(v, name)
    if type(v) ~= "number" and not torch.is_tensor(v) then
      args.fail(self.__name, "argument '%s' must be a number or a tensor, got %s", name, text.describe(v))
    end
    return torch.is_tensor(v) and v:detach():to(dtype) or torch.tensor(v + 0.0, { dtype = dtype })
  end
  value = flat(value, "value")
  weight = flat(weight == nil and 1 or weight, "weight"):broadcast_to(value.shape):reshape(-1)
  value = value:reshape(-1)
  if self.nan_strategy == "disable" then return value, weight end
  local nan = value:isnan():logical_or(weight:isnan())
  if not nan:any():item() then return value, weight end
  if self.nan_strategy == "error" then args.fail(self.__name, "Encountered `nan` values in tensor") end
  if type(self.nan_strategy) == "number" then
    return value:masked_fill(nan, self.nan_strategy), weight:masked_fill(nan, self.nan_strategy)
  end
  if self.nan_strategy == "warn" then
    io.stderr:write("warning: ", self.__name, ": Encountered `nan` values in tensor. Will be removed.\n")
  end
  local keep = nan:logical_not()
  return value[keep], weight[keep]
end

local function define(name, state, start, reduce, combine)
  local C = Aggregator:extend(name)
  local spec = args(name .. "(any nan_strategy='warn')")
  function C:init(...)
    self:_setup(name, spec(...))
    self:add_state(state, torch.tensor(start), reduce)
  end

  --- update(value): a number or a tensor of any shape.
  function C:update(value)
    local values = self:_values(value)
    if values:numel() > 0 then self[state] = combine(self[state], values) end
  end

  function C:compute() return self[state] end
  return C
end

--- SumMetric({nan_strategy = "warn"}), MaxMetric, MinMetric: of all values so far.
local SumMetric = define("SumMetric", "sum_value", 0.0, "sum", function(a, b) return a + b:sum() end)
local MaxMetric = define("MaxMetric", "max_value", -math.huge, "max", function(a, b) return torch.maximum(a, b:max()) end)
local MinMetric = define("MinMetric", "min_value", math.huge, "min", function(a, b) return torch.minimum(a, b:min()) end)

local MeanMetric = Aggregator:extend "MeanMetric"
local mean_spec = args "MeanMetric(any nan_strategy='warn')"

--- MeanMetric({nan_strategy = "warn"}): the weighted mean of all values so far.
function MeanMetric:init(...)
  self:_setup("MeanMetric", mean_spec(...))
  self:add_state("mean_value", torch.tensor(0.0), "sum")
  self:add_state("weight", torch.tensor(0.0), "sum")
end

--- update(value, weight): numbers or tensors; the weight (1 by default) is broadcast to the value.
function MeanMetric:update(value, weight)
  local values, weights = self:_values(value, weight)
  self.mean_value = self.mean_value + (values * weights):sum()
  self.weight = self.weight + weights:sum()
end

function MeanMetric:compute() return self.mean_value / self.weight end

return { MeanMetric = MeanMetric, SumMetric = SumMetric, MaxMetric = MaxMetric, MinMetric = MinMetric }
