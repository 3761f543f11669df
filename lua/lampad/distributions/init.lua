-- torch.distributions: probability distributions, transforms of random variables, constraints and KL divergences.
-- Each class is a file of its own, loaded at first use.
local lazy = require "lampad.lazy"

local prefix = "lampad.distributions."
local files = lazy.members(prefix, {
  constraint_registry = { "ConstraintRegistry", "biject_to", "transform_to" },
  kl = { "kl_divergence", "register_kl" },
  one_hot_categorical = { "OneHotCategorical", "OneHotCategoricalStraightThrough" },
  relaxed_bernoulli = { "LogitRelaxedBernoulli", "RelaxedBernoulli" },
  relaxed_categorical = { "ExpRelaxedCategorical", "RelaxedOneHotCategorical" },
})

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
  constraint_registry = "constraint_registry", constraints = "constraints", kl = "kl", transforms = "transforms",
  utils = "utils",
} do files[name] = prefix .. file end

for _, name in ipairs { "AbsTransform", "AffineTransform", "CatTransform", "ComposeTransform", "CorrCholeskyTransform",
  "CumulativeDistributionTransform", "ExpTransform", "IndependentTransform", "LowerCholeskyTransform",
  "PositiveDefiniteTransform", "PowerTransform", "ReshapeTransform", "SigmoidTransform", "SoftmaxTransform",
  "SoftplusTransform", "StackTransform", "StickBreakingTransform", "TanhTransform", "Transform", "identity_transform" } do
  files[name] = function() return require("lampad.distributions.transforms")[name] end
end

return lazy(files)
