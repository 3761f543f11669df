-- torch.distributions.StudentT: a normal number over the root of a Chi2 number by its degrees of freedom.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"
local Chi2 = require "lampad.distributions.chi2"

local torch = core.torch

local StudentT = Distribution:extend "StudentT"
local spec = args "StudentT(any df, any loc=0.0, any scale=1.0, bool validate_args=nil)"

StudentT.arg_constraints = StudentT.constrained { { "df", constraints.positive }, { "loc", constraints.real },
  { "scale", constraints.positive } }
StudentT.support = constraints.real
StudentT.has_rsample = true

--- StudentT(df, loc = 0, scale = 1, {validate_args}): numbers or tensors that broadcast.
function StudentT:init(...)
  local df, loc, scale, validate_args = spec(...)
  local batch_shape
  self.df, self.loc, self.scale, batch_shape = utils.parameters("StudentT", "df", df, "loc", loc, "scale", scale)
  self._chi2 = Chi2(self.df)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function StudentT:expand(batch_shape)
  local none = shapes.none
  return self:_expand(StudentT, batch_shape, { df = none, loc = none, scale = none, _chi2 = none })
end

--- NaN where df is at most 1.
function StudentT:mean() return self.loc:masked_fill(self.df:le(1), 0 / 0) end
function StudentT:mode() return self.loc end

--- Infinite for df in (1, 2], NaN where it is at most 1.
function StudentT:variance()
  local finite = self.df:gt(2)
  local df = torch.where(finite, self.df, 3.0)
  return torch.where(finite, self.scale:pow(2) * df / (df - 2), math.huge):masked_fill(self.df:le(1), 0 / 0)
end

function StudentT:rsample(...)
  local X = utils.standard_normal(self:_extended_shape(...), self.df)
  local Z = self._chi2:rsample(...)
  return self.loc + self.scale * (X * torch.rsqrt(Z / self.df))
end

function StudentT:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local half, y = 0.5 * self.df, (value - self.loc) / self.scale
  local normalizer = self.scale:log() + 0.5 * self.df:log() + 0.5 * math.log(math.pi) + torch.lgamma(half)
    - torch.lgamma(half + 0.5)
  return -(half + 0.5) * torch.log1p(y:pow(2) / self.df) - normalizer
end

function StudentT:entropy()
  local half = 0.5 * self.df
  local log_beta = torch.lgamma(half) + 0.5 * math.log(math.pi) - torch.lgamma(half + 0.5)
  return self.scale:log() + (half + 0.5) * (torch.digamma(half + 0.5) - torch.digamma(half)) + 0.5 * self.df:log()
    + log_beta
end

return StudentT
