-- Datasets, samplers, DataLoader: PyTorch's orders for a seed, collation, errors.
local torch = require "lampad"
local data = torch.utils.data
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/libs.lua").loaders

local function order(loader)
  local result = {}
  for batch in loader:iter() do result[#result + 1] = batch:tolist() end
  return result
end

local function collect(iterator)
  local list = {}
  for i in iterator do list[#list + 1] = i end
  return list
end

-- The same numbers as a dataset without getbatch: the slow path.
local Numbers = data.Dataset:extend "Numbers"
function Numbers:init(n) self.n = n end
function Numbers:len() return self.n end
function Numbers:getitem(i) return torch.tensor(i) end

for name, make in pairs {
  ["whole batches"] = function() return data.TensorDataset(torch.arange(10)) end,
  ["single items"] = function() return Numbers(10) end,
} do
  describe("DataLoader order by " .. name, function()
    it("is PyTorch's for a seed, epoch after epoch", function()
      torch.manual_seed(6)
      local loader = data.DataLoader(make(), { batch_size = 4, shuffle = true })
      assert.same(golden.shuffle, { order(loader), order(loader) })
      local after = torch.rand(2):tolist()
      assert.same(golden.after, after)
    end)

    it("drops the last batch", function()
      torch.manual_seed(6)
      local loader = data.DataLoader(make(), { batch_size = 4, shuffle = true, drop_last = true })
      assert.equal(2, #loader)
      assert.same(golden.drop_last, order(loader))
    end)

    it("draws from a generator of the user", function()
      torch.manual_seed(6)
      local g = torch.Generator()
      g:manual_seed(7)
      local loader = data.DataLoader(make(), { batch_size = 3, shuffle = true, generator = g })
      assert.same(golden.generator, { order(loader), order(loader) })
    end)
  end)
end

describe("samplers", function()
  it("give PyTorch's orders", function()
    torch.manual_seed(8)
    local ten = data.TensorDataset(torch.arange(10))
    assert.same(golden.replacement, collect(data.RandomSampler(ten, { replacement = true, num_samples = 40 }):iter()))
    torch.manual_seed(8)
    assert.same(golden.num_samples, collect(data.RandomSampler(ten, { num_samples = 13 }):iter()))
    torch.manual_seed(8)
    assert.same(golden.subset, collect(data.SubsetRandomSampler({ 3, 5, 7, 9, 11 }):iter()))
    assert.same({ 0, 1, 2 }, collect(data.SequentialSampler({ 7, 8, 9 }):iter()))
  end)

  it("make batches", function()
    local function batches(drop_last)
      local sampler = data.BatchSampler(data.SequentialSampler { 1, 2, 3, 4, 5 }, 2, drop_last)
      return collect(sampler:iter()), #sampler
    end
    local list, count = batches(false)
    assert.same({ { 0, 1 }, { 2, 3 }, { 4 } }, list)
    assert.equal(3, count)
    list, count = batches(true)
    assert.same({ { 0, 1 }, { 2, 3 } }, list)
    assert.equal(2, count)
  end)
end)

describe("datasets", function()
  it("split at random as PyTorch", function()
    local ten = data.TensorDataset(torch.arange(10))
    torch.manual_seed(9)
    local parts = data.random_split(ten, { 6, 4 })
    assert.same(golden.split, { parts[1].indices, parts[2].indices })
    torch.manual_seed(9)
    parts = data.random_split(ten, { 0.5, 0.25, 0.25 })
    assert.same(golden.fractions, { parts[1].indices, parts[2].indices, parts[3].indices })
    assert.error_matches(function() data.random_split(ten, { 6, 5 }) end, "Sum of input lengths %(11%)")
  end)

  it("answer to integers and #", function()
    local ds = data.TensorDataset(torch.arange(4), torch.arange(4) * 10)
    assert.equal(4, #ds)
    local a, b = ds:getitem(2)
    assert.same({ 2, 20 }, { a:item(), b:item() })
    assert.equal(3, ds[-1]:item())
    local subset = data.Subset(ds, { 3, 1 })
    assert.equal(2, #subset)
    assert.equal(1, subset[1]:item())
    local both = subset + ds
    assert.equal(6, #both)
    assert.equal(3, both[0]:item())
    assert.equal(0, both[2]:item())
    assert.equal(3, both[-1]:item())
    assert.error_matches(function() return both[6] end, "index 6 is out of range for a dataset of 6 items")
    local x, y = data.DataLoader(subset, { batch_size = 2 }):iter()()
    assert.same({ { 3, 1 }, { 30, 10 } }, { x:tolist(), y:tolist() })
  end)

  it("stack and chain", function()
    local a, b = data.TensorDataset(torch.arange(3), torch.arange(3) * 2), { "x", "y", "z" }
    local both = data.StackDataset(a, b)
    assert.equal(3, #both)
    assert.same({ 1, "y" }, { both:getitem(1):item(), select(2, both:getitem(1)) })
    local named = data.StackDataset { number = a, letter = b }
    assert.same({ 2, "z" }, { named[2].number:item(), named[2].letter })
    local batch = data.DataLoader(named, { batch_size = 3 }):iter()()
    assert.same({ { 0, 1, 2 }, { "x", "y", "z" } }, { batch.number:tolist(), batch.letter })
    assert.error_matches(function() data.StackDataset(a, { 1 }) end, "Size mismatch between datasets")
    assert.error_matches(function() data.StackDataset() end, "At least one dataset")

    local Count = data.IterableDataset:extend "Count"
    function Count:init(n) self.n = n end
    function Count:len() return self.n end
    function Count:iter()
      local i = 0
      return function()
        i = i + 1
        if i <= self.n then return i, -i end
      end
    end
    local chain = Count(2) + Count(0) + data.ChainDataset { Count(1) }
    assert.equal(3, #chain)
    local list = {}
    for i, j in chain:iter() do list[#list + 1] = { i, j } end
    assert.same({ { 1, -1 }, { 2, -2 }, { 1, -1 } }, list)
    assert.error_matches(function() data.ChainDataset({ a }):iter()() end, "only supports IterableDataset")
    assert.error_matches(function() data.ConcatDataset { Count(1) } end, "does not support IterableDataset")
  end)

  it("give all values of an item through subsets and sums", function()
    local ds = data.TensorDataset(torch.arange(4), torch.arange(4) * 10)
    local both = data.ConcatDataset { data.Subset(ds, { 3, 1 }), ds }
    local x, y = both:getitem(0)
    assert.same({ 3, 30 }, { x:item(), y:item() })
    assert.same({ 2, 20 }, { both:getitem(-2):item(), (select(2, both:getitem(-2))):item() })
  end)

  it("may read several items at once", function()
    local Rows = data.Dataset:extend "Rows"
    function Rows.len() return 5 end
    function Rows:getitems(indices)
      self.asked = indices
      local items = {}
      for k, i in ipairs(indices) do items[k] = table.pack(torch.tensor(i), "row " .. i) end
      return items
    end
    local rows = Rows()
    local x, text = data.DataLoader(rows, { batch_size = 2 }):iter()()
    assert.same({ { 0, 1 }, { "row 0", "row 1" } }, { x:tolist(), text })
    local part = data.Subset(rows, { 4, 2, 0 })
    x, text = data.DataLoader(part, { batch_size = 3 }):iter()()
    assert.same({ { 4, 2, 0 }, { "row 4", "row 2", "row 0" } }, { x:tolist(), text })
    assert.same({ 4, 2, 0 }, rows.asked)
  end)

  it("say what is wrong", function()
    assert.error_matches(function() data.TensorDataset(torch.zeros(2), torch.zeros(3)) end, "Size mismatch between tensors")
    assert.error_matches(function() data.TensorDataset(torch.tensor(1)) end, "0%-d tensor")
    local Empty = data.Dataset:extend "Empty"
    assert.error_matches(function() return #Empty() end, "Empty does not define len%(%)")
  end)
end)

describe("default_collate", function()
  local function batch(items) return data.DataLoader(items, { batch_size = #items }):iter()() end

  it("stacks, and makes tensors of numbers", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, batch({ torch.tensor { 1, 2 }, torch.tensor { 3, 4 } }):tolist())
    assert.equal(torch.int64, batch({ 1, 2 }).dtype)
    assert.equal(torch.float64, batch({ 1.5, 2.5 }).dtype)
    assert.equal(torch.bool, batch({ true, false }).dtype)
    assert.same({ "a", "b" }, batch { "a", "b" })
    local t = batch { { x = 1, name = "a" }, { x = 2, name = "b" } }
    assert.same({ 1, 2 }, t.x:tolist())
    assert.same({ "a", "b" }, t.name)
    t = batch { { 1, { 2.5, "a" } }, { 3, { 4.5, "b" } } }
    assert.same({ { 1, 3 }, { 2.5, 4.5 }, { "a", "b" } }, { t[1]:tolist(), t[2][1]:tolist(), t[2][2] })
    assert.equal(torch.float32, batch({ 1, 2.5 }).dtype) -- as torch.tensor; the first says what they are
    local ordered = require "lampad.ordered_dict"
    t = batch { ordered { b = 1, a = 2 }, ordered { b = 3, a = 4 } }
    assert.is_true(ordered.is(t))
    assert.same({ { 2, 4 }, { 1, 3 } }, { t.a:tolist(), t.b:tolist() })
  end)

  it("keeps several values apart", function()
    local Pairs = data.Dataset:extend "Pairs"
    function Pairs:len() return 5 end
    function Pairs:getitem(i) return torch.ones(2) * i, i % 2, "item " .. i end
    local seen = {}
    for x, y, name in data.DataLoader(Pairs(), { batch_size = 2 }):iter() do
      seen[#seen + 1] = { x:size(0), y:tolist(), name }
    end
    assert.same({ { 2, { 0, 1 }, { "item 0", "item 1" } }, { 2, { 0, 1 }, { "item 2", "item 3" } },
      { 1, { 0 }, { "item 4" } } }, seen)
  end)

  it("names the item that does not fit", function()
    assert.error_matches(function() batch { torch.zeros(2), torch.zeros(3) } end,
      "torch.Size%(%[2%]%) at item 0 and torch.Size%(%[3%]%) at item 1")
    assert.error_matches(function() batch { print } end, "found function")
    assert.error_matches(function() batch { { 1, 2 }, { 1, 2, 3 } } end, "each element in list of batch should be of equal size")
    assert.error_matches(function() batch { { a = 1 }, { b = 1 } } end, "item 1 of the batch has no entry 'a'")
  end)
end)

describe("DataLoader", function()
  it("uses collate_fn, no batching, and iterable datasets", function()
    local loader = data.DataLoader({ 1, 2, 3 }, { batch_size = 2, collate_fn = function(items) return #items end })
    assert.same({ 2, 1 }, collect(loader:iter()))
    loader = data.DataLoader({ 5, 6 }, { batch_size = false })
    assert.same({ 5, 6 }, collect(loader:iter()))
    local Stream = data.IterableDataset:extend "Stream"
    function Stream.iter()
      local i = 0
      return function()
        i = i + 1
        if i <= 5 then return i end
      end
    end
    loader = data.DataLoader(Stream(), { batch_size = 2 })
    assert.same({ { 1, 2 }, { 3, 4 }, { 5 } }, order(loader))
  end)

  it("says what is wrong", function()
    local ds = data.TensorDataset(torch.arange(3))
    local Empty = data.IterableDataset:extend "Empty"
    assert.error_matches(function() data.DataLoader(Empty(), { shuffle = true }) end, "expected unspecified shuffle option")
    assert.error_matches(function() data.DataLoader(Empty(), { sampler = { 1 } }) end, "expected unspecified sampler option")
    assert.error_matches(function() data.DataLoader(5) end, "dataset must be a Dataset")
    assert.equal(data.SubsetRandomSampler, data.sampler.SubsetRandomSampler)
    assert.equal(data.DistributedSampler, data.distributed.DistributedSampler)
    assert.error_matches(function() data.DistributedSampler({ 1 }, 2, 2) end, "Invalid rank 2")
    assert.error_matches(function() data.WeightedRandomSampler({ 1 }, 0) end, "num_samples should be a positive integer value")
    assert.error_matches(function() data.WeightedRandomSampler({ { 1 } }, 1) end, "weights should be a 1d sequence")
    assert.error_matches(function() data.random_split({ 1, 2 }, { 0.5, 1.5 }) end, "length 0 must be a non%-negative integer")
    local wrong = {
      { { num_workers = -1 }, "non%-negative" }, { { prefetch_factor = 2 }, "num_workers > 0" },
      { { persistent_workers = true }, "needs num_workers > 0" }, { { timeout = -1 }, "non%-negative" },
      { { batch_size = 0 }, "positive integer value" },
      { { shuffle = true, sampler = {} }, "mutually exclusive with shuffle" },
      { { batch_size = false, drop_last = true }, "disables auto%-batching" },
      { { batchsize = 2 }, "did you mean 'batch_size'" },
    }
    for _, row in ipairs(wrong) do
      assert.error_matches(function() data.DataLoader(ds, row[1]) end, row[2])
    end
  end)
end)
