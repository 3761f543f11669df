-- vision.datasets that name their pictures in lists: DTD, FGVCAircraft, GTSRB, SUN397, StanfordCars, CLEVRClassification. Source:
-- torchvision.datasets.
local args = require "lampad.args"
local core = require "lampad.core"
local utils = require "lampad.vision.datasets.utils"
local Listed = require("lampad.vision.datasets.listed").Listed

local tail = "any transform=nil, any target_transform=nil, bool download=false, any loader=nil)"

-- The lines of a file without the blanks at their ends.
local function trimmed_lines(what, path)
  local lines = utils.read_lines(what, path)
  for i, line in ipairs(lines) do lines[i] = line:match "^%s*(.-)%s*$" end
  return lines
end

-- --- DTD --------------------------------------------------------------------------------------------------
--- Cimpoi and others (2014): textures in 47 words.
local DTD = Listed:extend "DTD"
local dtd_spec = args("DTD(str root, str split='train', int partition=1, " .. tail)
DTD.url, DTD.md5 = "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz", "fff73e5086ae6bdbea199a49dfb8a4c1"

--- DTD(root, split = "train", partition = 1, ...): root/dtd/dtd. split: train, val or test; partition: 1 to 10.
function DTD:init(...)
  local root, split, partition, transform, target_transform, download, loader = dtd_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "val", "test" }, nil, "DTD")
  if partition < 1 or partition > 10 then
    args.fail("DTD", "Parameter 'partition' should be an integer with `1 <= partition <= 10`, but got %d instead", partition)
  end
  self._partition = partition
  self:_open(root, transform, target_transform, loader)
  local base = self:_path("dtd", "dtd")
  self:_need(base, download, self:_path "dtd")
  local seen, names = {}, {}
  for i, line in ipairs(trimmed_lines("DTD", ("%s/labels/%s%d.txt"):format(base, split, partition))) do
    names[i] = line:match "^[^/]+"
    seen[names[i]] = true
    self:_add(base .. "/images/" .. line, nil)
  end
  self.classes = utils.sorted_keys(seen)
  self.class_to_idx = utils.positions(self.classes)
  for i, name in ipairs(names) do self._labels[i] = self.class_to_idx[name] end
end

function DTD:extra_repr() return ("split=%s, partition=%d"):format(self._split, self._partition) end

-- --- FGVCAircraft -------------------------------------------------------------------------------------------
--- Maji and others (2013): aeroplanes by variant, family or manufacturer.
local FGVCAircraft = Listed:extend "FGVCAircraft"
local aircraft_spec = args("FGVCAircraft(str root, str split='trainval', str annotation_level='variant', " .. tail)
FGVCAircraft.url = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"
local level_files = { variant = "variants.txt", family = "families.txt", manufacturer = "manufacturers.txt" }

--- FGVCAircraft(root, split = "trainval", annotation_level = "variant", ...): split: train, val, trainval or test.
function FGVCAircraft:init(...)
  local root, split, level, transform, target_transform, download, loader = aircraft_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "val", "trainval", "test" }, nil, "FGVCAircraft")
  self._annotation_level = utils.verify_str_arg(level, "annotation_level", { "variant", "family", "manufacturer" }, nil, "FGVCAircraft")
  self:_open(root, transform, target_transform, loader)
  self:_need(self:_path "fgvc-aircraft-2013b", download, self.root)
  local base = self:_path("fgvc-aircraft-2013b", "data")
  self.classes = trimmed_lines("FGVCAircraft", base .. "/" .. level_files[level])
  self.class_to_idx = utils.positions(self.classes)
  for _, line in ipairs(trimmed_lines("FGVCAircraft", ("%s/images_%s_%s.txt"):format(base, level, split))) do
    local name, label = line:match "^(%S+) (.*)$"
    if not self.class_to_idx[label] then args.fail("FGVCAircraft", "'%s' is no %s", tostring(label), level) end
    self:_add(("%s/images/%s.jpg"):format(base, name), self.class_to_idx[label])
  end
end

-- --- GTSRB ------------------------------------------------------------------------------------------------
--- Stallkamp and others (2012): traffic signs in 43 classes.
local GTSRB = Listed:extend "GTSRB"
local gtsrb_spec = args "GTSRB(str root, str split='train', any transform=nil, any target_transform=nil, bool download=false)"
local signs = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
GTSRB.archives = {
  train = { { "GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478" } },
  test = { { "GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185" },
    { "GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5" } },
}

--- GTSRB(root, split = "train", transform, target_transform, download = false): root/gtsrb. split: train or test.
function GTSRB:init(...)
  local root, split, transform, target_transform, download = gtsrb_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "test" }, nil, "GTSRB")
  self:_open(root, transform, target_transform)
  local base = self:_path "gtsrb"
  local target = base .. "/GTSRB/" .. (split == "train" and "Training" or "Final_Test/Images")
  for _, file in ipairs(download and not utils.is_folder(target) and self.archives[split] or {}) do
    utils.download_and_extract_archive(signs .. file[1], base, { md5 = file[2] })
  end
  if not utils.is_folder(target) then utils.not_found(self, self.archives[split][1][1] .. ", unpacked, into gtsrb") end
  if split == "train" then
    self:_add_folder(target, nil, { ".ppm" })
    return
  end
  local rows = utils.read_lines("GTSRB", base .. "/GT-final_test.csv")
  local columns = {}
  for name in (table.remove(rows, 1) or ""):gmatch "[^;]+" do columns[#columns + 1] = name end
  for i, line in ipairs(rows) do
    local row, k = {}, 0
    for field in line:gmatch "[^;]+" do
      k = k + 1
      row[columns[k] or k] = field
    end
    local label = math.tointeger(row.ClassId)
    if not row.Filename or not label then args.fail("GTSRB", "GT-final_test.csv: line %d has no Filename and ClassId", i + 1) end
    self:_add(target .. "/" .. row.Filename, label)
  end
end

-- --- SUN397 -----------------------------------------------------------------------------------------------
--- Xiao and others (2010): scenes in 397 classes.
local SUN397 = Listed:extend "SUN397"
local sun_spec = args("SUN397(str root, " .. tail)
SUN397.url, SUN397.md5 = "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz", "8ca2778205c41d23104230ba66911c7a"

--- SUN397(root, ...): root/SUN397. Pictures come in the order of their paths (torchvision: of the disk).
function SUN397:init(...)
  local root, transform, target_transform, download, loader = sun_spec(...)
  self:_open(root, transform, target_transform, loader)
  local base = self:_path "SUN397"
  self:_need(base, download, self.root)
  self.classes = {}
  for i, line in ipairs(trimmed_lines("SUN397", base .. "/ClassName.txt")) do self.classes[i] = line:sub(4) end
  self.class_to_idx = utils.positions(self.classes)
  for _, path in ipairs(core.all_folders(base)) do
    local label = self.class_to_idx[path:sub(#base + 2):match "^[^/]+/(.*)$" or ""]
    for _, name in ipairs(label and utils.list_files(path, ".jpg") or {}) do
      if name:find "^sun_" then self:_add(path .. "/" .. name, label) end
    end
  end
end

-- --- StanfordCars -----------------------------------------------------------------------------------------
--- Krause and others (2013): cars in 196 models.
local StanfordCars = Listed:extend "StanfordCars"
local cars_spec = args("StanfordCars(str root, str split='train', " .. tail)

--- StanfordCars(root, split = "train", ...): root/stanford_cars, which its page no longer gives out. split: train or test.
function StanfordCars:init(...)
  local root, split, transform, target_transform, download, loader = cars_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "test" }, nil, "StanfordCars")
  self:_open(root, transform, target_transform, loader)
  if download then
    args.fail("StanfordCars", "The original URL is broken so the StanfordCars dataset cannot be downloaded anymore.")
  end
  local base = self:_path "stanford_cars"
  local annotations = split == "train" and base .. "/devkit/cars_train_annos.mat" or base .. "/cars_test_annos_withlabels.mat"
  if not utils.is_file(annotations) then utils.not_found(self, annotations) end
  local mat = require "lampad.vision.datasets.mat"
  for _, entry in ipairs(mat.variable(annotations, "annotations", "StanfordCars")) do
    self:_add(("%s/cars_%s/%s"):format(base, split, entry.fname), math.tointeger(entry.class:flatten()[0]:item()) - 1)
  end
  self.classes = {}
  for i, name in ipairs(mat.variable(base .. "/devkit/cars_meta.mat", "class_names", "StanfordCars")) do self.classes[i] = name end
  self.class_to_idx = utils.positions(self.classes)
end

-- --- CLEVRClassification ------------------------------------------------------------------------------------
--- Johnson and others (2017): how many objects a scene has.
local CLEVRClassification = Listed:extend "CLEVRClassification"
local clevr_spec = args("CLEVRClassification(str root, str split='train', " .. tail)
CLEVRClassification.url, CLEVRClassification.md5 = "https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip", "b11922020e72d0cd9154779b2d3d07d2"

--- CLEVRClassification(root, split = "train", ...): root/clevr/CLEVR_v1.0. split: train, val or test, which has no targets.
function CLEVRClassification:init(...)
  local root, split, transform, target_transform, download, loader = clevr_spec(...)
  self._split = utils.verify_str_arg(split, "split", { "train", "val", "test" }, nil, "CLEVRClassification")
  self:_open(root, transform, target_transform, loader)
  local base = self:_path("clevr", "CLEVR_v1.0")
  self:_need(base, download, self:_path "clevr")
  local counts = {}
  if split ~= "test" then
    local scenes = utils.read_json("CLEVRClassification", ("%s/scenes/CLEVR_%s_scenes.json"):format(base, split)).scenes
    for _, scene in ipairs(scenes) do counts[scene.image_filename] = #scene.objects end
  end
  for _, name in ipairs(utils.list_files(base .. "/images/" .. split, "")) do
    self:_add(("%s/images/%s/%s"):format(base, split, name), counts[name])
  end
end

function CLEVRClassification:extra_repr() return "split=" .. self._split end

return { DTD = DTD, FGVCAircraft = FGVCAircraft, GTSRB = GTSRB, SUN397 = SUN397, StanfordCars = StanfordCars,
  CLEVRClassification = CLEVRClassification }
