-- vision.datasets.CocoDetection and CocoCaptions: pictures with boxes, outlines and sentences. Source: Lin and others (2014);
-- torchvision.datasets.coco.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local arguments = "(str root, str annFile, any transform=nil, any target_transform=nil, any transforms=nil)"
local CocoDetection = VisionDataset:extend "CocoDetection"
local spec = args("CocoDetection" .. arguments)

--- CocoDetection(root, annFile, transform, target_transform, transforms): annFile: a JSON file such as instances_val2017.json.
--- Item: image, the list of its annotations (tables as in the file). Fields: ids (of the pictures, sorted), coco (imgs, anns and
--- cats by id, imgToAnns).
function CocoDetection:init(...) self:_setup(spec(...)) end

local function index(list)
  local by_id = {}
  for _, entry in ipairs(list or {}) do by_id[entry.id] = entry end
  return by_id
end

function CocoDetection:_setup(root, path, transform, target_transform, transforms)
  self:_begin(root, transforms, transform, target_transform)
  local data = utils.read_json(self.__name, path)
  if type(data) ~= "table" or type(data.images) ~= "table" then args.fail(self.__name, "%s has no list of images", path) end
  self.coco = { dataset = data, imgs = index(data.images), anns = index(data.annotations), cats = index(data.categories), imgToAnns = {} }
  for _, annotation in ipairs(data.annotations or {}) do
    local list = self.coco.imgToAnns[annotation.image_id] or {}
    self.coco.imgToAnns[annotation.image_id] = list
    list[#list + 1] = annotation
  end
  self.ids = {}
  for id in pairs(self.coco.imgs) do self.ids[#self.ids + 1] = id end
  table.sort(self.ids)
end

function CocoDetection:_load_target(id) return self.coco.imgToAnns[id] or {} end

function CocoDetection:len() return #self.ids end

function CocoDetection:getitem(i)
  local id = self.ids[self:_position(i) + 1]
  local image = require("lampad.vision.image").open(self:_path(self.coco.imgs[id].file_name), "RGB")
  local target = self:_load_target(id)
  if self.transforms then return self.transforms(image, target) end
  return image, target
end

local CocoCaptions = CocoDetection:extend "CocoCaptions"
local captions_spec = args("CocoCaptions" .. arguments)

--- CocoCaptions(root, annFile, ...): as CocoDetection with captions_*.json; the target is a list of sentences.
function CocoCaptions:init(...) self:_setup(captions_spec(...)) end

function CocoCaptions:_load_target(id)
  local captions = {}
  for i, annotation in ipairs(self.coco.imgToAnns[id] or {}) do captions[i] = annotation.caption end
  return captions
end

return { CocoDetection = CocoDetection, CocoCaptions = CocoCaptions }
