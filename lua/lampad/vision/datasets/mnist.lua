-- vision.datasets.MNIST and its kin, from the IDX files as they are distributed. Source: torchvision.datasets.mnist.
local core = require "lampad.core"
local args = require "lampad.args"
local idx = require "lampad.vision.datasets.idx"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local torch = core.torch
local MNIST = VisionDataset:extend "MNIST"
local arguments = "(str root=nil, bool train=true, any transform=nil, any target_transform=nil, bool download=false)"

MNIST.files = {
  train = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte" },
  test = { "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" },
}
MNIST.mirrors = { "https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/" }
MNIST.resources = {
  { "train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873" },
  { "train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432" },
  { "t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3" },
  { "t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c" },
}
MNIST.default_root = "/usr/share/datasets/mnist"
MNIST.advice = "use download = true, or get the four files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
  .. "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz of MNIST and give their folder as root"
MNIST.classes = {
  "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight",
  "9 - nine",
}

--- root/MNIST/raw: where downloads go, as torchvision has it.
function MNIST:_raw_folder() return self:_path(self.__name, "raw") end

-- The path of a file under the root: packed or not, directly or in torchvision's <Name>/raw; nil when it is not there.
function MNIST:_find(name)
  for _, folder in ipairs { self.root, self:_raw_folder() } do
    for _, ending in ipairs { ".gz", "", ".xz" } do
      local path = folder .. "/" .. name .. ending
      if utils.is_file(path) then return path end
    end
  end
end

function MNIST:_find_all(names)
  local found, missing = {}, {}
  for i, name in ipairs(names) do
    found[i] = self:_find(name)
    if not found[i] then missing[#missing + 1] = name .. ".gz" end
  end
  if #missing > 0 then
    args.fail(self.__name, "missing %s; looked in %s and %s (packed or not). To get the data, %s",
      table.concat(missing, " and "), self.root, self:_raw_folder(), self.advice)
  end
  return table.unpack(found)
end

--- download(): gets the files, unless they are there.
function MNIST:download()
  for _, resource in ipairs(self.resources) do
    local name, md5 = table.unpack(resource)
    local message
    for _, mirror in ipairs(self:_find((name:gsub("%.gz$", ""))) and {} or self.mirrors) do
      local ok
      ok, message = pcall(utils.download_and_extract_archive, mirror .. name, self:_raw_folder(), { filename = name, md5 = md5 })
      if ok then
        message = nil
        break
      end
      if tostring(message):find("interrupted", 1, true) then error(message, 0) end
    end
    if message then
      message = tostring(message):gsub("^.-download_url: ", "")
      args.fail(self.__name, "%s Or %s", message, self.advice)
    end
  end
end

-- Images (N, H, W) and labels that go together.
function MNIST:_check(image_path, label_path, data, targets)
  if data:size(0) ~= targets:size(0) then
    args.fail(self.__name, "%s holds %d images, but %s holds %d labels", image_path, data:size(0), label_path, targets:size(0))
  end
  if targets:numel() == 0 then args.fail(self.__name, "%s holds no images", image_path) end
  local largest = targets:max():item()
  if largest >= #self.classes then
    args.fail(self.__name, "%s is corrupted: it holds the label %d, expected 0 to %d", label_path, largest, #self.classes - 1)
  end
end

function MNIST:_load()
  local image_path, label_path = self:_find_all(self.files[self.train and "train" or "test"])
  local data = idx.read(image_path, 3, self.__name)
  local labels = idx.read(label_path, 1, self.__name)
  self:_check(image_path, label_path, data, labels)
  return data, labels:to(torch.int64)
end

function MNIST:_setup(root, train, transform, target_transform, download)
  self:_begin(root or self.default_root or nil, nil, transform, target_transform)
  if self.root == nil then args.fail(self.__name, "argument 'root' (a string) is missing") end
  self.train = train
  if download then self:download() end
  self.data, self.targets = self:_load()
  self.class_to_idx = utils.positions(self.classes)
  self:_offer_batches()
end

local mnist_spec = args("MNIST" .. arguments)

--- MNIST(root, train = true, transform, target_transform, download = false): item i is the picture, a vision.Image of 28 x 28 in
--- mode L unless a transform changes it, and its label. data: uint8 (N, 28, 28), targets: int64 (N); classes, class_to_idx.
function MNIST:init(...) self:_setup(mnist_spec(...)) end

function MNIST:len() return self.data:size(0) end

function MNIST:_image(at) return require "lampad.vision.image"(self.data[at], "L") end

function MNIST:getitem(i)
  local at = self:_position(i)
  return self:_finish(self:_image(at), self.targets[at]:item())
end

function MNIST:extra_repr() return "Split: " .. (self.train and "Train" or "Test") end

--- Xiao, Rasul and Vollgraf (2017): 28 x 28 pictures of clothes in 10 classes.
local FashionMNIST = MNIST:extend "FashionMNIST"
local fashion_spec = args("FashionMNIST" .. arguments)
FashionMNIST.default_root = "/usr/share/datasets/fashion-mnist"
FashionMNIST.advice = "on Debian install it with `apt install dataset-fashion-mnist` (it lands in "
  .. "/usr/share/datasets/fashion-mnist), use download = true, or get the four .gz files from "
  .. "github.com/zalandoresearch/fashion-mnist and give their folder as root"
FashionMNIST.mirrors = { "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/" }
FashionMNIST.resources = {
  { "train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d" },
  { "train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe" },
  { "t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79" },
  { "t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310" },
}
FashionMNIST.classes = {
  "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
}

--- As MNIST; root defaults to where Debian's package puts the files.
function FashionMNIST:init(...) self:_setup(fashion_spec(...)) end

--- Clanuwat and others (2018): cursive Japanese letters in 10 classes.
local KMNIST = MNIST:extend "KMNIST"
local kmnist_spec = args("KMNIST" .. arguments)
KMNIST.default_root = false
KMNIST.advice = "use download = true, or get the four .gz files from codh.rois.ac.jp/kmnist and give their folder as root"
KMNIST.mirrors = { "http://codh.rois.ac.jp/kmnist/dataset/kmnist/" }
KMNIST.resources = {
  { "train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7" },
  { "train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344" },
  { "t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7" },
  { "t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134" },
}
KMNIST.classes = { "o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo" }

--- As MNIST.
function KMNIST:init(...) self:_setup(kmnist_spec(...)) end

return { VisionDataset = VisionDataset, MNIST = MNIST, FashionMNIST = FashionMNIST, KMNIST = KMNIST }
