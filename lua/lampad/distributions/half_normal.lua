-- torch.distributions.HalfNormal: absolute values of normal numbers round 0.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local core = require "lampad.core"
local transforms = require "lampad.distributions.transforms"
local Normal = require "lampad.distributions.normal"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local torch = core.torch

local HalfNormal = TransformedDistribution:extend "HalfNormal"
local spec = args "HalfNormal(any scale, bool validate_args=nil)"

HalfNormal.arg_constraints = HalfNormal.constrained { { "scale", constraints.positive } }
HalfNormal.support = constraints.nonnegative
HalfNormal.has_rsample = true
utils.delegate(HalfNormal, "base_dist", "scale")

--- HalfNormal(scale): a positive number or tensor, the standard deviation of the whole normal distribution.
function HalfNormal:init(...)
  local scale, validate_args = spec(...)
  scale = utils.parameters("HalfNormal", "scale", scale)
  local base = Normal(0, scale, { validate_args = false })
  TransformedDistribution.init(self, base, transforms.AbsTransform(), { validate_args = validate_args })
end

function HalfNormal:expand(batch_shape) return self:_expand_transformed(HalfNormal, batch_shape) end

function HalfNormal:mean() return self.scale * math.sqrt(2 / math.pi) end
function HalfNormal:mode() return torch.zeros_like(self.scale) end
function HalfNormal:variance() return self.scale:pow(2) * (1 - 2 / math.pi) end

function HalfNormal:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return torch.where(value:ge(0), self.base_dist:log_prob(value) + math.log(2), -math.huge)
end

function HalfNormal:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  return 2 * self.base_dist:cdf(value) - 1
end

function HalfNormal:icdf(prob)
  prob = utils.to_tensor(self.__name, "prob", prob)
  return self.base_dist:icdf((prob + 1) / 2)
end

function HalfNormal:entropy() return self.base_dist:entropy() - math.log(2) end

return HalfNormal
