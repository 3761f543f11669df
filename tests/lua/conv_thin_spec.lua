-- Convolutions of groups with few channels take a way of their own through channels-last memory (nn/cpu/conv_thin.h): all passes
-- beside float64.
local F = torch.nn.functional
local check_passes = dofile((debug.getinfo(1, "S").source:match "^@(.*)/" or ".") .. "/conv_passes.lua")

local function check(got, exact, what)
  assert.is_true(exact.shape == got.shape)
  local off = (got:double() - exact):abs():max():item() / (exact:abs():max():item() + 1e-30)
  assert.is_true(off < 1e-5, ("%s is off by %g of its size"):format(what, off))
end

-- Groups of `each` channels and `results` results. space and kernel have a number a dim; options: stride, padding, dilation,
-- each one number or one a dim, and images.
local function case(groups, each, results, space, kernel, options)
  options = options or {}
  local conv = ({ F.conv1d, F.conv2d, F.conv3d })[#space]
  local x = torch.randn(options.images or 2, groups * each, table.unpack(space))
  local weight, bias = torch.randn(groups * results, each, table.unpack(kernel)), torch.randn(groups * results)
  local function run(input, w, b)
    return conv(input, w, b, options.stride or 1, options.padding or 0, options.dilation or 1, groups)
  end
  check_passes(run, { x, weight, bias }, check, ("%d groups of %d to %d channels, space %s, kernel %s"):format(groups, each, results,
    table.concat(space, "x"), table.concat(kernel, "x")))
end

describe("convolutions of thin groups", function()
  before_each(function() torch.manual_seed(0) end)

  it("of 1 to 9 channels and results", function()
    for each = 1, 9 do
      for results = 1, 9 do
        if each * results > 1 then case(7, each, results, { 6, 9 }, { 3, 3 }, { padding = 1 }) end
      end
    end
    case(5, 2, 16, { 7, 8 }, { 3, 3 }, { padding = 1 })
    case(6, 1, 17, { 7, 8 }, { 3, 3 }, { padding = 1 })
  end)

  it("of any number of groups", function()
    for _, groups in ipairs { 2, 3, 4, 5, 8, 9, 15, 16, 17, 33, 64 } do
      case(groups, 4, 4, { 8, 10 }, { 3, 3 }, { padding = 1 })
      case(groups, 2, 3, { 8, 10 }, { 5, 3 }, { padding = { 2, 1 } })
    end
  end)

  it("with rows of any length", function()
    for width = 1, 40 do
      case(8, 4, 4, { 3, width }, { 3, 3 }, { padding = 1 })
      case(8, 2, 2, { 5, width }, { 3, 3 }, { padding = 1, stride = 2 })
    end
    case(16, 2, 2, { 4, 300 }, { 3, 3 }, { padding = 1 })
    case(4, 3, 3, { 1, 1 }, { 1, 1 })
  end)

  it("with steps, gaps and wide margins", function()
    for _, stride in ipairs { 1, 2, 3 } do
      for _, dilation in ipairs { 1, 2, 4 } do
        for _, padding in ipairs { 0, 1, 2, 5 } do
          case(6, 3, 3, { 13, 14 }, { 3, 3 }, { stride = stride, dilation = dilation, padding = padding })
        end
      end
    end
    case(6, 4, 2, { 11, 12 }, { 5, 3 }, { stride = { 2, 1 }, padding = { 0, 4 }, dilation = { 1, 3 } })
    case(6, 2, 4, { 9, 20 }, { 7, 1 }, { padding = { 3, 30 } })
    case(8, 2, 2, { 40, 6 }, { 3, 3 }, { padding = 30, dilation = 30 })
  end)

  it("in 1 and 3 dims", function()
    for _, taps in ipairs { 1, 2, 3, 5, 8 } do
      case(12, 3, 3, { 50 }, { taps }, { padding = taps // 2, stride = 2 })
      case(9, 2, 2, { 4, 5, 6 }, { 2, 3, taps }, { padding = { 1, 1, taps // 2 } })
      case(24, 1, 1, { 4, 5, 6 }, { 3, 2, taps }, { padding = { 1, 1, taps // 2 } })
    end
    case(20, 1, 1, { 5, 6, 7 }, { 3, 3, 3 }, { padding = { 2, 0, 1 }, stride = { 2, 1, 2 }, dilation = { 1, 2, 1 } })
    case(4, 4, 4, { 5, 6, 7 }, { 3, 3, 3 }, { padding = 1, images = 1 })
  end)

  it("of many images, the same with any number of threads", function()
    local x, weight = torch.randn(20, 64, 12, 13), torch.randn(64, 4, 3, 3)
    local function run()
      local l = { x:clone():requires_grad_(), weight:clone():requires_grad_() }
      local y = F.conv2d(l[1], l[2], nil, 1, 1, 1, 16)
      y:square():sum():backward()
      return { y:detach(), l[1].grad, l[2].grad }
    end
    local threads = torch.get_num_threads()
    local all = run()
    torch.set_num_threads(1)
    local ok, alone = pcall(run)
    torch.set_num_threads(threads)
    assert.is_true(ok, alone)
    for i = 1, 3 do assert.is_true(torch.equal(all[i], alone[i])) end
  end)

  it("of infinities and NaN reach their own group alone", function()
    local x, weight = torch.ones(1, 16, 8, 8), torch.ones(16, 4, 3, 3)
    x[0][5][4][4], x[0][9][2][2] = math.huge, 0 / 0
    local y = F.conv2d(x, weight, nil, 1, 1, 1, 4)
    for c = 0, 15 do
      local group = c // 4
      assert.are.equal(group == 1 and math.huge or 36, y[0][c][4][4]:item())
      assert.are.equal(group == 2, y[0][c][2][2]:isnan():item())
    end
  end)
end)
