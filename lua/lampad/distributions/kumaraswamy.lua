-- torch.distributions.Kumaraswamy: numbers in [0, 1] with the distribution function 1 - (1 - x^a)^b.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local core = require "lampad.core"
local shapes = require "lampad.distributions.shapes"
local transforms = require "lampad.distributions.transforms"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"
local Uniform = require "lampad.distributions.uniform"

local torch = core.torch

local Kumaraswamy = TransformedDistribution:extend "Kumaraswamy"
local spec = args "Kumaraswamy(any concentration1, any concentration0, bool validate_args=nil)"

Kumaraswamy.arg_constraints = Kumaraswamy.constrained { { "concentration1", constraints.positive },
  { "concentration0", constraints.positive } }
Kumaraswamy.support = constraints.unit_interval
Kumaraswamy.has_rsample = true

--- Kumaraswamy(concentration1, concentration0, {validate_args}): a and b, positive numbers or tensors that broadcast.
function Kumaraswamy:init(...)
  local concentration1, concentration0, validate_args = spec(...)
  self.concentration1, self.concentration0 =
    utils.parameters("Kumaraswamy", "concentration1", concentration1, "concentration0", concentration0)
  local a, b = self.concentration1, self.concentration0
  local base = Uniform(torch.full_like(b, 0), torch.full_like(b, 1), { validate_args = validate_args })
  TransformedDistribution.init(self, base, { transforms.PowerTransform(b:reciprocal()),
    transforms.AffineTransform(1.0, -1.0), transforms.PowerTransform(a:reciprocal()) }, { validate_args = validate_args })
end

function Kumaraswamy:expand(batch_shape)
  return self:_expand_transformed(Kumaraswamy, batch_shape,
    { concentration1 = shapes.none, concentration0 = shapes.none })
end

-- The mean of x^n: b B(1 + n / a, b).
local function moment(self, n)
  local a, b = self.concentration1, self.concentration0
  local shifted = 1 + n / a
  return b * torch.exp(torch.lgamma(shifted) + torch.lgamma(b) - torch.lgamma(shifted + b))
end

function Kumaraswamy:mean() return moment(self, 1) end
function Kumaraswamy:variance() return moment(self, 2) - moment(self, 1):pow(2) end

--- NaN where a concentration is below 1: the density is then unbounded.
function Kumaraswamy:mode()
  local a, b = self.concentration1, self.concentration0
  local log_mode = b:reciprocal() * (-b):log1p() - (-b * a):log1p()
  return log_mode:masked_fill(b:lt(1) | a:lt(1), 0 / 0):exp()
end

function Kumaraswamy:entropy()
  local a, b = self.concentration1, self.concentration0
  local harmonic = torch.digamma(b + 1) + utils.euler_constant
  return (1 - b:reciprocal()) + (1 - a:reciprocal()) * harmonic - torch.log(a) - torch.log(b)
end

return Kumaraswamy
