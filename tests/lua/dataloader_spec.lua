-- DataLoader with workers: what crosses to them and back, independence of their number, resuming, and what happens
-- when something fails.
local torch = require "lampad"
local core = require "lampad.core"
local class = require "lampad.class"
local nn = torch.nn
local data = torch.utils.data
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local command = dofile(here .. "/command.lua")

local function dataset(getitem, n, fields)
  local Made = data.Dataset:extend "Made"
  function Made.len() return n or 10 end
  Made.getitem = getitem
  local made = Made()
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local function item(_, i) return torch.rand(1):item() + i, i, math.random(1000) end

-- Every batch as text: numbers to the last bit.
local function texts(iterator, limit)
  local list = {}
  for x, i, r in iterator do
    if type(x) == "number" then x, i, r = torch.tensor { x }, torch.tensor { i }, torch.tensor { r } end
    list[#list + 1] = ("%s %s %s"):format(table.concat(x:tolist(), ","), table.concat(i:tolist(), ","),
      r and table.concat(r:tolist(), ",") or "")
    if #list == limit then break end
  end
  return list
end

local function close(closer)
  if closer then getmetatable(closer).__close(closer) end
end

-- Waits for dropped loaders; the number of workers that are left.
local function workers_left()
  collectgarbage()
  collectgarbage()
  return core.live_workers()
end

local function threads()
  for line in io.lines "/proc/self/status" do
    local n = line:match "^Threads:%s+(%d+)"
    if n then return tonumber(n) end
  end
end

before_each(workers_left) -- other tests, of other files too, drop loaders

describe("the number of workers", function()
  it("does not change what random transforms give", function()
    local expected
    for _, workers in ipairs { 0, 1, 2, 5 } do
      torch.manual_seed(0)
      local loader = data.DataLoader(dataset(item, 23), { batch_size = 4, shuffle = true, num_workers = workers })
      local got = { texts(loader:iter()), texts(loader:iter()), { torch.rand(1):item() } }
      expected = expected or got
      assert.same(expected, got)
    end
    assert.not_same(expected[1], expected[2])
    assert.equal(0, core.live_workers())
  end)

  it("does not change what a collate_fn draws, nor the program's math.random", function()
    local function mix(items)
      local x = torch.tensor { items[1][1], items[#items][1] }
      return x * torch.rand(1), torch.tensor { math.random(1 << 40) }
    end
    local expected
    for _, workers in ipairs { 0, 2 } do
      torch.manual_seed(0)
      math.randomseed(5)
      local loader = data.DataLoader(dataset(item, 9), { batch_size = 2, num_workers = workers, collate_fn = mix })
      local got = { texts(loader:iter()), math.random(1 << 40) }
      expected = expected or got
      assert.same(expected, got)
    end
    math.randomseed(5)
    assert.equal(math.random(1 << 40), expected[2])
  end)

  it("does not change whole batches, other samplers, or no batching", function()
    local tensors = data.TensorDataset(torch.arange(20), torch.arange(20) * 2)
    local weights = torch.rand(20, { generator = torch.Generator() })
    for _, options in ipairs {
      { batch_size = 6, shuffle = true }, { batch_size = 6, drop_last = true },
      { sampler = data.WeightedRandomSampler(weights, 7), batch_size = 2 },
      { batch_sampler = { { 3, 1 }, { 0 } } }, { sampler = { 5, -1 }, batch_size = 2 },
    } do
      local expected
      for _, workers in ipairs { 0, 2 } do
        torch.manual_seed(1)
        options.num_workers = workers
        local got = texts(data.DataLoader(tensors, options):iter())
        expected = expected or got
        assert.same(expected, got)
      end
    end
    for _, workers in ipairs { 0, 2 } do
      local list = {}
      for x, i in data.DataLoader(dataset(function(_, i) return "item " .. i, i end, 3), { batch_size = false,
        num_workers = workers }):iter() do list[#list + 1] = { x, i } end
      assert.same({ { "item 0", 0 }, { "item 1", 1 }, { "item 2", 2 } }, list)
    end
  end)

  it("is 1 or none the same to a stream", function()
    local Stream = data.IterableDataset:extend "Stream"
    function Stream.iter()
      local i = 0
      return function()
        i = i + 1
        if i <= 7 then return torch.rand(1):item(), i end
      end
    end
    local expected
    for _, workers in ipairs { 0, 1 } do
      torch.manual_seed(3)
      local got = texts(data.DataLoader(Stream(), { batch_size = 2, num_workers = workers }):iter())
      expected = expected or got
      assert.same(expected, got)
    end
    assert.equal(4, #expected)
    -- Without sharing, each worker reads all of it.
    assert.equal(12, #texts(data.DataLoader(Stream(), { batch_size = 2, num_workers = 3 }):iter()))
  end)
end)

describe("what crosses to a worker", function()
  it("keeps sharing, cycles, types and marks", function()
    local shared = { 1, 2 }
    local x = torch.arange(4)
    x.tag = "tagged"
    local fields = {
      a = shared, b = shared, x = x, size = torch.Size { 1, 2 }, dtype = torch.float16, device = torch.device "cpu",
      format = torch.channels_last, complex = 1 + 2 * torch.j, parameter = nn.Parameter(torch.ones(2)),
      buffer = nn.Buffer(torch.ones(2), { persistent = false }), out = io.stdout, huge = math.huge, least = math.mininteger,
      generator = torch.Generator():manual_seed(3), net = nn.Sequential(nn.Linear(2, 3), nn.ReLU()),
      ordered = require "lampad.ordered_dict" { z = 1, a = 2 }, text = ("\0\n"):rep(300), layout = torch.strided,
    }
    fields.itself = fields
    local weights = fields.net[0].weight
    local ds = dataset(function(self, i)
      local checks = {
        rawequal(self.a, self.b), rawequal(self.itself.itself, self.itself), self.size == torch.Size { 1, 2 },
        self.dtype == torch.float16, tostring(self.device) == "cpu", self.format == torch.channels_last,
        self.complex == 1 + 2 * torch.j, torch.isinstance(self.parameter, nn.Parameter) and self.parameter.requires_grad,
        torch.isinstance(self.buffer, nn.Buffer), self.out == io.stdout, self.huge == math.huge, self.layout == torch.strided,
        self.least == math.mininteger, self.generator:initial_seed() == 3, self.x.tag == "tagged",
        #self.ordered == 2 and self.ordered.z == 1, self.text == ("\0\n"):rep(300), self:isinstance(data.Dataset),
        tostring(self.net):find("Linear(in_features=2", 1, true) ~= nil,
      }
      for k = 1, 19 do
        if not checks[k] then error("check " .. k) end
      end
      self.x[i] = 10 * i -- the program's memory
      return self.net(torch.ones(2)):detach()
    end, 4, fields)
    local y
    for batch in data.DataLoader(ds, { num_workers = 2, batch_size = 2 }):iter() do y = batch end
    assert.same({ 0, 10, 20, 30 }, x:tolist())
    assert.is_true(torch.equal(fields.net(torch.ones(2)):detach(), y[1]))
    assert.is_true(weights.requires_grad)
  end)

  it("are functions with their upvalues, shared ones shared", function()
    local count = 0
    local function bump() count = count + 1 end
    local function peek() return count end
    local function factorial(n) return n <= 1 and 1 or n * factorial(n - 1) end
    local ds = dataset(function(_, i)
      bump()
      return peek(), factorial(i)
    end, 4)
    local seen = {}
    for a, b in data.DataLoader(ds, { num_workers = 1, batch_size = 4 }):iter() do seen = { a:tolist(), b:tolist() } end
    assert.same({ { 1, 2, 3, 4 }, { 1, 1, 2, 6 } }, seen)
    assert.equal(0, count)
  end)

  it("are the globals that functions use, and predefined modules", function()
    helper_of_the_test = function(x) return x + offset_of_the_test end -- luacheck: ignore
    offset_of_the_test = 100 -- luacheck: ignore 111
    local ds = dataset(function(_, i)
      local function inner() return helper_of_the_test(i) end -- luacheck: ignore 113
      return inner()
    end, 3)
    local got
    for x in data.DataLoader(ds, { num_workers = 1, batch_size = 3 }):iter() do got = x:tolist() end
    helper_of_the_test, offset_of_the_test = nil, nil -- luacheck: ignore 111
    assert.same({ 100, 101, 102 }, got)
  end)

  it("are modules of the program with what is in them, and classes that come back as they were", function()
    local module = { counter = 7 }
    package.loaded["a_module_of_the_test"] = module
    local Box = class.extend(class.Object, "Box")
    function Box:init(v) self.v = v end
    function Box:__tostring() return "Box " .. self.v end
    nn.OfTheProgram = Box -- in a table of the library, but not of it
    local ds = dataset(function(_, i)
      if require "a_module_of_the_test" ~= module or module.counter ~= 7 then error "another module" end
      return Box(i), { i, name = "n" .. i }
    end, 3)
    local list = {}
    local loader = data.DataLoader(ds, { num_workers = 2, collate_fn = function(items) return items[1][1], items[1][2], Box, Box end })
    for box, t, a, b in loader:iter() do
      assert.equal(Box, a)
      assert.equal(Box, b)
      assert.is_true(class.isinstance(box, Box))
      list[#list + 1] = { tostring(box), t[1], t.name }
    end
    package.loaded["a_module_of_the_test"], nn.OfTheProgram = nil, nil
    assert.same({ { "Box 0", 0, "n0" }, { "Box 1", 1, "n1" }, { "Box 2", 2, "n2" } }, list)
  end)

  it("is found there by its name when the library made it", function()
    -- In a process of its own: other specs put functions of theirs in places of the library.
    local folder = command.new_folder()
    command.write(folder .. "/script.lua", [[
      local crossing, data = require "lampad.crossing", torch.utils.data
      local _ = { nn.Linear, nn.LSTM, optim.SGD, data.RandomSampler, vision.transforms }
      torch.unique(torch.ones(2)) -- its file replaces members of torch and of the core
      local names = {}
      for value, name in pairs(crossing.names()) do
        if name then
          assert(rawequal(value, crossing.find(name)), name)
          names[#names + 1] = { name, type(value), type(value) == "function" and debug.getinfo(value, "S").linedefined }
        end
      end
      assert(#names > 1000)
      -- What is in the core is asked for first, before names in other files have loaded those.
      local function key(row) return (row[1]:match "^lampad%.core\0" and "0" or "1") .. row[1] end
      table.sort(names, function(a, b) return key(a) < key(b) end)
      local Names = data.Dataset:extend "Names"
      function Names:init(names) self.names = names end
      function Names:len() return 1 end
      function Names:getitem()
        local other = {}
        for _, row in ipairs(self.names) do
          local value = crossing.find(row[1])
          if type(value) ~= row[2] or (row[3] and debug.getinfo(value, "S").linedefined ~= row[3]) then
            other[#other + 1] = crossing.describe(row[1])
          end
        end
        return other
      end
      local loader = data.DataLoader(Names(names), { num_workers = 1, collate_fn = function(items) return items[1] end })
      for other in loader:iter() do print(table.concat(other, " ")) end
    ]])
    local status, out, err = command.run { folder .. "/script.lua" }
    assert.same({ 0, "os.exit\n", "" }, { status, out, err })
    command.clean()
  end)

  it("is what __reduce__ makes again", function()
    local opened = { __name = "handle" }
    local function open(path, times) return setmetatable({ path = path, times = times or 1, co = coroutine.create(print) }, opened) end
    function opened.__reduce__(self) return open, self.path, self.times + 1 end
    local ds = dataset(function(self) return self.handle.path .. self.handle.times end, 2, { handle = open "a.db" })
    local got
    for x in data.DataLoader(ds, { num_workers = 1, batch_size = 2 }):iter() do got = x end
    assert.same({ "a.db2", "a.db2" }, got)
  end)

  it("is refused by its name and place when it cannot", function()
    local co = coroutine.create(print)
    local file = io.tmpfile()
    local w = torch.ones(2, { requires_grad = true }) * 2
    local freed = torch.ones(2)
    freed:free()
    local function refused(fields, pattern, getitem)
      assert.error_matches(function() data.DataLoader(dataset(getitem or item, 4, fields), { num_workers = 2 }):iter() end, pattern)
    end
    refused({ a = { b = { 1, co } } }, "dataset%.a%.b%[2%]: a coroutine cannot cross")
    refused({ a = { handle = file } }, "dataset%.a%.handle: an open file cannot cross")
    refused({ w = w }, "dataset%.w: .*non%-leaf tensor which requires_grad")
    refused({ t = freed }, "dataset%.t: .*freed")
    refused({ transform = function() return co end }, "dataset%.transform, upvalue 'co': a coroutine")
    refused({}, "class%.getitem, upvalue 'file': an open file", function() return file end)
    file:close()
    assert.equal(0, workers_left())
  end)

  it("is not what a worker has for itself: threads, generator, grad mode", function()
    local n = torch.get_num_threads()
    local ds = dataset(function()
      local before = torch.get_num_threads()
      torch.set_num_threads(3)
      torch.manual_seed(5)
      torch.set_grad_enabled(false)
      return before, torch.get_num_threads(), torch.rand(1):item()
    end, 2)
    local next_batch = data.DataLoader(ds, { num_workers = 1, batch_size = 2 }):iter()
    local state = torch.get_rng_state()
    local a, b, c = next_batch()
    assert.same({ { 1, 3 }, { 3, 3 } }, { a:tolist(), b:tolist() })
    assert.equal(c[0]:item(), c[1]:item())
    assert.is_true(torch.is_grad_enabled())
    assert.equal(n, torch.get_num_threads())
    assert.is_true(torch.equal(state, torch.get_rng_state()))
    next_batch()
  end)

  it("comes back without a copy, and only what can", function()
    local ds = dataset(function() return torch.rand(3) end, 4)
    for x in data.DataLoader(ds, { num_workers = 1, batch_size = 2 }):iter() do
      assert.equal(torch.Size { 2, 3 }, x.shape)
      x:add_(1)
    end
    local loader = data.DataLoader(ds, { num_workers = 1, collate_fn = function() return { coroutine.create(print) } end })
    assert.error_matches(function() loader:iter()() end, "the batch.s value 1%[1%]: a coroutine cannot cross")
  end)
end)

describe("a loader that fails in a worker", function()
  it("says what, where and for which sample, soon, and leaves no thread", function()
    workers_left()
    local before = threads()
    local begin_s = core.now()
    local ok, err = pcall(function()
      local ds = dataset(function(_, i)
        if i == 5 then error "no such image" end
        return i
      end)
      for _ in data.DataLoader(ds, { num_workers = 2, batch_size = 2 }):iter() do end -- luacheck: ignore 542
    end)
    assert.is_false(ok)
    assert.is_true(core.now() - begin_s < 1)
    assert.is_truthy(err:find "^.*dataloader_spec.lua:%d+: no such image\nin DataLoader worker %d, sample 5 of the dataset, batch 2:")
    assert.is_truthy(err:find("dataloader_spec.lua:%d+: in function", 1))
    assert.equal(0, core.live_workers())
    assert.is_true(threads() <= before)
  end)

  it("keeps the errors of ops, samplers, collate_fn and worker_init_fn apart", function()
    local function fails(pattern, ds, options)
      options.num_workers = 2
      local ok, err = pcall(function()
        for _ in data.DataLoader(ds, options):iter() do end -- luacheck: ignore 542
      end)
      assert.is_false(ok)
      assert.is_truthy(err:find(pattern), err)
      assert.equal(0, workers_left())
    end
    fails("matmul: shapes %[2%] and %[3%].*sample 0 of the dataset", dataset(function() return torch.zeros(2):matmul(torch.zeros(3)) end), {})
    fails("out of memory on cpu.*sample 0", dataset(function() return torch.zeros(1 << 45) end), {})
    fails("string too large.*sample 0", dataset(function() return ("x"):rep(1 << 60) end), {})
    fails("index 7 is out of range for a list of 3 items.*sample 7", { 1, 2, 3 }, { sampler = { 0, 7 } })
    fails("index 7 is out of bounds.*sample 7", data.TensorDataset(torch.arange(3)), { sampler = { 7 }, batch_size = 2 })
    fails("sampler broke", { 1, 2 }, { sampler = function() error "sampler broke" end })
    fails("collate broke.*batch 0", { 1, 2 }, { collate_fn = function() error "collate broke" end })
    fails("init 0", { 1, 2 }, { worker_init_fn = function(id) error("init " .. id) end })
    fails("gave nil for item 0", dataset(function() end), {})
    fails("equal size.*%[1%].*%[2%]", dataset(function(_, i) return torch.zeros(i + 1) end), { batch_size = 2 })
    fails("os.exit was called in a DataLoader worker", dataset(function() os.exit(3) end), {})
  end)

  it("hands on an error that is an object, and goes on after an error", function()
    local ds = dataset(function(_, i)
      if i == 1 then error { code = 5 } end
      return i
    end, 3)
    local next_batch, _, _, closer = data.DataLoader(ds, { num_workers = 1 }):iter()
    assert.equal(0, next_batch():item())
    local ok, err = pcall(next_batch)
    assert.is_false(ok)
    assert.equal(5, err.code)
    assert.equal(2, next_batch():item())
    assert.is_nil(next_batch())
    close(closer)
  end)

  it("survives the program's running out of memory at any point", function()
    local ds = dataset(function(self, i) return self.x[i], torch.rand(3) end, 4, { x = torch.arange(4), y = torch.rand(5) })
    local failures = 0
    for n = 0, 40 do
      local loader = data.DataLoader(ds, { num_workers = 1, batch_size = 2, shuffle = true })
      core.memory_fail_after(n)
      local ok, err = pcall(function()
        for _ in loader:iter() do end -- luacheck: ignore 542
      end)
      core.memory_fail_after(-1)
      if not ok then
        failures = failures + 1
        assert.is_truthy(tostring(err):find "memory", tostring(err))
      end
      assert.equal(0, core.live_workers())
    end
    assert.is_true(failures > 3)
  end)

  it("says so when nothing comes in time, and can end any worker", function()
    local loops = {
      function() core.sleep(30) end,
      function() while true do pcall(function() while true do end end) end end, -- luacheck: ignore 542
      function() return coroutine.wrap(function() while true do end end)() end, -- luacheck: ignore 542
      function() while true do torch.zeros(100, 100):sum() end end,
    }
    for _, loop in ipairs(loops) do
      local begin_s = core.now()
      local loader = data.DataLoader(dataset(loop), { num_workers = 2, timeout = 0.1 })
      assert.error_matches(function()
        for _ in loader:iter() do end -- luacheck: ignore 542
      end, "timed out after 0.1 seconds")
      assert.equal(0, core.live_workers())
      assert.is_true(core.now() - begin_s < 2)
    end
    assert.error_matches(function() data.DataLoader({ 1 }, { timeout = 1 }):iter() end, "timeout needs num_workers > 0")
  end)

  it("reads nothing from an empty dataset", function()
    for _, workers in ipairs { 0, 2 } do
      assert.same({}, texts(data.DataLoader({}, { num_workers = workers }):iter()))
      assert.error_matches(function() data.DataLoader({}, { num_workers = workers, shuffle = true }) end,
        "num_samples should be a positive integer value, but got num_samples=0")
    end
  end)
end)

describe("the end of a loader", function()
  it("is a break, an error in the loop, or being dropped", function()
    local ds = dataset(item, 100)
    for _ in data.DataLoader(ds, { num_workers = 2 }):iter() do break end -- luacheck: ignore 512
    assert.equal(0, core.live_workers())
    pcall(function()
      for _ in data.DataLoader(ds, { num_workers = 2 }):iter() do error "in the loop" end -- luacheck: ignore 512
    end)
    assert.equal(0, core.live_workers())
    do
      local next_batch = data.DataLoader(ds, { num_workers = 2 }):iter()
      next_batch()
      assert.equal(2, core.live_workers())
    end
    assert.equal(0, workers_left())
  end)

  it("is Ctrl-C, while it waits and while the program computes", function()
    local folder = command.new_folder()
    for _, body in ipairs { "", "while true do end", "while true do torch.zeros(300, 300):sum() end" } do
      command.write(folder .. "/script.lua", [[
        local core = require "lampad.core"
        local Slow = torch.utils.data.Dataset:extend "Slow"
        function Slow.len() return 1000 end
        function Slow.getitem(_, i) core.sleep(i < 2 and 0 or 30) return i end
        local ok, err = pcall(function()
          for _ in torch.utils.data.DataLoader(Slow(), {num_workers = 2}):iter() do ]] .. body .. [[ end
        end)
        print(ok, err:match "interrupted", core.live_workers())
      ]])
      local _, out = command.shell("timeout -k 10 --foreground --preserve-status -s INT 1 " .. command.path .. " "
        .. folder .. "/script.lua")
      assert.equal("false\tinterrupted\t0\n", out)
    end
    command.clean()
  end)

  it("is that of the program, in whichever way", function()
    local script = [[-e 'local data = torch.utils.data
      local Slow = data.Dataset:extend "Slow"
      function Slow.len() return 100 end
      function Slow.getitem(_, i) return torch.rand(100, 100):matmul(torch.rand(100, 100)) end
      local next_batch = data.DataLoader(Slow(), {num_workers = 3, persistent_workers = true}):iter()
      next_batch() ]]
    for ending, expected in pairs { ["os.exit(4)'"] = 4, ["os.exit(5, true)'"] = 5, ["error [[end]]'"] = 1, ["'"] = 0 } do
      local status = command.shell("timeout -k 10 20 " .. command.path .. " " .. script .. ending)
      assert.equal(expected, status)
    end
    command.clean()
  end)

  it("is that of a progress bar round it", function()
    local tqdm = torch.utils.tqdm
    local loader = data.DataLoader(dataset(item, 100), { num_workers = 2 })
    for _ in tqdm(loader, { disable = true }) do break end -- luacheck: ignore 512
    assert.equal(0, core.live_workers())
    local next_batch, _, _, closer = loader:iter()
    for _ in tqdm(next_batch, { disable = true }, nil, closer) do break end -- luacheck: ignore 512
    assert.equal(0, core.live_workers())
  end)

  it("leaves nothing behind, however often", function()
    local before = core.memory_stats().live_bytes
    local ds = dataset(function() return torch.rand(100) end, 8, { x = torch.zeros(1000) })
    for k = 1, 30 do
      local loader = data.DataLoader(ds, { num_workers = 2, batch_size = 2, shuffle = true })
      local next_batch = loader:iter()
      if k % 2 == 0 then next_batch() end
    end
    assert.equal(0, workers_left())
    ds = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.is_true(core.memory_stats().live_bytes <= before + 4096)
  end)

  it("comes with the loader when workers persist", function()
    local loader = data.DataLoader(dataset(item, 12), { num_workers = 2, batch_size = 4, persistent_workers = true, shuffle = true })
    local first = loader:iter()
    first()
    assert.equal(3, #texts(loader:iter()))
    assert.equal(2, core.live_workers())
    assert.error_matches(first, "this one ended when the next began")
    first, loader = nil, nil -- luacheck: ignore 311
    assert.equal(0, workers_left())
  end)
end)

describe("a loader that is resumed", function()
  local kinds = {
    shuffle = function() return { shuffle = true, batch_size = 3 } end,
    sequential = function() return { batch_size = 3 } end,
    generator = function() return { shuffle = true, batch_size = 3, generator = torch.Generator():manual_seed(5) } end,
    weighted = function() return { batch_size = 3, sampler = data.WeightedRandomSampler(torch.rand(20), 17) } end,
    subset = function() return { batch_size = 3, sampler = data.SubsetRandomSampler { 1, 3, 5, 7, 9, 11, 13, 15 } } end,
    replacement = function()
      return { batch_size = 3, sampler = data.RandomSampler(torch.arange(20), { replacement = true, num_samples = 40 }) }
    end,
    distributed = function() return { batch_size = 3, sampler = data.DistributedSampler(torch.arange(20), 3, 1) } end,
    ["single items"] = function()
      return { batch_size = false, shuffle = true }
    end,
    ["batch sampler of the program"] = function() return { batch_sampler = { { 1, 2 }, { 3 }, { 4, 5, 6 }, { 0 } } } end,
  }
  for name, make in pairs(kinds) do
    it("goes on in mid-epoch, bit for bit: " .. name, function()
      for _, pair in ipairs { { 0, 0 }, { 0, 2 }, { 2, 0 }, { 2, 3 } } do
        local function new(workers)
          torch.manual_seed(1)
          local options = make()
          options.num_workers = workers
          return data.DataLoader(dataset(item, 20), options)
        end
        local whole = new(pair[1])
        torch.manual_seed(2)
        local first, second = texts(whole:iter()), texts(whole:iter())

        local broken = new(pair[1])
        torch.manual_seed(2)
        local next_batch, _, _, closer = broken:iter()
        local got = texts(next_batch, 2)
        close(closer)
        local path = os.tmpname()
        torch.save(broken:state_dict(), path)
        local state, rng = torch.load(path), torch.get_rng_state()
        os.remove(path)

        local resumed = new(pair[2])
        torch.manual_seed(77)
        resumed:load_state_dict(state)
        local after = torch.get_rng_state()
        table.move(texts(resumed:iter()), 1, 99, #got + 1, got)
        assert.same(first, got)
        assert.is_true(torch.equal(after, torch.get_rng_state())) -- the program's stream is left alone
        torch.set_rng_state(rng)
        assert.same(second, texts(resumed:iter()))
      end
    end)
  end

  it("goes on in a stream", function()
    local Stream = data.IterableDataset:extend "Stream"
    function Stream.iter()
      local info = data.get_worker_info()
      local i, step = info and info.id or 0, info and info.num_workers or 1
      i = i - step
      return function()
        i = i + step
        if i < 11 then return torch.rand(1):item(), i end
      end
    end
    for _, workers in ipairs { 0, 1, 3 } do
      local options = { batch_size = 2, num_workers = workers }
      torch.manual_seed(0)
      local whole = texts(data.DataLoader(Stream(), options):iter())
      torch.manual_seed(0)
      local loader = data.DataLoader(Stream(), options)
      local next_batch, _, _, closer = loader:iter()
      local got = texts(next_batch, 2)
      close(closer)
      local resumed = data.DataLoader(Stream(), options)
      resumed:load_state_dict(loader:state_dict())
      table.move(texts(resumed:iter()), 1, 99, 3, got)
      assert.same(whole, got)
    end
  end)

  it("asks a sampler that saves itself, and begins anew after an epoch", function()
    local Own = data.Sampler:extend "Own"
    function Own:init() self.at = 0 end
    function Own.len() return 10 end
    function Own:iter()
      return function()
        if self.at < 10 then
          self.at = self.at + 1
          return self.at - 1
        end
        self.at = 0
      end
    end
    function Own:state_dict() return { at = self.at } end
    function Own:load_state_dict(state) self.at = state.at end
    for _, workers in ipairs { 0, 2 } do
      local loader = data.DataLoader(dataset(item), { sampler = Own(), batch_size = 3, num_workers = workers })
      torch.manual_seed(4)
      local next_batch, _, _, closer = loader:iter()
      local got = texts(next_batch, 2)
      close(closer)
      local resumed = data.DataLoader(dataset(item), { sampler = Own(), batch_size = 3, num_workers = workers })
      resumed:load_state_dict(loader:state_dict())
      table.move(texts(resumed:iter()), 1, 99, 3, got)
      torch.manual_seed(4)
      local whole = data.DataLoader(dataset(item), { sampler = Own(), batch_size = 3 })
      assert.same(texts(whole:iter()), got)
      assert.is_true(whole:state_dict().is_finished)
    end
    assert.error_matches(function() data.DataLoader({ 1 }):load_state_dict { 1 } end, "expected the table that a DataLoader's")
  end)

  it("has samplers that resume by themselves", function()
    for _, make in ipairs {
      function() return data.RandomSampler(torch.arange(9), { num_samples = 20 }) end,
      function() return data.SequentialSampler(torch.arange(9)) end,
      function() return data.SubsetRandomSampler { 4, 5, 6, 7, 8 } end,
      function() return data.WeightedRandomSampler({ 1, 2, 3 }, 9) end,
      function() return data.DistributedSampler(torch.arange(9), 2, 1) end,
      function() return data.BatchSampler(data.RandomSampler(torch.arange(9)), 2, false) end,
    } do
      local function collect(next_index, list)
        for i in next_index do list[#list + 1] = i end
        return list
      end
      torch.manual_seed(1)
      local whole = collect(make():iter(), {})
      torch.manual_seed(1)
      local sampler = make()
      local next_index = sampler:iter()
      local got = { next_index(), next_index(), next_index() }
      local resumed = make()
      resumed:load_state_dict(sampler:state_dict())
      assert.same(whole, collect(resumed:iter(), got))
    end
  end)
end)
