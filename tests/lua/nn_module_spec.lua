-- nn.Module: registration, traversal, state, hooks, errors.
local torch = require "lampad"
local nn, F = torch.nn, torch.nn.functional

local function names(iterator)
  local list = {}
  for name in iterator do list[#list + 1] = name end
  return list
end

local Net = nn.Module:extend "Net"
function Net:init()
  self.conv1 = nn.Conv2d(1, 2, 3)
  self.bn1 = nn.BatchNorm2d(2)
  self.scale = nn.Parameter(torch.ones(1))
  self.fc = nn.Linear(8, 3)
  self.count = 5
end
function Net:forward(x)
  return self.fc(F.relu(self.bn1(self.conv1(x))):flatten(1)) * self.scale
end

describe("Module registration", function()
  it("keeps the order of assignment", function()
    local net = Net()
    assert.same({ "scale", "conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "fc.weight", "fc.bias" },
      names(net:named_parameters()))
    assert.same({ "bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked" }, names(net:named_buffers()))
    assert.same({ "conv1", "bn1", "fc" }, names(net:named_children()))
    assert.same({ "", "conv1", "bn1", "fc" }, names(net:named_modules()))
    assert.same({ "scale", "conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "bn1.running_mean",
      "bn1.running_var", "bn1.num_batches_tracked", "fc.weight", "fc.bias" }, names(net:state_dict():keys()))
  end)

  it("replaces, deletes and registers late", function()
    local net = Net()
    net.fc = nn.Linear(8, 2)
    assert.same({ "conv1", "bn1", "fc" }, names(net:named_children()))
    assert.equal(2, net.fc.out_features)
    net.fc = nil
    assert.same({ "conv1", "bn1" }, names(net:named_children()))
    net.count = nn.ReLU()
    assert.same({ "conv1", "bn1", "count" }, names(net:named_children()))
    net.scale = torch.ones(1)
    assert.error_matches(function() net:parameters() end,
      "cannot assign torch.Tensor %(float32 %[1%]%) as parameter 'scale' %(nn.Parameter or nil expected; torch.del")
    torch.del(net, "scale")
    net.scale = torch.ones(1)
    assert.equal("conv1.weight", (net:named_parameters()()))
    net.conv1 = 3
    assert.error_matches(function() net:train() end, "cannot assign number %(3%) as child module 'conv1'")
    net.conv1 = nil
    net.bn1.running_mean = "none"
    assert.error_matches(function() net:state_dict() end, "cannot assign string %('none'%) as buffer 'running_mean'")
  end)

  it("counts shared parameters once", function()
    local a = nn.Linear(2, 2)
    local net = nn.Sequential(a, nn.ReLU(), a)
    assert.same({ "0.weight", "0.bias" }, names(net:named_parameters()))
    local n = 0
    for _ in net:parameters() do n = n + 1 end
    assert.equal(2, n)
  end)

  it("has buffers that are kept or not", function()
    local M = nn.Module:extend "M"
    function M:init()
      self:register_buffer("a", torch.zeros(2))
      self:register_buffer("b", torch.zeros(2), { persistent = false })
      self:register_buffer("c", nil)
      self.plain = torch.zeros(2)
    end
    local m = M()
    assert.same({ "a", "b" }, names(m:named_buffers()))
    assert.same({ "a" }, names(m:state_dict():keys()))
    m.c = torch.ones(1)
    assert.same({ "a", "c" }, names(m:state_dict():keys()))
  end)

  it("says what cannot be registered", function()
    local m = Net()
    assert.error_matches(function() m:register_parameter("w", torch.zeros(2)) end, "nn.Parameter or nil expected")
    assert.error_matches(function() m:add_module("x", 3) end, "number %(3%) is not a Module")
    assert.error_matches(function() m:add_module("a.b", nn.ReLU()) end, "module name can't contain")
    assert.error_matches(function() m:register_buffer("x", 3) end, "tensor or nil expected")
    assert.error_matches(function() m:register_parameter("forward", nil) end, "attribute 'forward' already exists")
    assert.error_matches(function() nn.Parameter(torch.tensor { 1, 2 }) end, "require gradients")
  end)

  it("finds members by path", function()
    local net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    assert.equal(net[1][1], net:get_submodule "1.1")
    assert.equal(net[0].weight, net:get_parameter "0.weight")
    assert.error_matches(function() net:get_submodule "1.7" end, "has no attribute `7`")
  end)
end)

describe("Module modes", function()
  it("switches training here and below", function()
    local net = Net()
    assert.is_true(net.training)
    assert.equal(net, net:eval())
    assert.is_false(net.training)
    assert.is_false(net.bn1.training)
    net:train()
    assert.is_true(net.bn1.training)
    assert.error_matches(function() net:train(3) end, "training mode is expected to be boolean")
  end)

  it("freezes and drops gradients", function()
    local net = nn.Linear(2, 1)
    net(torch.ones(1, 2)):sum():backward()
    assert.is_not_nil(net.weight.grad)
    net:zero_grad { set_to_none = false }
    assert.equal(0, net.weight.grad:abs():sum():item())
    net:zero_grad()
    assert.is_nil(net.weight.grad)
    net:requires_grad_(false)
    assert.is_false(net.weight.requires_grad)
  end)

  it("converts and keeps its parameters the same objects", function()
    local net = Net()
    local weight = net.fc.weight
    net:double()
    assert.equal(torch.float64, net.fc.weight.dtype)
    assert.is_true(rawequal(weight, net.fc.weight))
    assert.is_true(weight.requires_grad)
    assert.equal(torch.float64, net.bn1.running_mean.dtype)
    assert.equal(torch.int64, net.bn1.num_batches_tracked.dtype)
    net:to(torch.float32)
    assert.equal(torch.float32, weight.dtype)
    assert.error_matches(function() net:to(torch.int64) end, "only accepts floating point or complex dtypes")
  end)

  it("applies a function to every module, children first", function()
    local seen = {}
    nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())):apply(function(m) seen[#seen + 1] = m.__name end)
    assert.same({ "ReLU", "Tanh", "Sequential", "Sequential" }, seen)
  end)

  it("copies deeply", function()
    local a = nn.Linear(2, 2)
    local net = nn.Sequential(a, nn.ReLU(), a)
    local copy = net:deepcopy()
    assert.is_true(rawequal(copy[0], copy[2]))
    assert.is_false(rawequal(copy[0].weight, a.weight))
    assert.same(a.weight:tolist(), copy[0].weight:tolist())
    assert.same({ "0.weight", "0.bias" }, names(copy:named_parameters()))
    torch.no_grad(function() copy[0].weight:zero_() end)
    assert.is_true(a.weight:abs():sum():item() > 0)
  end)
end)

describe("state_dict", function()
  it("goes into another module of the same shape", function()
    local a, b = Net(), Net()
    local result = b:load_state_dict(a:state_dict())
    assert.equal("<All keys matched successfully>", tostring(result))
    assert.same(a.fc.weight:tolist(), b.fc.weight:tolist())
    assert.is_true(b.fc.weight.requires_grad)
  end)

  it("shares memory with the module and has no history", function()
    local net = nn.Linear(2, 2)
    local sd = net:state_dict()
    assert.is_false(sd.weight.requires_grad)
    sd.weight:fill_(3)
    assert.equal(3, net.weight[0][0]:item())
  end)

  it("reports every difference in PyTorch's words", function()
    local net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    local sd = net:state_dict()
    sd["1.weight"] = nil
    sd["2.bias"] = torch.zeros(1)
    sd["0.weight"] = torch.zeros(5, 2)
    local ok, err = pcall(net.load_state_dict, net, sd)
    assert.is_false(ok)
    assert.matches("Error%(s%) in loading state_dict for Sequential:\n\tMissing key%(s%) in state_dict: \"1.weight\". ", err)
    assert.matches("\n\tUnexpected key%(s%) in state_dict: \"2.bias\". \n\t", err)
    assert.matches("size mismatch for 0.weight: copying a param with shape torch.Size%(%[5, 2%]%) from checkpoint, "
      .. "the shape in current model is torch.Size%(%[3, 2%]%)%.", err)
    sd["0.weight"] = nil
    local result = net:load_state_dict(sd, { strict = false })
    assert.same({ "0.weight", "1.weight" }, result.missing_keys)
    assert.same({ "2.bias" }, result.unexpected_keys)
  end)

  it("takes plain tables, also without the counters of old batch norms", function()
    local bn = nn.BatchNorm1d(2)
    bn:load_state_dict { weight = torch.tensor { 2.0, 3.0 }, bias = torch.zeros(2), running_mean = torch.ones(2),
      running_var = torch.ones(2) }
    assert.same({ 2.0, 3.0 }, bn.weight:tolist())
  end)

  it("runs its hooks", function()
    local net, log = nn.Linear(1, 1), {}
    net:register_state_dict_post_hook(function(_, sd) sd.extra = torch.zeros(1) end)
    net:register_load_state_dict_pre_hook(function(_, sd) sd.extra = nil end)
    net:register_load_state_dict_post_hook(function() log[#log + 1] = "loaded" end)
    net:load_state_dict(net:state_dict())
    assert.same({ "loaded" }, log)
  end)
end)

describe("hooks", function()
  it("see and replace inputs and outputs, and can be removed", function()
    local net = nn.Identity()
    local pre = net:register_forward_pre_hook(function(_, inputs) return { inputs[1] + 1 } end)
    local post = net:register_forward_hook(function(_, inputs, output)
      assert.equal(2, inputs[1]:item())
      return output * 10
    end)
    assert.equal(20, net(torch.tensor(1)):item())
    pre:remove()
    post:remove()
    assert.equal(1, net(torch.tensor(1)):item())
  end)

  it("run in order, prepended ones first", function()
    local net, log = nn.Identity(), {}
    net:register_forward_hook(function() log[#log + 1] = "a" end)
    net:register_forward_hook(function() log[#log + 1] = "b" end)
    net:register_forward_hook(function() log[#log + 1] = "c" end, { prepend = true })
    net(torch.tensor(1))
    assert.same({ "c", "a", "b" }, log)
  end)

  it("see gradients on the way back", function()
    local net = nn.Linear(2, 1, { bias = false })
    torch.no_grad(function() net.weight:copy_(torch.tensor { { 3.0, 4.0 } }) end)
    local seen
    net:register_full_backward_hook(function(module, grad_input, grad_output)
      seen = { module, grad_input[1]:tolist(), grad_output[1]:tolist() }
      return { grad_input[1] * 2 }
    end)
    local x = torch.ones(1, 2, { requires_grad = true })
    net(x):sum():backward()
    assert.equal(net, seen[1])
    assert.same({ { 3.0, 4.0 } }, seen[2])
    assert.same({ { 1.0 } }, seen[3])
    assert.same({ { 6.0, 8.0 } }, x.grad:tolist())
    assert.same({ { 1.0, 1.0 } }, net.weight.grad:tolist())
  end)
end)

describe("errors inside forward", function()
  it("name the path of the module", function()
    local net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    local ok, err = pcall(function() return net(torch.ones(1, 4)) end)
    assert.is_false(ok)
    assert.matches("nn_module_spec.lua:%d+: ", err)
    assert.matches("\n  in 1%.1 %(Linear%) of Sequential$", err)
    assert.same({ 1, 4 }, { net[0](torch.ones(1, 4)).shape:unpack() })
  end)

  it("stay right after one was caught inside", function()
    local M = nn.Module:extend "M"
    function M:init()
      self.bad = nn.Linear(3, 3)
      self.inner = nn.Sequential(nn.Linear(5, 5))
    end
    function M:forward(x)
      assert(not pcall(self.bad, x))
      return self.inner(x)
    end
    local _, err = pcall(M(), torch.ones(1, 4))
    assert.matches("in inner%.0 %(Linear%) of M$", err)
  end)

  it("tell that forward is missing", function()
    local M = nn.Module:extend "M"
    assert.error_matches(function() M()(1) end, "Module %[M%] is missing the required \"forward\" function")
  end)
end)

describe("containers", function()
  it("count from 0", function()
    local a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    local seq = nn.Sequential(a, b, c)
    assert.equal(3, #seq)
    assert.equal(a, seq[0])
    assert.equal(c, seq[-1])
    assert.equal(2, #seq["1:"])
    assert.equal(b, seq["1:"][0])
    assert.error_matches(function() return seq[3] end, "index 3 is out of range for a container of 3")
    local d = nn.ELU()
    seq[1] = d
    assert.equal(d, seq[1])
    seq:append(b)
    assert.equal(b, seq[3])
    seq:insert(0, b)
    assert.equal(b, seq[0])
    assert.equal(a, seq[1])
    torch.del(seq, 0)
    assert.equal(a, seq[0])
    assert.equal(4, #seq)
    seq:add_module("last", c)
    assert.equal(c, seq.last)
    assert.equal(c, seq[4])
    assert.error_matches(function() seq:append(3) end, "number %(3%) is not a Module")
  end)

  it("take names", function()
    local seq = nn.Sequential { { "fc", nn.Linear(2, 2) }, { "act", nn.ReLU() } }
    assert.same({ "fc", "act" }, names(seq:named_children()))
    assert.equal("Sequential(\n  (fc): Linear(in_features=2, out_features=2, bias=True)\n  (act): ReLU()\n)",
      tostring(seq))
  end)

  it("ModuleList and ModuleDict register their members", function()
    local list = nn.ModuleList { nn.Linear(1, 1), nn.Linear(1, 1) }
    list:extend { nn.Linear(1, 1) }
    assert.equal(3, #list)
    local count = 0
    for layer in list:iter() do
      count = count + 1
      assert.equal(1, layer.in_features)
    end
    for i, layer in list:enumerate() do assert.equal(list[i], layer) end
    assert.equal(3, count)
    assert.same({ "0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias" }, names(list:named_parameters()))
    local dict = nn.ModuleDict { b = nn.ReLU(), a = nn.Linear(1, 1) }
    assert.same({ "a", "b" }, names(dict:items()))
    assert.equal(2, #dict)
    assert.is_true(dict:contains "a")
    assert.equal("ReLU", dict:pop("b").__name)
    assert.equal(1, #dict)
    local params = nn.ParameterList { torch.zeros(2), torch.ones(3) }
    assert.equal(2, #params)
    assert.is_true(params[1].requires_grad)
    assert.same({ "0", "1" }, names(params:named_parameters()))
  end)
end)

describe("Parameter", function()
  it("is a leaf that requires a gradient", function()
    local p = nn.Parameter(torch.ones(2))
    assert.is_true(p.requires_grad)
    assert.is_true(p.is_leaf)
    assert.is_true(torch.isinstance(p, nn.Parameter))
    assert.is_false(torch.isinstance(torch.ones(2), nn.Parameter))
    assert.is_false(nn.Parameter(torch.ones(2), { requires_grad = false }).requires_grad)
  end)

  it("prints as PyTorch's", function()
    assert.equal("Parameter containing:\ntensor([1., 1.], requires_grad=True)", tostring(nn.Parameter(torch.ones(2))))
  end)
end)
