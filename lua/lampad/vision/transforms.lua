-- vision.transforms: Compose, ToTensor, Normalize. A transform is called with one image; those that
-- treat every image alike also have batch(images), which DataLoader's fast path uses.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local transforms = {}

-- --- ToTensor -------------------------------------------------------------------------------------
local ToTensor = class.extend(class.Object, "ToTensor")
transforms.ToTensor = ToTensor

-- uint8 values become float32 in [0, 1]; others keep their dtype.
local function to_unit(x)
  if x.dtype == torch.uint8 then return x:to(torch.float32):div_(255) end
  return x
end

--- An image (H, W) or (H, W, C) -> float32 (C, H, W), uint8 values divided by 255.
function ToTensor.__call(_, image)
  if not torch.is_tensor(image) then
    args.fail("ToTensor", "image must be a tensor, got %s", text.describe(image))
  end
  if image.ndim == 2 then return to_unit(image:unsqueeze(0)) end
  if image.ndim == 3 then return to_unit(image:permute(2, 0, 1):contiguous()) end
  args.fail("ToTensor", "image should be 2/3 dimensional, got %d dimensions", image.ndim)
end

--- (N, H, W) or (N, H, W, C) -> (N, C, H, W).
function ToTensor:batch(images)
  if images.ndim == 3 then return to_unit(images:unsqueeze(1)) end
  return to_unit(images:permute(0, 3, 1, 2):contiguous())
end

function ToTensor.__tostring() return "ToTensor()" end

-- --- Normalize ------------------------------------------------------------------------------------
local Normalize = class.extend(class.Object, "Normalize")
transforms.Normalize = Normalize
local normalize_spec = args "Normalize(floats mean, floats std, bool inplace=false)"

--- (x - mean) / std, channel by channel: Normalize({0.5}, {0.25}) for images (..., C, H, W).
function Normalize:init(...)
  self.mean, self.std, self.inplace = normalize_spec(...)
  for _, name in ipairs { "mean", "std" } do
    if type(self[name]) == "number" then self[name] = { self[name] } end
  end
  for i, s in ipairs(self.std) do
    if s == 0 then args.fail("Normalize", "std at index %d is zero, leading to division by zero", i - 1) end
  end
end

function Normalize.__call(self, image)
  if not torch.is_tensor(image) then
    args.fail("Normalize", "image must be a tensor, got %s", text.describe(image))
  end
  if not tostring(image.dtype):find "float" then
    args.fail("Normalize", "image must be floating point, got %s; put ToTensor() before it", tostring(image.dtype))
  end
  if image.ndim < 3 then
    args.fail("Normalize", "expected an image of shape (..., C, H, W), got %s", tostring(image.shape))
  end
  local options = { dtype = image.dtype }
  local mean = torch.tensor(self.mean, options):view(-1, 1, 1)
  local std = torch.tensor(self.std, options):view(-1, 1, 1)
  if self.inplace then return image:sub_(mean):div_(std) end
  return image:sub(mean):div_(std)
end

Normalize.batch = function(self, images) return self(images) end

function Normalize.__tostring(self)
  return ("Normalize(mean=%s, std=%s)"):format(text.repr(self.mean), text.repr(self.std))
end

-- --- Compose --------------------------------------------------------------------------------------
local Compose = class.extend(class.Object, "Compose")
transforms.Compose = Compose

--- Several transforms, one after the other: Compose{ToTensor(), Normalize(0.5, 0.25)}.
function Compose:init(list)
  self.transforms = iterate.list(list)
  if not self.transforms then args.fail("Compose", "expected a list of transforms, got %s", text.describe(list)) end
  local batchable = true
  for _, transform in ipairs(self.transforms) do
    batchable = batchable and type(transform) == "table" and transform.batch ~= nil
  end
  if batchable then
    self.batch = function(_, images)
      for _, transform in ipairs(self.transforms) do images = transform:batch(images) end
      return images
    end
  end
end

function Compose.__call(self, image)
  for _, transform in ipairs(self.transforms) do image = transform(image) end
  return image
end

function Compose.__tostring(self)
  local lines = { "Compose(" }
  for _, transform in ipairs(self.transforms) do lines[#lines + 1] = "    " .. tostring(transform) end
  return table.concat(lines, "\n") .. "\n)"
end

return transforms
