-- vision.datasets.MNIST and FashionMNIST, from the IDX files as they are distributed.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local idx = require "lampad.vision.datasets.idx"
local Dataset = require("lampad.utils.data.dataset").Dataset
local position = require("lampad.utils.data.dataset").position

local torch = core.torch

--- What datasets of images have in common: root, transform, target_transform.
local VisionDataset = Dataset:extend "VisionDataset"

function VisionDataset.__tostring(self)
  local lines = { "Dataset " .. self.__name, "    Number of datapoints: " .. self:len() }
  if self.root then lines[#lines + 1] = "    Root location: " .. self.root end
  local extra = self.extra_repr and self:extra_repr()
  if extra then lines[#lines + 1] = "    " .. extra end
  if self.transform then
    lines[#lines + 1] = "    StandardTransform"
    lines[#lines + 1] = "Transform: " .. text.indent(tostring(self.transform), 11)
  end
  return table.concat(lines, "\n")
end

local MNIST = VisionDataset:extend "MNIST"
local arguments = "(str root=nil, bool train=true, any transform=nil, any target_transform=nil, bool download=false)"

MNIST.files = {
  train = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte" },
  test = { "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" },
}
MNIST.default_root = "/usr/share/datasets/mnist"
MNIST.advice = "get the four files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
  .. "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz of MNIST and give their folder as root"
MNIST.classes = {
  "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight",
  "9 - nine",
}

-- The files under the root: packed or not, directly or in torchvision's <Name>/raw.
local function find(self, names)
  local folders = { self.root, self.root .. "/" .. self.__name .. "/raw" }
  local found, missing = {}, {}
  for i, name in ipairs(names) do
    for _, folder in ipairs(folders) do
      for _, ending in ipairs { ".gz", "" } do
        local path = folder .. "/" .. name .. ending
        local file = not found[i] and io.open(path, "rb")
        if file then
          file:close()
          found[i] = path
        end
      end
    end
    if not found[i] then missing[#missing + 1] = name .. ".gz" end
  end
  if #missing > 0 then
    args.fail(self.__name, "missing %s; looked in %s (packed or not). To get the data, %s",
      table.concat(missing, " and "), table.concat(folders, " and "), self.advice)
  end
  return table.unpack(found)
end

function MNIST:_setup(root, train, transform, target_transform, download)
  if download then
    args.fail(self.__name, "download = true is not part of Lampad: %s", self.advice)
  end
  self.root = root or self.default_root
  self.train, self.transform, self.target_transform = train, transform, target_transform
  local image_path, label_path = find(self, self.files[train and "train" or "test"])
  self.data = idx.read(image_path, 3, self.__name)
  local labels = idx.read(label_path, 1, self.__name)
  if self.data:size(0) ~= labels:size(0) then
    args.fail(self.__name, "%s holds %d images, but %s holds %d labels", image_path, self.data:size(0),
      label_path, labels:size(0))
  end
  if labels:numel() == 0 then args.fail(self.__name, "%s holds no images", image_path) end
  local largest = labels:max():item()
  if largest >= #self.classes then
    args.fail(self.__name, "%s is corrupted: it holds the label %d, expected 0 to %d", label_path, largest,
      #self.classes - 1)
  end
  self.targets = labels:to(torch.int64)
  -- Whole batches can be read when no transform needs single images.
  if (transform == nil or (type(transform) == "table" and transform.batch)) and target_transform == nil then
    self.getbatch = function(_, indices)
      local images = self.data:index_select(0, indices)
      if transform then images = transform:batch(images) end
      return images, self.targets:index_select(0, indices)
    end
  end
end

local mnist_spec = args("MNIST" .. arguments)

--- MNIST(root, {train = true, transform = f, target_transform = f}): item i is the image, uint8 (28, 28) unless a
--- transform changes it, and its label. `data` and `targets` hold all of them; `classes` the names.
function MNIST:init(...) self:_setup(mnist_spec(...)) end

function MNIST:len() return self.data:size(0) end

function MNIST:getitem(i)
  local at = position(self.__name, i, self:len())
  local image, target = self.data[at], self.targets[at]:item()
  if self.transform then image = self.transform(image) end
  if self.target_transform then target = self.target_transform(target) end
  return image, target
end

function MNIST:extra_repr() return "Split: " .. (self.train and "Train" or "Test") end

--- class name -> label.
function MNIST:class_to_idx()
  local result = {}
  for i, name in ipairs(self.classes) do result[name] = i - 1 end
  return result
end

--- Xiao, Rasul and Vollgraf (2017): 28 x 28 pictures of clothes in 10 classes.
local FashionMNIST = MNIST:extend "FashionMNIST"
local fashion_spec = args("FashionMNIST" .. arguments)
FashionMNIST.default_root = "/usr/share/datasets/fashion-mnist"
FashionMNIST.advice = "on Debian install it with `apt install dataset-fashion-mnist` (it lands in "
  .. "/usr/share/datasets/fashion-mnist), or get the four .gz files from "
  .. "github.com/zalandoresearch/fashion-mnist and give their folder as root"
FashionMNIST.classes = {
  "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
}

--- As MNIST; root defaults to where Debian's package puts the files.
function FashionMNIST:init(...) self:_setup(fashion_spec(...)) end

return { VisionDataset = VisionDataset, MNIST = MNIST, FashionMNIST = FashionMNIST }
