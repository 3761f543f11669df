-- torch.distributions.LogNormal: exponentials of normal numbers.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local transforms = require "lampad.distributions.transforms"
local Normal = require "lampad.distributions.normal"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local LogNormal = TransformedDistribution:extend "LogNormal"
local spec = args "LogNormal(any loc, any scale, bool validate_args=nil)"

LogNormal.arg_constraints = LogNormal.constrained { { "loc", constraints.real }, { "scale", constraints.positive } }
LogNormal.support = constraints.positive
LogNormal.has_rsample = true
utils.delegate(LogNormal, "base_dist", "loc scale")

--- LogNormal(loc, scale, {validate_args}): mean and standard deviation of the logarithm.
function LogNormal:init(...)
  local loc, scale, validate_args = spec(...)
  local base = Normal(loc, scale, { validate_args = validate_args })
  TransformedDistribution.init(self, base, transforms.ExpTransform(), { validate_args = validate_args })
end

function LogNormal:expand(batch_shape) return self:_expand_transformed(LogNormal, batch_shape) end

function LogNormal:mean() return (self.loc + self.scale:pow(2) / 2):exp() end
function LogNormal:mode() return (self.loc - self.scale:square()):exp() end

function LogNormal:variance()
  local square = self.scale:pow(2)
  return square:expm1() * (2 * self.loc + square):exp()
end

function LogNormal:entropy() return self.base_dist:entropy() + self.loc end

return LogNormal
