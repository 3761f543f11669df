-- Broadcasting walks short rows by planes, packs them, or takes a number from either side: each result is compared with that
-- of the operands written out in full.
local torch = require "lampad"

local shapes = {
  { { 40, 1, 3 }, { 1, 200, 3 } }, { { 50, 1, 16 }, { 1, 60, 16 } }, { { 12, 1, 100 }, { 1, 40, 100 } },
  { { 9, 1, 30, 1 }, { 1, 11, 1, 30 } }, { { 16, 16, 1, 16 }, { 16, 16, 16, 1 } }, { { 33, 1, 8, 1 }, { 1, 40, 1, 8 } },
  { { 6, 32, 1, 1 }, { 6, 32, 7, 7 } }, { { 6, 8, 1, 1 }, { 6, 8, 28, 28 } }, { { 1, 32, 1, 1 }, { 8, 32, 5, 5 } },
  { { 700, 1 }, { 1, 30 } }, { { 300, 5 }, { 300, 1 } }, { { 300, 65 }, { 65 } }, { { 2, 1, 300 }, { 2, 70, 1 } },
  { { 1, 1 }, { 70, 130 } }, { { 3, 1 }, { 3, 1000 } }, { { 90, 129 }, { 90, 1 } }, { { 5, 1 }, { 2, 5, 256 } }, { { 40, 301 }, { 40, 1 } },
}

local dtypes = { "float32", "float64", "bfloat16", "float16", "int64", "int32", "int16", "uint8", "bool", "complex64", "complex128" }

local ops = {
  add = function(a, b) return a + b end,
  add_twice = function(a, b) return torch.add(a, b, { alpha = 2 }) end,
  sub = function(a, b) return a - b end,
  rsub = function(a, b) return torch.rsub(a, b, { alpha = 3 }) end,
  mul = function(a, b) return a * b end,
  div = function(a, b) return a / b end,
  lt = torch.lt, le = torch.le, gt = torch.gt, ge = torch.ge, eq = torch.eq, ne = torch.ne,
  maximum = torch.maximum, where = function(a, b) return torch.where(a:ne(b), a, b) end,
}
local ordered = { lt = true, le = true, gt = true, ge = true, maximum = true }
local no_bool = { sub = true, rsub = true, add_twice = true }

local function same(a, b)
  assert.equal(tostring(a.shape), tostring(b.shape))
  if a.dtype == torch.bool then return assert.is_true(torch.equal(a, b)) end
  assert.is_true(torch.equal(a:nan_to_num(77), b:nan_to_num(77)))
end

describe("broadcasting", function()
  local threads = torch.get_num_threads()
  before_each(function() torch.manual_seed(3) end)
  after_each(function() torch.set_num_threads(threads) end)

  for _, name in ipairs(dtypes) do
    it("gives what operands written out give: " .. name, function()
      local dtype = torch[name]
      for number, pair in ipairs(shapes) do
        torch.set_num_threads(1 + number % 3)
        local x, y = torch.randint(0, 5, pair[1]):to(dtype), torch.randint(0, 5, pair[2]):to(dtype)
        local full = torch.broadcast_tensors(x, y)
        local fx, fy = full[1]:contiguous(), full[2]:contiguous()
        for op, run in pairs(ops) do
          if not (ordered[op] and dtype.is_complex) and not (no_bool[op] and dtype == torch.bool) then
            same(run(x, y), run(fx, fy))
            same(run(y, x), run(fy, fx))
          end
        end
      end
    end)
  end

  it("writes in place, and through steps", function()
    for _, pair in ipairs(shapes) do
      local x, y = torch.randn(pair[1]), torch.randn(pair[2])
      local full = torch.broadcast_tensors(x, y)
      for _, op in ipairs { "sub_", "mul_", "lt_" } do
        local a, b = full[2]:contiguous():clone(), full[1]:contiguous()
        local expected = a:clone()
        expected[op](expected, b)
        same(a[op](a, x), expected)
        local spread = torch.zeros(full[2]:numel(), 2):select(1, 1):view(full[2].shape):copy_(full[2])
        same(spread[op](spread, x), expected)
      end
      same(torch.sub(x, y, { out = torch.empty(0) }), full[1]:contiguous() - full[2]:contiguous())
    end
  end)
end)
