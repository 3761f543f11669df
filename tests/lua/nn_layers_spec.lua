-- Layers, losses and initialisers against PyTorch's texts, bytes and values (tests/golden/libs.lua).
local torch = require "lampad"
local core = require "lampad.core"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/libs.lua")

local function evaluate(code, extra)
  local environment = { torch = torch, nn = torch.nn, math = math }
  for name, value in pairs(extra or {}) do environment[name] = value end
  return assert(load("return " .. code, "=golden", "t", environment))()
end

local function flat(t) return t:detach():reshape(-1):tolist() end

local function close(expected, got, tolerance, what)
  assert.equal(#expected, #got, what)
  for i = 1, #expected do
    local e, g = expected[i], got[i]
    local both_nan = e ~= e and g ~= g
    local difference = e == g and 0 or math.abs(e - g)
    if not both_nan and (difference ~= difference or difference > tolerance * math.max(1, math.abs(e))) then
      error(("%s: element %d is %.9g, expected %.9g"):format(what, i - 1, g, e), 2)
    end
  end
end

describe("layers", function()
  for _, row in ipairs(golden.layers) do
    it(row.code, function()
      torch.manual_seed(1)
      local layer = evaluate(row.code)
      assert.equal((row.text:gsub("\n$", "")), tostring(layer))
      local state = layer:state_dict()
      assert.equal(#row.state, #state)
      local i = 0
      for name, value in state:items() do
        i = i + 1
        assert.equal(row.state[i][1], name)
        assert.equal(row.state[i][2], core.crc32(core.tensor_to_bytes(value:contiguous())), name .. " differs in bytes")
      end
      if row.shape then
        local y = layer(torch.randn(row.shape))
        assert.same(row.out_shape, { y.shape:unpack() })
        close(row.out, flat(y), 2e-6, row.code)
      end
    end)
  end

  it("say what is wrong with their arguments", function()
    local nn = torch.nn
    local wrong = {
      { function() nn.Linear(3) end, "Linear: argument 'out_features' %(an integer%) is missing" },
      { function() nn.Linear(3, 4, { bais = false }) end, "unknown argument 'bais'; did you mean 'bias'%?" },
      { function() nn.Conv2d(3, 4, { 1, 2, 3 }) end, "kernel_size must be a number or a list of 2, got a list of 3" },
      { function() nn.Conv2d(3, 4, 3, { groups = 2 }) end, "in_channels must be divisible by groups" },
      { function() nn.Conv2d(3, 4, 3, { padding_mode = "zero" }) end, "padding_mode must be one of 'zeros'" },
      { function() nn.Conv2d(3, 4, 3, { padding = "same", stride = 2 }) end, "not supported for strided" },
      { function() nn.Dropout(1.5) end, "dropout probability has to be between 0 and 1, but got 1.5" },
      { function() nn.GroupNorm(3, 4) end, "num_channels %(4%) must be divisible by num_groups %(3%)" },
      { function() nn.BatchNorm2d(3)(torch.ones(2, 3)) end, "expected 4D input %(got 2D input" },
      { function() nn.Embedding(3, 2, { padding_idx = 5 }) end, "padding_idx must be within num_embeddings" },
      { function() nn.MSELoss { reduction = "avg" } end, "avg is not a valid value for reduction" },
    }
    for _, row in ipairs(wrong) do assert.error_matches(row[1], row[2]) end
  end)

  it("update running statistics in training only", function()
    local bn = torch.nn.BatchNorm1d(2)
    local x = torch.tensor { { 1.0, 2.0 }, { 3.0, 6.0 } }
    bn(x)
    close({ 0.2, 0.4 }, bn.running_mean:tolist(), 1e-6, "running_mean")
    close({ 1.1, 1.7 }, bn.running_var:tolist(), 1e-6, "running_var")
    assert.equal(1, bn.num_batches_tracked:item())
    bn:eval()
    close({ 0.76277, 1.227144, 2.669695, 4.295004 }, flat(bn(x)), 1e-4, "eval output")
    assert.equal(1, bn.num_batches_tracked:item())
  end)

  it("look rows up", function()
    local e = torch.nn.Embedding(4, 2, { padding_idx = 1 })
    assert.same({ 0.0, 0.0 }, e.weight[1]:tolist())
    local y = e(torch.tensor { { 0, 1 }, { 3, 3 } })
    assert.same({ 2, 2, 2 }, { y.shape:unpack() })
    assert.same(e.weight[3]:tolist(), y[1][0]:tolist())
    y:sum():backward()
    assert.same({ { 1.0, 1.0 }, { 0.0, 0.0 }, { 0.0, 0.0 }, { 2.0, 2.0 } }, e.weight.grad:tolist())
    local frozen = torch.nn.Embedding.from_pretrained(torch.ones(2, 3))
    assert.is_false(frozen.weight.requires_grad)
  end)

  it("are listed by pairs(torch.nn)", function()
    local count = 0
    for name, value in pairs(torch.nn) do
      count = count + 1
      assert.is_not_nil(value, name)
    end
    assert.is_true(count > 90)
    assert.is_nil(torch.nn.Linaer)
  end)
end)

describe("losses", function()
  for _, row in ipairs(golden.losses) do
    it(row.code .. " on " .. row.kind, function()
      torch.manual_seed(2)
      local x = torch.randn(4, 3)
      local y
      if row.kind == "real" then
        y = torch.randn(4, 3)
      elseif row.kind == "class" then
        y = torch.tensor { 0, 2, 1, 2 }
      elseif row.kind == "sign" then
        y = torch.randn(4, 3):sign()
      else
        y = torch.softmax(torch.randn(4, 3), 1)
      end
      if row.kind == "both probability" then x = torch.sigmoid(x) end
      x:requires_grad_()
      local loss = evaluate(row.code)(x, y)
      loss:backward()
      close({ row.value }, { loss:item() }, 2e-6, row.code)
      close(row.grad, flat(x.grad), 2e-6, row.code .. " gradient")
    end)
  end
end)

describe("nn.init", function()
  for _, row in ipairs(golden.inits) do
    it(row.code, function()
      torch.manual_seed(3)
      local t = torch.empty(row.shape)
      local result = evaluate("init." .. row.code, { init = torch.nn.init, t = t })
      assert.is_true(rawequal(result, t))
      if row.code:find "^orthogonal" then
        close(row.values, flat(t), 1e-5, row.code)
      else
        assert.equal(row.crc, core.crc32(core.tensor_to_bytes(t)))
      end
    end)
  end

  it("computes gains", function()
    local gain = torch.nn.init.calculate_gain
    assert.equal(1, gain "linear")
    assert.equal(math.sqrt(2), gain "relu")
    assert.equal(5 / 3, gain "tanh")
    assert.equal(math.sqrt(2 / (1 + 0.2 ^ 2)), gain("leaky_relu", 0.2))
    assert.error_matches(function() gain "relux" end, "did you mean 'relu'")
    assert.error_matches(function() torch.nn.init.xavier_uniform_(torch.empty(3)) end, "fewer than 2 dimensions")
  end)
end)

describe("nn.utils", function()
  local function net()
    torch.manual_seed(4)
    local n = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    n(torch.ones(2, 3)):pow(2):sum():backward()
    return n
  end
  local function grads(n)
    local parts = {}
    for p in n:parameters() do parts[#parts + 1] = p.grad:reshape(-1) end
    return torch.cat(parts):tolist()
  end

  it("clips gradients", function()
    local utils, expected = torch.nn.utils, golden.clipping
    local n = net()
    close({ expected.norm }, { utils.clip_grad_norm_(n:parameters(), 0.5):item() }, 1e-6, "norm")
    close(expected.clipped, grads(n), 1e-6, "clipped")
    n = net()
    close({ expected.norm_inf }, { utils.clip_grad_norm_(n:parameters(), 0.5, { norm_type = math.huge }):item() }, 1e-6,
      "infinity norm")
    utils.clip_grad_value_(n:parameters(), 0.1)
    close(expected.by_value, grads(n), 1e-6, "by value")
  end)

  it("turns parameters into a vector and back", function()
    local n, utils = net(), torch.nn.utils
    local vector = utils.parameters_to_vector(n:parameters())
    assert.equal(26, vector:numel())
    utils.vector_to_parameters(torch.arange(26):to(torch.float32), n:parameters())
    assert.equal(25, n[2].bias[1]:item())
    assert.error_matches(function() utils.vector_to_parameters(torch.zeros(3), n:parameters()) end,
      "the vector has 3 elements, the parameters 26")
  end)
end)
