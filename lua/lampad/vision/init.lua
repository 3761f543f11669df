-- torch.vision (torchvision): datasets, models and transforms. Loads at first use.
return require "lampad.lazy" {
  datasets = "lampad.vision.datasets", models = "lampad.vision.models", transforms = "lampad.vision.transforms",
}
