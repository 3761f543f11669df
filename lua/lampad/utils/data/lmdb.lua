-- torch.utils.data.LMDBDataset: keys and values of an LMDB file, by liblmdb where it is installed. Beyond PyTorch.
local core = require "lampad.core"
local args = require "lampad.args"
local dataset = require "lampad.utils.data.dataset"

local handle_of = require "lampad.utils.data.handles"(core.lmdb_open)
local LMDBDataset = dataset.Dataset:extend "LMDBDataset"
local spec = args "LMDBDataset(str path, any decode=nil, *, any keys=nil)"

--- LMDBDataset(path, decode): path: a folder with data.mdb, or the file. Item i is decode(value, key) of the i-th key in LMDB's
--- order: value is the bytes, uint8 (n), key a string; without decode the item is value, key. keys: a list of those that are
--- items, in their order. ds:get(key) is the bytes of any key, or nil. LMDB trusts its files: open none of strangers.
function LMDBDataset:init(...)
  local path, decode, keys = spec(...)
  self.path, self.decode = path, decode
  self.keys = keys or core.lmdb_keys(handle_of(path))
  handle_of(path)
end

function LMDBDataset:len() return #self.keys end

--- get(key): the bytes of the value, uint8 (n), or nil.
function LMDBDataset:get(key) return core.lmdb_get(handle_of(self.path), key) end

function LMDBDataset:getitem(i)
  local key = self.keys[dataset.position("LMDBDataset", i, #self.keys) + 1]
  local value = self:get(key)
  if not value then args.fail("LMDBDataset", "%s has no key '%s'", self.path, key) end
  if self.decode then return self.decode(value, key) end
  return value, key
end

return { LMDBDataset = LMDBDataset }
