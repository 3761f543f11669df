-- vision.datasets.Food101: 101,000 pictures of dishes. Source: Bossard and others (2014); torchvision.datasets.Food101.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local Food101 = VisionDataset:extend "Food101"
local spec = args("Food101(str root, str split='train', any transform=nil, any target_transform=nil, bool download=false, "
  .. "any loader=nil)")
Food101.url = "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz"
Food101.md5 = "85eeb15f3717b99a5da872d97d918f87"
Food101.base_folder = "food-101"

--- Food101(root, split = "train", transform, target_transform, download = false, loader): root/food-101. split: train or test.
function Food101:init(...)
  local root, split, transform, target_transform, download, loader = spec(...)
  self:_begin(root, nil, transform, target_transform)
  self._split = utils.verify_str_arg(split, "split", { "train", "test" }, nil, "Food101")
  if download then self:download() end
  if not self:_check_exists() then utils.not_found(self, "food-101.tar.gz, unpacked, or its folder food-101") end
  local path = self:_path(self.base_folder, "meta", split .. ".json")
  local metadata = utils.read_json("Food101", path)
  self.classes = utils.sorted_keys(metadata)
  self.class_to_idx = utils.positions(self.classes)
  self._labels, self._image_files = {}, {}
  -- In the order of the file, which a table does not keep: {"churros": ["churros/1", ...], ...}.
  for class in utils.read_text("Food101", path):gmatch '"([^"]*)"%s*:%s*%[' do
    for _, name in ipairs(metadata[class] or {}) do
      self._labels[#self._labels + 1] = self.class_to_idx[class]
      self._image_files[#self._image_files + 1] = self:_path(self.base_folder, "images", name .. ".jpg")
    end
  end
  self.loader = loader or require("lampad.vision.datasets.folder").default_loader
end

function Food101:_check_exists()
  return utils.is_folder(self:_path(self.base_folder, "meta")) and utils.is_folder(self:_path(self.base_folder, "images"))
end

function Food101:download()
  if not self:_check_exists() then utils.download_and_extract_archive(self.url, self.root, { md5 = self.md5 }) end
end

function Food101:len() return #self._image_files end

function Food101:getitem(i)
  local at = self:_position(i) + 1
  return self:_finish(self.loader(self._image_files[at]), self._labels[at])
end

function Food101:extra_repr() return "split=" .. self._split end

return { Food101 = Food101 }
