-- optim.lr_scheduler: learning rates as functions of the epoch. Everything loads at first use.
local lazy = require "lampad.lazy"

return lazy(lazy.members("lampad.optim.lr_scheduler.", {
  base = { "LRScheduler", "_LRScheduler" },
  decay = { "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR" },
  cosine = { "CosineAnnealingLR", "CosineAnnealingWarmRestarts" },
  lambda = { "LambdaLR", "MultiplicativeLR" },
  cyclic = { "CyclicLR", "OneCycleLR" },
  plateau = { "ReduceLROnPlateau" },
  compose = { "ChainedScheduler", "SequentialLR" },
}))
