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

  it("gives what operands of one dtype give where theirs differ", function()
    local mixed = { { "bfloat16", "float32" }, { "float16", "bfloat16" }, { "int64", "float32" }, { "bool", "bfloat16" },
      { "float32", "bool" }, { "uint8", "int64" }, { "int32", "float64" }, { "float32", "float64" }, { "complex64", "float32" },
      { "int64", "float16" } }
    for number, pair in ipairs(shapes) do
      torch.set_num_threads(1 + number % 3)
      for _, names in ipairs(mixed) do
        local x, y = torch.randint(0, 5, pair[1]):to(torch[names[1]]), torch.randint(0, 5, pair[2]):to(torch[names[2]])
        local dtype, full = torch.result_type(x, y), torch.broadcast_tensors(x, y)
        local fx, fy = full[1]:contiguous():to(dtype), full[2]:contiguous():to(dtype)
        for op, run in pairs(ops) do
          if not (ordered[op] and dtype.is_complex) and not (no_bool[op] and (x.dtype == torch.bool or y.dtype == torch.bool)) then
            same(run(x, y), run(fx, fy))
            same(run(y, x), run(fy, fx))
          end
        end
        if torch.can_cast(dtype, x.dtype) then
          same(full[1]:contiguous():clone():mul_(y), (fx * fy):to(x.dtype))
          local spread = torch.zeros(fx:numel(), 2):to(x.dtype):select(1, 1):view(fx.shape):copy_(fx)
          same(spread:mul_(y), (fx * fy):to(x.dtype))
        end
      end
    end
  end)

  it("fills and chooses by masks of rows, columns and planes", function()
    for number, pair in ipairs(shapes) do
      torch.set_num_threads(1 + number % 3)
      for _, name in ipairs(dtypes) do
        local x, y = torch.randint(0, 5, pair[1]):to(torch[name]), torch.randint(0, 5, pair[2]):to(torch[name])
        local full = torch.broadcast_tensors(x, y)
        for i, mask in ipairs { torch.randint(0, 2, pair[1]):gt(0), torch.randint(0, 2, pair[2]):gt(0) } do
          local wide = mask:expand(full[1].shape):contiguous()
          local chosen = wide:to(torch.uint8)
          local fx, fy = full[1]:contiguous(), full[2]:contiguous()
          same(torch.where(mask, x, y), torch.where(wide, fx, fy))
          same(fx:masked_fill(mask, 3), torch.where(wide, torch.full_like(fx, 3), fx))
          local picked = full[i]:contiguous():view(-1):to(torch.float64):index_select(0, chosen:view(-1):nonzero():view(-1))
          same(torch.where(mask, full[i], 0):to(torch.float64):sum(), picked:sum())
        end
      end
    end
  end)

  it("casts what lies in rows, columns and steps", function()
    for _, shape in ipairs { { 300, 7 }, { 5, 40, 3 }, { 1000, 1 }, { 40, 129 }, { 6, 300 } } do
      local x = torch.randint(0, 5, shape)
      for _, name in ipairs(dtypes) do
        local dtype, last = torch[name], #shape - 1
        local part = x:narrow(last, 0, math.max(1, shape[#shape] - 1))
        same(part:to(dtype), part:contiguous():to(dtype))
        same(x:transpose(0, -1):to(dtype):contiguous(), x:transpose(0, -1):contiguous():to(dtype))
        same(x:select(last, 0):to(dtype), x:select(last, 0):contiguous():to(dtype))
        local filled = x:to(dtype):clone()
        filled:narrow(last, 0, math.max(1, shape[#shape] - 1)):fill_(1)
        local edge = torch.arange(shape[#shape]):lt(math.max(1, shape[#shape] - 1)):expand(shape):contiguous()
        same(filled, torch.where(edge, torch.ones_like(filled), x:to(dtype)))
      end
    end
  end)

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
