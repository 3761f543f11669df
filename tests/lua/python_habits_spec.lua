-- Habits that people bring from Python: a dot where Lua has a colon, __init__, tables of names. Each mistake is told
-- from the user's line.
local torch = require "lampad"
local nn, optim, F = torch.nn, torch.optim, torch.nn.functional

local function refuses(pattern, fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  assert.matches("python_habits_spec", err)
  assert.matches(pattern, err)
end

describe("a missing colon", function()
  local net = nn.Sequential(nn.Linear(2, 2))
  local x = torch.ones(2, 2)

  it("is told by the methods of modules", function()
    for _, name in ipairs { "parameters", "named_parameters", "buffers", "children", "modules", "train", "eval", "to",
      "zero_grad", "state_dict", "load_state_dict", "apply", "requires_grad_", "double", "register_forward_hook",
      "append", "forward" } do
      refuses(name .. ": expected a module before the method, got nil; methods are called with a colon, object:" .. name,
        function() local _ = net[name]() end)
    end
    refuses("forward: expected a module before the method, got torch.Tensor", function() local _ = net.forward(x) end)
    refuses("load_state_dict: expected a module before the method, got OrderedDict",
      function() local _ = net.load_state_dict(net:state_dict()) end)
    refuses("items: expected a module", function() local _ = nn.ModuleDict({ a = net }).items() end)
  end)

  it("is told by optimizers, schedulers and ordered maps", function()
    local sgd = optim.SGD(net:parameters(), 0.1)
    refuses("zero_grad: expected an optimizer before the method, got nil", function() sgd.zero_grad() end)
    refuses("step: expected an optimizer before the method, got nil", function() sgd.step() end)
    local scheduler = optim.lr_scheduler.StepLR(sgd, 1)
    refuses("get_last_lr: expected a scheduler", function() scheduler.get_last_lr() end)
    refuses("step: expected a scheduler", function() scheduler.step() end)
    refuses("items: expected an ordered map", function() net:state_dict().items() end)
    refuses("get: expected an ordered map before the method, got string", function() net:state_dict().get("a") end)
  end)
end)

describe("Python's spellings", function()
  it("of methods that would never be called are refused", function()
    local Net = nn.Module:extend "Net"
    refuses("Net: Python's '__init__' is 'init' in Lua", function() function Net:__init__() end end)
    local Ds = torch.utils.data.Dataset:extend "Ds"
    refuses("Ds: Python's '__len__' is 'len' in Lua", function() function Ds:__len__() end end)
    refuses("Ds: Python's '__getitem__' is 'getitem' in Lua", function() function Ds:__getitem__() end end)
  end)

  it("of an OrderedDict of modules: a table of names has no order", function()
    refuses("Sequential: a table of names has no order", function() nn.Sequential { a = nn.ReLU() } end)
    refuses("Sequential: argument 1 is nil", function() nn.Sequential(nil) end)
    refuses("Sequential: the class ReLU is not a Module; ReLU%(...%) makes one", function() nn.Sequential(nn.ReLU) end)
    refuses("ModuleList: the class ReLU is not a Module", function() nn.ModuleList { nn.ReLU } end)
    refuses("Sequential: function is not a Module", function() nn.Sequential(F.relu) end)
    assert.equal("Sequential(\n  (a): ReLU()\n)", tostring(nn.Sequential { { "a", nn.ReLU() } }))
    assert.equal("Sequential()", tostring(nn.Sequential()))
    assert.equal("Sequential()", tostring(nn.Sequential {}))
  end)
end)

describe("graph nodes", function()
  it("of common layers and losses have PyTorch's names", function()
    local x = torch.ones(2, 3, { requires_grad = true })
    local function name(y) return tostring(y.grad_fn):match("%w+Backward%d") end
    assert.equal("AddmmBackward0", name(nn.Linear(3, 2)(x)))
    assert.equal("EmbeddingBackward0", name(nn.Embedding(3, 2)(torch.tensor { 1 })))
    assert.equal("EmbeddingBagBackward0", name(nn.EmbeddingBag(3, 2)(torch.tensor { { 1 } })))
    assert.equal("PreluKernelBackward0", name(nn.PReLU()(x)))
    assert.equal("NllLossBackward0", name(nn.CrossEntropyLoss()(x, torch.tensor { 0, 1 })))
    assert.equal("NllLossBackward0", name(nn.NLLLoss()(x, torch.tensor { 0, 1 })))
    local t, image, volume = torch.zeros(2, 3), torch.ones(1, 4, 8, 8, { requires_grad = true }),
      torch.ones(1, 2, 4, 4, 4, { requires_grad = true })
    local row = torch.ones(1, 4, 8, { requires_grad = true })
    for _, case in ipairs {
      { F.mse_loss(x, t), "MseLossBackward0" }, { nn.MSELoss { reduction = "sum" }(x, t), "MseLossBackward0" },
      { F.huber_loss(x, t), "HuberLossBackward0" }, { F.smooth_l1_loss(x, t), "SmoothL1LossBackward0" },
      { F.binary_cross_entropy(x, t), "BinaryCrossEntropyBackward0" },
      { F.binary_cross_entropy_with_logits(x, t), "BinaryCrossEntropyWithLogitsBackward0" },
      { F.kl_div(x, t, { reduction = "batchmean" }), "DivBackward0" }, { F.kl_div(x, t), "MeanBackward0" },
      { F.soft_margin_loss(x, t), "SoftMarginLossBackward0" }, { F.l1_loss(x, t), "MeanBackward0" },
      { F.cross_entropy(x, t), "DivBackward1" },
      { F.cross_entropy(image, torch.zeros(1, 8, 8, { dtype = torch.int64 })), "NllLoss2DBackward0" },
      { F.linear(x, torch.ones(2, 3)), "MmBackward0" }, { F.linear(row, torch.ones(2, 8), torch.ones(2)), "UnsafeViewBackward0" },
      { F.max_pool1d(row, 2), "SqueezeBackward1" }, { F.max_pool2d(image, 2), "MaxPool2DWithIndicesBackward0" },
      { (F.max_pool2d(image, 2, { return_indices = true })), "MaxPool2DWithIndicesBackward0" },
      { F.max_pool3d(volume, 2), "MaxPool3DWithIndicesBackward0" }, { F.avg_pool2d(image, 2), "AvgPool2DBackward0" },
      { F.adaptive_avg_pool2d(image, 1), "MeanBackward1" }, { F.adaptive_avg_pool2d(image, 2), "AdaptiveAvgPool2DBackward0" },
      { F.adaptive_max_pool2d(image, 2), "AdaptiveMaxPool2DBackward0" },
      { F.interpolate(image, { scale_factor = 2 }), "UpsampleNearest2DBackward0" },
      { F.interpolate(row, { scale_factor = 2, mode = "linear" }), "UpsampleLinear1DBackward0" },
      { F.interpolate(image, { scale_factor = 2, mode = "bilinear" }), "UpsampleBilinear2DBackward0" },
      { F.interpolate(image, { scale_factor = 2, mode = "bilinear", antialias = true }), "UpsampleBilinear2DAaBackward0" },
      { F.interpolate(image, { scale_factor = 2, mode = "bicubic" }), "UpsampleBicubic2DBackward0" },
      { F.interpolate(volume, { scale_factor = 2, mode = "trilinear" }), "UpsampleTrilinear3DBackward0" },
      { F.grid_sample(image, torch.zeros(1, 2, 2, 2)), "GridSampler2DBackward0" }, { F.celu(x), "CeluBackward0" },
      { F.glu(image), "GluBackward0" }, { F.pad(x, { 1, 1 }), "ConstantPadNdBackward0" },
      { F.pad(image, { 1, 1, 1, 1 }, "reflect"), "ReflectionPad2DBackward0" }, { F.unfold(image, 2), "Im2ColBackward0" },
      { F.pixel_shuffle(image, 2), "PixelShuffleBackward0" }, { torch.cdist(x, x), "CdistBackward0" },
      { F.scaled_dot_product_attention(image, image, image), "ScaledDotProductFlashAttentionForCpuBackward0" },
      { 1 - x, "RsubBackward1" }, { x - 1, "SubBackward0" }, { 1 / x, "MulBackward0" }, { x ^ 2, "PowBackward0" },
      { x ^ x, "PowBackward1" }, { 2 ^ x, "PowBackward2" }, { x:max(), "MaxBackward1" }, { (x:max(1)), "MaxBackward0" },
      { x:clamp(0, 1), "ClampBackward1" }, { x:rep(2, 1), "RepeatBackward0" }, { torch.fft.rfft(x), "FftR2CBackward0" },
    } do
      assert.equal(case[2], name(case[1]))
    end
    local steps = torch.ones(3, 2, 4)
    for _, case in ipairs {
      { x.T, "PermuteBackward0" }, { x.mT, "TransposeBackward0" },
      { (nn.LSTM(4, 5)(steps)), "MkldnnRnnLayerBackward0" }, { (nn.LSTM(4, 5, { batch_first = true })(steps)), "TransposeBackward0" },
      { (nn.GRU(4, 5, 2)(steps)), "StackBackward0" }, { (nn.RNN(4, 5, { bidirectional = true })(steps)), "CatBackward0" },
      { (nn.GRU(4, 5, { batch_first = true })(steps)), "TransposeBackward1" }, { (nn.LSTMCell(4, 5)(steps[0])), "MulBackward0" },
      { nn.GRUCell(4, 5)(steps[0]), "AddBackward0" }, { nn.RNNCell(4, 5)(steps[0]), "TanhBackward0" },
    } do
      assert.equal(case[2], name(case[1]))
    end
    assert.matches("grad_fn=<MseLossBackward0>", tostring(F.mse_loss(x, t)))
    -- A composite that hands its input on leaves the name of what made it.
    local y = x * 2
    assert.equal("MulBackward0", name(F.dropout(y, 0.5, false)))
    assert.equal("MulBackward0", name(y))
  end)
end)

describe("a module in the place of its parameters", function()
  it("is refused in words", function()
    local layer = nn.Linear(2, 2)
    refuses("clip_grad_norm_: parameters must be a tensor, a list or an iterator of tensors, got Linear",
      function() nn.utils.clip_grad_norm_(layer, 1.0) end)
    refuses("clip_grad_value_: parameters must be", function() nn.utils.clip_grad_value_(layer, 1.0) end)
    refuses("parameters_to_vector: parameters must be", function() nn.utils.parameters_to_vector(layer) end)
  end)
end)

describe("two numbers", function()
  it("are tensors to the functions of arithmetic, as in PyTorch", function()
    for _, case in ipairs {
      { torch.add(2, 3), 5, "int64" }, { torch.add(2, 3.5), 5.5, "float32" }, { torch.add(2, 3, { alpha = 2 }), 8, "int64" },
      { torch.subtract(2, 3), -1, "int64" }, { torch.mul(2, 3), 6, "int64" }, { torch.multiply(2.0, 3), 6, "float32" },
      { torch.div(6, 3), 2, "float32" }, { torch.div(7, 2, { rounding_mode = "floor" }), 3, "int64" },
      { torch.true_divide(6.0, 3), 2, "float32" }, { torch.floor_divide(-7, 2), -4, "int64" },
      { torch.mul(true, 3), 3, "int64" },
    } do
      assert.equal(case[2], case[1]:item())
      assert.equal(torch[case[3]], case[1].dtype)
      assert.equal(0, case[1].ndim)
    end
    assert.is_true(torch.add(true, true):item())
    for _, name in ipairs { "pow", "maximum", "remainder", "eq", "atan2" } do
      refuses(name .. ": argument 'self' must be a tensor, got number", function() torch[name](2, 3) end)
    end
    refuses("mul_: argument 'self' must be a tensor", function() torch.mul_(2, 3) end)
    refuses("mul: argument 'self' must be a tensor, got string", function() torch.mul("a", 3) end)
  end)
end)

describe("the state of an optimizer", function()
  it("has Python's len: of all, of a parameter's entry, and in state_dict()", function()
    local Momentum = optim.Optimizer:extend "Momentum"
    function Momentum:init(params) optim.Optimizer.init(self, params, { lr = 0.1 }) end
    local fresh = 0
    function Momentum:step()
      for _, group in ipairs(self.param_groups) do
        for _, p in ipairs(group.params) do
          local state = self.state[p]
          if #state == 0 then
            fresh = fresh + 1
            state.momentum = torch.zeros_like(p)
          end
        end
      end
    end
    local net = nn.Linear(2, 2)
    local optimizer = Momentum(net:parameters())
    assert.equal(0, #optimizer.state)
    optimizer:step()
    optimizer:step()
    assert.equal(2, fresh)
    assert.equal(2, #optimizer.state)
    local saved = optimizer:state_dict()
    assert.equal(2, #saved.state)
    assert.equal(1, #saved.state[0])
    local other = Momentum(net:parameters())
    other:load_state_dict(saved)
    other:step()
    assert.equal(2, fresh)
    local path = os.tmpname()
    torch.save(saved, path)
    local loaded = torch.load(path)
    os.remove(path)
    assert.equal(2, #loaded.state)
    assert.is_true(torch.equal(saved.state[1].momentum, loaded.state[1].momentum))
    assert.equal(1, #torch.deepcopy(optimizer):state_dict().state[1])
  end)
end)

describe("what is not a list of parameters", function()
  it("is refused by optimizers", function()
    local net = nn.Sequential(nn.Linear(2, 2))
    refuses("one of the params %(number 0%) is Linear; pass net:parameters%(%)", function() optim.SGD(net, { lr = 0.1 }) end)
    refuses("Adam: params must be .*, got an ordered map; a module's own tensors are net:parameters%(%)",
      function() optim.Adam(net:state_dict()) end)
    refuses("SGD: unknown argument 'learning_rate'; the arguments are params, lr, momentum",
      function() optim.SGD(net:parameters(), { learning_rate = 0.1 }) end)
  end)
end)

describe("a softmax without dim", function()
  it("warns, as in PyTorch", function()
    local list = torch.warnings.catch_warnings(function()
      F.softmax(torch.ones(2, 3))
      nn.LogSoftmax()(torch.ones(2, 3))
      F.softmax(torch.ones(2, 3), 1)
    end)
    assert.equal(2, #list)
    assert.matches("Implicit dimension choice for softmax has been deprecated", list[1].message)
  end)
end)

describe("super().__init__()", function()
  it("may be written as Net.super.init(self), in classes of every kind", function()
    local Net = nn.Module:extend "Net"
    function Net:init()
      Net.super.init(self)
      self.fc = nn.Linear(2, 3)
    end
    function Net:forward(x) return self.fc(x) end
    local Deeper = Net:extend "Deeper"
    function Deeper:init() Deeper.super.init(self) end
    assert.equal(3, Deeper()(torch.ones(1, 2)):size(1))
    assert.equal("Module()", tostring(nn.Module()))
    local Squares = torch.utils.data.Dataset:extend "Squares"
    function Squares:init() Squares.super.init(self) end
    assert.is_true(torch.isinstance(Squares(), torch.utils.data.Dataset))
  end)
end)
