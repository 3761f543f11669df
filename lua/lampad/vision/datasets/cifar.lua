-- vision.datasets.CIFAR10 and CIFAR100, from the batches in Python's format, as torchvision, or in the binary format of the
-- same page. Source: Krizhevsky (2009), www.cs.toronto.edu/~kriz/cifar.html.
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local torch = core.torch
local SIDE, PIXELS = 32, 3072

local CIFAR10 = VisionDataset:extend "CIFAR10"

CIFAR10.base_folder = "cifar-10-batches-py"
CIFAR10.url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10.filename = "cifar-10-python.tar.gz"
CIFAR10.tgz_md5 = "c58f30108f718f92721af3b95e74349a"
CIFAR10.train_list = {
  { "data_batch_1", "c99cafc152244af753f735de768cd75f" }, { "data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec" },
  { "data_batch_3", "54ebc095f3ab1f0389bbae665268c751" }, { "data_batch_4", "634d18415352ddfa80567beed471001a" },
  { "data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb" },
}
CIFAR10.test_list = { { "test_batch", "40351d587109b95175f43aff81a1287e" } }
CIFAR10.meta = { filename = "batches.meta", key = "label_names", md5 = "5ff9c542aee3614f3951f8cda6e48888" }
-- Of the binary format: its folder, the names' patterns, the labels in front of a picture, the file of class names.
CIFAR10.binary = { folder = "cifar-10-batches-bin", train = "^data_batch_.*%.bin", test = "^test_batch.*%.bin",
  label_bytes = 1, names = "batches.meta.txt" }

-- --- the format of Python -----------------------------------------------------------------------------------
function CIFAR10:_check_integrity()
  for _, list in ipairs { self.train_list, self.test_list } do
    for _, entry in ipairs(list) do
      if not utils.check_integrity(self:_path(self.base_folder, entry[1]), entry[2]) then return false end
    end
  end
  return true
end

local function bad(self, path, what) args.fail(self.__name, "%s is no batch of %s: %s", path, self.__name, what) end

function CIFAR10:_read_pickles(list)
  local load_pickle = require("lampad.serialization").load_pickle
  local parts, targets = {}, {}
  for i, entry in ipairs(list) do
    local path = self:_path(self.base_folder, entry[1])
    local batch = load_pickle(path)
    local labels = type(batch) == "table" and (batch.labels or batch.fine_labels)
    if type(labels) ~= "table" or not torch.is_tensor(batch.data) or batch.data.dtype ~= torch.uint8
      or batch.data.ndim ~= 2 or batch.data:size(1) ~= PIXELS or batch.data:size(0) ~= #labels then
      bad(self, path, "it has no data and labels of that form")
    end
    parts[i] = batch.data
    table.move(labels, 1, #labels, #targets + 1, targets)
  end
  local meta = self:_path(self.base_folder, self.meta.filename)
  if not utils.check_integrity(meta, self.meta.md5) then
    args.fail(self.__name, "Dataset metadata file not found or corrupted. You can use download = true to download it")
  end
  self.classes = load_pickle(meta)[self.meta.key]
  return torch.cat(parts), targets
end

-- --- the binary format ----------------------------------------------------------------------------------------
-- The batches' paths, in the root or in the archive's folder; packed or not.
function CIFAR10:_find_binary(train)
  local pattern = self.binary[train and "train" or "test"]
  for _, folder in ipairs { self:_path(self.binary.folder), self.root } do
    local found, _, files = {}, core.list_folder(folder)
    for _, name in ipairs(type(files) == "table" and files or {}) do
      if name:find(pattern) and not name:find "%.part$" then found[#found + 1] = folder .. "/" .. name end
    end
    if #found > 0 then return found, folder end
  end
end

function CIFAR10:_read_binary(paths, folder)
  local parts, record = {}, self.binary.label_bytes + PIXELS
  for i, path in ipairs(paths) do
    local bytes, message = core.read_packed(path)
    if not bytes then args.fail(self.__name, "%s", message) end
    if bytes:numel() == 0 or bytes:numel() % record ~= 0 then
      bad(self, path, ("%d bytes are no whole number of records of %d"):format(bytes:numel(), record))
    end
    parts[i] = bytes:view(-1, record)
  end
  local records = torch.cat(parts)
  local targets = records:select(1, self.binary.label_bytes - 1):tolist()
  local names = folder .. "/" .. self.binary.names
  if utils.is_file(names) then
    self.classes = {}
    for _, line in ipairs(utils.read_lines(self.__name, names)) do
      if line ~= "" then self.classes[#self.classes + 1] = line end
    end
  end
  for i, target in ipairs(targets) do
    if target >= (self.classes and #self.classes or 100) then
      args.fail(self.__name, "%s is corrupted: record %d has the label %d", table.concat(paths, ", "), i - 1, target)
    end
  end
  return records:narrow(1, self.binary.label_bytes, PIXELS):contiguous(), targets
end

-- --- the data set ---------------------------------------------------------------------------------------------
local arguments = "(str root, bool train=true, any transform=nil, any target_transform=nil, bool download=false)"
local spec = args("CIFAR10" .. arguments)

--- CIFAR10(root, train = true, transform, target_transform, download = false): 32 x 32 pictures of 10 classes. data: uint8
--- (N, 32, 32, 3); targets: a list; classes, class_to_idx. Where the batches in Python's format are not, those in the
--- binary format are read, data_batch_*.bin and test_batch*.bin (also .xz, .gz), as many as there are.
function CIFAR10:init(...) self:_setup(spec(...)) end

function CIFAR10:_setup(root, train, transform, target_transform, download)
  self:_begin(root, nil, transform, target_transform)
  self.train = train
  local whole = self:_check_integrity()
  local paths, folder
  if not whole and not download then paths, folder = self:_find_binary(train) end
  if not whole and download then
    utils.download_and_extract_archive(self.url, self.root, { filename = self.filename, md5 = self.tgz_md5 })
    whole = self:_check_integrity()
  end
  if not whole and not paths then utils.not_found(self, self.filename .. " or its folder " .. self.base_folder) end
  local rows
  if paths then
    rows, self.targets = self:_read_binary(paths, folder)
  else
    rows, self.targets = self:_read_pickles(train and self.train_list or self.test_list)
  end
  self.data = rows:view(-1, 3, SIDE, SIDE):permute(0, 2, 3, 1):contiguous()
  self.class_to_idx = utils.positions(self.classes or {})
  self:_offer_batches()
end

--- download(): gets the archive, unless the batches are there.
function CIFAR10:download()
  if self:_check_integrity() then return end
  utils.download_and_extract_archive(self.url, self.root, { filename = self.filename, md5 = self.tgz_md5 })
end

function CIFAR10:len() return self.data:size(0) end

function CIFAR10:getitem(i)
  local at = self:_position(i)
  return self:_finish(require "lampad.vision.image"(self.data[at], "RGB"), self.targets[at + 1])
end

function CIFAR10:extra_repr() return "Split: " .. (self.train and "Train" or "Test") end

local CIFAR100 = CIFAR10:extend "CIFAR100"
local spec100 = args("CIFAR100" .. arguments)
CIFAR100.base_folder = "cifar-100-python"
CIFAR100.url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
CIFAR100.filename = "cifar-100-python.tar.gz"
CIFAR100.tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
CIFAR100.train_list = { { "train", "16019d7e3df5f24257cddd939b257f8d" } }
CIFAR100.test_list = { { "test", "f0ef6b0ae62326f3e7ffdfab6717acfc" } }
CIFAR100.meta = { filename = "meta", key = "fine_label_names", md5 = "7973b15100ade9c7d40fb424638fde48" }
CIFAR100.binary = { folder = "cifar-100-binary", train = "^train.*%.bin", test = "^test.*%.bin", label_bytes = 2,
  names = "fine_label_names.txt" }

--- CIFAR100(root, ...): as CIFAR10, with 100 classes.
function CIFAR100:init(...) self:_setup(spec100(...)) end

return { CIFAR10 = CIFAR10, CIFAR100 = CIFAR100 }
