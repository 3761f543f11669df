-- torch.distributions: probability distributions, transforms of random variables, constraints and KL divergences.
-- Each class is a file of its own, loaded at first use. PyTorch's modules are there, too: D.normal.Normal is D.Normal.
local lazy = require "lampad.lazy"

local prefix = "lampad.distributions."

-- Files that return a table of several names.
local shared = {
  constraint_registry = { "ConstraintRegistry", "biject_to", "transform_to" },
  kl = { "kl_divergence", "register_kl" },
  one_hot_categorical = { "OneHotCategorical", "OneHotCategoricalStraightThrough" },
  relaxed_bernoulli = { "LogitRelaxedBernoulli", "RelaxedBernoulli" },
  relaxed_categorical = { "ExpRelaxedCategorical", "RelaxedOneHotCategorical" },
}
local files = lazy.members(prefix, shared)
for file in pairs(shared) do files[file] = prefix .. file end
for _, file in ipairs { "constraints", "transforms", "utils" } do files[file] = prefix .. file end

-- Files that return a class.
for name, file in pairs {
  Bernoulli = "bernoulli", Beta = "beta", Binomial = "binomial", Categorical = "categorical", Cauchy = "cauchy", Chi2 = "chi2",
  ContinuousBernoulli = "continuous_bernoulli", Dirichlet = "dirichlet", Distribution = "distribution",
  Exponential = "exponential", ExponentialFamily = "exp_family", FisherSnedecor = "fishersnedecor", Gamma = "gamma",
  GeneralizedPareto = "generalized_pareto", Geometric = "geometric", Gumbel = "gumbel", HalfCauchy = "half_cauchy",
  HalfNormal = "half_normal", Independent = "independent", InverseGamma = "inverse_gamma", Kumaraswamy = "kumaraswamy",
  LKJCholesky = "lkj_cholesky", Laplace = "laplace", LogNormal = "log_normal", LogisticNormal = "logistic_normal",
  LowRankMultivariateNormal = "lowrank_multivariate_normal", MixtureSameFamily = "mixture_same_family",
  Multinomial = "multinomial", MultivariateNormal = "multivariate_normal", NegativeBinomial = "negative_binomial",
  Normal = "normal", Pareto = "pareto", Poisson = "poisson", StudentT = "studentT",
  TransformedDistribution = "transformed_distribution", Uniform = "uniform", VonMises = "von_mises", Weibull = "weibull",
  Wishart = "wishart",
} do
  files[name] = prefix .. file
  files[file] = function() return { [name] = require(prefix .. file) } end
end

for _, name in ipairs { "AbsTransform", "AffineTransform", "CatTransform", "ComposeTransform", "CorrCholeskyTransform",
  "CumulativeDistributionTransform", "ExpTransform", "IndependentTransform", "LowerCholeskyTransform",
  "PositiveDefiniteTransform", "PowerTransform", "ReshapeTransform", "SigmoidTransform", "SoftmaxTransform",
  "SoftplusTransform", "StackTransform", "StickBreakingTransform", "TanhTransform", "Transform", "identity_transform" } do
  files[name] = function() return require("lampad.distributions.transforms")[name] end
end

return lazy(files)
