-- Elementwise functions of float32 whose loops leave special cases out (tensor/cpu/simd/stretches.h): the bits of a result depend
-- on its element alone, not on its neighbours, its place, the strides or on working in place; and the special cases are right.
local torch = require "lampad"
local F = torch.nn.functional

local function slope_of(fn)
  return function(x)
    local leaf = x:detach():clone():requires_grad_()
    fn(leaf):sum():backward()
    return leaf.grad
  end
end
local gelu_tanh = function(x) return F.gelu(x, { approximate = "tanh" }) end
local functions = {
  exp = torch.exp, exp2 = torch.exp2, log = torch.log, log2 = torch.log2, log10 = torch.log10, tanh = torch.tanh,
  sigmoid = torch.sigmoid, silu = F.silu, mish = F.mish, gelu = F.gelu, gelu_tanh = gelu_tanh, erf = torch.erf,
  sqrt = torch.sqrt, rsqrt = torch.rsqrt, atan = torch.atan, softplus = F.softplus, logsigmoid = F.logsigmoid,
  silu_slope = slope_of(F.silu), mish_slope = slope_of(F.mish), gelu_slope = slope_of(F.gelu),
  gelu_tanh_slope = slope_of(gelu_tanh),
}

local inf, nan = math.huge, 0 / 0
local special = {
  0.0, -0.0, inf, -inf, nan, 1e-45, -1e-45, 1e-40, -1e-40, 1.17549435e-38, 3e38, -3e38, 87, -87, 87.5, -87.5, 88.8, -88.8, 104,
  -104, 126.5, -126.5, 128, -150, 40.5, -40.5, 5.8, -5.8, 5.9, -5.9, 9.1, -9.1, 3.96, 1e-31, 0.124999, 0.125, 1,
}

-- NaNs are alike.
local function same(a, b, text)
  a, b = a:contiguous(), b:contiguous()
  local differ = a:view(torch.int32):ne(b:view(torch.int32)):logical_and(a:eq(a):logical_or(b:eq(b)))
  if differ:any():item() then
    local at = differ:nonzero()[0]:item()
    error(("%s: element %d is %.9g here, %.9g there"):format(text, at, a[at]:item(), b[at]:item()))
  end
end

describe("elementwise functions", function()
  it("give an element the same bits among any others", function()
    torch.manual_seed(1)
    local common = torch.cat { torch.randn(2000), torch.rand(1000) * 2 }
    local rare = torch.tensor(special)
    local mixed = common:clone()
    for i = 1, #special do mixed[i * 70] = rare[i - 1] end
    for name, fn in pairs(functions) do
      local want = fn(mixed)
      for _, i in ipairs { 0, 1, 69, 70, 71, 140, 1399, 2030, 2999 } do
        same(want:narrow(0, i, 1), fn(mixed:narrow(0, i, 1)), name .. " alone")
      end
      same(want:narrow(0, 3, 997), fn(mixed:narrow(0, 3, 997)), name .. " from elsewhere")
      local strided = torch.stack({ mixed, common }, 1)
      same(want, fn(strided:select(1, 0)), name .. " strided")
      same(fn(common), fn(strided:select(1, 1)), name .. " of common numbers")
      for i = 1, #special do
        same(want:narrow(0, i * 70, 1), fn(torch.full({ 40 }, special[i], { dtype = torch.float32 })):narrow(0, 5, 1), name .. " of " .. special[i])
      end
    end
    for _, name in ipairs { "exp", "exp2", "log", "tanh", "sigmoid", "sqrt", "rsqrt", "erf", "atan" } do
      for _, x in ipairs { mixed, common } do
        local inside = x:clone()
        inside[name .. "_"](inside)
        same(functions[name](x), inside, name .. " in place")
      end
    end
  end)

  it("have the values of single numbers at the ends", function()
    local function values(fn, want)
      for x, y in pairs(want) do
        local got = fn(torch.tensor { x, 0.5 })[0]:item()
        assert.is_true(got == y or (y ~= y and got ~= got), ("%g: expected %g, got %g"):format(x, y, got))
      end
    end
    values(torch.exp, { [inf] = inf, [-inf] = 0, [0] = 1, [200] = inf, [-200] = 0 })
    values(torch.exp2, { [inf] = inf, [-inf] = 0, [0] = 1, [128] = inf, [127] = 2.0 ^ 127, [-126] = 2.0 ^ -126, [-149] = 2.0 ^ -149 })
    values(torch.tanh, { [inf] = 1, [-inf] = -1, [10] = 1, [-10] = -1, [1e-30] = torch.tensor { 1e-30 }[0]:item() })
    values(torch.sigmoid, { [inf] = 1, [-inf] = 0, [0] = 0.5, [100] = 1, [-200] = 0 })
    values(F.silu, { [inf] = inf, [-inf] = nan, [0] = 0, [100] = 100 })
    values(F.gelu, { [inf] = inf, [-inf] = nan, [0] = 0, [100] = 100, [-100] = 0 })
    values(gelu_tanh, { [inf] = inf, [-inf] = nan, [0] = 0, [100] = 100, [-100] = 0 })
    values(F.mish, { [inf] = inf, [-inf] = nan, [0] = 0, [100] = 100 })
    values(torch.erf, { [inf] = 1, [-inf] = -1, [0] = 0, [5] = 1 })
    values(torch.sqrt, { [inf] = inf, [-inf] = nan, [0] = 0, [-1] = nan, [2.0 ^ -148] = 2.0 ^ -74, [9] = 3 })
    values(torch.rsqrt, { [inf] = 0, [0] = inf, [-1] = nan, [4] = 0.5 })
    values(torch.log, { [inf] = inf, [0] = -inf, [-1] = nan, [1] = 0 })
    for name, fn in pairs(functions) do
      local got = fn(torch.tensor { nan, 0.5 })[0]:item()
      assert.is_true(got ~= got, name .. " of NaN")
    end
    for _, name in ipairs { "tanh", "erf", "gelu", "silu", "atan", "mish" } do
      assert.equal(-inf, 1 / functions[name](torch.tensor { -0.0, 1 })[0]:item(), name .. " of -0")
    end
  end)

  it("softmax leaves masked elements out, whatever the length of rows", function()
    for _, n in ipairs { 1, 5, 16, 31, 32, 33, 100, 1000, 5000 } do
      local x = torch.randn(3, n)
      if n > 1 then x[1][n // 2] = -inf end
      local y = torch.softmax(x, 1)
      local want = torch.softmax(x:to(torch.float64), 1):to(torch.float32)
      assert.is_true(torch.allclose(y, want, 1e-5, 1e-9))
      assert.is_true(torch.allclose(torch.log_softmax(x, 1), torch.log(want), 1e-4, 1e-5))
      if n > 1 then assert.equal(0, y[1][n // 2]:item()) end
      x[0][n - 1] = nan
      assert.is_true(torch.softmax(x, 1)[0]:isnan():all():item())
    end
    assert.is_true(torch.softmax(torch.full({ 40 }, -inf), 0):isnan():all():item())
  end)

  it("take a number as they take a tensor full of it, of any length, anywhere and in place", function()
    torch.manual_seed(2)
    local binary = { "add", "sub", "rsub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge" }
    for _, dtype in ipairs { torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8 } do
      local all = (torch.rand(1100) * 9):to(dtype)
      for _, n in ipairs { 1, 7, 16, 33, 64, 65, 127, 1000 } do
        for _, from in ipairs { 0, 3, 8 } do
          local x = all:narrow(0, from, n)
          local three = torch.full_like(x, 3)
          for _, name in ipairs(binary) do
            local text = ("%s of %d from %d, %s"):format(name, n, from, tostring(dtype))
            local want = torch[name](x, three)
            assert(want:equal(torch[name](x, torch.tensor(3, { dtype = dtype }))), text)
            if name ~= "rsub" then
              local memory = torch.zeros(n + 20, { dtype = want.dtype })
              torch[name](x, torch.tensor(3, { dtype = dtype }), { out = memory:narrow(0, 5, n) })
              assert(memory:narrow(0, 5, n):equal(want), text .. ", out")
              memory:narrow(0, 5, n):zero_()
              assert(memory:eq(0):all():item(), text .. ", beside out")
            end
            for i = 0, math.min(n, 5) - 1 do
              assert(want[n - 1 - i]:equal(torch[name](x[n - 1 - i], three[0])), text .. ", one")
            end
          end
          local clamped = torch.clamp(x, 2, 6)
          assert(clamped:equal(torch.where(x:lt(2), torch.full_like(x, 2), torch.where(x:gt(6), torch.full_like(x, 6), x))), "clamp")
          assert(x:clone():clamp_(2, 6):equal(clamped) and x:clone():mul_(3):equal(torch.mul(x, three)), "in place")
          local shifted = all:clone():narrow(0, from, n)
          assert(shifted:add_(3):equal(torch.add(x, three)), "in place, from elsewhere")
        end
      end
    end
    local x = torch.tensor { nan, -inf, inf, -0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 }
    assert(torch.clamp(x, nan, 5):isnan():all():item() and torch.clamp(x, 1, nan):isnan():all():item(), "limits that are NaN")
    local high = torch.clamp(x, 9, 4)
    assert(high[0]:isnan():item() and high:narrow(0, 1, 17):eq(4):all():item(), "the lower limit above the upper")
  end)

  it("broadcast rows whose ends are no whole vectors", function()
    for _, columns in ipairs { 15, 16, 17, 40, 1000 } do
      local m, row = torch.randn(7, columns), torch.randn(columns)
      local sum = torch.add(m, row)
      for i = 0, 6 do assert(sum[i]:equal(torch.add(m[i], row)) and sum[i]:equal(torch.add(m[i]:clone(), row)), columns) end
      assert(m:clone():add_(row):equal(sum), "in place")
    end
  end)

  it("go to the next number on either side of zero and up to infinity", function()
    for dtype, tiny in pairs { [torch.float32] = 2.0 ^ -149, [torch.float64] = 2.0 ^ -1074 } do
      local largest = torch.finfo(dtype).max
      local from = torch.tensor({ 0, -0.0, 0, -0.0, tiny, -tiny, largest, inf, -inf, 1, 1, -1, 0, -0.0, 2, nan, 1 }, { dtype = dtype })
      local to = torch.tensor({ 1, 1, -1, -1, -1, 1, inf, 0, 0, 2, 0, 0, -0.0, 0, 2, 1, nan }, { dtype = dtype })
      local eps = torch.finfo(dtype).eps
      local expected = torch.tensor({ tiny, tiny, -tiny, -tiny, 0, -0.0, inf, largest, -largest, 1 + eps, 1 - eps / 2, -1 + eps / 2,
        -0.0, 0, 2, nan, nan }, { dtype = dtype })
      local got = torch.nextafter(from, to)
      assert.is_true(got:allclose(expected, { rtol = 0, atol = 0, equal_nan = true }), tostring(got))
      assert.is_true(got:signbit():eq(expected:signbit()):narrow(0, 0, 15):all():item())
    end
  end)

  it("of complex numbers are PyTorch's at zero, at infinities and near overflow, in a loop and by numbers", function()
    local function numbers(re, im, dtype)
      return torch.complex(torch.tensor(re, { dtype = dtype }), torch.tensor(im, { dtype = dtype }))
    end
    local function check(got, re, im)
      got = torch.view_as_real(got):double()
      local expected = torch.stack({ torch.tensor(re, { dtype = torch.float64 }), torch.tensor(im, { dtype = torch.float64 }) }, 1)
      assert.is_true(torch.allclose(got, expected, { rtol = 1e-5, atol = 0, equal_nan = true }), tostring(got))
    end
    for _, dtype in ipairs { torch.float32, torch.float64 } do
      local a = numbers({ 1, 0, -1, inf, 1, 1, 3, 0, 0 }, { 2, 0, 0, 1, nan, 1, 4, -0.0, 1 }, dtype)
      local b = numbers({ 0, 0, 0, 1, 1, inf, 4, 0, 1e30 }, { 0, 0, 2, 1, 1, 1, -3, 1, 1e30 }, dtype)
      check(a / b, { inf, nan, 0, inf, nan, 0, 0, 0, 5e-31 }, { inf, nan, 0.5, -inf, nan, 0, 1, 0, 5e-31 })
      check(b:reciprocal(), { inf, inf, 0, 0.5, 0.5, 0, 0.16, 0, 5e-31 }, { nan, nan, -0.5, -0.5, -0.5, 0, 0.12, -1, -5e-31 })
      check(a ^ 2, { -3, 0, 1, inf, nan, 0, -7, 0, -1 }, { 4, 0, 0, inf, nan, 2, 24, 0, 0 })
      check(a ^ 3, { -11, 0, -1, nan, nan, -2, -117, 0, 0 }, { -2, 0, 0, inf, nan, 2, 44, 0, -1 })
      check(a ^ -1, { 0.2, inf, -1, 0, nan, 0.5, 0.12, inf, 0 }, { -0.4, nan, 0, 0, nan, -0.5, -0.16, nan, -1 })
      local sign = numbers({ 0, -0.0, 3, -3 }, { 0, -0.0, 4, 0 }, dtype):sgn()
      check(sign, { 0, 0, 0.6, -1 }, { 0, 0, 0.8, 0 })
      local bits = torch.view_as_real(sign):select(0, 1)
      assert.is_true(bits:reciprocal():eq(inf):all():item(), "of -0 it is 0 without a sign")
      assert.is_true(numbers({ 1 }, { 2 }, dtype):pow(2.5):isclose(numbers({ -6.9606645 }, { 2.7296245 }, dtype)):item())
    end
  end)

  it("of float16 and bfloat16 that compare words give what their numbers give", function()
    torch.manual_seed(2)
    local words = torch.arange(-32768, 32768):to(torch.int16)
    for _, dtype in ipairs { torch.float16, torch.bfloat16 } do
      local x = words:view(dtype)
      same(x:reciprocal():float(), x:float():reciprocal():to(dtype):float(), "reciprocal")
      local others = { words[torch.randperm(65536)]:view(dtype), words[torch.randperm(65536)]:view(dtype), x }
      for _, number in ipairs { 0, -0.0, 1.5, -2, math.huge, -math.huge, 0 / 0 } do
        others[#others + 1] = torch.full({ 1 }, number, { dtype = dtype })
      end
      for _, y in ipairs(others) do
        for _, name in ipairs { "eq", "ne", "lt", "le", "gt", "ge" } do
          assert.is_true(torch.equal(torch[name](x, y), torch[name](x:float(), y:float())))
          assert.is_true(torch.equal(torch[name](y, x), torch[name](y:float(), x:float())))
        end
        for _, name in ipairs { "maximum", "minimum" } do
          same(torch[name](x, y):float(), torch[name](x:float(), y:float()), name)
          same(torch[name](y, x):float(), torch[name](y:float(), x:float()), name)
        end
      end
    end
  end)
end)
