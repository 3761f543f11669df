-- torch.distributions.Weibull: scale times the power 1 / concentration of exponential numbers.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local core = require "lampad.core"
local shapes = require "lampad.distributions.shapes"
local transforms = require "lampad.distributions.transforms"
local Exponential = require "lampad.distributions.exponential"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local torch = core.torch

local Weibull = TransformedDistribution:extend "Weibull"
local spec = args "Weibull(any scale, any concentration, bool validate_args=nil)"

Weibull.arg_constraints = Weibull.constrained { { "scale", constraints.positive }, { "concentration", constraints.positive } }
Weibull.support = constraints.positive

local function transforms_of(self)
  return { transforms.PowerTransform(self.concentration_reciprocal), transforms.AffineTransform(0, self.scale) }
end

--- Weibull(scale, concentration, {validate_args}): positive numbers or tensors that broadcast.
function Weibull:init(...)
  local scale, concentration, validate_args = spec(...)
  self.scale, self.concentration = utils.parameters("Weibull", "scale", scale, "concentration", concentration)
  self.concentration_reciprocal = self.concentration:reciprocal()
  local base = Exponential(torch.ones_like(self.scale), { validate_args = validate_args })
  TransformedDistribution.init(self, base, transforms_of(self), { validate_args = validate_args })
end

function Weibull:expand(batch_shape)
  local none = shapes.none
  local new = self:_expand(Weibull, batch_shape,
    { scale = none, concentration = none, concentration_reciprocal = none, base_dist = none })
  new.transforms = transforms_of(new)
  return new
end

function Weibull:mean() return self.scale * torch.exp(torch.lgamma(1 + self.concentration_reciprocal)) end

function Weibull:mode()
  local k = self.concentration
  return self.scale * ((k - 1) / k):pow(k:reciprocal())
end

function Weibull:variance()
  local r = self.concentration_reciprocal
  return self.scale:pow(2) * (torch.exp(torch.lgamma(1 + 2 * r)) - torch.exp(2 * torch.lgamma(1 + r)))
end

function Weibull:entropy()
  local r = self.concentration_reciprocal
  return utils.euler_constant * (1 - r) + torch.log(self.scale * r) + 1
end

return Weibull
