-- torch.distributions.Exponential: waiting times at a rate.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local Exponential = ExponentialFamily:extend "Exponential"
local spec = args "Exponential(any rate, bool validate_args=nil)"

Exponential.arg_constraints = Exponential.constrained { { "rate", constraints.positive } }
Exponential.support = constraints.nonnegative
Exponential.has_rsample = true
Exponential._mean_carrier_measure = 0

--- Exponential(rate): a positive number or tensor, 1 / scale.
function Exponential:init(...)
  local rate, validate_args = spec(...)
  local batch_shape
  self.rate, batch_shape = utils.parameters("Exponential", "rate", rate)
  ExponentialFamily.init(self, batch_shape, nil, validate_args)
end

function Exponential:expand(batch_shape) return self:_expand(Exponential, batch_shape, { rate = shapes.none }) end

function Exponential:mean() return self.rate:reciprocal() end
function Exponential:mode() return torch.zeros_like(self.rate) end
function Exponential:stddev() return self.rate:reciprocal() end
function Exponential:variance() return self.rate:pow(-2) end

function Exponential:rsample(...)
  return self.rate:new_empty(self:_extended_shape(...)):exponential_() / self.rate
end

function Exponential:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return self.rate:log() - self.rate * value
end

function Exponential:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  return 1 - torch.exp(-self.rate * value)
end

function Exponential:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  return -torch.log1p(-value) / self.rate
end

function Exponential:entropy() return 1 - self.rate:log() end

function Exponential:_natural_params() return -self.rate end
function Exponential:_log_normalizer(x) return -torch.log(-x) end

return Exponential
