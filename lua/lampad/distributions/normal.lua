-- torch.distributions.Normal: the normal (Gaussian) distribution of mean loc and standard deviation scale.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local Normal = ExponentialFamily:extend "Normal"
local spec = args "Normal(any loc, any scale, bool validate_args=nil)"

Normal.arg_constraints = Normal.constrained { { "loc", constraints.real }, { "scale", constraints.positive } }
Normal.support = constraints.real
Normal.has_rsample = true
Normal._mean_carrier_measure = 0

--- Normal(loc, scale, {validate_args}): numbers or tensors that broadcast.
function Normal:init(...)
  local loc, scale, validate_args = spec(...)
  local batch_shape
  self.loc, self.scale, batch_shape = utils.parameters("Normal", "loc", loc, "scale", scale)
  ExponentialFamily.init(self, batch_shape, nil, validate_args)
end

function Normal:expand(batch_shape)
  return self:_expand(Normal, batch_shape, { loc = shapes.none, scale = shapes.none })
end

function Normal:mean() return self.loc end
function Normal:mode() return self.loc end
function Normal:stddev() return self.scale end
function Normal:variance() return self.stddev:pow(2) end

function Normal:sample(...)
  local shape = self:_extended_shape(...)
  local _ <close> = torch.no_grad()
  return torch.normal(self.loc:expand(shape), self.scale:expand(shape))
end

function Normal:rsample(...)
  return self.loc + utils.standard_normal(self:_extended_shape(...), self.loc) * self.scale
end

function Normal:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return -(value - self.loc):pow(2) / (2 * self.scale:pow(2)) - self.scale:log() - 0.5 * math.log(2 * math.pi)
end

function Normal:cdf(value)
  if self._validate_args then self:_validate_sample(value) end
  return 0.5 * (1 + torch.erf((value - self.loc) / self.scale * math.sqrt(0.5)))
end

function Normal:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  return self.loc + self.scale * torch.erfinv(2 * value - 1) * math.sqrt(2)
end

function Normal:entropy() return self.scale:log() + 0.5 * (1 + math.log(2 * math.pi)) end

function Normal:_natural_params()
  local precision = self.scale:pow(-2)
  return self.loc * precision, -0.5 * precision
end

function Normal:_log_normalizer(x, y) return -0.25 * x:pow(2) / y + 0.5 * torch.log(-math.pi / y) end

return Normal
