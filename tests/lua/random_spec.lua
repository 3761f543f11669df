-- Random streams: elements of what PyTorch 2.15 (CPU) gives after torch.manual_seed(11).
local torch = require "lampad"

local streams = {
  { function() return torch.rand(7, 5) end,
    {[0] = 0x1.313cc80000000p-3, [17] = 0x1.851e5a0000000p-1, [34] = 0x1.c4fc860000000p-1} },
  { function() return torch.rand(7, {dtype = torch.float64}) end,
    {[0] = 0x1.89e6445f23afcp-3, [3] = 0x1.5450ded20e14cp-1, [6] = 0x1.669b795da5970p-3} },
  { function() return torch.rand(7, {dtype = torch.float16}) end,
    {[0] = 0x1.3140000000000p-3, [3] = 0x1.5900000000000p-3, [6] = 0x1.2a80000000000p-1} },
  { function() return torch.randn(3) end,
    {[0] = 0x1.79aa920000000p-1, [1] = 0x1.f2286a0000000p+0, [2] = -0x1.662a520000000p-1} },
  { function() return torch.randn(7, 5) end,
    {[0] = -0x1.0587420000000p-1, [17] = 0x1.929cb20000000p+0, [34] = 0x1.d5509e0000000p-5} },
  { function() return torch.randn(40, {dtype = torch.bfloat16}) end,
    {[0] = -0x1.0600000000000p-1, [20] = -0x1.3c00000000000p-3, [39] = 0x1.1000000000000p+0} },
  { function() return torch.view_as_real(torch.randn(20, {dtype = torch.complex64})) end,
    {[0] = -0x1.71db600000000p-2, [20] = -0x1.bfd7980000000p-4, [39] = -0x1.ce8f8a0000000p-2} },
  { function() return torch.zeros(7, 5):t():normal_(1, 2) end,
    {[0] = 0x1.3cd5480000000p+1, [17] = 0x1.819f460000000p-1, [34] = 0x1.49bdd80000000p-2} },
  { function() return torch.zeros(20, 8)[":, ::2"]:uniform_(-1, 2) end,
    {[0] = -0x1.1b126a0000000p-1, [40] = -0x1.a8a8900000000p-4, [79] = 0x1.d705ea0000000p+0} },
  { function() return torch.randint(10, {20}) end, {[0] = 1, [10] = 2, [19] = 1} },
  { function() return torch.randint(-5, 2^40 // 1 | 0, {20}) end,
    {[0] = 657408249847, [10] = 569940033374, [19] = 1039476854283} },
  { function() return torch.randperm(100) end, {[0] = 41, [50] = 77, [99] = 2} },
  { function() return torch.zeros(50, {dtype = torch.uint8}):random_() end, {[0] = 153, [25] = 37, [49] = 185} },
  { function() return torch.zeros(50):random_(3, 300) end, {[0] = 174, [25] = 73, [49] = 181} },
  { function() return torch.zeros(50):exponential_(2) end,
    {[0] = 0x1.b5773e0000000p-4, [25] = 0x1.5ff3ae0000000p+0, [49] = 0x1.db33f60000000p-2} },
  { function() return torch.zeros(50):geometric_(0.2) end, {[0] = 8, [25] = 1, [49] = 3} },
  { function() return torch.zeros(50):log_normal_() end,
    {[0] = 0x1.7c50260000000p+3, [25] = 0x1.37147e0000000p-5, [49] = 0x1.3250960000000p+5} },
  { function() return torch.zeros(50):cauchy_() end,
    {[0] = -0x1.72d0ae0000000p+0, [25] = 0x1.3a406c0000000p+2, [49] = 0x1.5d8b780000000p-2} },
  { function() return torch.poisson(torch.arange(50, {dtype = torch.float32})) end, {[0] = 0, [25] = 20, [49] = 42} },
  { function() return torch.binomial(torch.full({50}, 40.), torch.linspace(0, 1, 50)) end,
    {[0] = 0, [25] = 18, [49] = 40} },
  { function() return torch.normal(torch.arange(20, {dtype = torch.float32}), 0.5) end,
    {[0] = -0x1.0587420000000p-2, [10] = 0x1.4cbc920000000p+3, [19] = 0x1.33fc840000000p+4} },
  { function() return torch.multinomial(torch.arange(1, 41, {dtype = torch.float32}):reshape(2, 20), 5) end,
    {[0] = 15, [5] = 8, [9] = 18} },
  { function() return torch.multinomial(torch.arange(1, 41, {dtype = torch.float32}):reshape(2, 20), 50, true) end,
    {[0] = 8, [50] = 13, [99] = 15} },
}

describe("random streams", function()
  for i, row in ipairs(streams) do
    it("number " .. i .. " is PyTorch's, bit for bit", function()
      torch.manual_seed(11)
      local values = row[1]():flatten()
      for index, expected in pairs(row[2]) do
        assert.equal(expected + 0.0, values[index]:item() + 0.0)
      end
    end)
  end

  it("bernoulli draws 53 bits by number and by float64, 24 by float32 probabilities", function()
    torch.manual_seed(3)
    local double = torch.rand(100, { dtype = torch.float64 }):lt(0.3)
    torch.manual_seed(3)
    assert.is_true(torch.equal(double, torch.zeros(100, { dtype = torch.bool }):bernoulli_(0.3)))
    torch.manual_seed(3)
    local single = torch.rand(100):lt(0.3)
    torch.manual_seed(3)
    assert.is_true(torch.equal(single, torch.bernoulli(torch.full({ 100 }, 0.3)):to(torch.bool)))
  end)

  it("bernoulli by probabilities draws in order, whatever their number, strides and dtype", function()
    torch.manual_seed(4)
    local chances = torch.rand(7, 333)
    for _, dtype in ipairs { torch.float32, torch.float64, torch.bfloat16 } do
      local p = chances:to(dtype)
      torch.manual_seed(3)
      local expected = torch.rand(7, 333, { dtype = dtype == torch.float64 and dtype or torch.float32 }):lt(p)
      torch.manual_seed(3)
      assert.is_true(torch.equal(expected, torch.bernoulli(p):to(torch.bool)))
      torch.manual_seed(3)
      assert.is_true(torch.equal(expected, torch.bernoulli(p:t():contiguous():t()):to(torch.bool)))
      torch.manual_seed(3)
      local one_for_all = torch.zeros(7, 333):bernoulli_(p[{ ":", "5:6" }]):to(torch.bool)
      torch.manual_seed(3)
      assert.is_true(torch.equal(one_for_all,
        torch.rand(7, 333, { dtype = dtype == torch.float64 and dtype or torch.float32 }):lt(p[{ ":", "5:6" }])))
    end
    assert.has_error(function() torch.bernoulli(torch.cat { torch.zeros(500), torch.tensor { 0 / 0 } }) end)
  end)

  it("fills a permuted tensor in the order of its memory", function()
    torch.manual_seed(3)
    local plain = torch.rand(2, 3, 4)
    torch.manual_seed(3)
    local permuted = torch.zeros(2, 3, 4)
    permuted:permute(2, 0, 1):uniform_()
    assert.is_true(torch.equal(plain, permuted))
  end)

  it("keeps generators apart and continues from a saved state", function()
    local g = torch.Generator()
    g:manual_seed(5)
    torch.manual_seed(1)
    local first = torch.rand(4, { generator = g })
    g:manual_seed(5)
    torch.rand(10)
    assert.is_true(torch.equal(first, torch.rand(4, { generator = g })))
    local state = torch.get_rng_state()
    assert.equal(5056, state:numel())
    local a = torch.randn(7)
    torch.set_rng_state(state)
    assert.is_true(torch.equal(a, torch.randn(7)))
  end)

  it("gives fills a gradient of zero", function()
    local x = torch.ones(3, { requires_grad = true })
    local y = x * 2
    y:normal_()
    y:sum():backward()
    assert.is_true(torch.equal(torch.zeros(3), x.grad))
  end)

  it("refuses what has no distribution", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.matches(text, message, 1, true)
    end
    fails("from = 5 >= to = 5", torch.randint, 5, 5, { 2 })
    fails("[0, 1]", torch.bernoulli, torch.tensor { 2. })
    fails("floating or complex", torch.rand, 2, { dtype = torch.int64 })
    fails("std must be >= 0", function() torch.zeros(2):normal_(0, -1) end)
    fails("without replacement", torch.multinomial, torch.ones(3), 4)
    fails("must not all be 0", torch.multinomial, torch.zeros(3), 1)
    fails("expanded view", function() torch.zeros(1):expand(3):uniform_() end)
  end)
end)
