-- The gradient of max pooling: where no indices are returned and the images lie channels last, small windows are asked for the
-- maximum; with returned indices the gradient goes where they say. Both give the same bits.
local torch = require "lampad"
local F = torch.nn.functional

local function gradients(dims, input, options, last)
  local results = {}
  for i, name in ipairs { "max_pool%dd", "max_pool%dd_with_indices" } do
    local x = input:clone { memory_format = last and torch.channels_last or torch.contiguous_format }:requires_grad_()
    local y = F[name:format(dims)](x, table.unpack(options))
    torch.manual_seed(2)
    y:backward(torch.randn(y.shape, { dtype = y.dtype }):mul_(4):round_())
    results[i] = x.grad
  end
  return results[1], results[2]
end

describe("the gradient of max_pool", function()
  -- The last two pave the images with windows.
  local cases = { { 2 }, { 3, 2, 1 }, { 3, 1, 1 }, { 2, 3 }, { 2, 1, 0, 2 }, { 3, 2, 1, 2 }, { 2, 2, 0, 1, true }, { 5, 1, 2 }, { { 1, 3 }, { 2, 1 } },
    { { 3, 1 } }, { { 3, 11 } } }

  it("is the same with indices and without", function()
    for _, options in ipairs(cases) do
      for _, channels in ipairs { 2, 16, 21, 32 } do
        for _, dtype in ipairs { torch.float32, torch.float64, torch.bfloat16 } do
          local x = torch.randn(3, channels, 9, 11, { dtype = dtype })
          x[0][0][1] = 0 -- equal elements
          x[1][1][2] = 0 / 0
          x[2][1] = -1 / 0
          local asked, told = gradients(2, x, options, true)
          assert.is_true(torch.equal(asked, told))
          assert.is_true(torch.equal(asked, (gradients(2, x, options, false))))
        end
      end
    end
  end)

  it("is the same over one dim and over three", function()
    local conv1, conv3 = torch.nn.Conv1d(2, 20, 3), torch.nn.Conv3d(2, 20, 3)
    for dims, input in pairs { [1] = conv1(torch.randn(2, 2, 40)), [3] = conv3(torch.randn(2, 2, 8, 9, 10)) } do
      for _, options in ipairs { { 2 }, { 3, 2, 1 }, { 2, 1 } } do
        local function through(name)
          local x = input:detach():requires_grad_()
          local y = F[name:format(dims)](x * 2, table.unpack(options))
          y:backward(torch.arange(y:numel()):view(y.shape):remainder(7):float())
          return x.grad
        end
        assert.is_true(torch.equal(through "max_pool%dd", through "max_pool%dd_with_indices"))
      end
    end
  end)

  it("has derivatives", function()
    local x = torch.randperm(2 * 3 * 6 * 5):double():view(2, 3, 6, 5):contiguous { memory_format = torch.channels_last }:requires_grad_()
    local function f(a) return F.max_pool2d(a, 3, 2, 1):square() end
    assert.is_true(torch.autograd.gradcheck(f, { x }))
    assert.is_true(torch.autograd.gradgradcheck(f, { x }))
  end)

  it("reads nothing beyond its memory, whatever became of the indices", function()
    local x = torch.randn(2, 16, 8, 8):contiguous { memory_format = torch.channels_last }:requires_grad_()
    local function spoilt(spoil)
      local y
      torch.autograd.graph.saved_tensors_hooks(function(t) return t end, function(t) return t.dtype == torch.int32 and spoil(t) or t end,
        function() y = F.max_pool2d(x, 2) end)
      return pcall(function() y:sum():backward() end)
    end
    assert.is_true((spoilt(function(t) return t end)))
    spoilt(function(t) return t:clone():fill_(1000000) end)
    local ok, message = spoilt(function(t) return t:reshape(-1):narrow(0, 0, 4) end)
    assert.is_false(ok)
    assert.is_truthy(message:find("expected 'indices' of the shape of the gradient", 1, true), message)
  end)
end)
