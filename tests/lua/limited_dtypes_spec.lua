-- The dtypes that are only held: uint16, uint32, uint64 and the float8s. Values of PyTorch are in
-- tests/golden/checkpoints/limited.pt, written by scripts/gen/golden_checkpoints.py.
local torch = require "lampad"
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local golden = torch.load(here .. "/../golden/checkpoints/limited.pt")

local unsigned = { "uint16", "uint32", "uint64" }
local float8 = { "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz" }
local all = table.move(float8, 1, 4, 4, { table.unpack(unsigned) })

local function bits(x) return x:contiguous():view(torch.uint8) end

describe("limited dtypes", function()
  it("load as PyTorch saved them, and are saved so", function()
    local path = os.tmpname()
    torch.save(golden, path)
    local again = torch.load(path)
    os.remove(path)
    for _, name in ipairs(all) do
      for key, x in golden[name]:items() do
        local y = again[name][key]
        assert.equal(x.dtype, y.dtype)
        assert.same(x:stride(), y:stride())
        assert.is_true(torch.equal(bits(x), bits(y)))
        assert.equal(x.requires_grad, y.requires_grad)
      end
      assert.equal(torch[name], golden[name].x.dtype)
      assert.is_true(torch.is_tensor(golden[name].parameter))
    end
    assert.same({ { 1, 2, 3 }, { 65535, 0, 7 } }, golden.uint16.x:tolist())
    assert.same({ 1, 3 }, golden.uint16.turned:stride())
    assert.same({ { 1, 2, 3 }, { 4294967295, 0, 7 } }, golden.uint32.x:tolist())
    assert.equal([=[
tensor([[                   1,                    2,                    3],
        [18446744073709551615,                    0,                    7]],
       dtype=torch.uint64)]=], tostring(golden.uint64.x))
    assert.equal(0x1p64, golden.uint64.x[{ 1, 0 }]:item())
  end)

  it("of float8 convert as PyTorch's, all patterns and all roundings", function()
    for _, name in ipairs(float8) do
      local v, dtype = golden[name], torch[name]
      local x = v.x:view(-1):float()
      assert.is_true(torch.equal(x:isnan(), v.float:isnan()), name)
      assert.is_true(torch.equal(x:nan_to_num(7), v.float:nan_to_num(7)), name)
      assert.is_true(torch.equal(bits(v.given:to(dtype)), bits(v.rounded)), name)
      assert.is_true(torch.equal(bits(v.given:double():to(dtype)), bits(v.rounded)), name)
      assert.is_true(torch.equal(v.given:to(dtype):half():isnan(), v.rounded:float():isnan()))
    end
    assert.equal("tensor([ 1.5000, -3.0000], dtype=torch.float8_e5m2)",
      tostring(torch.tensor({ 1.5, -3 }, { dtype = torch.float8_e5m2 })))
    assert.equal("finfo(resolution=1, min=-448, max=448, eps=0.125, smallest_normal=0.015625, tiny=0.015625, "
      .. "dtype=float8_e4m3fn)", tostring(torch.finfo(torch.float8_e4m3fn)))
  end)

  for _, name in ipairs(all) do
    it(name .. " is made, indexed, joined, filled, compared and converted", function()
      local dtype = torch[name]
      local x = torch.tensor({ { 1, 2, 0 }, { 3, 4, 5 } }, { dtype = dtype })
      assert.is_true(x:eq(x):all():item())
      assert.equal(5, x:ne(1):sum():item())
      assert.is_true(torch.equal(x, x:clone()))
      assert.is_true(torch.equal(x:float():to(dtype), x))
      assert.is_true(torch.equal(torch.ones(2, 3):copy_(x), x:float()))
      assert.same({ 1, 2, 0, 1, 2, 0 }, torch.cat { x[0], x[0] }:long():tolist())
      assert.same({ 2, 2, 3 }, { torch.stack { x, x }.shape:unpack() })
      assert.equal(2, x[{ 0, 1 }]:item())
      assert.same({ { 3, 4, 5 } }, x[torch.tensor { 1 }]:long():tolist())
      assert.same({ 3, 4, 5 }, x[x:float():gt(2)]:long():tolist())
      assert.same({ { 1, 3 }, { 2, 4 }, { 0, 5 } }, x:t():contiguous():long():tolist())
      assert.same({ { 0, 2, 1 }, { 5, 4, 3 } }, x:flip(1):long():tolist())
      x[{ 0, 0 }] = 3
      x["1"] = 1
      x[torch.tensor { 1 }] = 2
      assert.same({ { 3, 2, 0 }, { 2, 2, 2 } }, x:long():tolist())
      assert.same({ { 3, 0, 0 }, { 0, 0, 0 } }, torch.where(x:float():gt(2), x, torch.zeros_like(x)):long():tolist())
      assert.same({ 3, 3 }, torch.full({ 2 }, 3, { dtype = dtype }):long():tolist())
      assert.same({ 0, 0 }, x[0]["0:2"]:clone():zero_():long():tolist())
      assert.equal(torch.float32, torch.zeros(2, { dtype = dtype }):float().dtype)
    end)

    it(name .. " is refused by every other op", function()
      local dtype = torch[name]
      local x = torch.ones(2, 2):to(dtype)
      for _, f in ipairs { function() return x + 1 end, function() return 1 - x end, function() return x:matmul(x) end,
        function() return x:sum() end, function() return x:sort() end, function() return x:add_(1) end,
        function() return torch.arange(3, { dtype = dtype }) end, function() return torch.ones(3):sum { dtype = dtype } end,
        function() return torch.where(x) end, function() return x:index_put_({ torch.tensor { 0 } }, x[0], true) end } do
        assert.error_matches(f, ("is not implemented for %s, which is only held, copied and converted"):format(name))
      end
      assert.error_matches(function() return torch.promote_types(dtype, torch.int32) end, "have no common dtype")
      assert.error_matches(function() torch.set_default_dtype(dtype) end, "default")
    end)
  end

  it("take numbers in their range", function()
    assert.error_matches(function() return torch.tensor({ -1 }, { dtype = torch.uint16 }) end, "without overflow")
    assert.error_matches(function() return torch.tensor({ 65536 }, { dtype = torch.uint16 }) end, "without overflow")
    assert.same({ 65535 }, torch.tensor({ -1 }):to(torch.uint16):tolist())
    assert.equal("tensor([18446744073709551615], dtype=torch.uint64)", tostring(torch.tensor({ -1 }):to(torch.uint64)))
    assert.equal(4294967295, torch.iinfo(torch.uint32).max)
    assert.is_false(torch.uint16.is_signed)
  end)
end)
