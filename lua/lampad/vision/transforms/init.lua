-- vision.transforms: transforms of images and tensors of images. A transform is called with one image; each file loads
-- at first use.
local lazy = require "lampad.lazy"

local files = lazy.members("lampad.vision.transforms.", {
  auto_augment = { "AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide" },
  base = { "Transform" },
  blur = { "GaussianBlur" },
  colour = { "ColorJitter", "Grayscale", "RandomAdjustSharpness", "RandomAutocontrast", "RandomEqualize", "RandomGrayscale",
    "RandomInvert", "RandomPosterize", "RandomSolarize" },
  compose = { "Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder" },
  convert = { "ConvertImageDtype", "LinearTransformation", "Normalize", "PILToTensor", "ToPILImage", "ToTensor" },
  crop = { "CenterCrop", "FiveCrop", "Pad", "RandomCrop", "RandomResizedCrop", "Resize", "TenCrop" },
  erasing = { "RandomErasing" },
  flip = { "RandomHorizontalFlip", "RandomVerticalFlip" },
  mix = { "CutMix", "MixUp" },
  warp = { "ElasticTransform", "RandomAffine", "RandomPerspective", "RandomRotation" },
})
files.InterpolationMode = "lampad.vision.transforms.interpolation"
files.v2 = "lampad.vision.transforms.v2"
files.functional = "lampad.vision.transforms.functional"

return lazy(files)
