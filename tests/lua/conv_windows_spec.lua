-- float32 convolutions of few channels take a way of their own (nn/cpu/conv_windows.h): results and weights' gradients beside
-- float64 ones of the same numbers.
local core = require "lampad.core"
local F = torch.nn.functional
local check_passes = dofile((debug.getinfo(1, "S").source:match "^@(.*)/" or ".") .. "/conv_passes.lua")

local function check(got, exact, what)
  assert.are.equal(torch.float32, got.dtype)
  assert.is_true(exact.shape == got.shape)
  if exact:numel() == 0 then return end
  local off = (got:double() - exact):abs():max():item() / (exact:abs():max():item() + 1e-30)
  assert.is_true(off < 3e-6, ("%s is off by %g of its size"):format(what, off))
end

-- space and kernel have a number a dim; options: images (2), stride, padding, dilation, last (x lies channels last).
local function case(c, k, space, kernel, options)
  options = options or {}
  local conv = ({ F.conv1d, F.conv2d, F.conv3d })[#space]
  local x, weight, bias = torch.randn(options.images or 2, c, table.unpack(space)), torch.randn(k, c, table.unpack(kernel)), torch.randn(k)
  if options.last then x = x:contiguous { memory_format = torch.channels_last } end
  local function run(input, w, b) return conv(input, w, b, options.stride or 1, options.padding or 0, options.dilation or 1) end
  local what = ("%d to %d channels, space %s, kernel %s"):format(c, k, table.concat(space, "x"), table.concat(kernel, "x"))
  local exact = check_passes(run, { x, weight, bias }, check, what)
  for _ = 1, 2 do -- the second time the weights are packed already
    local same = torch.no_grad(function() return run(x, weight, bias) end)
    check(same, exact, what .. ": the result without a gradient")
  end
end

describe("convolutions of few channels", function()
  before_each(function() torch.manual_seed(0) end)

  it("of any number of them", function()
    for c = 1, 17 do
      for _, k in ipairs { 1, 6, 16, 20, 33, 64 } do case(c, k, { 9, 15 }, { 3, 3 }, { padding = 1, last = c % 2 == 0 }) end
    end
    case(3, 130, { 8, 9 }, { 3, 3 }, { padding = 1 })
  end)

  it("of 1 to 9 taps a side, and of many", function()
    for taps = 1, 9 do
      for c = 1, 4 do
        case(c, 18, { 11, 17 }, { taps, taps }, { padding = taps // 2 })
        case(c, 40, { 11, 17 }, { taps, taps }, { padding = taps // 2, stride = 2, last = true })
      end
    end
    case(1, 16, { 5, 200 }, { 2, 80 }, { stride = { 1, 4 } })
    case(3, 64, { 40, 36 }, { 11, 11 }, { padding = 2, stride = 4 })
    case(3, 24, { 32, 48 }, { 16, 16 }, { stride = 16 })
    case(3, 16, { 40, 3 }, { 31, 3 }, { padding = 1 })
  end)

  it("with steps, gaps and wide margins", function()
    for _, stride in ipairs { 1, 2, 3 } do
      for _, dilation in ipairs { 1, 2, 3 } do
        for _, padding in ipairs { 0, 1, 2, 6 } do
          case(3, 20, { 12, 15 }, { 3, 3 }, { stride = stride, dilation = dilation, padding = padding })
        end
      end
    end
    case(2, 18, { 11, 12 }, { 5, 3 }, { stride = { 2, 1 }, padding = { 0, 4 }, dilation = { 1, 3 } })
    case(2, 18, { 11, 12 }, { 5, 3 }, { stride = { 1, 3 }, padding = { 4, 0 }, dilation = { 2, 1 } })
    case(4, 24, { 2, 3 }, { 7, 7 }, { padding = 6 })
    case(1, 16, { 5, 5 }, { 2, 2 }, { stride = 4, padding = 1 })
  end)

  it("of any number of images of any size", function()
    for images = 0, 3 do
      for _, size in ipairs { 1, 7, 13, 14, 15, 29 } do case(1, 16, { size, size + 2 }, { 3, 3 }, { padding = 1, images = images }) end
    end
    case(3, 32, { 3, 500 }, { 3, 3 }, { padding = 1 })
    case(3, 32, { 500, 3 }, { 3, 3 }, { padding = 1 })
    case(3, 64, { 150, 140 }, { 7, 7 }, { padding = 3, stride = 2, images = 1 })
  end)

  it("in 1 and 3 dims", function()
    for taps = 1, 5 do case(3, 33, { 50 }, { taps }, { padding = taps // 2, stride = 2 }) end
    case(2, 18, { 5, 6, 7 }, { 2, 3, 3 }, { padding = 1 })
    case(1, 16, { 9, 10, 11 }, { 3, 3, 3 }, { padding = 1, stride = 2 })
    case(3, 20, { 9, 10, 11 }, { 3, 2, 3 }, { padding = { 2, 0, 2 }, dilation = { 2, 3, 2 } })
  end)

  it("of inputs that lie in other ways", function()
    local x, weight = torch.randn(4, 3, 10, 12), torch.randn(32, 3, 3, 3)
    local exact = F.conv2d(x:double(), weight:double(), nil, 1, 1)
    for _, input in ipairs {
      x:contiguous { memory_format = torch.channels_last }, x:transpose(2, 3):contiguous():transpose(2, 3),
      torch.cat({ x, x }, 1):narrow(1, 3, 3), F.relu(x) - F.relu(-x),
    } do
      check(F.conv2d(input, weight, nil, 1, 1), exact, "the result")
    end
  end)

  it("pass infinities and NaN on, to the pixels they belong to", function()
    local x, weight = torch.randn(3, 3, 12, 13), torch.rand(32, 3, 3, 3)
    x[{ 0, 1, 7, 9 }], x[{ 1, 0, 3, 4 }], x[{ 2, 1, 0, 0 }] = math.huge, 0 / 0, -math.huge
    local leaf = weight:clone():requires_grad_()
    local y = F.conv2d(x, leaf, nil, 1, 1)
    local values = y:detach()
    assert.are.equal(math.huge, values[{ 0, 20, 8, 9 }]:item())
    assert.are.equal(-math.huge, values[{ 2, 0, 1, 1 }]:item())
    assert.is_true(values[{ 1, 31, 2, 5 }]:isnan():item())
    assert.are.equal(3 * 32 * 156 - 32 * (9 + 9 + 4), values:isfinite():sum():item())
    y:backward(torch.ones_like(values)) -- of the weights those are finite whose channels are
    local finite = leaf.grad:isfinite():sum { 0, 2, 3 }
    for c, expected in ipairs { 0, 0, 32 * 9 } do assert.are.equal(expected, finite[c - 1]:item()) end
  end)

  it("follow writes to weights that are packed", function()
    local x, weight = torch.randn(4, 3, 10, 10), torch.randn(32, 3, 3, 3)
    for _ = 1, 3 do
      local y = torch.no_grad(function() return F.conv2d(x, weight, nil, 1, 1) end)
      check(y, F.conv2d(x:double(), weight:double(), nil, 1, 1), "the result")
      weight:add_(1)
    end
  end)

  it("give the same with any number of threads", function()
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT" then return end -- the library's ways
    for _, size in ipairs { 40, 8 } do
      local x, weight = torch.randn(8, 3, size, size), torch.randn(48, 3, 3, 3):requires_grad_()
      local function run()
        local y = F.conv2d(x, weight, nil, 1, 1)
        local gw = torch.autograd.grad(y, { weight }, torch.ones_like(y))
        return { y:detach(), gw }
      end
      local expected, threads = run(), torch.get_num_threads()
      torch.set_num_threads(1)
      for i, t in ipairs(run()) do assert.is_true(torch.equal(t, expected[i])) end
      torch.set_num_threads(threads)
    end
  end)

  it("report that memory is out", function()
    local x, weight = torch.randn(4, 3, 40, 40), torch.randn(32, 3, 3, 3)
    local failures = 0
    for allocation = 0, 200 do
      local leaf = weight:clone():requires_grad_()
      core.memory_fail_after(allocation)
      local ok, message = pcall(function() F.conv2d(x, leaf, nil, 1, 1):sum():backward() end)
      core.memory_fail_after(-1)
      if ok then break end
      failures = failures + 1
      assert.is_truthy(tostring(message):find "memory")
    end
    assert.is_true(failures > 0 and failures < 200)
  end)
end)
