-- PyTorch's inner forms of dropout and the normalisations, and what they found.
local torch = require "lampad"
local F = torch.nn.functional

local function close(a, b) assert.is_true(torch.allclose(a, b, 1e-6, 1e-6)) end

describe("layer_norm", function()
  it("has a gradient for a bias without a weight", function()
    local x = torch.rand({ 3, 4 }, { dtype = torch.float64 }):requires_grad_()
    local bias = torch.zeros({ 4 }, { dtype = torch.float64 }):requires_grad_()
    local function f(input, b) return F.layer_norm(input, { 4 }, nil, b) end
    assert.is_true(torch.autograd.gradcheck(f, { x, bias }))
    assert.is_true(torch.autograd.gradgradcheck(f, { x, bias }))
  end)
end)

describe("the native functions", function()
  local x = torch.arange(24.):reshape(2, 4, 3)

  it("give the layer's result and its statistics", function()
    local y, mean, rstd = torch.native_layer_norm(x, { 3 }, nil, nil, 1e-5)
    close(y, F.layer_norm(x, { 3 }))
    assert.are.equal("torch.Size([2, 4, 1])", tostring(mean.shape))
    close(rstd, 1 / (x:var({ 2 }, false, true) + 1e-5):sqrt())
    y, mean = torch.native_group_norm(x, nil, nil, 2, 4, 3, 2, 1e-5)
    close(y, F.group_norm(x, 2))
    close(mean, x:reshape(2, 2, 6):mean(2))
    assert.has_error(function() torch.native_group_norm(x, nil, nil, 2, 4, 5, 2, 1e-5) end)
    y, mean = torch.native_batch_norm(x, nil, nil, nil, nil, true, 0.1, 1e-5)
    close(y, F.batch_norm(x, nil, nil, nil, nil, true))
    close(mean, x:mean({ 0, 2 }))
    y, mean = torch.native_batch_norm(x, nil, nil, torch.zeros(4), torch.ones(4), false, 0.1, 1e-5)
    close(y, x / math.sqrt(1 + 1e-5))
    assert.are.equal(0, mean:numel())
  end)

  it("of group_norm carry gradients through the statistics", function()
    local input = torch.rand({ 2, 4, 3 }, { dtype = torch.float64 }):requires_grad_()
    assert.is_true(torch.autograd.gradcheck(function(t)
      return torch.native_group_norm(t, nil, nil, 2, 4, 3, 2, 0.1)
    end, { input }))
  end)

  it("of dropout give the mask", function()
    torch.manual_seed(1)
    local y, mask = torch.native_dropout(torch.ones(2, 5), 0.3, true)
    assert.are.equal(torch.bool, mask.dtype)
    close(y, mask:float() / 0.7)
    y, mask = torch.native_dropout(torch.ones(3), 1, true)
    assert.are.equal(0.0, (y:sum() + mask:sum()):item())
    y, mask = torch.native_dropout(torch.ones(3), 0.5, false)
    assert.are.equal(6.0, (y:sum() + mask:sum()):item())
    assert.has_error(function() torch.native_dropout(torch.ones(3), 1.5, true) end)
  end)
end)
