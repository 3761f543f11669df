-- torch.distributions.Pareto: numbers from scale on, with a tail of power alpha.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local shapes = require "lampad.distributions.shapes"
local transforms = require "lampad.distributions.transforms"
local Exponential = require "lampad.distributions.exponential"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"

local Pareto = TransformedDistribution:extend "Pareto"
local spec = args "Pareto(any scale, any alpha, bool validate_args=nil)"

Pareto.arg_constraints = Pareto.constrained { { "alpha", constraints.positive }, { "scale", constraints.positive } }
Pareto.support = constraints.dependent_property(
  function(self) return constraints.greater_than_eq(self.scale) end, { is_discrete = false, event_dim = 0 })

--- Pareto(scale, alpha, {validate_args}): positive numbers or tensors that broadcast.
function Pareto:init(...)
  local scale, alpha, validate_args = spec(...)
  self.scale, self.alpha = utils.parameters("Pareto", "scale", scale, "alpha", alpha)
  local base = Exponential(self.alpha, { validate_args = validate_args })
  TransformedDistribution.init(self, base, { transforms.ExpTransform(), transforms.AffineTransform(0, self.scale) },
    { validate_args = validate_args })
end

function Pareto:expand(batch_shape)
  return self:_expand_transformed(Pareto, batch_shape, { scale = shapes.none, alpha = shapes.none })
end

--- Infinite where alpha is at most 1.
function Pareto:mean()
  local a = self.alpha:clamp { min = 1 }
  return a * self.scale / (a - 1)
end

function Pareto:mode() return self.scale end

--- Infinite where alpha is at most 2.
function Pareto:variance()
  local a = self.alpha:clamp { min = 2 }
  return self.scale:pow(2) * a / ((a - 1):pow(2) * (a - 2))
end

function Pareto:entropy() return (self.scale / self.alpha):log() + (1 + self.alpha:reciprocal()) end

return Pareto
