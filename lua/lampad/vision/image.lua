-- vision.Image: a picture as the PIL image of torchvision: its pixels in rows, the channels of a pixel side by
-- side. Tensors of pictures are (C, H, W); an image is what files hold and what transforms work on as Pillow does.
--
-- Note [Lazy images]: an image may know how to get its pixels instead of holding them (Image.lazy). They are fetched
-- when `data` is first read; a transform that needs only a box asks for just that (Image:box).
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local Image = class.extend(class.Object, "Image")

-- Pillow's names of pixel formats -> the number of channels. P: indices into the palette, as masks of classes are kept;
-- I: gray as int32.
Image.modes = { L = 1, LA = 2, RGB = 3, RGBA = 4, CMYK = 4, P = 1, I = 1 }
local mode_of_channels = { "L", "LA", "RGB", "RGBA" }

-- Instances answer to `data` by fetching it; everything else is a member of the class.
function Image.make_index(of)
  return function(self, key)
    if key == "data" then
      local decode = rawget(self, "_decode")
      if decode then
        local data = decode(0, 0, self.height, self.width):contiguous()
        self.data, self._decode = data, nil
        return data
      end
    end
    return of[key]
  end
end
Image.__meta.__index = Image.make_index(Image)

local function describe(self, mode, height, width)
  self.mode, self.height, self.width = mode, height, width
  self.size = { width, height }
  self.shape = torch.Size { Image.modes[mode], height, width }
end

--- Image(data [, mode]): data is uint8 (H, W) or (H, W, C), taken without a copy; mode is "L", "LA", "RGB", "RGBA"
--- or "CMYK", by default what the number of channels says. Fields: data (H, W, C), mode, width, height,
--- size {width, height}, shape torch.Size [C, H, W].
function Image:init(data, mode)
  if not torch.is_tensor(data) or (data.dtype ~= torch.uint8 and mode ~= "I") or (data.ndim ~= 2 and data.ndim ~= 3) then
    args.fail("Image", "data must be a uint8 tensor (H, W) or (H, W, C), got %s", text.describe(data))
  end
  if data.ndim == 2 then data = data:unsqueeze(2) end
  local channels = data:size(2)
  mode = mode or mode_of_channels[channels]
  if mode == nil or self.modes[mode] ~= channels then
    args.fail("Image", "mode %s does not go with %d channels", text.repr(mode), channels)
  end
  self.data = data:contiguous()
  describe(self, mode, data:size(0), data:size(1))
end

--- An image whose pixels come later: decode(top, left, height, width) gives those of a box, uint8 (height, width, C);
--- it is called for the whole when `data` is first read, or for the box that a transform wants.
function Image.lazy(mode, height, width, decode)
  local self = Image.allocate(Image)
  self._decode = decode
  describe(self, mode, height, width)
  return self
end

--- The pixels of a box that lies inside: uint8 (height, width, C), a view where there are pixels already.
function Image:box(top, left, height, width)
  local decode = rawget(self, "_decode")
  if decode then return decode(top, left, height, width) end
  local data = self.data
  if height ~= self.height then data = data:narrow(0, top, height) end
  if width ~= self.width then data = data:narrow(1, left, width) end
  return data
end

--- The pixels as a uint8 tensor (C, H, W) that shares their memory.
function Image:tensor() return self.data:permute(2, 0, 1) end

-- Files, modes and single pixels: loaded at the first use of one.
for _, name in ipairs { "convert", "copy", "exif_transpose", "getbands", "getexif", "getpixel", "load", "numpy", "putpixel", "save" } do
  Image[name] = function(...) return require("lampad.vision.image_file")[name](...) end
end
for _, name in ipairs { "fromarray", "new", "open" } do
  Image[name] = function(...) return require("lampad.vision.image_file")[name](...) end
end
Image.open_later = function(...) return require("lampad.vision.image_later").open_later(...) end
for _, name in ipairs { "crop", "getbbox", "getchannel", "getextrema", "histogram", "merge", "paste", "resize", "rotate", "split", "thumbnail",
  "transpose" } do
  Image[name] = function(...) return require("lampad.vision.image_geometry")[name](...) end
end
--- Pillow's numbers.
Image.Resampling = { NEAREST = 0, LANCZOS = 1, BILINEAR = 2, BICUBIC = 3, BOX = 4, HAMMING = 5 }
Image.Transpose = { FLIP_LEFT_RIGHT = 0, FLIP_TOP_BOTTOM = 1, ROTATE_90 = 2, ROTATE_180 = 3, ROTATE_270 = 4, TRANSPOSE = 5, TRANSVERSE = 6 }
for _, group in ipairs { Image.Resampling, Image.Transpose } do
  for name, number in pairs(group) do Image[name] = number end
end

-- Takes the pixels of another picture over.
function Image:_become(other)
  self.data, self._decode, self._reopen = other.data, nil, nil
  describe(self, other.mode, other.height, other.width)
end

--- A picture of more than twice as many pixels is not opened; false: no limit. Pillow's PIL.Image.MAX_IMAGE_PIXELS.
Image.MAX_IMAGE_PIXELS = 89478485

function Image.__tostring(self) return ("Image(mode=%s, size=%dx%d)"):format(self.mode, self.width, self.height) end

return Image
