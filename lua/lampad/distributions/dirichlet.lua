-- torch.distributions.Dirichlet: points of the simplex, the last dim, by concentrations.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local Dirichlet = ExponentialFamily:extend "Dirichlet"
local spec = args "Dirichlet(Tensor concentration, bool validate_args=nil)"

Dirichlet.arg_constraints = Dirichlet.constrained { { "concentration", constraints.independent(constraints.positive, 1) } }
Dirichlet.support = constraints.simplex
Dirichlet.has_rsample = true

--- Dirichlet(concentration): a positive tensor (..., K).
function Dirichlet:init(...)
  local concentration, validate_args = spec(...)
  if concentration.ndim < 1 then
    args.fail(self.__name, "`concentration` parameter must be at least one-dimensional.")
  end
  self.concentration = concentration
  local shape = concentration.shape
  ExponentialFamily.init(self, shapes.slice(shape, 0, -1), shapes.slice(shape, -1), validate_args)
end

function Dirichlet:expand(batch_shape)
  return self:_expand(Dirichlet, batch_shape, { concentration = self.event_shape })
end

function Dirichlet:mean() return self.concentration / self.concentration:sum(-1, true) end

--- Where all concentrations are below 1 the density is unbounded at the corners: the mode is one of them.
function Dirichlet:mode()
  local above = (self.concentration - 1):clamp { min = 0 }
  local mode = above / above:sum(-1, true)
  local corner = self.concentration:lt(1):all(-1, true)
  local K = above:size(-1)
  local corners = require("lampad.nn.functional").one_hot(mode:argmax(-1), K):to(mode)
  return torch.where(corner, corners, mode)
end

function Dirichlet:variance()
  local a, total = self.concentration, self.concentration:sum(-1, true)
  return a * (total - a) / (total:pow(2) * (total + 1))
end

--- Differentiable by the concentration.
function Dirichlet:rsample(...)
  return torch._sample_dirichlet(self.concentration:expand(self:_extended_shape(...)))
end

function Dirichlet:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local a = self.concentration
  return torch.xlogy(a - 1, value):sum(-1) + torch.lgamma(a:sum(-1)) - torch.lgamma(a):sum(-1)
end

function Dirichlet:entropy()
  local a, total, K = self.concentration, self.concentration:sum(-1), self.concentration:size(-1)
  return torch.lgamma(a):sum(-1) - torch.lgamma(total) - (K - total) * torch.digamma(total)
    - ((a - 1) * torch.digamma(a)):sum(-1)
end

function Dirichlet:_natural_params() return self.concentration end
function Dirichlet:_log_normalizer(x) return torch.lgamma(x):sum(-1) - torch.lgamma(x:sum(-1)) end

return Dirichlet
