-- vision.datasets.Cityscapes: streets with classes and instances of every pixel. Source: Cordts and others (2016);
-- torchvision.datasets.Cityscapes.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local Cityscapes = VisionDataset:extend "Cityscapes"
local spec = args("Cityscapes(str root, str split='train', str mode='fine', any target_type='instance', any transform=nil, "
  .. "any target_transform=nil, any transforms=nil)")

local rows = {
  { "unlabeled", 0, 255, "void", 0, false, true, { 0, 0, 0 } },
  { "ego vehicle", 1, 255, "void", 0, false, true, { 0, 0, 0 } },
  { "rectification border", 2, 255, "void", 0, false, true, { 0, 0, 0 } },
  { "out of roi", 3, 255, "void", 0, false, true, { 0, 0, 0 } },
  { "static", 4, 255, "void", 0, false, true, { 0, 0, 0 } },
  { "dynamic", 5, 255, "void", 0, false, true, { 111, 74, 0 } },
  { "ground", 6, 255, "void", 0, false, true, { 81, 0, 81 } },
  { "road", 7, 0, "flat", 1, false, false, { 128, 64, 128 } },
  { "sidewalk", 8, 1, "flat", 1, false, false, { 244, 35, 232 } },
  { "parking", 9, 255, "flat", 1, false, true, { 250, 170, 160 } },
  { "rail track", 10, 255, "flat", 1, false, true, { 230, 150, 140 } },
  { "building", 11, 2, "construction", 2, false, false, { 70, 70, 70 } },
  { "wall", 12, 3, "construction", 2, false, false, { 102, 102, 156 } },
  { "fence", 13, 4, "construction", 2, false, false, { 190, 153, 153 } },
  { "guard rail", 14, 255, "construction", 2, false, true, { 180, 165, 180 } },
  { "bridge", 15, 255, "construction", 2, false, true, { 150, 100, 100 } },
  { "tunnel", 16, 255, "construction", 2, false, true, { 150, 120, 90 } },
  { "pole", 17, 5, "object", 3, false, false, { 153, 153, 153 } },
  { "polegroup", 18, 255, "object", 3, false, true, { 153, 153, 153 } },
  { "traffic light", 19, 6, "object", 3, false, false, { 250, 170, 30 } },
  { "traffic sign", 20, 7, "object", 3, false, false, { 220, 220, 0 } },
  { "vegetation", 21, 8, "nature", 4, false, false, { 107, 142, 35 } },
  { "terrain", 22, 9, "nature", 4, false, false, { 152, 251, 152 } },
  { "sky", 23, 10, "sky", 5, false, false, { 70, 130, 180 } },
  { "person", 24, 11, "human", 6, true, false, { 220, 20, 60 } },
  { "rider", 25, 12, "human", 6, true, false, { 255, 0, 0 } },
  { "car", 26, 13, "vehicle", 7, true, false, { 0, 0, 142 } },
  { "truck", 27, 14, "vehicle", 7, true, false, { 0, 0, 70 } },
  { "bus", 28, 15, "vehicle", 7, true, false, { 0, 60, 100 } },
  { "caravan", 29, 255, "vehicle", 7, true, true, { 0, 0, 90 } },
  { "trailer", 30, 255, "vehicle", 7, true, true, { 0, 0, 110 } },
  { "train", 31, 16, "vehicle", 7, true, false, { 0, 80, 100 } },
  { "motorcycle", 32, 17, "vehicle", 7, true, false, { 0, 0, 230 } },
  { "bicycle", 33, 18, "vehicle", 7, true, false, { 119, 11, 32 } },
  { "license plate", -1, -1, "vehicle", 7, false, true, { 0, 0, 142 } },
}
local fields = { "name", "id", "train_id", "category", "category_id", "has_instances", "ignore_in_eval", "color" }
--- The classes, in their order: tables with name, id, train_id, category, category_id, has_instances, ignore_in_eval, color.
Cityscapes.classes = {}
for i, row in ipairs(rows) do
  local class = {}
  for k, field in ipairs(fields) do class[field] = row[k] end
  Cityscapes.classes[i] = class
end

local suffixes = { instance = "instanceIds.png", semantic = "labelIds.png", color = "color.png", polygon = "polygons.json" }

--- Cityscapes(root, split = "train", mode = "fine", target_type = "instance", transform, target_transform, transforms): root has
--- leftImg8bit and gtFine or gtCoarse, or their archives. mode: fine or coarse; split: train, val, and test or train_extra.
--- target_type: instance (an image of mode I: class * 1000 + number), semantic (mode L), color, polygon (a table), or a list of
--- them, whose targets come as a list. Fields: images, targets (lists of paths).
function Cityscapes:init(...)
  local root, split, mode, target_type, transform, target_transform, transforms = spec(...)
  self:_begin(root, transforms, transform, target_transform)
  utils.verify_str_arg(mode, "mode", { "fine", "coarse" }, nil, "Cityscapes")
  self.mode = mode == "fine" and "gtFine" or "gtCoarse"
  local splits = mode == "fine" and { "train", "test", "val" } or { "train", "train_extra", "val" }
  utils.verify_str_arg(split, "split", splits, ("Unknown value '%s' for argument split if mode is '%s'. Valid values are {%s}."):format(
    split, mode, utils.iterable_to_str(splits)), "Cityscapes")
  self.split, self.target_type = split, type(target_type) == "table" and target_type or { target_type }
  for _, kind in ipairs(self.target_type) do
    utils.verify_str_arg(kind, "target_type", { "instance", "semantic", "polygon", "color" }, nil, "Cityscapes")
  end
  self.images_dir, self.targets_dir = self:_path("leftImg8bit", split), self:_path(self.mode, split)
  if not utils.is_folder(self.images_dir) or not utils.is_folder(self.targets_dir) then self:_unpack() end
  self.images, self.targets = {}, {}
  for _, city in ipairs((utils.list("Cityscapes", self.images_dir))) do
    for _, name in ipairs((select(2, utils.list("Cityscapes", self.images_dir .. "/" .. city)))) do
      local paths, stem = {}, name:match "^(.-)_leftImg8bit" or name
      for i, kind in ipairs(self.target_type) do
        paths[i] = ("%s/%s/%s_%s_%s"):format(self.targets_dir, city, stem, self.mode, suffixes[kind])
      end
      self.images[#self.images + 1], self.targets[#self.targets + 1] = self.images_dir .. "/" .. city .. "/" .. name, paths
    end
  end
end

-- The archives of the data set's page, which has no free downloads.
function Cityscapes:_unpack()
  local images = self:_path(self.split == "train_extra" and "leftImg8bit_trainextra.zip" or "leftImg8bit_trainvaltest.zip")
  local targets = self:_path(self.mode == "gtFine" and "gtFine_trainvaltest.zip" or "gtCoarse.zip")
  if not utils.is_file(images) or not utils.is_file(targets) then
    args.fail("Cityscapes", 'Dataset not found or incomplete. Please make sure all required folders for the specified "split" and '
      .. '"mode" are inside the "root" directory (%s, %s or their archives %s, %s from www.cityscapes-dataset.com)', self.images_dir,
      self.targets_dir, images, targets)
  end
  utils.extract_archive(images, self.root)
  utils.extract_archive(targets, self.root)
end

function Cityscapes:len() return #self.images end

local function read_target(kind, path)
  if kind == "polygon" then return utils.read_json("Cityscapes", path) end
  return require("lampad.vision.image").open(path, kind == "instance" and "I" or nil)
end

function Cityscapes:getitem(i)
  local at = self:_position(i) + 1
  local image, target = require("lampad.vision.image").open(self.images[at], "RGB"), {}
  for k, kind in ipairs(self.target_type) do target[k] = read_target(kind, self.targets[at][k]) end
  if #target == 1 then target = target[1] end
  if self.transforms then return self.transforms(image, target) end
  return image, target
end

function Cityscapes:extra_repr()
  return ("Split: %s\nMode: %s\nType: [%s]"):format(self.split, self.mode, utils.iterable_to_str(self.target_type))
end

return { Cityscapes = Cityscapes }
