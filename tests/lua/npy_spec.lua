-- torch.numpy and torch.from_numpy: files of NumPy, files for it, files that mean harm. tests/golden/files is written by
-- scripts/gen/golden_files.py.
local torch = require "lampad"
local core = require "lampad.core"
local np = torch.numpy
local OrderedDict = require "lampad.ordered_dict"
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")
local golden = here .. "/../golden/files/"

local function fails(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, pattern)
  assert.truthy(tostring(message):find(pattern, 1, true), message)
  assert.truthy(message:find("npy_spec.lua:", 1, true), message)
end

local dtypes = { b1 = "bool", i1 = "int8", u1 = "uint8", i2 = "int16", i4 = "int32", i8 = "int64", f2 = "float16",
  f4 = "float32", f8 = "float64", c8 = "complex64", c16 = "complex128" }
local shapes = { {}, { 0, 3 }, { 5 }, { 2, 3 }, { 2, 1, 3 } }

-- What scripts/gen/golden_files.py put into an array.
local function expected(code, shape)
  local count, dtype = 1, torch[dtypes[code]]
  for _, size in ipairs(shape) do count = count * size end
  local row = torch.arange(count)
  if code == "b1" then return row:remainder(2):eq(1):reshape(shape) end
  if code:sub(1, 1) == "c" then row = torch.complex(row:double(), -row:double()) end
  return row:to(dtype):reshape(shape)
end

-- A .npy file from the text of its header and the bytes behind it.
local function file_of(header, data, version)
  version = version or 1
  return "\x93NUMPY" .. string.char(version) .. "\0" .. (version == 1 and "<s2" or "<s4"):pack(header) .. (data or "")
end
local function header_of(descr, order, shape)
  return ("{'descr': %s, 'fortran_order': %s, 'shape': %s, }"):format(descr, order, shape)
end

describe("NumPy's files", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)

  it("are read: every type, byte order, layout, stored or deflated", function()
    for _, name in ipairs { "stored", "deflated" } do
      local arrays = np.load(golden .. name .. ".npz")
      assert.are.equal(132, #arrays)
      for key, t in arrays:items() do
        local sign, code, order, i = key:match "^([<>])(%w+)%.([CF])%.(%d)$"
        local want = expected(code, shapes[i + 1])
        assert.are.equal(want.dtype, t.dtype)
        assert.are.same({ want.shape:unpack() }, { t.shape:unpack() })
        assert.is_true(torch.equal(want, t), key)
        if order == "F" and i == "3" then assert.are.same({ 1, 2 }, { t:stride(0), t:stride(1) }, sign) end
      end
    end
    assert.are.equal("<b1.C.0", np.load(golden .. "stored.npz"):keys()())
    for _, name in ipairs { "version2", "version3" } do
      assert.are.same({ 0., 1., 2., 3., 4. }, np.load(golden .. name .. ".npy"):tolist())
    end
  end)

  it("are written byte by byte as NumPy would", function()
    for _, name in ipairs { "plain", "fortran" } do
      local bytes = command.read(golden .. name .. ".npy")
      local t = torch.from_numpy(bytes)
      assert.are.same({ { 0., 1., 2. }, { 3., 4., 5. } }, t:tolist())
      np.save(folder .. "/" .. name, t)
      assert.are.equal(bytes, command.read(folder .. "/" .. name .. ".npy"))
      for _, mode in ipairs { "c", "r" } do
        local mapped = np.load(folder .. "/" .. name .. ".npy", { mmap_mode = mode })
        mapped:add_(1)
        assert.are.equal(1., mapped[0][0]:item())
      end
      assert.are.equal(bytes, command.read(folder .. "/" .. name .. ".npy"))
    end
    -- Inside of an archive too.
    local arrays = np.load(golden .. "stored.npz")
    for _, key in ipairs { "<b1.C.2", "<i8.C.0", "<f2.F.4", "<f8.F.3", "<c16.C.1" } do
      np.save(folder .. "/a.npy", arrays[key])
      local one = command.read(folder .. "/a.npy")
      assert.truthy(command.read(golden .. "stored.npz"):find(one, 1, true), key)
    end
  end)

  it("hold several arrays", function()
    local arrays, path = np.load(golden .. "stored.npz"), folder .. "/all.npz"
    for _, save in ipairs { np.savez, np.savez_compressed } do
      save(path, arrays)
      local again = np.load(path)
      assert.are.equal(#arrays, #again)
      for key, t in arrays:items() do assert.is_true(torch.equal(t, again[key]) and t.dtype == again[key].dtype, key) end
      save(folder .. "/some", torch.ones(2), 3, { { 1, 2 } }, { x = true, ["é"] = torch.zeros(1000) })
      again = np.load(folder .. "/some.npz")
      local keys = {}
      for key in again:keys() do keys[#keys + 1] = key end
      assert.are.same({ "arr_0", "arr_1", "arr_2", "x", "é" }, keys)
      assert.are.equal(3, again.arr_1:item())
      assert.are.same({ { 1, 2 } }, again.arr_2:tolist())
      assert.are.equal(0., again["é"]:sum():item())
      save(folder .. "/some", OrderedDict { b = torch.ones(1) })
      assert.are.equal(1, #np.load(folder .. "/some.npz"))
      save(folder .. "/empty")
      assert.are.equal(0, #np.load(folder .. "/empty.npz"))
    end
    local first = command.read(path)
    np.savez_compressed(path, arrays)
    assert.are.equal(first, command.read(path)) -- no clock in it
  end)

  it("take tensors as they are", function()
    local path = folder .. "/t.npy"
    local x = torch.arange(24.):reshape(2, 3, 4)
    for _, t in ipairs { x, x:permute(2, 1, 0), x:permute(1, 0, 2), x["::2, 1:, ::3"], x[0][0][0], x["0:0"], x:expand(2, 2, 3, 4),
      torch.ones(2, { requires_grad = true }) } do
      np.save(path, t)
      assert.is_true(torch.equal(t, np.load(path)))
    end
    np.save(path, 2.5)
    assert.are.equal(2.5, np.load(path):item())
    np.save(path, { { 1, 2 }, { 3, 4 } })
    assert.are.same({ { 1, 2 }, { 3, 4 } }, np.load(path):tolist())
  end)

  it("of foreign types are named", function()
    fails("pickled Python objects, which could run code; they are never read", np.load, golden .. "object.npy")
    assert.are.equal("torch.uint32", tostring(np.load(golden .. "uint32.npy").dtype))
    fails("of type '<U1'", np.load, golden .. "text.npy")
    fails("has fields (a structured type)", np.load, golden .. "record.npy")
    fails("'allow_pickle' must be false", np.load, golden .. "plain.npy", nil, true)
    fails("'mmap_mode' must be", np.load, golden .. "plain.npy", "w+")
    fails("No such file", np.load, folder .. "/none")
    fails("it is a folder", np.load, folder)
    fails("NumPy has no bfloat16", np.save, folder .. "/no", torch.ones(1):bfloat16())
    fails("array 'x': NumPy has no bfloat16", np.savez, folder .. "/no", { x = torch.ones(1):bfloat16() })
    fails("'arr' must be a tensor", np.save, folder .. "/no", "text")
    fails("'file' must be a string", np.save, torch.ones(1), folder .. "/no")
    fails("'arr_0' is given twice", np.savez, folder .. "/no", torch.ones(1), { arr_0 = torch.ones(1) })
    fails("No such file or directory", np.savez, folder .. "/none/x", torch.ones(1))
    fails("zero byte", np.savez, folder .. "/no", { ["a\0b"] = torch.ones(1) })
    assert.is_nil(io.open(folder .. "/no.npy"))
    assert.is_nil(io.open(folder .. "/no.npz"))
  end)

  it("that break a rule are refused", function()
    local good = header_of("'<f4'", "False", "(2,)")
    local eight = ("<ff"):pack(1, 2)
    local function bad(pattern, header, data) fails(pattern, torch.from_numpy, file_of(header, data or eight)) end
    local function fine(header, data)
      assert.are.same({ 1., 2. }, torch.from_numpy(file_of(header, data or eight)):tolist())
    end
    fine(good)
    fine(good, eight .. "more arrays may follow")
    fine '{"shape":(2L,),"fortran_order":False,"descr":"<f4"}\n'
    fine("{'descr':'<f4','fortran_order':True,'shape':(2,)}")
    assert.are.same({ 1., 2. }, torch.from_numpy(file_of(good, eight, 3)):tolist())
    fails("ends in its header", torch.from_numpy, "\x93NUMPY\1\0")
    fails("ends in its header", torch.from_numpy, "\x93NUMPY\1\0\255\255{")
    fails("ends in its header", torch.from_numpy, "\x93NUMPY\2\0\1\0")
    fails("version 4.0", torch.from_numpy, file_of(good, eight, 4))
    fails("version 0.0", torch.from_numpy, file_of(good, eight, 0))
    fails("longer than the 65536 allowed", torch.from_numpy, file_of((" "):rep(70000), eight, 2))
    bad("is no dict", "")
    bad("is no dict", "[]")
    bad("lacks one of", "{}")
    bad("lacks one of", "{'descr': '<f4', 'shape': (2,)}")
    bad("no dict of names", "{descr: '<f4'}")
    bad("no dict of names", "{'descr' '<f4'}")
    bad("no dict of names", "{'" .. ("x"):rep(100) .. "': 1}")
    bad("unknown entry 'x'", "{'x': 1}")
    bad("has 'descr' twice", "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}")
    bad("dict does not end", "{'descr': '<f4' 'shape': (2,)}")
    bad("something follows", good .. "import os")
    bad("descr names no type", header_of("__import__('os')", "False", "(2,)"))
    bad("descr names no type", header_of("'" .. ("f"):rep(100) .. "'", "False", "(2,)"))
    bad("dict does not end", header_of("'<f4", "False", "(2,)"))
    bad("has fields", header_of("[('a', '<f4')]", "False", "(2,)"))
    bad("of type ''", header_of("''", "False", "(2,)"))
    bad("of type 'f4'", header_of("'f4'", "False", "(2,)"))
    bad("of type '<f16'", header_of("'<f16'", "False", "(2,)"))
    bad("of type '<M8[ns]'", header_of("'<M8[ns]'", "False", "(2,)"))
    bad("is no boolean", header_of("'<f4'", "0", "(2,)"))
    bad("shape is no tuple", header_of("'<f4'", "False", "[2]"))
    bad("shape is no tuple", header_of("'<f4'", "False", "(2)"))
    bad("no size", header_of("'<f4'", "False", "(-2,)"))
    bad("no size", header_of("'<f4'", "False", "(2, x)"))
    bad("no size", header_of("'<f4'", "False", "(,)"))
    bad("no size", header_of("'<f4'", "False", "(99999999999999999999,)"))
    bad("more than the 64 dims", header_of("'<f4'", "False", "(" .. ("1, "):rep(65) .. ")"))
    bad("truncated", header_of("'<f4'", "False", "(3,)"))
    bad("truncated", header_of("'<f4'", "False", "(4611686018427387904,)"))
    assert.is_false(pcall(torch.from_numpy, file_of(header_of("'<f4'", "False", "(4611686018427387904, 4)"))))
    local whole = file_of(good, eight)
    for n = 0, #whole - 1 do assert.is_false(pcall(torch.from_numpy, whole:sub(1, n))) end
  end)

  it("in damaged archives are refused", function()
    local path = folder .. "/damaged.npz"
    np.savez(path, { a = torch.arange(10), b = torch.ones(3) })
    local bytes = command.read(path)
    for n = 4, #bytes - 1, 7 do
      command.write(path, bytes:sub(1, n))
      assert.is_false(pcall(np.load, path))
    end
    -- A flipped bit in an array is seen by its checksum.
    local at = bytes:find(("<i8"):pack(7), 1, true)
    command.write(path, bytes:sub(1, at - 1) .. "\6" .. bytes:sub(at + 1))
    fails("checksum", np.load, path)
    for n = 1, #bytes, 3 do
      command.write(path, bytes:sub(1, n - 1) .. "\255" .. bytes:sub(n + 1))
      pcall(np.load, path)
    end
  end)

  it("need memory and say so", function()
    local path = folder .. "/memory.npz"
    local x = torch.arange(6):reshape(2, 3):t()
    for n = 0, 100 do
      core.memory_fail_after(n)
      local saved = pcall(np.savez_compressed, path, x)
      local ok, back = pcall(np.load, path)
      core.memory_fail_after(-1)
      if ok then assert.is_true(torch.equal(x, back.arr_0)) end
      if saved and ok then break end
      assert.is_true(n < 100)
    end
  end)
end)
