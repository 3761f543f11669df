-- Storages, tensors over bytes and files, methods written in Lua.
local torch = require "lampad"

local function values(t) return t:tolist() end

describe("a storage", function()
  it("is the memory of the tensor, as numbers counted from 0", function()
    local x = torch.tensor { { 1., 2. }, { 3., 4. } }
    local s = x[1]:storage()
    assert.are.equal(4, #s)
    assert.are.equal(16, s:nbytes())
    assert.are.same({ 1., 2., 3., 4. }, s:tolist())
    assert.are.equal(4., s[-1])
    s[0] = 9
    assert.are.equal(9., x[0][0]:item())
    assert.has_error(function() return s[4] end)
    assert.are.equal(x:data_ptr(), s:data_ptr())
    assert.are.equal(16, #x:untyped_storage())
    assert.are.equal("torch.FloatStorage", s:type())
    assert.is_true(torch.is_storage(s))
    assert.is_false(torch.is_storage(x))
    assert.is_true(s == x:storage())
  end)

  it("prints as PyTorch's", function()
    assert.are.equal(" 1.0\n 0.10000000149011612\n[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of size 2]",
      tostring(torch.tensor { 1., 0.1 }:storage()))
    assert.are.equal(" 7\n[torch.storage.UntypedStorage(device=cpu) of size 1]",
      tostring(torch.tensor({ 7 }, { dtype = torch.uint8 }):untyped_storage()))
  end)

  it("is copied, filled, made larger and given to tensors", function()
    local x, y = torch.zeros(3), torch.tensor { 1., 2., 3. }
    x:storage():copy_(y:storage())
    assert.are.same({ 1., 2., 3. }, values(x))
    x:storage():fill_(5)
    assert.are.same({ 5., 5., 5. }, values(x))
    assert.has_error(function() x:storage():copy_(torch.ones(2):storage()) end)
    local z = torch.empty(0):set_(y:storage(), 1, { 2 })
    assert.are.same({ 2., 3. }, values(z))
    assert.is_true(z:is_same_storage(y))
    assert.are.equal(0, torch.ones(3):set_():numel())
    assert.has_error(function() torch.zeros(1, { dtype = torch.int64 }):set_(y:storage()) end)
    assert.has_error(function() torch.zeros(1):set_(y, 2, { 5 }) end)
    local big = x:storage():resize_(10)
    assert.are.equal(10, #big)
    assert.are.same({ 5., 5., 5. }, values(x))
  end)

  it("is shared when asked", function()
    local x = torch.tensor { 1., 2. }
    assert.is_false(x:is_shared())
    assert.are.equal(x, x:share_memory_())
    assert.is_true(x:is_shared())
    assert.is_true(x["1:"]:is_shared())
    assert.are.same({ 1., 2. }, values(x))
  end)
end)

describe("bytes", function()
  it("become tensors by frombuffer", function()
    assert.are.same({ 1684234849, 1751606885 }, values(torch.frombuffer("abcdefgh", { dtype = torch.int32 })))
    assert.are.same({ 1684234849 }, values(torch.frombuffer("xabcd", { dtype = torch.int32, offset = 1, count = 1 })))
    assert.are.same({ true, false }, values(torch.frombuffer("\2\0", { dtype = torch.bool })))
    for _, options in ipairs {
      { dtype = torch.int32, offset = 3 }, { dtype = torch.int32, offset = 20 }, { dtype = torch.int32, count = 9 },
      { dtype = torch.float64, count = 0 }, { dtype = torch.int32, offset = -1 }, {},
    } do assert.has_error(function() torch.frombuffer("abcdefgh", options) end) end
    assert.has_error(function() torch.frombuffer("", { dtype = torch.uint8 }) end)
  end)

  it("of .npy files become tensors by from_numpy, nested tables too", function()
    local function npy(text, data)
      text = text .. (" "):rep(117 - #text) .. "\n"
      return "\x93NUMPY\1\0" .. string.pack("<s2", text) .. data
    end
    local data = string.pack("<ffffff", 0, 3, 1, 4, 2, 5)
    local x = torch.from_numpy(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", data))
    assert.are.same({ { 0., 1., 2. }, { 3., 4., 5. } }, values(x))
    x = torch.from_numpy(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }", string.pack("<hh", 7, -8)))
    assert.are.same({ 7, -8 }, values(x))
    assert.are.equal(torch.int16, x.dtype)
    assert.are.same({ { 1, 2 } }, values(torch.from_numpy { { 1, 2 } }))
    assert.has_error(function() torch.from_numpy "abc" end)
    assert.has_error(function() torch.from_numpy(3) end)
    assert.has_error(function() torch.from_numpy(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }", data)) end)
    assert.has_error(function() torch.from_numpy(npy("{'descr': '<u3', 'fortran_order': False, 'shape': (6,), }", data)) end)
    assert.has_error(function() torch.from_numpy "\x93NUMPY\1\0\255\255{" end)
    for _, shape in ipairs { "(99999999999999999999,)", "(4611686018427387904, 4)", "(0, 9223372036854775807)" } do
      pcall(torch.from_numpy, npy(("{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"):format(shape), data))
    end
  end)

  it("of files become tensors by from_file", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(string.pack("<iii", 1, 2, 3))
    file:close()
    local x = torch.from_file(path, { size = 3, dtype = torch.int32 })
    assert.are.same({ 1, 2, 3 }, values(x))
    x[0] = 9
    assert.are.same({ 1, 2, 3 }, values(torch.from_file(path, { size = 3, dtype = torch.int32 })))
    assert.has_error(function() torch.from_file(path, { size = 4, dtype = torch.int32 }) end)
    local shared = torch.from_file(path, true, 4, { dtype = torch.int32 })
    shared[3] = 4
    assert.is_true(shared:is_shared())
    assert.are.same({ 1, 2, 3, 4 }, values(torch.from_file(path, { size = 4, dtype = torch.int32 })))
    assert.are.equal(0, torch.from_file(path):numel())
    os.remove(path)
    local ok, message = pcall(torch.from_file, path, { size = 1 })
    assert.is_false(ok)
    assert.truthy(message:find(path, 1, true))
    assert.has_error(function() torch.from_file("/", { size = 1 }) end)
    assert.has_error(function() torch.from_file("/dev/zero", { size = 1 }) end)
  end)
end)

describe("methods", function()
  it("of types", function()
    local x = torch.ones(2)
    assert.are.equal("torch.FloatTensor", x:type())
    assert.are.equal("torch.LongTensor", x:long():type())
    assert.are.equal(torch.float64, x:type("torch.DoubleTensor").dtype)
    assert.are.equal(torch.int32, x:type(torch.int32).dtype)
    assert.has_error(function() x:type("torch.BigTensor") end)
    assert.are.equal(x, x:to_dense())
    assert.are.equal(torch.float32, x:double():dequantize().dtype)
  end)

  it("where, apply_, map_", function()
    local x = torch.tensor { { 1., -2. }, { 3., -4. } }
    assert.are.same({ { 1., 0. }, { 3., 0. } }, values(x:where(x:gt(0), 0.)))
    assert.are.same({ { 2., -4. }, { 6., -8. } }, values(x:clone():apply_(function(v) return 2 * v end)))
    assert.are.same({ { 2., -1. }, { 4., -3. } }, values(x:clone():map_(torch.ones(2), function(a, b) return a + b end)))
    assert.are.same({ { 1., 3. }, { -2., -4. } }, values(x:clone():t():apply_(function(v) return v end)))
    assert.has_error(function() x:apply_(3) end)
    assert.has_error(function() torch.ones(2, { requires_grad = true }):apply_(function(v) return v end) end)
    assert.has_error(function() x:map_(torch.ones(2):long(), function(a) return a end) end)
  end)

  it("as_strided_ changes the tensor itself, and a gradient flows through", function()
    local x = torch.arange(6.):requires_grad_()
    local y = (x * 1):as_strided_({ 2, 2 }, { 3, 1 })
    y:sum():backward()
    assert.are.same({ 1., 1., 0., 1., 1., 0. }, values(x.grad))
  end)

  it("questions", function()
    local x = torch.zeros(2, 3)
    assert.is_false(x:is_conj() or x:is_neg() or torch.is_conj(x))
    assert.is_true(x:is_signed() and not torch.zeros(1):byte():is_signed())
    assert.is_true(torch.is_nonzero(torch.tensor(2)))
    assert.has_error(function() torch.is_nonzero(x) end)
    assert.are.same({ 1, 0 }, { x:t():dim_order() })
    assert.is_true(x:is_set_to(x:view(2, 3)) and not x:is_set_to(x:t()))
  end)
end)
