-- Segments, histograms over several columns, simulated quantisation, gradients by differences: PyTorch 2.15's values.
local torch = require "lampad"

local function same(t, expected) assert.are.equal(tostring(torch.tensor(expected)), tostring(t:detach())) end

describe("segment_reduce", function()
  local lengths = torch.tensor { 2, 0, 4 }
  local cases = {
    { "sum", { { 2., 4. }, { 0., 0. }, { 28., 32. } }, { { 5., 7. }, { 3., 3. }, { 31., 35. } } },
    { "mean", { { 1., 2. }, { 0 / 0, 0 / 0 }, { 7., 8. } }, { { 2.5, 3.5 }, { 3., 3. }, { 7.75, 8.75 } } },
    { "max", { { 2., 3. }, { -math.huge, -math.huge }, { 10., 11. } }, { { 3., 3. }, { 3., 3. }, { 10., 11. } } },
    { "min", { { 0., 1. }, { math.huge, math.huge }, { 4., 5. } }, { { 0., 1. }, { 3., 3. }, { 3., 3. } } },
    { "prod", { { 0., 3. }, { 1., 1. }, { 1920., 3465. } }, { { 0., 9. }, { 3., 3. }, { 5760., 10395. } } },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " by lengths, and by offsets with an initial value", function()
      local data = torch.arange(12.):view(6, 2)
      same(torch.segment_reduce(data, case[1], { lengths = lengths }), case[2])
      same(torch.segment_reduce(data, case[1], { offsets = torch.tensor { 0, 2, 2, 6 }, initial = 3. }), case[3])
    end)

    it(case[1] .. " has first and second derivatives", function()
      local data = torch.rand({ 5, 2 }, { dtype = torch.float64 }) + 0.5
      local function f(x) return torch.segment_reduce(x, case[1], { lengths = torch.tensor { 2, 3 } }) end
      assert.is_true(torch.autograd.gradcheck(f, { data:requires_grad_() }))
      if case[1] == "prod" then assert.is_true(torch.autograd.gradgradcheck(f, { data })) end
    end)
  end

  it("works along later dims, with lengths of their own for each row", function()
    same(torch.segment_reduce(torch.arange(12.):view(2, 3, 2), "sum", { lengths = torch.tensor { { 1, 2 }, { 3, 0 } },
      axis = 1 }), { { { 0., 1. }, { 6., 8. } }, { { 24., 27. }, { 0., 0. } } })
  end)

  it("refuses what does not fit", function()
    local data = torch.ones(6, 2)
    local function bad(...) return pcall(torch.segment_reduce, data, ...) end
    for _, case in ipairs {
      { "sum", { lengths = torch.tensor { 2, 3 } }, "sum to" }, { "sum", { lengths = torch.tensor { -1, 7 } }, "negative" },
      { "sum", { offsets = torch.tensor { 0, 9 } }, "offsets" }, { "sum", {}, "lengths or offsets" },
      { "sum", { lengths = torch.tensor { 2., 4. } }, "int64" }, { "total", { lengths = torch.tensor { 6 } }, "reduce" },
      { "sum", { lengths = torch.tensor { 6 }, axis = 1 }, "lengths" },
    } do
      local ok, message = bad(case[1], case[2])
      assert.is_false(ok)
      assert.truthy(tostring(message):find(case[3], 1, true), tostring(message))
    end
  end)
end)

describe("fake quantisation", function()
  it("per channel rounds, cuts off and passes the gradient where it did not", function()
    local x = torch.tensor({ { 0.3, -1.2 }, { 2.0, 0.1 } }, { requires_grad = true })
    local zero = torch.tensor({ 0, 1 }, { dtype = torch.int32 })
    local y = torch.fake_quantize_per_channel_affine(x, torch.tensor { 0.1, 0.2 }, zero, 0, -4, 4)
    same(y, { { 0.3, -0.4 }, { 0.6, 0. } })
    y:sum():backward()
    same(x.grad, { { 1., 0. }, { 0., 1. } })
  end)

  it("takes scale and zero point as tensors, and treats NaN and infinity as PyTorch", function()
    local x = torch.tensor { 0.12, -0.3, 5., 0 / 0, math.huge, 0.25, 0.35 }
    local expected = { 0.1, -0.3, 1.2, -0.3, 1.2, 0.2, 0.4 }
    same(torch.fake_quantize_per_tensor_affine(x, 0.1, 3, 0, 15), expected)
    same(torch.fake_quantize_per_tensor_affine(x, torch.tensor(0.1), torch.tensor(3), 0, 15), expected)
    assert.has_error(function() torch.fake_quantize_per_tensor_affine(x, 0.1, 30, 0, 15) end)
    assert.has_error(function() torch.fake_quantize_per_tensor_affine(x, 0.1, 3, 20, 15) end)
    assert.has_error(function() torch.fake_quantize_per_tensor_affine(x:int(), 0.1, 3, 0, 15) end)
  end)
end)

describe("histograms", function()
  it("of several columns give counts and the list of edges", function()
    local points = torch.tensor { { 0., 1. }, { 1., 0. }, { 2., 2. }, { 2., 2. } }
    local counts, edges = torch.histogramdd(points, 2)
    same(counts, { { 0., 1. }, { 1., 2. } })
    same(edges[1], { 0., 1., 2. })
    same(torch.histogramdd(points, { torch.tensor { 0., 3. }, torch.tensor { 0., 1.5, 3. } }), { { 2., 2. } })
    same((torch.histogramdd(points, { 1, 1 }, { range = { 0., 2., 0., 2. }, density = true })), { { 0.25 } })
  end)

  it("refuse ranges and weights that do not fit", function()
    local x = torch.tensor { 1., 2., 0 / 0 }
    for _, f in ipairs {
      function() torch.histogram(x, 4) end, function() torch.histogram(x, 0, { range = { 0., 1. } }) end,
      function() torch.histogram(x, 2, { range = { 3., 1. } }) end,
      function() torch.histogram(x, 2, { range = { 0., 1. }, weight = torch.ones(2) }) end,
      function() torch.histogram(x:int(), 2) end, function() torch.histogramdd(x, 2) end,
    } do assert.has_error(f) end
  end)
end)

describe("gradient", function()
  it("is exact on parabolas, whatever the spacing", function()
    local x = torch.tensor({ 0., 1., 1.5, 3.5, 4. }, { dtype = torch.float64 })
    local g = torch.gradient(x * x, { spacing = { x }, edge_order = 2 })[1]
    assert.is_true(torch.allclose(g, 2 * x))
    local even = torch.arange(0., 3., 0.5)
    assert.is_true(torch.allclose(torch.gradient(even * even, { spacing = 0.5, edge_order = 2 })[1], 2 * even))
  end)

  it("has a result for each dim and refuses short ones", function()
    assert.are.equal(2, #torch.gradient(torch.ones(3, 4)))
    assert.are.equal(1, #torch.gradient(torch.ones(3, 4), { dim = 1 }))
    assert.has_error(function() torch.gradient(torch.ones(3, 1)) end)
    assert.has_error(function() torch.gradient(torch.ones(3, 4), { spacing = { 1 } }) end)
    assert.has_error(function() torch.gradient(torch.ones(3, 4), { edge_order = 3 }) end)
  end)
end)

describe("shapes of indices", function()
  it("unravel_index gives coordinates", function()
    local rows, columns = torch.unravel_index(torch.tensor { 4, 5 }, { 2, 3 })
    same(rows, { 1, 1 })
    same(columns, { 1, 2 })
    assert.has_error(function() torch.unravel_index(torch.tensor { 6 }, { 2, 3 }) end)
    assert.has_error(function() torch.unravel_index(torch.tensor { 1. }, { 2, 3 }) end)
  end)

  it("broadcast_shapes joins shapes", function()
    assert.are.equal("torch.Size([4, 2, 3])", tostring(torch.broadcast_shapes({ 2, 1 }, 3, torch.Size { 4, 1, 1 })))
    assert.has_error(function() torch.broadcast_shapes({ 2 }, { 3 }) end)
  end)
end)

describe("integers", function()
  it("take the integral part of beta and alpha in products, and are refused by addr", function()
    local m = torch.full({ 2, 2 }, 3)
    assert.are.same({ { 18, 18 }, { 18, 18 } }, torch.addmm(m, m, m, { beta = 0.6, alpha = 1.2 }):tolist())
    assert.are.same({ 6, 6 }, torch.addmv(m[0], m, torch.ones({ 2 }, { dtype = torch.int64 }),
      { beta = 0.6, alpha = 1.2 }):tolist())
    assert.has_error(function() torch.addr(m, m[0], m[0], { beta = 0.6 }) end)
    assert.are.equal(torch.int64, torch.tensor(true):sum_to_size({}).dtype)
  end)
end)
