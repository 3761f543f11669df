-- vision.datasets.FakeData: pictures of noise, the same for the same index. Source: torchvision.datasets.FakeData.
local core = require "lampad.core"
local args = require "lampad.args"
local Image = require "lampad.vision.image"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local torch = core.torch
local FakeData = VisionDataset:extend "FakeData"
local spec = args("FakeData(int size=1000, ints image_size=nil, int num_classes=10, any transform=nil, any target_transform=nil, "
  .. "int random_offset=0)")

--- FakeData(size = 1000, image_size = {3, 224, 224}, num_classes = 10, transform, target_transform, random_offset = 0): item i
--- is torchvision's: the noise and the class that seed i + random_offset gives. The global generator is left as it was.
function FakeData:init(...)
  local size, image_size, num_classes, transform, target_transform, random_offset = spec(...)
  self:_begin(nil, nil, transform, target_transform)
  self.size, self.num_classes, self.random_offset = size, num_classes, random_offset
  self.image_size = image_size or { 3, 224, 224 }
  local channels = type(self.image_size) == "table" and #self.image_size == 3 and self.image_size[1]
  if not channels or channels < 1 or channels > 4 then
    args.fail("FakeData", "image_size must be {channels, height, width} with 1 to 4 channels")
  end
end

function FakeData:len() return self.size end

function FakeData:getitem(i)
  local at = self:_position(i)
  local generator = torch.Generator():manual_seed(at + self.random_offset)
  local noise = torch.randn(self.image_size, { generator = generator })
  local target = torch.randint(0, self.num_classes, { 1 }, { generator = generator })
  -- As ToPILImage makes bytes of floats.
  local pixels = noise:mul(255):to(torch.uint8):permute(1, 2, 0):contiguous()
  local image, label = self:_finish(Image(pixels), target[0])
  return image, torch.is_tensor(label) and label:item() or label
end

return { FakeData = FakeData }
