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

-- --- resuming ---------------------------------------------------------------------------------------
-- Note [Resuming samplers]. What an iteration will give follows from what it began with: `_start`, a table that
-- begin() sets when the iteration draws its first number. A sampler goes on from there by beginning in the same
-- way (`_resume`) and skipping the `_yielded` indices that were given. Classes of the program that have no
-- state_dict of their own begin anew and skip.

--- The state of the latest iteration, for load_state_dict of an equal sampler: its next iteration goes on there.
function Sampler:state_dict() return { yielded = self._yielded or 0, start = self._start } end

function Sampler:load_state_dict(state)
  if type(state) ~= "table" or math.type(state.yielded) ~= "integer" then
    args.fail("load_state_dict", "expected the table that state_dict() gave, got %s", text.describe(state))
  end
  self._resume, self._skip = state.start, state.yielded
end

-- What the iteration that begins here begins with: what load_state_dict gave, or what first() returns.
local function begin(self, first)
  local start = self._resume
  self._resume = nil
  if start == nil then
    start = first()
  else
    if start.generator and self.generator then self.generator:set_state(start.generator) end
    start = { seed = start.seed, generator = start.generator, epoch = start.epoch, is_resumed = true }
  end
  self._start = { seed = start.seed, generator = start.generator, epoch = start.epoch }
  return start
end

-- The generator to draw from: the user's; the default one; or, when an iteration is resumed, one in its place, so
-- that the default one stays as it is.
function Sampler:_drawing(start)
  if self.generator or not start.is_resumed then return self.generator end
  local generator = torch.Generator()
  generator:set_state(start.generator)
  return generator
end

-- The state of the generator that the sampler draws from: what an iteration begins with.
local function generator_state(self)
  return { generator = (self.generator or torch.default_generator):get_state() }
end

-- Counts what the iterator gives, and skips what load_state_dict asked to skip.
local function counted(self, next_index)
  local skip = self._skip or 0
  self._skip, self._yielded = nil, 0
  return function()
    local index = next_index()
    while skip > 0 and index ~= nil do
      skip, self._yielded = skip - 1, self._yielded + 1
      index = next_index()
    end
    if index ~= nil then self._yielded = self._yielded + 1 end
    return index
  end
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
  return counted(self, function()
    i = i + 1
    if i < count then return i end
  end)
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
  if self:len() <= 0 then
    args.fail("RandomSampler", "num_samples should be a positive integer value, but got num_samples=%d%s", self:len(),
      self._num_samples and "" or " (the dataset is empty)")
  end
  self.num_samples = self:len()
end

function RandomSampler:len() return self._num_samples or #self.data_source end

-- Draws happen when a chunk is asked for, as PyTorch's generators do: the order of draws from a
-- generator that the user shares with other code is the same.
function RandomSampler:chunks()
  local n, wanted = #self.data_source, self:len()
  local generator, step = self.generator, 0
  local full = self.replacement and wanted // 32 or wanted // n
  return function()
    if step > full then return nil end
    if step == 0 then
      local start = begin(self, function()
        if generator then return generator_state(self) end
        return { seed = torch.empty({}, { dtype = torch.int64 }):random_():item() }
      end)
      if not generator then
        generator = torch.Generator()
        generator:manual_seed(start.seed)
      end
    end
    step = step + 1
    if self.replacement then
      local count = step <= full and 32 or wanted % 32
      return torch.randint(0, n, { count }, { dtype = torch.int64, generator = generator })
    end
    local order = torch.randperm(n, args.drawing(generator))
    -- PyTorch draws one more permutation for what remains, also when nothing does.
    return step <= full and order or order:narrow(0, 0, wanted % n)
  end
end

function RandomSampler:iter() return counted(self, flatten(self:chunks())) end

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
  return counted(self, function()
    if not order then
      local start = begin(self, function() return generator_state(self) end)
      order = torch.randperm(#self.indices, args.drawing(self:_drawing(start))):tolist()
    end
    i = (i or 0) + 1
    if order[i] then return self.indices[order[i] + 1] end
  end)
end

-- --- WeightedRandomSampler ----------------------------------------------------------------------------
local WeightedRandomSampler = Sampler:extend "WeightedRandomSampler"
local weighted_spec = args "WeightedRandomSampler(any weights, any num_samples, any replacement=true, any generator=nil)"

--- num_samples indices drawn with the given weights, which need not sum to 1.
function WeightedRandomSampler:init(...)
  local weights, num_samples, replacement, generator = weighted_spec(...)
  if math.type(num_samples) ~= "integer" or num_samples <= 0 then
    args.fail("WeightedRandomSampler", "num_samples should be a positive integer value, but got num_samples=%s",
      text.repr(num_samples))
  end
  if type(replacement) ~= "boolean" then
    args.fail("WeightedRandomSampler", "replacement should be a boolean value, but got replacement=%s", text.repr(replacement))
  end
  if not torch.is_tensor(weights) then weights = torch.tensor(iterate.list(weights) or weights, { dtype = torch.float64 }) end
  weights = weights:to(torch.float64)
  if weights.ndim ~= 1 then
    args.fail("WeightedRandomSampler", "weights should be a 1d sequence but given weights have shape %s", tostring(weights.shape))
  end
  self.weights, self.num_samples, self.replacement, self.generator = weights, num_samples, replacement, generator
end

function WeightedRandomSampler:len() return self.num_samples end

function WeightedRandomSampler:chunks()
  local done = false
  return function()
    if done then return nil end
    done = true
    local start = begin(self, function() return generator_state(self) end)
    return torch.multinomial(self.weights, self.num_samples, self.replacement, args.drawing(self:_drawing(start)))
  end
end

function WeightedRandomSampler:iter() return counted(self, flatten(self:chunks())) end

-- --- DistributedSampler -------------------------------------------------------------------------------
local DistributedSampler = Sampler:extend "DistributedSampler"
local distributed_spec = args [[DistributedSampler(any dataset, int num_replicas=nil, int rank=nil, bool shuffle=true,
  int seed=0, bool drop_last=false)]]

-- The size and rank of the process group, where there is one.
local function of_group(name)
  local distributed = torch.distributed
  if not distributed or not distributed.is_available or not distributed.is_available() then
    args.fail("DistributedSampler", "Requires distributed package to be available; give num_replicas and rank")
  end
  return distributed[name]()
end

--- The part of process `rank` of num_replicas: every num_replicas-th item of an order that all of them share.
--- set_epoch(n) before each epoch shuffles anew.
function DistributedSampler:init(...)
  local dataset, num_replicas, rank, shuffle, seed, drop_last = distributed_spec(...)
  num_replicas = num_replicas or of_group "get_world_size"
  rank = rank or of_group "get_rank"
  if rank >= num_replicas or rank < 0 then
    args.fail("DistributedSampler", "Invalid rank %d, rank should be in the interval [0, %d]", rank, num_replicas - 1)
  end
  self.dataset, self.num_replicas, self.rank, self.epoch = dataset, num_replicas, rank, 0
  self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
  local n = #dataset
  if drop_last and n % num_replicas ~= 0 then n = math.max(n - num_replicas, 0) end
  self.num_samples = (n + num_replicas - 1) // num_replicas
  self.total_size = self.num_samples * num_replicas
end

function DistributedSampler:len() return self.num_samples end

--- Which shuffling order the next iteration takes.
function DistributedSampler:set_epoch(epoch) self.epoch = epoch end

function DistributedSampler:chunks()
  local done = false
  return function()
    if done then return nil end
    done = true
    local start = begin(self, function() return { epoch = self.epoch } end)
    self.epoch = start.epoch
    local n = #self.dataset
    local order
    if self.shuffle then
      local generator = torch.Generator()
      generator:manual_seed(self.seed + self.epoch)
      order = torch.randperm(n, { generator = generator })
    else
      order = torch.arange(n)
    end
    if self.drop_last then
      order = order:narrow(0, 0, self.total_size)
    elseif self.total_size > n then -- the first ones once more
      if n == 0 then args.fail("DistributedSampler", "the dataset is empty") end
      order = order:rep((self.total_size + n - 1) // n):narrow(0, 0, self.total_size)
    end
    return order:reshape(self.num_samples, self.num_replicas):select(1, self.rank):contiguous()
  end
end

function DistributedSampler:iter() return counted(self, flatten(self:chunks())) end

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

-- A sampler of the program that knows how to save itself.
local function saves_itself(sampler)
  return type(sampler) == "table" and type(sampler.state_dict) == "function" and sampler.state_dict ~= Sampler.state_dict
    and not class.isinstance(sampler, BatchSampler)
end

-- Note [Snapshots]. What a sampler has to be told to begin the present iteration again, and whether it will then
-- already stand behind what it has given (`is_ahead`: it saves itself) or has to skip that.
local function snapshot(sampler)
  if saves_itself(sampler) then return { own = sampler:state_dict(), is_ahead = true } end
  if class.isinstance(sampler, BatchSampler) then
    local inner = snapshot(sampler.sampler)
    return { inner = inner, is_ahead = inner.is_ahead }
  end
  return { start = type(sampler) == "table" and rawget(sampler, "_start") or nil, is_ahead = false }
end

local function restore(sampler, state)
  if state.own ~= nil then
    if not saves_itself(sampler) or type(sampler.load_state_dict) ~= "function" then
      args.fail("load_state_dict", "the state was saved by a sampler with a state_dict of its own; this one has none")
    end
    sampler:load_state_dict(state.own)
  elseif state.inner then
    if class.isinstance(sampler, BatchSampler) then restore(sampler.sampler, state.inner) end
  elseif class.isinstance(sampler, Sampler) then
    sampler._resume, sampler._skip = state.start, nil
  end
end

function BatchSampler:state_dict()
  return { yielded = self._yielded or 0, sampler = self._snapshot or snapshot(self.sampler) }
end

function BatchSampler:load_state_dict(state)
  if type(state) ~= "table" or type(state.sampler) ~= "table" then
    args.fail("load_state_dict", "expected the table that state_dict() gave, got %s", text.describe(state))
  end
  restore(self.sampler, state.sampler)
  self._skip, self._passed = state.sampler.is_ahead and 0 or state.yielded, state.yielded
end

-- Counts batches, and notes with each what the sampler had begun with or saved.
local function counted_batches(self, next_batch)
  local skip = self._skip or 0
  self._yielded, self._skip, self._passed = (self._passed or 0) - skip, nil, nil
  self._snapshot = nil
  return function()
    local batch = next_batch()
    while skip > 0 and batch ~= nil do
      skip, self._yielded = skip - 1, self._yielded + 1
      batch = next_batch()
    end
    if batch ~= nil then
      self._yielded = self._yielded + 1
      if not self._snapshot or self._snapshot.is_ahead then self._snapshot = snapshot(self.sampler) end
    end
    return batch
  end
end

function BatchSampler:iter()
  local next_index, ended = iterate.iterator(self.sampler), false
  if not next_index then
    args.fail("BatchSampler", "the sampler must be a sampler, a list or an iterator, got %s", text.describe(self.sampler))
  end
  return counted_batches(self, function()
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
  end)
end

--- The same batches as int64 tensors, or nil when the sampler has no chunks().
function BatchSampler:chunks()
  local sampler = self.sampler
  local make = type(sampler) == "table" and sampler.chunks
  if not make then return nil end
  local next_chunk, size = make(sampler), self.batch_size
  local chunk, at, left = nil, 0, 0
  return counted_batches(self, function()
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
  end)
end

return {
  Sampler = Sampler, SequentialSampler = SequentialSampler, RandomSampler = RandomSampler,
  SubsetRandomSampler = SubsetRandomSampler, WeightedRandomSampler = WeightedRandomSampler,
  DistributedSampler = DistributedSampler, BatchSampler = BatchSampler, snapshot = snapshot, restore = restore,
}
