-- What datasets of images have in common: root, transform, target_transform or transforms, and their text. Source:
-- torchvision.datasets.VisionDataset.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local dataset = require "lampad.utils.data.dataset"

--- transform and target_transform as one function of (input, target), which is what `transforms` is.
local StandardTransform = class.extend(class.Object, "StandardTransform")

function StandardTransform:init(transform, target_transform)
  self.transform, self.target_transform = transform, target_transform
end

function StandardTransform.__call(self, input, target)
  if self.transform then input = self.transform(input) end
  if self.target_transform then target = self.target_transform(target) end
  return input, target
end

-- "Transform: Compose(" with the further lines below the first.
local function headed(head, value)
  return head .. text.indent(tostring(value), #head)
end

function StandardTransform.__tostring(self)
  local lines = { "StandardTransform" }
  if self.transform then lines[#lines + 1] = headed("Transform: ", self.transform) end
  if self.target_transform then lines[#lines + 1] = headed("Target transform: ", self.target_transform) end
  return table.concat(lines, "\n")
end

--- Subclasses define len() and getitem(i), and may define extra_repr().
local VisionDataset = dataset.Dataset:extend "VisionDataset"

--- VisionDataset(root, transforms, transform, target_transform): transforms(image, target) excludes the two others.
function VisionDataset:init(root, transforms, transform, target_transform)
  self:_begin(root, transforms, transform, target_transform)
end

-- What every class's init calls first.
function VisionDataset:_begin(root, transforms, transform, target_transform)
  local separate = transform ~= nil or target_transform ~= nil
  if transforms ~= nil and separate then
    args.fail(self.__name, "Only transforms or transform/target_transform can be passed as argument")
  end
  if type(root) == "string" and root:sub(1, 1) == "~" then
    local home = os.getenv "HOME"
    if home and (root == "~" or root:sub(2, 2) == "/") then root = home .. root:sub(2) end
  end
  self.root = root
  self.transform, self.target_transform = transform, target_transform
  self.transforms = transforms or (separate and StandardTransform(transform, target_transform)) or nil
end

-- transform and target_transform applied to an item.
function VisionDataset:_finish(input, target)
  if self.transform then input = self.transform(input) end
  if self.target_transform then target = self.target_transform(target) end
  return input, target
end

-- Gives getbatch(indices), whole batches of self.data (N, H, W) or (N, H, W, C) and self.targets, where nobody can tell the
-- difference: every image is treated alike, or not at all.
function VisionDataset:_offer_batches()
  local transform = self.transform
  if self.target_transform or (transform ~= nil and not (type(transform) == "table" and transform.batch)) then return end
  local targets = self.targets
  self.getbatch = function(_, indices)
    if type(targets) == "table" then targets = core.torch.tensor(targets) end
    local images = self.data:index_select(0, indices)
    if transform then images = transform:batch(images) end
    return images, targets:index_select(0, indices)
  end
end

-- 0-based position of an index that may be negative.
function VisionDataset:_position(index) return dataset.position(self.__name, index, self:len()) end

-- root/a/b.
function VisionDataset:_path(...) return table.concat({ self.root, ... }, "/") end

-- "Dataset MNIST" and what is known of it, four columns in; of transforms the first line, as torchvision has it.
function VisionDataset.__tostring(self)
  local lines = { "Number of datapoints: " .. self:len() }
  if self.root then lines[#lines + 1] = "Root location: " .. tostring(self.root) end
  for line in self:extra_repr():gmatch "[^\n]+" do lines[#lines + 1] = line end
  if self.transforms then lines[#lines + 1] = tostring(self.transforms) end
  return "Dataset " .. self.__name .. "\n    " .. table.concat(lines, "\n    ")
end

function VisionDataset:extra_repr() return "" end

return { VisionDataset = VisionDataset, StandardTransform = StandardTransform }
