-- vision.utils (torchvision.utils): grids of pictures, files of them, and boxes, masks and keypoints drawn on them.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local utils = {}

-- --- grids ---------------------------------------------------------------------------------------------------
local function lowest_highest(t) return t:min():item(), t:max():item() end

-- Values in [low, high] to [0, 1], in place.
local function normalise(t, range)
  local low, high
  if range then low, high = range[1], range[2] else low, high = lowest_highest(t) end
  t:clamp_ { min = low, max = high }
  t:sub_(low):div_(math.max(high - low, 1e-5))
end

local grid_spec = args [[make_grid(any tensor, int nrow=8, int padding=2, bool normalize=false, any value_range=nil,
  bool scale_each=false, float pad_value=0.0)]]

local function grid_of(what, pictures, nrow, padding, normalize, range, each, pad_value)
  if type(pictures) == "table" and getmetatable(pictures) == nil then
    for _, t in ipairs(pictures) do
      if not torch.is_tensor(t) then
        args.fail(what, "tensor or list of tensors expected, got a list containing %s", text.describe(t))
      end
    end
    if #pictures == 0 then args.fail(what, "tensor or list of tensors expected, got an empty list") end
    pictures = torch.stack(pictures, 0)
  elseif not torch.is_tensor(pictures) then
    args.fail(what, "tensor or list of tensors expected, got %s", text.describe(pictures))
  end
  if pictures.ndim < 2 or pictures.ndim > 4 then
    args.fail(what, "expected pictures of 2 dims (H, W), 3 (C, H, W) or 4 (B, C, H, W), got %s", tostring(pictures.shape))
  end
  if nrow < 1 then args.fail(what, "nrow must be at least 1, got %d", nrow) end
  if padding < 0 then args.fail(what, "padding must not be negative, got %d", padding) end
  if pictures.ndim == 2 then pictures = pictures:unsqueeze(0) end
  if pictures.ndim == 3 then
    if pictures:size(0) == 1 then pictures = torch.cat({ pictures, pictures, pictures }, 0) end
    pictures = pictures:unsqueeze(0)
  end
  if pictures:size(1) == 1 then pictures = torch.cat({ pictures, pictures, pictures }, 1) end
  if normalize then
    if range ~= nil and (type(range) ~= "table" or #range ~= 2) then
      args.fail(what, "value_range has to be a list {min, max} if specified. min and max are numbers")
    end
    pictures = pictures:clone()
    if each then
      for i = 0, pictures:size(0) - 1 do normalise(pictures[i], range) end
    else
      normalise(pictures, range)
    end
  end
  local count = pictures:size(0)
  if count == 0 then args.fail(what, "expected at least one picture, got %s", tostring(pictures.shape)) end
  if count == 1 then return pictures:squeeze(0) end
  local columns = math.min(nrow, count)
  local rows = (count + columns - 1) // columns
  local height, width = pictures:size(2) + padding, pictures:size(3) + padding
  local grid = pictures:new_full({ pictures:size(1), height * rows + padding, width * columns + padding }, pad_value)
  for k = 0, count - 1 do
    local y, x = k // columns, k % columns
    grid:narrow(1, y * height + padding, height - padding):narrow(2, x * width + padding, width - padding)
      :copy_(pictures[k])
  end
  return grid
end

-- Runs without gradients, passing on all results.
local function without_gradients(fn, ...)
  local given, results = table.pack(...), nil
  torch.no_grad(function() results = table.pack(fn(table.unpack(given, 1, given.n))) end)
  return table.unpack(results, 1, results.n)
end

--- make_grid(tensor, nrow = 8, padding = 2, normalize = false, value_range = nil, scale_each = false, pad_value = 0): one
--- picture (C, H, W) of a batch (B, C, H, W) or a list of pictures (C, H, W), nrow in a row, `padding` pixels apart. Grey
--- pictures become RGB. normalize shifts values to [0, 1], from value_range {min, max} or what there is, of each picture
--- alone with scale_each.
function utils.make_grid(...)
  return without_gradients(grid_of, "make_grid", grid_spec(...))
end

local save_spec = args [[save_image(any tensor, str fp, str format=nil, *, int nrow=8, int padding=2, bool normalize=false,
  any value_range=nil, bool scale_each=false, float pad_value=0.0)]]
local formats = { png = "png", jpg = "jpeg", jpeg = "jpeg", webp = "webp" }

--- save_image(tensor, path, format = nil, {options of make_grid}): a picture, or the grid of a batch, with values in [0, 1],
--- as a PNG, JPEG or WebP file, by `format` or the name's ending.
function utils.save_image(...)
  local pictures, path, format, nrow, padding, normalize, range, each, pad_value = save_spec(...)
  local ending = (format or path:match "%.(%w+)$" or ""):lower()
  if not formats[ending] then
    args.fail("save_image", "expected a name that ends in .png, .jpg or .webp, or format 'png', 'jpeg' or 'webp', got '%s'",
      format or path)
  end
  local grid = without_gradients(grid_of, "save_image", pictures, nrow, padding, normalize, range, each, pad_value)
  local pixels = grid:mul(255):add_(0.5):clamp_(0, 255):to(torch.uint8):contiguous()
  local io = require "lampad.vision.io"
  io.write_file(path, io["encode_" .. formats[ending]](pixels))
end

-- --- colours -----------------------------------------------------------------------------------------------------
local function clamp_byte(v) return math.max(0, math.min(255, math.tointeger(math.floor(v + 0.5)))) end

-- {r, g, b} or {r, g, b, alpha} of a colour's text.
local function colour_of(what, s)
  local word = s:lower():gsub("%s+", "")
  local number = require "lampad.vision.colours"[word]
  if number then return { number >> 16, number >> 8 & 255, number & 255 } end
  local hex = word:match "^#(%x+)$"
  if hex and (#hex == 3 or #hex == 4) then hex = hex:gsub("%x", "%0%0") end
  if hex and (#hex == 6 or #hex == 8) then
    local bytes = {}
    for pair in hex:gmatch "%x%x" do bytes[#bytes + 1] = tonumber(pair, 16) end
    return bytes
  end
  local inner = word:match "^rgba?%((.*)%)$"
  if inner then
    local bytes = {}
    for part in inner:gmatch "[^,]+" do
      local percent, value = part:match "^([%d.]+)%%$", tonumber(part)
      if percent then value = tonumber(percent) * 255 / 100 end
      bytes[#bytes + 1] = value and clamp_byte(value)
    end
    if #bytes == 3 or #bytes == 4 then return bytes end
  end
  args.fail(what, "unknown color specifier: '%s'; expected a name such as 'red', '#rrggbb' or 'rgb(r, g, b)'", s)
end

local function is_triplet(v) return type(v) == "table" and type(v[1]) == "number" end

-- A list of `count` colours {r, g, b}. given: nil, a colour, or a list of colours; a list of numbers is one colour.
local function colours_for(what, given, count)
  local list = {}
  if given == nil then
    for i = 0, count - 1 do
      list[i + 1] = { i * ((1 << 25) - 1) % 255, i * ((1 << 15) - 1) % 255, i * ((1 << 21) - 1) % 255 }
    end
    return list
  end
  if type(given) == "string" or is_triplet(given) then
    if is_triplet(given) and #given ~= 3 then
      args.fail(what, "If passed as a list of numbers, colors should be an RGB triplet, but got %s.", text.repr(given))
    end
    for i = 1, count do list[i] = given end
  elseif type(given) == "table" then
    if #given < count then
      args.fail(what, "Number of colors must be equal or larger than the number of objects, but got %d < %d.", #given, count)
    end
    list = given
  else
    args.fail(what, "colors must be a triplet or a string, or a list thereof, but got %s.", text.describe(given))
  end
  local result = {}
  for i = 1, count do
    local c = list[i]
    if type(c) == "string" then
      c = colour_of(what, c)
    elseif not is_triplet(c) then
      args.fail(what, "colors must be a triplet or a string, or a list thereof, but got %s.", text.describe(c))
    end
    result[i] = c
  end
  return result
end

-- --- drawing -----------------------------------------------------------------------------------------------------------
local function check_picture(what, image, grey_too)
  if not (image.dtype == torch.uint8 or image.dtype.is_floating_point) then
    args.fail(what, "The image dtype must be uint8 or float, got %s", tostring(image.dtype))
  elseif image.ndim ~= 3 then
    args.fail(what, "Pass individual images, not batches")
  elseif image:size(0) ~= 3 and not (grey_too and image:size(0) == 1) then
    args.fail(what, grey_too and "Only grayscale and RGB images are supported"
      or "Pass an RGB image. Other Image formats are not supported")
  end
end

-- A uint8 RGB copy of a picture, and how to turn it back into its dtype.
local function drawable(image)
  local dtype = image.dtype
  local pixels = image:detach()
  if pixels:size(0) == 1 then pixels = pixels:expand(3, -1, -1) end
  if dtype.is_floating_point then
    pixels = pixels:mul(256 - 1e-3):to(torch.uint8)
    return pixels:contiguous(), function() return pixels:to(dtype):div_(255) end
  end
  pixels = pixels:contiguous():clone()
  return pixels, function() return pixels end
end

local function with_alpha(colour, alpha) return { colour[1], colour[2], colour[3], alpha } end

local boxes_spec = args [[draw_bounding_boxes(Tensor image, Tensor boxes, any labels=nil, any colors=nil, bool fill=false,
  int width=1, any font=nil, any font_size=nil, any label_colors=nil, any label_background_colors=nil, bool fill_labels=false)]]

--- draw_bounding_boxes(image, boxes, {colors = nil, fill = false, width = 1}): a copy of a picture (1 or 3, H, W), uint8 or
--- float in [0, 1], with boxes (N, 4), xyxy, or rotated ones (N, 8), four corners, drawn on it. colors: "red", "#ff0000",
--- {255, 0, 0} or a list of such, one for each box. Labels are refused: there is no font to write them in.
function utils.draw_bounding_boxes(...)
  local image, boxes, labels, colours, fill, width = boxes_spec(...)
  local what = "draw_bounding_boxes"
  if labels ~= nil then args.fail(what, "labels are not drawn: there is no font; leave them out") end
  check_picture(what, image, true)
  if boxes.ndim ~= 2 or (boxes:size(1) ~= 4 and boxes:size(1) ~= 8) then
    args.fail(what, "expected 'boxes' of shape (N, 4) or (N, 8), got %s", tostring(boxes.shape))
  end
  if boxes:size(0) == 0 then
    require("lampad.warnings").warn("boxes doesn't contain any box. No box was drawn")
    return image
  end
  local upright = boxes:size(1) == 4
  if upright and (boxes[":, 0"]:gt(boxes[":, 2"]):any():item() or boxes[":, 1"]:gt(boxes[":, 3"]):any():item()) then
    args.fail(what, "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use vision.ops.box_convert to convert them")
  end
  colours = colours_for(what, colours, boxes:size(0))
  local pixels, back = drawable(image)
  local canvas = require("lampad.vision.draw").canvas(pixels)
  -- Coordinates far outside are cut off where nothing of them shows.
  local limit = 4 * (image:size(1) + image:size(2) + 64)
  local whole = boxes:detach():nan_to_num(0):clamp { min = -limit, max = limit }:to(torch.int64):tolist()
  for i, b in ipairs(whole) do
    local colour = colours[i]
    if upright then
      if fill then canvas:rectangle(b[1], b[2], b[3], b[4], with_alpha(colour, 100), true) end
      if width ~= 0 then canvas:rectangle(b[1], b[2], b[3], b[4], colour, false, width) end
    else
      canvas:dashes(b[1], b[2], b[3], b[4], colour, width)
      for k = 3, 7, 2 do canvas:line(b[k], b[k + 1], b[(k + 1) % 8 + 1], b[(k + 2) % 8 + 1], colour, width) end
      if fill then canvas:polygon(b, with_alpha(colour, 100)) end
    end
  end
  return back()
end

local masks_spec = args "draw_segmentation_masks(Tensor image, Tensor masks, float alpha=0.8, any colors=nil)"

--- draw_segmentation_masks(image, masks, alpha = 0.8, colors = nil): a picture (3, H, W), uint8 or float in [0, 1], with the
--- pixels of bool masks (N, H, W) or (H, W) mixed with a colour each; alpha is the colour's share. Where masks overlap the
--- colour is black.
function utils.draw_segmentation_masks(...)
  local image, masks, alpha, colours = masks_spec(...)
  local what = "draw_segmentation_masks"
  check_picture(what, image, false)
  if masks.ndim == 2 then masks = masks:unsqueeze(0) end
  if masks.ndim ~= 3 then args.fail(what, "masks must be of shape (H, W) or (batch_size, H, W)") end
  if masks.dtype ~= torch.bool then args.fail(what, "The masks must be of dtype bool. Got %s", tostring(masks.dtype)) end
  if masks:size(1) ~= image:size(1) or masks:size(2) ~= image:size(2) then
    args.fail(what, "The image and the masks must have the same height and width")
  end
  local count = masks:size(0)
  if count == 0 then
    require("lampad.warnings").warn("masks doesn't contain any mask. No mask was drawn")
    return image
  end
  colours = colours_for(what, colours, count)
  return without_gradients(function()
    local float, painted = image.dtype.is_floating_point, image:detach():clone()
    for i = 1, count do
      local c = colours[i]
      local value = torch.tensor({ c[1], c[2], c[3] }, { dtype = float and torch.float64 or torch.int64 })
      if float then value = value / 255 end
      painted = torch.where(masks[i - 1], value:to(image.dtype):reshape(3, 1, 1), painted)
    end
    painted = painted:masked_fill(masks:sum(0):gt(1), 0)
    return (image * (1 - alpha) + painted * alpha):to(image.dtype)
  end)
end

local points_spec = args [[draw_keypoints(Tensor image, Tensor keypoints, any connectivity=nil, any colors=nil, int radius=2,
  int width=3, Tensor visibility=nil)]]

--- draw_keypoints(image, keypoints, {connectivity = nil, colors = nil, radius = 2, width = 3, visibility = nil}): a picture
--- (3, H, W), uint8 or float in [0, 1], with points (instances, K, 2), x y, as discs of one colour, and white lines between
--- the pairs of `connectivity` {{0, 1}, ...}. Where visibility (instances, K) is false nothing is drawn. Without colors
--- there are no discs, as in torchvision.
function utils.draw_keypoints(...)
  local image, points, pairs_of, colours, radius, width, visible = points_spec(...)
  local what = "draw_keypoints"
  check_picture(what, image, false)
  if points.ndim ~= 3 or points:size(2) ~= 2 then args.fail(what, "keypoints must be of shape (num_instances, K, 2)") end
  local instances, count = points:size(0), points:size(1)
  if visible == nil then visible = torch.ones(instances, count, { dtype = torch.bool }) end
  if visible.ndim == 3 then visible = visible:squeeze(-1) end
  if visible.ndim ~= 2 then
    args.fail(what, "visibility must be of shape (num_instances, K). Got ndim=%d", visible.ndim)
  end
  if visible:size(0) ~= instances or visible:size(1) ~= count then
    args.fail(what, "keypoints and visibility must have the same dimensionality for num_instances and K, got %s and %s",
      tostring(points.shape), tostring(visible.shape))
  end
  if pairs_of ~= nil then
    for _, pair in ipairs(type(pairs_of) == "table" and pairs_of or { pairs_of }) do
      for k = 1, 2 do
        local i = type(pair) == "table" and math.tointeger(pair[k])
        if not i or i < 0 or i >= count then
          args.fail(what, "connectivity must be pairs of keypoints from 0 to %d, got %s", count - 1, text.repr(pair))
        end
      end
    end
  end
  local colour = colours and colours_for(what, colours, 1)[1]
  local pixels, back = drawable(image)
  local canvas = require("lampad.vision.draw").canvas(pixels)
  local limit = 4 * (image:size(1) + image:size(2) + 64)
  local places = points:detach():nan_to_num(0):clamp { min = -limit, max = limit }:to(torch.int64):tolist()
  local shown = visible:bool():tolist()
  for n = 1, instances do
    for k = 1, count do
      local x, y = places[n][k][1], places[n][k][2]
      if colour and shown[n][k] then canvas:ellipse(x - radius, y - radius, x + radius, y + radius, colour) end
    end
    for _, pair in ipairs(pairs_of or {}) do
      local a, b = pair[1] + 1, pair[2] + 1
      if shown[n][a] and shown[n][b] then
        canvas:line(places[n][a][1], places[n][a][2], places[n][b][1], places[n][b][2], { 255, 255, 255 }, width)
      end
    end
  end
  return back()
end

-- --- optical flow ----------------------------------------------------------------------------------------------------
-- The colour wheel of Baker et al. 2007, "A Database and Evaluation Methodology for Optical Flow": six ramps between the
-- corners of the RGB cube; {steps, channel that stays, channel that moves, up or down}.
local ramps = { { 15, 0, 1, 1 }, { 6, 1, 0, -1 }, { 4, 1, 2, 1 }, { 11, 2, 1, -1 }, { 13, 2, 0, 1 }, { 6, 0, 2, -1 } }

local function colour_wheel()
  local wheel = {}
  for _, ramp in ipairs(ramps) do
    for i = 0, ramp[1] - 1 do
      local colour, moved = { 0, 0, 0 }, 255 * i // ramp[1]
      colour[ramp[2] + 1] = 255
      colour[ramp[3] + 1] = ramp[4] > 0 and moved or 255 - moved
      wheel[#wheel + 1] = colour
    end
  end
  return torch.tensor(wheel):float()
end

local flow_spec = args "flow_to_image(Tensor flow)"

--- flow_to_image(flow): a flow (2, H, W) or (N, 2, H, W), float32, as uint8 pictures (3, H, W) or (N, 3, H, W): the hue is the
--- direction, the saturation the length, over the greatest length there is.
function utils.flow_to_image(...)
  local flow = flow_spec(...)
  if flow.dtype ~= torch.float32 then
    args.fail("flow_to_image", "Flow should be of dtype torch.float, got %s.", tostring(flow.dtype))
  end
  local single = flow.ndim == 3
  if single then flow = flow:unsqueeze(0) end
  if flow.ndim ~= 4 or flow:size(1) ~= 2 then
    args.fail("flow_to_image", "Input flow should have shape (2, H, W) or (N, 2, H, W), got %s.", tostring(flow.shape))
  end
  return without_gradients(function()
    local wheel = colour_wheel()
    local count = wheel:size(0)
    flow = flow / (flow:pow(2):sum(1):sqrt():max() + torch.finfo(torch.float32).eps)
    local length = flow:pow(2):sum(1):sqrt()
    local place = (torch.atan2(-flow[":, 1"], -flow[":, 0"]) / math.pi + 1) / 2 * (count - 1)
    local low = place:floor():to(torch.int64)
    local high = (low + 1) % count
    local rest, channels = place - low, {}
    for c = 0, 2 do
      local column = wheel[":, " .. c] / 255
      local colour = (1 - rest) * column[low] + rest * column[high]
      channels[c + 1] = (255 * (1 - length * (1 - colour))):floor():to(torch.uint8)
    end
    local result = torch.stack(channels, 1)
    return single and result[0] or result
  end)
end

return utils
