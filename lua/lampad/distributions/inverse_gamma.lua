-- torch.distributions.InverseGamma: reciprocals of Gamma numbers.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local core = require "lampad.core"
local transforms = require "lampad.distributions.transforms"
local Gamma = require "lampad.distributions.gamma"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local torch = core.torch

local InverseGamma = TransformedDistribution:extend "InverseGamma"
local spec = args "InverseGamma(any concentration, any rate, bool validate_args=nil)"

InverseGamma.arg_constraints = InverseGamma.constrained { { "concentration", constraints.positive },
  { "rate", constraints.positive } }
InverseGamma.support = constraints.positive
InverseGamma.has_rsample = true
utils.delegate(InverseGamma, "base_dist", "concentration rate")

--- InverseGamma(concentration, rate, {validate_args}): the parameters of the Gamma distribution.
function InverseGamma:init(...)
  local concentration, rate, validate_args = spec(...)
  local base = Gamma(concentration, rate, { validate_args = validate_args })
  local minus_one = -torch.ones({}, { dtype = base.rate.dtype, device = base.rate.device })
  TransformedDistribution.init(self, base, transforms.PowerTransform(minus_one), { validate_args = validate_args })
end

function InverseGamma:expand(batch_shape) return self:_expand_transformed(InverseGamma, batch_shape) end

--- Infinite where the concentration is at most 1.
function InverseGamma:mean()
  return torch.where(self.concentration:gt(1), self.rate / (self.concentration - 1), math.huge)
end
function InverseGamma:mode() return self.rate / (self.concentration + 1) end

--- Infinite where the concentration is at most 2.
function InverseGamma:variance()
  local a = self.concentration
  return torch.where(a:gt(2), self.rate:square() / ((a - 1):square() * (a - 2)), math.huge)
end

function InverseGamma:entropy()
  local a = self.concentration
  return a + self.rate:log() + a:lgamma() - (1 + a) * a:digamma()
end

return InverseGamma
