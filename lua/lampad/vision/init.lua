-- torch.vision (torchvision): datasets and transforms. Loads at first use.
return require "lampad.lazy" { datasets = "lampad.vision.datasets", transforms = "lampad.vision.transforms" }
