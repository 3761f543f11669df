-- Reductions, running results, sorts and counts beside their definitions in plain Lua numbers: lengths around the
-- widths of vectors, tiles and buffers, offsets, strides, NaN, ties.
local torch = require "lampad"

local LENGTHS = { 1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 257, 511, 513, 1030 }

local state = 11
--- A whole number in [low, high], the same in every run.
local function pick(low, high)
  state = (state * 1103515245 + 12345) & 0x7fffffff
  return low + (state >> 8) % (high - low + 1)
end
local function list(n, low, high)
  local v = {}
  for i = 1, n do v[i] = pick(low, high) end
  return v
end
local function same(a, b) return a == b or (a ~= a and b ~= b) end
--- Fails unless the tensor's elements are those of the list (NaN equals NaN), within tol.
local function check(what, x, want, tol)
  local got = x:view(-1):tolist()
  if #got ~= #want then error(("%s: %d elements, expected %d"):format(what, #got, #want), 2) end
  for i = 1, #want do
    local a, b = got[i], want[i]
    if not same(a, b) and not (math.abs(a - b) <= (tol or 0) * (1 + math.abs(b))) then
      error(("%s: element %d is %s, expected %s"):format(what, i, a, b), 2)
    end
  end
end

--- The same numbers as a tensor of n: dense, at an odd offset, or every other one.
local function layouts(v, dtype)
  local n = #v
  local room = torch.zeros({ 2 * n + 3 }, { dtype = dtype })
  local x = torch.tensor(v, { dtype = dtype })
  local shifted, spread = room:narrow(0, 3, n), torch.zeros({ n, 2 }, { dtype = dtype }):select(1, 1)
  shifted:copy_(x)
  spread:copy_(x)
  return { x, shifted, spread }
end

local function extremes(v)
  local high, low, at_high, at_low, nan = v[1], v[1], 0, 0, nil
  for i, x in ipairs(v) do
    if x ~= x then nan = nan or i - 1 end
    if x > high then high, at_high = x, i - 1 end
    if x < low then low, at_low = x, i - 1 end
  end
  if nan then return 0 / 0, 0 / 0, nan, nan end
  return high, low, at_high, at_low
end

describe("extremes", function()
  for _, dtype in ipairs { "uint8", "int8", "int16", "int32", "int64", "float32", "float64", "bfloat16", "float16" } do
    it("of rows of " .. dtype, function()
      for _, n in ipairs(LENGTHS) do
        local v = dtype == "uint8" and list(n, 0, 255) or list(n, -120, 120)
        local cases = { v }
        if not dtype:find "int" then
          local with_nan = table.move(v, 1, n, 1, {})
          with_nan[pick(1, n)] = 0 / 0
          cases[2] = with_nan
        end
        for _, values in ipairs(cases) do
          local high, low, at_high, at_low = extremes(values)
          for k, x in ipairs(layouts(values, torch[dtype])) do
            local what = ("%s of %d, layout %d"):format(dtype, n, k)
            check("max " .. what, x:max(), { high })
            check("min " .. what, x:min(), { low })
            check("amax " .. what, x:amax(0), { high })
            check("argmax " .. what, x:argmax(), { at_high })
            check("argmin " .. what, x:argmin(0), { at_low })
          end
        end
      end
    end)

    it("of columns of " .. dtype, function()
      for _, rows in ipairs { 1, 2, 4, 5, 6, 9, 70 } do
        for _, w in ipairs { 1, 7, 64, 65, 130 } do
          local v = dtype == "uint8" and list(rows * w, 0, 255) or list(rows * w, -120, 120)
          if not dtype:find "int" then v[pick(1, rows * w)] = 0 / 0 end
          local x = torch.tensor(v, { dtype = torch[dtype] }):view(rows, w)
          local high, low, at = {}, {}, {}
          for j = 1, w do
            local column = {}
            for r = 1, rows do column[r] = v[(r - 1) * w + j] end
            high[j], low[j], at[j] = extremes(column)
          end
          local what = ("%s of %d x %d"):format(dtype, rows, w)
          check("amax " .. what, x:amax(0), high)
          check("amin " .. what, x:amin(0), low)
          check("amax of columns as rows " .. what, x:t():contiguous():amax(1), high)
          check("amax of turned " .. what, x:t():amax(1), high)
          check("argmax " .. what, x:argmax(0), at)
        end
      end
    end)
  end

  it("keep a NaN that stands in any lane", function()
    for _, n in ipairs { 64, 129, 200 } do
      for at = 0, n - 1 do
        local x = torch.zeros(n)
        x:narrow(0, at, 1):fill_(0 / 0)
        assert.is_true(x:max():item() ~= x:max():item())
        assert.equal(at, x:argmin():item())
      end
    end
  end)
end)

describe("sums and products", function()
  it("of rows, whatever their length", function()
    for _, n in ipairs(LENGTHS) do
      local v, total, numbers, with_nan = list(n, -60, 60), 0, 0, {}
      local signs, product = {}, 1
      for i = 1, n do
        total = total + v[i]
        with_nan[i] = i % 5 == 2 and 0 / 0 or v[i]
        if i % 5 ~= 2 then numbers = numbers + v[i] end
        signs[i] = ({ 1, -1, 2, 0.5 })[pick(1, 4)]
        product = product * signs[i]
      end
      for _, dtype in ipairs { "float32", "float64", "bfloat16" } do
        local exact = dtype == "bfloat16" and 4e-3 or 0
        for k, x in ipairs(layouts(v, torch[dtype])) do
          check(("sum of %d %s, layout %d"):format(n, dtype, k), x:sum(), { total }, exact)
        end
        for k, x in ipairs(layouts(with_nan, torch[dtype])) do
          check(("nansum of %d %s, layout %d"):format(n, dtype, k), x:nansum(), { numbers }, exact)
        end
        for k, x in ipairs(layouts(signs, torch[dtype])) do
          check(("prod of %d %s, layout %d"):format(n, dtype, k), x:to(torch.float64):prod(), { product })
          if math.abs(product) < 1e30 and math.abs(product) > 1e-30 then
            check(("prod of %d %s, layout %d"):format(n, dtype, k), x:prod(), { product })
          end
        end
      end
    end
  end)

  it("of columns, as of rows", function()
    for _, rows in ipairs { 1, 7, 8, 9, 63, 65, 200 } do
      for _, w in ipairs { 1, 3, 64, 100 } do
        local v, totals = list(rows * w, -30, 30), {}
        for j = 1, w do
          totals[j] = 0
          for r = 1, rows do totals[j] = totals[j] + v[(r - 1) * w + j] end
        end
        for _, dtype in ipairs { "float32", "float64", "bfloat16", "int32", "complex64" } do
          local x = torch.tensor(v, { dtype = torch[dtype] }):view(rows, w)
          local tol = dtype == "bfloat16" and 4e-3 or 0
          for name, sums in pairs { as = x:sum(0), turned = x:t():sum(1), apart = x:t():contiguous():sum(1) } do
            if dtype == "complex64" then sums = torch.real(sums) end
            check(("%s sums of %d x %d (%s)"):format(dtype, rows, w, name), sums, totals, tol)
          end
        end
      end
    end
  end)

  it("of complex numbers", function()
    for _, dtype in ipairs { "complex64", "complex128" } do
      for _, n in ipairs(LENGTHS) do
        local re, im, sum_re, sum_im, p_re, p_im = {}, {}, 0, 0, 1, 0
        for i = 1, n do -- turns by quarters, doubled and halved
          local turn, size = pick(0, 3), ({ 1, 2, 0.5, 1 })[i % 4 + 1]
          re[i], im[i] = ({ 1, 0, -1, 0 })[turn + 1] * size, ({ 0, 1, 0, -1 })[turn + 1] * size
          sum_re, sum_im = sum_re + re[i], sum_im + im[i]
          p_re, p_im = p_re * re[i] - p_im * im[i], p_re * im[i] + p_im * re[i]
        end
        local part = dtype == "complex64" and torch.float32 or torch.float64
        local x = torch.complex(torch.tensor(re, { dtype = part }), torch.tensor(im, { dtype = part }))
        local columns = torch.stack({ x, x, x }, 1)
        for name, y in pairs { row = x, spread = columns:select(1, 1) } do
          check(("sum of %d %s, %s"):format(n, dtype, name), torch.view_as_real(y:sum()), { sum_re, sum_im })
          check(("prod of %d %s, %s"):format(n, dtype, name), torch.view_as_real(y:prod()), { p_re, p_im })
        end
        local want = { p_re, p_im, p_re, p_im, p_re, p_im }
        check(("prod of columns of %d %s"):format(n, dtype), torch.view_as_real(columns:prod(0)), want)
        check(("mean of %d %s"):format(n, dtype), torch.view_as_real(x:mean()), { sum_re / n, sum_im / n }, 1e-6)
      end
    end
  end)
end)

describe("many short rows", function()
  --- Numbers of rows x n, some tied, in a block whose rows lie next to each other, apart, or across memory; and
  --- as one of a stack of narrow columns.
  local function blocks(v, rows, n, dtype)
    local x = torch.tensor(v, { dtype = dtype }):view(rows, n)
    local room = torch.zeros({ rows, n + 3 }, { dtype = dtype })
    local apart = room:narrow(1, 2, n)
    apart:copy_(x)
    local across = x:t():contiguous():t()
    return { together = x, apart = apart, across = across }
  end
  --- v's rows one by one.
  local function each_row(v, rows, n, f)
    for r = 0, rows - 1 do f(r + 1, table.move(v, r * n + 1, r * n + n, 1, {})) end
  end
  local function with_threads(f)
    local threads = torch.get_num_threads()
    for count = 1, 3 do
      torch.set_num_threads(count)
      f(count)
    end
    torch.set_num_threads(threads)
  end
  local function length_of(n) return n <= 20 and 1 or 7 end

  for _, dtype in ipairs { "uint8", "int8", "int16", "int32", "int64", "float32", "float64", "bfloat16", "float16" } do
    it("have extremes and places, of " .. dtype, function()
      local n = 1
      while n <= 70 do
        for _, rows in ipairs { 17, 250 } do
          local v = dtype == "uint8" and list(rows * n, 0, 9) or list(rows * n, -9, 9)
          if not dtype:find "int" then
            for _ = 1, 5 do v[pick(1, #v)] = 0 / 0 end
          end
          local high, low, at_high, at_low = {}, {}, {}, {}
          each_row(v, rows, n, function(r, row) high[r], low[r], at_high[r], at_low[r] = extremes(row) end)
          for name, x in pairs(blocks(v, rows, n, torch[dtype])) do
            local what = ("%s, %d x %d, %s"):format(dtype, rows, n, name)
            local most, at = x:max(1)
            check("max " .. what, most, high)
            check("its places " .. what, at, at_high)
            local least, there = x:min(1, true)
            check("min " .. what, least, low)
            check("its places " .. what, there, at_low)
            check("argmax " .. what, x:argmax(1), at_high)
            check("argmin " .. what, x:argmin(1), at_low)
            check("amax " .. what, x:amax(1), high)
            check("amin " .. what, x:amin(1), low)
          end
        end
        n = n + length_of(n)
      end
    end)
  end

  it("have sums, products, norms, variances and truths", function()
    local n = 1
    while n <= 70 do
      for _, rows in ipairs { 17, 100 } do
        local v = list(rows * n, -3, 3)
        local sums, means, squares, variances, any, all, count, products = {}, {}, {}, {}, {}, {}, {}, {}
        each_row(v, rows, n, function(r, row)
          local total, square, product, nonzero = 0, 0, 1, 0
          for i = 1, n do
            total, square, product = total + row[i], square + row[i] ^ 2, product * (row[i] % 2 == 0 and 2 or -1)
            nonzero = nonzero + (row[i] ~= 0 and 1 or 0)
          end
          sums[r], means[r], squares[r], products[r] = total, total / n, math.sqrt(square), product
          variances[r] = square / n - (total / n) ^ 2
          any[r], all[r], count[r] = nonzero > 0, nonzero == n, nonzero
        end)
        for _, dtype in ipairs { "int8", "int32", "int64", "float32", "float64", "bfloat16", "float16", "complex64" } do
          for name, x in pairs(blocks(v, rows, n, torch[dtype])) do
            local what = ("%s, %d x %d, %s"):format(dtype, rows, n, name)
            local tol = (dtype == "bfloat16" or dtype == "float16") and 4e-3 or dtype == "float64" and 1e-14 or 1e-6
            local is_int, is_complex = dtype:find "int", dtype:find "complex"
            local sum = x:sum(1)
            check("sum " .. what, is_complex and torch.real(sum) or sum, sums)
            check("any " .. what, x:any(1), any)
            check("all " .. what, x:all(1), all)
            check("nonzero " .. what, torch.count_nonzero(x, 1), count)
            if not is_int then
              local mean = x:mean(1, true)
              check("mean " .. what, is_complex and torch.real(mean) or mean, means, tol)
              check("norm " .. what, x:norm(2, 1), squares, tol)
            end
            if not is_int and not is_complex then
              check("nansum " .. what, x:nansum(1), sums)
              check("var " .. what, x:var(1, false), variances, 2 * tol)
              check("norm 1 " .. what, x:norm(1, 1), x:abs():sum(1):tolist())
            end
            if not is_complex and n < 60 then
              local signs = torch.where(x:remainder(2):eq(0), 2, -1):to(is_int and torch.int64 or torch.float64)
              check("prod " .. what, signs:prod(1), products)
            end
          end
        end
      end
      n = n + length_of(n)
    end
  end)

  it("skip NaN where they are told to, and keep it elsewhere", function()
    for _, n in ipairs { 3, 15, 16, 17, 33, 50 } do
      local v, numbers, totals = list(100 * n, -9, 9), {}, {}
      for i = 3, #v, 37 do v[i] = 0 / 0 end
      each_row(v, 100, n, function(r, row)
        numbers[r], totals[r] = 0, 0
        for i = 1, n do
          totals[r] = totals[r] + row[i]
          if row[i] == row[i] then numbers[r] = numbers[r] + row[i] end
        end
      end)
      for _, dtype in ipairs { "float32", "float64", "bfloat16" } do
        for name, x in pairs(blocks(v, 100, n, torch[dtype])) do
          check(("nansum of %d %s, %s"):format(n, dtype, name), x:nansum(1), numbers)
          check(("sum of %d %s, %s"):format(n, dtype, name), x:sum(1), totals)
        end
      end
    end
  end)

  it("are those of a middle dim, whatever its width", function()
    for _, w in ipairs { 2, 3, 7, 13, 16, 50, 129 } do
      for _, n in ipairs { 1, 2, 3, 4, 5, 7, 8, 33, 260 } do
        local lines = n > 50 and 20 or 70
        local v, sums, high, at = list(lines * n * w, -9, 9), {}, {}, {}
        for g = 0, lines - 1 do
          for j = 1, w do
            local column, total = {}, 0
            for r = 1, n do
              column[r] = v[(g * n + r - 1) * w + j]
              total = total + column[r]
            end
            local k = g * w + j
            sums[k] = total
            high[k], at[k] = extremes(column), select(3, extremes(column))
          end
        end
        for _, dtype in ipairs { "float32", "float64", "bfloat16", "int8", "int64", "complex64" } do
          local x = torch.tensor(v, { dtype = torch[dtype] }):view(lines, n, w)
          local room = torch.zeros({ lines, n, w + 1 }, { dtype = torch[dtype] }):narrow(2, 1, w)
          room:copy_(x)
          local turned = x:transpose(0, 2):contiguous():transpose(0, 2)
          local tol = dtype == "bfloat16" and 4e-3 or 0
          for name, y in pairs { together = x, apart = room, turned = turned } do
            local what = ("%s, %d x %d x %d, %s"):format(dtype, lines, n, w, name)
            local is_complex = dtype:find "complex"
            local sum = y:sum(1)
            check("sum " .. what, (is_complex and torch.real(sum) or sum):contiguous(), sums, tol)
            if not is_complex then
              check("amax " .. what, y:amax(1):contiguous(), high)
              local most, places = y:max(1)
              check("max " .. what, most:contiguous(), high)
              check("its places " .. what, places:contiguous(), at)
            end
          end
        end
      end
    end
  end)

  it("and few long columns, do not depend on the number of threads", function()
    for _, shape in ipairs { { 20000, 3 }, { 3, 70000 }, { 7000, 17 }, { 300, 7, 13 }, { 90000, 2 }, { 40, 65, 129 } } do
      local x = torch.randn(shape)
      local first
      with_threads(function(count)
        local results = { x:sum(0), x:sum(-1), x:mean(1), x:norm(2, -1), x:var(0), x:argmax(0), x:argmin(-1), x:argmax(1) }
        if count == 1 then first = results end
        for i, r in ipairs(results) do assert.is_true(torch.equal(r, first[i])) end
      end)
    end
  end)

  it("of few long columns the first of equals is the place", function()
    for _, w in ipairs { 2, 3, 5, 15, 16 } do
      for _, n in ipairs { 127, 128, 145, 50003 } do
        for _, dtype in ipairs { "float32", "int64", "int8" } do
          local x = torch.zeros({ n, w }, { dtype = torch[dtype] })
          local high, low = {}, {}
          for j = 1, w do
            local first, other = pick(0, n - 1), pick(0, n - 1)
            x:select(1, j - 1):narrow(0, first, 1):fill_(1)
            x:select(1, j - 1):narrow(0, other, 1):fill_(1)
            high[j], low[j] = math.min(first, other), (first == 0 or other == 0) and -1 or 0
          end
          for j = 1, w do
            if low[j] == -1 then
              local column = x:select(1, j - 1)
              low[j] = column:narrow(0, 1, 1):item() == 0 and 1 or 2
            end
          end
          check(("argmax of %d x %d %s"):format(n, w, dtype), x:argmax(0), high)
          check(("argmin of %d x %d %s"):format(n, w, dtype), x:argmin(0), low)
          if dtype == "float32" then
            local nan = pick(0, n - 2)
            x:select(1, 1):narrow(0, nan, 2):fill_(0 / 0)
            assert.equal(nan, x:argmax(0):select(0, 1):item())
            assert.equal(nan, x:argmin(0):select(0, 1):item())
          end
        end
      end
    end
  end)
end)

describe("running results", function()
  --- Sums and products along dim of rows x n numbers, dim 1 of the list of rows.
  local function running(v, rows, n, first, step)
    local out = {}
    for r = 0, rows - 1 do
      local total = first
      for i = 1, n do
        total = step(total, v[r * n + i])
        out[r * n + i] = total
      end
    end
    return out
  end
  local function plus(a, b) return a + b end
  local function times(a, b) return a * b end

  it("of one row, several and many, along both dims", function()
    for _, rows in ipairs { 1, 3, 4, 9, 70 } do
      for _, n in ipairs { 1, 5, 255, 300 } do
        local v = list(rows * n, -1, 1)
        for i = 1, #v do v[i] = v[i] == 0 and 1 or v[i] end
        local sums, products = running(v, rows, n, 0, plus), running(v, rows, n, 1, times)
        for _, dtype in ipairs { "float32", "float64", "bfloat16", "int8", "int64", "complex64", "complex128" } do
          local x = torch.tensor(v, { dtype = torch[dtype] }):view(rows, n)
          local tol = dtype == "bfloat16" and 8e-3 or 0
          local turned = x:t():contiguous()
          for name, pair in pairs {
            rows = { x:cumsum(1), x:cumprod(1) },
            columns = { turned:cumsum(0):t():contiguous(), turned:cumprod(0):t():contiguous() },
            ["turned columns"] = { turned:t():cumsum(1), turned:t():cumprod(1) },
          } do
            local what = ("%s of %d x %d %s"):format(name, rows, n, dtype)
            local sum, product = pair[1], pair[2]
            if dtype:find "complex" then sum, product = torch.real(sum), torch.real(product) end
            check("cumsum of " .. what, sum:contiguous(), sums, tol)
            check("cumprod of " .. what, product:contiguous(), products, tol)
          end
        end
      end
    end
  end)

  it("wrap around as integers do", function()
    local x = torch.tensor({ 3, 5, 7, 11 }, { dtype = torch.int64 }):view(4, 1):expand(4, 50):contiguous()
    local want = {}
    for _, base in ipairs { 3, 5, 7, 11 } do
      local p = 1
      for _ = 1, 50 do
        p = p * base
        want[#want + 1] = p
      end
    end
    check("cumprod", x:cumprod(1), want)
    check("cumprod of columns", x:t():contiguous():cumprod(0):t():contiguous(), want)
  end)

  it("of logarithms: rows side by side as one by one", function()
    local x = torch.tensor(list(11 * 40, -40, 40), { dtype = torch.float64 }):view(11, 40):div(3)
    local special = { -math.huge, math.huge, 0 / 0, -1000, 1000, 0 }
    for i, value in ipairs(special) do x:select(0, i):narrow(0, 3 * i, 1):fill_(value) end
    x:select(0, 7):fill_(-math.huge)
    local one_by_one = {}
    for r = 0, 10 do
      for _, value in ipairs(torch.logcumsumexp(x:select(0, r), 0):tolist()) do one_by_one[#one_by_one + 1] = value end
    end
    check("rows", torch.logcumsumexp(x, 1), one_by_one, 1e-14)
    check("columns", torch.logcumsumexp(x:t():contiguous(), 0):t():contiguous(), one_by_one, 1e-14)
    local total = 0
    for i, value in ipairs(x:select(0, 9):tolist()) do
      total = total + math.exp(value)
      check("definition", torch.logcumsumexp(x, 1):select(0, 9):narrow(0, i - 1, 1), { math.log(total) }, 1e-13)
    end
  end)
end)

describe("sorts", function()
  --- Positions in the order of the values, NaN last, ties by place.
  local function order(v, descending)
    local at = {}
    for i = 1, #v do at[i] = i end
    local function key(x) return x ~= x and math.huge or x end
    table.sort(at, function(a, b)
      local x, y = key(v[a]), key(v[b])
      if x == y and (v[a] ~= v[a]) ~= (v[b] ~= v[b]) then return (v[b] ~= v[b]) ~= descending end
      if x ~= y then
        if descending then return x > y end
        return x < y
      end
      return a < b
    end)
    for i = 1, #at do at[i] = at[i] - 1 end
    return at
  end

  local KINDS = { -- numbers whose keys differ in one byte, in a high one, in several, in all
    low = function() return pick(0, 3) end,
    high = function() return pick(-2, 2) * 2 ^ 24 // 1 | 0 end,
    several = function() return pick(-100000, 100000) end,
    far = function() return pick(-2, 2) * (1 << 60) + pick(-5, 5) end,
    equal = function() return 7 end,
  }

  it("are stable, whatever bytes the keys differ in", function()
    for kind, number in pairs(KINDS) do
      for _, n in ipairs { 1, 24, 25, 35, 36, 37, 48, 63, 64, 65, 95, 97, 300, 1000 } do
        local v = {}
        for i = 1, n do v[i] = number() end
        for _, dtype in ipairs { "int64", "int32", "float64", "float32" } do
          local fits = dtype == "int64" or kind ~= "far"
          if fits then
            for _, descending in ipairs { false, true } do
              local want, values = order(v, descending), {}
              for i = 1, n do values[i] = v[want[i] + 1] end
              for k, x in ipairs(layouts(v, torch[dtype])) do
                local what = ("%s numbers, %d of %s, layout %d"):format(kind, n, dtype, k)
                local sorted, at = torch.sort(x, 0, descending)
                check("places of " .. what, at, want)
                check("sorted " .. what, sorted, values)
              end
            end
          end
        end
      end
    end
  end)

  it("of short rows are stable among infinities and NaN", function()
    local NUMBERS = { 0, -0.0, 1, -1, 3, math.huge, -math.huge, 0 / 0 }
    for n = 20, 70 do
      local v = {}
      for i = 1, n do v[i] = NUMBERS[pick(1, n % 2 == 1 and #NUMBERS or 5)] end
      for _, dtype in ipairs { "float32", "float64", "bfloat16" } do
        for _, descending in ipairs { false, true } do
          local _, at = torch.sort(torch.tensor(v, { dtype = torch[dtype] }), 0, descending)
          check(("places, %d of %s"):format(n, dtype), at, order(v, descending))
        end
      end
    end
  end)

  it("put NaN last, and count both zeros as one", function()
    for _, dtype in ipairs { "float32", "float64", "bfloat16", "float16" } do
      for _, n in ipairs { 20, 60, 200 } do
        local v = {}
        for i = 1, n do v[i] = ({ 0.0, -0.0, 0 / 0, 1.5, -2, math.huge, -math.huge })[pick(1, 7)] end
        local x = torch.tensor(v, { dtype = torch[dtype] })
        check("rising " .. dtype, torch.argsort(x, 0), order(v, false))
        check("falling " .. dtype, torch.argsort(x, 0, true), order(v, true))
      end
    end
  end)

  it("along an outer dim", function()
    local v = list(40 * 9, 0, 1)
    local x = torch.tensor(v, { dtype = torch.bool }):view(40, 9)
    local _, at = torch.sort(x, 0)
    for j = 1, 9 do
      local column = {}
      for r = 1, 40 do column[r] = v[(r - 1) * 9 + j] end
      check("column", at:select(1, j - 1):contiguous(), order(column, false))
    end
  end)
end)

describe("counts and integrals", function()
  it("of few bins and many, even and uneven", function()
    for _, most in ipairs { 1, 3, 99, 1500, 20000 } do
      local v, want = list(40003, 0, most), {}
      for b = 0, most do want[b + 1] = 0 end
      for i = 1, 30000 do v[i] = v[i] * (i % 3 == 0 and 1 or 0) end
      v[#v] = most
      for i = 1, #v do want[v[i] + 1] = want[v[i] + 1] + 1 end
      check("bincount", torch.bincount(torch.tensor(v, { dtype = torch.int32 })), want)
    end
  end)

  it("by steps of one width as by places", function()
    for _, dtype in ipairs { "float64", "float32", "complex128" } do
      local y = torch.tensor(list(7 * 12, -50, 50), { dtype = torch[dtype] }):view(7, 12)
      for d, n in pairs { [0] = 7, [1] = 12 } do
        local x = torch.arange(0, n):to(torch.float64):mul(0.25)
        local even = torch.trapezoid(y, { dx = 0.25, dim = d })
        assert.is_true(torch.allclose(even, torch.trapezoid(y, x, { dim = d }):to(even.dtype)))
      end
    end
  end)

  it("shares a softmax's columns among threads", function()
    local threads = torch.get_num_threads()
    for _, w in ipairs { 1, 63, 64, 65, 200 } do
      local x = torch.tensor(list(2 * 30 * w, -50, 50), { dtype = torch.float64 }):view(2, 30, w):div(7)
      torch.set_num_threads(1)
      local one = x:softmax(1)
      torch.set_num_threads(3)
      local several, rows = x:softmax(1), x:transpose(1, 2):contiguous():softmax(2):transpose(1, 2)
      torch.set_num_threads(threads)
      assert.is_true(torch.equal(one, several))
      assert.is_true(torch.allclose(one, rows))
    end
  end)
end)

describe("reductions of expanded tensors", function()
  it("are those of what they show", function()
    local ops = { "sum", "mean", "amax", "amin", "any", "all", "nansum", "nanmean", "count_nonzero", "prod", "logsumexp", "var" }
    for _, dtype in ipairs { "float32", "float64", "int64", "uint8", "bool", "complex64" } do
      local base = torch.tensor(list(5 * 7, 0, 3), { dtype = torch.float64 }):to(torch[dtype])
      for _, x in ipairs { base:view(5, 1, 7):expand { 5, 4, 7 }, base:view(5, 7, 1):expand { 5, 7, 6 }, base[3]:expand { 3, 2, 4 },
        base:view(5, 7):narrow(1, 2, 1):unsqueeze(0):expand { 3, 5, 9 } } do
        local dense = x:contiguous()
        for _, op in ipairs(ops) do
          for _, dims in ipairs { { 0 }, { 1 }, { 2 }, { 0, 2 }, { 1, 2 }, { 0, 1, 2 } } do
            local fits, want = pcall(function() return torch[op](dense, dims) end)
            if fits then
              local got = torch[op](x, dims)
              assert.equal(want.dtype, got.dtype)
              assert.is_true(torch.allclose(got, want, { equal_nan = true }), ("%s of %s"):format(op, dtype))
            end
          end
        end
        if dtype:find "float" then assert.is_true(torch.allclose(x:norm(2, 1), dense:norm(2, 1))) end
      end
    end
  end)

  it("find extremes of few columns' rows, with NaN among them", function()
    local nan = 0 / 0
    for _, rows in ipairs { 1, 2, 3, 5, 40 } do
      local x = torch.tensor(list(rows * 1100, -50, 50), { dtype = torch.float32 }):view(rows, 1100)
      x[{ 0, 3 }], x[{ rows - 1, 1099 }], x[{ rows // 2, 70 }] = nan, nan, nan
      local lines = x:t():contiguous()
      for _, op in ipairs { "amax", "amin" } do
        local got = x[op](x, 0)
        assert.equal(3, got:isnan():sum():item())
        assert.is_true(torch.equal(got:nan_to_num(99), lines[op](lines, 1):nan_to_num(99)))
      end
    end
  end)
end)
