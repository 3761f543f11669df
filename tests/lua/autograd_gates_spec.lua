-- Batch norm's backward looks through the gate of a ReLU that follows (Note: gates in tensor/autograd/node.h). That changes no
-- bit of any gradient: a hook on what lies between the two makes each backward run by itself, and both must agree.
local torch = require "lampad"
local core = require "lampad.core"
local F = torch.nn.functional

local integers = { [2] = torch.int16, [4] = torch.int32, [8] = torch.int64 }
local function bits(t) return t:contiguous():view(integers[t:element_size()]) end

local function assert_same_bits(a, b, what)
  assert.same(a.shape:tolist(), b.shape:tolist(), what)
  assert.is_true(torch.equal(bits(a), bits(b)), what)
end

local activations = {
  relu = F.relu,
  relu_in_place = function(y) return y:relu_() end,
  relu6 = F.relu6,
  relu6_in_place = function(y) return F.relu6(y, true) end,
  hardtanh = function(y) return F.hardtanh(y, -0.3, 0.7) end,
  hardtanh_in_place = function(y) return F.hardtanh(y, -0.3, 0.7, true) end,
  threshold = function(y) return F.threshold(y, 0.25, 0.5) end,
}

-- A net of one batch norm, and a backward through it. o.between sees the batch norm's result.
local function run(o)
  torch.manual_seed(3)
  local x = torch.randn(o.shape, { dtype = o.dtype })
  local c = o.shape[2]
  if o.last then x = x:contiguous { memory_format = torch.channels_last } end
  if o.poison then x[0][0][0][0] = o.poison end
  x:requires_grad_()
  local wide = o.dtype == torch.float64 and o.dtype or torch.float32
  local weight = o.affine and torch.randn(c, { dtype = wide, requires_grad = true })
  local bias = o.affine and torch.randn(c, { dtype = wide, requires_grad = true })
  local mean, var = torch.zeros(c, { dtype = wide }), torch.ones(c, { dtype = wide })
  local y = F.batch_norm(x, mean, var, weight or nil, bias or nil, o.training ~= false)
  if o.between then o.between(y) end
  local z = o.activation(y)
  local g = torch.randn(z.shape, { dtype = o.dtype })
  if o.grad_last then g = g:contiguous { memory_format = torch.channels_last } end
  if o.bad_grad then g[0][0][0] = torch.tensor { 1 / 0, -1 / 0, 0 / 0 } end
  z:backward(g)
  return { x.grad, weight and weight.grad, bias and bias.grad, z = z }
end

local function compare(o, what)
  local through = run(o)
  o.between = function(y) y:register_hook(function() end) end
  local apart = run(o)
  o.between = nil
  for i = 1, o.affine and 3 or 1 do assert_same_bits(through[i], apart[i], ("%s, gradient %d"):format(what, i)) end
end

describe("a gate before batch norm", function()
  for name, activation in pairs(activations) do
    it("gives the bits of two passes: " .. name, function()
      for _, dtype in ipairs { torch.float32, torch.float64, torch.bfloat16, torch.float16 } do
        for _, last in ipairs { false, true } do
          for _, affine in ipairs { false, true } do
            local what = ("%s %s last %s affine %s"):format(name, dtype, last, affine)
            local o = { shape = { 3, 5, 7, 3 }, dtype = dtype, last = last, grad_last = last, affine = affine, activation = activation }
            compare(o, what)
            o.training = false
            compare(o, what .. " with running statistics")
            o.grad_last = not last
            compare(o, what .. " with a gradient in the other order")
          end
        end
      end
    end)
  end

  it("gives the bits of two passes over many threads' work", function()
    for _, last in ipairs { false, true } do
      for _, shape in ipairs { { 16, 24, 40, 24 }, { 2, 700, 9, 9 } } do
        compare({ shape = shape, dtype = torch.float32, last = last, grad_last = last, affine = true, activation = F.relu },
          "last " .. tostring(last))
      end
    end
  end)

  it("treats NaN and infinities as two passes do", function()
    for name, activation in pairs(activations) do
      for _, last in ipairs { false, true } do
        for _, training in ipairs { false, true } do
          for _, poison in ipairs { 0 / 0, 1 / 0, -1 / 0, 1 } do
            compare({ shape = { 2, 4, 3, 3 }, dtype = torch.float32, last = last, affine = true, activation = activation,
              training = training, poison = poison, bad_grad = poison == 1 }, name)
          end
        end
      end
    end
  end)

  it("works on hidden channels-last memory and on rows", function()
    local conv = torch.nn.Conv2d(3, 16, 3, { bias = false })
    local x = torch.randn(2, 3, 12, 12)
    local function through(hook)
      conv:zero_grad()
      local y = F.batch_norm(conv(x), nil, nil, nil, nil, true)
      if hook then y:register_hook(function() end) end
      F.max_pool2d(y:relu_(), 2):square():sum():backward()
      return conv.weight.grad
    end
    local plain = through(true):clone()
    assert_same_bits(through(false), plain)
    local rows = { dtype = torch.float32, affine = true, activation = F.relu }
    rows.shape = { 40, 6 }
    compare(rows, "rows")
    rows.shape = { 8, 6, 5 }
    compare(rows, "one dim of places")
  end)

  it("saves a tensor", function()
    local x = torch.randn(4, 8, 64, 64, { requires_grad = true })
    local g = torch.randn(x.shape)
    local function peak(hook)
      local y = F.batch_norm(x, nil, nil, nil, nil, true)
      if hook then y:register_hook(function() end) end
      local z = F.relu(y)
      x.grad = nil
      collectgarbage()
      collectgarbage()
      core.memory_reset_peak()
      local before = core.memory_stats().live_bytes
      z:backward(g)
      return core.memory_stats().peak_bytes - before
    end
    peak(false)
    assert.is_true(peak(false) <= peak(true) - x:numel() * 4)
  end)
end)

describe("a gradient that somebody looks at on its way", function()
  -- The gradient of the batch norm's result, worked out apart.
  local function net()
    torch.manual_seed(5)
    local x = torch.randn(4, 3, 6, 6, { requires_grad = true })
    local y = F.batch_norm(x, nil, nil, nil, nil, true)
    local z = F.relu(y)
    local g = torch.randn(z.shape)
    return x, y, z, g, g * z:detach():gt(0)
  end

  it("is seen by hooks and kept by retain_grad", function()
    local x, y, z, g, masked = net()
    local seen
    y:register_hook(function(grad) seen = grad end)
    z:backward(g)
    assert.is_true(torch.equal(seen, masked))
    local plain = x.grad
    x, y, z = net()
    y:retain_grad()
    z:backward(g)
    assert.is_true(torch.equal(y.grad, masked))
    assert_same_bits(x.grad, plain)
  end)

  it("is what hooks of the two nodes get", function()
    local _, y, z, g, masked = net()
    local before, after, behind
    y:retain_grad()
    z.grad_fn:register_hook(function(grads) behind = grads[1] end)
    z:backward(g)
    assert.is_true(torch.equal(behind, masked) and torch.equal(y.grad, masked))
    _, y, z = net()
    y.grad_fn:register_prehook(function(grads) before = grads[1] end)
    z:backward(g)
    assert.is_true(torch.equal(before, masked))
    _, y, z = net()
    y.grad_fn:register_hook(function(_, grads) after = grads[1] end)
    z:backward(g)
    assert.is_true(torch.equal(after, masked))
  end)

  it("is replaced by what a hook on the activation's result returns", function()
    local x, _, z, g = net()
    z:register_hook(function(grad) return grad * 2 end)
    z:backward(g)
    local doubled = x.grad
    x, _, z, g = net()
    z:backward(g * 2)
    assert_same_bits(doubled, x.grad)
  end)

  it("keeps its shape and its dtype, whatever hooks return", function()
    for _, other in ipairs { { torch.ones(1), "size.*%[4, 3, 6, 6%] to %[1%]" }, { torch.ones(4, 3, 6, 6):double(), "type.*float32 to float64" } } do
      local function refuses(register)
        local _, y, z, g = net()
        register(y, z)
        local ok, message = pcall(z.backward, z, g)
        assert.is_false(ok)
        assert.is_truthy(message:find("a hook has changed the " .. other[2]), message)
      end
      refuses(function(y) y:register_hook(function() return other[1] end) end)
      refuses(function(y) y.grad_fn:register_prehook(function() return { other[1] } end) end)
      refuses(function(_, z) z.grad_fn:register_hook(function() return { other[1] } end) end)
    end
  end)

  it("is what autograd.grad and backward(inputs =) ask for", function()
    local x, y, z, g, masked = net()
    local of_y, of_x = torch.autograd.grad({ z }, { y, x }, { g }, { retain_graph = true })
    assert.is_true(torch.equal(of_y, masked))
    z:backward(g, { inputs = { y } })
    assert.is_true(torch.equal(y.grad, masked))
    x, y, z = net()
    z:backward(g)
    assert.is_nil(y.grad)
    assert_same_bits(of_x, x.grad)
  end)

  it("may be a batch of gradients", function()
    local x, _, z = net()
    local batch = torch.randn(3, 4, 3, 6, 6)
    local together = torch.autograd.grad({ z }, { x }, { batch }, { retain_graph = true, is_grads_batched = true })
    for i = 0, 2 do
      local alone = torch.autograd.grad({ z }, { x }, { batch[i] }, { retain_graph = true })
      assert.is_true(torch.allclose(together[i], alone, 1e-5, 1e-6))
    end
  end)

  it("is summed with that of another use of the batch norm's result", function()
    for _, use in ipairs { "earlier", "later", "both" } do
      local function total(hook)
        torch.manual_seed(7)
        local x = torch.randn(4, 3, 6, 6, { requires_grad = true })
        local y = F.batch_norm(x, nil, nil, nil, nil, true)
        if hook then y:register_hook(function() end) end
        local sum = use ~= "later" and (y * 2):square():sum() or 0
        local z = F.relu(y)
        sum = sum + (z * z):sum()
        if use ~= "earlier" then sum = sum + (y * 3):exp():sum() end
        sum:backward()
        return x.grad
      end
      assert_same_bits(total(false), total(true), use)
    end
  end)

  it("has derivatives of its own", function()
    local x = torch.randn(3, 2, 4, { dtype = torch.float64, requires_grad = true })
    local weight = torch.randn(2, { dtype = torch.float64, requires_grad = true })
    local function f(a, w) return F.relu(F.batch_norm(a, nil, nil, w, nil, true) + 0.1) end
    local function direct(a, w) return F.relu(F.batch_norm(a, nil, nil, w, nil, true)) end
    for _, fn in ipairs { f, direct } do
      assert.is_true(torch.autograd.gradcheck(fn, { x, weight }))
      assert.is_true(torch.autograd.gradgradcheck(fn, { x, weight }))
    end
  end)

  it("is looked at under anomaly detection", function()
    local x, _, z, g = net()
    torch.autograd.detect_anomaly(function()
      z:backward(g)
      local bad = F.relu(F.batch_norm(x, nil, nil, nil, nil, true))
      local ok, message = pcall(bad.backward, bad, g * (0 / 0))
      assert.is_false(ok)
      assert.is_truthy(message:find "ReluBackward0", message)
    end)
    local found = x.grad
    x, _, z = net()
    z:backward(g)
    assert_same_bits(found, x.grad)
  end)
end)

describe("a gate's errors", function()
  it("name the activation when its result was written to, or is gone", function()
    local x = torch.randn(2, 3, 4, 4, { requires_grad = true })
    local z = F.relu(F.batch_norm(x, nil, nil, nil, nil, true))
    local sum = z:sum()
    z:detach():add_(1)
    local ok, message = pcall(sum.backward, sum)
    assert.is_false(ok)
    assert.is_truthy(message:find "modified by an inplace operation" and message:find "ReluBackward0", message)
    sum = F.relu(F.batch_norm(x, nil, nil, nil, nil, true)):sum()
    sum:backward()
    ok, message = pcall(sum.backward, sum)
    assert.is_false(ok)
    assert.is_truthy(message:find "a second time", message)
  end)

  it("may run twice with retain_graph", function()
    local x = torch.randn(2, 3, 4, 4, { requires_grad = true })
    local sum = F.relu(F.batch_norm(x, nil, nil, nil, nil, true)):sum()
    sum:backward { retain_graph = true }
    local once = x.grad:clone()
    sum:backward()
    assert.is_true(torch.equal(x.grad, once * 2))
  end)

  it("leave nothing behind when an allocation fails", function()
    local function live()
      collectgarbage()
      collectgarbage()
      return core.memory_stats().live_count
    end
    local x = torch.randn(2, 3, 4, 4):contiguous { memory_format = torch.channels_last }:requires_grad_()
    local g = torch.randn(2, 3, 4, 4)
    local function step()
      F.relu(F.batch_norm(x, nil, nil, nil, nil, true)):backward(g)
      x.grad = nil
    end
    step()
    local before, failures = live(), 0
    for n = 0, 1000 do
      core.memory_fail_after(n)
      local ok, message = pcall(step)
      core.memory_fail_after(-1)
      if ok then break end
      failures = failures + 1
      assert.is_truthy(tostring(message):find("memory", 1, true), tostring(message))
    end
    x.grad = nil
    assert.is_true(failures > 0 and failures < 1000)
    assert.are.equal(before, live())
  end)
end)
