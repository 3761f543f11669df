-- Reading batches of a dataset: what a DataLoader does in its own thread, and what its workers do.
--
-- Note [Seeds of samples]: before sample n of an epoch is read, the default generator and math.random are seeded
-- from the epoch's base seed and n (its place in the epoch), and before batch k is put together from the base seed
-- and k. So random transforms give the same batch whatever num_workers is, and after load_state_dict. With
-- sample_seeds = false nothing is seeded here: PyTorch's way, where a worker draws one stream.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local datasets = require "lampad.utils.data.dataset"
local collate = require "lampad.utils.data.collate"

local torch = core.torch
local Fetcher = class.extend(class.Object, "Fetcher")

local SAMPLE, BATCH = 0, 1 -- parts of the space of seeds

--- Fields of o: dataset, collate_fn; is_iterable, is_batched, batch_size and drop_last (iterable); default_collate:
--- collate_fn is the default; sample_seeds.
function Fetcher:init(o)
  self.dataset, self.collate_fn = o.dataset, o.collate_fn
  self.is_iterable, self.is_batched = o.is_iterable, o.is_batched
  self.batch_size, self.drop_last = o.batch_size, o.drop_last
  self.stream = o.sample_seeds and core.sample_stream() or nil
  self.base_seed = 0
  self.index = nil -- of the sample that is being read, for errors
  local dataset = o.dataset
  local has_methods = type(dataset) == "table" and getmetatable(dataset) ~= nil
  self.getbatch = has_methods and o.default_collate and dataset.getbatch or nil
  self.getitems = has_methods and dataset.getitems or nil
end

--- A new epoch.
function Fetcher:start(base_seed)
  self.base_seed, self.ended = base_seed, false
  self.next_item = nil
end

local function check_item(index, ...)
  if (...) == nil then args.fail("DataLoader", "the dataset gave nil for item %s", text.repr(index)) end
  return ...
end

function Fetcher:read_items(indices, first)
  local dataset, stream, base = self.dataset, self.stream, self.base_seed
  if torch.is_tensor(indices) then indices = indices:tolist() end
  if self.getitems then
    if stream then stream:seed(base, first, SAMPLE) end
    local items = self.getitems(dataset, indices)
    if type(items) ~= "table" or #items ~= #indices then
      args.fail("DataLoader", "getitems of the dataset must give a list of %d items, got %s", #indices, text.describe(items))
    end
    for i, item in ipairs(items) do items[i] = collate.as_item(item) end
    return items
  end
  local items = {}
  for i, index in ipairs(indices) do
    self.index = index
    if stream then stream:seed(base, first + i - 1, SAMPLE) end
    items[i] = collate.pack_item(check_item(index, datasets.item(dataset, index)))
  end
  self.index = nil
  return items
end

function Fetcher:read_stream()
  if not self.next_item then
    self.next_item = self.dataset:iter()
    if type(self.next_item) ~= "function" and not (getmetatable(self.next_item) or {}).__call then
      args.fail("DataLoader", "iter() of the dataset must return an iterator function, got %s", text.describe(self.next_item))
    end
  end
  if not self.is_batched then
    if self.ended then return nil end
    local item = table.pack(self.next_item())
    if item[1] == nil then
      self.ended = true
      return nil
    end
    return self.collate_fn(table.unpack(item, 1, item.n))
  end
  local items = {}
  while not self.ended and #items < self.batch_size do
    local item = table.pack(self.next_item())
    if item[1] == nil then
      self.ended = true
    else
      items[#items + 1] = collate.pack_item(table.unpack(item, 1, item.n))
    end
  end
  if #items == 0 or (self.drop_last and #items < self.batch_size) then return nil end
  return self.collate_fn(items)
end

--- The values of batch `number` of the epoch: of the indices (a list, an int64 tensor; one index without batching),
--- the first of which is sample `first` of the epoch. nil when an iterable dataset has ended.
function Fetcher:read(indices, number, first)
  self.index = nil
  if self.is_iterable then return self:read_stream() end
  local stream, base = self.stream, self.base_seed
  if not self.is_batched then
    self.index = indices
    if stream then stream:seed(base, first, SAMPLE) end
    return self.collate_fn(check_item(indices, datasets.item(self.dataset, indices)))
  end
  if self.getbatch and torch.is_tensor(indices) then
    if stream then stream:seed(base, first, SAMPLE) end
    return self.getbatch(self.dataset, indices)
  end
  local items = self:read_items(indices, first)
  if stream then stream:seed(base, number, BATCH) end
  return self.collate_fn(items)
end

return Fetcher
