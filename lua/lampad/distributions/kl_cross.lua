-- Kullback-Leibler divergences between distributions of different classes: KL(p || q) = -H(p) - E_p[log q(x)].
--
-- For most q the mean of log q(x) needs only a few means under p: of x and x^2 for a normal q, of x and log x for a Gamma q.
-- So there is one function for each q, which asks p for them, and a table of the means under each p.
local core = require "lampad.core"
local utils = require "lampad.distributions.utils"
local D = require "lampad.distributions"

local torch = core.torch
local INF, LOG_2PI, EULER = math.huge, math.log(2 * math.pi), utils.euler_constant

local function x_log_x(x) return torch.xlogy(x, x) end

-- --- means under p --------------------------------------------------------------------------------------------

-- The mean of log x.
local mean_log = {
  Beta = function(p) return p.concentration1:digamma() - (p.concentration1 + p.concentration0):digamma() end,
  Exponential = function(p) return -p.rate:log() - EULER end,
  Pareto = function(p) return p.scale:log() + p.alpha:reciprocal() end,
  Uniform = function(p)
    local width = p.high - p.low
    return (x_log_x(p.high) - x_log_x(p.low) - width) / width
  end,
}

-- The mean of exp(-(x - q.loc) / q.scale).
local mean_exp = {
  Exponential = function(p, q)
    local product = p.rate * q.scale
    return torch.exp(q.loc / q.scale) * product / (product + 1)
  end,
  Gamma = function(p, q)
    return torch.exp(q.loc / q.scale) * (1 + (p.rate * q.scale):reciprocal()):pow(-p.concentration)
  end,
  Normal = function(p, q) return torch.exp((q.loc - p.loc) / q.scale + 0.5 * (p.scale / q.scale):pow(2)) end,
  Uniform = function(p, q)
    local low, high = (p.low - q.loc) / q.scale, (p.high - q.loc) / q.scale
    return q.scale / (p.high - p.low) * (torch.exp(-low) - torch.exp(-high))
  end,
}

-- The mean under p, whose class may be below the one in the table.
local function mean_of(means, p, q)
  local class = getmetatable(p).class
  while class do
    local fn = means[class.__name]
    if fn then return fn(p, q) end
    class = rawget(class, "super")
  end
end

-- --- mean of -log q(x) ------------------------------------------------------------------------------------------

local function cross_exponential(p, q) return q.rate * p.mean - q.rate:log() end

local function cross_gamma(p, q)
  return q.concentration:lgamma() - q.concentration * q.rate:log() - (q.concentration - 1) * mean_of(mean_log, p)
    + q.rate * p.mean
end

local function cross_gumbel(p, q) return q.scale:log() + (p.mean - q.loc) / q.scale + mean_of(mean_exp, p, q) end

local function cross_normal(p, q)
  local square = p.variance + (p.mean - q.loc):pow(2)
  return q.scale:log() + 0.5 * (LOG_2PI + square / q.scale:pow(2))
end

local function cross_continuous_bernoulli(p, q)
  return -p.mean * q.logits - torch.log1p(-q.probs) - q:_cont_bern_log_norm()
end

local function divergence(cross)
  return function(p, q) return cross(p, q) - p:entropy() end
end

-- Infinite where outside(p, q): p has numbers where the density of q is 0.
local function unless(outside, fn)
  return function(p, q)
    local result = fn(p, q)
    return torch.where(outside(p, q), INF, result)
  end
end

local function negative_low(p) return p.low:lt(0) end
local function bounded_tail(order)
  return function(p) return p.alpha:le(order) end
end

-- --- pairs of their own -----------------------------------------------------------------------------------------

local function log_width(_, q) return (q.high - q.low):log() end

local function uniform_beta(p, q)
  local a, b, width = q.concentration1, q.concentration0, p.high - p.low
  local mean_log_rest = (x_log_x(1 - p.low) - x_log_x(1 - p.high) - width) / width
  return a:lgamma() + b:lgamma() - (a + b):lgamma() - (a - 1) * mean_log.Uniform(p) - (b - 1) * mean_log_rest - width:log()
end

local function uniform_pareto(p, q)
  return (q.alpha + 1) * mean_log.Uniform(p) - (q.alpha * q.scale:pow(q.alpha) * (p.high - p.low)):log()
end

local function normal_laplace(p, q)
  local distance = p.loc - q.loc
  local z = distance / p.scale
  local mean_abs = math.sqrt(2 / math.pi) * p.scale * torch.exp(-0.5 * z:pow(2))
    + distance * torch.erf(math.sqrt(0.5) * z)
  return mean_abs / q.scale - (p.scale / q.scale):log() - 0.5 * (1 + math.log(0.5 * math.pi))
end

local function bernoulli_poisson(p, q) return q.rate - p.probs * q.rate:log() - p:entropy() end

-- Pairs in which p always has numbers that q has not, with p's parameter whose shape is the result's.
local infinite = {
  { "Beta", "concentration1", "Pareto" },
  { "ContinuousBernoulli", "probs", "Pareto" },
  { "Exponential", "rate", "Beta ContinuousBernoulli Pareto Uniform" },
  { "Gamma", "concentration", "Beta ContinuousBernoulli Pareto Uniform" },
  { "Gumbel", "loc", "Beta ContinuousBernoulli Exponential Gamma Pareto Uniform" },
  { "Laplace", "loc", "Beta ContinuousBernoulli Exponential Gamma Pareto Uniform" },
  { "Normal", "loc", "Beta ContinuousBernoulli Exponential Gamma Pareto Uniform" },
  { "Pareto", "scale", "Beta ContinuousBernoulli Uniform" },
  { "Poisson", "rate", "Bernoulli Binomial" },
}

local finite = {
  Bernoulli = { Poisson = bernoulli_poisson },
  Beta = {
    ContinuousBernoulli = divergence(cross_continuous_bernoulli), Exponential = divergence(cross_exponential),
    Gamma = divergence(cross_gamma), Normal = divergence(cross_normal),
    Uniform = unless(function(_, q) return q.low:gt(0) | q.high:lt(1) end, divergence(log_width)),
  },
  ContinuousBernoulli = {
    Exponential = divergence(cross_exponential), Normal = divergence(cross_normal),
    -- PyTorch's region, which leaves out intervals that end where [0, 1] does.
    Uniform = unless(function(_, q) return q.low:ge(0) | q.high:le(1) end, divergence(log_width)),
  },
  Exponential = {
    Gamma = divergence(cross_gamma), Gumbel = divergence(cross_gumbel), Normal = divergence(cross_normal),
  },
  Gamma = {
    Exponential = divergence(cross_exponential), Gumbel = divergence(cross_gumbel), Normal = divergence(cross_normal),
  },
  Gumbel = { Normal = divergence(cross_normal) },
  Laplace = { Normal = divergence(cross_normal) },
  Normal = { Gumbel = divergence(cross_gumbel), Laplace = normal_laplace },
  Pareto = {
    Exponential = unless(bounded_tail(1), divergence(cross_exponential)),
    Gamma = unless(bounded_tail(1), divergence(cross_gamma)),
    Normal = unless(bounded_tail(2), divergence(cross_normal)),
  },
  Uniform = {
    Beta = unless(function(p) return p.high:gt(1) | p.low:lt(0) end, uniform_beta),
    -- PyTorch's region, as above.
    ContinuousBernoulli = unless(function(p) return p.high:ge(1) | p.low:le(0) end, divergence(cross_continuous_bernoulli)),
    Exponential = unless(negative_low, divergence(cross_exponential)),
    Gamma = unless(negative_low, divergence(cross_gamma)),
    Gumbel = divergence(cross_gumbel), Normal = divergence(cross_normal),
    Pareto = unless(function(p, q) return p.low:lt(q.scale) end, uniform_pareto),
  },
}

return function(M)
  for _, row in ipairs(infinite) do
    local P, parameter = row[1], row[2]
    for Q in row[3]:gmatch "%S+" do
      M.register_kl(D[P], D[Q], function(p) return torch.full_like(p[parameter], INF) end)
    end
  end
  for P, row in pairs(finite) do
    for Q, fn in pairs(row) do M.register_kl(D[P], D[Q], fn) end
  end
end
