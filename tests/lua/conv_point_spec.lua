-- Convolutions whose kernel is one element are matrix products (nn/cpu/conv.c): large ones beside float64, in all passes.
local F = torch.nn.functional

local function rms(t) return t:double():pow(2):mean():sqrt():item() end
local function check(got, exact, what)
  local off = rms(got:double() - exact) / rms(exact)
  assert.is_true(off < 1e-6, ("%s is off by %g of its size"):format(what, off))
end

-- x (n, 96, ...), weight (160, 96, 1...): forward with and without a gradient, and the three gradients.
local function check_passes(conv, sizes, with_bias)
  local kernel = { 160, 96 }
  for _ = 3, #sizes do kernel[#kernel + 1] = 1 end
  local x, weight = torch.randn(table.unpack(sizes)), torch.randn(table.unpack(kernel))
  local bias = with_bias and torch.randn(160) or nil
  local leaves, exact_leaves = {}, {}
  for i, t in ipairs { x, weight, bias } do
    leaves[i], exact_leaves[i] = t:clone():requires_grad_(), t:double():requires_grad_()
  end
  local y, exact = conv(table.unpack(leaves)), conv(table.unpack(exact_leaves))
  check(y:detach(), exact:detach(), "the result")
  for _ = 1, 2 do -- the second time the weights are packed already
    check(torch.no_grad(function() return conv(x, weight, bias) end), exact:detach(), "the result without a gradient")
  end
  local g = torch.randn(y.shape)
  y:backward(g)
  exact:backward(g:double())
  for i, name in ipairs { "the input's gradient", "the weight's", "the bias's" } do
    if leaves[i] then check(leaves[i].grad, exact_leaves[i].grad, name) end
  end
end

describe("convolutions of pixels by themselves", function()
  before_each(function() torch.manual_seed(0) end)

  it("are those of float64, in 1, 2 and 3 dims", function()
    check_passes(F.conv1d, { 5, 96, 777 }, true)
    check_passes(F.conv2d, { 3, 96, 31, 33 }, true)
    check_passes(F.conv2d, { 1, 96, 50, 50 }, false)
    check_passes(F.conv3d, { 2, 96, 9, 11, 13 }, false)
  end)

  it("are those of float64 for few pixels, with steps too", function()
    local function stepping(...)
      local steps = { ... }
      local conv = ({ F.conv1d, F.conv2d, F.conv3d })[#steps]
      return function(x, weight, bias) return conv(x, weight, bias, { stride = steps }) end
    end
    check_passes(F.conv2d, { 2, 96, 5, 7 }, true)
    check_passes(F.conv2d, { 16, 96, 1, 1 }, false)
    check_passes(stepping(3), { 3, 96, 40 }, true)
    check_passes(stepping(2, 2), { 2, 96, 13, 14 }, false)
    check_passes(stepping(1, 3), { 1, 96, 9, 11 }, true)
    check_passes(stepping(2, 1, 2), { 2, 96, 5, 4, 7 }, true)
  end)

  it("leave out what an output padding adds", function()
    local function transposed(stride)
      return function(x, weight, bias)
        return F.conv_transpose2d(x, weight:transpose(0, 1), bias, { stride = stride, dilation = 2, output_padding = 1 })
      end
    end
    for _, side in ipairs { 6, 40 } do
      check_passes(transposed(1), { 2, 96, side, side }, true)
      check_passes(transposed(2), { 2, 96, side, side }, false)
    end
  end)

  it("of no images at all are empty, and give no gradient", function()
    for stride = 1, 2 do
      local x, weight = torch.randn(0, 96, 6, 6):requires_grad_(), torch.randn(160, 96, 1, 1):requires_grad_()
      local y = F.conv2d(x, weight, nil, stride)
      assert.are.equal(0, y:numel())
      y:sum():backward()
      assert.are.equal(0, weight.grad:abs():sum():item())
    end
  end)

  it("take inputs that lie in other ways", function()
    local function transposed(x, weight, bias) return F.conv2d(x:transpose(2, 3), weight, bias):transpose(2, 3) end
    local function last(x, weight, bias)
      return F.conv2d(x:contiguous { memory_format = torch.channels_last }, weight, bias)
    end
    local function after_another(x, weight, bias) return F.conv2d(x + x:mean { 2, 3 }:view(3, 96, 1, 1), weight, bias) end
    for _, conv in ipairs { transposed, last, after_another } do check_passes(conv, { 3, 96, 30, 35 }, true) end
  end)

  it("pass infinities and NaN on, to the pixels they belong to", function()
    local x, weight = torch.randn(4, 96, 30, 30), torch.rand(160, 96, 1, 1)
    x[{ 1, 5, 7, 9 }], x[{ 2, 0, 3, 4 }], x[{ 3, 1, 2, 2 }] = math.huge, 0 / 0, -math.huge
    local y = torch.no_grad(function() return F.conv2d(x, weight) end)
    assert.are.equal(math.huge, y[{ 1, 100, 7, 9 }]:item())
    assert.are.equal(-math.huge, y[{ 3, 0, 2, 2 }]:item())
    assert.is_true(y[{ 2, 159, 3, 4 }]:isnan():item())
    assert.are.equal(4 * 160 * 900 - 3 * 160, y:isfinite():sum():item())
    weight[{ 11, 3 }] = 0 / 0
    y = torch.no_grad(function() return F.conv2d(torch.randn(4, 96, 30, 30), weight) end)
    assert.are.equal(4 * 900, y:isnan():sum():item())
  end)

  it("follow writes to weights that are packed", function()
    local x, weight = torch.randn(4, 96, 30, 30), torch.randn(160, 96, 1, 1)
    for _ = 1, 3 do
      check(torch.no_grad(function() return F.conv2d(x, weight) end), F.conv2d(x:double(), weight:double()), "the result")
      weight:add_(1)
    end
  end)
end)
