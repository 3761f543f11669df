-- cdist and pdist: values and gradients against the definition, made of other ops; second derivatives; memory.
local torch = require "lampad"

local function by_definition(a, b, p)
  local d = a:unsqueeze(-2) - b:unsqueeze(-3)
  return p == math.huge and d:abs():amax(-1) or d:abs():pow(p):sum(-1):pow(1 / p)
end

local function near(a, b, tolerance, text)
  local gap = (a - b):abs():max():item() / (1 + b:abs():max():item())
  assert.is_true(gap <= tolerance, ("%s: %g"):format(text, gap))
end

describe("distances between rows", function()
  it("have the definition's values and gradients", function()
    torch.manual_seed(3)
    for _, dtype in ipairs { torch.float32, torch.float64 } do
      local tolerance = dtype == torch.float32 and 2e-4 or 1e-10
      for _, sizes in ipairs { { 1, 1, 1 }, { 3, 5, 2 }, { 30, 41, 19 }, { 7, 70, 130 } } do
        local n, r, m = table.unpack(sizes)
        for _, p in ipairs { 1, 1.5, 2, 3, math.huge } do
          local text = ("%s %d %d %d, p %g"):format(dtype, n, r, m, p)
          local a, b = torch.randn(2, n, m, { dtype = dtype }), torch.randn(2, r, m, { dtype = dtype })
          local w = torch.randn(2, n, r, { dtype = dtype })
          local grads = {}
          for i, f in ipairs { function(x, y) return torch.cdist(x, y, p, "donot_use_mm_for_euclid_dist") end,
            function(x, y) return by_definition(x, y, p) end } do
            local x, y = a:clone():requires_grad_(), b:clone():requires_grad_()
            local d = f(x, y);
            (d * w):sum():backward()
            grads[i] = { d:detach(), x.grad, y.grad }
          end
          for k = 1, 3 do near(grads[1][k], grads[2][k], tolerance, text .. ", " .. k) end
        end
      end
    end
  end)

  it("of the rows of one matrix are a triangle of those", function()
    for _, n in ipairs { 0, 1, 2, 9, 40 } do
      for _, p in ipairs { 1, 2, 3, math.huge } do
        local x = torch.randn(n, 6, { dtype = torch.float64 }):requires_grad_()
        local got = torch.pdist(x, p)
        assert.equal(n < 2 and 0 or n * (n - 1) // 2, got:numel())
        local all = torch.cdist(x, x, p, "donot_use_mm_for_euclid_dist")
        local upper = torch.ones(n, n):triu(1):bool()
        local want = all:masked_select(upper)
        if n > 1 then
          near(got:detach(), want:detach(), 1e-12, "values")
          local w = torch.randn(got:numel(), { dtype = torch.float64 })
          local first = torch.autograd.grad({ (got * w):sum() }, { x })
          local second = torch.autograd.grad({ (want * w):sum() }, { x })
          near(torch.is_tensor(first) and first or first[1], torch.is_tensor(second) and second or second[1], 1e-12, "gradient")
        end
      end
    end
  end)

  it("that are 0 have a gradient of 0", function()
    for _, p in ipairs { 1, 2, 3 } do
      local x = torch.ones(3, 4):requires_grad_()
      torch.pdist(x, p):sum():backward()
      assert.is_true(x.grad:eq(0):all():item())
      local y = torch.ones(3, 4):requires_grad_()
      torch.cdist(y, torch.ones(2, 4), p, "donot_use_mm_for_euclid_dist"):sum():backward()
      assert.is_true(y.grad:eq(0):all():item())
    end
  end)

  it("are twice differentiable", function()
    local x = torch.randn(4, 3, { dtype = torch.float64 }):requires_grad_()
    local y = torch.randn(5, 3, { dtype = torch.float64 }):requires_grad_()
    for _, p in ipairs { 2, 3 } do
      local check = torch.autograd.gradgradcheck
      assert.is_true(check(function(a) return torch.pdist(a, p) end, { x }))
      assert.is_true(check(function(a, b) return torch.cdist(a, b, p, "donot_use_mm_for_euclid_dist") end, { x, y }))
    end
  end)
end)

describe("copies that shift", function()
  it("move every element, near and far", function()
    for _, n in ipairs { 700, 3000, 70000 } do
      local from = torch.arange(n + 80)
      for _, shift in ipairs { 0, 1, 2, 3, 7, 8, 9, 63 } do
        local to = torch.full({ n + 80 }, -1, { dtype = torch.int64 })
        to:narrow(0, shift, n):copy_(from:narrow(0, 5, n))
        assert.is_true(to:narrow(0, shift, n):equal(torch.arange(5, 5 + n)))
        assert.is_true(to:narrow(0, 0, shift):eq(-1):all():item() and to:narrow(0, shift + n, 80 - shift):eq(-1):all():item())
        local same = torch.arange(n + 80) -- within itself
        same:narrow(0, shift, n):copy_(same:narrow(0, 0, n))
        assert.is_true(same:narrow(0, shift, n):equal(torch.arange(n)))
      end
    end
    local rows = torch.randn(40, 1500)
    for _, shift in ipairs { 1, 3, -2 } do
      local rolled = torch.roll(rows, shift, 1)
      for _, j in ipairs { 0, 1, 2, 700, 1499 } do
        assert.is_true(rolled:select(1, j):equal(rows:select(1, (j - shift) % 1500)))
      end
    end
  end)
end)
