-- torch.nn.utils.prune: masks, random streams and state against PyTorch's (tests/golden/nn_utils.lua).
local torch = require "lampad"
local nn, prune = torch.nn, torch.nn.utils.prune

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/nn_utils.lua").prune

local function wave(...)
  local n = 1
  for _, size in ipairs { ... } do n = n * size end
  return torch.sin(torch.arange(n, { dtype = torch.float64 }) * 0.7 + 0.3):reshape { ... }
end

local function net()
  torch.manual_seed(13)
  return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))
end

local function names(iterator)
  local list = {}
  for name in iterator do list[#list + 1] = name end
  return list
end

local function close(expected, got, tolerance, what)
  got = got:detach():reshape(-1):tolist()
  assert.equal(#expected, #got, what .. ": count")
  for i, value in ipairs(expected) do
    if math.abs(value - got[i]) > tolerance * (1 + math.abs(value)) then
      error(("%s: element %d: expected %.9g, got %.9g"):format(what, i - 1, value, got[i]), 2)
    end
  end
end

local cases = {
  identity = function(n) prune.identity(n[0], "weight") end,
  random = function(n) prune.random_unstructured(n[0], "weight", 0.4) end,
  random_count = function(n) prune.random_unstructured(n[3], { name = "bias", amount = 2 }) end,
  l1 = function(n) prune.l1_unstructured(n[0], "weight", 0.25) end,
  l1_scores = function(n) prune.l1_unstructured(n[0], "weight", 7, { importance_scores = wave(4, 2, 3, 3) }) end,
  random_structured = function(n) prune.random_structured(n[0], "weight", 0.5, { dim = 1 }) end,
  ln1 = function(n) prune.ln_structured(n[0], "weight", 2, { n = 1, dim = 0 }) end,
  ln2 = function(n) prune.ln_structured(n[0], "weight", 0.3, 2, -1) end,
  lninf = function(n) prune.ln_structured(n[0], "weight", 0.3, { n = math.huge, dim = 2 }) end,
  custom = function(n) prune.custom_from_mask(n[3], "bias", torch.tensor { 1, 0, 1, 0, 1 }) end,
  twice = function(n)
    prune.l1_unstructured(n[0], "weight", 0.25)
    prune.l1_unstructured(n[0], "weight", 0.5)
  end,
  mixed = function(n)
    prune.ln_structured(n[0], "weight", 1, 2, 0)
    prune.random_unstructured(n[0], "weight", 0.3)
    prune.random_structured(n[0], "weight", 1, 3)
    prune.identity(n[0], "weight")
  end,
  global_l1 = function(n)
    prune.global_unstructured({ { n[0], "weight" }, { n[3], "weight" } }, prune.L1Unstructured, { amount = 0.2 })
  end,
  global_random = function(n)
    prune.global_unstructured({ { n[0], "weight" }, { n[3], "bias" } },
      { pruning_method = prune.RandomUnstructured, amount = 9 })
  end,
  global_twice = function(n)
    prune.l1_unstructured(n[0], "weight", 0.25)
    prune.global_unstructured({ { n[0], "weight" }, { n[3], "weight" } }, prune.L1Unstructured, nil, { amount = 0.2 })
  end,
  removed = function(n)
    prune.l1_unstructured(n[0], "weight", 0.25)
    assert.is_true(rawequal(n[0], prune.remove(n[0], "weight")))
  end,
}

describe("pruning", function()
  for name, apply in pairs(cases) do
    it("is PyTorch's: " .. name, function()
      local expected, n = golden[name], net()
      torch.manual_seed(14)
      apply(n)
      n(wave(1, 2, 4, 4):float()):sum():backward()
      local state = n:state_dict()
      assert.same(expected.keys, names(state:keys()))
      for key, mask in pairs(expected.state) do close(mask, state[key], 0, key) end
      close(expected.weight, n[0].weight, 1e-6, "weight")
      close(expected.bias, n[3].bias, 1e-6, "bias")
      if expected.grad then close(expected.grad, n[0].weight_orig.grad, 1e-5, "grad") end
    end)
  end

  it("every golden case is run", function()
    for name in pairs(golden) do assert.is_function(cases[name], name) end
  end)

  it("applies its classes with a dot and with a colon", function()
    local layer = nn.Linear(2, 2)
    local method = prune.L1Unstructured.apply(layer, "weight", 1)
    assert.is_true(torch.isinstance(method, prune.L1Unstructured))
    assert.equal(3, layer.weight_mask:sum():item())
    local container = prune.L1Unstructured:apply(layer, "weight", { amount = 1 })
    assert.is_true(torch.isinstance(container, prune.PruningContainer))
    assert.equal(2, #container)
    assert.is_true(rawequal(method, container[0]))
    assert.is_true(rawequal(container[-1], container[1]))
    assert.equal(2, layer.weight_mask:sum():item())
    assert.equal(2, #names(container:iter()))
    assert.error_matches(function() return container[2] end, "index 2 is out of range for a container of 2")
    prune.CustomFromMask.apply { module = layer, name = "bias", mask = torch.tensor { 1, 0 } }
    assert.equal(0, layer.bias[1]:item())
    prune.LnStructured.apply(layer, "weight", 1, 2, 0, torch.tensor { { 9.0, 9.0 }, { 1.0, 1.0 } })
    assert.same({ 0.0, 0.0 }, layer.weight[1]:tolist())
    assert.error_matches(function()
      prune.LnStructured.apply(layer, "bias", 0, 2, { dim = -1, importance_scores = torch.ones(2) })
    end, "only be applied to multidimensional tensors")
  end)

  it("recomputes before forward, and knows what is pruned", function()
    local n = net()
    assert.is_false(prune.is_pruned(n))
    prune.l1_unstructured(n[0], "weight", 0.5)
    assert.is_true(prune.is_pruned(n))
    assert.is_false(prune.is_pruned(n[3]))
    torch.no_grad(function() n[0].weight_orig:fill_(2) end)
    n(torch.ones(1, 2, 4, 4))
    assert.equal(2 * 36, n[0].weight:sum():item())
    prune.remove(n[0], "weight")
    assert.is_false(prune.is_pruned(n))
    assert.is_true(torch.isinstance(n[0].weight, nn.Parameter))
    assert.equal(2 * 36, n[0].weight:sum():item())
    assert.error_matches(function() prune.remove(n[0], "weight") end,
      "Parameter 'weight' of module Conv2d%(.*%) has to be pruned before pruning can be removed")
  end)

  it("prunes tensors", function()
    local t = torch.tensor { 3.0, -1.0, 2.0, 0.5 }
    assert.same({ 3.0, 0.0, 2.0, 0.0 }, prune.L1Unstructured(2):prune(t):tolist())
    assert.same({ 0.0, 0.0, 2.0, 0.5 },
      prune.L1Unstructured(2):prune(t, { importance_scores = torch.tensor { 0.0, 1.0, 2.0, 3.0 } }):tolist())
    assert.same({ 0.0, -1.0, 2.0, 0.5 }, prune.Identity():prune(t, torch.tensor { 0.0, 1.0, 1.0, 1.0 }):tolist())
    assert.error_matches(function() prune.Identity():prune(t, nil, torch.ones(2)) end, "same shape as tensor t")
  end)

  it("takes methods of a user", function()
    local Every = prune.BasePruningMethod:extend "Every"
    Every.PRUNING_TYPE = "unstructured"
    function Every:init(step) self.step = step end
    function Every:compute_mask(_, default_mask)
      local mask = default_mask:clone()
      mask:view(-1)["::" .. self.step] = 0
      return mask
    end
    local layer = nn.Linear(2, 3)
    Every.apply(layer, "weight", 2)
    assert.same({ { 0.0, 1.0 }, { 0.0, 1.0 }, { 0.0, 1.0 } }, layer.weight_mask:tolist())
    Every:apply(layer, "weight", 2)
    assert.same({ { 0.0, 0.0 }, { 0.0, 1.0 }, { 0.0, 0.0 } }, layer.weight_mask:tolist())
    local Bare = prune.BasePruningMethod:extend "Bare"
    assert.error_matches(function() Bare.apply(layer, "bias") end, "missing the required \"compute_mask\" function")
    assert.same({ "bias", "weight_orig", "weight_mask" }, names(layer:state_dict():keys()))
    local Odd = prune.BasePruningMethod:extend "Odd"
    Odd.PRUNING_TYPE = "sideways"
    Odd.compute_mask = Every.compute_mask
    assert.error_matches(function() Odd.apply(layer, "weight") end, "Unrecognized PRUNING_TYPE sideways")
    Odd.PRUNING_TYPE = "structured"
    assert.error_matches(function() Odd.apply(layer, "weight") end, "need to have the attribute `dim` defined")
    assert.equal(2, #layer._hooks.forward_pre[1].fn) -- failed ones were taken back
  end)

  it("checks amounts, shapes and names", function()
    local layer = nn.Linear(2, 2)
    local function err(message, fn) assert.error_matches(fn, message) end
    err("amount=1.5 should either be a float in the range %[0, 1%] or a non%-negative integer", function()
      prune.l1_unstructured(layer, "weight", 1.5)
    end)
    err("amount=%-1 should either", function() prune.random_unstructured(layer, "weight", -1) end)
    err("amount=5 should be smaller than the number of parameters to prune=4", function()
      prune.random_unstructured(layer, "weight", 5)
    end)
    err("'amount' must be a number", function() prune.random_unstructured(layer, "weight", "all") end)
    err("Invalid type for amount: string", function() return prune.L1Unstructured "all" end)
    err("Linear has no parameter named 'gain'", function() prune.identity(layer, "gain") end)
    err("argument 'module' must be a module", function() prune.identity(3, "gain") end)
    err("only be applied to multidimensional tensors", function() prune.ln_structured(layer, "bias", 1, 2, 0) end)
    err("Invalid index 2 for tensor of size", function() prune.random_structured(layer, "weight", 1, 2) end)
    err("importance_scores should have the same shape as parameter weight", function()
      prune.l1_unstructured(layer, "weight", 1, torch.ones(3))
    end)
    err("the mask must have the parameter's shape", function() prune.custom_from_mask(layer, "weight", torch.ones(3)) end)
    assert.same({ "weight", "bias" }, names(layer:state_dict():keys()))
    err("parameters must be a list of pairs", function() prune.global_unstructured(3, prune.L1Unstructured, { amount = 1 }) end)
    err("parameters must be a list of pairs", function() prune.global_unstructured({ layer }, prune.L1Unstructured, { amount = 1 }) end)
    err('Only "unstructured" PRUNING_TYPE supported .* RandomStructured of type structured', function()
      prune.global_unstructured({ { layer, "weight" } }, prune.RandomStructured, { amount = 1, dim = 0 })
    end)
    err("pruning_method must be a class", function() prune.global_unstructured({ { layer, "weight" } }, 3) end)
    err("number %(3%) is not a BasePruningMethod subclass", function() return prune.PruningContainer(3) end)
    local a, b = prune.Identity(), prune.Identity()
    a._tensor_name, b._tensor_name = "weight", "bias"
    err("Can only add pruning methods acting on the parameter named 'weight' to PruningContainer. Found 'bias'", function()
      return prune.PruningContainer(a, b)
    end)
  end)

  it("rounds a fraction as Python", function()
    local t = torch.arange(5.0)
    assert.equal(2, prune.L1Unstructured(0.5):prune(t + 1):eq(0):sum():item()) -- 2.5 goes to 2
    assert.equal(4, prune.L1Unstructured(0.7):prune(t + 1):eq(0):sum():item()) -- 3.5 goes to 4
    assert.equal(0, prune.L1Unstructured(0.0):prune(t + 1):eq(0):sum():item())
    assert.equal(5, prune.L1Unstructured(1.0):prune(t + 1):eq(0):sum():item())
  end)
end)
