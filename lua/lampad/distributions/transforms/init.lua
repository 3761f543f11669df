-- torch.distributions.transforms: each transform is a file of its own, loaded at first use.
local lazy = require "lampad.lazy"

local prefix = "lampad.distributions.transforms."
return lazy {
  AbsTransform = prefix .. "abs", AffineTransform = prefix .. "affine", CatTransform = prefix .. "cat",
  ComposeTransform = prefix .. "compose", CorrCholeskyTransform = prefix .. "corr_cholesky",
  CumulativeDistributionTransform = prefix .. "cumulative", ExpTransform = prefix .. "exp",
  IndependentTransform = prefix .. "independent", LowerCholeskyTransform = prefix .. "lower_cholesky",
  PositiveDefiniteTransform = prefix .. "positive_definite", PowerTransform = prefix .. "power",
  ReshapeTransform = prefix .. "reshape", SigmoidTransform = prefix .. "sigmoid", SoftmaxTransform = prefix .. "softmax",
  SoftplusTransform = prefix .. "softplus", StackTransform = prefix .. "stack",
  StickBreakingTransform = prefix .. "stick_breaking", TanhTransform = prefix .. "tanh", Transform = prefix .. "transform",
  identity_transform = function() return require(prefix .. "compose") {} end,
}
