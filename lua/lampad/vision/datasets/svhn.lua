-- vision.datasets.SVHN: house numbers of street views, 32 x 32. Source: Netzer and others (2011); torchvision.datasets.SVHN.
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local torch = core.torch
local SVHN = VisionDataset:extend "SVHN"
local spec = args "SVHN(str root, str split='train', any transform=nil, any target_transform=nil, bool download=false)"
local base = "http://ufldl.stanford.edu/housenumbers/"
SVHN.split_list = {
  train = { base .. "train_32x32.mat", "train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373" },
  test = { base .. "test_32x32.mat", "test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3" },
  extra = { base .. "extra_32x32.mat", "extra_32x32.mat", "a93ce644f1a588dc4d68dda5feec44a7" },
}

--- SVHN(root, split = "train", transform, target_transform, download = false): split: train, test or extra. data: uint8 (N, 3, 32,
--- 32); labels: int64 (N), 0 for the digit 0. Item: image, label.
function SVHN:init(...)
  local root, split, transform, target_transform, download = spec(...)
  self:_begin(root, nil, transform, target_transform)
  self.split = utils.verify_str_arg(split, "split", { "train", "test", "extra" }, nil, "SVHN")
  self.url, self.filename, self.file_md5 = table.unpack(self.split_list[split])
  if download then self:download() end
  local path = self:_path(self.filename)
  if not utils.check_integrity(path, self.file_md5) then utils.not_found(self, self.filename) end
  local variables = require("lampad.vision.datasets.mat").load(path, "SVHN")
  local x, y = variables.X, variables.y
  if not torch.is_tensor(x) or not torch.is_tensor(y) or x.ndim ~= 4 or x:size(3) ~= y:numel() then
    args.fail("SVHN", "%s has no X (32, 32, 3, N) and y (N, 1)", path)
  end
  self.labels = y:flatten():to(torch.int64)
  self.labels:masked_fill_(self.labels:eq(10), 0)
  -- One picture after the other, as items are read.
  self._pixels = x:permute(3, 0, 1, 2):contiguous()
  self.data = self._pixels:permute(0, 3, 1, 2)
end

function SVHN:download() utils.download_url(self.url, self.root, self.filename, self.file_md5) end

function SVHN:len() return self.labels:size(0) end

function SVHN:getitem(i)
  local at = self:_position(i)
  return self:_finish(require "lampad.vision.image"(self._pixels[at]), self.labels[at]:item())
end

function SVHN:extra_repr() return "Split: " .. self.split end

return { SVHN = SVHN }
