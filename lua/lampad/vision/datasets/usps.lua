-- vision.datasets.USPS: 16 x 16 digits from envelopes, in LIBSVM's text format. Source: Hull (1994); torchvision.
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local torch = core.torch
local USPS = VisionDataset:extend "USPS"
local spec = args "USPS(str root, bool train=true, any transform=nil, any target_transform=nil, bool download=false)"
local base = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
USPS.split_list = {
  train = { base .. "usps.bz2", "usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197" },
  test = { base .. "usps.t.bz2", "usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118" },
}
local PIXELS, MAX_BYTES = 256, 1 << 30

--- USPS(root, train = true, transform, target_transform, download = false): root/usps.bz2, root/usps.t.bz2. data: uint8 (N, 16, 16);
--- targets: a list of 0 to 9. Item: image in mode L, label.
function USPS:init(...)
  local root, train, transform, target_transform, download = spec(...)
  self:_begin(root, nil, transform, target_transform)
  self.train = train
  local url, name, md5 = table.unpack(self.split_list[train and "train" or "test"])
  local path = self:_path(name)
  if download and not utils.is_file(path) then utils.download_url(url, self.root, name, md5) end
  if not utils.is_file(path) then utils.not_found(self, name) end
  local bytes, message = core.read_packed(path, MAX_BYTES)
  if not bytes then args.fail("USPS", "%s", message) end
  local values, targets = {}, {}
  for line in core.tensor_to_bytes(bytes):gmatch "[^\n]+" do
    local label, rest = line:match "^%s*(%-?%d+)(.*)$"
    if label then
      targets[#targets + 1] = math.tointeger(label) - 1
      for value in rest:gmatch "%d+:(%S+)" do values[#values + 1] = tonumber(value) or 0 / 0 end
    end
  end
  if #targets == 0 or #values ~= #targets * PIXELS then
    args.fail("USPS", "%s is damaged: %d values for %d digits of %d pixels", path, #values, #targets, PIXELS)
  end
  local images = torch.tensor(values, { dtype = torch.float32 }):view(-1, 16, 16)
  self.data = images:add(1):div(2):mul(255):to(torch.uint8)
  self.targets = targets
  self:_offer_batches()
end

function USPS:len() return self.data:size(0) end

function USPS:getitem(i)
  local at = self:_position(i)
  return self:_finish(require "lampad.vision.image"(self.data[at], "L"), self.targets[at + 1])
end

return { USPS = USPS }
