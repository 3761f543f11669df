-- The checkpoint file: what goes in comes out; faults are found.
local torch = require "lampad"
local file = torch.utils.checkpoint_file
local nn = torch.nn

describe("checkpoint_file", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function round_trip(value)
    file.save(value, path)
    return file.load(path)
  end

  it("keeps tables, numbers, strings, booleans", function()
    local value = { 1, -2, 3.5, "a\0b", true, false, nested = { x = math.huge, [0] = "zero" }, [10] = {} }
    assert.same(value, round_trip(value))
    assert.equal("integer", math.type(round_trip(2)))
    assert.equal("float", math.type(round_trip(2.0)))
    local shared = { 1 }
    local copy = round_trip { a = shared, b = shared }
    assert.is_true(rawequal(copy.a, copy.b))
  end)

  it("keeps tensors of every dtype, and Parameters", function()
    for _, name in ipairs { "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool" } do
      local t = torch.tensor({ { 0, 1 }, { 1, 0 } }):to(torch[name])
      local copy = round_trip(t)
      assert.equal(t.dtype, copy.dtype)
      assert.same(t:tolist(), copy:tolist())
    end
    assert.same({ 0, 3 }, { round_trip(torch.zeros(0, 3)).shape:unpack() })
    assert.equal(7, round_trip(torch.tensor(7)):item())
    assert.same({ { 1, 3 }, { 2, 4 } }, round_trip(torch.tensor({ { 1, 2 }, { 3, 4 } }):t()):tolist())
    assert.is_true(torch.isinstance(round_trip(nn.Parameter(torch.ones(2))), nn.Parameter))
  end)

  it("keeps the state of training", function()
    local net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    local optimizer = torch.optim.Adam(net:parameters())
    net(torch.randn(4, 2)):sum():backward()
    optimizer:step()
    local saved = round_trip { net = net:state_dict(), optimizer = optimizer:state_dict(), rng = torch.get_rng_state() }
    local names = {}
    for name in saved.net:keys() do names[#names + 1] = name end
    assert.equal("0.weight 0.bias 1.weight 1.bias 1.running_mean 1.running_var 1.num_batches_tracked",
      table.concat(names, " "))
    net:load_state_dict(saved.net)
    optimizer:load_state_dict(saved.optimizer)
    torch.set_rng_state(saved.rng)
  end)

  it("finds truncation and corruption, whatever the place", function()
    file.save({ x = torch.arange(10), name = "n" }, path)
    local bytes = io.open(path, "rb"):read("a")
    local function rewrite(changed)
      local out <close> = assert(io.open(path, "wb"))
      out:write(changed)
    end
    for length = 0, #bytes - 1 do
      rewrite(bytes:sub(1, length))
      local ok, err = pcall(file.load, path)
      assert.is_false(ok)
      assert.matches("is truncated", length < 8 and "is truncated" or err)
    end
    for at = 1, #bytes do
      rewrite(bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 0x55) .. bytes:sub(at + 1))
      assert.is_false((pcall(file.load, path)))
    end
  end)

  it("refuses what it cannot keep, and leaves the old file", function()
    file.save({ 1 }, path)
    assert.error_matches(function() file.save({ print }, path) end, "cannot store function")
    assert.error_matches(function() file.save({ nn.ReLU() }, path) end, "store its state_dict%(%) instead")
    assert.same({ 1 }, file.load(path))
    assert.error_matches(function() file.load "/nonexistent/x" end, "cannot open /nonexistent/x")
    assert.error_matches(function() file.save({}, "/nonexistent/x") end, "cannot write /nonexistent/x")
  end)
end)
