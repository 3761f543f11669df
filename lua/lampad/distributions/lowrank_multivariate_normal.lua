-- torch.distributions.LowRankMultivariateNormal: normal vectors of the covariance W W^T + D, W of few columns, D diagonal.
local core = require "lampad.core"
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local gaussian = require "lampad.distributions.gaussian"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"

local torch = core.torch

local LowRank = Distribution:extend "LowRankMultivariateNormal"
local spec = args [[LowRankMultivariateNormal(Tensor loc, Tensor cov_factor, Tensor cov_diag, bool validate_args=nil)]]

LowRank.arg_constraints = LowRank.constrained { { "loc", constraints.real_vector },
  { "cov_factor", constraints.independent(constraints.real, 2) },
  { "cov_diag", constraints.independent(constraints.positive, 1) } }
LowRank.support = constraints.real_vector
LowRank.has_rsample = true

--- LowRankMultivariateNormal(loc, cov_factor, cov_diag, {validate_args}): loc (..., n), W (..., n, m), D (..., n).
function LowRank:init(...)
  local loc, W, D, validate_args = spec(...)
  local what = "LowRankMultivariateNormal"
  if loc.ndim < 1 then args.fail(what, "loc must be at least one-dimensional.") end
  local event_shape = shapes.slice(loc.shape, -1)
  if W.ndim < 2 then
    args.fail(what, "cov_factor must be at least two-dimensional, with optional leading batch dimensions")
  end
  if W:size(-2) ~= event_shape[0] then
    args.fail(what, "cov_factor must be a batch of matrices with shape %d x m, got shape %s", event_shape[0],
      tostring(W.shape))
  end
  if shapes.slice(D.shape, -1) ~= event_shape then
    args.fail(what, "cov_diag must be a batch of vectors with shape %s, got shape %s", tostring(event_shape),
      tostring(D.shape))
  end
  local ok, parts = pcall(torch.broadcast_tensors, { loc:unsqueeze(-1), W, D:unsqueeze(-1) })
  if not ok then
    args.fail(what, "Incompatible batch shapes: loc %s, cov_factor %s, cov_diag %s", tostring(loc.shape),
      tostring(W.shape), tostring(D.shape))
  end
  self.loc, self.cov_factor, self.cov_diag = parts[1]:select(-1, 0), parts[2], parts[3]:select(-1, 0)
  self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = W, D
  self._capacitance_tril = gaussian.capacitance_tril(W, D)
  Distribution.init(self, shapes.slice(self.loc.shape, 0, -1), event_shape, validate_args)
end

function LowRank:expand(batch_shape)
  local n = self.event_shape
  return self:_expand(LowRank, batch_shape, { loc = n, cov_diag = n, cov_factor = n .. { self.cov_factor:size(-1) } },
    { "_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril" })
end

function LowRank:mean() return self.loc end
function LowRank:mode() return self.loc end

LowRank.variance = utils.lazy_property(function(self)
  return (self._unbroadcasted_cov_factor:pow(2):sum(-1) + self._unbroadcasted_cov_diag)
    :expand(self._batch_shape .. self._event_shape)
end)

local function matrix_of(fn)
  return utils.lazy_property(function(self)
    local matrix = fn(self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag, self._capacitance_tril)
    return matrix:expand(self._batch_shape .. self._event_shape .. self._event_shape)
  end)
end

LowRank.covariance_matrix = matrix_of(function(W, D) return W:matmul(W.mT) + torch.diag_embed(D) end)
-- sqrt(D) times the factor of I + V V^T, where V is W with its rows over sqrt(D).
LowRank.scale_tril = matrix_of(function(W, D)
  local root = D:sqrt():unsqueeze(-1)
  return root * gaussian.capacitance_tril((W / root).mT, torch.ones_like(W:select(-2, 0)))
end)
LowRank.precision_matrix = matrix_of(function(W, D, capacitance)
  local A = torch.linalg.solve_triangular(capacitance, W.mT / D:unsqueeze(-2), { upper = false })
  return torch.diag_embed(D:reciprocal()) - A.mT:matmul(A)
end)

function LowRank:rsample(...)
  local shape = self:_extended_shape(...)
  local factor_noise = utils.standard_normal(shapes.slice(shape, 0, -1) .. { self.cov_factor:size(-1) }, self.loc)
  local diag_noise = utils.standard_normal(shape, self.loc)
  return self.loc + gaussian.multiply(self._unbroadcasted_cov_factor, factor_noise)
    + self._unbroadcasted_cov_diag:sqrt() * diag_noise
end

local function log_det(self) return gaussian.low_rank_log_det(self._unbroadcasted_cov_diag, self._capacitance_tril) end

function LowRank:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local distance = gaussian.low_rank_mahalanobis(self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag,
    value - self.loc, self._capacitance_tril)
  return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + log_det(self) + distance)
end

function LowRank:entropy()
  return (0.5 * (self._event_shape[0] * (1 + math.log(2 * math.pi)) + log_det(self))):expand(self._batch_shape)
end

return LowRank
