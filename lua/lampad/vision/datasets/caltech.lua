-- vision.datasets.Caltech101 (Li and others, 2004) and Caltech256 (Griffin and others, 2007). Source: torchvision.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local function open(path) return require("lampad.vision.image").open(path) end

-- --- Caltech101 -----------------------------------------------------------------------------------------
local Caltech101 = VisionDataset:extend "Caltech101"
local spec101 = args("Caltech101(str root, any target_type='category', any transform=nil, any target_transform=nil, "
  .. "bool download=false)")
local annotation_names = { Faces = "Faces_2", Faces_easy = "Faces_3", Motorbikes = "Motorbikes_16", airplanes = "Airplanes_Side_2" }

--- Caltech101(root, target_type = "category", transform, target_transform, download = false): root/caltech101. target_type:
--- category, annotation (the outline, float64 (2, n)) or a list of them, whose targets come as a list. categories: names; y: the
--- category of each item.
function Caltech101:init(...)
  local root, target_type, transform, target_transform, download = spec101(...)
  self:_begin(root .. "/caltech101", nil, transform, target_transform)
  self.target_type = {}
  for i, kind in ipairs(type(target_type) == "table" and target_type or { target_type }) do
    self.target_type[i] = utils.verify_str_arg(kind, "target_type", { "category", "annotation" }, nil, "Caltech101")
  end
  if download then self:download() end
  local folder = self:_path "101_ObjectCategories"
  if not utils.is_folder(folder) then utils.not_found(self, "the folder 101_ObjectCategories") end
  self.categories, self.annotation_categories, self.index, self.y = {}, {}, {}, {}
  for _, name in ipairs((utils.list("Caltech101", folder))) do
    if name ~= "BACKGROUND_Google" then
      local at = #self.categories + 1
      self.categories[at], self.annotation_categories[at] = name, annotation_names[name] or name
      for i = 1, #select(2, utils.list("Caltech101", folder .. "/" .. name)) do
        self.index[#self.index + 1], self.y[#self.y + 1] = i, at - 1
      end
    end
  end
end

function Caltech101:download()
  if utils.is_folder(self:_path "101_ObjectCategories") then return end
  utils.download_and_extract_archive("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip", self.root,
    { filename = "caltech-101.zip", md5 = "3138e1922a9193bfa496528edbbc45d0" })
  for _, path in ipairs(utils.list_files(self:_path "caltech-101", ".gz", true)) do utils.extract_archive(path, self.root) end
  utils.remove_tree(self:_path "caltech-101")
  os.remove(self:_path "caltech-101.zip")
end

function Caltech101:len() return #self.index end

function Caltech101:getitem(i)
  local at = self:_position(i) + 1
  local class, number = self.y[at] + 1, self.index[at]
  local image = open(self:_path("101_ObjectCategories", self.categories[class], ("image_%04d.jpg"):format(number)))
  local targets = {}
  for k, kind in ipairs(self.target_type) do
    if kind == "category" then
      targets[k] = self.y[at]
    else
      local path = self:_path("Annotations", self.annotation_categories[class], ("annotation_%04d.mat"):format(number))
      targets[k] = require("lampad.vision.datasets.mat").variable(path, "obj_contour", "Caltech101")
    end
  end
  return self:_finish(image, #targets > 1 and targets or targets[1])
end

function Caltech101:extra_repr() return "Target type: [" .. utils.iterable_to_str(self.target_type) .. "]" end

-- --- Caltech256 -----------------------------------------------------------------------------------------
local Caltech256 = VisionDataset:extend "Caltech256"
local spec256 = args "Caltech256(str root, any transform=nil, any target_transform=nil, bool download=false)"

--- Caltech256(root, transform, target_transform, download = false): root/caltech256.
function Caltech256:init(...)
  local root, transform, target_transform, download = spec256(...)
  self:_begin(root .. "/caltech256", nil, transform, target_transform)
  local folder = self:_path "256_ObjectCategories"
  if download and not utils.is_folder(folder) then
    utils.download_and_extract_archive("https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar", self.root,
      { filename = "256_ObjectCategories.tar", md5 = "67b4f42ca05d46448c6bb8ecd2220f6d" })
  end
  if not utils.is_folder(folder) then utils.not_found(self, "the folder 256_ObjectCategories") end
  self.categories, self.index, self.y = utils.list("Caltech256", folder), {}, {}
  for class, name in ipairs(self.categories) do
    for i = 1, #utils.list_files(folder .. "/" .. name, ".jpg") do
      self.index[#self.index + 1], self.y[#self.y + 1] = i, class - 1
    end
  end
end

function Caltech256:len() return #self.index end

function Caltech256:getitem(i)
  local at = self:_position(i) + 1
  local class = self.y[at]
  local path = self:_path("256_ObjectCategories", self.categories[class + 1], ("%03d_%04d.jpg"):format(class + 1, self.index[at]))
  return self:_finish(open(path), class)
end

return { Caltech101 = Caltech101, Caltech256 = Caltech256 }
