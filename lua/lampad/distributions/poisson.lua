-- torch.distributions.Poisson: counts of events at a rate.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local Poisson = ExponentialFamily:extend "Poisson"
local spec = args "Poisson(any rate, bool validate_args=nil)"

Poisson.arg_constraints = Poisson.constrained { { "rate", constraints.nonnegative } }
Poisson.support = constraints.nonnegative_integer

--- Poisson(rate): a number or a tensor, not negative.
function Poisson:init(...)
  local rate, validate_args = spec(...)
  local batch_shape
  self.rate, batch_shape = utils.parameters("Poisson", "rate", rate)
  ExponentialFamily.init(self, batch_shape, nil, validate_args)
end

function Poisson:expand(batch_shape) return self:_expand(Poisson, batch_shape, { rate = shapes.none }) end

function Poisson:mean() return self.rate end
function Poisson:mode() return self.rate:floor() end
function Poisson:variance() return self.rate end

function Poisson:sample(...)
  local shape = self:_extended_shape(...)
  local _ <close> = torch.no_grad()
  return torch.poisson(self.rate:expand(shape))
end

function Poisson:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local rate
  rate, value = utils.broadcast_all(self.rate, value)
  return value:xlogy(rate) - rate - (value + 1):lgamma()
end

function Poisson:_natural_params() return torch.log(self.rate) end
function Poisson:_log_normalizer(x) return torch.exp(x) end

return Poisson
