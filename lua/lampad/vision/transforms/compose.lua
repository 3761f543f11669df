-- Several transforms as one: Compose, Lambda, RandomApply, RandomOrder, RandomChoice.
--
-- Note [Fused pipelines]: on a float32 image pipeline's last steps, RandomHorizontalFlip, ToTensor and Normalize, Compose
-- walks over the pixels once, with the same draws and results; Resize and CenterCrop together compute only what is kept. It
-- only does so for the classes themselves, not for ones derived from them.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local convert = require "lampad.vision.transforms.convert"
local crop = require "lampad.vision.transforms.crop"
local flip = require "lampad.vision.transforms.flip"

local torch = core.torch
local fail = args.fail
local compose = {}

local function transforms_of(what, list)
  local result = iterate.list(list)
  if not result then fail(what, "Argument transforms should be a sequence, got %s", text.describe(list)) end
  for i, t in ipairs(result) do
    local meta = getmetatable(t)
    if type(t) ~= "function" and not (type(meta) == "table" and meta.__call) then
      fail(what, "transforms[%d] should be callable, got %s", i, text.describe(t))
    end
  end
  return result
end

-- --- Compose ----------------------------------------------------------------------------------------
--- Several transforms, one after the other: Compose{ToTensor(), Normalize(0.5, 0.25)}.
local Compose = base.class "Compose"
compose.Compose = Compose

-- DataLoader's fast path, where every transform has one.
local function batch_of(self, images)
  for _, transform in ipairs(self.transforms) do images = transform:batch(images) end
  return images
end

function Compose:init(list)
  if args.is_named(list) and list.transforms then list = list.transforms end
  self.transforms = transforms_of("Compose", list)
  local batchable = true
  for _, transform in ipairs(self.transforms) do
    batchable = batchable and type(transform) == "table" and transform.batch ~= nil
  end
  if batchable then self.batch = batch_of end
end

local flip_meta, tensor_meta, normalize_meta =
  flip.RandomHorizontalFlip.__meta, convert.ToTensor.__meta, convert.Normalize.__meta
local resize_meta, center_meta = crop.Resize.__meta, crop.CenterCrop.__meta

-- Note [Fused pipelines]: the steps from i on that are done in one; the result and the next step, or nil.
local function fused(list, i, img)
  local meta = getmetatable(list[i])
  if meta == resize_meta then
    if getmetatable(list[i + 1]) ~= center_meta then return nil end
    return crop.resize_and_center(list[i], list[i + 1], img), i + 2
  end
  local flips = meta == flip_meta
  local at = flips and i + 1 or i
  if img.mode == "I" or getmetatable(list[at]) ~= tensor_meta or torch.get_default_dtype() ~= torch.float32 then return nil end
  local normalize = list[at + 1]
  if getmetatable(normalize) ~= normalize_meta or not normalize:is_plain(img.data:size(2)) then normalize = nil end
  local mirrored = flips and list[i]:draw()
  return core.pixels_to_float(img.data, normalize and normalize.mean, normalize and normalize.std, mirrored),
    at + (normalize and 2 or 1)
end

function Compose:forward(img)
  local list = self.transforms
  local i, n = 1, #list
  while i <= n do
    local meta = getmetatable(list[i])
    local result, following
    if (meta == tensor_meta or meta == flip_meta or meta == resize_meta) and common.is_image(img) then
      result, following = fused(list, i, img)
    end
    if result then
      img, i = result, following
    else
      img, i = list[i](img), i + 1
    end
  end
  return img
end

function Compose.__tostring(self) return base.describe_all(self) end

-- --- Lambda -----------------------------------------------------------------------------------------
--- A function as a transform.
local Lambda = base.class "Lambda"
compose.Lambda = Lambda

function Lambda:init(lambd)
  if args.is_named(lambd) and lambd.lambd then lambd = lambd.lambd end
  local meta = getmetatable(lambd)
  if type(lambd) ~= "function" and not (type(meta) == "table" and meta.__call) then
    fail("Lambda", "Argument lambd should be callable, got %s", text.repr(type(lambd)))
  end
  self.lambd = lambd
end

function Lambda:forward(...) return self.lambd(...) end

-- --- RandomApply --------------------------------------------------------------------------------------
local apply_spec = args "RandomApply(any transforms, float p=0.5)"

--- All of the transforms with probability p, or none.
local RandomApply = base.class "RandomApply"
compose.RandomApply = RandomApply

function RandomApply:init(...)
  local list, p = apply_spec(...)
  self.transforms, self.p = transforms_of("RandomApply", list), p
end

function RandomApply:forward(img)
  local drawn = base.draw()
  if ("f"):unpack(("f"):pack(self.p)) < drawn then return img end
  for _, transform in ipairs(self.transforms) do img = transform(img) end
  return img
end

function RandomApply.__tostring(self) return base.describe_all(self, "    p=" .. text.repr(self.p)) end

-- --- RandomOrder, RandomChoice --------------------------------------------------------------------------
--- The transforms in a random order. torchvision takes it from Python's own generator; here, as in its v2, randperm draws
--- it from torch's.
local RandomOrder = base.class "RandomOrder"
compose.RandomOrder = RandomOrder

function RandomOrder:init(list)
  if args.is_named(list) and list.transforms then list = list.transforms end
  self.transforms = transforms_of("RandomOrder", list)
end

function RandomOrder:forward(img)
  for _, i in ipairs(torch.randperm(#self.transforms):tolist()) do img = self.transforms[i + 1](img) end
  return img
end

function RandomOrder.__tostring(self) return base.describe_all(self) end

local choice_spec = args "RandomChoice(any transforms, any p=nil)"

--- One of the transforms, with weights p. As in torchvision's v2, multinomial draws from torch's generator.
local RandomChoice = base.class "RandomChoice"
compose.RandomChoice = RandomChoice

function RandomChoice:init(...)
  local list, p = choice_spec(...)
  self.transforms = transforms_of("RandomChoice", list)
  if p ~= nil and not common.list(p) then fail("RandomChoice", "Argument p should be a sequence") end
  if p ~= nil and #p ~= #self.transforms then
    fail("RandomChoice", "Length of p doesn't match the number of transforms: %d != %d", #p, #self.transforms)
  end
  self.p = p
end

function RandomChoice:forward(...)
  local weights, total = {}, 0
  for i = 1, #self.transforms do
    weights[i] = (self.p and self.p[i] or 1) + 0.0
    total = total + weights[i]
  end
  for i, w in ipairs(weights) do weights[i] = w / total end
  return self.transforms[torch.multinomial(torch.tensor(weights), 1):item() + 1](...)
end

function RandomChoice.__tostring(self) return base.describe_all(self) .. "(p=" .. base.list_text(self.p) .. ")" end

return compose
