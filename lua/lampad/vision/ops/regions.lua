-- vision.ops: the layers of region pooling, and MultiScaleRoIAlign (torchvision.ops.poolers).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local OrderedDict = require "lampad.ordered_dict"
local Module = require "lampad.nn.module"

local torch = core.torch
local ops = core.modules["vision.ops"]
local classes = {}

-- --- one layer for each op --------------------------------------------------------------------------------------
local function layer(name, op, arguments, shown)
  local Class = Module:extend(name)
  local spec = args(name .. "(" .. arguments .. ")")

  function Class:init(...) self:_set(spec:collect(...)) end

  --- forward(input, rois): images (N, C, H, W), boxes as for the function.
  Class.forward = args.forward(name, { "input", "rois" }, function(self, input, rois)
    local options = {}
    for i, field in ipairs(shown) do options[i] = self[field] end
    return ops[op](input, rois, table.unpack(options))
  end)

  function Class.__tostring(self)
    local parts = {}
    for i, field in ipairs(shown) do parts[i] = field .. "=" .. text.repr(self[field]) end
    return name .. "(" .. table.concat(parts, ", ") .. ")"
  end
  classes[name] = Class
end

--- vision.ops.roi_align as a layer.
layer("RoIAlign", "roi_align", "ints output_size, float spatial_scale, int sampling_ratio, bool aligned=false",
  { "output_size", "spatial_scale", "sampling_ratio", "aligned" })
--- vision.ops.roi_pool as a layer.
layer("RoIPool", "roi_pool", "ints output_size, float spatial_scale", { "output_size", "spatial_scale" })
--- vision.ops.ps_roi_align as a layer.
layer("PSRoIAlign", "ps_roi_align", "ints output_size, float spatial_scale, int sampling_ratio",
  { "output_size", "spatial_scale", "sampling_ratio" })
--- vision.ops.ps_roi_pool as a layer.
layer("PSRoIPool", "ps_roi_pool", "ints output_size, float spatial_scale", { "output_size", "spatial_scale" })

-- --- MultiScaleRoIAlign --------------------------------------------------------------------------------------------
local MultiScaleRoIAlign = Module:extend "MultiScaleRoIAlign"
classes.MultiScaleRoIAlign = MultiScaleRoIAlign
local multi_spec = args [[MultiScaleRoIAlign(any featmap_names, ints output_size, int sampling_ratio, *,
  int canonical_scale=224, int canonical_level=4)]]

--- MultiScaleRoIAlign(featmap_names, output_size, sampling_ratio, {canonical_scale = 224, canonical_level = 4}): roi_align
--- of each box from the level of a feature pyramid that suits its size (Lin et al. 2017, equation 1): a box of
--- canonical_scale^2 pixels from level canonical_level. The levels' scales follow from the first images' sizes.
function MultiScaleRoIAlign:init(...)
  local o = multi_spec:collect(...)
  local names = iterate.list(o.featmap_names)
  if not names then
    args.fail("MultiScaleRoIAlign", "featmap_names must be a list of names, got %s", text.describe(o.featmap_names))
  end
  self:_set {
    featmap_names = names, sampling_ratio = o.sampling_ratio,
    output_size = args.tuple("MultiScaleRoIAlign", "output_size", o.output_size, 2),
    canonical_scale = o.canonical_scale, canonical_level = o.canonical_level,
  }
end

-- A power of 2: how much smaller a feature map is than the images.
local function scale_of(feature, height)
  local ratio = feature:size(-2) / height
  local exponent = math.log(ratio, 2)
  local low = math.floor(exponent)
  local rest = exponent - low
  -- Halves to even, as torch.round.
  local rounded = (rest > 0.5 or (rest == 0.5 and low % 2 ~= 0)) and low + 1 or low
  return 2.0 ^ rounded
end

-- The scales of the feature maps, and the first and last level.
local function set_up(self, features, image_shapes)
  local tallest = 0
  for _, shape in ipairs(image_shapes) do tallest = math.max(tallest, shape[1]) end
  if tallest <= 0 then
    args.fail("MultiScaleRoIAlign", "image_shapes must hold {height, width} of each image, all positive")
  end
  local scales = {}
  for i, feature in ipairs(features) do scales[i] = scale_of(feature, tallest) end
  self:_set {
    scales = scales,
    levels = { math.tointeger(-math.log(scales[1], 2) // 1), math.tointeger(-math.log(scales[#scales], 2) // 1) },
  }
end

-- The level of each box, counted from 0 at the first map.
local function levels_of(self, boxes)
  local areas = {}
  for i, b in ipairs(boxes) do areas[i] = require("lampad.vision.ops.boxes").box_area(b) end
  local side = torch.cat(areas):sqrt()
  local level = (self.canonical_level + torch.log2(side / self.canonical_scale) + 1e-6):floor()
  return level:clamp { min = self.levels[1], max = self.levels[2] }:to(torch.int64) - self.levels[1]
end

--- forward(x, boxes, image_shapes): x: feature maps by name (an OrderedDict, or a table of them), boxes: a list of (L, 4)
--- in the images' coordinates, image_shapes: a list of {height, width}. The result is (K, C, output_size...).
function MultiScaleRoIAlign:forward(x, boxes, image_shapes)
  local what = "MultiScaleRoIAlign"
  if type(x) ~= "table" then args.fail(what, "x must be feature maps by name, got %s", text.describe(x)) end
  boxes = iterate.list(boxes)
  if not boxes then args.fail(what, "boxes must be a list of tensors (L, 4), one for each image") end
  local features, wanted = {}, {}
  for _, name in ipairs(self.featmap_names) do wanted[name] = true end
  if OrderedDict.is(x) then
    for name, feature in OrderedDict.items(x) do
      if wanted[name] then features[#features + 1] = feature end
    end
  else
    for _, name in ipairs(self.featmap_names) do features[#features + 1] = x[name] end
  end
  if #features == 0 then args.fail(what, "x has none of the feature maps %s", text.repr(self.featmap_names)) end
  if self.scales == nil then
    image_shapes = iterate.list(image_shapes)
    if not image_shapes or #image_shapes == 0 then args.fail(what, "images list should not be empty") end
    set_up(self, features, image_shapes)
  end
  local function pool(feature, rois, scale)
    return ops.roi_align(feature, rois, self.output_size, scale, self.sampling_ratio)
  end
  if #features == 1 then return pool(features[1], boxes, self.scales[1]) end

  local ids = {}
  for i, b in ipairs(boxes) do
    ids[i] = torch.full({ b:size(0), 1 }, i - 1, { dtype = b.dtype })
  end
  local rois = torch.cat({ torch.cat(ids), torch.cat(boxes) }, 1)
  local levels = levels_of(self, boxes)
  -- Each level's boxes pooled together, then put back in the order they came.
  local parts, places = {}, {}
  for i, feature in ipairs(features) do
    local here = torch.nonzero(levels:eq(i - 1))[":, 0"]
    if here:size(0) > 0 then
      parts[#parts + 1] = pool(feature, rois:index_select(0, here), self.scales[i]):to(features[1].dtype)
      places[#places + 1] = here
    end
  end
  -- A box of no size that is a number, with corners the wrong way round, has no level: zeros.
  local lost = torch.nonzero((levels:ge(0) & levels:lt(#features)):logical_not())[":, 0"]
  if #parts == 0 or lost:size(0) > 0 then
    parts[#parts + 1] = features[1]:new_zeros { lost:size(0), features[1]:size(1), table.unpack(self.output_size) }
    places[#places + 1] = lost
  end
  return torch.cat(parts):index_select(0, torch.cat(places):argsort())
end

function MultiScaleRoIAlign.__tostring(self)
  local names = {}
  for i, name in ipairs(self.featmap_names) do names[i] = text.repr(name) end
  return ("MultiScaleRoIAlign(featmap_names=[%s], output_size=%s, sampling_ratio=%d)"):format(table.concat(names, ", "),
    text.repr(self.output_size), self.sampling_ratio)
end

for _, C in pairs(classes) do C:_guard_methods() end

return classes
