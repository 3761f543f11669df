-- A batch norm of a tensor that lies channels last is computed by whoever reads it (Note [Deferred elements] in
-- tensor/dispatch/layout.h). Nothing may show that: everything here runs on such a result and on one of a plain tensor,
-- which is computed at once.
local torch = require "lampad"
local nn = torch.nn
local F = nn.functional

local shape = { 2, 20, 33, 31 } -- 40920 elements: more than one thread takes

-- A hidden tensor and a plain one of the same values.
local function pair(dtype, seed)
  torch.manual_seed(seed or 0)
  local hidden = nn.Conv2d(3, shape[2], 3, { padding = 1 })(torch.randn(shape[1], 3, shape[3], shape[4])):detach():to(dtype)
  return hidden, torch.tensor(hidden:tolist(), { dtype = dtype })
end

local function norm(x, seed)
  torch.manual_seed(seed or 1)
  local w, b = torch.randn(shape[2]):to(x.dtype), torch.randn(shape[2]):to(x.dtype)
  return F.batch_norm(x, nil, nil, w, b, true)
end

local tolerances = { [torch.float64] = 1e-12, [torch.float32] = 1e-5, [torch.bfloat16] = 3e-2, [torch.float16] = 4e-3 }

local function close(a, b)
  assert.equal(b.dtype, a.dtype)
  assert.same(b:stride(), a:stride())
  local tolerance = tolerances[a.dtype] or 0
  assert.is_true(torch.allclose(a, b, tolerance, tolerance, true))
end

describe("a deferred batch norm", function()
  local cases = {
    sigmoid = function(y) return y:sigmoid() end,
    relu_in_place = function(y) return y:relu_() end,
    relu6_in_place = function(y) return F.relu6(y, true) end,
    add_in_place = function(y, x) return y:add_(x) end,
    mul_in_place = function(y) return y:mul_(2):add_(1) end,
    add = function(y, x) return y + x end,
    add_norm = function(y, x) return y + norm(x, 2) end,
    add_norm_in_place = function(y, x) return y:add_(norm(x * 2, 2)):relu_() end,
    into_source = function(y, x) return x:add_(y) + y end,
    to_other_dtype = function(y) return y + torch.ones(1, { dtype = torch.float64 }) end,
    compare = function(y) return y:gt(0) end,
    where = function(y) return torch.where(y:gt(0), y, y * 2) end,
    copy = function(y) return y:clone() end,
    copy_over = function(y, x) return torch.zeros_like(x):copy_(y) end,
    twice = function(y) return F.relu(y) + y end,
    pool = function(y) return F.max_pool2d(y, 2) end,
    sum = function(y) return y:sum(2) end,
    argmax = function(y) return y:argmax(1) end,
    cat = function(y, x) return torch.cat({ y, x }, 1) end,
    slice = function(y) return y[":, 3:7"] * 2 end,
    view = function(y) return y:view(2, -1) * 2 end,
    norm_again = function(y) return norm(norm(y, 2), 3) end,
    softmax = function(y) return y:float():softmax(1) end,
    scale_channels = function(y) return y * y:mean({ 2, 3 }, true) end,
    out = function(y, x) return torch.mul(x, 2, { out = y }) end,
    out_of_itself = function(y) return torch.mul(y, 2, { out = y }) end,
  }
  for _, name in ipairs { "relu", "relu6", "silu", "hardswish", "gelu", "elu", "softplus" } do
    cases[name] = function(y) return F[name](y) end
  end
  for name, run in pairs(cases) do
    it("gives " .. name, function()
      for dtype in pairs(tolerances) do
        local x, plain = pair(dtype)
        close(run(norm(x), x), run(norm(plain), plain))
      end
    end)
  end

  it("keeps its values when its source is written", function()
    for name, write in pairs {
      add = function(x) x:add_(1) end, zero = function(x) x:zero_() end, fill = function(x) x:fill_(3) end,
      copy = function(x) x:copy_(x * 2) end, index = function(x) x[0] = 7 end, slice = function(x) x[":, 2"] = 7 end,
      view = function(x) x:view(-1):mul_(2) end, detached = function(x) x:detach():relu_() end,
      order = function(x) x:view(-1):sum():item() end, data = function(x) x.data:neg_() end,
      out = function(x) torch.neg(x, { out = x }) end, resize = function(x) x:resize_(3, 20, 33, 31):fill_(0) end,
    } do
      local x, plain = pair(torch.float32)
      local y, expected = norm(x), norm(plain)
      write(x)
      assert.is_true(torch.allclose(y, expected, 1e-5, 1e-5), name)
      write(plain)
      if name ~= "resize" then assert.is_true(torch.equal(x, plain), name) end
    end
  end)

  it("may outlive its source, and its source it", function()
    local x, plain = pair(torch.float32)
    local y = norm(x)
    x:free()
    collectgarbage()
    close(y * 1, norm(plain))
    x = pair(torch.float32)
    y = norm(x)
    y:free()
    x:add_(1)
    close(x, plain + 1)
  end)

  it("shares a source with another", function()
    local x, plain = pair(torch.float32)
    local one, other = norm(x, 1), norm(x, 2)
    close(F.relu(other), F.relu(norm(plain, 2)))
    close(F.relu(one), F.relu(norm(plain, 1)))
  end)

  it("keeps NaN and infinities", function()
    local x, plain = pair(torch.float32)
    local running = torch.zeros(shape[2])
    for _, t in ipairs { x, plain } do
      t["0, 0, 0, 0"], t["0, 1, 2, 3"], t["1, 2, 3, 4"] = 0 / 0, math.huge, -math.huge
    end
    x = x * 1 -- hidden again: numbers were put in above
    x = nn.Conv2d(20, 20, 1, { groups = 20 })(x):detach():copy_(plain)
    for _, run in pairs { F.relu, F.relu6, torch.neg } do
      close(run(F.batch_norm(x, running, running + 1)), run(F.batch_norm(plain, running, running + 1)))
    end
  end)

  it("has the gradients of what follows it", function()
    for name, run in pairs {
      relu = F.relu, silu = F.silu, in_place = function(y) return F.relu6(y, true) end,
      add = function(y) return F.relu(y + y * 2, true) end, square = function(y) return y * y end,
      hook = function(y)
        y:register_hook(function(g) return g * 2 end)
        return F.hardswish(y)
      end,
    } do
      local x, plain = pair(torch.float64)
      local grads = {}
      for i, t in ipairs { x, plain } do
        t:requires_grad_()
        torch.manual_seed(3)
        local y = run(norm(t))
        y:backward(torch.randn_like(plain))
        grads[i] = t.grad
      end
      assert.is_true(torch.allclose(grads[1], grads[2], 1e-9, 1e-9), name)
    end
  end)

  it("tells of a source that was written before the backward", function()
    local x = pair(torch.float32)
    local w = torch.ones(shape[2]):requires_grad_()
    local y = F.relu(F.batch_norm(x, nil, nil, w, nil, true))
    x:add_(1)
    local ok, message = pcall(function() y:sum():backward() end)
    assert.is_false(ok)
    assert.truthy(tostring(message):find("modified by an inplace operation", 1, true))
  end)

  it("is computed once when it is read by its address", function()
    local x, plain = pair(torch.float32)
    local y, expected = norm(x), norm(plain)
    assert.is_true(torch.allclose(torch.tensor(y:tolist()), expected, 1e-5, 1e-5))
    x:zero_()
    assert.is_true(torch.allclose(torch.tensor(y:tolist()), expected, 1e-5, 1e-5))
  end)
end)
