-- vision.datasets.CelebA: 202,599 faces with attributes. Source: Liu and others (2015); torchvision.datasets.CelebA.
local core = require "lampad.core"
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local torch = core.torch
local CelebA = VisionDataset:extend "CelebA"
local spec = args("CelebA(str root, str split='train', any target_type='attr', any transform=nil, any target_transform=nil, "
  .. "bool download=false)")
CelebA.base_folder = "celeba"
-- Numbers of Google Drive, MD5, names.
CelebA.file_list = {
  { "0B7EVK8r0v71pZjFTYXZWM3FlRnM", "00d2c5bc6d35e252742224ab0c1e8fcb", "img_align_celeba.zip" },
  { "0B7EVK8r0v71pblRyaVFSWGxPY0U", "75e246fa4810816ffd6ee81facbd244c", "list_attr_celeba.txt" },
  { "1_ee_0u7vcNLOfNLegJRHmolfH5ICW-XS", "32bd1bd63d3c78cd57e08160ec5ed1e2", "identity_CelebA.txt" },
  { "0B7EVK8r0v71pbThiMVRxWXZ4dU0", "00566efa6fedff7a56946cd1c10f1c16", "list_bbox_celeba.txt" },
  { "0B7EVK8r0v71pd0FJY3Blby1HUTQ", "cc24ecafdb5b50baae59b03474781f8c", "list_landmarks_align_celeba.txt" },
  { "0B7EVK8r0v71pY0NSMzRuSXJEVkk", "d32c9cbf5e040fd4025c592c306e6668", "list_eval_partition.txt" },
}
local split_map = { train = 0, valid = 1, test = 2 }

--- CelebA(root, split = "train", target_type = "attr", transform, target_transform, download = false): split: train, valid, test or
--- all; target_type: attr (int64 (40), 0 or 1), identity, bbox (x, y, width, height), landmarks (ten numbers), or a list of
--- them, whose targets come as a list; an empty list gives no target. Fields: filename, identity, bbox, landmarks_align, attr,
--- attr_names.
function CelebA:init(...)
  local root, split, target_type, transform, target_transform, download = spec(...)
  self:_begin(root, nil, transform, target_transform)
  self.split, self.target_type = split, type(target_type) == "table" and target_type or { target_type }
  if #self.target_type == 0 and target_transform ~= nil then
    args.fail("CelebA", "target_transform is specified but target_type is empty")
  end
  for _, kind in ipairs(self.target_type) do
    if not ({ attr = 1, identity = 1, bbox = 1, landmarks = 1 })[kind] then
      args.fail("CelebA", 'Target type "%s" is not recognized.', tostring(kind))
    end
  end
  utils.verify_str_arg(split:lower(), "split", { "train", "valid", "test", "all" }, nil, "CelebA")
  if download then self:download() end
  if not self:_check_integrity() then
    utils.not_found(self, "img_align_celeba.zip, unpacked, and the five lists into " .. self.base_folder)
  end
  local partition, names = self:_table "list_eval_partition.txt"
  local wanted = split_map[split:lower()]
  local chosen = wanted and partition:select(1, 0):eq(wanted):nonzero():squeeze(1)
  local function rows(t) return chosen and t:index_select(0, chosen) or t end
  self.filename = names
  if chosen then
    self.filename = {}
    for i, at in ipairs(chosen:tolist()) do self.filename[i] = names[at + 1] end
  end
  self.identity = rows(self:_table "identity_CelebA.txt")
  self.bbox = rows(self:_table("list_bbox_celeba.txt", true))
  self.landmarks_align = rows(self:_table("list_landmarks_align_celeba.txt", true))
  local attr, _, header = self:_table("list_attr_celeba.txt", true)
  self.attr, self.attr_names = rows(attr):add(1):div(2, { rounding_mode = "floor" }), header
end

-- A table of numbers behind file names: int64 (N, columns), names, headers (in the second line).
function CelebA:_table(name, has_header)
  local lines = utils.read_lines("CelebA", self:_path(self.base_folder, name))
  local names, values, header, columns = {}, {}, {}, nil
  if has_header then
    for word in (lines[2] or ""):gmatch "%S+" do header[#header + 1] = word end
  end
  for at = has_header and 3 or 1, #lines do
    local first, rest = lines[at]:match "^%s*(%S+)%s*(.*)$"
    if first then
      local before = #values
      for word in rest:gmatch "%S+" do
        values[#values + 1] = math.tointeger(word) or args.fail("CelebA", "%s: line %d holds '%s', no integer", name, at, word)
      end
      columns = columns or #values - before
      if #values - before ~= columns then args.fail("CelebA", "%s: line %d has another number of columns", name, at) end
      names[#names + 1] = first
    end
  end
  return torch.tensor(values, { dtype = torch.int64 }):view(#names, columns or 0), names, header
end

function CelebA:_check_integrity()
  for _, entry in ipairs(self.file_list) do
    local name = entry[3]
    if not name:find "%.zip$" and not utils.check_integrity(self:_path(self.base_folder, name), entry[2]) then return false end
  end
  return utils.is_folder(self:_path(self.base_folder, "img_align_celeba"))
end

function CelebA:download()
  if self:_check_integrity() then return end
  local folder = self:_path(self.base_folder)
  for _, entry in ipairs(self.file_list) do utils.download_file_from_google_drive(entry[1], folder, entry[3], entry[2]) end
  utils.extract_archive(folder .. "/img_align_celeba.zip")
end

function CelebA:len() return #self.filename end

local columns = { attr = "attr", bbox = "bbox", landmarks = "landmarks_align" }

function CelebA:getitem(i)
  local at = self:_position(i)
  local image = require("lampad.vision.image").open(self:_path(self.base_folder, "img_align_celeba", self.filename[at + 1]))
  local targets = {}
  for k, kind in ipairs(self.target_type) do
    targets[k] = kind == "identity" and self.identity[at][0] or self[columns[kind]][at]
  end
  if self.transform then image = self.transform(image) end
  if #targets == 0 then return image, nil end
  local target = #targets > 1 and targets or targets[1]
  if self.target_transform then target = self.target_transform(target) end
  return image, target
end

function CelebA:extra_repr()
  return ("Target type: [%s]\nSplit: %s"):format(utils.iterable_to_str(self.target_type), self.split)
end

return { CelebA = CelebA }
