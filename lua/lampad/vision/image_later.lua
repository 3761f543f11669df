-- Image.open_later: a picture file that is decoded when its pixels are needed, and only where they are.
local core = require "lampad.core"
local Image = require "lampad.vision.image"

-- A JPEG file whose last marker is in its place. One that breaks off is decoded at once, which tells what is wrong;
-- a box in its upper part would not.
local function ends_well(bytes)
  local n = bytes:numel()
  return n > 2 and bytes[n - 2]:item() == 0xff and bytes[n - 1]:item() == 0xd9
end

--- Image.open_later(path, mode): as Image.open(path, mode), but a JPEG is read and its header checked, no more. The pixels
--- come with the first use of `data`; RandomResizedCrop decodes its box alone. What datasets load their items with.
local function open_later(path, mode)
  local bytes = core.read_file(path, "Image.open")
  if core.image_format(bytes, "Image.open") ~= "jpeg" or not ends_well(bytes) then return Image.open(path, mode) end
  local info = core.image_info(bytes, path, "Image.open")
  local limit = Image.MAX_IMAGE_PIXELS
  limit = limit and 2 * limit or -1
  if limit >= 0 and info.height * info.width > limit then return Image.open(path, mode) end
  local image = Image.lazy(mode or info.mode, info.height, info.width, function(top, left, height, width)
    return (core.image_decode(bytes, { name = path, mode = mode, max_pixels = limit, top = top, left = left,
      height = height, width = width }, "Image.open"))
  end)
  image.format, image.filename = "JPEG", path
  image.info = { orientation = info.orientation ~= 1 and info.orientation or nil }
  return image
end

return { open_later = open_later }
