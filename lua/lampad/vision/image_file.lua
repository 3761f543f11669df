-- vision.Image and files: open, save; conversions between modes, single pixels. Image's methods of these names are here, so
-- that they load at first use.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Image = require "lampad.vision.image"

local torch = core.torch
local file = {}

local function check_mode(what, mode)
  if not Image.modes[mode] then
    args.fail(what, "mode must be L, LA, RGB, RGBA, CMYK, P or I, got %s", text.describe(mode))
  end
  return mode
end

-- --- open ---------------------------------------------------------------------------------------------
-- A path, a string of bytes (which no path is, as it has zero bytes) or a tensor of bytes -> bytes, name.
local function source_of(what, source)
  if torch.is_tensor(source) then
    if source.dtype ~= torch.uint8 or source.ndim ~= 1 then
      args.fail(what, "the bytes of a file are a uint8 tensor of 1 dim, got %s", text.describe(source))
    end
    return source:contiguous()
  end
  if type(source) == "string" then
    if source:find("\0", 1, true) then return source end
    return core.read_file(source, what), source
  end
  if io.type(source) == "file" then return source:read "a" end
  args.fail(what, "expected a path, bytes or an open file, got %s", text.describe(source))
end

-- Pillow refuses what has more than twice MAX_IMAGE_PIXELS; -1 is no limit.
local function pixel_limit()
  local limit = Image.MAX_IMAGE_PIXELS
  return limit and 2 * limit or -1
end

-- A JPEG file whose last marker is in its place.
local function ends_well(bytes)
  if type(bytes) == "string" then return bytes:sub(-2) == "\xFF\xD9" end
  local n = bytes:numel()
  return n > 2 and bytes[n - 2]:item() == 0xFF and bytes[n - 1]:item() == 0xD9
end

-- How a picture in a file is decoded: bytes, info and the options of core.image_decode -> an image without pixels yet.
local later
function later(bytes, info, options)
  local width, height, scale = info.width, info.height, options.scale
  if scale > 1 and info.format == "jpeg" then width, height = (width + scale - 1) // scale, (height + scale - 1) // scale end
  if options.orient and info.orientation >= 5 then width, height = height, width end
  local mode = options.mode or info.mode
  local image, decode
  function decode(top, left, box_height, box_width)
    local whole = box_height == height and box_width == width
    -- A box in the upper part of a JPEG that breaks off would not tell that it does: all of it is decoded, which does.
    if not whole and info.format == "jpeg" and not ends_well(bytes) then
      return decode(0, 0, height, width):narrow(0, top, box_height):narrow(1, left, box_width)
    end
    local pixels, found = core.image_decode(bytes, {
      name = options.name, mode = mode, orient = options.orient, scale = scale, max_pixels = options.max_pixels,
      top = top, left = left, height = box_height, width = box_width,
    }, "Image.open")
    if found ~= mode then args.fail("Image.open", "%s holds mode %s, its header says %s", options.name or "it", found, mode) end
    return pixels
  end
  image = Image.lazy(mode, height, width, decode)
  -- What convert begins with while there are no pixels: the file's own conversion is Pillow's to the bit.
  image._reopen = function(other)
    local changed = {}
    for key, value in pairs(options) do changed[key] = value end
    changed.mode = other
    return later(bytes, info, changed)
  end
  image.info = { orientation = not options.orient and info.orientation ~= 1 and info.orientation or nil }
  if options.mode == nil then image.info.transparency = info.key end
  if mode == "P" then image.palette = core.tensor_from_bytes(info.palette, torch.uint8, { #info.palette // 4, 4 }) end
  return image
end

local open_spec = args "Image.open(any fp, any mode=nil, *, bool exif_transpose=false, int scale=1)"
local scales = { [1] = true, [2] = true, [4] = true, [8] = true }

--- Image.open(fp, mode): fp: a path, the file's bytes (a string or a uint8 tensor), or an open file. mode: converts as
--- :convert(mode). Without one a palette gives RGB, or RGBA when it has transparency; bits and 16-bit gray give L as
--- Pillow's convert does. Mode P keeps the indices of a picture with a palette (field palette: uint8 (n, 4), red, green,
--- blue, alpha), mode I gray PNGs of up to 16 bits as int32. Options: exif_transpose = true turns the picture as the camera
--- was held; scale = 2, 4 or 8 decodes a JPEG to that part of its size, faster than resizing, with other pixels (Pillow's
--- draft). Fields: format, filename, info. The file is read at once, its pixels are decoded when they are first asked for, and
--- what is wrong with them is said then. Errors name the file.
function file.open(...)
  local source, mode, orient, scale = open_spec(...)
  local bytes, name = source_of("Image.open", source)
  if mode ~= nil then check_mode("Image.open", mode) end
  if not scales[scale] then args.fail("Image.open", "scale must be 1, 2, 4 or 8, got %d", scale) end
  local info = core.image_info(bytes, name, "Image.open")
  local limit = pixel_limit()
  if limit >= 0 and info.width * info.height > limit then
    args.fail("Image.open", "%sthe picture is too large: %d x %d pixels, the limit is %d", name and "cannot read " .. name .. ": " or "",
      info.width, info.height, limit)
  end
  if mode == "P" and not info.palette then args.fail("Image.open", "%s: the picture has no palette", name or "the bytes") end
  local image = later(bytes, info, { name = name, mode = mode, orient = orient, scale = scale, max_pixels = limit })
  image.format, image.filename = info.format:upper(), name
  return image
end

--- image:load(): decodes now what open left for later; returns the image.
function file.load(self)
  local _ = self.data
  return self
end

--- image:getexif(): {orientation = 1 to 8}, empty when the file says nothing or the picture has been turned.
function file.getexif(self) return { orientation = self.info and self.info.orientation } end

-- EXIF's orientation -> transpose?, dims to flip then.
local turns = { [2] = { false, 1 }, [3] = { false, 0, 1 }, [4] = { false, 0 }, [5] = { true }, [6] = { true, 1 },
  [7] = { true, 0, 1 }, [8] = { true, 0 } }

--- image:exif_transpose(): the picture as the camera was held (PIL.ImageOps.exif_transpose); the same when nothing is known.
function file.exif_transpose(self)
  local how = turns[self.info and self.info.orientation or 1]
  if not how then return file.copy(self) end
  local palette = self.palette
  local data = self.data
  if how[1] then data = data:transpose(0, 1) end
  if how[2] then data = data:flip(table.unpack(how, 2)) end
  local result = Image(data:contiguous(), self.mode)
  result.palette = palette
  return result
end

-- --- save ---------------------------------------------------------------------------------------------
local endings = { jpg = "jpeg", jpeg = "jpeg", jpe = "jpeg", jfif = "jpeg", png = "png", webp = "webp", bmp = "bmp",
  ppm = "pnm", pgm = "pnm", pnm = "pnm" }
-- The modes a format holds; others are refused, as Pillow refuses them.
local holds = {
  jpeg = { L = true, RGB = true, CMYK = true }, png = { L = true, LA = true, RGB = true, RGBA = true },
  webp = { RGB = true, RGBA = true, L = "RGB", LA = "RGBA" }, bmp = { L = true, RGB = true },
  pnm = { L = true, RGB = true },
}
local save_spec = args("Image.save(str fp, any format=nil, *, float quality=-1, int compress_level=6, bool lossless=false)")

--- image:save(fp, format): by the file name's ending, or format ("jpeg", "png", "webp", "bmp", "ppm"). Options: quality (jpeg 75,
--- webp 80), compress_level (png), lossless (webp). A mode that the format does not hold is an error: convert first.
function file.save(self, ...)
  local path, format, quality, level, lossless = save_spec(...)
  local wanted = (format or path:match "%.(%w+)$" or ""):lower()
  local kind = endings[wanted]
  if not kind then
    args.fail("Image.save", "unknown file extension or format '%s': expected jpg, png, webp, bmp, ppm or pgm", wanted)
  end
  local held = holds[kind][self.mode]
  if not held then args.fail("Image.save", "cannot write mode %s as %s; convert it first", self.mode, kind:upper()) end
  local image = held == true and self or file.convert(self, held)
  local pixels = image.data
  if kind == "jpeg" and image.mode == "CMYK" then pixels = pixels:bitwise_not() end -- inverted, as Adobe writes it
  local number = kind == "png" and level or quality
  if number < 0 then number = kind == "webp" and 80 or 75 end
  local bytes = core.image_encode(kind, pixels, "Image.save", number, lossless)
  local ok, message = core.atomic_write(path, core.tensor_to_bytes(bytes))
  if not ok then args.fail("Image.save", "%s", message) end
end

-- --- modes --------------------------------------------------------------------------------------------
-- A picture of mode P in its palette's colours; indices beyond it are black.
local function colors_of(self)
  local colors = self.palette or torch.arange(256):unsqueeze(1):expand(256, 3):to(torch.uint8)
  if colors:size(0) < 256 then
    local rest = torch.zeros(256 - colors:size(0), colors:size(1), { dtype = torch.uint8 })
    if colors:size(1) == 4 then rest["..., 3"] = 255 end
    colors = torch.cat { colors, rest }
  end
  local pixels = colors:index_select(0, self.data:flatten():long()):reshape(self.height, self.width, -1)
  local is_opaque = pixels:size(2) == 3 or colors["..., 3"]:min():item() == 255
  return is_opaque and Image(pixels:narrow(2, 0, 3), "RGB") or Image(pixels, "RGBA")
end

local convert_spec = args "Image.convert(any mode=nil)"

--- image:convert(mode): the picture in another mode, with Pillow's integers (luminance 0.299 R + 0.587 G + 0.114 B). The same
--- picture, copied, when it has the mode already.
function file.convert(self, ...)
  local mode = convert_spec(...)
  if mode == nil or mode == self.mode then return file.copy(self) end
  check_mode("Image.convert", mode)
  if mode == "P" or mode == "I" then args.fail("Image.convert", "cannot make mode %s from %s", mode, self.mode) end
  if rawget(self, "_decode") and self._reopen then
    local other = self._reopen(mode)
    other.info.transparency = nil
    return other
  end
  if self.mode == "I" then return file.convert(Image(self.data:clamp(0, 255):to(torch.uint8), "L"), mode) end
  if self.mode == "P" then return file.convert(colors_of(self), mode) end
  local key = self.info and self.info.transparency
  local result = Image(core.image_convert(self.data, self.mode, mode, key, "Image.convert"), mode)
  if self.info then result.info = { orientation = self.info.orientation } end
  return result
end

--- image:copy(): a picture with pixels of its own.
function file.copy(self)
  local result = Image(self.data:clone(), self.mode)
  result.info, result.palette = self.info and torch.deepcopy(self.info), self.palette
  return result
end

--- image:getbands(): the names of the channels, {"R", "G", "B"}.
function file.getbands(self)
  if self.mode == "LA" then return { "L", "A" } end
  local bands = {}
  for letter in self.mode:gmatch "." do bands[#bands + 1] = letter end
  return bands
end

--- image:numpy(): the pixels as a uint8 tensor of their own, (H, W) with one channel, else (H, W, C): numpy.array(image).
function file.numpy(self)
  local data = self.data:clone()
  return data:size(2) == 1 and data:squeeze(2) or data
end

--- Image.fromarray(data, mode): as Image(data, mode), with pixels of its own.
function file.fromarray(data, mode)
  if not torch.is_tensor(data) then args.fail("Image.fromarray", "data must be a tensor, got %s", text.describe(data)) end
  return Image(data:clone(), mode)
end

-- One number for all channels or one for each.
local function color_of(what, mode, color)
  local count = Image.modes[mode]
  if type(color) == "number" then
    local value = math.tointeger(color)
    if not value then args.fail(what, "a colour must be an integer of 0 to 255, got %s", text.describe(color)) end
    if count == 1 then return { value } end
    -- Pillow's packed 0xBBGGRR.
    local list = {}
    for i = 1, count do list[i] = value >> 8 * (i - 1) & 255 end
    return list
  end
  if type(color) ~= "table" or #color ~= count then
    args.fail(what, "a colour of mode %s is a list of %d integers, got %s", mode, count, text.describe(color))
  end
  return color
end

local new_spec = args "Image.new(str mode, ints size, any color=0)"

--- Image.new(mode, {width, height}, color = 0): a picture of one colour: a number for L, a list otherwise; 0 is black.
function file.new(...)
  local mode, size, color = new_spec(...)
  check_mode("Image.new", mode)
  if type(size) ~= "table" or #size ~= 2 or size[1] < 0 or size[2] < 0 then
    args.fail("Image.new", "size must be {width, height}, got %s", text.describe(size))
  end
  local values = torch.tensor(color_of("Image.new", mode, color), { dtype = torch.uint8 })
  return Image(values:expand(size[2], size[1], Image.modes[mode]):contiguous(), mode)
end

local function place(what, self, xy)
  local x, y = type(xy) == "table" and math.tointeger(xy[1]), type(xy) == "table" and math.tointeger(xy[2])
  if not x or not y then args.fail(what, "xy must be {x, y}, got %s", text.describe(xy)) end
  if x < 0 then x = x + self.width end
  if y < 0 then y = y + self.height end
  if x < 0 or y < 0 or x >= self.width or y >= self.height then args.fail(what, "image index out of range") end
  return x, y
end

--- image:getpixel{x, y}: a number in mode L, else a list.
function file.getpixel(self, xy)
  local x, y = place("Image.getpixel", self, xy)
  local values = self.data[{ y, x }]:tolist()
  return #values == 1 and values[1] or values
end

--- image:putpixel({x, y}, color).
function file.putpixel(self, xy, color)
  local x, y = place("Image.putpixel", self, xy)
  self.data[{ y, x }] = torch.tensor(color_of("Image.putpixel", self.mode, color), { dtype = torch.uint8 })
end

return file
