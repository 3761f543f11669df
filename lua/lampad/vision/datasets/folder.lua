-- vision.datasets.DatasetFolder and ImageFolder: a folder for each class. Files come in Python's order (by code points,
-- folder by folder). Source: torchvision.datasets.folder.
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local folder = {}

--- The endings of names that count as pictures.
folder.IMG_EXTENSIONS = { ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp" }

--- has_file_allowed_extension(filename, extensions): whether the name, in lower case, ends with one of them.
function folder.has_file_allowed_extension(filename, extensions)
  local lower = filename:lower()
  if type(extensions) == "string" then extensions = { extensions } end
  for _, ending in ipairs(extensions) do
    if ending == "" or lower:sub(-#ending) == ending then return true end
  end
  return false
end

--- is_image_file(filename).
function folder.is_image_file(filename) return folder.has_file_allowed_extension(filename, folder.IMG_EXTENSIONS) end

--- pil_loader(path): the picture in mode RGB; a JPEG is decoded when its pixels are needed. An error names the file.
function folder.pil_loader(path) return require("lampad.vision.image").open(path, "RGB") end
folder.default_loader = folder.pil_loader

--- find_classes(directory): the names of the folders in it, sorted, and a table from name to index.
function folder.find_classes(directory)
  local classes, message = core.list_folder(directory)
  if not classes then args.fail("find_classes", "%s", message) end
  if #classes == 0 then args.fail("find_classes", "Couldn't find any class folder in %s.", directory) end
  return classes, utils.positions(classes)
end

local make_spec = args("make_dataset(str directory, any class_to_idx=nil, any extensions=nil, any is_valid_file=nil, "
  .. "bool allow_empty=false)")

--- make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty): a list of {path, index}. Exactly one of
--- extensions and is_valid_file(path) says which files count. A class without any is an error unless allow_empty.
function folder.make_dataset(...)
  local directory, class_to_idx, extensions, is_valid_file, allow_empty = make_spec(...)
  if class_to_idx == nil then
    local _
    _, class_to_idx = folder.find_classes(directory)
  elseif next(class_to_idx) == nil then
    args.fail("make_dataset", "'class_to_index' must have at least one entry to collect any samples.")
  end
  if (extensions == nil) == (is_valid_file == nil) then
    args.fail("make_dataset", "Both extensions and is_valid_file cannot be nil or not nil at the same time")
  end
  local valid = is_valid_file or function(path) return folder.has_file_allowed_extension(path, extensions) end
  local samples, empty = {}, {}
  for _, class_name in ipairs(utils.sorted_keys(class_to_idx)) do
    local index, before = class_to_idx[class_name], #samples
    local base = directory .. "/" .. class_name
    for _, path in ipairs(core.file_kind(base) == "folder" and core.all_folders(base) or {}) do
      local _, files = core.list_folder(path)
      for _, name in ipairs(type(files) == "table" and files or {}) do
        local full = path .. "/" .. name
        if valid(full) then samples[#samples + 1] = { full, index } end
      end
    end
    if #samples == before then empty[#empty + 1] = class_name end
  end
  if #empty > 0 and not allow_empty then
    local message = "Found no valid file for the classes " .. table.concat(empty, ", ") .. "."
    if extensions ~= nil then
      message = message .. " Supported extensions are: "
        .. (type(extensions) == "string" and extensions or table.concat(extensions, ", "))
    end
    args.fail("make_dataset", "%s", message)
  end
  return samples
end

-- --- DatasetFolder ------------------------------------------------------------------------------------
local DatasetFolder = VisionDataset:extend "DatasetFolder"
folder.DatasetFolder = DatasetFolder
local folder_spec = args("DatasetFolder(str root, function loader, any extensions=nil, any transform=nil, "
  .. "any target_transform=nil, any is_valid_file=nil, bool allow_empty=false)")

--- DatasetFolder(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty): root/class/.../file. Item
--- i is loader(path) and the class's index. Fields: classes, class_to_idx, samples (a list of {path, index}), targets. A
--- subclass may define find_classes(directory) and make_dataset(directory, class_to_idx, ...).
function DatasetFolder:init(...) self:_read(folder_spec(...)) end

function DatasetFolder:_read(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
  self:_begin(root, nil, transform, target_transform)
  self.classes, self.class_to_idx = self:find_classes(self.root)
  self.samples = self:make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)
  self.loader, self.extensions = loader, extensions
  self.targets = {}
  for i, sample in ipairs(self.samples) do self.targets[i] = sample[2] end
end

function DatasetFolder.find_classes(_, directory) return folder.find_classes(directory) end

function DatasetFolder.make_dataset(_, directory, class_to_idx, extensions, is_valid_file, allow_empty)
  return folder.make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)
end

function DatasetFolder:len() return #self.samples end

function DatasetFolder:getitem(i)
  local sample = self.samples[self:_position(i) + 1]
  return self:_finish(self.loader(sample[1]), sample[2])
end

-- --- ImageFolder --------------------------------------------------------------------------------------
local ImageFolder = DatasetFolder:extend "ImageFolder"
folder.ImageFolder = ImageFolder
local image_spec = args("ImageFolder(str root, any transform=nil, any target_transform=nil, any loader=nil, "
  .. "any is_valid_file=nil, bool allow_empty=false)")

--- ImageFolder(root, transform, target_transform, loader, is_valid_file, allow_empty): DatasetFolder of pictures:
--- root/dog/xxx.png, root/cat/123.jpg. Other files are passed over. Without a loader an item is a vision.Image in mode RGB.
--- imgs is another name of samples.
function ImageFolder:init(...)
  local root, transform, target_transform, loader, is_valid_file, allow_empty = image_spec(...)
  self:_read(root, loader or folder.default_loader, is_valid_file == nil and folder.IMG_EXTENSIONS or nil, transform,
    target_transform, is_valid_file, allow_empty)
  self.imgs = self.samples
end

return folder
