-- vision.io: files of pictures as tensors (C, H, W) of uint8, as torchvision.io. What a file is, its content says. A PNG
-- of 16 bits gives int32 (torchvision: uint16, a dtype that is not here); BMP, PNM and TIFF files are read too. The limit of
-- vision.Image.MAX_IMAGE_PIXELS holds here as well.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local io_module = {}

--- The channels to decode to. Functions take these numbers or the names: "RGB".
io_module.ImageReadMode = { UNCHANGED = 0, GRAY = 1, GRAY_ALPHA = 2, RGB = 3, RGB_ALPHA = 4, RGBA = 4 }
local mode_of = { [1] = "L", [2] = "LA", [3] = "RGB", [4] = "RGBA" } -- of 0: as it is

local function read_mode(what, mode)
  if mode == nil then return nil end
  local number = type(mode) == "string" and io_module.ImageReadMode[mode:upper()] or math.tointeger(mode)
  if number == 0 then return nil end
  if not mode_of[number] then
    args.fail(what, "mode must be one of ImageReadMode or its names (UNCHANGED, GRAY, GRAY_ALPHA, RGB, RGB_ALPHA), got %s",
      text.describe(mode))
  end
  return mode_of[number]
end

-- --- files of bytes -----------------------------------------------------------------------------------
local read_file_spec = args "read_file(str path)"

--- read_file(path): the bytes of a file, uint8 (n).
function io_module.read_file(...)
  local path = read_file_spec(...)
  local bytes = core.read_file(path, "read_file")
  if bytes:numel() == 0 then args.fail("read_file", "%s: expected a non empty file", path) end
  return bytes
end

local write_file_spec = args "write_file(str filename, Tensor data)"

local function check_bytes(what, name, value)
  if value.dtype ~= torch.uint8 or value.ndim ~= 1 then
    args.fail(what, "%s must be a uint8 tensor of 1 dim, the bytes of a file, got %s", name, text.describe(value))
  end
  return value:contiguous()
end

--- write_file(filename, data): writes the bytes, whole or not at all; returns data.
function io_module.write_file(...)
  local path, data = write_file_spec(...)
  local ok, message = core.atomic_write(path, core.tensor_to_bytes(check_bytes("write_file", "data", data:cpu())))
  if not ok then args.fail("write_file", "%s", message) end
  return data
end

-- --- decoding -----------------------------------------------------------------------------------------
-- options: name, orient, scale; formats (a set): what the bytes may be.
local function decode(what, bytes, mode, options, formats)
  local found = core.image_format(bytes, what)
  if formats and not formats[found] then
    args.fail(what, "%sContent is not %s! (it is %s)", options.name and options.name .. ": " or "", next(formats),
      found == "unknown" and "of no known format" or found)
  end
  options.io, options.mode = true, read_mode(what, mode)
  local limit = require("lampad.vision.image").MAX_IMAGE_PIXELS
  options.max_pixels = limit and 2 * limit or -1
  local pixels = core.image_decode(bytes, options, what)
  if pixels.ndim == 4 then return pixels:permute(0, 3, 1, 2) end
  return pixels:permute(2, 0, 1)
end

-- A path or a tensor -> bytes, name.
local function source_of(what, input)
  if type(input) == "string" then
    local bytes = core.read_file(input, what)
    if bytes:numel() == 0 then args.fail(what, "%s: expected a non empty file", input) end
    return bytes, input
  end
  if not torch.is_tensor(input) then
    args.fail(what, "input must be a path or a uint8 tensor of 1 dim, the bytes of a file, got %s", text.describe(input))
  end
  return check_bytes(what, "input", input)
end

local image_spec = args "decode_image(any input, any mode=nil, bool apply_exif_orientation=false)"

--- decode_image(input, mode = "UNCHANGED", apply_exif_orientation = false): input: a path, or the bytes of a JPEG, PNG, WebP,
--- GIF, BMP, PNM or TIFF file. Returns uint8 (C, H, W); an animated GIF gives (N, 3, H, W).
function io_module.decode_image(...)
  local input, mode, orient = image_spec(...)
  local bytes, name = source_of("decode_image", input)
  return decode("decode_image", bytes, mode, { name = name, orient = orient })
end

local read_image_spec = args "read_image(str path, any mode=nil, bool apply_exif_orientation=false)"

--- read_image(path, mode = "UNCHANGED", apply_exif_orientation = false): decode_image of a file.
function io_module.read_image(...)
  local path, mode, orient = read_image_spec(...)
  local bytes, name = source_of("read_image", path)
  return decode("read_image", bytes, mode, { name = name, orient = orient })
end

local jpeg_spec = args("decode_jpeg(any input, any mode=nil, any device=nil, bool apply_exif_orientation=false, *, "
  .. "int scale=1)")

local function check_device(what, device)
  if device ~= nil and torch.device(device).type ~= "cpu" then
    args.fail(what, "device must be cpu, got %s", tostring(device))
  end
end

--- decode_jpeg(input, mode, device, apply_exif_orientation, {scale = 1}): one tensor of bytes, or a list of them. mode:
--- UNCHANGED, GRAY or RGB. scale: 2, 4 or 8 decodes to a half, a quarter, an eighth of each side, rounded up, in the
--- transform itself, which is faster than decoding and resizing and gives other pixels.
function io_module.decode_jpeg(...)
  local input, mode, device, orient, scale = jpeg_spec(...)
  check_device("decode_jpeg", device)
  local function one(value)
    local bytes, name = source_of("decode_jpeg", value)
    return decode("decode_jpeg", bytes, mode, { name = name, orient = orient, scale = scale }, { jpeg = true })
  end
  if type(input) ~= "table" then return one(input) end
  if #input == 0 then args.fail("decode_jpeg", "Input list must contain at least one element") end
  local result = {}
  for i, value in ipairs(input) do result[i] = one(value) end
  return result
end

-- decode_png and others: one format, the same arguments.
local function decoder(format)
  local what = "decode_" .. format
  local spec = args(what .. "(any input, any mode=nil, bool apply_exif_orientation=false)")
  local formats = { [format] = true }
  return function(...)
    local input, mode, orient = spec(...)
    local bytes, name = source_of(what, input)
    return decode(what, bytes, mode, { name = name, orient = orient }, formats)
  end
end

--- decode_png(input, mode, apply_exif_orientation): 16 bits give int32 0 to 65535, a palette in mode UNCHANGED its indices.
io_module.decode_png = decoder "png"
--- decode_webp(input, mode): UNCHANGED, RGB or RGB_ALPHA.
io_module.decode_webp = decoder "webp"
--- decode_gif(input): uint8 (3, H, W), of an animation (N, 3, H, W).
io_module.decode_gif = decoder "gif"

-- --- encoding -----------------------------------------------------------------------------------------
-- (C, H, W) or (H, W) -> contiguous (H, W, C).
local function pixels_of(what, input, channels)
  if not torch.is_tensor(input) then args.fail(what, "input must be a tensor, got %s", text.describe(input)) end
  if input.dtype ~= torch.uint8 then
    args.fail(what, "Input tensor dtype should be uint8, got %s", tostring(input.dtype))
  end
  if input.ndim == 2 then input = input:unsqueeze(0) end
  if input.ndim ~= 3 then args.fail(what, "Input data should be a 3-dimensional tensor, got %s", text.describe(input)) end
  if not channels[input:size(0)] then
    local list = {}
    for count in pairs(channels) do list[#list + 1] = count end
    table.sort(list)
    args.fail(what, "The number of channels should be %s, got: %d", table.concat(list, " or "), input:size(0))
  end
  return input:cpu():permute(1, 2, 0):contiguous()
end

local one_or_three = { [1] = true, [3] = true }
local any_channels = { [1] = true, [2] = true, [3] = true, [4] = true }

local encode_jpeg_spec = args "encode_jpeg(any input, int quality=75)"

--- encode_jpeg(input, quality = 75): the bytes of a JPEG file; input: uint8 (C, H, W) with 1 or 3 channels, or a list of
--- such. quality: 1 to 100.
function io_module.encode_jpeg(...)
  local input, quality = encode_jpeg_spec(...)
  local function one(value)
    if quality < 1 or quality > 100 then
      args.fail("encode_jpeg", "Image quality should be a positive number between 1 and 100, got %d", quality)
    end
    return core.image_encode("jpeg", pixels_of("encode_jpeg", value, one_or_three), "encode_jpeg", quality)
  end
  if type(input) ~= "table" then return one(input) end
  if #input == 0 then args.fail("encode_jpeg", "Input list must contain at least one element") end
  local result = {}
  for i, value in ipairs(input) do result[i] = one(value) end
  return result
end

local encode_png_spec = args "encode_png(Tensor input, int compression_level=6)"

--- encode_png(input, compression_level = 6): the bytes of a PNG file; 1 to 4 channels (torchvision: 1 or 3).
function io_module.encode_png(...)
  local input, level = encode_png_spec(...)
  if level < 0 or level > 9 then
    args.fail("encode_png", "Compression level should be between 0 and 9, got %d", level)
  end
  return core.image_encode("png", pixels_of("encode_png", input, any_channels), "encode_png", level)
end

local encode_webp_spec = args "encode_webp(Tensor input, float quality=80, bool lossless=false)"

--- encode_webp(input, quality = 80, lossless = false): the bytes of a WebP file; 3 or 4 channels. Beyond torchvision.
function io_module.encode_webp(...)
  local input, quality, lossless = encode_webp_spec(...)
  return core.image_encode("webp", pixels_of("encode_webp", input, { [3] = true, [4] = true }), "encode_webp", quality,
    lossless)
end

local write_jpeg_spec = args "write_jpeg(Tensor input, str filename, int quality=75)"
local write_png_spec = args "write_png(Tensor input, str filename, int compression_level=6)"

--- write_jpeg(input, filename, quality = 75): encode_jpeg into a file.
function io_module.write_jpeg(...)
  local input, filename, quality = write_jpeg_spec(...)
  io_module.write_file(filename, io_module.encode_jpeg(input, quality))
end

--- write_png(input, filename, compression_level = 6): encode_png into a file.
function io_module.write_png(...)
  local input, filename, level = write_png_spec(...)
  io_module.write_file(filename, io_module.encode_png(input, level))
end

return io_module
