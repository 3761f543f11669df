-- torch.distributions.Gumbel: the limit of maxima, loc - scale log(-log u) of uniform numbers u.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local utils = require "lampad.distributions.utils"
local core = require "lampad.core"
local shapes = require "lampad.distributions.shapes"
local transforms = require "lampad.distributions.transforms"
local TransformedDistribution = require "lampad.distributions.transformed_distribution"
local Uniform = require "lampad.distributions.uniform"

local torch = core.torch

local Gumbel = TransformedDistribution:extend "Gumbel"
local spec = args "Gumbel(any loc, any scale, bool validate_args=nil)"

Gumbel.arg_constraints = Gumbel.constrained { { "loc", constraints.real }, { "scale", constraints.positive } }
Gumbel.support = constraints.real

--- Gumbel(loc, scale, {validate_args}): numbers or tensors that broadcast.
function Gumbel:init(...)
  local loc, scale, validate_args = spec(...)
  self.loc, self.scale = utils.parameters("Gumbel", "loc", loc, "scale", scale)
  local finfo = torch.finfo(self.loc.dtype)
  local base = Uniform(torch.full_like(self.loc, finfo.tiny), torch.full_like(self.loc, 1 - finfo.eps),
    { validate_args = validate_args })
  local log = transforms.ExpTransform().inv
  TransformedDistribution.init(self, base, { log, transforms.AffineTransform(0, -torch.ones_like(self.scale)),
    transforms.ExpTransform().inv, transforms.AffineTransform(self.loc, -self.scale) }, { validate_args = validate_args })
end

function Gumbel:expand(batch_shape)
  return self:_expand_transformed(Gumbel, batch_shape, { loc = shapes.none, scale = shapes.none })
end

function Gumbel:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local y = (self.loc - value) / self.scale
  return y - y:exp() - self.scale:log()
end

function Gumbel:mean() return self.loc + self.scale * utils.euler_constant end
function Gumbel:mode() return self.loc end
function Gumbel:stddev() return math.pi / math.sqrt(6) * self.scale end
function Gumbel:variance() return self.stddev:pow(2) end
function Gumbel:entropy() return self.scale:log() + (1 + utils.euler_constant) end

return Gumbel
