-- torch.distributions.FisherSnedecor: the ratio of two Gamma numbers over their degrees of freedom.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"
local Gamma = require "lampad.distributions.gamma"

local torch = core.torch

local FisherSnedecor = Distribution:extend "FisherSnedecor"
local spec = args "FisherSnedecor(any df1, any df2, bool validate_args=nil)"

FisherSnedecor.arg_constraints = FisherSnedecor.constrained { { "df1", constraints.positive }, { "df2", constraints.positive } }
FisherSnedecor.support = constraints.positive
FisherSnedecor.has_rsample = true

--- FisherSnedecor(df1, df2, {validate_args}): positive numbers or tensors that broadcast.
function FisherSnedecor:init(...)
  local df1, df2, validate_args = spec(...)
  local batch_shape
  self.df1, self.df2, batch_shape = utils.parameters("FisherSnedecor", "df1", df1, "df2", df2)
  self._gamma1, self._gamma2 = Gamma(self.df1 * 0.5, self.df1), Gamma(self.df2 * 0.5, self.df2)
  Distribution.init(self, batch_shape, nil, validate_args)
end

function FisherSnedecor:expand(batch_shape)
  local none = shapes.none
  return self:_expand(FisherSnedecor, batch_shape, { df1 = none, df2 = none, _gamma1 = none, _gamma2 = none })
end

-- The moments of order n are finite for df2 above 2 n only.
local function df2_above(self, least) return self.df2:masked_fill(self.df2:le(least), 0 / 0) end

function FisherSnedecor:mean()
  local df2 = df2_above(self, 2)
  return df2 / (df2 - 2)
end

function FisherSnedecor:mode()
  local mode = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
  return mode:masked_fill(self.df1:le(2), 0 / 0)
end

function FisherSnedecor:variance()
  local df1, df2 = self.df1, df2_above(self, 4)
  return 2 * df2:pow(2) * (df1 + df2 - 2) / (df1 * (df2 - 2):pow(2) * (df2 - 4))
end

function FisherSnedecor:rsample(...)
  local above, below = self._gamma1:rsample(...), self._gamma2:rsample(...)
  local tiny = torch.finfo(below.dtype).tiny
  return (above / below:clamp { min = tiny }):clamp { min = tiny }
end

function FisherSnedecor:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
  return (a + b):lgamma() - a:lgamma() - b:lgamma() + a * ratio:log() + (a - 1) * torch.log(value)
    - (a + b) * torch.log1p(ratio * value)
end

return FisherSnedecor
