-- vision.datasets.ImageNet: the pictures of ILSVRC 2012, from its archives, which their page gives to registered users. Source:
-- Russakovsky and others (2015); torchvision.datasets.ImageNet.
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local folder = require "lampad.vision.datasets.folder"

local ImageNet = folder.ImageFolder:extend "ImageNet"
local spec = args("ImageNet(str root, str split='train', any transform=nil, any target_transform=nil, any loader=nil, "
  .. "any is_valid_file=nil, bool allow_empty=false)")
ImageNet.archives = {
  train = { "ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e" },
  val = { "ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622" },
  devkit = { "ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf" },
}
ImageNet.meta_file = "meta.bin"

local function need_archive(self, root, kind)
  local name, md5 = table.unpack(self.archives[kind])
  local path = root .. "/" .. name
  if not utils.check_integrity(path, md5) then
    args.fail("ImageNet", "The archive %s is not present in the root directory or is corrupted. You need to download it externally "
      .. "and place it in %s.", name, root)
  end
  return path
end

-- meta.mat: a struct for each synset: number, wnid, words, number of children.
local function read_synsets(path)
  local synsets = require("lampad.vision.datasets.mat").variable(path, "synsets", "ImageNet")
  local wnid_of, classes = {}, {}
  for _, synset in ipairs(synsets) do
    local function number(name) return math.tointeger(synset[name]:flatten()[0]:item()) end
    if number "num_children" == 0 then
      wnid_of[number "ILSVRC2012_ID"] = synset.WNID
      local words = {}
      for word in (synset.words .. ", "):gmatch "(.-), " do words[#words + 1] = word end
      classes[synset.WNID] = words
    end
  end
  return wnid_of, classes
end

--- parse_devkit_archive(root): writes root/meta.bin: the classes' words by wnid, and the wnids of the validation pictures.
function ImageNet:_parse_devkit(root)
  local archive = need_archive(self, root, "devkit")
  local temporary = os.tmpname()
  os.remove(temporary)
  utils.extract_archive(archive, temporary)
  local ok, message = pcall(function()
    local base = temporary .. "/ILSVRC2012_devkit_t12/data/"
    local wnid_of, classes = read_synsets(base .. "meta.mat")
    local wnids = {}
    for i, line in ipairs(utils.read_lines("ImageNet", base .. "ILSVRC2012_validation_ground_truth.txt")) do
      wnids[i] = wnid_of[math.tointeger(line)]
    end
    core.torch.save({ classes, wnids }, root .. "/" .. self.meta_file)
  end)
  utils.remove_tree(temporary)
  if not ok then error(message, 0) end
end

function ImageNet:_parse_train(root)
  local into = root .. "/train"
  utils.extract_archive(need_archive(self, root, "train"), into)
  for _, path in ipairs(utils.list_files(into, ".tar", true)) do utils.extract_archive(path, (path:gsub("%.tar$", "")), true) end
end

function ImageNet:_parse_val(root)
  local wnids = core.torch.load(root .. "/" .. self.meta_file)[2]
  local into = root .. "/val"
  utils.extract_archive(need_archive(self, root, "val"), into)
  for i, name in ipairs(utils.list_files(into, "")) do
    local target = into .. "/" .. wnids[i]
    assert(core.make_folders(target))
    assert(os.rename(into .. "/" .. name, target .. "/" .. name))
  end
end

--- ImageNet(root, split = "train", {transform, target_transform, loader, is_valid_file, allow_empty}): split: train or val. root has
--- the archives ILSVRC2012_devkit_t12.tar.gz and ILSVRC2012_img_train.tar or ILSVRC2012_img_val.tar, or what was made of them
--- before. Fields: wnids, wnid_to_idx, classes (lists of words), class_to_idx, samples, targets.
function ImageNet:init(...)
  local root, split, transform, target_transform, loader, is_valid_file, allow_empty = spec(...)
  self.split = utils.verify_str_arg(split, "split", { "train", "val" }, nil, "ImageNet")
  self:_begin(root)
  root = self.root
  if not utils.is_file(root .. "/" .. self.meta_file) then self:_parse_devkit(root) end
  self.split_folder = root .. "/" .. split
  if not utils.is_folder(self.split_folder) then
    if split == "train" then self:_parse_train(root) else self:_parse_val(root) end
  end
  local words = core.torch.load(root .. "/" .. self.meta_file)[1]
  self:_read(self.split_folder, loader or folder.default_loader, is_valid_file == nil and folder.IMG_EXTENSIONS or nil, transform,
    target_transform, is_valid_file, allow_empty)
  self.root, self.imgs = root, self.samples
  self.wnids, self.wnid_to_idx = self.classes, self.class_to_idx
  self.classes, self.class_to_idx = {}, {}
  for i, wnid in ipairs(self.wnids) do
    self.classes[i] = words[wnid] or args.fail("ImageNet", "%s has the folder %s, which is no class", self.split_folder, wnid)
    for _, word in ipairs(self.classes[i]) do self.class_to_idx[word] = i - 1 end
  end
end

function ImageNet:extra_repr() return "Split: " .. self.split end

return { ImageNet = ImageNet }
