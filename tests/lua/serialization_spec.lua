-- torch.load and torch.save: files of PyTorch (tests/golden/checkpoints, written by scripts/gen/golden_checkpoints.py), round
-- trips, faults. Files made by others: weights_spec.lua.
local torch = require "lampad"
local core = require "lampad.core"
local nn = torch.nn

local root = arg and arg[0] and arg[0]:match("^(.*)/tests/lua/") or "."
local golden = root .. "/tests/golden/checkpoints/"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local names = { "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64",
  "complex128", "bool" }

local function storage_of(t) return t:untyped_storage():data_ptr() end

describe("torch.load of PyTorch's files", function()
  for _, file in ipairs { "dtypes.pt", "dtypes_deflated.pt", "dtypes_legacy.pt" } do
    it("reads every dtype and layout: " .. file, function()
      local tensors = torch.load(golden .. file)
      local x = torch.arange(-3, 9):reshape(3, 4)
      local seen = {}
      for name, t in tensors:items() do
        seen[#seen + 1] = name
        local dtype = torch[name]
        local want = name == "bool" and x:remainder(2):eq(0) or name == "uint8" and x:abs():to(dtype) or x:to(dtype)
        assert.equal(dtype, t.whole.dtype)
        assert.is_true(torch.equal(want, t.whole))
        assert.is_true(torch.equal(want:t(), t.transposed))
        assert.same({ 1, 4 }, t.transposed:stride())
        assert.is_true(torch.equal(want["1:, ::2"], t.part))
        assert.same({ 0, 4 }, { t.empty.shape:unpack() })
        assert.is_true(torch.equal(want[1][2], t.number))
        assert.is_true(torch.equal(want[0][":1"]:expand(2, 1), t.expanded))
        assert.equal(storage_of(t.whole), storage_of(t.transposed))
        assert.equal(storage_of(t.whole), storage_of(t.number))
      end
      assert.equal(table.concat(names, " "), table.concat(seen, " "))
    end)
  end

  for _, file in ipairs { "values_1.pt", "values_2.pt", "values_3.pt", "values_4.pt", "values_5.pt", "values_legacy.pt" } do
    it("reads every kind of value: " .. file, function()
      local v = torch.load(golden .. file)
      assert.is_true(torch.equal(v.base["3:9"]:view(2, 3), v.view))
      assert.equal(storage_of(v.base), storage_of(v.view))
      assert.is_true(torch.isinstance(v.parameter, nn.Parameter) and v.parameter.requires_grad)
      assert.is_true(torch.isinstance(v.frozen, nn.Parameter) and not v.frozen.requires_grad)
      assert.is_true(v.leaf.requires_grad and not torch.isinstance(v.leaf, nn.Parameter))
      assert.is_true(torch.equal(torch.complex(torch.tensor { 1., 3. }, torch.tensor { -2., 1. }), v.conj))
      assert.same({ -2., 1. }, v.neg:tolist())
      local order = {}
      for key in v.ordered:keys() do order[#order + 1] = key end
      assert.equal("z a m", table.concat(order, " "))
      assert.same({ 1, 2, { 3, nil, "x", n = 3 } }, v.ordered.m)
      assert.same({ [1] = true, [2] = true, q = true }, v.set)
      assert.same({ [4] = true }, v.frozenset)
      assert.is_nil(v.none)
      assert.equal(2.0 ^ 70, v.big)
      assert.equal(math.mininteger, v.low)
      assert.equal(-1, v.minus)
      assert.equal(1 << 40, v.long)
      assert.equal("\0\xff\x80abc", v.bytes)
      assert.equal("hé世😀", v.text)
      assert.equal("float", math.type(v.half))
      assert.equal(math.huge, v.inf)
      assert.is_true(v.yes)
      assert.equal("(1+2j)", tostring(v.complex))
      assert.equal(torch.float16, v.dtype)
      assert.equal(torch.device "cpu", v.device)
      assert.equal(torch.Size { 2, 3 }, v.size)
      assert.same({ 1, 2 }, v.tuple)
      assert.equal(0, #v.empty)
      assert.same({ 1 }, v.default.k)
      assert.equal(2, v.counter.a)
      assert.same({ { 0., 1., 2. }, { 3., 4., 5. } }, v.array:tolist())
      assert.same({ { 0., 1., 2. }, { 3., 4., 5. } }, v.fortran:tolist())
      assert.same({ 1, 2 }, v.fortran:stride())
      assert.same({ 0, 1, 2 }, v.big_endian:tolist())
      assert.equal(2.5, v.number)
      assert.equal(7, v.integer)
      assert.is_true(v.truth)
      assert.equal(torch.uint32, v.unsigned.dtype)
      assert.same({ 0, 1, 2 }, v.unsigned:tolist())
      assert.equal("a b c", v.keys[0] .. " " .. v.keys[5] .. " " .. v.keys[-1])
      assert.is_true(rawequal(v.cycle, v.cycle[2]))
      assert.is_true(rawequal(v.first, v.second))
      assert.equal(12, #v.storage)
      local keys = {}
      for key in pairs(v) do keys[#keys + 1] = key end
      assert.equal("base", keys[1])
    end)
  end

  it("makes whole modules inert, with their state_dict", function()
    local net = torch.load(golden .. "module.pt")
    assert.equal("torch.nn.modules.container.Sequential", net.class)
    assert.equal("<inert torch.nn.modules.container.Sequential>", tostring(net))
    local own = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Linear(2, 2)))
    assert.equal("<All keys matched successfully>", tostring(own:load_state_dict(net:state_dict())))
  end)

  it("reads the weights of TorchScript archives", function()
    local state = torch.load(golden .. "script.pt")
    local net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    net:load_state_dict(state)
    assert.same({ 3, 2 }, { torch.load(golden .. "script_frozen.pt")["constants.0"].shape:unpack() })
  end)

  it("continues a training of PyTorch", function()
    local saved = torch.load(golden .. "training.pt", { weights_only = true })
    assert.equal(3, saved.epoch)
    assert.equal(2, saved.net._metadata["1"].version)
    local net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Linear(2, 2)))
    net:load_state_dict(saved.net)
    local optimizer = torch.optim.Adam(net:parameters())
    optimizer:load_state_dict(saved.optimizer)
    assert.equal(0.01, optimizer.param_groups[1].lr)
    assert.equal(1, optimizer.state[net[0].weight].step:item())
    assert.is_true(torch.equal(saved.optimizer.state[0].exp_avg, optimizer.state[net[0].weight].exp_avg))
  end)

  it("says what it cannot hold", function()
    assert.error_matches(function() torch.load(golden .. "quantized.pt") end, "quantized")
  end)

  it("takes paths, bytes, open files, functions and mappings", function()
    local path = golden .. "training.pt"
    local want = torch.load(path).net["0.weight"]
    assert.is_true(torch.equal(want, torch.load(read(path)).net["0.weight"]))
    local file <close> = assert(io.open(path, "rb"))
    assert.is_true(torch.equal(want, torch.load(file).net["0.weight"]))
    local again <close> = assert(io.open(path, "rb"))
    assert.is_true(torch.equal(want, torch.load(function() return again:read(1000) end).net["0.weight"]))
    local mapped = torch.load(path, { mmap = true }).net["0.weight"]
    assert.is_true(torch.equal(want, mapped))
    mapped:fill_(1) -- memory only
    assert.is_true(torch.equal(want, torch.load(path).net["0.weight"]))
    assert.error_matches(function() torch.load(read(path), { mmap = true }) end, "mmap = true needs a path")
    assert.error_matches(function() torch.load(golden .. "dtypes_legacy.pt", { mmap = true }) end, "zip format")
    assert.error_matches(function() torch.load(3) end, "argument 'f' must be a path")
    assert.error_matches(function() torch.load("/no/such/file") end, "cannot open /no/such/file")
    assert.error_matches(function() torch.load("/tmp") end, "folder")
    assert.error_matches(function() torch.load("/dev/null") end, "no regular file")
  end)

  it("follows map_location", function()
    local path = golden .. "training.pt"
    for _, location in ipairs { "cpu", torch.device "cpu", { ["cuda:0"] = "cpu" }, function(s) return s end,
      function() return "cpu" end, function() end } do
      assert.equal(torch.device "cpu", torch.load(path, location).net["0.weight"].device)
    end
    assert.error_matches(function() torch.load(path, { map_location = "cuda" }) end, "cuda")
  end)

  it("finds damage, whatever the place", function()
    for _, name in ipairs { "values_2.pt", "values_legacy.pt", "script.pt" } do
      local bytes = read(golden .. name)
      for cut = 1, #bytes - 1, 97 do
        local ok = pcall(torch.load, bytes:sub(1, cut) .. "\0")
        assert.is_false(ok and not name:find "legacy")
      end
      for at = 1, #bytes, 31 do
        pcall(torch.load, bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 0x55) .. bytes:sub(at + 1))
      end
    end
    local bytes = read(golden .. "training.pt")
    local head = assert(bytes:find("training/data/0", 1, true)) - 30
    local at = head + 29 + ("<I2"):unpack(bytes, head + 26) + ("<I2"):unpack(bytes, head + 28)
    assert.error_matches(function() torch.load(bytes:sub(1, at) .. "\1\2\3" .. bytes:sub(at + 4)) end, "damaged")
  end)
end)

describe("torch.save", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function round_trip(value)
    torch.save(value, path)
    return torch.load(path)
  end

  it("keeps numbers, strings, booleans, tables", function()
    local value = { 1, -2, 3.5, "a\0b", true, false, math.maxinteger, math.mininteger, 300, 70000, -1.5e300, "", "\xff" }
    assert.same(value, round_trip(value))
    assert.equal("integer", math.type(round_trip(2)))
    assert.equal("float", math.type(round_trip(2.0)))
    assert.is_nil(round_trip(nil))
    local nested = { x = math.huge, [0] = "zero", list = { 1, { 2, { 3 } } }, [true] = 1 }
    local copy = round_trip(nested)
    assert.equal("zero", copy[0])
    assert.same({ 1, { 2, { 3 } } }, copy.list)
    assert.equal(1, copy[true])
    local shared = { 1 }
    local both = round_trip { a = shared, b = shared }
    assert.is_true(rawequal(both.a, both.b))
    local cycle = {}
    cycle.me = cycle
    copy = round_trip(cycle)
    assert.is_true(rawequal(copy, copy.me))
    assert.same({ 1, nil, 3, n = 3 }, round_trip(table.pack(1, nil, 3)))
    assert.same(tostring(torch.Size { 2, 3 }), tostring(round_trip(torch.Size { 2, 3 })))
    assert.equal(torch.bfloat16, round_trip(torch.bfloat16))
    assert.equal(torch.device "cpu", round_trip(torch.device "cpu"))
    assert.equal("(1+2j)", tostring(round_trip(torch.load(golden .. "values_2.pt").complex)))
    local empty = round_trip { rows = {} }
    empty.rows[1] = "row"
    assert.same({ "row" }, round_trip(empty).rows)
  end)

  it("keeps the order of dicts and ordered maps", function()
    local first = torch.load(golden .. "values_2.pt")
    first.unsigned = nil
    local second = round_trip(first)
    local a, b = {}, {}
    for key in pairs(first) do a[#a + 1] = key end
    for key in pairs(second) do b[#b + 1] = key end
    assert.equal(table.concat(a, " "), table.concat(b, " "))
    local state = nn.BatchNorm1d(3):state_dict()
    local copy = round_trip(state)
    for key, value in state:items() do assert.is_true(torch.equal(value, copy[key])) end
    assert.equal(2, copy._metadata[""].version)
  end)

  it("keeps tensors of every dtype, shared storages, Parameters", function()
    for _, name in ipairs(names) do
      local t = torch.tensor({ { 0, 1 }, { 1, 0 } }):to(torch[name])
      local copy = round_trip { t = t, part = t[1], turned = t:t() }
      assert.equal(t.dtype, copy.t.dtype)
      assert.is_true(torch.equal(t, copy.t) and torch.equal(t[1], copy.part) and torch.equal(t:t(), copy.turned))
      assert.equal(storage_of(copy.t), storage_of(copy.part))
      assert.equal(storage_of(copy.t), storage_of(copy.turned))
      assert.equal(2, copy.part:storage_offset())
    end
    assert.same({ 0, 3 }, { round_trip(torch.zeros(0, 3)).shape:unpack() })
    assert.equal(7, round_trip(torch.tensor(7)):item())
    assert.is_true(torch.isinstance(round_trip(nn.Parameter(torch.ones(2))), nn.Parameter))
    assert.is_true(round_trip(torch.ones(2, { requires_grad = true })).requires_grad)
    local one = torch.ones(2)
    local twice = round_trip { one, one }
    assert.is_true(rawequal(twice[1], twice[2]))
    assert.equal(4, #round_trip(torch.arange(4):storage()))
  end)

  it("aligns storages to 64 bytes and writes the members PyTorch has", function()
    torch.save({ torch.arange(3), torch.ones(5) }, path)
    local bytes, at, found = read(path), 1, {}
    while bytes:sub(at, at + 3) == "PK\3\4" do
      local size, name_bytes, extra_bytes = ("<I4I2I2"):unpack(bytes, at + 22)
      local name = bytes:sub(at + 30, at + 29 + name_bytes)
      local data = at + 30 + name_bytes + extra_bytes
      assert.equal(0, (data - 1) % 64)
      found[#found + 1] = name:match "/(.*)$"
      at = data + size
    end
    assert.equal("data.pkl .format_version .storage_alignment byteorder .lampad/producer data/0 data/1 version", table.concat(found, " "))
  end)

  it("keeps the state of training", function()
    local net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    local optimizer = torch.optim.Adam(net:parameters())
    local scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    local function step()
      optimizer:zero_grad()
      net(torch.ones(4, 2)):pow(2):sum():backward()
      optimizer:step()
      scheduler:step()
    end
    step()
    local saved = round_trip { net = net:state_dict(), optimizer = optimizer:state_dict(),
      scheduler = scheduler:state_dict(), rng = torch.get_rng_state() }
    step()
    local want = net[0].weight:clone()
    net:load_state_dict(saved.net)
    optimizer:load_state_dict(saved.optimizer)
    scheduler:load_state_dict(saved.scheduler)
    torch.set_rng_state(saved.rng)
    step()
    assert.is_true(torch.equal(want, net[0].weight))
  end)

  it("keeps what tables cannot hold: None and NaN as keys, None as a value, kinds of sequences", function()
    local repr = require("lampad.text").repr
    local function lines_of(dict)
      local lines = {}
      for key, value in dict:items() do lines[#lines + 1] = repr(key) .. ": " .. repr(value) end
      return table.concat(lines, "\n")
    end
    local dict = torch.load(golden .. "keys.pt")
    assert.equal([[
None: 1
1.5: 2
True: 3
(1, 'a'): 4
'none': None
2: (None,)
7: ()
8: ()
9: (1, 2)
10: (True, True)
11: (None, None, 3)
12: (None, 0.001)
nan: 5
(1+2j): 6
torch.float32: 7
(): 8
(None, (1,)): 9
13: ()
14: OrderedDict([(None, 1), ('x', None), ('y', 2)])
torch.Size([2, 3]): 10]], lines_of(dict))
    assert.equal(20, #dict)
    assert.equal(1, dict:get(nil))
    assert.equal(1, dict[torch.serialization.None])
    assert.is_nil(dict.none)
    local again = round_trip(dict)
    assert.equal(lines_of(dict), lines_of(again))
    -- The pickle is the same but for how it memorizes: what was a tuple, list or set is one again.
    torch.save(again, path)
    local tree = core.checkpoint_open(path, false)
    local _, numbers = core.checkpoint_node(tree, core.checkpoint_root(tree))
    local kinds = {}
    for i = 2, #numbers, 2 do kinds[#kinds + 1] = (core.checkpoint_node(tree, numbers[i])) end
    assert.equal("int int int int none list list tuple tuple set list tuple int int int int int set ordered_dict int",
      table.concat(kinds, " "))
    -- A key that was None is an ordinary one once it is set.
    dict.none = 5
    dict.none = nil
    for key in dict:keys() do assert.not_equal("none", key) end
    assert.equal(19, #dict)
    local map = dict[14]
    assert.equal(3, #map)
    assert.is_nil(map.x)
    assert.is_true(map:contains "x")
    assert.equal(1, map:get(nil))
    map.x = nil
    assert.equal("OrderedDict([(None, 1), ('y', 2)])", tostring(map))
  end)

  it("refuses what it cannot store and leaves the old file", function()
    torch.save({ 1 }, path)
    assert.error_matches(function() torch.save({ a = { b = print } }, path) end, "cannot save function at obj.a.b")
    assert.error_matches(function() torch.save({ [{ a = 1 }] = 1 }, path) end, "as a key")
    assert.error_matches(function() torch.save(nn.Linear(2, 2), path) end, "save its state_dict")
    assert.error_matches(function() torch.save(torch.load(golden .. "module.pt"), path) end, "inert")
    assert.error_matches(function() torch.save({ 1 }, "/no/such/folder/x.pt") end, "cannot write")
    assert.error_matches(function() torch.save({ 1 }, "/dev/full") end, "no regular file")
    assert.error_matches(function() torch.save({ 1 }, 3) end, "'f'")
    local deep = {}
    for _ = 1, 2000 do deep = { deep } end
    assert.error_matches(function() torch.save(deep, path) end, "deeper than 1000")
    assert.same({ 1 }, torch.load(path))
  end)
end)

describe("running out of memory", function()
  -- Every allocation of the engine fails in turn: an error each time, and the file is whole or not there.
  local function each_fails(call)
    for n = 0, 100000 do
      core.memory_fail_after(n)
      local ok, message = pcall(call)
      core.memory_fail_after(-1)
      if ok then return n end
      assert.matches("memory", message)
    end
  end

  it("in loading is an error", function()
    for _, name in ipairs { "values_2.pt", "values_legacy.pt", "dtypes_deflated.pt", "script.pt" } do
      assert.is_true(each_fails(function() torch.load(golden .. name) end) > 3)
    end
  end)

  it("in saving is an error and leaves the old file", function()
    local path = os.tmpname()
    torch.save({ 1 }, path)
    local state = torch.load(golden .. "training.pt")
    local failures = each_fails(function()
      assert.is_not_nil(torch.load(path)[1])
      torch.save(state, path)
    end)
    assert.is_true(failures > 3)
    assert.equal(3, torch.load(path).epoch)
    os.remove(path)
  end)
end)
