-- torch.distributions.GeneralizedPareto: exceedances over loc, with a tail of index concentration.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local GeneralizedPareto = Distribution:extend "GeneralizedPareto"
local spec = args "GeneralizedPareto(any loc, any scale, any concentration, bool validate_args=nil)"

GeneralizedPareto.arg_constraints = GeneralizedPareto.constrained { { "loc", constraints.real },
  { "scale", constraints.positive }, { "concentration", constraints.real } }
GeneralizedPareto.support = constraints.dependent_property(function(self)
  local bounded = self.concentration:lt(0)
  return constraints.interval(self.loc, torch.where(bounded, self.loc - self.scale / self.concentration, math.huge))
end, { is_discrete = false, event_dim = 0 })
GeneralizedPareto.has_rsample = true

--- GeneralizedPareto(loc, scale, concentration, {validate_args}): concentration 0 is an exponential distribution, a
--- negative one has an upper end.
function GeneralizedPareto:init(...)
  local loc, scale, concentration, validate_args = spec(...)
  local batch_shape
  self.loc, self.scale, self.concentration, batch_shape =
    utils.parameters("GeneralizedPareto", "loc", loc, "scale", scale, "concentration", concentration)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function GeneralizedPareto:expand(batch_shape)
  local none = shapes.none
  return self:_expand(GeneralizedPareto, batch_shape, { loc = none, scale = none, concentration = none })
end

-- Where the tail is exponential, and the concentration with 1 in these places.
local function tail(self)
  local c = self.concentration
  local exponential = torch.isclose(c, torch.zeros_like(c))
  return exponential, torch.where(exponential, torch.ones_like(c), c)
end

local function standardized(self, value) return (value - self.loc) / self.scale end

function GeneralizedPareto:mean()
  local c = self.concentration
  local finite = c:lt(1)
  return torch.where(finite, self.loc + self.scale / (1 - torch.where(finite, c, 0.5)), 0 / 0)
end

function GeneralizedPareto:mode() return self.loc end

function GeneralizedPareto:variance()
  local finite = self.concentration:lt(0.5)
  local c = torch.where(finite, self.concentration, 0.25)
  return torch.where(finite, self.scale:pow(2) / ((1 - c):pow(2) * (1 - 2 * c)), 0 / 0)
end

function GeneralizedPareto:rsample(...)
  return self:icdf(torch.rand(self:_extended_shape(...), { dtype = self.loc.dtype, device = self.loc.device }))
end

function GeneralizedPareto:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local z, exponential, c = standardized(self, value), tail(self)
  local power = 1 / c + torch.ones_like(z)
  local general = torch.where(power:eq(0), power, power * torch.log1p(c * z))
  return -self.scale:log() - torch.where(exponential, z, general)
end

--- log(1 - cdf(value)).
function GeneralizedPareto:log_survival_function(value)
  if self._validate_args then self:_validate_sample(value) end
  local z, exponential, c = standardized(self, value), tail(self)
  return torch.where(exponential, -z, -torch.log1p(c * z) / c)
end

function GeneralizedPareto:log_cdf(value) return torch.log1p(-torch.exp(self:log_survival_function(value))) end
function GeneralizedPareto:cdf(value) return torch.exp(self:log_cdf(value)) end

function GeneralizedPareto:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  local exponential, c = tail(self)
  local log_rest = torch.log1p(-value)
  return torch.where(exponential, self.loc - self.scale * log_rest,
    self.loc + self.scale / c * torch.expm1(-c * log_rest))
end

function GeneralizedPareto:entropy() return (torch.log(self.scale) + self.concentration + 1):expand(self._batch_shape) end

return GeneralizedPareto
