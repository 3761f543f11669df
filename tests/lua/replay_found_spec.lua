-- What PyTorch's own op samples found when all of them were replayed, in every dtype: one test for each difference.
local torch = require "lampad"
local nan, inf = 0 / 0, math.huge

describe("found by replaying PyTorch's samples:", function()
  it("the outer product of addr propagates NaN where alpha is 0", function()
    for _, beta in ipairs { 0., 1. } do
      local r = torch.addr(torch.ones(1, 2), torch.tensor { nan }, torch.ones(2), { beta = beta, alpha = 0. })
      assert.is_true(r:isnan():all():item())
    end
    local whole = torch.ones(2, { dtype = torch.int64 })
    assert.same({ { 3, 3 }, { 3, 3 } }, torch.addr(torch.ones_like(whole), whole, whole, { beta = 3, alpha = 0 }):tolist())
    assert.same({ { 0., 0. } }, torch.addr(torch.full({ 1, 2 }, nan), torch.ones(1), torch.ones(2),
      { beta = 0., alpha = 0. }):tolist())
  end)

  it("the truncated quotient of bfloat16 and float16 is rounded to the dtype first", function()
    local a, b = torch.tensor { 1.7, -1.7 }, torch.tensor { 0.095, 0.095 }
    for _, dtype in ipairs { torch.bfloat16, torch.float16 } do
      local x, y = (a * 10):to(dtype), b:to(dtype)
      local expected = torch.trunc((x:float() / y:float()):to(dtype)):tolist()
      assert.same(expected, torch.div(x, y, { rounding_mode = "trunc" }):tolist())
      assert.same(expected, x:clone():div_(y, { rounding_mode = "trunc" }):tolist())
    end
    -- 3.609375 / 0.201171875 = 17.94..., which is 18 in bfloat16; a divisor of one element divides in float32.
    local x, y = torch.tensor({ 3.609375, 3.609375 }):bfloat16(), torch.tensor({ 0.201171875, 0.201171875 }):bfloat16()
    assert.same({ 18., 18. }, torch.div(x, y, { rounding_mode = "trunc" }):tolist())
    assert.same({ 17., 17. }, torch.div(x, y[0], { rounding_mode = "trunc" }):tolist())
  end)

  it("norms of matrices without elements are 0 where they are a largest value", function()
    local L = torch.linalg
    for _, case in ipairs { { { 0, 0 }, { 1, 2, inf } }, { { 5, 0 }, { 1, 2 } }, { { 0, 5 }, { 2, inf } } } do
      for _, order in ipairs(case[2]) do
        local x = torch.zeros(case[1], { requires_grad = true })
        assert.equal(0., L.norm(x, order):item())
        assert.same({ { 0. } }, L.matrix_norm(x, order, { keepdim = true }):tolist())
        assert.is_false(L.norm(x, order).requires_grad)
        assert.error_matches(function() L.norm(x, -order) end, "non%-zero size")
      end
    end
    local batch = torch.zeros(2, 0, 3, { dtype = torch.complex128 })
    assert.same({ 0., 0. }, L.matrix_norm(batch, 2):tolist())
    assert.equal(torch.float64, L.matrix_norm(batch, inf).dtype)
    assert.equal(torch.Size { 0 }, L.norm(torch.zeros(0, 0, 1), 2, { 1, 2 }).shape)
  end)

  it("multi_margin_loss of one row has the target's shape", function()
    local F = torch.nn.functional
    local one = torch.zeros(1, { dtype = torch.int64 })
    local none = { reduction = "none" }
    assert.equal(torch.Size { 1 }, F.multi_margin_loss(torch.ones(5), one, none).shape)
    assert.equal(torch.Size {}, F.multi_margin_loss(torch.ones(5), one[0], none).shape)
    assert.equal(torch.Size {}, F.multi_margin_loss(torch.ones(1, 5), one[0], none).shape)
    assert.equal(torch.Size { 1 }, F.multi_margin_loss(torch.ones(1, 5), one, none).shape)
    assert.error_matches(function() F.multi_margin_loss(torch.ones(2, 0), torch.zeros(2):long()) end, "at least one class")
    assert.error_matches(function() F.multilabel_margin_loss(torch.ones(0), torch.zeros(0):long()) end, "at least one class")
  end)

  it("remainders are exact where the quotient is near a whole number, huge or not finite", function()
    local special = { 0., -0., 1., -3.5, inf, -inf, nan, 5e-324, 2.5e-308, 1e308, 2. ^ 53, 0.1 }
    local a, b = {}, {}
    for _, x in ipairs(special) do
      for _, y in ipairs(special) do a[#a + 1], b[#b + 1] = x, y end
    end
    for k = 1, 400 do
      local y = 0.37 * k * (k % 3 == 0 and -1 or 1)
      for _, nudge in ipairs { 0, -2. ^ -52, 2. ^ -52 } do
        a[#a + 1], b[#b + 1] = y * k * (1 + nudge) * (k % 2 == 0 and -1 or 1), y
      end
    end
    for _, dtype in ipairs { torch.float64, torch.float32 } do
      local x, y = torch.tensor(a, { dtype = dtype }), torch.tensor(b, { dtype = dtype })
      local got, xs, ys = x:fmod(y):tolist(), x:tolist(), y:tolist()
      for i = 1, #xs do
        local expected = ys[i] == 0 and nan or math.fmod(xs[i], ys[i]) -- C's, in double: exact for both
        assert.equal(("%a"):format(math.abs(expected)), ("%a"):format(math.abs(got[i])))
        if expected == expected then assert.equal(1 / expected > 0, 1 / got[i] > 0) end
      end
      local floor = torch.floor_divide(x, y)
      local zeros = floor:eq(0)
      assert.same((x / y):signbit()[zeros]:tolist(), floor:signbit()[zeros]:tolist())
    end
  end)

  it("a Cholesky factor with NaN pivots is refused", function()
    local L = torch.linalg
    for _, dtype in ipairs { torch.float32, torch.float64, torch.complex64, torch.complex128 } do
      for order, rows in ipairs { { { nan, 0. }, { 0., 1. } }, { { 1., nan }, { nan, 1. } } } do
        local a = torch.tensor(rows):to(dtype)
        assert.error_matches(function() L.cholesky(a) end, "minor of order " .. order)
        local _, info = L.cholesky_ex(a, { upper = true })
        assert.equal(order, info:item())
      end
      local _, info = L.cholesky_ex(torch.tensor { { 1., 0. }, { nan, 4. } }:to(dtype), { upper = true })
      assert.equal(0, info:item()) -- the other triangle is not read
    end
  end)
end)
