-- Samplers: in which order a DataLoader takes the items. iter() returns an iterator over 0-based
-- indices (BatchSampler: over lists of them). A seed gives PyTorch's order.
--
-- RandomSampler and SequentialSampler also have chunks(): an iterator over int64 tensors that hold the
-- same indices in the same order, for DataLoader's fast path.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local Sampler = class.extend(class.Object, "Sampler")
function Sampler.__len(self) return self:len() end

function Sampler:iter()
  args.fail(nil, "%s does not define iter(); it must return an iterator over indices", self.__name)
end

-- Iterates over the members of the tensors that next_chunk() gives.
local function flatten(next_chunk)
  local list, i = {}, 0
  return function()
    i = i + 1
    while list[i] == nil do
      local chunk = next_chunk()
      if chunk == nil then return nil end
      list, i = chunk:tolist(), 1
    end
    return list[i]
  end
end

-- --- SequentialSampler --------------------------------------------------------------------------------
local SequentialSampler = Sampler:extend "SequentialSampler"

--- 0, 1, 2, ... over a dataset (or anything with a length).
function SequentialSampler:init(data_source) self.data_source = data_source end
function SequentialSampler:len() return #self.data_source end

function SequentialSampler:iter()
  local i, count = -1, #self.data_source
  return function()
    i = i + 1
    if i < count then return i end
  end
end

function SequentialSampler:chunks()
  local done = false
  return function()
    if done then return nil end
    done = true
    return torch.arange(#self.data_source)
  end
end

-- --- RandomSampler ------------------------------------------------------------------------------------
local RandomSampler = Sampler:extend "RandomSampler"
local random_spec = args [[RandomSampler(any data_source, bool replacement=false, int num_samples=nil,
  any generator=nil)]]

--- All items in random order, or num_samples of them; with replacement each draw is independent.
function RandomSampler:init(...)
  self.data_source, self.replacement, self._num_samples, self.generator = random_spec(...)
  if self:len() < 0 or (self._num_samples and self._num_samples <= 0) then
    args.fail("RandomSampler", "num_samples should be a positive integer value, but got num_samples=%s",
      text.repr(self._num_samples))
  end
end

function RandomSampler:len() return self._num_samples or #self.data_source end

-- Draws happen when a chunk is asked for, as PyTorch's generators do: the order of draws from a
-- generator that the user shares with other code is the same.
function RandomSampler:chunks()
  local n, wanted = #self.data_source, self:len()
  local generator, step = self.generator, 0
  local full = self.replacement and wanted // 32 or (n > 0 and wanted // n or 0)
  return function()
    if step > full or (n == 0 and step > 0) then return nil end
    if step == 0 and generator == nil then
      local seed = torch.empty({}, { dtype = torch.int64 }):random_():item()
      generator = torch.Generator()
      generator:manual_seed(seed)
    end
    step = step + 1
    if self.replacement then
      local count = step <= full and 32 or wanted % 32
      return torch.randint(0, n, { count }, { dtype = torch.int64, generator = generator or torch.default_generator })
    end
    local order = torch.randperm(n, args.drawing(generator))
    -- PyTorch draws one more permutation for what remains, also when nothing does.
    return step <= full and order or order:narrow(0, 0, n > 0 and wanted % n or 0)
  end
end

function RandomSampler:iter() return flatten(self:chunks()) end

-- --- SubsetRandomSampler ------------------------------------------------------------------------------
local SubsetRandomSampler = Sampler:extend "SubsetRandomSampler"
local subset_spec = args "SubsetRandomSampler(any indices, any generator=nil)"

--- The given indices in random order.
function SubsetRandomSampler:init(...)
  local indices
  indices, self.generator = subset_spec(...)
  self.indices = torch.is_tensor(indices) and indices:tolist() or iterate.list(indices)
  if not self.indices then args.fail("SubsetRandomSampler", "indices must be a list of integers") end
end

function SubsetRandomSampler:len() return #self.indices end

function SubsetRandomSampler:iter()
  local order, i
  return function()
    order = order or torch.randperm(#self.indices, args.drawing(self.generator)):tolist()
    i = (i or 0) + 1
    if order[i] then return self.indices[order[i] + 1] end
  end
end

-- --- BatchSampler ---------------------------------------------------------------------------------------
local BatchSampler = Sampler:extend "BatchSampler"
local batch_spec = args "BatchSampler(any sampler, int batch_size, bool drop_last)"

--- Lists of batch_size indices from a sampler (or any iterable); the last may be shorter unless drop_last.
function BatchSampler:init(...)
  self.sampler, self.batch_size, self.drop_last = batch_spec(...)
  if self.batch_size <= 0 then
    args.fail("BatchSampler", "batch_size should be a positive integer value, but got batch_size=%d", self.batch_size)
  end
end

function BatchSampler:len()
  local count = #self.sampler
  if self.drop_last then return count // self.batch_size end
  return (count + self.batch_size - 1) // self.batch_size
end

function BatchSampler:iter()
  local next_index, ended = iterate.iterator(self.sampler), false
  return function()
    if ended then return nil end
    local batch = {}
    for i = 1, self.batch_size do
      local index = next_index()
      if index == nil then
        ended = true
        break
      end
      batch[i] = index
    end
    if #batch == 0 or (ended and self.drop_last) then return nil end
    return batch
  end
end

--- The same batches as int64 tensors, or nil when the sampler has no chunks().
function BatchSampler:chunks()
  local sampler = self.sampler
  local make = type(sampler) == "table" and sampler.chunks
  if not make then return nil end
  local next_chunk, size = make(sampler), self.batch_size
  local chunk, at, left = nil, 0, 0
  return function()
    local parts, have = {}, 0
    while have < size do
      if left == 0 then
        chunk = next_chunk()
        if chunk == nil then break end
        at, left = 0, chunk:size(0)
      end
      local count = math.min(left, size - have)
      if count > 0 then
        parts[#parts + 1] = chunk:narrow(0, at, count)
        at, left, have = at + count, left - count, have + count
      end
    end
    if have == 0 or (self.drop_last and have < size) then return nil end
    return #parts == 1 and parts[1] or torch.cat(parts)
  end
end

return {
  Sampler = Sampler, SequentialSampler = SequentialSampler, RandomSampler = RandomSampler,
  SubsetRandomSampler = SubsetRandomSampler, BatchSampler = BatchSampler,
}
