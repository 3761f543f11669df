-- Kullback-Leibler divergences between distributions of one class, and between normal vectors of either form.
-- Sources: Gil, "On Renyi divergence measures for continuous alphabet sources" (2011); Chyzak and Nielsen (2019) for Cauchy.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local gaussian = require "lampad.distributions.gaussian"
local utils = require "lampad.distributions.utils"
local D = require "lampad.distributions"

local torch = core.torch
local softplus = require("lampad.nn.functional").softplus
local INF = math.huge

local function fail(format, ...) args.fail("kl_divergence", format, ...) end

-- --- discrete -------------------------------------------------------------------------------------------------

-- p log(p / q) where p is not 0, infinite where q alone is.
local function term(value, p, q) return value:masked_fill(q:eq(0), INF):masked_fill(p:eq(0), 0) end

local function bernoulli(p, q)
  local success = p.probs * (softplus(-q.logits) - softplus(-p.logits))
  local failure = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
  return term(success, p.probs, q.probs) + term(failure, 1 - p.probs, 1 - q.probs)
end

local function binomial(p, q)
  if p.total_count:lt(q.total_count):any():item() then
    fail("KL between Binomials where q.total_count > p.total_count is not implemented")
  end
  local each = p.probs * (p.logits - q.logits) + (-p.probs):log1p() - (-q.probs):log1p()
  return (p.total_count * each):masked_fill(p.total_count:gt(q.total_count), INF)
end

local function categorical(p, q)
  return term(p.probs * (p.logits - q.logits), p.probs, q.probs):sum(-1)
end

local function geometric(p, q) return -p:entropy() - torch.log1p(-q.probs) / p.probs - q.logits end

local function poisson(p, q) return p.rate * (p.rate:log() - q.rate:log()) - (p.rate - q.rate) end

-- --- on the line ----------------------------------------------------------------------------------------------

local function beta(p, q)
  local a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
  local of_p, of_q = a + b, c + d
  return c:lgamma() + d:lgamma() - of_q:lgamma() - (a:lgamma() + b:lgamma() - of_p:lgamma())
    + (a - c) * a:digamma() + (b - d) * b:digamma() + (of_q - of_p) * of_p:digamma()
end

local function dirichlet(p, q)
  local a, b = p.concentration, q.concentration
  local total = a:sum(-1)
  local means = a:digamma() - total:digamma():unsqueeze(-1)
  return total:lgamma() - b:sum(-1):lgamma() - (a:lgamma() - b:lgamma()):sum(-1) + ((a - b) * means):sum(-1)
end

local function continuous_bernoulli(p, q)
  return p.mean * (p.logits - q.logits) + p:_cont_bern_log_norm() + torch.log1p(-p.probs)
    - q:_cont_bern_log_norm() - torch.log1p(-q.probs)
end

local function exponential(p, q)
  local ratio = q.rate / p.rate
  return ratio - 1 - ratio:log()
end

local function gamma(p, q)
  local a, b = p.concentration, q.concentration
  return b * (p.rate / q.rate):log() + b:lgamma() - a:lgamma() + (a - b) * a:digamma() + (q.rate - p.rate) * (a / p.rate)
end

local function gumbel(p, q)
  local ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
  return shift - ratio:log() + ratio * utils.euler_constant + torch.exp((1 + ratio):lgamma() - shift)
    - (1 + utils.euler_constant)
end

local function laplace(p, q)
  local ratio, distance = p.scale / q.scale, (p.loc - q.loc):abs()
  return distance / q.scale + ratio * torch.exp(-distance / p.scale) - ratio:log() - 1
end

local function normal(p, q)
  local ratio = (p.scale / q.scale):pow(2)
  return 0.5 * (ratio + ((p.loc - q.loc) / q.scale):pow(2) - 1 - ratio:log())
end

local function pareto(p, q)
  local ratio = q.alpha / p.alpha
  local result = q.alpha * (p.scale / q.scale):log() - ratio:log() + ratio - 1
  return result:masked_fill(p.scale:lt(q.scale), INF)
end

local function uniform(p, q)
  return ((q.high - q.low) / (p.high - p.low)):log():masked_fill(q.low:gt(p.low) | q.high:lt(p.high), INF)
end

local function cauchy(p, q)
  return ((p.scale + q.scale):pow(2) + (p.loc - q.loc):pow(2)):log() - (4 * p.scale * q.scale):log()
end

-- --- normal vectors -------------------------------------------------------------------------------------------

-- 1/2 (log det S_q - log det S_p + tr(S_q^-1 S_p) + distance^2 - n): the forms differ in how they get the parts. A part of
-- q: log_det, distance(x), trace(X) = tr(S_q^-1 X X^T); of p: log_det, and its covariance as a sum of X X^T.
local function dense(d)
  local L = d._unbroadcasted_scale_tril
  return {
    log_det = function() return 2 * gaussian.half_log_det(L) end,
    distance = function(x) return gaussian.mahalanobis(L, x) end,
    trace = function(X) return gaussian.trace_square(torch.linalg.solve_triangular(L, X, { upper = false })) end,
    factors = function() return { L } end,
  }
end

local function low_rank(d)
  local W, diag, capacitance = d._unbroadcasted_cov_factor, d._unbroadcasted_cov_diag, d._capacitance_tril
  return {
    log_det = function() return gaussian.low_rank_log_det(diag, capacitance) end,
    distance = function(x) return gaussian.low_rank_mahalanobis(W, diag, x, capacitance) end,
    trace = function(X)
      local A = torch.linalg.solve_triangular(capacitance, W.mT / diag:unsqueeze(-2), { upper = false })
      return gaussian.trace_square(X * diag:rsqrt():unsqueeze(-1)) - gaussian.trace_square(A:matmul(X))
    end,
    factors = function() return { W, torch.diag_embed(diag:sqrt()) } end,
  }
end

local function normal_vectors(form_p, form_q)
  return function(p, q)
    if p.event_shape ~= q.event_shape then
      fail("KL-divergence between two (Low Rank) Multivariate Normals with different event shapes cannot be computed: "
        .. "%s and %s", tostring(p.event_shape), tostring(q.event_shape))
    end
    local of_p, of_q, trace = form_p(p), form_q(q), nil
    for _, X in ipairs(of_p.factors()) do
      local part = of_q.trace(X)
      trace = trace and trace + part or part
    end
    return 0.5 * (of_q.log_det() - of_p.log_det() + trace + of_q.distance(q.loc - p.loc) - p.event_shape[0])
  end
end

-- --- distributions made of others -------------------------------------------------------------------------------

-- The Bregman divergence of the log normalizers.
local function exponential_family(p, q)
  if class.class_of(p) ~= class.class_of(q) then
    fail("The cross KL-divergence between different exponential families cannot be computed using Bregman divergences "
      .. "(p is a %s, q a %s)", p.__name, q.__name)
  end
  local normalizer, params, means = p:_normalizer_and_means()
  local other = { q:_natural_params() }
  local result = q:_log_normalizer(table.unpack(other)) - normalizer
  for i, mean in ipairs(means) do
    result = result - utils.sum_rightmost((other[i] - params[i]) * mean, #q.event_shape)
  end
  return result
end

local function same_transforms(p, q)
  if #p.transforms ~= #q.transforms then return false end
  for i, t in ipairs(p.transforms) do
    if t ~= q.transforms[i] then return false end
  end
  return true
end

return function(M)
  local register = M.register_kl
  for name, fn in pairs { Bernoulli = bernoulli, Beta = beta, Binomial = binomial, Categorical = categorical, Cauchy = cauchy,
    ContinuousBernoulli = continuous_bernoulli, Dirichlet = dirichlet, Exponential = exponential,
    ExponentialFamily = exponential_family, Gamma = gamma, Geometric = geometric, Gumbel = gumbel, Laplace = laplace,
    Normal = normal, Pareto = pareto, Poisson = poisson, Uniform = uniform } do
    register(D[name], D[name], fn)
  end
  register(D.HalfNormal, D.HalfNormal, function(p, q) return normal(p.base_dist, q.base_dist) end)
  register(D.OneHotCategorical, D.OneHotCategorical, function(p, q) return categorical(p._categorical, q._categorical) end)
  for P, form_p in pairs { [D.MultivariateNormal] = dense, [D.LowRankMultivariateNormal] = low_rank } do
    for Q, form_q in pairs { [D.MultivariateNormal] = dense, [D.LowRankMultivariateNormal] = low_rank } do
      register(P, Q, normal_vectors(form_p, form_q))
    end
  end
  register(D.TransformedDistribution, D.TransformedDistribution, function(p, q)
    if not same_transforms(p, q) then fail("not implemented for distributions of different transforms") end
    if p.event_shape ~= q.event_shape then
      fail("not implemented for different event shapes: %s and %s", tostring(p.event_shape), tostring(q.event_shape))
    end
    return M.kl_divergence(p.base_dist, q.base_dist)
  end)
  register(D.Independent, D.Independent, function(p, q)
    local count = p.reinterpreted_batch_ndims
    if count ~= q.reinterpreted_batch_ndims then
      fail("not implemented for Independents of %d and %d reinterpreted batch dims", count, q.reinterpreted_batch_ndims)
    end
    return utils.sum_rightmost(M.kl_divergence(p.base_dist, q.base_dist), count)
  end)
end
