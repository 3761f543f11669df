-- Convolutions in bfloat16 take ways of their own where the machine has the tile unit (nn/cpu/conv_tiles.h), and gradients of weights
-- where it multiplies bfloat16 without (nn/cpu/conv_pairs.h): all passes beside float64 ones of the same numbers.
local torch = require "lampad"
local core = require "lampad.core"
local F = torch.nn.functional
local bfloat16 = torch.bfloat16

-- Sums are in float32 and results rounded once: 2^-9 of each, and a little of the largest for what cancels (by Winograd's algorithm
-- in tiles of 7 x 7 up to 3e-5).
local function check(got, exact, what)
  assert.are.equal(bfloat16, got.dtype)
  assert.is_true(exact.shape == got.shape)
  if exact:numel() == 0 then return end
  local off = (got:double() - exact):abs() - exact:abs() * 2 ^ -8
  local most = off:max():item() / (exact:abs():max():item() + 1e-30)
  assert.is_true(most < 5e-5, ("%s is off by %g of its size"):format(what, most))
end

-- space and kernel have a number a dim; options: images (3), stride, padding, dilation, groups, bias.
local function case(c, k, space, kernel, options)
  options = options or {}
  local conv = ({ F.conv1d, F.conv2d, F.conv3d })[#space]
  local function numbers(...) return torch.randn(...):to(bfloat16) end
  local x = numbers(options.images or 3, c, table.unpack(space))
  local weight = numbers(k, c // (options.groups or 1), table.unpack(kernel))
  local bias = options.bias and numbers(k) or nil
  local function run(input, w, b)
    return conv(input, w, b, options.stride or 1, options.padding or 0, options.dilation or 1, options.groups or 1)
  end
  local leaves, exact_leaves = {}, {}
  for i, t in ipairs { x, weight, bias } do
    leaves[i], exact_leaves[i] = t:clone():requires_grad_(), t:double():requires_grad_()
  end
  local what = ("%d to %d channels, space %s, kernel %s"):format(c, k, table.concat(space, "x"), table.concat(kernel, "x"))
  local y, exact = run(table.unpack(leaves)), run(table.unpack(exact_leaves))
  check(y:detach(), exact:detach(), what .. ": the result")
  for _ = 1, 2 do -- the second time the weights are packed already
    local same = torch.no_grad(function() return run(x, weight, bias) end)
    check(same, exact:detach(), what .. ": the result without a gradient")
  end
  local g = torch.randn(y.shape):to(bfloat16)
  y:backward(g)
  exact:backward(g:double())
  check(leaves[1].grad, exact_leaves[1].grad, what .. ": the input's gradient")
  check(leaves[2].grad, exact_leaves[2].grad, what .. ": the weight's gradient")
end

describe("convolutions in bfloat16", function()
  before_each(function() torch.manual_seed(0) end)

  it("of any number of channels", function()
    for _, c in ipairs { 1, 3, 5, 16, 31, 32, 33, 48, 64, 70, 130 } do
      case(c, 24, { 9, 10 }, { 3, 3 }, { padding = 1 })
      case(20, c, { 9, 10 }, { 3, 3 }, { padding = 1, bias = true })
    end
  end)

  it("of many channels", function()
    case(256, 320, { 7, 7 }, { 3, 3 }, { padding = 1, images = 16 })
    case(300, 257, { 6, 5 }, { 3, 3 }, { padding = 1, images = 5 })
    case(512, 64, { 8, 9 }, { 1, 1 }, { images = 2 })
  end)

  it("of 1 to 7 taps a side", function()
    for taps = 1, 7 do
      case(40, 24, { 11, 13 }, { taps, taps }, { padding = taps // 2 })
      case(3, 24, { 11, 13 }, { taps, taps }, { padding = taps // 2, stride = 2 })
    end
    case(3, 64, { 40, 36 }, { 7, 7 }, { padding = 3, stride = 2, images = 2 })
    case(1, 8, { 20, 40 }, { 5, 15 }, { padding = 2 })
    case(8, 8, { 20, 40 }, { 2, 17 }, {})
  end)

  it("with steps, gaps and wide margins", function()
    for _, stride in ipairs { 1, 2, 3 } do
      for _, dilation in ipairs { 1, 2, 3 } do
        for _, padding in ipairs { 0, 1, 2, 6 } do
          case(36, 20, { 12, 15 }, { 3, 3 }, { stride = stride, dilation = dilation, padding = padding })
        end
      end
      for _, size in ipairs { 6, 7, 8, 9 } do case(32, 32, { size, size + 3 }, { 1, 1 }, { stride = stride }) end
      case(32, 32, { 14, 11 }, { 2, 4 }, { stride = stride, padding = 1 })
    end
    case(24, 40, { 11, 12 }, { 5, 3 }, { stride = { 2, 1 }, padding = { 0, 4 }, dilation = { 1, 3 } })
    case(64, 64, { 9, 9 }, { 3, 3 }, { dilation = 2, padding = 2, groups = 2 }) -- oneDNN's way
    case(24, 24, { 9, 8 }, { 1, 1 }, { stride = { 3, 5 }, padding = { 2, 1 } })
    case(24, 24, { 2, 3 }, { 7, 7 }, { padding = 6 })
    case(16, 16, { 5, 5 }, { 2, 2 }, { stride = 4, padding = 1 })
  end)

  it("of any number of images of any size", function()
    for _, images in ipairs { 1, 2, 15, 16, 17, 33 } do
      case(32, 32, { 7, 7 }, { 3, 3 }, { padding = 1, images = images })
      case(32, 40, { 1, 1 }, { 1, 1 }, { images = images })
    end
    case(32, 32, { 1, 1 }, { 3, 3 }, { padding = 1, images = 1 })
    case(32, 32, { 57, 61 }, { 3, 3 }, { padding = 1, images = 1 })
    case(64, 32, { 3, 300 }, { 3, 3 }, { padding = 1, images = 2 })
    case(64, 32, { 300, 3 }, { 3, 3 }, { padding = 1, images = 2 })
    case(32, 32, { 150, 140 }, { 3, 3 }, { padding = 1, images = 1, stride = 2 })
    case(8, 8, { 7, 7 }, { 3, 3 }, { images = 0 })
  end)

  it("of many channels with steps or gaps", function()
    case(64, 130, { 13, 16 }, { 3, 3 }, { padding = 1, stride = 2, bias = true })
    case(96, 80, { 12, 10 }, { 4, 4 }, { padding = 1, stride = 2 })
    case(3, 100, { 61, 47 }, { 11, 11 }, { padding = 2, stride = 4 })
    case(72, 64, { 11, 9 }, { 3, 3 }, { padding = 2, dilation = 2 })
    case(64, 200, { 9, 7 }, { 1, 1 }, { bias = true })
    case(200, 64, { 9, 8 }, { 1, 1 }, { stride = 2, bias = true })
    case(64, 64, { 30, 40 }, { 1, 1 }, { stride = { 1, 3 } })
    case(64, 96, { 70 }, { 5 }, { padding = 2, stride = 3 })
    case(40, 64, { 5, 6, 7 }, { 3, 2, 3 }, { padding = 1, stride = 2 })
  end)

  it("of groups of few channels", function()
    for _, each in ipairs { 1, 2, 3, 4, 8 } do
      case(16 * each, 16 * each, { 9, 17 }, { 3, 3 }, { padding = 1, groups = 16, bias = true })
      case(17 * each, 34 * each, { 7, 30 }, { 3, 2 }, { stride = { 1, 2 }, groups = 17 })
      case(16 * each, 16 * each, { 12, 11 }, { 3, 3 }, { padding = 2, dilation = 2, groups = 16, images = 2 })
      case(24 * each, 24 * each, { 21 }, { 5 }, { padding = 3, groups = 24, bias = true })
    end
    case(20, 40, { 5, 6, 7 }, { 3, 2, 3 }, { padding = 1, groups = 20 })
  end)

  it("of few results", function()
    case(48, 96, { 5, 7 }, { 3, 3 }, { padding = 1, stride = 2, bias = true })
    case(33, 70, { 8, 6 }, { 4, 3 }, { padding = { 1, 0 }, stride = { 2, 3 }, dilation = { 1, 2 } })
    case(300, 200, { 3, 4 }, { 1, 1 }, { bias = true })
    case(300, 200, { 5, 4 }, { 1, 1 }, { stride = 2 })
    case(64, 100, { 33 }, { 5 }, { padding = 2, stride = 2, images = 2, bias = true })
    case(20, 90, { 4, 5, 3 }, { 3, 2, 3 }, { padding = 1, stride = 2, bias = true })
  end)

  it("in 1 and 3 dims", function()
    for taps = 1, 5 do case(48, 33, { 50 }, { taps }, { padding = taps // 2, stride = 2, bias = true }) end
    case(80, 80, { 1000 }, { 3 }, { padding = 1, images = 2 })
    case(16, 18, { 5, 6, 7 }, { 2, 3, 3 }, { padding = 1 })
  end)

  it("of inputs that lie in other ways", function()
    local x, weight = torch.randn(4, 32, 10, 12):to(bfloat16), torch.randn(32, 32, 3, 3):to(bfloat16)
    local exact = F.conv2d(x:double(), weight:double(), nil, 1, 1)
    for _, input in ipairs { x:contiguous { memory_format = torch.channels_last }, x:transpose(2, 3):contiguous():transpose(2, 3) } do
      check(F.conv2d(input, weight, nil, 1, 1), exact, "the result")
    end
  end)

  it("and their transposed ones", function()
    for _, stride in ipairs { 1, 2, 3 } do
      local x, weight = torch.randn(2, 40, 9, 8):to(bfloat16), torch.randn(40, 24, 3, 3):to(bfloat16)
      local a, b, exact_a, exact_b = x:clone():requires_grad_(), weight:clone():requires_grad_(),
        x:double():requires_grad_(), weight:double():requires_grad_()
      local y, exact = F.conv_transpose2d(a, b, nil, stride, 1), F.conv_transpose2d(exact_a, exact_b, nil, stride, 1)
      check(y:detach(), exact:detach(), "the result")
      local g = torch.randn(y.shape):to(bfloat16)
      y:backward(g)
      exact:backward(g:double())
      check(a.grad, exact_a.grad, "the input's gradient")
      check(b.grad, exact_b.grad, "the weight's gradient")
    end
    local x, weight = torch.randn(2, 72, 9, 8):to(bfloat16), torch.randn(72, 64, 4, 4):to(bfloat16):requires_grad_()
    local exact_weight = weight:detach():double():requires_grad_()
    F.conv_transpose2d(x, weight, nil, 2, 1):sum():backward()
    F.conv_transpose2d(x:double(), exact_weight, nil, 2, 1):sum():backward()
    check(weight.grad, exact_weight.grad, "the weight's gradient")
  end)

  it("pass infinities and NaN on, to the pixels they belong to", function()
    local cpu = torch.backends.cpu
    cpu.allow_winograd = false -- which spreads them over its tiles
    finally(function() cpu.allow_winograd = true end)
    local x, weight = torch.randn(4, 64, 12, 13):to(bfloat16), torch.rand(48, 64, 3, 3):to(bfloat16)
    x[{ 1, 5, 7, 9 }], x[{ 2, 0, 3, 4 }], x[{ 3, 1, 0, 0 }] = math.huge, 0 / 0, -math.huge
    local leaf = weight:clone():requires_grad_()
    local y = F.conv2d(x, leaf, nil, 1, 1)
    local values = y:detach()
    assert.are.equal(math.huge, values[{ 1, 40, 8, 9 }]:item())
    assert.are.equal(-math.huge, values[{ 3, 0, 1, 1 }]:item())
    assert.is_true(values[{ 2, 47, 2, 5 }]:isnan():item())
    assert.are.equal(4 * 48 * 156 - 48 * (9 + 9 + 4), values:isfinite():sum():item())
    y:backward(torch.ones_like(values)) -- of the weights those are finite whose channels are
    local finite = leaf.grad:isfinite():sum { 0, 2, 3 }
    for c = 0, 63 do
      local expected = (c == 0 or c == 5) and 0 or c == 1 and 48 * 5 or 48 * 9
      assert.are.equal(expected, finite[c]:item())
    end
  end)

  it("follow writes to weights that are packed", function()
    local x, weight = torch.randn(4, 32, 10, 10):to(bfloat16), torch.randn(32, 32, 3, 3):to(bfloat16)
    for _ = 1, 3 do
      local y = torch.no_grad(function() return F.conv2d(x, weight, nil, 1, 1) end)
      check(y, F.conv2d(x:double(), weight:double(), nil, 1, 1), "the result")
      weight:add_(1)
    end
  end)

  it("give the same with any number of threads", function()
    for _, size in ipairs { 30, 8, 29 } do
      local x = torch.randn(8, 96, size, size):to(bfloat16):requires_grad_()
      local weight = torch.randn(160, 96, 3, 3):to(bfloat16):requires_grad_()
      local function run()
        local y = F.conv2d(x, weight, nil, size % 2 + 1, 1)
        local gx, gw = torch.autograd.grad(y, { x, weight }, torch.ones_like(y))
        return { y:detach(), gx, gw }
      end
      local expected, threads = run(), torch.get_num_threads()
      torch.set_num_threads(1)
      for i, t in ipairs(run()) do assert.is_true(torch.equal(t, expected[i])) end
      torch.set_num_threads(threads)
    end
  end)

  it("report that memory is out", function()
    for _, c in ipairs { 3, 64, 256 } do -- the weights' sums are kept in two ways
      local x, weight = torch.randn(4, c, 8, 8):to(bfloat16), torch.randn(c, c, 3, 3):to(bfloat16)
      local failures = 0
      for allocation = 0, 200 do
        local leaves = { x:clone():requires_grad_(), weight:clone():requires_grad_() }
        core.memory_fail_after(allocation)
        local ok, message = pcall(function() F.conv2d(leaves[1], leaves[2], nil, 1, 1):sum():backward() end)
        core.memory_fail_after(-1)
        if ok then break end
        failures = failures + 1
        assert.is_truthy(tostring(message):find "memory")
      end
      assert.is_true(failures > 0 and failures < 200)
    end
  end)
end)
