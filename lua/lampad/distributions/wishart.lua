-- torch.distributions.Wishart: scatter matrices of df normal vectors of a covariance.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local gaussian = require "lampad.distributions.gaussian"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Chi2 = require "lampad.distributions.chi2"
local ExponentialFamily = require "lampad.distributions.exp_family"

local torch = core.torch

local Wishart = ExponentialFamily:extend "Wishart"
local spec = args [[Wishart(any df, Tensor covariance_matrix=nil, Tensor precision_matrix=nil, Tensor scale_tril=nil,
  bool validate_args=nil)]]

Wishart.support = constraints.positive_definite
Wishart.has_rsample = true
Wishart._mean_carrier_measure = 0

function Wishart:arg_constraints()
  return self.constrained { { "covariance_matrix", constraints.positive_definite },
    { "precision_matrix", constraints.positive_definite }, { "scale_tril", constraints.lower_cholesky },
    { "df", constraints.greater_than(self.event_shape[-1] - 1) } }
end

-- The squared diagonal of Bartlett's factor: Chi2 numbers of df, df - 1, ..., df - p + 1 degrees.
local function diagonal_distribution(df, p, model)
  local lost = torch.arange(p, { dtype = model.dtype, device = model.device })
  return Chi2(df:unsqueeze(-1) - lost)
end

--- Wishart(df, covariance_matrix), or one of {precision_matrix = P}, {scale_tril = L}: df above p - 1, matrices (..., p, p).
function Wishart:init(...)
  local df, covariance, precision, scale_tril, validate_args = spec(...)
  local name, matrix = gaussian.one_matrix("Wishart", covariance, precision, scale_tril)
  if matrix.ndim < 2 then
    args.fail("Wishart", "%s must be at least two-dimensional, with optional leading batch dimensions", name)
  end
  local p = matrix:size(-1)
  local batch_shape = shapes.slice(matrix.shape, 0, -2)
  if type(df) == "number" then
    self.df = torch.tensor(df, { dtype = matrix.dtype, device = matrix.device })
  else
    utils.check_tensor("Wishart", "df", df)
    batch_shape = torch.broadcast_shapes(batch_shape, df.shape)
    self.df = df:expand(batch_shape)
  end
  if self.df:le(p - 1):any():item() then
    args.fail("Wishart", "Value of df=%s expected to be greater than ndim - 1 = %d.", shapes.text(df), p - 1)
  end
  self[name] = matrix:expand(batch_shape .. { -1, -1 })
  if self.df:lt(p):any():item() then
    self._warn("Wishart: Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.")
  end
  ExponentialFamily.init(self, batch_shape, shapes.slice(matrix.shape, -2), validate_args)
  self._unbroadcasted_scale_tril = gaussian.scale_tril(name, matrix)
  self._dist_chi2 = diagonal_distribution(self.df, p, self._unbroadcasted_scale_tril)
end

function Wishart:expand(batch_shape)
  local n = self.event_shape
  local new = self:_expand(Wishart, batch_shape, { df = shapes.none, covariance_matrix = n, precision_matrix = n,
    scale_tril = n, _unbroadcasted_scale_tril = n })
  new._dist_chi2 = diagonal_distribution(new.df, n[-1], new._unbroadcasted_scale_tril)
  return new
end

local function matrix_of(fn)
  return utils.lazy_property(function(self)
    return fn(self._unbroadcasted_scale_tril):expand(self._batch_shape .. self._event_shape)
  end)
end

Wishart.scale_tril = matrix_of(function(L) return L end)
Wishart.covariance_matrix = matrix_of(function(L) return L:matmul(L.mT) end)
Wishart.precision_matrix = matrix_of(function(L)
  return torch.cholesky_solve(torch.eye(L:size(-1), { dtype = L.dtype, device = L.device }), L)
end)

-- A number for each matrix, beside the matrices.
local function beside(x) return x:unsqueeze(-1):unsqueeze(-1) end

function Wishart:mean() return beside(self.df) * self.covariance_matrix end

--- NaN where df is at most p + 1.
function Wishart:mode()
  local factor = self.df - self.event_shape[-1] - 1
  return beside(factor:masked_fill(factor:le(0), 0 / 0)) * self.covariance_matrix
end

function Wishart:variance()
  local V = self.covariance_matrix
  local diagonal = V:diagonal(0, -2, -1)
  return beside(self.df) * (V:pow(2) + diagonal:unsqueeze(-1) * diagonal:unsqueeze(-2))
end

-- Bartlett's decomposition: L A A^T L^T, A lower triangular with roots of Chi2 numbers on, normal numbers below the
-- diagonal.
local function bartlett(self, sample_shape)
  local p, L = self.event_shape[-1], self._unbroadcasted_scale_tril
  local diagonal = self._dist_chi2:rsample(sample_shape):sqrt():clamp { min = torch.finfo(L.dtype).eps }
  local shape = sample_shape .. self._batch_shape
  local normal = torch.randn(shape .. { p * (p - 1) // 2 }, { dtype = diagonal.dtype, device = diagonal.device })
  local below = p > 1 and utils.vec_to_tril_matrix(normal, -1) or diagonal:new_zeros(shape .. { 1, 1 })
  local factor = L:matmul(torch.diag_embed(diagonal) + below)
  return factor:matmul(factor.mT)
end

-- Which of n draws have a matrix of the batch for which check gives `what`.
local function draws_where(self, what, draws)
  local valid = self.support:check(draws):reshape(draws:size(0), -1)
  return (what and valid or valid:logical_not()):any(-1)
end

--- rsample(sample_shape, {max_try_correction = 10}). The stream is PyTorch's, which draws valid samples once more; those
--- that are singular then are drawn again, so often.
function Wishart:rsample(...)
  local sample_shape, named = shapes.sample_with("Wishart", { "max_try_correction" }, ...)
  local draws = bartlett(self, sample_shape):reshape(torch.Size { sample_shape:numel() } .. self._batch_shape
    .. self._event_shape)
  local wanted = draws_where(self, true, draws)
  local tries = named.max_try_correction or 10
  if math.type(tries) ~= "integer" then
    args.fail("Wishart", "argument 'max_try_correction' must be an integer, got %s", text.describe(tries))
  end
  for _ = 1, tries do
    if not wanted:any():item() then break end
    local index = wanted:nonzero():squeeze(-1)
    local new = bartlett(self, index.shape)
    draws = draws:index_copy(0, index, new)
    wanted = torch.zeros_like(wanted):index_copy(0, index, draws_where(self, false, new))
  end
  return draws:reshape(self:_extended_shape(sample_shape))
end

function Wishart:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local nu, p, L = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
  local _, log_det = torch.linalg.slogdet(value)
  local trace = torch.cholesky_solve(value, L):diagonal(0, -2, -1):sum(-1)
  return -nu * (p * math.log(2) / 2 + gaussian.half_log_det(L)) - torch.mvlgamma(nu / 2, p)
    + (nu - p - 1) / 2 * log_det - trace / 2
end

-- The derivative of mvlgamma(x, p).
local function multivariate_digamma(x, p)
  local half = torch.arange(p, { dtype = x.dtype, device = x.device }) / 2
  return torch.digamma(x:unsqueeze(-1) - half):sum(-1)
end

function Wishart:entropy()
  local nu, p = self.df, self._event_shape[-1]
  return (p + 1) * (p * math.log(2) / 2 + gaussian.half_log_det(self._unbroadcasted_scale_tril))
    + torch.mvlgamma(nu / 2, p) - (nu - p - 1) / 2 * multivariate_digamma(nu / 2, p) + nu * p / 2
end

function Wishart:_natural_params()
  return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2
end

function Wishart:_log_normalizer(x, y)
  local p = self._event_shape[-1]
  local _, log_det = torch.linalg.slogdet(-2 * x)
  local shifted = y + (p + 1) / 2
  return shifted * (p * math.log(2) - log_det) + torch.mvlgamma(shifted, p)
end

return Wishart
