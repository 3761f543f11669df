-- MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019), of torchvision.transforms.v2: batches mixed with themselves,
-- moved on by one.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"

local torch = core.torch
local fail = args.fail
local mix = {}

-- The class that draw(self, images) -> share, mixed images makes.
local function make(name, draw)
  local spec = args(name .. "(*, float alpha=1.0, int num_classes=nil)")
  local Mix = base.class(name)

  function Mix:init(...) self.alpha, self.num_classes = spec(...) end

  -- images, labels of a batch, or one table {images, labels}.
  function Mix:forward(images, labels)
    local packed = labels == nil and type(images) == "table"
    if packed then images, labels = images[1], images[2] end
    if common.is_image(images) then fail(name, "does not support images: it takes batches of tensors") end
    if not common.is_tensor(images) then fail(name, "images must be a tensor, got %s", text.describe(images)) end
    if not common.is_tensor(labels) then fail(name, "The labels must be a tensor, but got %s instead.", text.describe(labels)) end
    if labels.ndim ~= 1 and labels.ndim ~= 2 then
      fail(name, "labels should be index based with shape (batch_size,) or probability based with shape (batch_size, "
        .. "num_classes), but got a tensor of shape %s instead.", tostring(labels.shape))
    end
    if labels.ndim == 1 and self.num_classes == nil then
      fail(name, "num_classes must be passed if the labels are index-based (1D)")
    end
    if labels.ndim == 2 and self.num_classes ~= nil and labels:size(1) ~= self.num_classes then
      fail(name, "When passing 2D labels, the number of elements in last dimension must match num_classes: %d != %d. You can "
        .. "Leave num_classes to None.", labels:size(1), self.num_classes)
    end
    if images.ndim ~= 4 then fail(name, "Expected a batched input with 4 dims, but got %d dimensions instead.", images.ndim) end
    if images:size(0) ~= labels:size(0) then
      fail(name, "The batch size of the image or video does not match the batch size of the labels: %d != %d.", images:size(0),
        labels:size(0))
    end
    local share, mixed = draw(self, images)
    if labels.ndim == 1 then labels = torch.nn.functional.one_hot(labels, self.num_classes) end
    if not labels.dtype.is_floating_point then labels = labels:to(torch.float32) end
    labels = labels:roll(1, 0):mul_(1.0 - share):add_(labels * share)
    if packed then return { mixed, labels } end
    return mixed, labels
  end

  function Mix.__tostring(self)
    return ("%s(alpha=%s, num_classes=%s)"):format(name, text.repr(self.alpha), text.repr(self.num_classes))
  end
  mix[name] = Mix
end

local function beta(alpha)
  local concentration = torch.tensor { alpha }
  return torch.distributions.Beta(concentration, concentration):sample():item()
end

--- MixUp{alpha = 1.0, num_classes = 10}: local images, labels = mixup(images, labels). Images (N, C, H, W) of floats are mixed
--- with their neighbours, the labels (N) or (N, classes) become probabilities; the share comes from Beta(alpha, alpha).
make("MixUp", function(self, images)
  local share = beta(self.alpha)
  return share, images:roll(1, 0):mul_(1.0 - share):add_(images * share)
end)

--- CutMix{alpha = 1.0, num_classes = 10}: as MixUp, but a box of the neighbour takes the place of the image's.
make("CutMix", function(self, images)
  local share = beta(self.alpha)
  local height, width = images:size(-2), images:size(-1)
  local x, y = torch.randint(width, base.one):item(), torch.randint(height, base.one):item()
  local half = 0.5 * math.sqrt(1.0 - share)
  local half_w, half_h = common.truncate(half * width), common.truncate(half * height)
  local x1, y1 = math.max(x - half_w, 0), math.max(y - half_h, 0)
  local x2, y2 = math.min(x + half_w, width), math.min(y + half_h, height)
  local mixed = images:clone()
  local function box(t) return t:narrow(-2, y1, y2 - y1):narrow(-1, x1, x2 - x1) end
  box(mixed):copy_(box(images:roll(1, 0)))
  return 1.0 - (x2 - x1) * (y2 - y1) / (width * height), mixed
end)

return mix
