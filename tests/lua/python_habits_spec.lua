-- Habits that people bring from Python: a dot where Lua has a colon, __init__, tables of names. Each mistake is told
-- from the user's line.
local torch = require "lampad"
local nn, optim = torch.nn, torch.optim

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
