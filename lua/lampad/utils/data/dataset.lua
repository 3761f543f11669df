-- Datasets: what a DataLoader reads. Items count from 0; ds[i] may return several values.
--
-- A dataset may also define getbatch(indices): for an int64 tensor of indices, the values of the whole
-- batch as default_collate would give them. DataLoader uses it where nobody can tell the difference. And
-- getitems(indices), PyTorch's __getitems__: a list of the items, table.pack(...) for one of several values.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local warnings = require "lampad.warnings"

local torch = core.torch

-- --- Dataset --------------------------------------------------------------------------------------
--- Subclasses define len() and getitem(i); then #ds and ds[i] work too.
local Dataset = class.extend(class.Object, "Dataset")

function Dataset.make_index(C)
  return function(self, key)
    if math.type(key) == "integer" then return self:getitem(key) end
    return C[key]
  end
end

function Dataset.__len(self) return self:len() end

function Dataset:len()
  args.fail(nil, "%s does not define len(); write function %s:len() ... end", self.__name, self.__name)
end

function Dataset:getitem()
  args.fail(nil, "%s does not define getitem(i); write function %s:getitem(i) ... end", self.__name, self.__name)
end

--- a + b: the items of a, then those of b.
function Dataset.__add(a, b) return require("lampad.utils.data.dataset").ConcatDataset { a, b } end

-- All values of item i of anything a DataLoader reads: a dataset, a list, a tensor.
local function item(dataset, i)
  if type(dataset) ~= "table" then return dataset[i] end
  if getmetatable(dataset) == nil then
    local at = i
    if math.type(at) == "integer" then
      if at < -#dataset or at >= #dataset then
        args.fail(nil, "index %d is out of range for a list of %d items", at, #dataset)
      end
      at = (at < 0 and at + #dataset or at) + 1
    end
    return dataset[at]
  end
  if dataset.getitem then return dataset:getitem(i) end
  return dataset[i]
end

-- 0-based position of an index that may be negative.
local function position(what, index, count)
  local i = math.tointeger(index)
  if not i then args.fail(what, "the index must be an integer, got %s", text.describe(index)) end
  local at = i < 0 and i + count or i
  if at < 0 or at >= count then
    args.fail(what, "index %d is out of range for a dataset of %d items", i, count)
  end
  return at
end

-- --- IterableDataset ----------------------------------------------------------------------------------
--- Subclasses define iter(), which returns an iterator function over the items.
local IterableDataset = Dataset:extend "IterableDataset"
function IterableDataset:iter()
  args.fail(nil, "%s does not define iter(); it must return an iterator function", self.__name)
end

--- a + b: the items of a, then those of b.
function IterableDataset.__add(a, b) return require("lampad.utils.data.dataset").ChainDataset { a, b } end

-- --- TensorDataset ------------------------------------------------------------------------------------
local TensorDataset = Dataset:extend "TensorDataset"

--- Item i is the i-th row of every tensor.
function TensorDataset:init(...)
  local tensors = { ... }
  if #tensors == 0 then args.fail("TensorDataset", "expected at least one tensor") end
  for i, t in ipairs(tensors) do
    if not torch.is_tensor(t) then
      args.fail("TensorDataset", "argument %d must be a tensor, got %s", i - 1, text.describe(t))
    end
    if t.ndim == 0 then args.fail("TensorDataset", "argument %d is a 0-d tensor; it has no rows", i - 1) end
    if t:size(0) ~= tensors[1]:size(0) then
      args.fail("TensorDataset", "Size mismatch between tensors: %d rows in the first, %d in argument %d",
        tensors[1]:size(0), t:size(0), i - 1)
    end
  end
  self.tensors = tensors
end

function TensorDataset:len() return self.tensors[1]:size(0) end

function TensorDataset:getitem(i)
  local result = {}
  for k, t in ipairs(self.tensors) do result[k] = t[i] end
  return table.unpack(result)
end

function TensorDataset:getbatch(indices)
  local result = {}
  for k, t in ipairs(self.tensors) do result[k] = t:index_select(0, indices) end
  return table.unpack(result)
end

-- --- Subset -------------------------------------------------------------------------------------------
local Subset = Dataset:extend "Subset"
local subset_spec = args "Subset(any dataset, any indices)"

--- The items of a dataset at the given indices (a list or an int64 tensor).
function Subset:init(...)
  local dataset, indices = subset_spec(...)
  if torch.is_tensor(indices) then indices = indices:tolist() end
  indices = iterate.list(indices)
  if not indices then args.fail("Subset", "indices must be a list or a tensor of integers") end
  self.dataset, self.indices = dataset, indices
  -- Defined only where the dataset itself can read whole batches.
  if type(dataset) == "table" and dataset.getbatch and self.getitem == Subset.getitem then
    local wanted = torch.tensor(indices, { dtype = torch.int64 })
    self.getbatch = function(_, chosen) return dataset:getbatch(wanted:index_select(0, chosen)) end
  end
  if type(dataset) == "table" and getmetatable(dataset) ~= nil and dataset.getitems and self.getitem == Subset.getitem then
    self.getitems = function(_, chosen)
      local inner = {}
      for k, i in ipairs(chosen) do inner[k] = indices[position("Subset", i, #indices) + 1] end
      return dataset:getitems(inner)
    end
  end
end

function Subset:len() return #self.indices end

function Subset:getitem(i)
  return item(self.dataset, self.indices[position("Subset", i, #self.indices) + 1])
end

-- --- ConcatDataset ------------------------------------------------------------------------------------
local ConcatDataset = Dataset:extend "ConcatDataset"

--- The items of several datasets, one after the other.
function ConcatDataset:init(datasets)
  self.datasets = iterate.list(datasets)
  if not self.datasets or #self.datasets == 0 then
    args.fail("ConcatDataset", "datasets should not be an empty list")
  end
  self.cumulative_sizes = {}
  local total = 0
  for i, dataset in ipairs(self.datasets) do
    if class.isinstance(dataset, IterableDataset) then
      args.fail("ConcatDataset", "ConcatDataset does not support IterableDataset (dataset %d)", i - 1)
    end
    total = total + #dataset
    self.cumulative_sizes[i] = total
  end
end

function ConcatDataset:len() return self.cumulative_sizes[#self.cumulative_sizes] end

function ConcatDataset:getitem(i)
  local at = position("ConcatDataset", i, self:len())
  local low, high = 1, #self.datasets
  while low < high do
    local middle = (low + high) // 2
    if at < self.cumulative_sizes[middle] then high = middle else low = middle + 1 end
  end
  return item(self.datasets[low], at - (self.cumulative_sizes[low - 1] or 0))
end

-- --- StackDataset -------------------------------------------------------------------------------------
local StackDataset = Dataset:extend "StackDataset"

--- StackDataset(a, b): item i is item i of each, as several values; StackDataset{image = a, label = b}: as a table.
--- All must be of the same length.
function StackDataset:init(...)
  local given = { ... }
  self.datasets = given
  if #given == 1 and type(given[1]) == "table" and getmetatable(given[1]) == nil and next(given[1]) ~= nil
    and #given[1] == 0 then
    self.datasets = given[1]
  elseif #given > 1 and args.is_named(given[#given]) and getmetatable(given[#given]) == nil then
    args.fail("StackDataset", "give the datasets either by position or by name")
  end
  for name, dataset in pairs(self.datasets) do
    local n = #dataset
    self._length = self._length or n
    if n ~= self._length then
      args.fail("StackDataset", "Size mismatch between datasets: %s has %d items, another %d", text.repr(name), n, self._length)
    end
  end
  if not self._length then args.fail("StackDataset", "At least one dataset should be passed") end
  for _, dataset in pairs(self.datasets) do
    if type(dataset) == "table" and dataset.getitems then self.getitems = StackDataset._getitems end
  end
end

function StackDataset:len() return self._length end

function StackDataset:getitem(i)
  if #self.datasets == 0 then
    local result = {}
    for name, dataset in pairs(self.datasets) do result[name] = item(dataset, i) end
    return result
  end
  local result = {}
  for k, dataset in ipairs(self.datasets) do result[k] = item(dataset, i) end
  return table.unpack(result, 1, #self.datasets)
end

-- getitems where one of the datasets has it.
function StackDataset:_getitems(indices)
  local result = {}
  for k in ipairs(indices) do result[k] = #self.datasets > 0 and { n = #self.datasets } or {} end
  for name, dataset in pairs(self.datasets) do
    if type(dataset) == "table" and dataset.getitems then
      local items = dataset:getitems(indices)
      if #items ~= #indices then
        args.fail("StackDataset", "Nested dataset's output size mismatch. Expected %d, got %d", #indices, #items)
      end
      for k, value in ipairs(items) do result[k][name] = value end
    else
      for k, i in ipairs(indices) do result[k][name] = item(dataset, i) end
    end
  end
  return result
end

-- --- ChainDataset -------------------------------------------------------------------------------------
local ChainDataset = IterableDataset:extend "ChainDataset"

--- The items of several IterableDatasets, one after the other.
function ChainDataset:init(list)
  self.datasets = iterate.list(list)
  if not self.datasets then args.fail("ChainDataset", "datasets must be a list of IterableDatasets") end
end

local function check_stream(dataset)
  if not class.isinstance(dataset, IterableDataset) then
    args.fail("ChainDataset", "ChainDataset only supports IterableDataset")
  end
  return dataset
end

function ChainDataset:iter()
  local at, next_item = 0, nil
  local function pass(...)
    if (...) ~= nil then return true, ... end
    return false
  end
  local function step()
    while true do
      if not next_item then
        at = at + 1
        if self.datasets[at] == nil then return end
        next_item = check_stream(self.datasets[at]):iter()
      end
      local values = table.pack(pass(next_item()))
      if values[1] then return table.unpack(values, 2, values.n) end
      next_item = nil
    end
  end
  return step
end

function ChainDataset:len()
  local total = 0
  for _, dataset in ipairs(self.datasets) do total = total + #check_stream(dataset) end
  return total
end

-- --- random_split ----------------------------------------------------------------------------------------
local split_spec = args "random_split(any dataset, floats lengths, any generator=nil)"

--- A list of Subsets with the given lengths, or fractions that sum to 1, of items drawn at random.
local function random_split(...)
  local dataset, lengths, generator = split_spec(...)
  if type(lengths) == "number" then lengths = { lengths } end
  local total, sum, fractions = #dataset, 0, true
  for _, length in ipairs(lengths) do
    sum = sum + length
    fractions = fractions and length >= 0 and length <= 1
  end
  if fractions and math.abs(sum - 1) < 1e-9 then
    local counts, used = {}, 0
    for i, fraction in ipairs(lengths) do
      counts[i] = math.floor(total * fraction)
      used = used + counts[i]
    end
    for i = 0, total - used - 1 do counts[i % #counts + 1] = counts[i % #counts + 1] + 1 end
    lengths, sum = counts, total
    for i, count in ipairs(counts) do
      if count == 0 then
        warnings.warn(("Length of split at index %d is 0. This might result in an empty dataset."):format(i - 1))
      end
    end
  end
  for i, length in ipairs(lengths) do
    if not math.tointeger(length) or length < 0 then
      args.fail("random_split", "length %d must be a non-negative integer (or all fractions that sum to 1), got %s", i - 1,
        text.repr(length))
    end
  end
  if sum ~= total then
    args.fail("random_split", "Sum of input lengths (%s) does not equal the length of the input dataset (%d)",
      text.repr(sum), total)
  end
  local order = torch.randperm(total, args.drawing(generator)):tolist()
  local result, at = {}, 0
  for i, length in ipairs(lengths) do
    length = math.tointeger(length)
    result[i] = Subset(dataset, table.move(order, at + 1, at + length, 1, {}))
    at = at + length
  end
  return result
end

return {
  Dataset = Dataset, IterableDataset = IterableDataset, TensorDataset = TensorDataset, Subset = Subset,
  ConcatDataset = ConcatDataset, StackDataset = StackDataset, ChainDataset = ChainDataset,
  random_split = random_split, position = position, item = item,
}
