-- torch.load of safetensors and NumPy's files, told apart by content: from paths, bytes, open files, functions, mappings.
local torch = require "lampad"
local core = require "lampad.core"

describe("torch.load of files that hold only arrays", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  local tensors = { weight = torch.arange(12):float():view(3, 4), bias = torch.tensor { true, false, true },
    half = torch.ones(2, { dtype = torch.bfloat16 }), empty = torch.zeros(0, 3), step = torch.tensor(7) }
  local numpy = { weight = tensors.weight, bias = tensors.bias, empty = tensors.empty, step = tensors.step }

  local function bytes()
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
  end

  local function each_source(check)
    check(torch.load(path))
    check(torch.load(path, { mmap = true }))
    check(torch.load(path, { map_location = "cpu", weights_only = true }))
    check(torch.load(bytes()))
    check(torch.load(assert(io.open(path, "rb"))))
    local rest = bytes()
    check(torch.load(function()
      local part = rest:sub(1, 100)
      rest = rest:sub(101)
      return part
    end))
  end

  local function check_map(want)
    return function(got)
      local count = 0
      for name, x in got:items() do
        assert.equal(want[name].dtype, x.dtype)
        assert.same({ want[name].shape:unpack() }, { x.shape:unpack() })
        assert.is_true(torch.equal(want[name], x), name)
        x:zero_() -- memory only, also when it is mapped
        count = count + 1
      end
      for _ in pairs(want) do count = count - 1 end
      assert.equal(0, count)
      assert.matches("^OrderedDict", tostring(got))
    end
  end

  it("reads safetensors", function()
    torch.safetensors.save_file(tensors, path, { format = "pt" })
    each_source(check_map(tensors))
  end)

  it("reads .npz, packed or not", function()
    torch.numpy.savez(path .. ".npz", numpy)
    assert(os.rename(path .. ".npz", path))
    each_source(check_map(numpy))
    torch.numpy.savez_compressed(path .. ".npz", numpy)
    assert(os.rename(path .. ".npz", path))
    each_source(check_map(numpy))
  end)

  it("reads .npy", function()
    torch.numpy.save(path .. ".npy", tensors.weight:t())
    assert(os.rename(path .. ".npy", path))
    each_source(function(x)
      assert.is_true(torch.equal(tensors.weight:t(), x))
      assert.same({ 1, 4 }, x:stride())
      x:zero_()
    end)
  end)

  it("maps tensors without reading them", function()
    torch.safetensors.save_file(tensors, path)
    local first, second = torch.load(path, { mmap = true }), torch.load(path, { mmap = true })
    assert.not_equal(first.weight:data_ptr(), second.weight:data_ptr())
    first.weight:fill_(9)
    assert.equal(0, second.weight[{ 0, 0 }]:item())
  end)

  it("says what is wrong", function()
    torch.safetensors.save_file(tensors, path)
    local whole = bytes()
    local function fails(pattern, text)
      assert.error_matches(function() torch.load(text) end, "cannot load the bytes: " .. pattern)
    end
    fails("the file is truncated", whole:sub(1, -2))
    fails("the header is not valid JSON", whole:sub(1, 8) .. "{" .. whole:sub(10, 40):gsub(".", "x") .. whole:sub(41))
    torch.numpy.save(path .. ".npy", tensors.weight)
    assert(os.rename(path .. ".npy", path))
    fails("the file is truncated", bytes():sub(1, -2))
    torch.numpy.savez_compressed(path .. ".npz", numpy)
    assert(os.rename(path .. ".npz", path))
    whole = bytes()
    fails("the zip archive is damaged", whole:sub(1, -2))
    local at = whole:find("NUMPY", 1, true) or whole:find("weight.npy", 1, true) + 40
    fails("array '", whole:sub(1, at) .. "\255\0\255\0" .. whole:sub(at + 5))
    fails("it is no file that torch.save wrote", ("text\0"):rep(100))
  end)

  it("gives everything back when memory runs out", function()
    torch.numpy.savez(path .. ".npz", numpy)
    assert(os.rename(path .. ".npz", path))
    local npz = bytes()
    torch.safetensors.save_file(tensors, path)
    for n = 0, 400 do
      core.memory_fail_after(n)
      local tree, message = core.checkpoint_describe(path)
      core.memory_fail_after(-1)
      if tree then break end
      assert.matches("memory", message)
      assert.is_true(n < 400)
    end
    for _, text in ipairs { npz, bytes() } do
      for n = 0, 400 do
        core.memory_fail_after(n)
        local ok, message = pcall(torch.load, text)
        core.memory_fail_after(-1)
        if ok then break end
        assert.matches("memory", message)
        assert.is_true(n < 400)
      end
    end
  end)
end)
