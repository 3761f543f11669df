-- Lazy layers, uninitialised parameters and buffers, and the mixin that makes a class lazy.
local torch = require "lampad"
local nn = torch.nn

-- The message of the error that fn raises holds the text.
local function raises(text, fn)
  local ok, message = pcall(fn)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), tostring(message))
end

local function text_of(t) return tostring(t):gsub("%s+", " ") end

-- {class, constructor arguments, input, text before, text after}
local layers = {
  { "LazyLinear", { 4 }, { 2, 3 }, "LazyLinear(in_features=0, out_features=4, bias=True)",
    "Linear(in_features=3, out_features=4, bias=True)" },
  { "LazyConv1d", { 4, 3 }, { 2, 3, 5 }, "LazyConv1d(0, 4, kernel_size=(3,), stride=(1,))",
    "Conv1d(3, 4, kernel_size=(3,), stride=(1,))" },
  { "LazyConv2d", { 4, 3, { bias = false } }, { 3, 5, 5 },
    "LazyConv2d(0, 4, kernel_size=(3, 3), stride=(1, 1), bias=False)",
    "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), bias=False)" },
  { "LazyConv3d", { 4, 1 }, { 1, 3, 2, 2, 2 }, "LazyConv3d(0, 4, kernel_size=(1, 1, 1), stride=(1, 1, 1))",
    "Conv3d(3, 4, kernel_size=(1, 1, 1), stride=(1, 1, 1))" },
  { "LazyConvTranspose1d", { 4, 3, 2 }, { 2, 3, 5 }, "LazyConvTranspose1d(0, 4, kernel_size=(3,), stride=(2,))",
    "ConvTranspose1d(3, 4, kernel_size=(3,), stride=(2,))" },
  { "LazyConvTranspose2d", { 4, 3 }, { 2, 3, 5, 5 }, "LazyConvTranspose2d(0, 4, kernel_size=(3, 3), stride=(1, 1))",
    "ConvTranspose2d(3, 4, kernel_size=(3, 3), stride=(1, 1))" },
  { "LazyConvTranspose3d", { 4, 1 }, { 1, 3, 2, 2, 2 },
    "LazyConvTranspose3d(0, 4, kernel_size=(1, 1, 1), stride=(1, 1, 1))",
    "ConvTranspose3d(3, 4, kernel_size=(1, 1, 1), stride=(1, 1, 1))" },
}
for n, sizes in ipairs { { 2, 3, 5 }, { 2, 3, 5, 5 }, { 2, 3, 2, 2, 2 } } do
  for _, kind in ipairs { "BatchNorm", "InstanceNorm" } do
    local tail = "eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
    layers[#layers + 1] = { "Lazy" .. kind .. n .. "d", {}, sizes, ("Lazy%s%dd(0, %s"):format(kind, n, tail),
      ("%s%dd(3, %s"):format(kind, n, tail) }
  end
end

describe("lazy layers", function()
  for _, row in ipairs(layers) do
    local name, arguments, sizes, before, after = table.unpack(row)

    it(name .. " becomes its plain class at the first call", function()
      local layer = nn[name](table.unpack(arguments))
      local plain = nn[name:sub(5)]
      assert.equal(before, tostring(layer))
      assert.is_true(layer:isinstance(plain))
      assert.is_true(layer:has_uninitialized_params())
      local weight, weights = layer.weight, {}
      for key, t in layer:state_dict():items() do weights[#weights + 1] = key .. "=" .. tostring(t) end
      assert.truthy(weights[1]:find "^weight=<UninitializedParameter>$")
      layer(torch.rand(sizes))
      assert.equal(after, tostring(layer))
      assert.equal(plain, getmetatable(layer).class)
      assert.is_true(rawequal(weight, layer.weight)) -- the same object: an optimizer made before would hold it
      assert.is_true(torch.is_tensor(weight) and weight.requires_grad and weight.is_leaf)
      local count = 0
      for _, p in layer:named_parameters() do
        count = count + 1
        assert.is_true(nn.Parameter.is(p))
      end
      assert.is_true(count > 0)
      layer(torch.rand(sizes)):sum():backward()
      assert.equal(weight.shape, weight.grad.shape)
    end)

    it(name .. " takes the values of the plain layer from the same seed", function()
      torch.manual_seed(3)
      local layer = nn[name](table.unpack(arguments))
      layer(torch.ones(sizes))
      torch.manual_seed(3)
      local features = name == "LazyConv2d" and 3 or name == "LazyLinear" and 3 or sizes[2]
      local named = name:find "InstanceNorm" and { { affine = true, track_running_stats = true } } or arguments
      local plain = nn[name:sub(5)](features, table.unpack(named))
      for key, t in plain:named_parameters() do
        assert.is_true(t:equal(layer:get_parameter(key)), key)
      end
    end)

    it(name .. " loads the state of a plain layer and its own", function()
      local source = nn[name](table.unpack(arguments))
      source(torch.rand(sizes))
      local target = nn[name](table.unpack(arguments))
      target:load_state_dict(source:state_dict())
      assert.is_false(target:has_uninitialized_params())
      target:eval()
      source:eval()
      local x = torch.rand(sizes)
      assert.is_true(source(x):equal(target(x)))
      local fresh = nn[name](table.unpack(arguments))
      fresh:load_state_dict(nn[name](table.unpack(arguments)):state_dict())
      assert.is_true(fresh:has_uninitialized_params())
      raises("Can't access the shape of an uninitialized parameter", function()
        source:load_state_dict(fresh:state_dict())
      end)
    end)
  end

  it("convert and copy before they are initialised", function()
    local net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyBatchNorm1d())
    net:double()
    assert.equal(torch.float64, net[0].weight.dtype)
    assert.equal(torch.float64, net[2].running_mean.dtype)
    local copy = net:deepcopy()
    assert.is_false(rawequal(copy[0].weight, net[0].weight))
    copy(torch.rand(3, 2, { dtype = torch.float64 }))
    assert.equal(torch.float64, copy[0].weight.dtype)
    assert.is_true(net[0]:has_uninitialized_params())
    assert.equal("Linear", copy[0].__name)
    net:to(torch.float32)
    assert.equal("torch.Size([3, 4])", tostring(net(torch.rand(3, 7)).shape))
  end)

  it("train with an optimizer made after the first call", function()
    torch.manual_seed(0)
    local net = nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(1))
    local x = torch.randn(16, 3)
    local y = x:sum(1, true)
    net(x)
    local optimizer = torch.optim.SGD(net:parameters(), { lr = 0.1 })
    local first, last
    for _ = 1, 30 do
      local loss = nn.MSELoss()(net(x), y)
      first, last = first or loss:item(), loss:item()
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
    end
    assert.is_true(last < first / 2)
  end)

  it("train with an optimizer made before the first call, once they have a shape", function()
    local x = torch.ones(4, 3)
    for _, name in ipairs { "SGD", "Adam", "AdamW", "Rprop", "Adafactor", "ASGD", "RMSprop", "Adadelta", "Adamax", "NAdam",
      "RAdam", "LBFGS" } do
      local net = nn.Sequential(nn.LazyLinear(2), nn.LazyLinear(1))
      local optimizer = torch.optim[name](net:parameters(), { lr = 0.1 })
      assert.equal(4, #optimizer.param_groups[1].params)
      optimizer:zero_grad()
      if name ~= "LBFGS" then optimizer:step() end -- nothing has a gradient: no error, as in PyTorch
      nn.utils.clip_grad_norm_(net:parameters(), 1)
      optimizer:load_state_dict(optimizer:state_dict())
      local before
      local function closure()
        optimizer:zero_grad()
        local loss = net(x):square():sum()
        before = before or net[0].weight:detach():clone()
        loss:backward()
        return loss
      end
      if name ~= "LBFGS" then closure() end
      optimizer:step(name == "LBFGS" and closure or nil)
      assert.is_false(torch.equal(before, net[0].weight))
    end
    local named = torch.optim.SGD(nn.LazyLinear(2):named_parameters(), { lr = 0.1 })
    assert.same({ "weight", "bias" }, named.param_groups[1].param_names)
  end)

  it("are refused by optimizers that need their shape", function()
    local layer = nn.LazyLinear(2)
    assert.error_matches(function() torch.optim.Adagrad(layer:parameters()) end,
      "Adagrad: parameter 0 is not initialized, but its sum of squares needs a shape")
    assert.error_matches(function() torch.optim.Muon(layer:parameters()) end, "Muon only supports 2D parameters")
    local optimizer = torch.optim.LBFGS(layer:parameters())
    assert.error_matches(function() optimizer:step(function() return torch.zeros {} end) end,
      "LBFGS.step: parameter 0 is not initialized: the closure does not call its module")
    assert.error_matches(function() torch.relu(layer.weight) end, "must be a tensor, got UninitializedParameter")
  end)

  it("say what is wrong", function()
    local cases = {
      { "linear", function() return nn.LazyLinear(3):forward(torch.ones(2, 2)) end },
      { "Expected 3D (unbatched) or 4D (batched) input to LazyConv2d, but got input of size: torch.Size([2])",
        function() return nn.LazyConv2d(3, 2)(torch.ones(2)) end },
      { "in_channels must be divisible by groups", function()
        return nn.LazyConv2d(4, 2, { groups = 2 })(torch.ones(1, 3, 4, 4))
      end },
      { "Only \"zeros\" padding mode is supported", function()
        return nn.LazyConvTranspose1d(4, 2, { padding_mode = "reflect" })
      end },
      { "expected 2D or 3D input (got 4D input)", function() return nn.LazyBatchNorm1d()(torch.ones(2, 3, 4, 5)) end },
      { "features, got shape torch.Size([2])", function() return nn.LazyBatchNorm1d()(torch.ones(2)) end },
      { "Modules with uninitialized parameters can't be used with `DataParallel`", function()
        return nn.DataParallel(nn.LazyLinear(2))
      end },
      { "The in_features inferred from input: 5 is not equal to in_features from self.weight: 3", function()
        local lazy = nn.LazyLinear(2)
        lazy:load_state_dict(nn.Linear(3, 2):state_dict())
        return lazy(torch.ones(1, 5))
      end },
    }
    for _, case in ipairs(cases) do raises(case[1], case[2]) end
  end)
end)

describe("uninitialised parameters and buffers", function()
  it("know what needs no shape", function()
    local p = nn.UninitializedParameter { dtype = torch.float64 }
    assert.equal("<UninitializedParameter>", tostring(p))
    assert.equal("<UninitializedBuffer>", tostring(nn.UninitializedBuffer()))
    assert.equal(torch.float64, p.dtype)
    assert.equal("cpu", tostring(p.device))
    assert.is_true(p.requires_grad and p.is_leaf)
    assert.is_nil(p.grad)
    assert.is_true(p:is_floating_point())
    assert.is_false(p:is_complex())
    assert.is_false(nn.UninitializedBuffer().requires_grad)
    assert.equal(torch.float16, p:half().dtype)
    p.requires_grad = false
    p:materialize({ 2, 3 }, { dtype = torch.float32 })
    assert.equal("torch.float32 torch.Size([2, 3]) false", ("%s %s %s"):format(tostring(p.dtype), tostring(p.shape),
      tostring(p.requires_grad)))
    assert.is_true(nn.Parameter.is(p))
  end)

  it("refuse every use", function()
    local p = nn.UninitializedParameter()
    for _, use in ipairs {
      function() return p + 1 end, function() return -p end, function() return p:sum() end, function() return #p end,
      function() return p[0] end, function() p.data = torch.ones(2) end,
    } do
      raises("Attempted to use an uninitialized parameter in", use)
    end
    raises("Can't access the shape of an uninitialized parameter or buffer", function() return p.shape end)
    raises("Can't share memory on an uninitialized parameter", function() return p:share_memory_() end)
    raises("must be a tensor, got UninitializedParameter", function() return torch.add(p, 1) end)
    collectgarbage()
  end)

  it("are not what nn.Parameter makes without data", function()
    local p = nn.Parameter()
    assert.equal("torch.Size([0]) true", ("%s %s"):format(tostring(p.shape), tostring(p.requires_grad)))
    assert.is_false(nn.Parameter { requires_grad = false }.requires_grad)
  end)

  it("stand in nn.parameter", function()
    assert.is_true(nn.parameter.is_lazy(nn.parameter.UninitializedParameter()))
    assert.is_true(nn.parameter.is_lazy(nn.parameter.UninitializedBuffer()))
    assert.is_false(nn.parameter.is_lazy(nn.parameter.Parameter(torch.ones(1))))
    assert.is_false(nn.parameter.is_lazy(3))
  end)

  it("are members of a module", function()
    local m = nn.Module()
    m.w = nn.UninitializedParameter()
    m:register_buffer("b", nn.UninitializedBuffer())
    local keys = {}
    for key in m:state_dict():keys() do keys[#keys + 1] = key end
    assert.same({ "w", "b" }, keys)
    m.b:materialize { 2 }
    assert.equal("[2]", text_of(m:get_buffer("b").shape):match "%[.*%]")
  end)
end)

describe("LazyModuleMixin", function()
  local Scale = nn.LazyModuleMixin(nn.Module:extend "Scale")
  function Scale:init() self.scale = nn.UninitializedParameter() end
  function Scale:initialize_parameters(x)
    if self:has_uninitialized_params() then
      self.scale:materialize { x:size(-1) }
      torch.no_grad(function() self.scale:fill_(2) end)
    end
  end
  function Scale:forward(x) return x * self.scale end

  it("makes a class of one's own lazy", function()
    local net = nn.Sequential(Scale(), nn.Linear(3, 1))
    assert.is_true(net[0]:has_uninitialized_params())
    net(torch.ones(2, 3))
    assert.same({ 2.0, 2.0, 2.0 }, net[0].scale:tolist())
    assert.equal("torch.Size([2, 1])", tostring(net(torch.ones(2, 3)).shape))
  end)

  it("asks for initialize_parameters, and for all parameters", function()
    local Nothing = nn.LazyModuleMixin(nn.Module:extend "Nothing")
    raises("initialize_parameters is not implemented for Nothing", function() return Nothing()(1) end)
    local Half = nn.LazyModuleMixin(nn.Module:extend "Half")
    function Half:init() self.w = nn.UninitializedParameter() end
    function Half:initialize_parameters() end -- luacheck: ignore
    raises("module Half has not been fully initialized", function() return Half()(1) end)
    raises("must be a subclass of nn.Module", function() return nn.LazyModuleMixin(3) end)
  end)
end)
