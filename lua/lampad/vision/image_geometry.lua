-- vision.Image as PIL users know it: resize, crop, rotate, transpose, bands, pasting, counts. Image's methods of these names are
-- here, so that they load at first use; resampling is that of vision.transforms.functional, which gives Pillow's pixels.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local class = require "lampad.class"
local Image = require "lampad.vision.image"

local torch = core.torch
local geometry = {}

local function functional() return require "lampad.vision.transforms.functional" end

local function pair(what, name, value)
  local w, h = type(value) == "table" and math.tointeger(value[1]), type(value) == "table" and math.tointeger(value[2])
  if not w or not h or w < 1 or h < 1 then
    args.fail(what, "%s must be {width, height}, integers of at least 1, got %s", name, text.describe(value))
  end
  return w, h
end

-- What belongs to the picture rather than to its pixels.
local function keep(from, to)
  to.palette = from.palette
  return to
end

-- --- size and place ---------------------------------------------------------------------------------------
local resize_spec = args "Image.resize(any size, any resample=nil, any box=nil)"

--- image:resize({width, height}, resample = Image.Resampling.BICUBIC, box): the numbers of Image.Resampling, or an
--- InterpolationMode; box {left, upper, right, lower}, in whole pixels, is the part that is resized. Masks (modes P and I) take
--- the nearest pixel.
function geometry.resize(self, ...)
  local size, resample, box = resize_spec(...)
  local width, height = pair("Image.resize", "size", size)
  if box then self = geometry.crop(self, box) end
  local is_mask = self.mode == "P" or self.mode == "I"
  if is_mask then resample = Image.Resampling.NEAREST end
  if width == self.width and height == self.height then return self:copy() end
  if is_mask then
    local function places(n, count)
      return torch.arange(n):double():add(0.5):mul(count / n):floor():long():clamp(0, count - 1)
    end
    local data = self.data:index_select(0, places(height, self.height)):index_select(1, places(width, self.width))
    return keep(self, Image(data, self.mode))
  end
  return functional().resize(self, { height, width }, resample or Image.Resampling.BICUBIC)
end

local thumbnail_spec = args "Image.thumbnail(any size, any resample=nil)"

--- image:thumbnail({width, height}): makes the picture itself fit into the size, its sides in proportion; never larger. Resampled in
--- one step, as Pillow does with reducing_gap = None.
function geometry.thumbnail(self, ...)
  local size, resample = thumbnail_spec(...)
  local w, h = pair("Image.thumbnail", "size", size)
  if w >= self.width and h >= self.height then return end
  local aspect = self.width / self.height
  -- The rounded side that is nearer to the aspect.
  local function nearest(value, badness)
    local low, high = math.max(1, math.floor(value)), math.max(1, math.ceil(value))
    return badness(low) <= badness(high) and low or high
  end
  if w / h >= aspect then
    w = nearest(h * aspect, function(n) return math.abs(aspect - n / h) end)
  else
    h = nearest(w / aspect, function(n) return n == 0 and 0 or math.abs(aspect - w / n) end)
  end
  self:_become(geometry.resize(self, { w, h }, resample))
end

local crop_spec = args "Image.crop(any box)"

--- image:crop{left, upper, right, lower}: what lies outside of the picture is 0.
function geometry.crop(self, ...)
  local box = crop_spec(...)
  local sides = {}
  for i = 1, 4 do sides[i] = type(box) == "table" and math.tointeger(box[i]) or nil end
  local left, upper, right, lower = table.unpack(sides, 1, 4)
  if not (left and upper and right and lower) then
    args.fail("Image.crop", "box must be {left, upper, right, lower}, got %s", text.describe(box))
  end
  if right <= left then args.fail("Image.crop", "Coordinate 'right' is less than 'left'") end
  if lower <= upper then args.fail("Image.crop", "Coordinate 'lower' is less than 'upper'") end
  if left >= 0 and upper >= 0 and right <= self.width and lower <= self.height then
    return keep(self, Image(self:box(upper, left, lower - upper, right - left):clone(), self.mode))
  end
  local data = torch.zeros(lower - upper, right - left, self.data:size(2), { dtype = self.data.dtype })
  local x0, y0, x1, y1 = math.max(left, 0), math.max(upper, 0), math.min(right, self.width), math.min(lower, self.height)
  if x1 > x0 and y1 > y0 then
    data:narrow(0, y0 - upper, y1 - y0):narrow(1, x0 - left, x1 - x0):copy_(self:box(y0, x0, y1 - y0, x1 - x0))
  end
  return keep(self, Image(data, self.mode))
end

local rotate_spec = args "Image.rotate(float angle, any resample=0, bool expand=false, any center=nil, any fillcolor=nil)"

--- image:rotate(angle, resample = Image.Resampling.NEAREST, expand = false, center, fillcolor): degrees, counter-clockwise.
function geometry.rotate(self, ...)
  local angle, resample, expand, center, fill = rotate_spec(...)
  return functional().rotate(self, angle, resample, expand, center, fill)
end

-- transpose?, then the dims to flip, by Image.Transpose's numbers.
local moves = { [0] = { false, 1 }, [1] = { false, 0 }, [2] = { true, 0 }, [3] = { false, 0, 1 }, [4] = { true, 1 }, [5] = { true },
  [6] = { true, 0, 1 } }

--- image:transpose(method): a number of Image.Transpose or its name: FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM, ROTATE_90, ROTATE_180,
--- ROTATE_270, TRANSPOSE, TRANSVERSE.
function geometry.transpose(self, method)
  local move = moves[Image.Transpose[method] or method]
  if not move then
    args.fail("Image.transpose", "unknown method %s: expected a number of Image.Transpose or its name", text.repr(method))
  end
  local data = move[1] and self.data:transpose(0, 1) or self.data
  if move[2] then data = data:flip(table.unpack(move, 2)) end
  return keep(self, Image(data:contiguous(), self.mode))
end

-- --- bands ------------------------------------------------------------------------------------------------
--- image:split(): a list of pictures in mode L, one for each channel.
function geometry.split(self)
  local bands = {}
  for i = 1, self.data:size(2) do bands[i] = Image(self.data:narrow(2, i - 1, 1):clone(), "L") end
  return bands
end

--- image:getchannel(channel): one of them, by number from 0 or by letter ("R").
function geometry.getchannel(self, channel)
  local at = math.tointeger(channel)
  for i, band in ipairs(self:getbands()) do
    if band == channel then at = i - 1 end
  end
  if not at or at < 0 or at >= self.data:size(2) then
    args.fail("Image.getchannel", "The image has no channel %s", text.repr(channel))
  end
  return Image(self.data:narrow(2, at, 1):clone(), "L")
end

--- Image.merge(mode, bands): a picture of a list of pictures in mode L.
function geometry.merge(mode, bands)
  local count = Image.modes[mode]
  if not count or type(bands) ~= "table" or #bands ~= count then
    args.fail("Image.merge", "mode %s needs a list of %s bands", text.repr(mode), tostring(count))
  end
  local parts = {}
  for i, band in ipairs(bands) do
    if not class.isinstance(band, Image) or band.mode ~= "L" then args.fail("Image.merge", "mode mismatch: bands must be of mode L") end
    if band.width ~= bands[1].width or band.height ~= bands[1].height then args.fail("Image.merge", "size mismatch") end
    parts[i] = band.data
  end
  return Image(torch.cat(parts, 2), mode)
end

local paste_spec = args "Image.paste(any im, any box=nil, any mask=nil)"

--- image:paste(im, {left, upper}, mask): puts a picture, or a colour into {left, upper, right, lower}, over this one. mask: a picture
--- of mode L, 255 where im shows, or one with alpha.
function geometry.paste(self, ...)
  local im, box, mask = paste_spec(...)
  local is_image = class.isinstance(im, Image)
  box = box or { 0, 0 }
  local left, upper = math.tointeger(box[1]), math.tointeger(box[2])
  local width = is_image and im.width or (math.tointeger(box[3]) or self.width) - (left or 0)
  local height = is_image and im.height or (math.tointeger(box[4]) or self.height) - (upper or 0)
  if not left or not upper then args.fail("Image.paste", "box must be {left, upper}, got %s", text.describe(box)) end
  if is_image and im.mode ~= self.mode then im = im:convert(self.mode) end
  local source = is_image and im.data or Image.new(self.mode, { width, height }, im).data
  local x0, y0 = math.max(left, 0), math.max(upper, 0)
  local w, h = math.min(left + width, self.width) - x0, math.min(upper + height, self.height) - y0
  if w <= 0 or h <= 0 then return end
  source = source:narrow(0, y0 - upper, h):narrow(1, x0 - left, w)
  local target = self.data:narrow(0, y0, h):narrow(1, x0, w)
  if mask == nil then
    target:copy_(source)
    return
  end
  local bands = class.isinstance(mask, Image) and mask.data:size(2)
  if not bands or mask.width ~= width or mask.height ~= height then args.fail("Image.paste", "images do not match") end
  local alpha = mask.data:narrow(2, bands == 2 and 1 or bands == 4 and 3 or 0, 1):narrow(0, y0 - upper, h):narrow(1, x0 - left, w):int()
  -- a * m + b * (255 - m), divided by 255 with rounding, in Pillow's integers.
  local sum = source:int():mul(alpha):add(target:int():mul(alpha:mul(-1):add(255))):add(128)
  target:copy_(sum:bitwise_right_shift(8):add(sum):bitwise_right_shift(8):to(torch.uint8))
end

-- --- counts -----------------------------------------------------------------------------------------------
--- image:histogram(): how often each of the 256 values occurs, channel after channel, a list.
function geometry.histogram(self)
  local counts = {}
  for i = 0, self.data:size(2) - 1 do
    local one = self.data:narrow(2, i, 1):flatten():long():bincount(nil, 256):tolist()
    table.move(one, 1, 256, #counts + 1, counts)
  end
  return counts
end

--- image:getextrema(): {lowest, highest}; with several channels a list of them.
function geometry.getextrema(self)
  local result = {}
  for i = 0, self.data:size(2) - 1 do
    local band = self.data:narrow(2, i, 1)
    result[i + 1] = { band:min():item(), band:max():item() }
  end
  return #result == 1 and result[1] or result
end

--- image:getbbox(): {left, upper, right, lower} of what is not 0; nil when all is.
function geometry.getbbox(self)
  local data = self.data
  if self.mode == "RGBA" or self.mode == "LA" then data = data:narrow(2, data:size(2) - 1, 1) end
  local set = data:ne(0):any(2)
  if not set:any():item() then return nil end
  local rows, columns = set:any(1):nonzero():flatten(), set:any(0):nonzero():flatten()
  return { columns[0]:item(), rows[0]:item(), columns[-1]:item() + 1, rows[-1]:item() + 1 }
end

return geometry
