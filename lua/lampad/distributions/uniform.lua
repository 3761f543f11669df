-- torch.distributions.Uniform: numbers in [low, high).
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local Uniform = Distribution:extend "Uniform"
local spec = args "Uniform(any low, any high, bool validate_args=nil)"

--- The bounds of each bound.
function Uniform:arg_constraints()
  return self.constrained { { "low", constraints.less_than(self.high) }, { "high", constraints.greater_than(self.low) } }
end
Uniform.support = constraints.dependent_property(
  function(self) return constraints.interval(self.low, self.high) end, { is_discrete = false, event_dim = 0 })
Uniform.has_rsample = true

--- Uniform(low, high, {validate_args}): numbers or tensors that broadcast, low below high.
function Uniform:init(...)
  local low, high, validate_args = spec(...)
  local batch_shape
  self.low, self.high, batch_shape = utils.parameters("Uniform", "low", low, "high", high)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function Uniform:expand(batch_shape)
  return self:_expand(Uniform, batch_shape, { low = shapes.none, high = shapes.none })
end

function Uniform:mean() return (self.high + self.low) / 2 end
--- NaN: all values are equally likely.
function Uniform:mode() return self.high * (0 / 0) end
function Uniform:stddev() return (self.high - self.low) / math.sqrt(12) end
function Uniform:variance() return (self.high - self.low):pow(2) / 12 end

function Uniform:rsample(...)
  local u = torch.rand(self:_extended_shape(...), { dtype = self.low.dtype, device = self.low.device })
  return self.low + u * (self.high - self.low)
end

function Uniform:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local inside = (self.low:le(value) & self.high:gt(value)):type_as(self.low)
  return inside:log() - (self.high - self.low):log()
end

function Uniform:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  return ((value - self.low) / (self.high - self.low)):clamp { min = 0, max = 1 }
end

function Uniform:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  return value * (self.high - self.low) + self.low
end

function Uniform:entropy() return torch.log(self.high - self.low) end

return Uniform
