-- What data sets of a list of picture files have in common; and those that are folders of classes: EuroSAT, Country211,
-- Imagenette, RenderedSST2. Source: torchvision.datasets.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local folder = require "lampad.vision.datasets.folder"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

--- Subclasses fill _image_files and _labels, and call _open.
local Listed = VisionDataset:extend "Listed"

function Listed:_open(root, transform, target_transform, loader)
  self:_begin(root, nil, transform, target_transform)
  self.loader = loader or folder.default_loader
  self._image_files, self._labels = {}, {}
end

function Listed:_add(path, label)
  self._image_files[#self._image_files + 1] = path
  self._labels[#self._image_files] = label
end

-- Adds the samples of a folder of classes.
function Listed:_add_folder(path, class_to_idx, extensions)
  for _, sample in ipairs(folder.make_dataset(path, class_to_idx, { extensions = extensions })) do self:_add(sample[1], sample[2]) end
end

-- Downloads the archive, unless the folder is there; an error when it is not there then.
function Listed:_need(path, download, archive_root)
  if download and not utils.is_folder(path) then
    utils.download_and_extract_archive(self.url, archive_root, { md5 = self.md5 })
  end
  if not utils.is_folder(path) then utils.not_found(self, self.url:match "[^/]+$" .. ", unpacked, as " .. path) end
end

function Listed:len() return #self._image_files end

function Listed:getitem(i)
  local at = self:_position(i) + 1
  return self:_finish(self.loader(self._image_files[at]), self._labels[at])
end

local tail = "any transform=nil, any target_transform=nil, bool download=false, any loader=nil)"

-- --- EuroSAT --------------------------------------------------------------------------------------------
--- Helber and others (2019): land use from satellites in 10 classes.
local EuroSAT = folder.ImageFolder:extend "EuroSAT"
local eurosat_spec = args("EuroSAT(str root, " .. tail)
EuroSAT.url = "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip"
EuroSAT.md5 = "c8fa014336c82ac7804f0398fcb19387"
EuroSAT._need = Listed._need

--- EuroSAT(root, transform, target_transform, download = false, loader): root/eurosat/2750.
function EuroSAT:init(...)
  local root, transform, target_transform, download, loader = eurosat_spec(...)
  self:_begin(root)
  local base = self.root
  self:_need(base .. "/eurosat/2750", download, base .. "/eurosat")
  self:_read(base .. "/eurosat/2750", loader or folder.default_loader, folder.IMG_EXTENSIONS, transform, target_transform)
  self.root, self.imgs = base, self.samples
end

-- --- Country211 -----------------------------------------------------------------------------------------
--- Radford and others (2021): where a picture was taken.
local Country211 = folder.ImageFolder:extend "Country211"
local country_spec = args("Country211(str root, str split='train', " .. tail)
Country211.url = "https://openaipublic.azureedge.net/clip/data/country211.tgz"
Country211.md5 = "84988d7644798601126c29e9877aab6a"
Country211._need = Listed._need

--- Country211(root, split = "train", transform, target_transform, download = false, loader): split: train, valid or test.
function Country211:init(...)
  local root, split, transform, target_transform, download, loader = country_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "valid", "test" }, nil, "Country211")
  self:_begin(root)
  local base = self.root
  self:_need(base .. "/country211", download, base)
  self:_read(base .. "/country211/" .. split, loader or folder.default_loader, folder.IMG_EXTENSIONS, transform, target_transform)
  self.root, self.imgs = base, self.samples
end

-- --- RenderedSST2 ---------------------------------------------------------------------------------------
--- Radford and others (2021): sentences as pictures, negative or positive.
local RenderedSST2 = Listed:extend "RenderedSST2"
local sst_spec = args("RenderedSST2(str root, str split='train', " .. tail)
RenderedSST2.url = "https://openaipublic.azureedge.net/clip/data/rendered-sst2.tgz"
RenderedSST2.md5 = "2384d08e9dcfa4bd55b324e610496ee5"
RenderedSST2.classes = { "negative", "positive" }
local sst_folders = { train = "train", val = "valid", test = "test" }

--- RenderedSST2(root, split = "train", ...): split: train, val or test.
function RenderedSST2:init(...)
  local root, split, transform, target_transform, download, loader = sst_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "val", "test" }, nil, "RenderedSST2")
  self:_open(root, transform, target_transform, loader)
  local path = self:_path("rendered-sst2", sst_folders[split])
  self:_need(path, download, self.root)
  self.class_to_idx = utils.positions(self.classes)
  self:_add_folder(path, nil, { "png" })
end

function RenderedSST2:extra_repr() return "split=" .. self._split end

-- --- Imagenette -----------------------------------------------------------------------------------------
--- Howard (2019): ten easy classes of ImageNet.
local Imagenette = Listed:extend "Imagenette"
local imagenette_spec = args("Imagenette(str root, str split='train', str size='full', bool download=false, any transform=nil, "
  .. "any target_transform=nil, any loader=nil)")
local page = "https://s3.amazonaws.com/fast-ai-imageclas/"
Imagenette.archives = {
  full = { page .. "imagenette2.tgz", "fe2fc210e6bb7c5664d602c3cd71e612" },
  ["320px"] = { page .. "imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3" },
  ["160px"] = { page .. "imagenette2-160.tgz", "e793b78cc4c9e9a4ccc0c1155377a412" },
}
Imagenette.wnid_to_class = {
  n01440764 = { "tench", "Tinca tinca" }, n02102040 = { "English springer", "English springer spaniel" },
  n02979186 = { "cassette player" }, n03000684 = { "chain saw", "chainsaw" }, n03028079 = { "church", "church building" },
  n03394916 = { "French horn", "horn" }, n03417042 = { "garbage truck", "dustcart" },
  n03425413 = { "gas pump", "gasoline pump", "petrol pump", "island dispenser" }, n03445777 = { "golf ball" },
  n03888257 = { "parachute", "chute" },
}

--- Imagenette(root, split = "train", size = "full", download = false, transform, target_transform, loader): split: train or val; size:
--- full, 320px or 160px. classes: lists of words.
function Imagenette:init(...)
  local root, split, size, download, transform, target_transform, loader = imagenette_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "val" }, nil, "Imagenette")
  self._size = utils.verify_str_arg(size, "size", { "full", "320px", "160px" }, nil, "Imagenette")
  self.url, self.md5 = table.unpack(self.archives[size])
  self:_open(root, transform, target_transform, loader)
  local base = self:_path((self.url:match "([^/]+)%.tgz$"))
  self:_need(base, download, self.root)
  self.wnids, self.wnid_to_idx = folder.find_classes(base .. "/" .. split)
  self.classes, self.class_to_idx = {}, {}
  for i, wnid in ipairs(self.wnids) do
    self.classes[i] = self.wnid_to_class[wnid] or args.fail("Imagenette", "%s has the folder %s, which is no class", base, wnid)
    for _, word in ipairs(self.classes[i]) do self.class_to_idx[word] = i - 1 end
  end
  self:_add_folder(base .. "/" .. split, self.wnid_to_idx, { ".jpeg" })
end

return { Listed = Listed, EuroSAT = EuroSAT, Country211 = Country211, RenderedSST2 = RenderedSST2, Imagenette = Imagenette }
