-- torch.nn.utils: fusion, parametrizations, weight and spectral norm, skip_init, against PyTorch's values.
local torch = require "lampad"
local nn = torch.nn
local utils = nn.utils
local parametrize, parametrizations = utils.parametrize, utils.parametrizations

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/nn_utils.lua")

local function wave(...)
  local n = 1
  for _, size in ipairs { ... } do n = n * size end
  return torch.sin(torch.arange(n, { dtype = torch.float64 }) * 0.7 + 0.3):reshape { ... }
end

local function flat(t)
  if t:is_complex() then t = torch.view_as_real(t) end
  return t:detach():reshape(-1):tolist()
end

local function close(expected, got, tolerance, what)
  if torch.is_tensor(got) then got = flat(got) end
  assert.equal(#expected, #got, what .. ": count")
  for i, value in ipairs(expected) do
    if math.abs(value - got[i]) > tolerance * (1 + math.abs(value)) then
      error(("%s: element %d: expected %.12g, got %.12g"):format(what, i - 1, value, got[i]), 2)
    end
  end
end

local function names(iterator)
  local list = {}
  for name in iterator do list[#list + 1] = name end
  return list
end

-- The gradients of the parameters by name, against the golden ones.
local function check_grads(expected, module, loss, tolerance, what)
  module:zero_grad()
  loss:backward()
  local count = 0
  for name, p in module:named_parameters() do
    if p.grad ~= nil then
      count = count + 1
      close(expected[name], p.grad, tolerance, what .. ": gradient of " .. name)
    end
  end
  local wanted = 0
  for _ in pairs(expected) do wanted = wanted + 1 end
  assert.equal(wanted, count, what .. ": number of gradients")
end

describe("nn.utils.fusion", function()
  local cases = {
    conv1 = { "Conv1d", "BatchNorm1d", { 2, 3, 2 } },
    conv2 = { "Conv2d", "BatchNorm2d", { 4, 2, 3 }, { groups = 2, bias = false } },
    conv3 = { "Conv3d", "BatchNorm3d", { 1, 2, 2 }, {}, { affine = false } },
    transposed = { "ConvTranspose2d", "BatchNorm2d", { 3, 2, 2 }, {}, {}, true },
    linear = { "Linear", "BatchNorm1d", { 4, 3 } },
    linear_no_bias = { "Linear", "BatchNorm1d", { 4, 3 }, { bias = false } },
  }
  local inputs = { Conv1d = { 2, 2, 4 }, Conv2d = { 2, 4, 4, 4 }, Conv3d = { 2, 1, 3, 3, 3 },
    ConvTranspose2d = { 2, 3, 3, 3 }, Linear = { 5, 4 } }

  for name, case in pairs(cases) do
    it("puts a batch norm into " .. name, function()
      torch.manual_seed(3)
      local sizes = { table.unpack(case[3]) }
      sizes[#sizes + 1] = case[4]
      local layer = nn[case[1]](table.unpack(sizes)):double():eval()
      local bn = nn[case[2]](case[3][2], case[5]):double():eval()
      torch.no_grad(function()
        local n = bn.num_features
        bn.running_mean:copy_(wave(n) * 0.5)
        bn.running_var:copy_(wave(n):abs() + 0.2)
        if bn.affine then
          bn.weight:copy_(wave(n) + 1.5)
          bn.bias:copy_(wave(n) - 0.2)
        end
      end)
      local fused
      if case[1] == "Linear" then fused = utils.fuse_linear_bn_eval(layer, bn)
      else fused = utils.fuse_conv_bn_eval(layer, bn, case[6]) end
      close(golden.fusion[name].weight, fused.weight, 1e-12, "weight")
      close(golden.fusion[name].bias, fused.bias, 1e-12, "bias")
      assert.is_true(torch.isinstance(fused.weight, nn.Parameter))
      assert.is_false(rawequal(fused.weight, layer.weight))
      local x = wave(table.unpack(inputs[case[1]]))
      assert.is_true(torch.allclose(bn(layer(x)), fused(x), { rtol = 1e-9, atol = 1e-12 }))
    end)
  end

  it("needs evaluation mode, statistics and matching sizes", function()
    local conv, bn = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)
    assert.error_matches(function() utils.fuse_conv_bn_eval(conv, bn) end, "Fusion only for eval!")
    conv:eval()
    assert.error_matches(function()
      utils.fuse_conv_bn_eval(conv, nn.BatchNorm2d(2, { track_running_stats = false }):eval())
    end, "no running statistics")
    assert.error_matches(function() utils.fuse_linear_bn_eval(nn.Linear(2, 3):eval(), nn.BatchNorm1d(4):eval()) end,
      "linear.out_features == bn.num_features or bn.num_features == 1, got 3 and 4")
    assert.error_matches(function() utils.fuse_conv_bn_weights(3) end, "argument 'conv_w' must be a tensor")
  end)

  it("is also a module, and keeps requires_grad and dtype", function()
    local weight = nn.Parameter(torch.ones(2, 1, { dtype = torch.float16 }), false)
    local w, b = utils.fusion.fuse_linear_bn_weights(weight, nil, torch.zeros(2), torch.ones(2), 0.0)
    assert.equal(torch.float16, w.dtype)
    assert.equal(torch.float32, b.dtype)
    assert.is_false(w.requires_grad)
    assert.same({ 1.0, 1.0 }, flat(w))
    assert.equal(utils.fuse_conv_bn_weights, utils.fusion.fuse_conv_bn_weights)
  end)
end)

describe("weight_norm", function()
  for name, dim in pairs { ["0"] = 0, ["1"] = 1, none = false } do
    it("is PyTorch's for dim " .. name, function()
      for kind, make in pairs { new = parametrizations.weight_norm, old = utils.weight_norm } do
        local expected = golden.weight_norm[kind .. name]
        torch.manual_seed(5)
        local layer = make(nn.Linear(3, 2):double(), { dim = dim })
        local y = layer(wave(2, 3))
        close(expected.y, y, 1e-12, kind)
        check_grads(expected.grads, layer, (y * wave(2, 2)):sum(), 1e-12, kind)
        assert.same(expected.keys, names(layer:state_dict():keys()))
        if kind == "new" then parametrize.remove_parametrizations(layer, "weight") else utils.remove_weight_norm(layer) end
        close(expected.after, layer.weight, 1e-12, kind .. " removed")
        assert.is_true(torch.isinstance(layer.weight, nn.Parameter))
        assert.equal("Linear(in_features=3, out_features=2, bias=True)", tostring(layer))
        assert.same({ "bias", "weight" }, names(layer:named_parameters()))
      end
    end)
  end

  it("can be set", function()
    torch.manual_seed(5)
    local conv = parametrizations.weight_norm(nn.Conv2d(2, 3, 2):double())
    assert.equal(golden.weight_norm["repr"], tostring(conv))
    torch.no_grad(function() conv.weight = wave(3, 2, 2, 2) end)
    for key, value in conv:state_dict():items() do close(golden.weight_norm.set[key], value, 1e-12, key) end
    assert.is_true(torch.allclose(conv.weight, wave(3, 2, 2, 2)))
  end)

  it("reads the state of the older form", function()
    local old = utils.weight_norm(nn.Linear(3, 2))
    local new = parametrizations.weight_norm(nn.Linear(3, 2))
    new:load_state_dict(old:state_dict())
    assert.is_true(torch.equal(new.weight, old.weight))
  end)

  it("refuses what it cannot do", function()
    local layer = utils.weight_norm(nn.Linear(3, 2))
    assert.error_matches(function() utils.weight_norm(layer) end,
      "Cannot register two weight_norm hooks on the same parameter weight")
    assert.error_matches(function() utils.remove_weight_norm(nn.Linear(2, 2)) end, "weight_norm of 'weight' not found in")
    assert.error_matches(function() utils.weight_norm(nn.Linear(2, 2), "gain") end, "has no parameter named 'gain'")
    assert.error_matches(function() torch.deepcopy(layer) end, "weight_norm or spectral_norm")
  end)
end)

describe("spectral_norm", function()
  local layers = { linear = function() return nn.Linear(3, 4) end, conv = function() return nn.Conv2d(2, 3, 2) end,
    transposed = function() return nn.ConvTranspose1d(3, 2, 2) end, embedding = function() return nn.Embedding(4, 3) end }
  for name, make in pairs(layers) do
    it("is PyTorch's for " .. name, function()
      for kind, norm in pairs { new = parametrizations.spectral_norm, old = utils.spectral_norm } do
        local expected = golden.spectral_norm[kind .. "_" .. name]
        torch.manual_seed(7)
        local layer = norm(make(), { n_power_iterations = 2 })
        local w
        for i = 1, 2 do
          if kind == "old" then layer._hooks.forward_pre[1].fn(layer, {}) end
          close(expected.weights[i], layer.weight, 1e-5, kind .. " " .. i)
        end
        w = layer.weight
        local sizes = { w.shape:unpack() }
        -- The parametrized weight takes one more step each time it is read.
        if kind == "new" then
          torch.manual_seed(7)
          layer = norm(make(), { n_power_iterations = 2 })
          for _ = 1, 2 do local _ = layer.weight end
          w = layer.weight
        end
        check_grads(expected.grads, layer, (w * wave(table.unpack(sizes)):float()):sum(), 1e-4, kind)
        assert.same(expected.keys, names(layer:state_dict():keys()))
        layer:eval()
        close(expected.eval, layer.weight, 1e-5, kind .. " eval")
        if kind == "old" then
          utils.remove_spectral_norm(layer)
          assert.same({}, layer._hooks)
        else
          parametrize.remove_parametrizations(layer, "weight")
        end
        close(expected.after, layer.weight, 1e-5, kind .. " removed")
      end
    end)
  end

  it("normalises vectors", function()
    torch.manual_seed(8)
    close(golden.spectral_norm.bias, parametrizations.spectral_norm(nn.Linear(2, 3), "bias").bias, 1e-6, "bias")
  end)

  it("reads the state of before version 1", function()
    torch.manual_seed(1)
    local layer = utils.spectral_norm(nn.Linear(3, 3))
    layer(torch.ones(1, 3))
    local sd = layer:state_dict()
    assert.equal(1, sd._metadata[""].spectral_norm["weight.version"])
    local expected = sd.weight_v:clone()
    sd.weight_v = nil
    sd.weight = layer.weight:detach()
    sd._metadata[""].spectral_norm = nil
    layer:eval()
    local before = layer(torch.ones(1, 3))
    layer.weight_v:zero_()
    layer:load_state_dict(sd)
    assert.is_true(torch.allclose(layer(torch.ones(1, 3)), before, { rtol = 1e-4, atol = 1e-5 }))
    assert.equal(expected.shape, layer.weight_v.shape)
  end)

  it("refuses what it cannot do", function()
    local layer = utils.spectral_norm(nn.Linear(3, 2))
    assert.error_matches(function() utils.spectral_norm(layer) end, "Cannot register two spectral_norm hooks")
    assert.error_matches(function() utils.spectral_norm(nn.Linear(2, 2, false), "bias") end, "parameter 'bias' of Linear is nil")
    assert.error_matches(function() utils.remove_spectral_norm(nn.Linear(2, 2)) end, "spectral_norm of 'weight' not found")
    assert.error_matches(function() parametrizations.spectral_norm(nn.Linear(2, 2), { n_power_iterations = 0 }) end,
      "Expected n_power_iterations to be positive, but got n_power_iterations=0")
    assert.error_matches(function() parametrizations.spectral_norm(nn.Linear(2, 2), { dim = 5 }) end,
      "Dimension out of range %(expected to be in range of %[%-2, 1%] but got 5%)")
    assert.error_matches(function() parametrizations.spectral_norm(nn.Linear(2, 2), "gain") end,
      "has no parameter or buffer with name 'gain'")
  end)
end)

describe("orthogonal", function()
  for _, map in ipairs { "matrix_exp", "cayley", "householder" } do
    it("is PyTorch's with " .. map, function()
      for _, shape in ipairs { { 3, 3 }, { 4, 2 }, { 2, 4 } } do
        for trivial, word in pairs { [true] = "True", [false] = "False" } do
          local name = ("%s_%d%d_%s"):format(map, shape[1], shape[2], word)
          local expected = golden.orthogonal[name]
          torch.manual_seed(9)
          local layer = parametrizations.orthogonal(nn.Linear(shape[2], shape[1], false),
            { orthogonal_map = map, use_trivialization = trivial })
          torch.no_grad(function()
            local off = wave(table.unpack(shape)):float() * (1 - torch.eye(shape[1], shape[2]))
            layer:parameters()():add_(off * 0.1)
          end)
          local w = layer.weight
          close(expected.weight, w, 2e-5, name)
          check_grads(expected.grads, layer, (w * wave(table.unpack(shape)):float()):sum(), 5e-5, name)
          assert.same(expected.keys, names(layer:state_dict():keys()))
        end
      end
    end)
  end

  it("can be set", function()
    torch.manual_seed(10)
    local layer = parametrizations.orthogonal(nn.Linear(3, 3))
    torch.no_grad(function()
      layer.weight = torch.tensor(golden.orthogonal.set.given):reshape(3, 3)
    end)
    close(golden.orthogonal.set.got, layer.weight, 1e-5, "set")
    assert.equal(golden.orthogonal["repr"], tostring(layer))
    assert.error_matches(function() layer.weight = torch.zeros(2, 2) end, "matrices of shape torch.Size%(%[3, 3%]%)")
    local fixed = parametrizations.orthogonal(nn.Linear(3, 3), { use_trivialization = false })
    assert.error_matches(function() fixed.weight = torch.eye(3) end, "when use_trivialization=False")
    local tall = parametrizations.orthogonal(nn.Linear(2, 4), { use_trivialization = false })
    local q = torch.linalg.qr(torch.randn(4, 2))
    torch.no_grad(function() tall.weight = q end)
    assert.is_true(torch.allclose(tall.weight, q, { atol = 1e-5 }))
  end)

  it("takes batches of complex matrices", function()
    torch.manual_seed(11)
    local m = nn.Module()
    m.w = nn.Parameter(torch.complex(wave(2, 3, 3) + 2 * torch.eye(3), wave(2, 3, 3) * 0.5))
    parametrizations.orthogonal(m, "w")
    close(golden.orthogonal.complex, m.w, 1e-8, "complex")
    assert.is_true(torch.allclose(m.w.mH:matmul(m.w), torch.eye(3, { dtype = torch.complex128 }):expand(2, 3, 3)))
  end)

  it("refuses what it cannot do", function()
    assert.error_matches(function() parametrizations.orthogonal(nn.Linear(2, 2), "bias") end,
      "Expected a matrix or batch of matrices. Got a tensor of 1 dimensions")
    assert.error_matches(function() parametrizations.orthogonal(nn.Linear(2, 2), "weight", "svd") end,
      'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: svd')
    assert.error_matches(function()
      parametrizations.orthogonal(nn.Linear(2, 2):to(torch.complex64), "weight", "householder")
    end, "does not support complex tensors")
  end)
end)

local Symmetric = nn.Module:extend "Symmetric"
function Symmetric:forward(x) return x:triu() + x:triu(1).mT end
function Symmetric:right_inverse(a) return a:triu() end
local Double = nn.Module:extend "Double"
function Double:forward(x) return 2 * x end

describe("parametrize", function()
  it("composes parametrizations as PyTorch", function()
    torch.manual_seed(12)
    local layer = nn.Linear(3, 3):double()
    local weight = layer.weight
    assert.is_true(rawequal(layer, parametrize.register_parametrization(layer, "weight", Symmetric())))
    parametrize.register_parametrization(layer, "weight", Double())
    parametrize.register_parametrization(layer, "bias", Double())
    local y = layer(wave(2, 3))
    close(golden.custom.y, y, 1e-12, "y")
    check_grads(golden.custom.grads, layer, (y * wave(2, 3)):sum(), 1e-12, "grads")
    assert.equal(golden.custom["repr"], tostring(layer))
    assert.same(golden.custom.keys, names(layer:state_dict():keys()))
    assert.same(golden.custom.names, names(layer:named_parameters()))
    assert.is_true(rawequal(weight, layer.parametrizations.weight.original))
    assert.is_true(torch.isinstance(layer, nn.Linear))
    assert.equal(nn.Linear, parametrize.type_before_parametrizations(layer))
    assert.is_true(parametrize.is_parametrized(layer))
    assert.is_true(parametrize.is_parametrized(layer, "bias"))
    assert.is_false(parametrize.is_parametrized(layer, "gain"))
    assert.is_false(parametrize.is_parametrized(nn.ReLU()))
    assert.error_matches(function() layer.weight = torch.eye(3) end, "Double does not implement right_inverse")
    assert.error_matches(function() layer.weight = 3 end, "cannot assign number %(3%) to the parametrized tensor 'weight'")
  end)

  it("sets through right_inverse and is removed", function()
    local layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    local original = layer.parametrizations.weight.original
    torch.no_grad(function() layer.weight = torch.tensor { { 1.0, 2.0 }, { 2.0, 5.0 } } end)
    assert.same({ 1.0, 2.0, 0.0, 5.0 }, flat(original))
    assert.same({ 1.0, 2.0, 2.0, 5.0 }, flat(layer.weight))
    parametrize.remove_parametrizations(layer, "weight")
    assert.is_true(rawequal(original, layer.weight))
    assert.same({ 1.0, 2.0, 2.0, 5.0 }, flat(layer.weight))
    assert.is_nil(layer.parametrizations)
    assert.equal("Linear(in_features=2, out_features=2, bias=True)", tostring(layer))
    parametrize.register_parametrization(layer, "weight", Symmetric())
    torch.no_grad(function() layer.weight = torch.tensor { { 1.0, 2.0 }, { 2.0, 5.0 } } end)
    parametrize.remove_parametrizations(layer, "weight", false)
    assert.same({ 1.0, 2.0, 0.0, 5.0 }, flat(layer.weight))
    assert.error_matches(function() parametrize.remove_parametrizations(layer, "weight") end,
      "does not have a parametrization on weight")
    local norm = parametrizations.weight_norm(nn.Linear(2, 2))
    assert.error_matches(function() parametrize.remove_parametrizations(norm, "weight", { leave_parametrized = false }) end,
      "parametrized in terms of a sequence of tensors")
  end)

  it("takes buffers, containers of the class and copies", function()
    local M = nn.Module:extend "M"
    function M:init() self:register_buffer("b", torch.ones(2)) end
    local m = M()
    parametrize.register_parametrization(m, "b", Double())
    assert.same({ 2.0, 2.0 }, m.b:tolist())
    assert.same({ "parametrizations.b.original" }, names(m:state_dict():keys()))
    assert.same({}, names(m:named_parameters()))
    local copy = m:deepcopy()
    copy.parametrizations.b.original:fill_(4)
    assert.same({ 8.0, 8.0 }, copy.b:tolist())
    assert.same({ 2.0, 2.0 }, m.b:tolist())
    parametrize.remove_parametrizations(copy, "b")
    assert.is_true(parametrize.is_parametrized(m))
    local seq = nn.Sequential(nn.Linear(2, 2))
    seq.gain = nn.Parameter(torch.ones(1))
    parametrize.register_parametrization(seq, "gain", Double())
    assert.equal(2, seq.gain:item())
    assert.equal("Linear", seq[0].__name)
    assert.equal(1, nn.Sequential(seq[0]):len())
  end)

  it("takes the originals of parametrizations", function()
    local layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    parametrize.register_parametrization(layer.parametrizations.weight, "original", Double())
    assert.same({ "bias", "parametrizations.weight.parametrizations.original.original" }, names(layer:state_dict():keys()))
    layer(torch.ones(1, 3)):sum():backward()
    assert.equal("ParametrizedParametrizationList", layer.parametrizations.weight.__name)
    assert.equal(1, #layer.parametrizations.weight)
    local copy = torch.deepcopy(layer)
    assert.is_true(torch.equal(layer.weight, copy.weight))
    local before = layer.weight:detach()
    parametrize.remove_parametrizations(layer.parametrizations.weight, "original")
    assert.is_true(torch.equal(before, layer.weight))
    assert.same({ "bias", "parametrizations.weight.original" }, names(layer:state_dict():keys()))
  end)

  it("works for every layer and floating dtype", function()
    local attention = nn.MultiheadAttention(4, 2)
    parametrizations.weight_norm(attention, "in_proj_weight")
    parametrizations.spectral_norm(attention.out_proj)
    local x = torch.randn(3, 1, 4)
    local y = attention(x, x, x)
    y:sum():backward()
    for name, p in attention:named_parameters() do assert.is_not_nil(p.grad, name) end
    for _, dtype in ipairs { torch.float16, torch.bfloat16, torch.float64, torch.complex64 } do
      assert.equal(dtype, parametrizations.weight_norm(nn.Linear(2, 3):to(dtype)).weight.dtype)
      assert.equal(dtype, parametrizations.spectral_norm(nn.Linear(2, 3):to(dtype)).weight.dtype)
      local pruned = nn.Linear(3, 3):to(dtype)
      utils.prune.l1_unstructured(pruned, "weight", 4)
      assert.equal(4, pruned.weight:eq(0):sum():item())
    end
  end)

  it("is differentiable twice", function()
    torch.manual_seed(2)
    for name, make in pairs {
      weight_norm = function(l) return parametrizations.weight_norm(l) end,
      spectral_norm = function(l) return parametrizations.spectral_norm(l):eval() end,
      matrix_exp = function(l) return parametrizations.orthogonal(l, "weight", "matrix_exp") end,
      cayley = function(l) return parametrizations.orthogonal(l, "weight", "cayley") end,
    } do
      local layer = make(nn.Linear(3, 3, false):double())
      local keys, originals = {}, {}
      for key, p in layer:named_parameters() do
        keys[#keys + 1] = key
        originals[#originals + 1] = (p:detach() + 0.1 * torch.rand_like(p)):requires_grad_(true)
      end
      local function weight(...)
        local map = {}
        for i, key in ipairs(keys) do map[key] = select(i, ...) end
        return torch.func.functional_call(layer, map, torch.eye(3, { dtype = torch.float64 }))
      end
      assert.is_true(torch.autograd.gradcheck(weight, originals), name)
      assert.is_true(torch.autograd.gradgradcheck(weight, originals), name)
    end
  end)

  it("computes once inside cached", function()
    local count = 0
    local Counting = nn.Module:extend "Counting"
    function Counting:forward(x)
      count = count + 1
      return x + 1
    end
    local layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Counting())
    count = 0
    parametrize.cached(function()
      assert.is_true(rawequal(layer.weight, layer.weight))
      do
        local _ <close> = parametrize.cached()
        layer(torch.ones(1, 2))
      end
      layer(torch.ones(1, 2))
    end)
    assert.equal(1, count)
    local _ = layer.weight
    assert.equal(2, count)
  end)

  it("checks what parametrizations return", function()
    local function bad(forward, right_inverse)
      local C = nn.Module:extend "Bad"
      C.forward, C.right_inverse = forward, right_inverse
      return C()
    end
    local function register(p, options)
      return function() return parametrize.register_parametrization(nn.Linear(2, 3), "weight", p, options or {}) end
    end
    assert.error_matches(register(bad(function() return 3 end)), "A parametrization must return a tensor. Got number")
    assert.error_matches(register(bad(function(_, x) return x:double() end)),
      "may not change the dtype of the tensor, unless the `unsafe` flag is enabled.\nunparametrized: torch.float32\n"
      .. "parametrized: torch.float64")
    assert.error_matches(register(bad(function(_, x) return x:t() end)), "may not change the shape of the tensor")
    assert.error_matches(register(bad(function(_, x) return x end, function() return 3 end)),
      "'right_inverse' must return a Tensor")
    assert.error_matches(register(bad(function(_, x) return x end, function(_, x) return x:double() end)),
      "it may not change the dtype")
    assert.equal(torch.Size { 2, 3 }, register(bad(function(_, x) return x:t() end), { unsafe = true })().weight.shape)
    local layer = parametrize.register_parametrization(nn.Linear(2, 3), "weight", Double())
    assert.error_matches(function()
      parametrize.register_parametrization(layer, "weight", bad(function(_, x) return x:t() end))
    end, "Registering a parametrization may not change the shape")
    assert.error_matches(function() parametrize.register_parametrization(layer, "gain", Double()) end,
      "does not have a parameter, a buffer, or a parametrized element with name 'gain'")
    assert.error_matches(function() parametrize.register_parametrization(layer, "weight", 3) end,
      "argument 'parametrization' must be a module")
    -- A failed registration leaves the module as it was.
    local plain = nn.Linear(2, 3)
    pcall(parametrize.register_parametrization, plain, "weight", bad(function(_, x) return x:t() end))
    assert.same({ "weight", "bias" }, names(plain:named_parameters()))
  end)

  it("goes from one module to another", function()
    local from, to = nn.Linear(2, 2), nn.Linear(2, 2)
    parametrize.register_parametrization(from, "weight", Symmetric())
    parametrizations.weight_norm(from, "bias")
    assert.is_true(rawequal(to, parametrize.transfer_parametrizations_and_params(from, to)))
    assert.is_true(torch.equal(from.weight, to.weight))
    assert.is_true(torch.equal(from.bias, to.bias))
    assert.same(names(from:state_dict():keys()), names(to:state_dict():keys()))
    local empty = nn.Module()
    parametrize.transfer_parametrizations_and_params(from, empty, "weight")
    assert.is_true(torch.equal(from.weight, empty.weight))
    assert.is_false(parametrize.is_parametrized(empty, "bias"))
  end)

  it("trains and loads with an optimizer made before", function()
    local layer = nn.Linear(2, 2)
    local optimizer = torch.optim.SGD(layer:parameters(), { lr = 0.1 })
    parametrize.register_parametrization(layer, "weight", Symmetric())
    local before = layer.weight:clone()
    layer(torch.ones(1, 2)):sum():backward()
    optimizer:step()
    assert.is_false(torch.equal(before, layer.weight))
    local other = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    other:load_state_dict(layer:state_dict())
    assert.is_true(torch.equal(other.weight, layer.weight))
  end)
end)

describe("skip_init", function()
  it("draws no random numbers", function()
    torch.manual_seed(1)
    local expected = torch.rand(1):item()
    torch.manual_seed(1)
    local layer = utils.skip_init(nn.Linear, 30, { out_features = 20 })
    assert.equal(expected, torch.rand(1):item())
    assert.equal(torch.Size { 20, 30 }, layer.weight.shape)
    assert.error_matches(function() utils.skip_init(3) end, "Expected a Module class, got number")
    assert.error_matches(function() utils.skip_init(nn.Linear) end, "'in_features'")
    torch.manual_seed(1)
    nn.Linear(1, 1)
    assert.not_equal(expected, torch.rand(1):item())
  end)
end)

describe("parameters as a vector", function()
  it("share the vector's memory afterwards", function()
    local layer = nn.Linear(2, 1)
    local vector = utils.parameters_to_vector(layer:parameters())
    assert.equal(3, vector:numel())
    assert.is_true(vector.requires_grad)
    local new = torch.tensor { 1.0, 2.0, 3.0 }
    utils.vector_to_parameters(new, layer:parameters())
    assert.same({ { 1.0, 2.0 } }, layer.weight:tolist())
    new:zero_()
    assert.same({ 0.0 }, layer.bias:tolist())
    utils.vector_to_parameters(torch.ones(5, { dtype = torch.float64 }), layer:parameters())
    assert.equal(torch.float64, layer.weight.dtype)
    assert.is_true(layer.weight.requires_grad)
    assert.error_matches(function() utils.vector_to_parameters(torch.ones(2), layer:parameters()) end,
      "the vector has 2 elements, the parameters 3")
    assert.error_matches(function() utils.vector_to_parameters(3, layer:parameters()) end, "argument 'vec' must be a tensor")
    assert.error_matches(function() utils.parameters_to_vector(3) end, "must be a tensor, a list or an iterator")
    assert.error_matches(function() utils.parameters_to_vector { 3 } end, "parameters must be tensors, got number %(3%)")
  end)
end)

describe("memory formats", function()
  it("change strides, not values", function()
    local net = nn.Sequential(nn.Conv2d(3, 4, 2), nn.ConvTranspose2d(4, 3, 2), nn.Linear(2, 2))
    local before = net[0].weight:clone()
    assert.is_true(rawequal(net, utils.convert_conv2d_weight_memory_format(net, torch.channels_last)))
    assert.is_true(net[0].weight:is_contiguous { memory_format = torch.channels_last })
    assert.is_true(net[1].weight:is_contiguous { memory_format = torch.channels_last })
    assert.is_true(torch.equal(before, net[0].weight))
    local net3 = utils.convert_conv3d_weight_memory_format(nn.Conv3d(3, 4, 2), torch.channels_last_3d)
    assert.is_true(net3.weight:is_contiguous { memory_format = torch.channels_last_3d })
  end)
end)

describe("stateless.functional_call", function()
  it("runs a module with other tensors", function()
    local layer = nn.Linear(2, 1, { bias = false })
    local weight = torch.tensor { { 1.0, 2.0 } }
    assert.same({ { 3.0 } }, utils.stateless.functional_call(layer, { weight = weight }, torch.ones(1, 2)):tolist())
    assert.is_false(rawequal(layer.weight, weight))
  end)

  it("ties weights, or not, and can be strict", function()
    local Tied = nn.Module:extend "Tied"
    function Tied:init()
      self.a = nn.Linear(1, 1, false)
      self.b = nn.Linear(1, 1, false)
      self.b.weight = self.a.weight
    end
    function Tied:forward(x) return self.b(self.a(x)) end
    local net = Tied()
    torch.no_grad(function() net.a.weight:fill_(1) end)
    local call = torch.func.functional_call
    local three = torch.full({ 1, 1 }, 3.0)
    assert.equal(9, call(net, { ["a.weight"] = three }, torch.ones(1, 1)):item())
    assert.equal(3, call(net, { ["a.weight"] = three }, torch.ones(1, 1), nil, { tie_weights = false }):item())
    assert.error_matches(function()
      call(net, { ["a.weight"] = three, ["b.weight"] = torch.ones(1, 1) }, torch.ones(1, 1))
    end, "are tied")
    assert.equal(9, call(net, { ["a.weight"] = three }, torch.ones(1, 1), nil, { strict = true }):item())
    assert.error_matches(function() call(net, {}, torch.ones(1, 1), nil, { strict = true }) end,
      "Error%(s%) in reparametrizing for Tied:\n\tMissing key%(s%): 'a.weight', 'b.weight'.")
    assert.error_matches(function() call(net, { c = three }, torch.ones(1, 1), nil, { strict = true }) end,
      "\n\tUnexpected key%(s%): 'c'.\n\tMissing key%(s%): 'a.weight', 'b.weight'.")
    assert.error_matches(function() call(net, { ["z.c"] = three }, torch.ones(1, 1)) end, "Tied has no attribute `z`")
    assert.error_matches(function() call(net, { a = three }, torch.ones(1, 1)) end, "attribute `a` of Tied is not an instance")
    assert.equal(9, call(net, { ["a.weight"] = three, ["a.extra"] = three }, { args = torch.ones(1, 1) }):item())
    assert.is_nil(net.a.extra)
  end)
end)
