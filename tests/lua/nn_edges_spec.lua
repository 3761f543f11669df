-- Layers at their edges, as PyTorch has them: sizes of zero, and which parameters get a gradient from a penalty on
-- gradients.
local torch = require "lampad"
local nn, F = torch.nn, torch.nn.functional

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("layers without features", function()
  it("are made, print, and give results of their size", function()
    local cases
    torch.warnings.catch_warnings(function() cases = {
      { nn.BatchNorm1d(0), { 2, 0 }, { 2, 0 } }, { nn.BatchNorm2d(0), { 2, 0, 3, 3 }, { 2, 0, 3, 3 } },
      { nn.BatchNorm1d(3), { 0, 3 }, { 0, 3 } }, { nn.InstanceNorm1d(3), { 2, 3, 0 }, { 2, 3, 0 } },
      { nn.LayerNorm(0), { 2, 0 }, { 2, 0 } }, { nn.GroupNorm(1, 3), { 0, 3, 4 }, { 0, 3, 4 } },
      { nn.Linear(0, 3), { 2, 0 }, { 2, 3 } }, { nn.Linear(3, 0), { 2, 3 }, { 2, 0 } }, { nn.PReLU(0), { 2, 0 }, { 2, 0 } },
      { nn.Conv1d(2, 3, 3), { 0, 2, 5 }, { 0, 3, 3 } }, { nn.MaxPool1d(2), { 0, 3, 4 }, { 0, 3, 2 } },
      { nn.GRUCell(0, 2), { 2, 0 }, { 2, 2 } },
    } end)
    for _, case in ipairs(cases) do
      local layer, x = case[1], torch.ones(case[2], { requires_grad = true })
      local y = layer(x)
      assert.same(case[3], { y.shape:unpack() })
      y:sum():backward()
      assert.same(case[2], { x.grad.shape:unpack() })
      for _, p in layer:named_parameters() do assert.same({ p.shape:unpack() }, { p.grad.shape:unpack() }) end
    end
    assert.matches("Expected sequence length to be larger than 0", message(nn.LSTM(3, 2), torch.ones(0, 2, 3)))
    assert.matches("expected an input with elements in every dim but the batch", message(nn.MaxPool1d(2), torch.ones(2, 0, 4)))
  end)

  it("warn where there is nothing to initialize", function()
    local list = torch.warnings.catch_warnings(function()
      nn.Linear(0, 3)
      nn.init.xavier_uniform_(torch.empty(0, 3))
      nn.init.kaiming_normal_(torch.empty(0, 3))
    end)
    assert.equal(2, #list)
    assert.equal("Initializing zero-element tensors is a no-op", list[1].message)
  end)

  it("refuse a norm of order 0", function()
    assert.matches("LPPool2d: norm_type must be a non%-zero value, but got 0", message(nn.LPPool2d, 0, 2))
    assert.matches("lp_pool1d: norm_type must be a non%-zero value", message(F.lp_pool1d, torch.ones(1, 1, 4), 0, 2))
  end)
end)

-- What backward of (|d y / d x| - 1)^2 leaves in the gradients: "values", "zeros" or "nil", of the parameters in order.
local function penalized(net, ...)
  local x = torch.linspace(-1, 1, select("#", ...) > 0 and torch.ones(...):numel() or 1):reshape(...):requires_grad_()
  local grad = torch.autograd.grad(net(x):sum(), x, { create_graph = true })
  grad = type(grad) == "table" and grad[1] or grad
  grad:pow(2):sum():sqrt():sub(1):pow(2):backward()
  local kinds = {}
  for _, p in net:named_parameters() do
    kinds[#kinds + 1] = p.grad == nil and "nil" or p.grad:eq(0):all():item() and "zeros" or "values"
  end
  return table.concat(kinds, " ")
end

describe("a penalty on gradients", function()
  it("reaches the parameters that PyTorch reaches", function()
    torch.manual_seed(0)
    assert.equal("values nil", penalized(nn.InstanceNorm1d(3, { affine = true }), 2, 3, 4))
    assert.equal("values nil", penalized(nn.BatchNorm1d(3), 4, 3))
    assert.equal("values nil", penalized(nn.Linear(3, 2), 4, 3))
    assert.equal("values values values nil", penalized(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), 5, 3))
    -- A piecewise linear activation hands zeros down, so that what lies below has a gradient.
    for _, activation in ipairs { nn.ReLU(), nn.LeakyReLU(0.2), nn.ReLU6(), nn.Hardtanh(), nn.Threshold(0, 0), nn.Hardshrink(0.1),
      nn.Softshrink(0.1) } do
      assert.equal("values zeros values nil", penalized(nn.Sequential(nn.Linear(3, 8), activation, nn.Linear(8, 1)), 5, 3))
    end
    assert.equal("values values values zeros values nil", penalized(nn.Sequential(nn.Conv2d(3, 4, 3),
      nn.InstanceNorm2d(4, { affine = true }), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 2)), 2, 3, 6, 6))
  end)

  it("takes steps for no derivatives at all", function()
    for _, name in ipairs { "sign", "floor", "ceil", "round", "trunc" } do
      local x = torch.tensor({ 0.3, -1.7 }, { requires_grad = true })
      local grad = torch.autograd.grad((torch[name](x) * torch.tensor { math.huge, 1 }):sum(), x, { create_graph = true })
      grad = type(grad) == "table" and grad[1] or grad
      assert.same({ 0, 0 }, grad:tolist())
      assert.is_false(grad.requires_grad)
    end
  end)
end)

describe("base classes and parts that subclasses use", function()
  it("are in torch.nn.modules", function()
    local modules = nn.modules
    for _, case in ipairs {
      { nn.Dropout2d(), modules.dropout._DropoutNd }, { nn.AlphaDropout(), modules.dropout._DropoutNd },
      { nn.MaxPool3d(2), modules.pooling._MaxPoolNd }, { nn.AdaptiveAvgPool2d(1), modules.pooling._AdaptiveAvgPoolNd },
      { nn.ReflectionPad2d(1), modules.padding._ReflectionPadNd }, { nn.MSELoss(), modules.loss._Loss },
      { nn.CrossEntropyLoss(), modules.loss._WeightedLoss }, { nn.NLLLoss(), modules.loss._Loss },
      { nn.Conv1d(1, 1, 1), modules.conv._ConvNd }, { nn.BatchNorm3d(1), modules.batchnorm._BatchNorm },
    } do
      assert.is_true(torch.isinstance(case[1], case[2]))
      assert.is_false(torch.isinstance(nn.ReLU(), case[2]))
    end
    assert.is_nil(modules.loss._NoSuch)
    assert.same({ 3, 3 }, modules.utils._pair(3))
    assert.same({ 1, 2 }, modules.utils._pair { 1, 2 })
    assert.same({ "a", "a", "a", "a", "a" }, modules.utils._ntuple(5) "a")
    assert.equal(nn.DataParallel, nn.parallel.DataParallel)
  end)

  it("serve losses, convolutions and batch norms of the user's", function()
    local Dice = nn.modules.loss._WeightedLoss:extend "Dice"
    function Dice:forward(x, y) return F.l1_loss(x * self.weight, y, { reduction = self.reduction }) end
    local dice = Dice(torch.tensor { 1., 3. }, { reduction = "sum" })
    assert.equal(4, dice(torch.ones(2), torch.zeros(2)):item())
    assert.same({ "weight" }, (function()
      local names = {}
      for name in dice:named_buffers() do names[#names + 1] = name end
      return names
    end)())
    assert.equal("mean", nn.modules.loss._Loss().reduction)
    assert.equal("none", nn.modules.loss._Loss(nil, false).reduction)
    local Masked = nn.Conv2d:extend "Masked"
    function Masked:forward(x) return self:_conv_forward(x, self.weight * 0, self.bias) end
    local conv = Masked(1, 2, 3, { padding = 1, padding_mode = "reflect" })
    local y = conv(torch.ones(1, 1, 4, 4))
    assert.same({ 1, 2, 4, 4 }, { y.shape:unpack() })
    assert.is_true(torch.equal(y[{ 0, ":", 0, 0 }], conv.bias))
    local Any = nn.BatchNorm2d:extend "Any"
    function Any:_check_input_dim() self.checked = true end
    local norm = Any(3)
    norm(torch.randn(4, 3, 2))
    assert.is_true(norm.checked)
  end)
end)
