-- torch.distributions.Cauchy: the ratio of two normal numbers, round loc, scale at half the height.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local Cauchy = Distribution:extend "Cauchy"
local spec = args "Cauchy(any loc, any scale, bool validate_args=nil)"

Cauchy.arg_constraints = Cauchy.constrained { { "loc", constraints.real }, { "scale", constraints.positive } }
Cauchy.support = constraints.real
Cauchy.has_rsample = true

--- Cauchy(loc, scale, {validate_args}): numbers or tensors that broadcast.
function Cauchy:init(...)
  local loc, scale, validate_args = spec(...)
  local batch_shape
  self.loc, self.scale, batch_shape = utils.parameters("Cauchy", "loc", loc, "scale", scale)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function Cauchy:expand(batch_shape)
  return self:_expand(Cauchy, batch_shape, { loc = shapes.none, scale = shapes.none })
end

local function filled(self, value)
  return torch.full(self:_extended_shape(), value, { dtype = self.loc.dtype, device = self.loc.device })
end

--- NaN: the integral does not converge.
function Cauchy:mean() return filled(self, 0 / 0) end
function Cauchy:mode() return self.loc end
function Cauchy:variance() return filled(self, math.huge) end

function Cauchy:rsample(...)
  return self.loc + self.loc:new_empty(self:_extended_shape(...)):cauchy_() * self.scale
end

function Cauchy:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return -math.log(math.pi) - self.scale:log() - ((value - self.loc) / self.scale):pow(2):log1p()
end

function Cauchy:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  return torch.atan((value - self.loc) / self.scale) / math.pi + 0.5
end

function Cauchy:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  return torch.tan(math.pi * (value - 0.5)) * self.scale + self.loc
end

function Cauchy:entropy() return self.scale:log() + math.log(4 * math.pi) end

return Cauchy
