-- vision.datasets.VOCDetection and VOCSegmentation: PASCAL's challenges of 2007 to 2012. Source: Everingham and others (2010);
-- torchvision.datasets.voc.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local page = "https://thor.robots.ox.ac.uk/pascal/VOC/"
-- Year -> address, file, MD5, folder.
local years = {
  ["2012"] = { "voc2012/VOCtrainval_11-May-2012.tar", "VOCtrainval_11-May-2012.tar", "6cd6e144f989b92b3379bac3b3de84fd", "VOCdevkit/VOC2012" },
  ["2011"] = { "voc2011/VOCtrainval_25-May-2011.tar", "VOCtrainval_25-May-2011.tar", "6c3384ef61512963050cb5d687e5bf1e",
    "TrainVal/VOCdevkit/VOC2011" },
  ["2010"] = { "voc2010/VOCtrainval_03-May-2010.tar", "VOCtrainval_03-May-2010.tar", "da459979d0c395079b5c75ee67908abb", "VOCdevkit/VOC2010" },
  ["2009"] = { "voc2009/VOCtrainval_11-May-2009.tar", "VOCtrainval_11-May-2009.tar", "a3e00b113cfcfebf17e343f59da3caa1", "VOCdevkit/VOC2009" },
  ["2008"] = { "voc2008/VOCtrainval_14-Jul-2008.tar", "VOCtrainval_14-Jul-2008.tar", "2629fa636546599198acfcfbfcf1904a", "VOCdevkit/VOC2008" },
  ["2007"] = { "voc2007/VOCtrainval_06-Nov-2007.tar", "VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64", "VOCdevkit/VOC2007" },
  ["2007-test"] = { "voc2007/VOCtest_06-Nov-2007.tar", "VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f", "VOCdevkit/VOC2007" },
}

local VOC = VisionDataset:extend "VOC"
local arguments = "(str root, str year='2012', str image_set='train', bool download=false, any transform=nil, "
  .. "any target_transform=nil, any transforms=nil)"

function VOC:_setup(root, year, image_set, download, transform, target_transform, transforms)
  self:_begin(root, transforms, transform, target_transform)
  self.year = utils.verify_str_arg(year, "year", { "2007", "2008", "2009", "2010", "2011", "2012" }, nil, self.__name)
  local sets = { "train", "trainval", "val" }
  if year == "2007" then sets[4] = "test" end
  self.image_set = utils.verify_str_arg(image_set, "image_set", sets, nil, self.__name)
  local entry = years[year == "2007" and image_set == "test" and "2007-test" or year]
  self.url, self.filename, self.md5 = page .. entry[1], entry[2], entry[3]
  local base = self:_path(entry[4])
  if download then
    utils.download_and_extract_archive(self.url, self.root, { filename = self.filename, md5 = self.md5 })
  end
  if not utils.is_folder(base) then utils.not_found(self, self.filename .. ", unpacked,") end
  self.images, self.targets = {}, {}
  for _, line in ipairs(utils.read_lines(self.__name, ("%s/ImageSets/%s/%s.txt"):format(base, self.splits_dir, image_set))) do
    local name = line:match "^%s*(.-)%s*$"
    self.images[#self.images + 1] = base .. "/JPEGImages/" .. name .. ".jpg"
    self.targets[#self.targets + 1] = ("%s/%s/%s%s"):format(base, self.target_dir, name, self.target_ending)
  end
end

function VOC:len() return #self.images end

function VOC:getitem(i)
  local at = self:_position(i) + 1
  local image = require("lampad.vision.image").open(self.images[at], "RGB")
  local target = self:_read_target(self.targets[at])
  if self.transforms then return self.transforms(image, target) end
  return image, target
end

-- --- VOCSegmentation ------------------------------------------------------------------------------------
local VOCSegmentation = VOC:extend "VOCSegmentation"
VOCSegmentation.splits_dir, VOCSegmentation.target_dir, VOCSegmentation.target_ending = "Segmentation", "SegmentationClass", ".png"
local segmentation_spec = args("VOCSegmentation" .. arguments)

--- VOCSegmentation(root, year = "2012", image_set = "train", download = false, transform, target_transform, transforms): item:
--- image, mask. The mask is an image of mode P whose pixels are the classes, 0 the background, 255 borders. Fields: images,
--- targets (masks is the same).
function VOCSegmentation:init(...)
  self:_setup(segmentation_spec(...))
  self.masks = self.targets
end

function VOCSegmentation._read_target(_, path) return require("lampad.vision.image").open(path, "P") end

-- --- VOCDetection ---------------------------------------------------------------------------------------
local VOCDetection = VOC:extend "VOCDetection"
VOCDetection.splits_dir, VOCDetection.target_dir, VOCDetection.target_ending = "Main", "Annotations", ".xml"
local detection_spec = args("VOCDetection" .. arguments)

--- VOCDetection(root, year = "2012", image_set = "train", download = false, transform, target_transform, transforms): item: image,
--- the annotation as tables: target.annotation.object[1].bndbox.xmin. Fields: images, targets (annotations is the same).
function VOCDetection:init(...)
  self:_setup(detection_spec(...))
  self.annotations = self.targets
end

--- parse_voc_xml(node): an element as {tag = value}: its text, or its children's values by tag, a list where a tag comes more than
--- once; `object` of an annotation is always a list.
function VOCDetection.parse_voc_xml(node)
  if #node.children == 0 then
    local text = node.text:match "^%s*(.-)%s*$"
    return node.text == "" and {} or { [node.tag] = text }
  end
  local lists = {}
  for _, child in ipairs(node.children) do
    for tag, value in pairs(VOCDetection.parse_voc_xml(child)) do
      lists[tag] = lists[tag] or {}
      table.insert(lists[tag], value)
    end
  end
  local values = {}
  if node.tag == "annotation" then lists.object = { lists.object or {} } end
  for tag, list in pairs(lists) do values[tag] = #list == 1 and list[1] or list end
  return { [node.tag] = values }
end

function VOCDetection:_read_target(path)
  local root, message = require("lampad.vision.datasets.xml").parse(utils.read_text(self.__name, path))
  if not root then args.fail(self.__name, "%s is damaged: %s", path, message) end
  return self.parse_voc_xml(root)
end

return { VOCSegmentation = VOCSegmentation, VOCDetection = VOCDetection }
