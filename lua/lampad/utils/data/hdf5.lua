-- torch.utils.data.HDF5Dataset: rows of the arrays of an HDF5 file, by libhdf5 where it is installed. Beyond PyTorch.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local dataset = require "lampad.utils.data.dataset"

local handle_of = require "lampad.utils.data.handles"(core.hdf5_open)
local HDF5Dataset = dataset.Dataset:extend "HDF5Dataset"
local spec = args "HDF5Dataset(str path, any names=nil)"

--- HDF5Dataset(path, names): item i is the i-th row of each array in names (a name or a list, "/group/images"), as tensors, read when
--- it is asked for; without names those of all arrays of numbers in the file, sorted. They must have the same number of rows.
--- Booleans of h5py are bool, unsigned numbers of 16 and 32 bits the next larger signed ones, float16 is float32.
--- HDF5Dataset.load(path, name) gives a whole array, HDF5Dataset.list(path) the names.
function HDF5Dataset:init(...)
  local path, names = spec(...)
  if type(names) == "string" then names = { names } end
  self.path, self.names = path, names or HDF5Dataset.list(path)
  if type(self.names) ~= "table" or #self.names == 0 then
    args.fail("HDF5Dataset", "%s: expected a list of names, got %s", path, text.describe(self.names))
  end
  for _, name in ipairs(self.names) do
    local shape = core.hdf5_shape(handle_of(path), name)
    if #shape == 0 then args.fail("HDF5Dataset", "%s: '%s' is a single number; it has no rows", path, name) end
    self.rows = self.rows or shape[0]
    if shape[0] ~= self.rows then
      args.fail("HDF5Dataset", "%s: '%s' has %d rows, '%s' has %d", path, name, shape[0], self.names[1], self.rows)
    end
  end
end

--- HDF5Dataset.list(path): the paths of the arrays of numbers.
function HDF5Dataset.list(path) return core.hdf5_names(handle_of(path)) end

--- HDF5Dataset.load(path, name): all of an array.
function HDF5Dataset.load(path, name) return core.hdf5_read(handle_of(path), name) end

function HDF5Dataset:len() return self.rows end

function HDF5Dataset:getitem(i)
  local at = dataset.position("HDF5Dataset", i, self.rows)
  local result = {}
  for k, name in ipairs(self.names) do result[k] = core.hdf5_read(handle_of(self.path), name, at, 1)[0] end
  return table.unpack(result)
end

--- Neighbouring rows of a batch are read at once.
function HDF5Dataset:getbatch(indices)
  local list = indices:tolist()
  local first, is_run = list[1] or 0, true
  for i, index in ipairs(list) do is_run = is_run and index == first + i - 1 end
  local result = {}
  for k, name in ipairs(self.names) do
    local handle = handle_of(self.path)
    if is_run then
      result[k] = core.hdf5_read(handle, name, first, #list)
    else
      local rows = {}
      for i, index in ipairs(list) do rows[i] = core.hdf5_read(handle, name, index, 1) end
      result[k] = core.torch.cat(rows)
    end
  end
  return table.unpack(result)
end

return { HDF5Dataset = HDF5Dataset }
