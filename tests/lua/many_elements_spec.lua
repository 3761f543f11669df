-- Ops that take another way when there are many elements (samples, counts, threads, joined dims): each result is
-- compared with what simpler ops give.
local torch = require "lampad"

local function same(a, b)
  assert.equal(tostring(a.shape), tostring(b.shape))
  assert.is_true(torch.equal(a:nan_to_num(12345), b:nan_to_num(12345)))
end

-- The tensor with its values in other places of memory.
local function layouts(x)
  local last = x:dim() - 1
  local turned = x:transpose(0, last):contiguous():transpose(0, last)
  return { x, turned, torch.stack({ x, x }, x:dim()):select(x:dim(), 1) }
end

describe("many elements", function()
  before_each(function() torch.manual_seed(11) end)

  it("are written in the order of the indices, whatever the threads", function()
    local threads = torch.get_num_threads()
    for _, dtype in ipairs { "float32", "uint8", "bfloat16", "complex128" } do
      local i, j = torch.randint(-70, 70, { 90000 }), torch.randint(0, 90, { 90000 })
      local v = torch.randint(0, 100, { 90000 }):to(torch[dtype])
      for _, x in ipairs(layouts(torch.zeros(70, 90, { dtype = torch[dtype] }))) do
        for _, accumulate in ipairs { false, true } do
          local results = {}
          for n = 1, 4 do
            torch.set_num_threads(n)
            results[n] = x:clone():index_put_({ i, j }, v, accumulate)
          end
          torch.set_num_threads(threads)
          for n = 2, 4 do assert.is_true(torch.equal(results[1], results[n])) end
        end
      end
    end
    local bad = torch.zeros(70000, { dtype = torch.int64 })
    bad[65000] = -8
    assert.error_matches(function() return torch.zeros(7)[{ bad }] end, "index %-8 is out of bounds")
  end)

  it("are found and moved by masks", function()
    for _, shape in ipairs { { 40000 }, { 150, 257 }, { 9000, 3 }, { 1, 20000 }, { 20, 30, 40 } } do
      local m = torch.rand(shape):lt(0.4)
      local places = torch.arange(m:numel()):masked_select(m:flatten())
      local counted = m:flatten():to(torch.int64):cumsum(0):mul(m:flatten()):tolist()
      local expected = {}
      for place, nth in pairs(counted) do if nth > 0 then expected[nth] = place - 1 end end
      assert.same(expected, places:tolist())
      local positions, rest = m:nonzero(), places
      for d = #shape - 1, 0, -1 do
        same(positions:select(1, d), rest:remainder(shape[d + 1]))
        rest = rest:div(shape[d + 1], { rounding_mode = "floor" })
      end
      for _, x in ipairs(layouts(torch.randint(0, 1000, shape))) do
        local values = x:flatten():take(places)
        same(x[{ m }], values)
        same(x:masked_select(m), values)
        local source = torch.arange(places:numel())
        local written = x:flatten():clone():scatter(0, places, source):view(shape)
        same(x:clone():masked_scatter_(m, source), written)
        same(x:clone():index_put_({ m }, source), written)
        same(torch.stack({ x, x }, #shape)[{ m }], torch.stack({ values, values }, 1))
      end
    end
    local wide = torch.arange(300):unsqueeze(1):expand(300, 200)
    local m = torch.rand(300, 200):lt(0.5)
    same(wide[{ m }], wide:contiguous():masked_select(m))
  end)

  it("are flipped as by an index", function()
    for _, dtype in ipairs { "uint8", "bfloat16", "float32", "complex64", "complex128" } do
      for _, shape in ipairs { { 40000 }, { 65, 67 }, { 33, 34, 3 }, { 31, 3, 5 }, { 5, 1, 7, 6 } } do
        local count = 1
        for _, size in ipairs(shape) do count = count * size end
        for _, x in ipairs(layouts(torch.arange(count):remainder(251):to(torch[dtype]):view(shape))) do
          for set = 1, 2 ^ #shape - 1 do
            local dims, expected = {}, x
            for d = 0, #shape - 1 do
              if set // 2 ^ d % 2 == 1 then
                dims[#dims + 1] = d
                expected = expected:index_select(d, torch.arange(shape[d + 1] - 1, -1, -1))
              end
            end
            assert.is_true(torch.equal(x:flip(dims), expected))
          end
        end
      end
    end
  end)

  it("are selected as by a sort", function()
    for _, dtype in ipairs { "uint8", "int64", "float32", "bfloat16" } do
      for _, shape in ipairs { { 3, 511 }, { 3, 512 }, { 2, 40000 }, { 600, 5 } } do
        for _, spread in ipairs { 2, 100, 1e6 } do
          local x = torch.randint(-spread // 1, spread // 1, shape):to(torch[dtype])
          if x:is_floating_point() then x = x:masked_fill(torch.rand(shape):lt(0.3), 0 / 0) end
          for dim = 0, 1 do
            local sorted, order = x:sort(dim)
            for _, part in ipairs { 0, 0.02, 0.5, 0.69, 1 } do
              local k = (shape[dim + 1] - 1) * part // 1 + 1
              local value, place = x:kthvalue(k, dim)
              same(value, sorted:select(dim, k - 1))
              same(place, order:select(dim, k - 1))
            end
          end
          if x:is_floating_point() then
            local kept = x[0]:masked_select(x[0]:isnan():logical_not()):sort()
            assert.equal(kept[(kept:numel() - 1) // 2]:item(), x[0]:nanmedian():item())
            assert.is_true(x[0]:median():isnan():item() == x[0]:isnan():any():item())
          else
            assert.equal(x[0]:sort()[(shape[2] - 1) // 2]:item(), x[0]:median():item())
          end
        end
      end
    end
  end)

  it("have their quantiles selected, with their gradients", function()
    local x = torch.randn(3, 700):requires_grad_()
    local sorted = x:sort(1)
    local low, high = sorted:select(1, 209), sorted:select(1, 210) -- 0.3 * 699 = 209.7
    local y = torch.quantile(x, 0.3, 1)
    assert.is_true(torch.allclose(y, low + (high - low) * 0.7, { rtol = 1e-4, atol = 1e-5 }))
    local grad, expected = torch.autograd.grad(y:sum(), x)[1], torch.autograd.grad((low + (high - low) * 0.7):sum(), x)[1]
    assert.is_true(torch.allclose(grad, expected, { rtol = 1e-3, atol = 1e-3 }))
    local broken = x:detach():clone()
    broken[1][5] = 0 / 0
    assert.same({ false, true, false }, torch.quantile(broken, 0.3, 1):isnan():tolist())
    same(torch.nanquantile(broken, 0.3, 1)[0], y:detach()[0])
  end)

  it("are counted for unique as sorting finds them", function()
    for _, dtype in ipairs { "bool", "uint8", "int8", "int32", "int64" } do
      for _, n in ipairs { 1, 1023, 40001 } do
        local x = torch.randint(-300, 300, { n }):to(torch[dtype])
        for _, op in ipairs { torch.unique, torch.unique_consecutive } do
          local values, inverse, counts = op(x, { return_inverse = true, return_counts = true })
          same(values:index_select(0, inverse), x)
          same(counts, torch.bincount(inverse))
          if op == torch.unique then
            assert.is_true(values:to(torch.int64):diff():gt(0):all():item())
          else
            assert.is_true(inverse:diff():ge(0):all():item())
            local rest = values:numel() - 1
            assert.is_true(values:narrow(0, 1, rest):ne(values:narrow(0, 0, rest)):all():item())
          end
        end
      end
    end
    local nan = 0 / 0
    assert.equal(4, torch.unique_consecutive(torch.tensor { nan, nan, 0, -0.0, 1 }):numel())
  end)

  it("fall into the bins that their dtype says", function()
    assert.same({ 1, 0, 0, 1 }, torch.histc(torch.tensor { 0.3, 0.1, 0.7 }, 4, 0.1, 0.3):tolist())
    assert.same({ 1, 0, 0, 1 }, torch.histc(torch.tensor({ 0.3, 0.1, 0.7 }, { dtype = torch.float16 }), 4, 0.1, 0.3):tolist())
    local x = torch.randint(0, 50, { 70001 })
    same(torch.histc(x:double(), 50, 0, 50):to(torch.int64), torch.bincount(x))
    assert.equal(2, torch.histc(torch.tensor { -3e38, 3e38 }, 4):sum():item()) -- the range overflows
  end)

  it("have products in double precision", function()
    local x = torch.rand(100, 333) + 0.6
    for _, dtype in ipairs { "float32", "float16", "bfloat16" } do
      local y = x:to(torch[dtype])
      for dim = 0, 1 do
        local expected = y:double():prod(dim):to(torch[dtype])
        assert.is_true(torch.allclose(y:prod(dim):double(), expected:double(), { rtol = 1e-2 }))
      end
    end
    assert.is_true(torch.tensor({ 1e30, 1e30, 1e-30, 1e-30 }):prod():item() > 0.99)
  end)

  it("are drawn with the numbers of float64", function()
    for _, rate in ipairs { 1, 1.7, 1e-3 } do
      torch.manual_seed(5)
      local wide = torch.empty(100000, { dtype = torch.float64 }):exponential_(rate)
      torch.manual_seed(5)
      same(torch.empty(100000):exponential_(rate), wide:float())
    end
    torch.manual_seed(6)
    local p = torch.rand(40, 300)
    torch.manual_seed(7)
    local drawn = torch.multinomial(p, 20)
    torch.manual_seed(7)
    local _, best = (p / torch.empty(40, 300):exponential_()):topk(20, 1)
    same(drawn, best)
    p[3][5] = -1
    assert.error_matches(function() torch.multinomial(p, 2) end, "got %-1 at index 5")
  end)
end)
