-- vision.datasets.OxfordIIITPet: cats and dogs of 37 breeds. Source: Parkhi and others (2012); torchvision.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local OxfordIIITPet = VisionDataset:extend "OxfordIIITPet"
local spec = args("OxfordIIITPet(str root, str split='trainval', any target_types='category', any transforms=nil, "
  .. "any transform=nil, any target_transform=nil, bool download=false, any loader=nil)")
OxfordIIITPet.resources = {
  { "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c" },
  { "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f" },
}
OxfordIIITPet.base_folder = "oxford-iiit-pet"

-- "american_bulldog" -> "American Bulldog".
local function title(name)
  return (name:gsub("_", " "):lower():gsub("%f[%a]%a", string.upper))
end

--- OxfordIIITPet(root, split = "trainval", target_types = "category", transforms, transform, target_transform, download = false):
--- root/oxford-iiit-pet. split: trainval or test. target_types: category, binary-category (0 cat, 1 dog), segmentation (an image
--- of mode L: 1 animal, 2 background, 3 border), or a list of them, whose targets come as a list.
function OxfordIIITPet:init(...)
  local root, split, target_types, transforms, transform, target_transform, download, loader = spec(...)
  self:_begin(root, transforms, transform, target_transform)
  self._split = utils.verify_str_arg(split, "split", { "trainval", "test" }, nil, "OxfordIIITPet")
  self._target_types = {}
  for i, kind in ipairs(type(target_types) == "table" and target_types or { target_types }) do
    self._target_types[i] = utils.verify_str_arg(kind, "target_types", { "category", "binary-category", "segmentation" }, nil,
      "OxfordIIITPet")
  end
  if download then self:download() end
  if not self:_check_exists() then utils.not_found(self, "images.tar.gz and annotations.tar.gz, unpacked, into oxford-iiit-pet") end
  local path = self:_path(self.base_folder, "annotations", split .. ".txt")
  self._labels, self._bin_labels, self._images, self._segs = {}, {}, {}, {}
  local name_of = {}
  for i, line in ipairs(utils.read_lines("OxfordIIITPet", path)) do
    local id, label, kind = line:match "^%s*(%S+)%s+(%d+)%s+(%d+)"
    if not id then args.fail("OxfordIIITPet", "%s: line %d is none of a picture", path, i) end
    self._labels[i], self._bin_labels[i] = math.tointeger(label) - 1, math.tointeger(kind) - 1
    self._images[i] = self:_path(self.base_folder, "images", id .. ".jpg")
    self._segs[i] = self:_path(self.base_folder, "annotations", "trimaps", id .. ".png")
    name_of[self._labels[i]] = title(id:match "^(.*)_[^_]*$" or id)
  end
  self.classes, self.bin_classes = {}, { "Cat", "Dog" }
  local labels = {}
  for label in pairs(name_of) do labels[#labels + 1] = label end
  table.sort(labels)
  for i, label in ipairs(labels) do self.classes[i] = name_of[label] end
  self.class_to_idx, self.bin_class_to_idx = utils.positions(self.classes), utils.positions(self.bin_classes)
  self.loader = loader or require("lampad.vision.datasets.folder").default_loader
end

function OxfordIIITPet:_check_exists()
  return utils.is_folder(self:_path(self.base_folder, "images")) and utils.is_folder(self:_path(self.base_folder, "annotations"))
end

function OxfordIIITPet:download()
  if self:_check_exists() then return end
  for _, file in ipairs(self.resources) do
    utils.download_and_extract_archive(file[1], self:_path(self.base_folder), { md5 = file[2] })
  end
end

function OxfordIIITPet:len() return #self._images end

function OxfordIIITPet:getitem(i)
  local at = self:_position(i) + 1
  local image, targets = self.loader(self._images[at]), {}
  for k, kind in ipairs(self._target_types) do
    if kind == "category" then
      targets[k] = self._labels[at]
    elseif kind == "binary-category" then
      targets[k] = self._bin_labels[at]
    else
      targets[k] = require("lampad.vision.image").open(self._segs[at])
    end
  end
  local target = targets
  if #targets <= 1 then target = targets[1] end
  if self.transforms then return self.transforms(image, target) end
  return image, target
end

return { OxfordIIITPet = OxfordIIITPet }
