-- torch.vision (torchvision): Image, datasets, io, models, ops, transforms, utils. Each loads at first use.
-- The `vision` of the command may be used before `torch` is: the datasets and weights below need what torch then has.
require "lampad"

return require "lampad.lazy" {
  Image = "lampad.vision.image", datasets = "lampad.vision.datasets", io = "lampad.vision.io",
  models = "lampad.vision.models", ops = "lampad.vision.ops", transforms = "lampad.vision.transforms",
  utils = "lampad.vision.utils",
}
