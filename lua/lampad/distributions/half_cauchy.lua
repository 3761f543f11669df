-- torch.distributions.HalfCauchy: absolute values of Cauchy numbers round 0.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local core = require "lampad.core"
local transforms = require "lampad.distributions.transforms"
local Cauchy = require "lampad.distributions.cauchy"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local torch = core.torch

local HalfCauchy = TransformedDistribution:extend "HalfCauchy"
local spec = args "HalfCauchy(any scale, bool validate_args=nil)"

HalfCauchy.arg_constraints = HalfCauchy.constrained { { "scale", constraints.positive } }
HalfCauchy.support = constraints.nonnegative
HalfCauchy.has_rsample = true
utils.delegate(HalfCauchy, "base_dist", "scale variance")

--- HalfCauchy(scale): a positive number or tensor.
function HalfCauchy:init(...)
  local scale, validate_args = spec(...)
  scale = utils.parameters("HalfCauchy", "scale", scale)
  local base = Cauchy(0, scale, { validate_args = false })
  TransformedDistribution.init(self, base, transforms.AbsTransform(), { validate_args = validate_args })
end

function HalfCauchy:expand(batch_shape) return self:_expand_transformed(HalfCauchy, batch_shape) end

--- Infinite: the integral does not converge.
function HalfCauchy:mean() return torch.full_like(self.scale, math.huge) end
function HalfCauchy:mode() return torch.zeros_like(self.scale) end

function HalfCauchy:log_prob(value)
  value = torch.as_tensor(value, { dtype = self.scale.dtype, device = self.scale.device })
  if self._validate_args then self:_validate_sample(value) end
  return torch.where(value:ge(0), self.base_dist:log_prob(value) + math.log(2), -math.huge)
end

function HalfCauchy:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  return 2 * self.base_dist:cdf(value) - 1
end

function HalfCauchy:icdf(prob)
  prob = utils.to_tensor(self.__name, "prob", prob)
  return self.base_dist:icdf((prob + 1) / 2)
end

function HalfCauchy:entropy() return self.base_dist:entropy() - math.log(2) end

return HalfCauchy
