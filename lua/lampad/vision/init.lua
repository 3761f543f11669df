-- torch.vision (torchvision): datasets, models, ops, transforms and utils. Loads at first use.
return require "lampad.lazy" {
  datasets = "lampad.vision.datasets", models = "lampad.vision.models", ops = "lampad.vision.ops",
  transforms = "lampad.vision.transforms", utils = "lampad.vision.utils",
}
