-- DataLoader: batches of a dataset.  for images, labels in loader:iter() do ... end
--
-- Note [Order of random draws]: as PyTorch, an iteration first draws a base seed from the generator
-- (the default one unless given), then, with the first batch, the RandomSampler draws its own seed.
-- So shuffling for a seed gives PyTorch's order, and dropout after it PyTorch's masks.
--
-- Note [Whole batches]: when the dataset has getbatch, the batches come from the samplers here and
-- collate_fn is the default, indices stay tensors and each batch is read in one step.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local datasets = require "lampad.utils.data.dataset"
local samplers = require "lampad.utils.data.sampler"
local collate = require "lampad.utils.data.collate"

local torch = core.torch
local DataLoader = class.extend(class.Object, "DataLoader")
local spec = args [[DataLoader(any dataset, int? batch_size=1, bool shuffle=nil, any sampler=nil,
  any batch_sampler=nil, int num_workers=0, function collate_fn=nil, bool pin_memory=false,
  bool drop_last=false, float timeout=0, function worker_init_fn=nil, any multiprocessing_context=nil,
  any generator=nil, *, int prefetch_factor=nil, bool persistent_workers=false, str pin_memory_device='',
  bool in_order=true)]]

--- data.DataLoader(dataset, {batch_size = 32, shuffle = true, drop_last = true, collate_fn = f}).
--- batch_size = false turns batching off: items come one by one as the dataset gives them.
function DataLoader:init(...)
  local o = spec:collect(...)
  if o.num_workers < 0 then
    args.fail("DataLoader", "num_workers should be non-negative; use num_workers=0, got %d", o.num_workers)
  end
  if o.num_workers > 0 then
    args.fail("DataLoader", "num_workers = %d: loading in worker threads is not part of this version, use "
      .. "num_workers = 0 (docs/limits.md); batches of TensorDataset and of vision.datasets are read in one "
      .. "step and need no workers", o.num_workers)
  end
  self.dataset, self.num_workers, self.generator = o.dataset, 0, o.generator
  self.drop_last, self.pin_memory, self.timeout = o.drop_last, o.pin_memory, o.timeout
  self._iterable = class.isinstance(o.dataset, datasets.IterableDataset)
  if self._iterable and (o.shuffle or o.sampler or o.batch_sampler) then
    args.fail("DataLoader", "an IterableDataset gives its own order: shuffle, sampler and batch_sampler must be absent")
  end
  if o.sampler ~= nil and o.shuffle then
    args.fail("DataLoader", "sampler option is mutually exclusive with shuffle")
  end
  if o.batch_sampler ~= nil then
    if o.batch_size ~= 1 or o.shuffle or o.sampler ~= nil or o.drop_last then
      args.fail("DataLoader",
        "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
    end
    o.batch_size, self.drop_last = nil, false
  elseif o.batch_size == nil and o.drop_last then
    args.fail("DataLoader", "batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
  elseif o.batch_size ~= nil and o.batch_size <= 0 then
    args.fail("DataLoader", "batch_size should be a positive integer value, but got batch_size=%d", o.batch_size)
  end
  if not self._iterable and type(o.dataset) ~= "table" then
    args.fail("DataLoader", "dataset must be a Dataset or a list, got %s", text.describe(o.dataset))
  end
  self.batch_size = o.batch_size
  self.sampler = o.sampler
  if o.sampler == nil and not self._iterable then
    self.sampler = o.shuffle and samplers.RandomSampler(o.dataset, { generator = o.generator })
      or samplers.SequentialSampler(o.dataset)
  end
  self.batch_sampler = o.batch_sampler
  if o.batch_sampler == nil and o.batch_size and not self._iterable then
    self.batch_sampler = samplers.BatchSampler(self.sampler, o.batch_size, o.drop_last)
  end
  self._default_collate = o.collate_fn == nil
  self.collate_fn = o.collate_fn or (self.batch_sampler or (self._iterable and o.batch_size))
    and collate.default_collate or o.collate_fn or collate.default_convert
end

--- The number of batches (items, without batching).
function DataLoader:len()
  if not self._iterable then return #(self.batch_sampler or self.sampler) end
  local count = #self.dataset
  if not self.batch_size then return count end
  return self.drop_last and count // self.batch_size or (count + self.batch_size - 1) // self.batch_size
end

function DataLoader.__len(self) return self:len() end

-- A plain list is a dataset too, counted from 0.
local function item_of(dataset, index)
  if getmetatable(dataset) == nil then return dataset[index + 1] end
  return dataset[index]
end

local function fetch_list(self, indices)
  local items, dataset = {}, self.dataset
  local plain = getmetatable(dataset) == nil
  for i, index in ipairs(indices) do
    if plain then
      items[i] = item_of(dataset, index)
    else
      items[i] = collate.pack_item(dataset:getitem(index))
    end
    if items[i] == nil then args.fail("DataLoader", "the dataset gave nil for item %d", index) end
  end
  return self.collate_fn(items)
end

local function over_iterable(self)
  local next_item = self.dataset:iter()
  if not self.batch_size then
    return function() return self.collate_fn(next_item()) end
  end
  local ended = false
  return function()
    local items = {}
    while not ended and #items < self.batch_size do
      local item = collate.pack_item(next_item())
      if item == nil or (getmetatable(item) == collate.Item and item[1] == nil) then
        ended = true
      else
        items[#items + 1] = item
      end
    end
    if #items == 0 or (ended and self.drop_last and #items < self.batch_size) then return nil end
    return self.collate_fn(items)
  end
end

--- An iterator over the batches, each as the values collate_fn returns. A new call starts a new epoch.
function DataLoader:iter()
  -- Note [Order of random draws]; without a worker the base seed itself is not needed.
  torch.empty({}, { dtype = torch.int64 }):random_(args.drawing(self.generator))
  if self._iterable then return over_iterable(self) end
  if not self.batch_sampler then
    local next_index = iterate.iterator(self.sampler)
    return function()
      local index = next_index()
      if index == nil then return nil end
      return self.collate_fn(item_of(self.dataset, index))
    end
  end
  local dataset = self.dataset
  local getbatch = self._default_collate and dataset.getbatch
  local next_tensor = getbatch and class.isinstance(self.batch_sampler, samplers.BatchSampler)
    and self.batch_sampler:chunks()
  if next_tensor then -- Note [Whole batches]
    return function()
      local indices = next_tensor()
      if indices ~= nil then return getbatch(dataset, indices) end
    end
  end
  local next_batch = iterate.iterator(self.batch_sampler)
  return function()
    local indices = next_batch()
    if indices ~= nil then return fetch_list(self, indices) end
  end
end

return { DataLoader = DataLoader }
