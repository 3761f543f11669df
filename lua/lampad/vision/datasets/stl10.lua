-- vision.datasets.STL10: 96 x 96 pictures, few of them with labels. Source: Coates, Lee and Ng (2011); torchvision.
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local torch = core.torch
local STL10 = VisionDataset:extend "STL10"
local spec = args("STL10(str root, str split='train', int? folds=nil, any transform=nil, any target_transform=nil, "
  .. "bool download=false)")
STL10.base_folder = "stl10_binary"
STL10.url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
STL10.filename = "stl10_binary.tar.gz"
STL10.tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
STL10.class_names_file = "class_names.txt"
STL10.folds_list_file = "fold_indices.txt"
STL10.train_list = {
  { "train_X.bin", "918c2871b30a85fa023e0c44e0bee87f" }, { "train_y.bin", "5a34089d4802c674881badbb80307741" },
  { "unlabeled_X.bin", "5242ba1fed5e4be9e1e742405eb56ca4" },
}
STL10.test_list = {
  { "test_X.bin", "7f263ba9f9e0b06b93213547f721ac82" }, { "test_y.bin", "36f9794fa4beb8a2c72628de14fa638e" },
}
STL10.splits = { "train", "train+unlabeled", "unlabeled", "test" }
local SIDE = 96

--- STL10(root, split = "train", folds, transform, target_transform, download = false): split: train, train+unlabeled, unlabeled or
--- test; folds: nil or one of the ten folds of train, 0 to 9. data: uint8 (N, 3, 96, 96); labels: int64 (N), -1 where there is
--- none.
function STL10:init(...)
  local root, split, folds, transform, target_transform, download = spec(...)
  self:_begin(root, nil, transform, target_transform)
  self.split = utils.verify_str_arg(split, "split", self.splits, nil, "STL10")
  if folds ~= nil and (folds < 0 or folds > 9) then
    args.fail("STL10", "Value for argument folds should be in the range [0, 10), but got %d.", folds)
  end
  self.folds = folds
  if download then self:download() end
  if not self:_check_integrity() then utils.not_found(self, self.filename .. " or its folder " .. self.base_folder) end
  local data, labels
  if split == "test" then
    data, labels = self:_images "test_X.bin", self:_labels "test_y.bin"
  elseif split == "unlabeled" then
    data = self:_images "unlabeled_X.bin"
    labels = torch.full({ data:size(0) }, -1)
  else
    data, labels = self:_images "train_X.bin", self:_labels "train_y.bin"
    if folds then
      local indices = self:_fold(folds)
      data, labels = data:index_select(0, indices), labels:index_select(0, indices)
    end
    if split == "train+unlabeled" then
      local more = self:_images "unlabeled_X.bin"
      data, labels = torch.cat { data, more }, torch.cat { labels, torch.full({ more:size(0) }, -1) }
    end
  end
  -- Columns lie one after the other in the files.
  self.data, self.labels = data:transpose(2, 3), labels
  local names = self:_path(self.base_folder, self.class_names_file)
  if utils.is_file(names) then self.classes = utils.read_lines("STL10", names) end
end

function STL10:_images(name)
  local bytes = core.read_file(self:_path(self.base_folder, name), "STL10")
  if bytes:numel() % (3 * SIDE * SIDE) ~= 0 then args.fail("STL10", "%s holds no whole number of pictures", name) end
  return bytes:view(-1, 3, SIDE, SIDE)
end

function STL10:_labels(name)
  return core.read_file(self:_path(self.base_folder, name), "STL10"):to(torch.int64):sub(1)
end

function STL10:_fold(number)
  local line = utils.read_lines("STL10", self:_path(self.base_folder, self.folds_list_file))[number + 1] or ""
  local indices = {}
  for index in line:gmatch "%d+" do indices[#indices + 1] = math.tointeger(index) end
  return torch.tensor(indices, { dtype = torch.int64 })
end

function STL10:_check_integrity()
  for _, list in ipairs { self.train_list, self.test_list } do
    for _, entry in ipairs(list) do
      if not utils.check_integrity(self:_path(self.base_folder, entry[1]), entry[2]) then return false end
    end
  end
  return true
end

function STL10:download()
  if self:_check_integrity() then return end
  utils.download_and_extract_archive(self.url, self.root, { filename = self.filename, md5 = self.tgz_md5 })
end

function STL10:len() return self.data:size(0) end

function STL10:getitem(i)
  local at = self:_position(i)
  local image = require "lampad.vision.image"(self.data[at]:permute(1, 2, 0):contiguous())
  return self:_finish(image, self.labels[at]:item())
end

function STL10:extra_repr() return "Split: " .. self.split end

return { STL10 = STL10 }
