-- vision.transforms.functional: the functions behind the transforms. On a vision.Image they give Pillow's results, on
-- tensors (..., C, H, W) those of torchvision's tensors. Each file loads at first use.
local lazy = require "lampad.lazy"

local files = lazy.members("lampad.vision.transforms.functional.", {
  colour = { "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue", "adjust_saturation", "autocontrast",
    "equalize", "invert", "posterize", "rgb_to_grayscale", "solarize", "to_grayscale" },
  convert = { "convert_image_dtype", "get_dimensions", "get_image_num_channels", "get_image_size", "normalize",
    "pil_to_tensor", "to_pil_image", "to_tensor" },
  crop = { "center_crop", "crop", "erase", "five_crop", "hflip", "pad", "ten_crop", "vflip" },
  filter = { "adjust_sharpness", "gaussian_blur" },
  resize = { "resize", "resized_crop" },
  warp = { "affine", "elastic_transform", "perspective", "rotate" },
})
files.InterpolationMode = "lampad.vision.transforms.interpolation"

return lazy(files)
