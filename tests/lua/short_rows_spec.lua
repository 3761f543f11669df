-- Short rows go many at a time: triangles of small matrices, indexing and scans along short dims. Each result is compared with
-- its definition, spelled out by other operations.
local torch = require "lampad"

local dtypes = { "uint8", "bfloat16", "float32", "float64", "complex128" } -- elements of 1, 2, 4, 8, 16 bytes

local function same(a, b)
  assert.equal(tostring(a.shape), tostring(b.shape))
  assert.equal(a.dtype, b.dtype)
  assert.is_true(torch.equal(a, b))
end

describe("short rows", function()
  local threads = torch.get_num_threads()
  before_each(function() torch.manual_seed(4) end)
  after_each(function() torch.set_num_threads(threads) end)

  it("have triangles on every diagonal", function()
    local shapes = { { 1, 1 }, { 5, 1 }, { 1, 5 }, { 9, 4 }, { 40, 70 }, { 20000, 3 }, { 3, 20000 }, { 700, 1, 1 }, { 700, 2, 3 },
      { 301, 7, 7 }, { 50, 3, 40 }, { 3, 40, 3 }, { 2, 5, 33, 65 }, { 0, 3, 3 }, { 3, 0 } }
    for number, s in ipairs(shapes) do
      torch.set_num_threads(1 + number % 3)
      local rows, cols = s[#s - 1], s[#s]
      local distance = torch.arange(cols):unsqueeze(0) - torch.arange(rows):unsqueeze(1)
      for i, name in ipairs(dtypes) do
        local x = torch.randint(1, 9, s):to(torch[name])
        local zero = torch.zeros(s, { dtype = torch[name] })
        local turned = x:transpose(-1, -2):contiguous():transpose(-1, -2)
        for _, k in ipairs { -rows - cols - 7, -rows, 1 - rows, -2, -1, 0, 1, 2, cols - 1, cols, rows + cols + 7, math.mininteger,
          math.maxinteger } do
          local upper, lower = torch.where(distance:ge(k), x, zero), torch.where(distance:le(k), x, zero)
          same(x:triu(k), upper)
          same(x:tril(k), lower)
          same(turned:triu(k), upper)
          same(turned:tril(k), lower)
          if i == 1 + number % 5 then
            same(x:clone():triu_(k), upper)
            same(x:clone():tril_(k), lower)
            same(turned:clone():tril_(k), lower)
            local wide = torch.cat({ x, x }, -1)
            same(wide:narrow(-1, 0, cols):triu_(k), upper)
            same(wide:narrow(-1, 0, cols), upper)
            same(wide:narrow(-1, cols, cols), x)
          end
        end
      end
    end
  end)

  it("are turned, and their extremes and sums found, in every dtype", function()
    for number, s in ipairs { { 1, 5 }, { 7, 9 }, { 8, 8 }, { 9, 5 }, { 17, 6 }, { 40, 7 }, { 300, 2 }, { 333, 10 }, { 1000, 17 },
      { 70, 33 }, { 129, 56 }, { 65, 57 }, { 5000, 12 } } do
      torch.set_num_threads(1 + number % 3)
      local x = torch.randint(0, 50, s)
      local columns = {}
      for j = 0, s[2] - 1 do columns[j + 1] = x:select(1, j):contiguous() end
      local turned = torch.cat(columns):view(s[2], s[1])
      local exact = x:to(torch.float64)
      for _, name in ipairs { "uint8", "int8", "bool", "int16", "float16", "bfloat16", "int32", "float32", "int64", "float64" } do
        local y = (name == "bool" and x:gt(25) or x):to(torch[name])
        local wide = name == "bool" and x:gt(25):to(torch.float64) or exact
        same(y:t():contiguous(), (name == "bool" and turned:gt(25) or turned):to(torch[name]))
        local sum = y:sum(1)
        same(sum, wide:sum(1):to(sum.dtype))
        same(y:amax(1):to(torch.float64), wide:amax(1))
        same(y:amin(1):to(torch.float64), wide:amin(1))
        local value, place = y:max(1)
        same(value:to(torch.float64), wide:amax(1))
        same(wide:gather(1, place:unsqueeze(1)):squeeze(1), wide:amax(1))
        same(place, wide:eq(wide:amax(1, true)):to(torch.int64):argmax(1))
        if name ~= "bool" then same(y:argmin(1), wide:eq(wide:amin(1, true)):to(torch.int64):argmax(1)) end
        same(y:gt(0):any(1), wide:amax(1):gt(0))
        same(y:gt(0):all(1), wide:amin(1):gt(0))
      end
    end
  end)

  it("are turned into columns", function()
    for rows = 1, 40, 3 do
      for _, columns in ipairs { 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33 } do
        local places = torch.arange(rows * columns):view(rows, columns)
        -- Element (j, i) is number i * columns + j.
        local expected = torch.arange(columns):unsqueeze(1) + torch.arange(rows) * columns
        for _, name in ipairs { "int16", "int32", "int64" } do
          local x = places:to(torch[name])
          same(x:t():contiguous(), expected:to(torch[name]))
          local wide = torch.cat({ x, x, x }, 1)
          same(wide:narrow(1, columns, columns):t():contiguous(), expected:to(torch[name]))
        end
      end
    end
  end)

  it("are taken by their places, counted from either end", function()
    for number, n in ipairs { 1, 511, 513, 16385, 70000 } do
      torch.set_num_threads(1 + number % 3)
      local at = torch.randint(-600, 600, { n })
      for _, name in ipairs(dtypes) do
        local x = (torch.arange(600) % 9):view(20, 30):to(torch[name])
        local expected = (at % 600 % 9):to(torch[name])
        same(x:take(at), expected)
        same(x:t():contiguous():t():take(at), expected)
      end
      at[{ n - 1 }] = 600
      assert.error_matches(function() torch.zeros(20, 30):take(at) end, "600")
    end
  end)

  -- Where self's elements lie that x:gather(dim, index) names, counted in row-major order.
  local function flat_places(shape, dim, index)
    local step, flat = 1, torch.zeros(index.shape, { dtype = torch.int64 })
    for d = #shape, 1, -1 do
      local sizes = {}
      for i = 1, #shape do sizes[i] = i == d and index:size(d - 1) or 1 end
      flat = flat + (d - 1 == dim and index or torch.arange(index:size(d - 1)):view(sizes)) * step
      step = step * shape[d]
    end
    return flat
  end

  it("are gathered and scattered along any dim", function()
    local shapes = { { 3000, 3 }, { 3, 3000 }, { 500, 1 }, { 700, 17 }, { 100, 63 }, { 100, 64 }, { 60, 70 }, { 40, 7, 5 }, { 6, 50, 2, 3 },
      { 20, 1, 30 }, { 9000, 2 }, { 2, 3, 9000 }, { 3, 20000, 2 }, { 7 } }
    for number, s in ipairs(shapes) do
      torch.set_num_threads(1 + number % 3)
      for i, name in ipairs(dtypes) do
        local dtype = torch[name]
        local x, v = torch.randint(0, 9, s):to(dtype), torch.randint(0, 9, s):to(dtype)
        for dim = 0, #s - 1 do
          local index = torch.randint(0, s[dim + 1], s)
          local flat = flat_places(s, dim, index)
          local turned = #s > 1 and x:transpose(0, -1):contiguous():transpose(0, -1) or x
          same(x:gather(dim, index), x:take(flat))
          same(turned:gather(dim, index), x:take(flat))
          same(x:scatter(dim, index, v), x:put(flat, v))
          same(x:scatter_add(dim, index, v), x:put(flat, v, true))
          same(x:scatter(dim, index, 3), x:put(flat, torch.full_like(v, 3)))
          same(turned:clone():scatter_add_(dim, index, v), x:put(flat, v, true))
          if i == 1 + number % 5 then
            same(x:scatter(dim, index, turned), x:put(flat, x))
            local few, wide = index, torch.cat({ x, x }, -1)
            for d = 0, #s - 1 do few = few:narrow(d, 0, (s[d + 1] + 1) // 2) end
            local places = flat_places(s, dim, few)
            same(x:gather(dim, few), x:take(places))
            same(x:scatter_add(dim, few, v), x:put(places, v:take(flat_places(s, -1, few)), true))
            same(wide:narrow(-1, 0, s[#s]):gather(dim, index), x:take(flat))
            local all = torch.tensor({ 0 }):view(#s == 1 and { 1 } or #s == 2 and { 1, 1 } or #s == 3 and { 1, 1, 1 } or { 1, 1, 1, 1 }):expand(s)
            same(x:gather(dim, all), x:narrow(dim, 0, 1):expand(s):contiguous())
          end
        end
      end
    end
  end)

  it("are selected, added to, copied and filled along any dim", function()
    local shapes = { { 3000, 3 }, { 3, 900 }, { 500, 1 }, { 700, 17 }, { 100, 63 }, { 100, 64 }, { 60, 70 }, { 40, 7, 5 }, { 6, 50, 2, 3 },
      { 20, 1, 30 }, { 4, 90, 50 }, { 2, 9000, 2 }, { 30, 100 }, { 7 } }
    for number, s in ipairs(shapes) do
      for i, name in ipairs(dtypes) do
        local dtype = torch[name]
        local x = torch.randint(0, 9, s):to(dtype)
        local turned = #s > 1 and x:transpose(0, -1):contiguous():transpose(0, -1) or x
        for dim = 0, #s - 1 do
          for _, n in ipairs { 1, 5, i ~= 1 + number % 5 and 30 or dim == 0 and s[2] == 3 and 30000 or 300 } do
            torch.set_num_threads(1 + (number + n) % 3)
            local index, ones, sizes = torch.randint(0, s[dim + 1], { n }), {}, table.move(s, 1, #s, 1, {})
            for d = 1, #s do ones[d] = d == dim + 1 and n or 1 end
            sizes[dim + 1] = n
            local flat, v = flat_places(s, dim, index:view(ones):expand(sizes)), torch.randint(0, 9, sizes):to(dtype)
            same(x:index_select(dim, index), x:take(flat))
            same(turned:index_select(dim, index), x:take(flat))
            same(x:index_copy(dim, index, v), x:put(flat, v))
            same(x:index_add(dim, index, v), x:put(flat, v, true))
            same(x:index_fill(dim, index, 3), x:put(flat, torch.full_like(v, 3)))
            same(turned:clone():index_copy_(dim, index, v), x:put(flat, v))
            same(turned:clone():index_add_(dim, index, v), x:put(flat, v, true))
            local wide = torch.cat({ v, v }, -1):narrow(-1, 1, sizes[#s])
            same(x:index_copy(dim, index, wide), x:put(flat, wide:contiguous()))
            same(x:index_add(dim, index, wide), x:put(flat, wide:contiguous(), true))
          end
        end
      end
    end
  end)

  -- The results of step(carry, slice, number) along dim, one slice after the other.
  local function run_along(x, dim, step)
    local results, carry = {}, nil
    for i = 0, x:size(dim) - 1 do
      carry = step(carry, x:select(dim, i), i)
      results[i + 1] = carry
    end
    return torch.stack(results, dim)
  end

  it("have running sums, products and extremes along any dim", function()
    local names = { "float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8", "bool", "complex64", "complex128" }
    local shapes = { { 40, 70, 2 }, { 3, 5, 64, 9 }, { 11, 33 }, { 5000, 3 } }
    for n = 1, 20 do shapes[#shapes + 1] = { n, 41 } end
    for _, n in ipairs { 31, 32, 33, 63, 64, 65, 70 } do shapes[#shapes + 1] = { n, 130 } end
    for number, s in ipairs(shapes) do
      torch.set_num_threads(1 + number % 3)
      for _, name in ipairs(names) do
        local x = torch.randint(0, 2, s):to(torch[name])
        local signs = torch.randint(0, 2, s):mul(2):sub(1):to(torch[name])
        local wide = torch.cat({ x, x }, -1):narrow(-1, 1, s[#s])
        local turned = x:transpose(0, -1):contiguous():transpose(0, -1)
        local sum_dtype = x:cumsum(0).dtype
        for dim = s[1] > 1000 and 1 or 0, #s - 1 do
          local function sums(of)
            return run_along(of:to(sum_dtype), dim, function(carry, slice) return carry and carry + slice or slice end)
          end
          same(x:cumsum(dim), sums(x))
          same(turned:cumsum(dim), sums(x))
          same(wide:cumsum(dim), sums(wide))
          same(signs:cumprod(dim), run_along(signs:to(sum_dtype), dim, function(c, slice) return c and c * slice or slice end))
          if not torch[name].is_complex and name ~= "bool" then
            local best = x:cummax(dim)
            same(best, run_along(x, dim, function(c, slice) return c and torch.maximum(c, slice) or slice end))
            local _, places = x:cummax(dim)
            same(places, run_along(x, dim, function(c, slice, i)
              local at, before = torch.full_like(slice, i):to(torch.int64), c or torch.zeros_like(slice):to(torch.int64)
              local held = x:gather(dim, before:unsqueeze(dim)):squeeze(dim)
              return torch.where(slice:ge(held), at, before)
            end))
          end
        end
      end
    end
  end)

  it("have sums that no other row enters", function()
    for n = 1, 70 do
      for _, name in ipairs { "float32", "float64", "bfloat16" } do
        local x = torch.ones({ 50, n }, { dtype = torch[name] })
        x:select(0, 7):fill_(0 / 0)
        x:select(0, 20):fill_(math.huge)
        x:select(0, 21):fill_(-math.huge)
        local rows, columns = x:cumsum(1), x:t():contiguous():cumsum(0)
        same(rows:nan_to_num(0), columns:t():nan_to_num(0))
        assert.equal(n, rows:isnan():sum():item())
        assert.equal(2 * n, rows:isinf():sum():item())
        same(rows:select(0, 49), torch.arange(1, n + 1):to(torch[name]))
      end
    end
  end)

  it("have running extremes and log-sums down columns as along rows, NaN and infinities among them", function()
    for _, s in ipairs { { 50, 3 }, { 40, 8 }, { 30, 70 }, { 9, 600 }, { 1, 20 } } do
      for _, name in ipairs { "float32", "float64", "bfloat16", "int64", "uint8" } do
        local x = torch.randint(0, 6, s):to(torch[name])
        if x.dtype.is_floating_point then
          x = torch.where(torch.rand(s):lt(0.02), torch.full_like(x, 0 / 0), x)
          x = torch.where(torch.rand(s):lt(0.05), torch.full_like(x, -math.huge), x)
          local down, along = x:logcumsumexp(0), x:t():contiguous():logcumsumexp(1):t()
          assert.is_true(torch.allclose(down, along, { rtol = 1e-2, atol = 1e-2, equal_nan = true }))
        end
        for _, op in ipairs { "cummax", "cummin" } do
          local values, places = x[op](x, 0)
          local row_values, row_places = x:t():contiguous()[op](x:t():contiguous(), 1)
          same(places, row_places:t():contiguous())
          assert.is_true(torch.allclose(values:double(), row_values:t():double(), { rtol = 0, atol = 0, equal_nan = true }))
        end
      end
    end
  end)

  it("have their true elements named by every dim", function()
    local shapes = { { 3, 5, 1, 2 }, { 40, 40, 40 }, { 3000, 1, 1, 3 }, { 2, 3, 0 } }
    for n = 1, 20 do shapes[#shapes + 1] = { 400, 7, n } end
    for number, s in ipairs(shapes) do
      torch.set_num_threads(1 + number % 3)
      for _, share in ipairs { 0, 0.1, 0.9, 1 } do
        local mask = torch.rand(s):lt(share)
        local flat, at = torch.zeros({ mask:sum():item() }, { dtype = torch.int64 }), mask:nonzero()
        assert.equal(#s, at:size(1))
        for d = 1, #s do
          local column = at:select(1, d - 1)
          assert.is_true(column:ge(0):all():item() and column:lt(s[d]):all():item())
          flat = flat * s[d] + column
        end
        same(flat, mask:flatten():nonzero():select(1, 0))
        for d, column in ipairs(torch.where(mask)) do same(column, at:select(1, d - 1)) end
      end
    end
  end)

  it("report bad indices wherever they stand", function()
    for _, s in ipairs { { 3000, 3 }, { 2, 3000, 5 }, { 70, 64 } } do
      local x = torch.randn(s)
      for dim = 0, #s - 1 do
        for _, bad in ipairs { -1, s[dim + 1], math.maxinteger, math.mininteger } do
          local index = torch.zeros(s, { dtype = torch.int64 })
          index:view(-1)[-2] = bad
          local text = ("index %d is out of bounds for dimension %d with size %d"):format(bad, dim, s[dim + 1])
          assert.error_matches(function() return x:gather(dim, index) end, text, 1, true)
          assert.error_matches(function() return x:scatter(dim, index, x) end, text, 1, true)
          local kept = x:clone()
          assert.error_matches(function() return kept:scatter_add_(dim, index, x) end, text, 1, true)
          assert.is_true(torch.equal(kept, x))
        end
      end
    end
  end)

  it("joins expanded tensors as their copies", function()
    for _, x in ipairs {
      torch.arange(12):view(3, 1, 4):expand(3, 5, 4), torch.arange(4):view(4, 1, 1):expand(4, 6, 3),
      torch.arange(6):view(1, 6, 1):expand(7, 6, 2), torch.arange(3):view(1, 1, 3):expand(4, 5, 3),
    } do
      local copy = x:contiguous()
      for dim = 0, 3 do assert.is_true(torch.equal(torch.stack({ x, copy, x }, dim), torch.stack({ copy, copy, copy }, dim))) end
      for dim = 0, 2 do assert.is_true(torch.equal(torch.cat({ x, copy, x }, dim), torch.cat({ copy, copy, copy }, dim))) end
    end
  end)
end)
