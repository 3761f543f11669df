-- torch.vision (torchvision): datasets, ops, transforms and utils. Loads at first use.
return require "lampad.lazy" { datasets = "lampad.vision.datasets", ops = "lampad.vision.ops",
  transforms = "lampad.vision.transforms", utils = "lampad.vision.utils" }
