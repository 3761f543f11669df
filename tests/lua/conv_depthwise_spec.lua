-- Depthwise convolutions, a channel a group, take ways of their own through channels-last memory (nn/cpu/depthwise.h, and the
-- turned kernel of nn/cpu/conv.c): all passes beside float64.
local F = torch.nn.functional
local check_passes = dofile((debug.getinfo(1, "S").source:match "^@(.*)/" or ".") .. "/conv_passes.lua")

local function check(got, exact, what)
  local off = (got:double() - exact):abs():max():item() / exact:abs():max():item()
  assert.is_true(off < 3e-5, ("%s is off by %g of its size"):format(what, off))
end

-- space and kernel have a number a dim; options: stride, padding, dilation, each one number or one a dim.
local function case(channels, space, kernel, options)
  local conv = ({ F.conv1d, F.conv2d, F.conv3d })[#space]
  local x = torch.randn(3, channels, table.unpack(space))
  local weight = torch.randn(channels, 1, table.unpack(kernel))
  local function run(input, w)
    return conv(input * 1, w, nil, options.stride or 1, options.padding or 0, options.dilation or 1, channels)
  end
  check_passes(run, { x, weight }, check,
    ("%d channels, space %s, kernel %s"):format(channels, table.concat(space, "x"), table.concat(kernel, "x")))
end

describe("depthwise convolutions", function()
  before_each(function() torch.manual_seed(0) end)

  it("of 1 to 9 taps a row, and more", function()
    for taps = 1, 9 do case(32, { 9, 13 }, { 3, taps }, { padding = { 1, taps // 2 } }) end
    case(16, { 40 }, { 31 }, { padding = 15 })
    case(20, { 5, 30 }, { 2, 23 }, {})
  end)

  it("of any number of channels", function()
    for _, channels in ipairs { 1, 3, 15, 16, 17, 31, 33, 40, 72, 120 } do case(channels, { 8, 10 }, { 5, 5 }, { padding = 2 }) end
  end)

  it("with steps, gaps and wide margins", function()
    for _, stride in ipairs { 1, 2, 3 } do
      for _, dilation in ipairs { 1, 2, 4 } do
        for _, padding in ipairs { 0, 1, 2, 5 } do
          case(24, { 17, 19 }, { 3, 3 }, { stride = stride, dilation = dilation, padding = padding })
          case(24, { 20, 18 }, { 5, 5 }, { stride = stride, dilation = dilation == 4 and 3 or dilation, padding = padding })
        end
      end
    end
    case(24, { 11, 12 }, { 5, 3 }, { stride = { 2, 1 }, padding = { 0, 4 }, dilation = { 1, 3 } })
    case(24, { 7, 2 }, { 7, 7 }, { padding = 3 })
  end)

  it("in 1 and 3 dims", function()
    for _, taps in ipairs { 2, 3, 5, 7 } do
      case(48, { 50 }, { taps }, { padding = taps // 2, stride = 2 })
      case(18, { 5, 6, 7 }, { 2, 3, taps }, { padding = { 1, 1, taps // 2 } })
    end
    case(16, { 4, 5, 6 }, { 3, 3, 3 }, { padding = 2, dilation = 2 })
  end)

  it("give the same sums with any number of threads", function()
    local x, weight = torch.randn(4, 40, 30, 30), torch.randn(40, 1, 5, 5):requires_grad_()
    local function gradient()
      return torch.autograd.grad(F.conv2d(x, weight, nil, 1, 2, 1, 40):sum(), weight)
    end
    local expected, threads = gradient(), torch.get_num_threads()
    torch.set_num_threads(1)
    assert.is_true(torch.equal(gradient(), expected))
    torch.set_num_threads(threads)
  end)
end)
