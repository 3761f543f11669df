-- torch.distributions.MultivariateNormal: normal vectors of a mean and a covariance, its inverse, or its Cholesky factor.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local gaussian = require "lampad.distributions.gaussian"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local MultivariateNormal = Distribution:extend "MultivariateNormal"
local spec = args [[MultivariateNormal(Tensor loc, Tensor covariance_matrix=nil, Tensor precision_matrix=nil,
  Tensor scale_tril=nil, bool validate_args=nil)]]

MultivariateNormal.arg_constraints = MultivariateNormal.constrained { { "loc", constraints.real_vector },
  { "covariance_matrix", constraints.positive_definite }, { "precision_matrix", constraints.positive_definite },
  { "scale_tril", constraints.lower_cholesky } }
MultivariateNormal.support = constraints.real_vector
MultivariateNormal.has_rsample = true

--- MultivariateNormal(loc, covariance_matrix), or one of {precision_matrix = P}, {scale_tril = L}: loc (..., n), matrices
--- (..., n, n). scale_tril costs least: the others are factorised into it.
function MultivariateNormal:init(...)
  local loc, covariance, precision, scale_tril, validate_args = spec(...)
  if loc.ndim < 1 then args.fail(self.__name, "loc must be at least one-dimensional.") end
  local name, matrix = gaussian.one_matrix(self.__name, covariance, precision, scale_tril)
  if matrix.ndim < 2 then
    args.fail(self.__name, "%s must be at least two-dimensional, with optional leading batch dimensions", name)
  end
  local batch_shape = torch.broadcast_shapes(shapes.slice(matrix.shape, 0, -2), shapes.slice(loc.shape, 0, -1))
  self[name] = matrix:expand(batch_shape .. { -1, -1 })
  self.loc = loc:expand(batch_shape .. { -1 })
  Distribution.init(self, batch_shape, shapes.slice(self.loc.shape, -1), validate_args)
  self._unbroadcasted_scale_tril = gaussian.scale_tril(name, matrix)
end

function MultivariateNormal:expand(batch_shape)
  local n = self.event_shape
  return self:_expand(MultivariateNormal, batch_shape,
    { loc = n, covariance_matrix = n .. n, precision_matrix = n .. n, scale_tril = n .. n }, { "_unbroadcasted_scale_tril" })
end

-- A matrix of the unbroadcast factor, expanded to the batch.
local function matrix_of(fn)
  return utils.lazy_property(function(self)
    return fn(self._unbroadcasted_scale_tril):expand(self._batch_shape .. self._event_shape .. self._event_shape)
  end)
end

MultivariateNormal.scale_tril = matrix_of(function(L) return L end)
MultivariateNormal.covariance_matrix = matrix_of(function(L) return L:matmul(L.mT) end)
MultivariateNormal.precision_matrix = matrix_of(function(L) return torch.cholesky_inverse(L) end)

function MultivariateNormal:mean() return self.loc end
function MultivariateNormal:mode() return self.loc end
function MultivariateNormal:variance()
  return self._unbroadcasted_scale_tril:pow(2):sum(-1):expand(self._batch_shape .. self._event_shape)
end

function MultivariateNormal:rsample(...)
  local noise = utils.standard_normal(self:_extended_shape(...), self.loc)
  return self.loc + gaussian.multiply(self._unbroadcasted_scale_tril, noise)
end

function MultivariateNormal:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local L = self._unbroadcasted_scale_tril
  local distance = gaussian.mahalanobis(L, value - self.loc)
  return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - gaussian.half_log_det(L)
end

function MultivariateNormal:entropy()
  local half = 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi))
  return (gaussian.half_log_det(self._unbroadcasted_scale_tril) + half):expand(self._batch_shape)
end

return MultivariateNormal
