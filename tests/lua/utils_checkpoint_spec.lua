-- torch.utils.checkpoint: early stopping, random numbers, options, segments.
local torch = require "lampad"
local nn = torch.nn
local library = torch.utils.checkpoint
local checkpoint, checkpoint_sequential = library.checkpoint, library.checkpoint_sequential

local function net()
  torch.manual_seed(0)
  return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(8, 2))
end

describe("checkpoint", function()
  it("stops the second run once it has what backward needs", function()
    local function runs(options, scope)
      local x, first, last = torch.ones(2, { requires_grad = true }), 0, 0
      local function f(a)
        first = first + 1
        local b = a:sin()
        last = last + 1
        return b
      end
      local y = scope and library.set_checkpoint_early_stop(scope.enable, function() return checkpoint(f, x, options) end)
        or checkpoint(f, x, options)
      y:sum():backward()
      assert.is_true(torch.allclose(x.grad, torch.ones(2):cos()))
      return { first, last }
    end
    assert.same({ 2, 1 }, runs {})
    assert.same({ 2, 1 }, runs { early_stop = true })
    assert.same({ 2, 2 }, runs { early_stop = false })
    assert.same({ 2, 2 }, runs({ early_stop = true }, { enable = false }))
    assert.same({ 2, 1 }, runs({ early_stop = false }, { enable = true }))
  end)

  it("passes on the errors of the second run", function()
    local x, n = torch.ones(2, { requires_grad = true }), 0
    local y = checkpoint(function(a)
      n = n + 1
      if n == 2 then error "the second time" end
      return a:sin()
    end, x)
    assert.error_matches(function() y:sum():backward() end, "the second time")
  end)

  it("keeps the random numbers, or not", function()
    local function sample(options)
      torch.manual_seed(3)
      local layer, x = nn.Dropout(0.5), torch.ones(64, { requires_grad = true })
      -- the second factor makes backward need the mask's product
      local y = checkpoint(function(a)
        local b = layer(a)
        return b * b
      end, x, options)
      torch.rand(7)
      y:sum():backward()
      return torch.equal(x.grad, 8 * y:detach():gt(0):float())
    end
    assert.is_true(sample { use_reentrant = false })
    assert.is_true(sample { use_reentrant = true, preserve_rng_state = true })
    assert.is_false(sample { preserve_rng_state = false })
  end)

  it("runs a Sequential in segments", function()
    local expected
    for _, reentrant in ipairs { true, false } do
      for segments = 0, 7 do
        local model, x = net(), torch.ones(4, 3, { requires_grad = true })
        torch.manual_seed(5)
        local out
        if segments == 0 then out = model(x)
        else out = checkpoint_sequential(model, segments, x, { use_reentrant = reentrant, preserve_rng_state = true }) end
        out:sum():backward()
        local got = { out:tolist(), x.grad:tolist(), model[0].weight.grad:tolist(), torch.rand(1):item() }
        expected = expected or got
        assert.same(expected, got)
      end
    end
    local list = { torch.sin, torch.exp, function(x) return x * 2 end }
    assert.is_true(torch.allclose(torch.tensor(1.0):sin():exp() * 2, checkpoint_sequential(list, 2, torch.tensor(1.0))))
  end)

  it("says what it cannot take", function()
    local x = torch.ones(2)
    assert.error_matches(function() checkpoint_sequential(net(), 2, x, { foo = 1 }) end, "unknown argument 'foo'")
    assert.error_matches(function() checkpoint_sequential(net(), 0, x) end, "'segments' must be a positive integer")
    assert.error_matches(function() checkpoint_sequential(3, 1, x) end, "'functions' must be a Sequential or a list")
    assert.error_matches(function() checkpoint(net(), x, { early_stop = 3 }) end, "'early_stop' must be a boolean")
    assert.error_matches(function() library.set_checkpoint_early_stop(3) end, "'enable' must be a boolean")
    local a, b = library.noop_context_fn()
    assert.is_not_nil(a)
    assert.is_not_nil(b)
  end)
end)
