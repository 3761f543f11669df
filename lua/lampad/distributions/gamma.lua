-- torch.distributions.Gamma: of a shape, the concentration, and a rate, 1 / scale.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local Gamma = ExponentialFamily:extend "Gamma"
local spec = args "Gamma(any concentration, any rate, bool validate_args=nil)"

Gamma.arg_constraints = Gamma.constrained { { "concentration", constraints.positive }, { "rate", constraints.positive } }
Gamma.support = constraints.nonnegative
Gamma.has_rsample = true
Gamma._mean_carrier_measure = 0

--- Gamma(concentration, rate, {validate_args}): positive numbers or tensors that broadcast.
function Gamma:init(...)
  local concentration, rate, validate_args = spec(...)
  local batch_shape
  self.concentration, self.rate, batch_shape =
    utils.parameters("Gamma", "concentration", concentration, "rate", rate)
  ExponentialFamily.init(self, batch_shape, nil, validate_args)
end

function Gamma:expand(batch_shape)
  return self:_expand(Gamma, batch_shape, { concentration = shapes.none, rate = shapes.none })
end

function Gamma:mean() return self.concentration / self.rate end
function Gamma:mode() return ((self.concentration - 1) / self.rate):clamp { min = 0 } end
function Gamma:variance() return self.concentration / self.rate:pow(2) end

--- rsample(sample_shape, {generator}): differentiable by both parameters.
function Gamma:rsample(...)
  local sample_shape, named = shapes.sample_with(self.__name, { "generator" }, ...)
  local shape = self:_extended_shape(sample_shape)
  local draws = torch._standard_gamma(self.concentration:expand(shape), args.drawing(named.generator))
  local value = draws / self.rate:expand(shape)
  value:detach():clamp_ { min = torch.finfo(value.dtype).tiny }
  return value
end

function Gamma:log_prob(value)
  value = torch.as_tensor(value, { dtype = self.rate.dtype, device = self.rate.device })
  if self._validate_args then self:_validate_sample(value) end
  local a, rate = self.concentration, self.rate
  return torch.xlogy(a, rate) + torch.xlogy(a - 1, value) - rate * value - torch.lgamma(a)
end

function Gamma:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  return torch.special.gammainc(self.concentration, self.rate * value)
end

function Gamma:entropy()
  local a = self.concentration
  return a - self.rate:log() + torch.lgamma(a) + (1 - a) * torch.digamma(a)
end

function Gamma:_natural_params() return self.concentration - 1, -self.rate end
function Gamma:_log_normalizer(x, y) return torch.lgamma(x + 1) + (x + 1) * torch.log(-y:reciprocal()) end

return Gamma
