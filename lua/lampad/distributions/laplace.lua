-- torch.distributions.Laplace: two exponential distributions back to back at loc.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local Laplace = Distribution:extend "Laplace"
local spec = args "Laplace(any loc, any scale, bool validate_args=nil)"

Laplace.arg_constraints = Laplace.constrained { { "loc", constraints.real }, { "scale", constraints.positive } }
Laplace.support = constraints.real
Laplace.has_rsample = true

--- Laplace(loc, scale, {validate_args}): numbers or tensors that broadcast.
function Laplace:init(...)
  local loc, scale, validate_args = spec(...)
  local batch_shape
  self.loc, self.scale, batch_shape = utils.parameters("Laplace", "loc", loc, "scale", scale)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function Laplace:expand(batch_shape)
  return self:_expand(Laplace, batch_shape, { loc = shapes.none, scale = shapes.none })
end

function Laplace:mean() return self.loc end
function Laplace:mode() return self.loc end
function Laplace:variance() return 2 * self.scale:pow(2) end
function Laplace:stddev() return math.sqrt(2) * self.scale end

function Laplace:rsample(...)
  local eps = torch.finfo(self.loc.dtype).eps
  local u = self.loc:new_empty(self:_extended_shape(...)):uniform_(eps - 1, 1)
  return self.loc - self.scale * u:sign() * (-u:abs()):log1p()
end

function Laplace:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return -torch.log(2 * self.scale) - (value - self.loc):abs() / self.scale
end

function Laplace:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  local distance = value - self.loc
  return 0.5 - 0.5 * distance:sign() * torch.expm1(-distance:abs() / self.scale)
end

function Laplace:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  local term = value - 0.5
  return self.loc - self.scale * term:sign() * torch.log1p(-2 * term:abs())
end

function Laplace:entropy() return torch.log(2 * self.scale) + 1 end

return Laplace
