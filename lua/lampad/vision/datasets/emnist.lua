-- vision.datasets.EMNIST (Cohen and others, 2017) and QMNIST (Yadav and Bottou, 2019): letters and digits in MNIST's format.
-- Source: torchvision.datasets.mnist.
local core = require "lampad.core"
local args = require "lampad.args"
local idx = require "lampad.vision.datasets.idx"
local utils = require "lampad.vision.datasets.utils"
local MNIST = require("lampad.vision.datasets.mnist").MNIST

local torch = core.torch

-- --- EMNIST -------------------------------------------------------------------------------------------
local EMNIST = MNIST:extend "EMNIST"
local emnist_spec = args("EMNIST(str root, str split, bool train=true, any transform=nil, any target_transform=nil, "
  .. "bool download=false)")
EMNIST.url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
EMNIST.md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
EMNIST.splits = { "byclass", "bymerge", "balanced", "letters", "digits", "mnist" }
EMNIST.advice = "use download = true, or unpack gzip.zip from biometrics.nist.gov/cs_links/EMNIST into root/EMNIST/raw"

local function characters(text)
  local list = {}
  for c in text:gmatch "." do list[#list + 1] = c end
  return list
end

local digits, capitals = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
-- The small letters whose capitals look different.
local merged = characters(digits .. capitals .. "abdefghnqrt")
EMNIST.classes_split_dict = {
  byclass = characters(digits .. capitals .. capitals:lower()), bymerge = merged, balanced = merged,
  letters = table.move(characters(capitals:lower()), 1, 26, 2, { "N/A" }), digits = characters(digits), mnist = characters(digits),
}

--- EMNIST(root, split, train = true, transform, target_transform, download = false): split: byclass, bymerge, balanced, letters,
--- digits or mnist. Pictures are stored lying on their side, as torchvision gives them.
function EMNIST:init(...)
  local root, split, train, transform, target_transform, download = emnist_spec(...)
  self.split = utils.verify_str_arg(split, "split", self.splits, nil, "EMNIST")
  self.classes = self.classes_split_dict[split]
  self:_setup(root, train, transform, target_transform, download)
end

function EMNIST:_names()
  local prefix = ("emnist-%s-%s"):format(self.split, self.train and "train" or "test")
  return { prefix .. "-images-idx3-ubyte", prefix .. "-labels-idx1-ubyte" }
end

function EMNIST:_load()
  local image_path, label_path = self:_find_all(self:_names())
  local data = idx.read(image_path, 3, self.__name)
  local labels = idx.read(label_path, 1, self.__name)
  self:_check(image_path, label_path, data, labels)
  return data, labels:to(torch.int64)
end

function EMNIST:download()
  local names = self:_names()
  if self:_find(names[1]) and self:_find(names[2]) then return end
  local raw = self:_raw_folder()
  utils.download_and_extract_archive(self.url, raw, { md5 = self.md5 })
  for _, path in ipairs(utils.list_files(raw .. "/gzip", ".gz", true)) do utils.extract_archive(path, raw) end
  utils.remove_tree(raw .. "/gzip")
end

-- --- QMNIST -------------------------------------------------------------------------------------------
local QMNIST = MNIST:extend "QMNIST"
local qmnist_spec = args("QMNIST(str root, str what=nil, bool compat=true, bool train=true, any transform=nil, "
  .. "any target_transform=nil, bool download=false)")
local base = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
QMNIST.subsets = { train = "train", test = "test", test10k = "test", test50k = "test", nist = "nist" }
QMNIST.resources = {
  train = { { base .. "qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370" },
    { base .. "qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4" } },
  test = { { base .. "qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412" },
    { base .. "qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa" } },
  nist = { { base .. "xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834" },
    { base .. "xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d" } },
}
QMNIST.advice = "use download = true, or get the files from github.com/facebookresearch/qmnist and give their folder as root"

--- QMNIST(root, what, compat = true, train = true, transform, target_transform, download = false): what: train, test, test10k,
--- test50k or nist; by default train says. compat: the label is the digit; otherwise the row of eight numbers about it.
function QMNIST:init(...)
  local root, what, compat, train, transform, target_transform, download = qmnist_spec(...)
  self.what = utils.verify_str_arg(what or (train and "train" or "test"), "what",
    { "train", "test", "test10k", "test50k", "nist" }, nil, "QMNIST")
  self.compat = compat
  self:_setup(root, train, transform, target_transform, download)
  self.getbatch = nil -- labels have several columns
end

local function name_of(url) return url:match "([^/]+)%.%w+$" end

function QMNIST:_load()
  local files = self.resources[self.subsets[self.what]]
  local image_path, label_path = self:_find_all { name_of(files[1][1]), name_of(files[2][1]) }
  local data, targets = idx.read(image_path, 3, "QMNIST"), idx.read(label_path, 2, "QMNIST", 0x0C):to(torch.int64)
  if data:size(0) ~= targets:size(0) then
    args.fail("QMNIST", "%s holds %d images, but %s holds %d labels", image_path, data:size(0), label_path, targets:size(0))
  end
  if self.what == "test10k" then return data["0:10000"]:clone(), targets["0:10000"]:clone() end
  if self.what == "test50k" then return data["10000:"]:clone(), targets["10000:"]:clone() end
  return data, targets
end

function QMNIST:download()
  for _, file in ipairs(self.resources[self.subsets[self.what]]) do
    if not self:_find(name_of(file[1])) then
      utils.download_and_extract_archive(file[1], self:_raw_folder(), { md5 = file[2] })
    end
  end
end

function QMNIST:getitem(i)
  local at = self:_position(i)
  local target = self.targets[at]
  return self:_finish(self:_image(at), self.compat and target[0]:item() or target)
end

function QMNIST:extra_repr() return "Split: " .. self.what end

return { EMNIST = EMNIST, QMNIST = QMNIST }
