-- torch.utils.data beside PyTorch: orders of samplers, and what workers draw from PyTorch's streams.
local torch = require "lampad"
local data = torch.utils.data
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/data.lua")

local function collect(iterator)
  local list = {}
  for i in iterator do list[#list + 1] = i end
  return list
end

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i - 1 end
  return list
end

local function seeded(seed) return torch.Generator():manual_seed(seed) end

local Draws = data.Dataset:extend "Draws"
function Draws:init(n) self.n = n end
function Draws:len() return self.n end
function Draws.getitem(_, i) return torch.rand(2), i end

local Stream = data.IterableDataset:extend "Stream"
function Stream:init(n) self.n = n end
function Stream:iter()
  local info = data.get_worker_info()
  local i, step = info and info.id or 0, info and info.num_workers or 1
  i = i - step
  return function()
    i = i + step
    if i < self.n then return torch.rand(1), i end
  end
end

local function batches(loader)
  local list = {}
  for x, i in loader:iter() do list[#list + 1] = { x:double():reshape(-1):tolist(), i:tolist() } end
  return list
end

local function orders(loader, epochs)
  local list = {}
  for epoch = 1, epochs do
    list[epoch] = {}
    for batch in loader:iter() do list[epoch][#list[epoch] + 1] = batch:tolist() end
  end
  return list
end

describe("samplers beside PyTorch", function()
  it("draw the same, one after the other from one stream", function()
    local ten, weights = range(10), { 0.1, 0.9, 0.4, 0.7, 3.0, 0.6 }
    torch.manual_seed(4)
    assert.same(golden.weighted, collect(data.WeightedRandomSampler(weights, 20):iter()))
    assert.same(golden.weighted_generator, collect(data.WeightedRandomSampler(weights, 20, { generator = seeded(11) }):iter()))
    assert.same(golden.weighted_without, collect(data.WeightedRandomSampler(weights, 5, false):iter()))
    assert.same(golden.subset_generator, collect(data.SubsetRandomSampler({ 3, 5, 7, 9, 11 }, { generator = seeded(11) }):iter()))
    assert.same(golden.random_generator, collect(data.RandomSampler(ten, { generator = seeded(11) }):iter()))
    assert.same(golden.random_more, collect(data.RandomSampler(ten, { num_samples = 23, generator = seeded(11) }):iter()))
    assert.same(golden.random_with, collect(data.RandomSampler(ten, { replacement = true, num_samples = 70 }):iter()))
    assert.same(golden.batches, collect(data.BatchSampler(data.RandomSampler(ten), 4, false):iter()))
  end)

  it("share an epoch between processes", function()
    for _, row in ipairs(golden.distributed) do
      local n, replicas, rank, shuffle, seed, drop_last, epoch, order, length = table.unpack(row)
      local sampler = data.DistributedSampler(range(n), replicas, rank, shuffle, seed, drop_last)
      sampler:set_epoch(epoch)
      assert.same(order, collect(sampler:iter()))
      assert.equal(length, #sampler)
    end
  end)

  it("split at random", function()
    torch.manual_seed(5)
    local function indices(parts)
      local list = {}
      for i, part in ipairs(parts) do list[i] = part.indices end
      return list
    end
    assert.same(golden.split, indices(data.random_split(range(11), { 0.5, 0.3, 0.2 })))
    assert.same(golden.split_generator, indices(data.random_split(range(7), { 3, 4 }, { generator = seeded(2) })))
  end)
end)

describe("loaders beside PyTorch", function()
  for workers = 0, 3 do
    it(("draw from PyTorch's streams with %d workers and sample_seeds = false"):format(workers), function()
      torch.manual_seed(6)
      local options = { batch_size = 3, shuffle = true, num_workers = workers, sample_seeds = false }
      local loader = data.DataLoader(Draws(10), options)
      assert.same(golden["draws_" .. workers], { batches(loader), batches(loader), torch.rand(2):double():tolist() })
      torch.manual_seed(7)
      loader = data.DataLoader(Stream(11), { batch_size = 2, num_workers = workers, sample_seeds = false })
      assert.same(golden["stream_" .. workers], batches(loader))
    end)
  end

  it("give the same order, and leave the generator as PyTorch's, with workers too", function()
    for _, workers in ipairs { 1, 2 } do
      torch.manual_seed(6)
      local loader = data.DataLoader(Draws(10), { batch_size = 3, shuffle = true, num_workers = workers })
      for epoch = 1, 2 do
        for k, batch in ipairs(batches(loader)) do assert.same(golden["draws_" .. workers][epoch][k][2], batch[2]) end
      end
      assert.same(golden["draws_" .. workers][3], torch.rand(2):double():tolist())
    end
  end)

  it("keep workers over epochs", function()
    torch.manual_seed(8)
    local loader = data.DataLoader(torch.arange(10), { batch_size = 4, shuffle = true, num_workers = 2, persistent_workers = true })
    assert.same(golden.persistent, orders(loader, 3))
    assert.same(golden.persistent_after, torch.rand(2):double():tolist())
  end)

  it("draw ahead of the program with workers, and as late as it without", function()
    for name, workers in pairs { ahead = 2, lazy = 0 } do
      torch.manual_seed(9)
      local next_batch = data.DataLoader(torch.arange(10), { batch_size = 4, shuffle = true, num_workers = workers }):iter()
      local between = torch.rand(1):double():tolist()
      local list = {}
      for batch in next_batch do list[#list + 1] = batch:tolist() end
      assert.same(golden[name], { between, list })
    end
  end)

  it("tell a worker who it is", function()
    local Seeds = data.Dataset:extend "Seeds"
    function Seeds.len() return 4 end
    function Seeds.getitem()
      local info = data.get_worker_info()
      return torch.tensor { info.id, info.num_workers, info.seed }
    end
    torch.manual_seed(10)
    local list = {}
    for batch in data.DataLoader(Seeds(), { num_workers = 2 }):iter() do list[#list + 1] = batch:reshape(-1):tolist() end
    assert.same(golden.info, list)
    assert.is_nil(data.get_worker_info())
  end)
end)
