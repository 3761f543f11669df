-- nn.Module: traversal, paths, extra state, assigning state_dicts, conversions; and errors that name the module.
local torch = require "lampad"
local nn, F = torch.nn, torch.nn.functional

local function list(iterator)
  local names = {}
  for name in iterator do names[#names + 1] = name end
  return names
end

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

-- --- traversal ------------------------------------------------------------------------------------------
describe("traversal", function()
  local shared = nn.Linear(1, 1)
  local function tied()
    local net = nn.Module()
    net.a = shared
    net.b = nn.Sequential(shared, nn.BatchNorm1d(1))
    net.gain = nn.Parameter(torch.ones(1))
    net.alias = net.gain
    return net
  end

  it("takes prefix, recurse and remove_duplicate", function()
    local net = tied()
    assert.same({ "m.gain", "m.a.weight", "m.a.bias", "m.b.1.weight", "m.b.1.bias" }, list(net:named_parameters "m"))
    assert.same({ "gain" }, list(net:named_parameters { recurse = false }))
    assert.same({ "gain", "alias", "a.weight", "a.bias", "b.0.weight", "b.0.bias", "b.1.weight", "b.1.bias" },
      list(net:named_parameters { remove_duplicate = false }))
    assert.same({ "x.b.1.running_mean", "x.b.1.running_var", "x.b.1.num_batches_tracked" }, list(net:named_buffers("x")))
    assert.same({}, list(net:named_buffers("", false)))
    assert.same({ "", "a", "b", "b.1" }, list(net:named_modules()))
    assert.same({ "n", "n.a", "n.b", "n.b.0", "n.b.1" }, list(net:named_modules(nil, "n", false)))
    assert.equal(4, #list(net:modules()))
    assert.equal(5, #list(net:modules { remove_duplicate = false }))
    assert.equal(0, #list(net:buffers(false)))
    assert.equal(5, #list(net:parameters()))
    assert.same({ "a", "b" }, list(net:named_children()))
    local memo = { [shared] = true }
    assert.same({ "", "b", "b.1" }, list(net:named_modules(memo)))
    assert.is_true(memo[net])
    assert.error_matches(function() net:named_modules(3) end, "argument 'memo' must be a table")
    assert.error_matches(function() net:named_parameters(3) end, "named_parameters: argument 'prefix' must be a string")
  end)

  it("finds and sets members by path", function()
    local net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    assert.equal(net, net:get_submodule "")
    net:set_submodule("1.0", nn.Tanh())
    net:set_submodule("1.extra", nn.ELU())
    assert.same({ "0", "extra" }, list(net[1]:named_children()))
    assert.matches("set_submodule: Sequential has no attribute `7`", message(net.set_submodule, net, "1.7", nn.ReLU(), true))
    assert.matches("set_submodule: Sequential has no attribute `2`", message(net.set_submodule, net, "2.7", nn.ReLU()))
    assert.matches("`weight` of Linear is not an nn.Module", message(net.set_submodule, net, "0.weight", nn.ReLU()))
    assert.matches("without a target name", message(net.set_submodule, net, "", nn.ReLU()))
    assert.matches("'module' must be an nn.Module, got number", message(net.set_submodule, net, "0", 3))
    assert.matches("did you mean 'extra'", message(net.get_submodule, net, "1.extr"))
    assert.matches("'target' must be a string, got number", message(net.get_submodule, net, 3))
    assert.matches("`in_features` of Linear is not an nn.Parameter", message(net.get_parameter, net, "0.in_features"))
    assert.matches("Linear has no attribute `q`", message(net.get_parameter, net, "0.q"))
    assert.matches("`weight` of Linear is not a buffer", message(net.get_buffer, net, "0.weight"))
    local bn = nn.BatchNorm1d(2)
    assert.is_true(rawequal(bn.running_mean, bn:get_buffer "running_mean"))
  end)

  it("takes nn.Buffer as a buffer when it is assigned", function()
    local net = nn.Module()
    local data = torch.ones(2)
    net.mean = nn.Buffer(data)
    net.seen = nn.Buffer(torch.zeros(1), { persistent = false })
    net.weight = nn.Parameter(torch.ones(1))
    local names, saved = {}, {}
    for name in net:named_buffers() do names[#names + 1] = name end
    for name in net:state_dict():keys() do saved[#saved + 1] = name end
    assert.same({ "mean", "seen" }, names)
    assert.same({ "weight", "mean" }, saved)
    assert.is_true(net.mean:is_same_storage(data))
    assert.is_true(torch.isinstance(net.mean, nn.Buffer))
    assert.is_false(torch.isinstance(net.weight, nn.Buffer))
    assert.equal(0, nn.Buffer():numel())
    assert.matches("data", message(nn.Buffer, 3))
  end)
  it("does not let names meet what is there", function()
    local layer = nn.Linear(2, 2)
    assert.matches("register_buffer: attribute 'weight' already exists", message(layer.register_buffer, layer, "weight", torch.ones(1)))
    assert.matches("add_module: attribute 'weight' already exists", message(layer.add_module, layer, "weight", nn.ReLU()))
    assert.matches("attribute 'in_features' already exists",
      message(layer.register_parameter, layer, "in_features", nn.Parameter(torch.ones(1))))
    assert.matches("buffer name should be a string, got number", message(layer.register_buffer, layer, 3, torch.ones(1)))
    assert.matches("parameter name can't be empty", message(layer.register_parameter, layer, "", nil))
    local p = nn.Parameter(torch.ones(1))
    p = torch.nn.Parameter(p) -- a Parameter of a Parameter is one
    layer:register_parameter("again", p)
    layer:register_buffer("mean", torch.zeros(1))
    layer:register_buffer("mean", torch.ones(1), { persistent = false }) -- replacing is no clash
    assert.equal(1, layer.mean:item())
    assert.same({ "weight", "bias", "again" }, list(layer:state_dict():keys()))
    layer:add_module("init", nn.ReLU()) -- a name that only Lua's class uses
    assert.same({ "init" }, list(layer:named_children()))
  end)

  it("deletes", function()
    local net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    net.extra = nn.Tanh()
    net:register_buffer("b", torch.zeros(1))
    torch.del(net, "extra")
    torch.del(net, "b")
    assert.same({ "0", "1" }, list(net:named_children()))
    assert.same({}, list(net:named_buffers()))
    net.b = torch.zeros(1)
    assert.same({}, list(net:named_buffers()))
    assert.matches("'Sequential' object has no attribute 'extra'", message(torch.del, net, "extra"))
    net.late = nn.ELU()
    torch.del(net, 0)
    assert.same({ "0", "1" }, list(net:named_children()))
    local layer = nn.Linear(1, 1)
    local weight = layer.weight
    torch.del(layer, "weight")
    layer.weight = weight
    assert.same({ "bias", "weight" }, list(layer:named_parameters())) -- the place is given up
  end)
end)

-- --- state ----------------------------------------------------------------------------------------------
describe("state", function()
  local Counter = nn.Module:extend "Counter"
  function Counter:init() self.count = 0 end
  function Counter:get_extra_state() return { count = self.count } end
  function Counter:set_extra_state(state) self.count = state.count end

  it("holds extra state", function()
    local net = nn.Sequential(nn.Linear(1, 1), Counter())
    net[1].count = 7
    local sd = net:state_dict()
    assert.same({ "0.weight", "0.bias", "1._extra_state" }, list(sd:keys()))
    local other = nn.Sequential(nn.Linear(1, 1), Counter())
    assert.equal("<All keys matched successfully>", tostring(other:load_state_dict(sd)))
    assert.equal(7, other[1].count)
    sd["1._extra_state"] = nil
    assert.matches('Missing key%(s%) in state_dict: "1._extra_state"', message(other.load_state_dict, other, sd))
    local plain = nn.Sequential(nn.Linear(1, 1), nn.Identity())
    assert.matches('Unexpected key%(s%) in state_dict: "1._extra_state"', message(plain.load_state_dict, plain, net:state_dict()))
    assert.matches("Linear has no extra state", message(plain[0].get_extra_state, plain[0]))
  end)

  it("puts tensors in place with assign", function()
    local net = nn.BatchNorm1d(2)
    net.weight:requires_grad_(false)
    local sd = {}
    for key, value in net:state_dict():items() do sd[key] = value:clone() end
    sd.bias = nn.Parameter(torch.ones(2, { dtype = torch.float64 }))
    net:load_state_dict(sd, { assign = true })
    assert.is_true(rawequal(sd.bias, net.bias))
    assert.equal(torch.float64, net.bias.dtype)
    assert.is_true(torch.isinstance(net.weight, nn.Parameter))
    assert.is_false(net.weight.requires_grad)
    assert.is_true(rawequal(sd.running_mean, net.running_mean))
    assert.same({ "weight", "bias" }, list(net:named_parameters()))
  end)

  it("goes into a given map, with prefixes", function()
    local sd = nn.Linear(1, 1):state_dict { prefix = "a." }
    assert.is_true(rawequal(sd, nn.Linear(1, 1):state_dict { destination = sd, prefix = "b." }))
    assert.same({ "a.weight", "a.bias", "b.weight", "b.bias" }, list(sd:keys()))
    assert.same({ version = 1 }, sd._metadata["b"])
  end)

  it("lets classes override how they save and load", function()
    local Old = nn.Module:extend "Old"
    function Old:init() self.weight = nn.Parameter(torch.zeros(1)) end
    function Old:_save_to_state_dict(destination, prefix, keep_vars)
      nn.Module._save_to_state_dict(self, destination, prefix, keep_vars)
      destination[prefix .. "w"] = destination[prefix .. "weight"]
      destination[prefix .. "weight"] = nil
    end
    function Old:_load_from_state_dict(sd, prefix, metadata, strict, missing, unexpected, errors)
      sd[prefix .. "weight"] = sd[prefix .. "w"]
      sd[prefix .. "w"] = nil
      nn.Module._load_from_state_dict(self, sd, prefix, metadata, strict, missing, unexpected, errors)
    end
    local a, b = nn.Sequential(Old()), nn.Sequential(Old())
    torch.no_grad(function() a[0].weight:fill_(5) end)
    assert.same({ "0.w" }, list(a:state_dict():keys()))
    b:load_state_dict(a:state_dict())
    assert.equal(5, b[0].weight:item())
  end)

  it("reports everything that is wrong at once, in PyTorch's words", function()
    local net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1), nn.BatchNorm1d(1))
    local sd = net:state_dict()
    sd["1.weight"], sd["1.bias"] = nil, nil
    sd["0.weight"] = torch.zeros(5, 2)
    sd["0.bias"] = "text"
    sd["7.weight"] = torch.zeros(1)
    sd.other = torch.zeros(1)
    local err = message(net.load_state_dict, net, sd)
    assert.equal(table.concat({ "Error(s) in loading state_dict for Sequential:",
      'Missing key(s) in state_dict: "1.weight", "1.bias". ',
      'Unexpected key(s) in state_dict: "7.weight", "other". ',
      "size mismatch for 0.weight: copying a param with shape torch.Size([5, 2]) from checkpoint, "
        .. "the shape in current model is torch.Size([3, 2]).",
      'While copying the parameter named "0.bias", expected a tensor from checkpoint but received string (\'text\')',
    }, "\n\t"), (err:gsub("^[^ ]*: ", "")))
    assert.matches("expected state_dict to be an ordered map or a table, got number", message(net.load_state_dict, net, 3))
  end)

  it("takes scalars from the checkpoints of old versions", function()
    local net = nn.Module()
    net:register_buffer("count", torch.tensor(0))
    net:load_state_dict { count = torch.tensor { 5 } }
    assert.equal(5, net.count:item())
  end)
end)

-- --- conversions ------------------------------------------------------------------------------------------
describe("conversions", function()
  it("take dtypes, devices, tensors and memory formats", function()
    local net = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3))
    assert.equal(torch.float64, net:to(torch.ones(1, { dtype = torch.float64 }))[0].weight.dtype)
    assert.equal(torch.float16, net:to("cpu", torch.float16)[0].weight.dtype)
    assert.equal(torch.bfloat16, net:to { dtype = torch.bfloat16, device = "cpu", non_blocking = true }[0].weight.dtype)
    net:to { memory_format = torch.channels_last }
    assert.is_true(net[0].weight:is_contiguous { memory_format = torch.channels_last })
    assert.equal(torch.complex64, nn.Linear(1, 1):to(torch.complex64).weight.dtype)
    assert.equal(torch.complex128, nn.Linear(1, 1):to(torch.complex64):to(torch.complex128).weight.dtype)
    assert.equal(torch.complex64, nn.Linear(1, 1):to(torch.complex64):double().weight.dtype)
    assert.equal(torch.float64, nn.Linear(1, 1):type(torch.float64).weight.dtype)
    assert.equal(torch.float16, nn.Linear(1, 1):type("torch.HalfTensor").weight.dtype)
    assert.matches("only accepts floating point or complex dtypes", message(net.to, net, torch.int64))
    assert.matches("expected a dtype, a device or a tensor, got number", message(net.to, net, 3))
    assert.matches("did you mean 'dtype'", message(net.to, net, { dtyp = torch.float32 }))
  end)

  it("convert gradients too, and keep requires_grad", function()
    local layer = nn.Linear(2, 1)
    layer.bias:requires_grad_(false)
    layer(torch.ones(1, 2)):sum():backward()
    layer:double()
    assert.equal(torch.float64, layer.weight.grad.dtype)
    assert.is_true(layer.weight.requires_grad)
    assert.is_false(layer.bias.requires_grad)
  end)

  it("empty, share, compile, apply", function()
    local net = nn.Sequential(nn.Linear(2, 2))
    assert.equal(net, net:to_empty { device = "cpu" })
    assert.equal(torch.Size { 2, 2 }, net[0].weight.shape)
    assert.is_true(net:share_memory()[0].weight:is_shared())
    assert.equal(net, net:compile { mode = "default" })
    assert.equal(net, torch.compile(net))
    assert.matches("apply: argument 'fn' must be a function, got number", message(net.apply, net, 3))
    local seen = 0
    net:_apply(function(t)
      seen = seen + 1
      return t
    end)
    assert.equal(2, seen)
    net:_apply(function() seen = 100 end, false)
    assert.equal(2, seen)
  end)

  it("copy deeply: memory shared inside stays shared, history is refused", function()
    local M = nn.Module:extend "M"
    function M:init()
      self.w = nn.Parameter(torch.arange(4.0))
      self.view = self.w:detach():view(2, 2)
    end
    local m = M()
    local copy = torch.deepcopy(m)
    torch.no_grad(function() copy.w:fill_(9) end)
    assert.equal(9, copy.view[1][1]:item())
    assert.equal(3, m.view[1][1]:item())
    assert.same({ 1, 2 }, (function()
      local s = torch.deepcopy(torch.zeros(2, 2):t()):stride()
      return { s[1], s[2] }
    end)())
    m.bad = m.w * 2
    assert.matches("deepcopy: only tensors created by the user", message(torch.deepcopy, m))
    local Own = nn.Module:extend "Own"
    function Own:__deepcopy__(memo)
      local result = Own()
      memo[self] = result
      result.copied = true
      return result
    end
    assert.is_true(torch.deepcopy { Own() }[1].copied)
    local memo = {}
    assert.is_true(rawequal(torch.deepcopy(m.w, memo), torch.deepcopy(m.w, memo)))
  end)
end)

describe("nn.modules", function()
  it("has the layers and their bases by file", function()
    local parts = nn.modules
    assert.equal(nn.Conv2d, parts.conv.Conv2d)
    assert.equal(nn.Linear, parts.Linear)
    assert.equal(nn.Module, parts.module.Module)
    assert.is_true(torch.isinstance(nn.ConvTranspose1d(1, 1, 1), parts.conv._ConvNd))
    assert.is_true(torch.isinstance(nn.BatchNorm1d(1), parts.batchnorm._BatchNorm))
    assert.is_false(torch.isinstance(nn.InstanceNorm1d(1), parts.batchnorm._BatchNorm))
    assert.is_true(torch.isinstance(nn.InstanceNorm1d(1), parts.instancenorm._InstanceNorm))
    assert.is_true(torch.isinstance(nn.InstanceNorm1d(1), parts.batchnorm._NormBase))
    assert.is_nil(parts.conv.nothing)
  end)
end)

-- --- containers ---------------------------------------------------------------------------------------------
describe("containers", function()
  it("Sequential has Python's operators", function()
    local a, b = nn.ReLU(), nn.Tanh()
    local seq = nn.Sequential(a) + nn.Sequential(b)
    assert.same({ a, b }, { seq[0], seq[1] })
    assert.equal(4, #(seq * 2))
    assert.equal(a, (2 * seq)[2])
    assert.matches("Non%-positive multiplication factor 0", message(function() return seq * 0 end))
    assert.matches("expected an integer, got number %(1.5%)", message(function() return seq * 1.5 end))
    assert.matches("add operator supports only objects of Sequential class, but number %(3%) is given",
      message(function() return seq + 3 end))
    assert.equal(3, #seq:extend { nn.ELU() })
    assert.equal(b, seq:pop(1))
    assert.equal(2, #seq)
    seq:insert(-1, b)
    assert.equal(b, seq[1])
    assert.matches("insert: index 9 is out of range for a container of 3", message(seq.insert, seq, 9, b))
    assert.same({ "2", "1", "0" }, list(seq["::-1"]:named_children()))
    assert.equal("ELU", seq["::-1"][0].__name)
    torch.del(seq, "1:")
    assert.equal(1, #seq)
    assert.matches("slice step cannot be zero", message(function() return seq["::0"] end))
    assert.matches("indices must be integers", message(seq.pop, seq, 1.5))
  end)

  it("ModuleList adds, pops, slices and clears", function()
    local layers = nn.ModuleList { nn.ReLU(), nn.Tanh() }
    assert.equal(3, #(layers + { nn.ELU() }))
    assert.equal(2, #layers)
    assert.equal("ModuleList", (layers + layers["1:"]).__name)
    assert.equal("Tanh", layers:pop().__name)
    layers:insert(0, nn.ELU())
    assert.equal("ELU", layers[0].__name)
    layers:clear()
    assert.equal(0, #layers)
    assert.matches("extend should be called with a list", message(layers.extend, layers, 3))
    assert.matches("extend should be called with a list, an iterator or a container, got Tanh",
      message(layers.extend, layers, nn.Tanh()))
    assert.matches('Module %[ModuleList%] is missing the required "forward" function', message(layers, 1))
  end)

  it("are walked with pairs", function()
    local layers, seen = nn.ModuleList { nn.ReLU(), nn.Tanh() }, {}
    for i, layer in pairs(layers) do seen[#seen + 1] = i .. layer.__name end
    for name, layer in pairs(nn.ModuleDict { b = nn.ELU(), a = nn.ReLU() }) do seen[#seen + 1] = name .. layer.__name end
    for name, p in pairs(nn.ParameterDict { w = torch.ones(2) }) do seen[#seen + 1] = name .. p:numel() end
    assert.same({ "0ReLU", "1Tanh", "aReLU", "bELU", "w2" }, seen)
  end)

  it("ModuleDict updates from every kind of map", function()
    local dict = nn.ModuleDict { { "b", nn.ReLU() }, { "a", nn.Tanh() } }
    dict:update(nn.ModuleDict { c = nn.ELU() })
    dict:update(torch.deepcopy(dict):items())
    assert.same({ "b", "a", "c" }, list(dict:keys()))
    assert.same({ "b", "a", "c" }, list(dict:iter()))
    dict:pop "b"
    dict.b = nn.GELU()
    assert.same({ "a", "c", "b" }, list(dict:keys()))
    dict:clear()
    assert.equal(0, #dict)
    assert.matches("update sequence element #0 has length 1; 2 is required", message(nn.ModuleDict, { { "a" } }))
    assert.matches("update should be called with", message(nn.ModuleDict, 3))
    assert.matches("number %(3%) is not a Module", message(nn.ModuleDict, { a = 3 }))
    assert.matches("no module named 'z'", message(dict.pop, dict, "z"))
    assert.matches("attribute 'keys' already exists", message(dict.update, dict, { keys = nn.ReLU() }))
    assert.matches("module name should be a string", message(function() dict[3] = nn.ReLU() end))
  end)

  it("ParameterList and ParameterDict make Parameters, and keep other values", function()
    local params = nn.ParameterList { torch.zeros(2), 3, "x" }
    params[0] = torch.ones(3)
    assert.is_true(torch.isinstance(params[0], nn.Parameter))
    assert.equal(3, params[1])
    assert.same({ "0" }, list(params:named_parameters()))
    assert.equal(2, #params["1:"])
    assert.equal(5, #(params + { torch.zeros(1), 4 }))
    assert.matches("ParameterList should not be called", message(params, 1))
    assert.matches("index 3 is out of range", message(function() return params[3] end))

    local dict = nn.ParameterDict { b = torch.ones(2), a = 3, c = nn.Parameter(torch.ones(1)) }
    assert.same({ "a", "b", "c" }, list(dict:keys()))
    assert.same({ "b", "c" }, list(dict:named_parameters()))
    dict.d = torch.zeros(1)
    assert.is_true(torch.isinstance(dict.d, nn.Parameter))
    dict:update { d = torch.ones(4) }
    assert.equal(4, dict.d:numel())
    assert.is_true(torch.isinstance(dict.d, nn.Parameter))
    assert.is_true(dict:contains "d")
    assert.equal(7, dict:get("z", 7))
    assert.equal(3, dict:get "a")
    assert.equal(1, dict:setdefault("e", torch.zeros(1)):numel())
    local name, value = dict:popitem()
    assert.equal("e", name)
    assert.equal(1, value:numel())
    assert.equal(3, dict:pop "a")
    assert.equal(3, #dict)
    local both = dict | { z = torch.zeros(1) }
    assert.same({ "b", "c", "d", "z" }, list(both:keys()))
    assert.is_true(rawequal(both.b, dict.b))
    assert.equal(3, #dict:copy())
    assert.same({ "x", "y" }, list(dict:fromkeys({ "x", "y" }, 1):keys()))
    dict:clear()
    assert.equal(0, #dict)
    assert.matches("no entry named 'q'", message(dict.pop, dict, "q"))
    assert.matches("the key must be a string", message(function() dict[3] = 1 end))
    assert.matches("ParameterDict should not be called", message(dict, 1))
  end)
end)

-- --- wrong use: errors name the module ------------------------------------------------------------------------
describe("errors in a network", function()
  local Block = nn.Module:extend "Block"
  function Block:init(n)
    self.conv = nn.Conv2d(n, n, 3, { padding = 1 })
    self.norm = nn.BatchNorm2d(n)
    self.act = nn.ReLU()
  end
  function Block:forward(x) return x + self.act(self.norm(self.conv(x))) end

  local Net = nn.Module:extend "Net"
  function Net:init(width)
    self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Block(width), nn.Softmax(1))
    self.heads = nn.ModuleDict { main = nn.Linear(4, 2) }
  end
  function Net:forward(x, head)
    local y = self.features(x):mean { 2, 3 }
    return self.heads[head or "main"](y)
  end

  it("name the path of the module whose shapes do not fit", function()
    assert.matches("conv2d: .*\n  in features.2.conv %(Conv2d%) of Net$", message(Net(5), torch.ones(1, 3, 8, 8)))
    local net = Net(4)
    net.heads.main = nn.Linear(7, 2)
    assert.matches("linear: .*\n  in heads.main %(Linear%) of Net$", message(net, torch.ones(1, 3, 8, 8)))
    assert.matches("conv2d: .*\n  in features.0 %(Conv2d%) of Net$", message(Net(4), torch.ones(1, 2, 8, 8)))
  end)

  it("name the module of a wrong dtype", function()
    local err = message(Net(4), torch.ones(1, 3, 8, 8, { dtype = torch.float64 }))
    assert.matches("conv2d: .*float64.*float32.*\n  in features.0 %(Conv2d%) of Net$", err)
    local net = nn.Sequential(nn.Embedding(3, 2))
    assert.matches("\n  in 0 %(Embedding%) of Sequential$", message(net, torch.ones(2)))
    local half = Net(4)
    half.heads.main:half()
    assert.matches("\n  in heads.main %(Linear%) of Net$", message(half, torch.ones(1, 3, 8, 8)))
  end)

  it("name layers whose forward ends in a call", function()
    local net = nn.Sequential(nn.Identity(), nn.Sequential(nn.Softmax(5)))
    assert.matches("\n  in 1.0 %(Softmax%) of Sequential$", message(net, torch.ones(2, 2)))
    local Ends = nn.Module:extend "Ends"
    function Ends:forward(x) return F.relu(x, "yes") end
    assert.matches("\n  in 0 %(Ends%) of Sequential$", message(nn.Sequential(Ends()), torch.ones(1)))
  end)

  it("name the module of what a user's code raises, once", function()
    local Bad = nn.Module:extend "Bad"
    function Bad:forward(x)
      local ok, err = pcall(self.inner, x)
      error(ok and "no error" or err, 0)
    end
    local net = Bad()
    net.inner = nn.Sequential(nn.Linear(3, 3))
    local err = message(net, torch.ones(1, 2))
    assert.matches("\n  in Bad$", err) -- what was caught has left the inner module
    assert.equal(1, select(2, err:gsub("\n  in ", "")))
    local Table = nn.Module:extend "Table"
    local value = {}
    function Table:forward() error(value) end
    local _, raised = pcall(Table(), 1)
    assert.is_true(rawequal(value, raised))
    assert.matches("attempt to index a nil value .*\n  in m %(Nil%) of Module$", message(function()
      local Nil = nn.Module:extend "Nil"
      function Nil:forward() return self.missing.weight end
      local outer = nn.Module()
      outer.m = Nil()
      outer.forward = function(self, x) return self.m(x) end
      return outer(1)
    end))
  end)

  it("hold in coroutines, also in abandoned ones", function()
    local Waits = nn.Module:extend "Waits"
    function Waits:forward(x)
      coroutine.yield(x)
      return x
    end
    local net = nn.Sequential(Waits(), nn.Linear(3, 3))
    local running = coroutine.create(function() return net(torch.ones(1, 2)) end)
    assert.is_true(coroutine.resume(running))
    -- The call in the coroutine waits; others are outermost ones of their own.
    assert.matches("\n  in 0 %(Linear%) of Sequential$", message(nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 3)))
    local ok, err = coroutine.resume(running)
    assert.is_false(ok)
    assert.matches("\n  in 1 %(Linear%) of Sequential$", err)
    local inside = nn.Module()
    inside.layer = nn.Linear(2, 2)
    inside.forward = function(self, x)
      return coroutine.wrap(function() return self.layer(x) end)()
    end
    assert.matches("in layer %(Linear%) of Module", message(inside, torch.ones(1, 3)))
  end)

  it("name the module where anomaly detection finds a NaN", function()
    local Root = nn.Module:extend "Root"
    function Root:forward(x)
      local y = (x * 0):sqrt()
      return y * 0
    end
    local net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Root()))
    local err = message(function()
      torch.autograd.detect_anomaly(function() net(torch.ones(1, 2)):sum():backward() end)
    end)
    assert.matches("SqrtBackward0' returned nan values", err)
    assert.matches("\nin 1.0 %(Root%) of Sequential\n", err)
  end)

  it("name the module of the first NaN in forward when backward finds one later", function()
    local nan = 0 / 0
    local function network()
      local net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), nn.Linear(2, 1))
      torch.no_grad(function() net[1][1].bias:fill_(nan) end)
      return net
    end
    local net, head = network(), nn.Linear(1, 1)
    local function train() F.mse_loss(head(net(torch.ones(3, 2))), torch.zeros(3, 1)):backward() end
    train() -- nobody looks
    local err = message(torch.autograd.detect_anomaly, train)
    assert.matches("returned nan values in its %dth output. The first NaN of the forward came out of 1.1 %(Linear%) of Sequential\n",
      err)
    torch.autograd.set_detect_anomaly(true)
    assert.matches("came out of 1.1 %(Linear%) of Sequential\n", message(train))
    net(torch.ones(1, 2))
    torch.no_grad(function() net[1][1].bias:zero_() end)
    train() -- clean again
    torch.autograd.set_detect_anomaly(false)
    local x = torch.full({ 1 }, nan, { requires_grad = true })
    err = message(torch.autograd.detect_anomaly, function() (nn.Identity()(x) * x):sum():backward() end)
    assert.is_nil(err:find("came out of", 1, true)) -- it came in from outside
    assert.matches("NaNs were in the input of Identity already\n", err)
    local clean = nn.Linear(1, 1)
    err = message(torch.autograd.detect_anomaly, function() (clean(torch.ones(1, 1)) * nan):sum():backward() end)
    assert.matches("No module's output had a NaN: it was made outside of modules, or by this derivative\n", err)
    err = message(torch.autograd.detect_anomaly, function() (x * x):sum():backward() end)
    assert.matches("returned nan values in its 0th output.\n", err)
  end)

  it("tell devices and dtypes that are none", function()
    for _, net in ipairs { nn.Linear(1, 1), nn.ReLU() } do
      assert.matches('Module.to: expected a device %("cpu", "cuda", "cuda:0"%), a dtype such as torch.float64 or a tensor, '
        .. "got string %('gpu'%)", message(net.to, net, "gpu"))
      assert.matches("got string %('float32'%)", message(net.to, net, { device = "float32" }))
      assert.matches("Module.to: argument 'dtype' must be a dtype such as torch.float64, got string %('float32'%)",
        message(net.to, net, { dtype = "float32" }))
    end
    local x = torch.ones(1)
    assert.matches('to: expected a dtype such as torch.float64, a device %("cpu", "cuda", "cuda:0"%) or a tensor, got string',
      message(x.to, x, "gpu"))
    assert.matches("to: argument 'device' must be a device", message(x.to, x, { device = "gpu" }))
    assert.matches("to: argument 'dtype' must be a dtype", message(x.to, x, { dtype = "gpu" }))
    assert.matches('ones: argument \'device\' must be a device %("cpu", "cuda", "cuda:0"%)', message(torch.ones, 2, { device = "gpu" }))
  end)

  it("tell optimizers without parameters and calls without forward", function()
    assert.matches("SGD: optimizer got an empty parameter list", message(torch.optim.SGD, nn.ReLU():parameters(), { lr = 0.1 }))
    local outer = nn.Sequential(nn.Module())
    assert.matches('Module %[Module%] is missing the required "forward" function\n  in 0 %(Module%) of Sequential$',
      message(outer, 1))
  end)
end)

-- --- the dicts of members -----------------------------------------------------------------------------------
describe("_modules, _parameters and _buffers", function()
  local function net()
    return nn.Sequential(nn.Linear(2, 2, { bias = false }), nn.BatchNorm1d(2), nn.ReLU())
  end

  it("show the members in the order of registration", function()
    local model = net()
    assert.same({ "0", "1", "2" }, list(pairs(model._modules)))
    assert.same({ "weight", "bias" }, list(model[0]._parameters:items()))
    assert.same({ "weight", "bias" }, list(model[1]._parameters:keys()))
    assert.same({ "running_mean", "running_var", "num_batches_tracked" }, list(pairs(model[1]._buffers)))
    assert.equal(3, #model._modules)
    assert.equal(2, #model[0]._parameters)
    assert.equal(1, #list(model[0]._parameters:values()))
    assert.is_nil(model[0]._parameters.bias)
    assert.is_true(model[0]._parameters:contains "bias")
    assert.is_false(model[0]._parameters:contains "running_mean")
    assert.equal(model[1], model._modules["1"])
    assert.equal(model[2], model._modules:get "2")
    assert.equal(7, model._modules:get("fc", 7))
    assert.is_nil(model._modules.training)
    assert.equal("{'2': ReLU()}", (tostring(model._modules):gsub("'[01]': .-%), ", "")))
    assert.equal("{'weight': None}", (function()
      local m = nn.Module()
      m:register_parameter("weight", nil)
      return tostring(m._parameters)
    end)())
  end)

  it("write through to the module", function()
    local model = net()
    model._modules["fc"] = nn.Linear(2, 1)
    assert.same({ 4, 1 }, { model(torch.ones(4, 2)).shape:unpack() })
    for name, module in pairs(model._modules) do
      if module.__name == "ReLU" then model._modules[name] = nn.Tanh() end
    end
    assert.equal("Tanh", model[2].__name)
    model._modules["1"] = nil
    assert.matches("%(1%): None", tostring(model))
    assert.equal(4, #model._modules)
    assert.equal("Tanh", model._modules:pop("2").__name)
    torch.del(model._modules, "1")
    assert.same({ "0", "fc" }, list(pairs(model._modules)))
    assert.equal("fc", (model._modules:popitem()))
    model._modules:update { b = nn.ReLU(), a = nn.ELU() }
    assert.same({ "0", "a", "b" }, list(model:named_children()))
    assert.same({ "0", "a", "b" }, list(model._modules:copy():keys()))
    model._modules:clear()
    assert.equal(0, #model)
    model._buffers.step = torch.zeros(1)
    model._parameters.gain = torch.ones(1)
    assert.same({ "gain", "step" }, list(pairs(model:state_dict())))
    local dict = nn.ParameterDict { a = torch.ones(1) }
    dict._parameters.b = torch.ones(2)
    assert.same({ "a", "b" }, list(dict:keys()))
    dict._parameters:pop "a"
    assert.same({ "b" }, list(dict:keys()))
  end)

  it("take computed tensors as parameters, as MAML's inner steps put them", function()
    local layer = nn.Linear(2, 1)
    local slow = layer.weight
    layer._parameters["weight"] = slow * 3
    layer(torch.ones(1, 2)):sum():backward()
    assert.same({ { 3, 3 } }, slow.grad:tolist())
    assert.equal(2, #list(layer:named_parameters()))
    local copy = torch.deepcopy(net())
    copy._modules["0"] = nn.Identity()
    assert.equal("Identity", copy[0].__name)
  end)

  it("refuse what cannot stand there", function()
    local model = net()
    assert.error_matches(function() model._modules.x = 3 end, "Module._modules: cannot assign number %(3%) to 'x' %(nn.Module")
    assert.error_matches(function() model._parameters.x = nn.ReLU() end, "Module._parameters: cannot assign ReLU to 'x'")
    assert.error_matches(function() model._buffers.x = nn.Parameter(torch.ones(1)) end, "tensor that is no Parameter or nil")
    assert.error_matches(function() model._modules[1] = nn.ReLU() end, "a name must be a string, got number %(1%)")
    assert.error_matches(function() model._modules:pop "x" end, "no key 'x'")
    assert.error_matches(function() torch.del(model._modules, "x") end, "no key 'x'")
    assert.error_matches(function() model._buffers:popitem() end, "popitem: it is empty")
    assert.error_matches(function() model._modules.items() end, "call it with a colon, view:items")
    assert.error_matches(function() model._modules:update(3) end, "update takes a table by name")
    assert.equal("Linear", model._modules:pop("0", false).__name)
    assert.is_false(model._modules:pop("0", false))
  end)
end)
