-- vision.Image and places: resize, crop, rotate, transpose, with the arguments of PIL.Image's methods.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Image = require "lampad.vision.image"
local InterpolationMode = require "lampad.vision.transforms.interpolation"
local F = require "lampad.vision.transforms.functional"

local geometry = {}

local function size_of(what, size)
  if type(size) ~= "table" or #size ~= 2 or not math.tointeger(size[1]) or not math.tointeger(size[2]) then
    args.fail(what, "size must be {width, height}, got %s", text.repr(size))
  end
  return size[1], size[2]
end

local function box_of(what, self, box)
  if box == nil then return 0, 0, self.width, self.height end
  if type(box) ~= "table" or #box ~= 4 then
    args.fail(what, "box must be {left, upper, right, lower}, got %s", text.repr(box))
  end
  return table.unpack(box)
end

local resize_spec = args "Image.resize(any size, any resample='bicubic', any box=nil)"

--- image:resize({width, height}, resample = "bicubic", box): resample is an InterpolationMode, its value or Pillow's number;
--- box {left, upper, right, lower}, in whole pixels, is the part that is resized.
function geometry.resize(self, ...)
  local size, resample, box = resize_spec(...)
  local width, height = size_of("Image.resize", size)
  local mode = InterpolationMode.of("Image.resize", resample)
  if box then self = geometry.crop(self, box) end
  return F.resize(self, { height, width }, mode)
end

--- image:crop({left, upper, right, lower}): what lies beyond the picture is black.
function geometry.crop(self, box)
  local left, upper, right, lower = box_of("Image.crop", self, box)
  local function whole(x) return math.tointeger(x) or math.tointeger(math.floor(x + 0.5)) end
  left, upper, right, lower = whole(left), whole(upper), whole(right), whole(lower)
  return F.crop(self, upper, left, lower - upper, right - left)
end

local rotate_spec = args "Image.rotate(float angle, any resample='nearest', bool expand=false, any center=nil, any fillcolor=nil)"

--- image:rotate(angle, resample = "nearest", expand, center, fillcolor): degrees counter-clockwise.
function geometry.rotate(self, ...)
  local angle, resample, expand, center, fillcolor = rotate_spec(...)
  return F.rotate(self, angle, { interpolation = resample, expand = expand, center = center, fill = fillcolor })
end

-- Pillow's numbers and names -> transposed first?, columns and rows backwards then.
local methods = {
  [0] = { false, true, false }, [1] = { false, false, true }, [2] = { true, false, true }, [3] = { false, true, true },
  [4] = { true, true, false }, [5] = { true, false, false }, [6] = { true, true, true },
}
for number, name in pairs { [0] = "FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_90", "ROTATE_180", "ROTATE_270", "TRANSPOSE",
  "TRANSVERSE" } do
  methods[name] = methods[number]
end

--- image:transpose(method): "FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_90", "ROTATE_180", "ROTATE_270", "TRANSPOSE",
--- "TRANSVERSE", or Pillow's number.
function geometry.transpose(self, method)
  local how = methods[method]
  if not how then args.fail("Image.transpose", "unknown method %s", text.repr(method)) end
  local data = self.data
  if how[1] then data = core.pixels_transpose(data) end
  if how[2] or how[3] then data = core.pixels_flip(data, how[2], how[3]) end
  return Image(data, self.mode)
end

return geometry
