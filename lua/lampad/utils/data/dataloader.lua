-- DataLoader: batches of a dataset.  for images, labels in loader:iter() do ... end
--
-- Note [Order of random draws]: as PyTorch, an iteration first draws a base seed from the generator
-- (the default one unless given), then, with the first batch, the RandomSampler draws its own seed; with workers
-- that happens in iter(), as their tasks are drawn ahead. Workers that persist keep their first base seed in
-- PyTorch, so later iterations draw none. So shuffling for a seed gives PyTorch's order, and dropout after it
-- PyTorch's masks. What the dataset draws is another matter: Note [Seeds of samples] in fetch.lua.
--
-- Note [Whole batches]: when the dataset has getbatch, the batches come from the samplers here and
-- collate_fn is the default, indices stay tensors and each batch is read in one step.
--
-- Note [Resuming a loader]: what is left of an epoch follows from its base seed, from what the sampler began with and
-- from the number of batches handed out (`progress`); workers that are ahead do not count.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local warnings = require "lampad.warnings"
local datasets = require "lampad.utils.data.dataset"
local samplers = require "lampad.utils.data.sampler"
local collate = require "lampad.utils.data.collate"
local Fetcher = require "lampad.utils.data.fetch"

local torch = core.torch
local DataLoader = class.extend(class.Object, "DataLoader")
local spec = args [[DataLoader(any dataset, int? batch_size=1, bool shuffle=nil, any sampler=nil,
  any batch_sampler=nil, int num_workers=0, function collate_fn=nil, bool pin_memory=false,
  bool drop_last=false, float timeout=0, function worker_init_fn=nil, any multiprocessing_context=nil,
  any generator=nil, *, int prefetch_factor=nil, bool persistent_workers=false, str pin_memory_device='',
  bool in_order=true, bool sample_seeds=true)]]

local function fail(...) args.fail("DataLoader", ...) end

local function check_workers(o)
  if o.num_workers < 0 then
    fail("num_workers option should be non-negative; use num_workers = 0 to load in the program's own thread, got %d",
      o.num_workers)
  end
  if o.timeout < 0 then fail("timeout option should be non-negative, got %s", text.repr(o.timeout)) end
  if o.num_workers == 0 then
    if o.prefetch_factor then
      fail("prefetch_factor option could only be specified in multiprocessing; let num_workers > 0, or leave it out")
    end
    if o.persistent_workers then fail("persistent_workers option needs num_workers > 0") end
    if o.multiprocessing_context ~= nil then
      fail("multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got num_workers=0")
    end
  elseif o.prefetch_factor and o.prefetch_factor < 1 then
    fail("prefetch_factor option should be positive, got %d", o.prefetch_factor)
  end
end

local function check_order(o, is_iterable)
  if is_iterable then
    for _, name in ipairs { "shuffle", "sampler", "batch_sampler" } do
      if o[name] then
        fail("DataLoader with IterableDataset: expected unspecified %s option, but got %s=%s; the dataset gives its own order",
          name, name, text.describe(o[name]))
      end
    end
  end
  if o.sampler ~= nil and o.shuffle then fail("sampler option is mutually exclusive with shuffle") end
  if o.batch_sampler ~= nil then
    if o.batch_size ~= 1 or o.shuffle or o.sampler ~= nil or o.drop_last then
      fail("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
    end
    o.batch_size = nil
  elseif o.batch_size == nil and o.drop_last then
    fail("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
  elseif o.batch_size ~= nil and o.batch_size <= 0 then
    fail("batch_size should be a positive integer value, but got batch_size=%d", o.batch_size)
  end
end

--- data.DataLoader(dataset, {batch_size = 32, shuffle = true, num_workers = 2}).
--- batch_size = false turns batching off: items come one by one as the dataset gives them. sample_seeds = false
--- lets the dataset draw from PyTorch's streams (docs/guide/data.md).
function DataLoader:init(...)
  local o = spec:collect(...)
  check_workers(o)
  local is_iterable = class.isinstance(o.dataset, datasets.IterableDataset)
  check_order(o, is_iterable)
  if not is_iterable and type(o.dataset) ~= "table" and not torch.is_tensor(o.dataset) then
    fail("dataset must be a Dataset, a list or a tensor, got %s", text.describe(o.dataset))
  end
  for _, name in ipairs { "dataset", "num_workers", "generator", "drop_last", "pin_memory", "pin_memory_device", "timeout",
    "worker_init_fn", "multiprocessing_context", "persistent_workers", "in_order", "sample_seeds", "batch_size" } do
    self[name] = o[name]
  end
  self.prefetch_factor = o.num_workers > 0 and (o.prefetch_factor or 2) or nil
  self._iterable = is_iterable
  self.sampler = o.sampler
  if o.sampler == nil and not is_iterable then
    self.sampler = o.shuffle and samplers.RandomSampler(o.dataset, { generator = o.generator })
      or samplers.SequentialSampler(o.dataset)
  end
  self.batch_sampler = o.batch_sampler
  if o.batch_sampler == nil and o.batch_size and not is_iterable then
    self.batch_sampler = samplers.BatchSampler(self.sampler, o.batch_size, o.drop_last)
  end
  self._batched = self.batch_sampler ~= nil or (is_iterable and o.batch_size ~= nil)
  self._default_collate = o.collate_fn == nil and self._batched
  self.collate_fn = o.collate_fn or (self._batched and collate.default_collate or collate.default_convert)
  if o.pin_memory then
    warnings.warn("'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used.")
  end
end

--- The number of batches (items, without batching).
function DataLoader:len()
  if not self._iterable then return #(self.batch_sampler or self.sampler) end
  local count = #self.dataset
  if self.batch_size then
    count = self.drop_last and count // self.batch_size or (count + self.batch_size - 1) // self.batch_size
  end
  self._reported = count
  return count
end

function DataLoader.__len(self) return self:len() end

-- --- progress: Note [Resuming a loader] -------------------------------------------------------------
local Progress = class.extend(class.Object, "DataLoaderProgress")

function Progress:init(loader, base_seed)
  self.base_seed = base_seed
  self.generator = loader.generator and loader.generator:get_state()
  self.batches, self.samples, self.is_iterable, self.reported = 0, 0, loader._iterable, loader._reported
end

--- A batch was handed out.
function Progress:advance(snapshot)
  self.batches, self.samples, self.sampler = self.batches + 1, snapshot.samples, snapshot.sampler
  if self.is_iterable and self.reported and self.batches > self.reported then
    warnings.warn(("Length of IterableDataset was reported to be %d (when accessing #loader), but %d samples have been "
      .. "fetched. With workers each must read its own share (get_worker_info)."):format(self.reported, self.batches))
  end
end

function Progress:finish() self.is_finished = true end

--- Where the latest iteration stands, for load_state_dict of an equal loader, perhaps in another run: its next
--- iteration gives the batches that are left, bit for bit. A plain table, for torch.save. Later epochs draw from the
--- loader's generator, whose state is in it, or else from the default one: see torch.get_rng_state.
function DataLoader:state_dict()
  local p = self._progress
  if not p or p.is_finished then
    return { version = 1, is_finished = true, generator = self.generator and self.generator:get_state() }
  end
  return { version = 1, is_finished = false, base_seed = p.base_seed, batches = p.batches, samples = p.samples,
    sampler = p.sampler, generator = p.generator }
end

--- The next iteration goes on where the state was taken.
function DataLoader:load_state_dict(state)
  if type(state) ~= "table" or state.version ~= 1 or state.is_finished == nil then
    args.fail("load_state_dict", "expected the table that a DataLoader's state_dict() gave, got %s", text.describe(state))
  end
  if state.generator and self.generator then self.generator:set_state(state.generator) end
  self._resumed = not state.is_finished and state or nil
  self._progress = nil
end

-- --- iterating --------------------------------------------------------------------------------------
-- A function that gives the indices of the next batch (or item), the number of samples before them, that of batches,
-- and what `progress` has to know once the batch is handed out.
local function make_source(self, resumed)
  if self._iterable then
    local number = -1
    return function()
      number = number + 1
      return true, 0, number, { samples = 0 }
    end
  end
  local sampler = self.batch_sampler or self.sampler
  local is_ahead = false
  if resumed and resumed.sampler then
    samplers.restore(sampler, resumed.sampler)
    is_ahead = resumed.sampler.is_ahead
  end
  local next_indices
  if self._default_collate and type(self.dataset) == "table" and getmetatable(self.dataset) ~= nil and self.dataset.getbatch
    and class.isinstance(sampler, samplers.BatchSampler) then
    next_indices = sampler:chunks() -- Note [Whole batches]
  end
  next_indices = next_indices or iterate.iterator(sampler)
  if not next_indices then
    fail("%s must be a sampler, a list or an iterator, got %s", self.batch_sampler and "batch_sampler" or "sampler",
      text.describe(sampler))
  end
  local skip = resumed and not is_ahead and resumed.batches or 0
  local samples, number = 0, 0
  if is_ahead then samples, number = resumed.samples, resumed.batches end

  local function step()
    local indices = next_indices()
    if indices == nil then return nil end
    local first, size = samples, 1
    if self._batched then
      if type(indices) ~= "table" and not torch.is_tensor(indices) then
        fail("batch_sampler must give lists of indices, got %s", text.describe(indices))
      end
      size = #indices
    end
    samples, number = first + size, number + 1
    return indices, first, number - 1
  end

  return function()
    while skip > 0 do
      skip = skip - 1
      if step() == nil then return nil end
    end
    local indices, first, at = step()
    if indices == nil then return nil end
    return indices, first, at, { samples = samples, sampler = samplers.snapshot(sampler) }
  end
end

-- In the program's own thread.
local function serial(self, source, progress)
  local fetcher = Fetcher { dataset = self.dataset, collate_fn = self.collate_fn, is_iterable = self._iterable,
    is_batched = self._batched, batch_size = self.batch_size, drop_last = self.drop_last,
    default_collate = self._default_collate, sample_seeds = self.sample_seeds }
  fetcher:start(progress.base_seed)
  local stream = fetcher.stream
  if stream and self._iterable then -- one stream from here on, as a worker's
    local _ <close> = stream:enter()
    torch.manual_seed(progress.base_seed)
    math.randomseed(progress.base_seed)
  end

  local function read(indices, number, first)
    local _ <close> = stream and stream:enter()
    return fetcher:read(indices, number, first)
  end

  local function hand_out(snapshot, ...)
    if self._iterable and (...) == nil then
      progress:finish()
      return nil
    end
    progress:advance(snapshot)
    return ...
  end

  return function()
    if progress.is_finished then return nil end
    local indices, first, number, snapshot = source()
    if indices == nil then
      progress:finish()
      return nil
    end
    return hand_out(snapshot, read(indices, number, first))
  end
end

-- With workers. The loader keeps those that persist, an iterator holds the others.
local function parallel(self, source, progress, is_new)
  local library = require "lampad.utils.data.parallel"
  local workers = self._workers
  if is_new then
    workers = library.Workers(self, progress.base_seed)
    if self.persistent_workers then self._workers = workers end
  end
  -- The first tasks are drawn from the sampler, which may be the program's.
  local failed = not self.persistent_workers
  local _ <close> = setmetatable({}, { __close = function()
    if failed then workers:close() end
  end })
  local iterator = library.Iterator(self, workers, not is_new and progress.base_seed or nil, source, progress)
  failed = false
  local closer = setmetatable({}, { __close = function() iterator:close() end, __name = "DataLoader iteration" })
  return function() return iterator:next() end, nil, nil, closer
end

-- Workers that persist go on with base seeds that follow from the first: a step of Knuth's linear congruential generator.
local function next_seed(seed) return (seed * 6364136223846793005 + 1442695040888963407) & math.maxinteger end

--- An iterator over the batches, each as the values collate_fn returns. A new call starts a new epoch. With workers a
--- `for` loop that ends early ends them too (Lua closes the fourth value); so does the collector when the iterator is
--- dropped.
function DataLoader:iter()
  if self.num_workers == 0 and self.timeout ~= 0 then fail("timeout needs num_workers > 0, got timeout=%s", text.repr(self.timeout)) end
  local resumed = self._resumed
  self._resumed = nil
  local workers = self._workers
  local is_new = not workers or workers:is_closed()
  local base_seed
  if resumed then
    base_seed = resumed.base_seed
  elseif is_new then
    base_seed = torch.empty({}, { dtype = torch.int64 }):random_(args.drawing(self.generator)):item()
  else
    base_seed = next_seed(self._base_seed)
  end
  self._base_seed = base_seed
  local progress = Progress(self, base_seed)
  self._progress = progress
  local source = make_source(self, resumed)
  if resumed and not self._iterable then
    progress.batches, progress.samples, progress.sampler = resumed.batches, resumed.samples, resumed.sampler
  end
  local skip = resumed and self._iterable and resumed.batches or 0
  local next_batch, a, b, closer
  if self.num_workers == 0 then next_batch = serial(self, source, progress)
  else next_batch, a, b, closer = parallel(self, source, progress, is_new) end
  if skip == 0 then
    if closer then return next_batch, a, b, closer end
    return next_batch
  end
  -- What is left of a stream is known only by reading what came before.
  local function resume_stream()
    while skip > 0 do
      skip = skip - 1
      if next_batch() == nil then return nil end
    end
    return next_batch()
  end
  if closer then return resume_stream, a, b, closer end
  return resume_stream
end

return { DataLoader = DataLoader }
