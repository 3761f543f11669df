-- `lampad inspect`: what it prints of files of every format, of files that mean harm, of broken ones.
local torch = require "lampad"
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local command = dofile(here .. "/command.lua")
local hostile = dofile(here .. "/hostile_checkpoints.lua")
local json = require "lampad.json"
local golden = here .. "/../golden/checkpoints/"

describe("lampad inspect", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)

  local function inspect(...)
    local status, out, err = command.run { "inspect", ... }
    return out, status, err
  end

  it("prints the tree, the sizes, what is shared", function()
    local path = folder .. "/model.pt"
    local row = torch.arange(6):float()
    local net = torch.nn.Linear(3, 2)
    torch.save({ epoch = 3, name = "a\27[31mb", list = { 1, 2.5, true }, deep = { { row:view(2, 3):t(), row:to(torch.int8) } },
      net = net:state_dict(), weight = net.weight, self = row }, path)
    local out, status, err = inspect(path)
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal(path .. ": PyTorch's zip format, ", out:match "^[^\n]-format, ")
    assert.truthy(out:find([[
producer    Lampad
archive     folder 'model', version 3, little-endian
tensors     6 tensors in 4 storages, 32 elements, 62 B
            float32   5 tensors, 26 elements
            int8      1 tensor, 6 elements

dict of 7
  deep    list of 1
    [0]  list of 2
      [0]  float32   [3, 2]  strides [1, 3]
      [1]  int8      [6]
  epoch   3
  list    list of 3 [1, 2.5, True]
  name    'a\x1b[31mb'
  net     OrderedDict of 2
    weight        float32   [2, 3]
    bias          float32   [2]
    (attributes)  dict of 1]], 1, true), out)
    assert.truthy(out:find("\n  self    float32   [6]     shares memory with deep[0][0]\n", 1, true), out)
    assert.truthy(out:find("weight  float32   [2, 3]  Parameter, shares memory with net.weight\n", 1, true), out)
  end)

  it("knows every format", function()
    local t = { a = torch.ones(2, 3), b = torch.arange(4) }
    torch.safetensors.save_file(t, folder .. "/x.safetensors", { who = "me" })
    torch.numpy.savez(folder .. "/x.npz", t)
    torch.numpy.savez_compressed(folder .. "/y.npz", t)
    torch.numpy.save(folder .. "/x.npy", t.a)
    local out = inspect(folder .. "/x.safetensors")
    assert.truthy(out:find("metadata    who = 'me'\n", 1, true))
    assert.truthy(out:find("OrderedDict of 2\n  b  int64     [4]\n  a  float32   [2, 3]\n", 1, true)
      or out:find("OrderedDict of 2\n  a  float32   [2, 3]\n  b  int64     [4]\n", 1, true), out)
    for _, name in ipairs { "/x.npz", "/y.npz" } do
      assert.truthy(inspect(folder .. name):find("OrderedDict of 2\n  a  float32   [2, 3]\n  b  int64     [4]\n", 1, true))
    end
    assert.truthy(inspect(folder .. "/x.npy"):find("(the whole)  float32   [2, 3]\n", 1, true))
  end)

  it("describes what torch.load loads of PyTorch's files", function()
    local list = assert(io.popen(("ls '%s'"):format(golden)))
    local seen = {}
    for name in list:lines() do
      if name:match "%.pt$" then
        local loads = pcall(torch.load, golden .. name)
        local out, status, err = inspect(golden .. name)
        assert.equal(loads and 0 or 1, status, name .. ": " .. out .. err)
        seen[out:match ": (.-), " or ""] = true
      end
    end
    list:close()
    assert.truthy(seen["PyTorch's zip format"] and seen["PyTorch's format before 1.6"])
  end)

  it("warns of what is inert, and more of what would harm", function()
    local seen = false
    for i, case in ipairs(hostile.cases(folder .. "/marker")) do
      if case.wants == "inert" then
        local path = folder .. "/hostile.pt"
        command.write(path, case.bytes)
        local out, status, err = inspect(path)
        assert.equal(0, status, case.name .. err)
        assert.truthy(out:find("inert: ", 1, true) or out:find("DANGER: ", 1, true), case.name .. "\n" .. out)
        seen = seen or out:match "DANGER: posix%.system, made 1 time: Python would run it when it loads this file"
          or out:match "DANGER: os%.system, made 1 time"
      end
      if i > 200 then break end
    end
    assert.truthy(seen)
    assert.is_nil(io.open(folder .. "/marker"))
  end)

  it("gives JSON", function()
    local path = folder .. "/j.pt"
    torch.save({ a = { torch.ones(2, 3) } }, path)
    local out, status = inspect("--json", path)
    assert.equal(0, status)
    local value = json.decode(out)
    assert.equal("zip", value.format)
    assert.equal("Lampad", value.producer)
    assert.equal(24, value.tensor_bytes)
    assert.same({ name = "a[0]", dtype = "float32", shape = { 2, 3 }, bytes = 24, notes = {} }, value.tensors[1])
  end)

  it("says what is wrong with a file, with status 1", function()
    local path = folder .. "/broken.pt"
    torch.save({ torch.ones(100) }, path)
    command.write(path, command.read(path):sub(1, 500))
    local out, status, err = inspect(path)
    assert.equal("", out)
    assert.equal(1, status)
    assert.equal(("lampad: %s: the zip archive is damaged: its directory is missing (the file is truncated, or was not "
      .. "written to its end)\n"):format(path), err)
    out, status, err = inspect(folder .. "/missing.pt")
    assert.equal(1, status)
    assert.equal("", out)
    assert.equal(("lampad: cannot open %s/missing.pt: No such file or directory\n"):format(folder), err)
    assert.equal(2, select(2, inspect()))
    assert.equal(2, select(2, inspect "--frob"))
  end)

  it("does not read the tensors of old files", function()
    local path = folder .. "/legacy.pt"
    command.write(path, command.read(golden .. "dtypes_legacy.pt"))
    local whole = inspect(path)
    assert.truthy(whole:find "tensors")
    command.write(path, command.read(path):sub(1, -2))
    local _, status, err = inspect(path)
    assert.equal(1, status)
    assert.truthy(err:find("truncated", 1, true), err)
  end)
end)
