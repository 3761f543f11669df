-- torch.distributions.Beta: numbers in [0, 1], the first coordinate of a Dirichlet distribution of two.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local ExponentialFamily = require "lampad.distributions.exp_family"
local Dirichlet = require "lampad.distributions.dirichlet"

local torch = core.torch

local Beta = ExponentialFamily:extend "Beta"
local spec = args "Beta(any concentration1, any concentration0, bool validate_args=nil)"

Beta.arg_constraints = Beta.constrained { { "concentration1", constraints.positive }, { "concentration0", constraints.positive } }
Beta.support = constraints.unit_interval
Beta.has_rsample = true

--- Beta(concentration1, concentration0, {validate_args}): positive numbers or tensors that broadcast (alpha and beta).
function Beta:init(...)
  local concentration1, concentration0, validate_args = spec(...)
  local a, b = utils.parameters("Beta", "concentration1", concentration1, "concentration0", concentration0)
  self._dirichlet = Dirichlet(torch.stack({ a, b }, -1), { validate_args = validate_args })
  ExponentialFamily.init(self, self._dirichlet.batch_shape, nil, validate_args)
end

function Beta:expand(batch_shape) return self:_expand(Beta, batch_shape, { _dirichlet = shapes.none }) end

Beta.concentration1 = utils.property(function(self) return self._dirichlet.concentration:select(-1, 0) end)
Beta.concentration0 = utils.property(function(self) return self._dirichlet.concentration:select(-1, 1) end)

function Beta:mean() return self.concentration1 / (self.concentration1 + self.concentration0) end
function Beta:mode() return self._dirichlet.mode:select(-1, 0) end

function Beta:variance()
  local a, b = self.concentration1, self.concentration0
  local total = a + b
  return a * b / (total:pow(2) * (total + 1))
end

function Beta:rsample(...) return self._dirichlet:rsample(...):select(-1, 0) end

function Beta:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  return self._dirichlet:log_prob(torch.stack({ value, 1 - value }, -1))
end

function Beta:entropy() return self._dirichlet:entropy() end

function Beta:_natural_params() return self.concentration1, self.concentration0 end
function Beta:_log_normalizer(x, y) return torch.lgamma(x) + torch.lgamma(y) - torch.lgamma(x + y) end

return Beta
