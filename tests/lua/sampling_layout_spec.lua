-- Pooling, resampling and grid sampling choose by shape how they go through an image: row by row, or with its channels last. Images of many
-- channels and the same ones a few channels at a time take different ways and have one result.
local torch = require "lampad"
local F = torch.nn.functional

local function gradient(of, x, others)
  local inputs = { x:clone():requires_grad_() }
  for i, other in ipairs(others) do inputs[i + 1] = other:clone():requires_grad_() end
  local y = of(table.unpack(inputs))
  torch.manual_seed(3)
  y:backward(torch.randn(y.shape, { dtype = y.dtype }))
  local grads = {}
  for i, input in ipairs(inputs) do grads[i] = input.grad end
  return y, grads
end

local function same(a, b)
  return torch.allclose(a, b, { rtol = 1e-4, atol = 1e-4, equal_nan = true })
end

-- of(x, ...) over all channels is of of `few` channels at a time, with all gradients.
local function check(of, x, few, ...)
  local function apart(all, ...)
    local parts = {}
    for c = 0, all:size(1) - 1, few do parts[#parts + 1] = of(all:narrow(1, c, few), ...) end
    return torch.cat(parts, 1)
  end
  local y, grads = gradient(of, x, { ... })
  local expected, expected_grads = gradient(apart, x, { ... })
  assert.is_true(same(y, expected))
  assert.are.same(expected:stride(), y:stride())
  for i, grad in ipairs(grads) do assert.is_true(same(grad, expected_grads[i])) end
end

describe("images of many channels", function()
  local windows = { { 2 }, { 3, 2, 1 }, { 3, 1, 1 }, { { 1, 2 }, 1 } }
  before_each(function() torch.manual_seed(1) end)

  it("pool as a few channels do", function()
    for _, size in ipairs { { 7, 7 }, { 14, 9 } } do
      local x = torch.randn(4, 40, size[1], size[2])
      for _, name in ipairs { "max_pool2d", "avg_pool2d" } do
        for _, options in ipairs(windows) do
          check(function(t) return F[name](t, table.unpack(options)) end, x, 20)
        end
      end
      for _, name in ipairs { "adaptive_max_pool2d", "adaptive_avg_pool2d" } do
        for _, out in ipairs { 7, 3, 1, 20 } do
          check(function(t) return F[name](t, out) end, x, 20)
        end
      end
      local _, all = F.max_pool2d(x, 3, 2, 1, { return_indices = true })
      local _, some = F.max_pool2d(x:narrow(1, 0, 20), 3, 2, 1, { return_indices = true })
      assert.is_true(torch.equal(all:narrow(1, 0, 20), some))
    end
    local x = torch.randn(4, 40, 3, 6, 5)
    check(function(t) return F.max_pool3d(t, 2, 1) end, x, 20)
    check(function(t) return F.adaptive_avg_pool3d(t, { 3, 2, 5 }) end, x, 20)
    check(function(t) return F.avg_pool1d(t, 3, 2, 1) end, torch.randn(4, 40, 21), 20)
  end)

  it("resample as a few channels do", function()
    local x = torch.randn(4, 40, 7, 9)
    for _, mode in ipairs { "nearest", "bilinear", "bicubic", "area" } do
      for _, out in ipairs { { 14, 18 }, { 3, 4 }, { 7, 18 }, { 14, 9 } } do
        check(function(t) return F.interpolate(t, out, { mode = mode }) end, x, 20)
      end
    end
    local bytes = torch.randint(0, 256, { 4, 40, 7, 9 }):byte()
    for _, mode in ipairs { "bilinear", "bicubic" } do
      local all = F.interpolate(bytes, { 12, 9 }, { mode = mode })
      assert.is_true(torch.equal(all:narrow(1, 0, 20), F.interpolate(bytes:narrow(1, 0, 20), { 12, 9 }, { mode = mode })))
    end
  end)

  it("are sampled as a few channels are", function()
    for dims, x in pairs { [2] = torch.randn(2, 12, 5, 6), [3] = torch.randn(2, 12, 3, 4, 5) } do
      local sizes = dims == 2 and { 2, 9, 8, 2 } or { 2, 4, 5, 6, 3 }
      local grid = torch.rand(table.unpack(sizes)):mul_(5):sub_(2.5) -- far outside, too
      grid[0][0][0] = 0 / 0
      grid[0][0][1] = 1 / 0
      for _, mode in ipairs { "bilinear", "nearest", dims == 2 and "bicubic" or nil } do
        for _, padding in ipairs { "zeros", "border", "reflection" } do
          for _, align in ipairs { false, true } do
            check(function(t, g)
              return F.grid_sample(t, g, { mode = mode, padding_mode = padding, align_corners = align })
            end, x, 4, grid)
          end
        end
      end
    end
  end)
end)

describe("max pooling without indices", function()
  it("finds the values that the indices tell", function()
    torch.manual_seed(1)
    for _, dtype in ipairs { torch.float32, torch.float64, torch.bfloat16 } do
      local x = torch.randn(2, 3, 5, 300, { dtype = dtype })
      x[0][0][1][7] = 0 / 0
      x[0][1] = -1 / 0
      for _, kernel in ipairs { 1, 2, 3, 4, 5, 8 } do
        for _, stride in ipairs { 1, 2, 3, 7, 11 } do
          for _, dilation in ipairs { 1, 2 } do
            local options = { { 2, kernel }, { 1, stride }, { 1, kernel // 2 }, { 1, dilation } }
            local values = F.max_pool2d(x, table.unpack(options))
            local expected = F.max_pool2d_with_indices(x, table.unpack(options))
            assert.is_true(torch.allclose(values, expected, { rtol = 0, atol = 0, equal_nan = true }))
          end
        end
      end
    end
    local x = torch.randn(2, 2, 700)
    assert.is_true(torch.equal(F.max_pool1d(x, 400, 50), (F.max_pool1d_with_indices(x, 400, 50))))
  end)
end)
