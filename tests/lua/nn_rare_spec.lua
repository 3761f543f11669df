-- The rarer functions and layers of torch.nn: random streams, in-place effects, argument forms, printing and
-- the messages of wrong calls. Their values over all dtypes are in the golden files of the op tests.
local torch = require "lampad"
local nn, F = torch.nn, torch.nn.functional

local function flat(x) return x:detach():double():reshape(-1):tolist() end

local function near(expected, x, tolerance)
  local got = flat(x)
  assert.are.equal(#expected, #got)
  for i, v in ipairs(expected) do
    assert.is_true(v == got[i] or math.abs(v - got[i]) <= (tolerance or 2e-5),
      ("entry %d: expected %g, got %g"):format(i - 1, v, got[i]))
  end
end

local function keys(module)
  local names = {}
  for name in module:state_dict():items() do names[#names + 1] = name end
  return table.concat(names, " ")
end

describe("losses", function()
  it("of half precision with integer targets keep the dtype of the input", function()
    local target = torch.ones(2, 3, { dtype = torch.int64 })
    for _, dtype in ipairs { torch.float16, torch.bfloat16, torch.float64 } do
      assert.equal(dtype, F.multilabel_soft_margin_loss(torch.ones(2, 3, { dtype = dtype }), target).dtype)
    end
  end)
  it("of probabilities take no ignore_index", function()
    assert.has_error(function() F.cross_entropy(torch.rand(2, 3), torch.rand(2, 3), { ignore_index = 1 }) end)
    assert.equal(0, F.cross_entropy(torch.rand(2, 3), torch.rand(2, 3)).ndim)
  end)
end)

describe("random streams", function()
  it("rrelu draws a slope for each element that is not positive", function()
    for _, call in ipairs {
      function(x) return F.rrelu(x, { training = true }) end,
      function(x) return torch.rrelu(x, 1 / 8, 1 / 3, true) end,
      function(x) return F.rrelu_(x, 1 / 8, 1 / 3, true) end,
      function(x) return F.rrelu(x, { training = true, inplace = true }) end,
    } do
      torch.manual_seed(0)
      near({ -0.32709, 2, -0.81739, 0 }, call(torch.tensor { -1., 2., -3., 0. }))
    end
  end)
  it("fractional_max_pool2d places its windows", function()
    local x = torch.arange(36.):reshape(1, 1, 6, 6)
    torch.manual_seed(0)
    local y, index = F.fractional_max_pool2d(x, 2, { output_size = 3, return_indices = true })
    near({ 7, 9, 11, 19, 21, 23, 31, 33, 35 }, y)
    near({ 7, 9, 11, 19, 21, 23, 31, 33, 35 }, index)
    torch.manual_seed(0)
    near(flat(y), (nn.FractionalMaxPool2d(2, { output_ratio = 0.5 }))(x))
  end)
end)

describe("indices of pooling", function()
  local x = torch.randn(1, 2, 6, 6)
  it("come by position, by name and never unasked", function()
    local y, index = F.max_pool2d(x, 2, 2, 0, 1, false, true)
    assert.is_true(torch.equal(index, select(2, F.max_pool2d { input = x, kernel_size = 2, return_indices = true })))
    assert.are.equal(1, select("#", F.max_pool2d(x, 2, { return_indices = false })))
    assert.are.equal(1, select("#", F.max_pool2d(x, 2, nil, 0, 1, false, false)))
    assert.are.equal(2, select("#", F.adaptive_max_pool2d(x, { 2, 3 }, true)))
    near(flat(F.max_unpool2d(y, index, 2)), (nn.MaxUnpool2d(2))(y, index, { output_size = x:size() }))
    assert.is_true(torch.equal(F.max_unpool2d(y, index, 2):ne(0), F.max_unpool2d(y, index, 2):eq(x)))
  end)
  it("lead nowhere outside the plane", function()
    assert.error_matches(function() F.max_unpool1d(torch.ones(1, 1, 1), torch.tensor { { { 2 } } }, 2) end,
      "index 2 is out of range")
    assert.error_matches(function() F.max_unpool1d(torch.ones(1, 1, 1), torch.tensor { { { 0 } } }, 2, { output_size = { 5 } }) end,
      "output_size")
  end)
  it("and sizes may be left out in adaptive pooling", function()
    assert.are.equal(torch.Size { 1, 2, 6, 3 }, F.adaptive_avg_pool2d(x, { nil, 3 }).shape)
    assert.are.equal(torch.Size { 1, 2, 2, 6 }, F.adaptive_max_pool2d(x, { 2, nil }).shape)
    assert.error_matches(function() F.adaptive_avg_pool2d(x, -1) end, "at least 0")
  end)
end)

describe("softmax", function()
  it("chooses a dim when none is given", function()
    local x = torch.randn(2, 3)
    for _, call in ipairs {
      function() return F.softmax(x) end, function() return F.softmax(x, 1) end, function() return F.softmax(x, { dim = 1 }) end,
      function() return F.softmax { input = x, dim = 1 } end, function() return F.softmax(x, nil, { dtype = torch.float32 }) end,
      function() return F.softmax(x, { dtype = torch.float32 }) end,
    } do
      near(flat(torch.softmax(x, 1)), call())
    end
    near(flat(torch.softmax(x[0], 0)), F.softmax(x[0]))
  end)
end)

describe("options out of range", function()
  it("raise", function()
    local x = torch.ones(2, 3)
    assert.error_matches(function() F.softshrink(x, -0.5) end, "lambd")
    assert.error_matches(function() F.softshrink(x, { lambd = -0.5 }) end, "lambd")
    assert.error_matches(function() F.hardtanh(x, 1, -1) end, "min_val")
    assert.error_matches(function() F.triplet_margin_loss(x, x, x, 0) end, "margin")
    assert.error_matches(function() F.triplet_margin_with_distance_loss(x, x, x, { margin = -1 }) end, "margin")
    assert.error_matches(function() F.gaussian_nll_loss(x, x, -x) end, "negative")
    assert.error_matches(function() F.prelu(x, torch.ones(2)) end, "3 channels")
    near({ 0.5, 0, -0.5 }, F.softshrink(torch.tensor { 1., 0.2, -1. }))
  end)
end)

describe("interpolate", function()
  it("rounds pixels after each dim", function()
    local a = torch.tensor({ 0, 60, 120, 180, 240, 250 }, { dtype = torch.uint8 }):reshape(1, 1, 2, 3)
    near({ 0, 38, 83, 120, 90, 128, 164, 185, 180, 218, 244, 250 }, F.interpolate(a, { 3, 4 }, { mode = "bilinear" }))
    near({ 110, 175 }, F.interpolate(a, { 1, 2 }, { mode = "bicubic", antialias = true }))
  end)
  it("says which modes antialias", function()
    assert.error_matches(function() F.interpolate(torch.ones(1, 1, 4, 4), { 2, 2 }, { antialias = true }) end, "bilinear")
    assert.error_matches(function() F.interpolate(torch.ones(1, 1, 4, 4), { 2, 2 }, { mode = "lanczos" }) end, "antialias")
  end)
end)

describe("bags of embeddings", function()
  it("shrink the rows they use, each once", function()
    local w = torch.tensor { { 3., 4. }, { 0.3, 0.4 }, { 6., 8. } }
    near({ 0.9, 1.2, 0.6, 0.8 }, F.embedding_bag(torch.tensor { { 0, 1 }, { 1, 1 } }, w, { max_norm = 1.0, mode = "sum" }))
    near({ 0.6, 0.8, 0.3, 0.4, 6, 8 }, w)
  end)
  it("give the gradient of a maximum to its row", function()
    local w = torch.tensor({ { 1., 5. }, { 2., 4. }, { 3., 3. } }, { requires_grad = true })
    F.embedding_bag(torch.tensor { 0, 2, 1, 1 }, w, torch.tensor { 0, 2, 2 }, { mode = "max" }):sum():backward()
    near({ 0, 1, 1, 1, 1, 0 }, w.grad)
  end)
  it("say what is wrong", function()
    local w, index = torch.ones(3, 2), torch.tensor { 0, 1 }
    assert.error_matches(function() F.embedding_bag(index, w) end, "offsets")
    assert.error_matches(function() F.embedding_bag(torch.tensor { 5 }, w, torch.tensor { 0 }) end, "index 5 is out of range")
    assert.error_matches(function() F.embedding_bag(index, w, torch.tensor { 1 }) end, "begin with 0")
    assert.error_matches(function() F.embedding_bag(index, w, torch.tensor { 0, 3 }) end, "offsets")
    assert.error_matches(function()
      F.embedding_bag(index, w, torch.tensor { 0 }, { per_sample_weights = torch.ones(2) })
    end, "mode = 'sum'")
  end)
  it("are a layer", function()
    torch.manual_seed(1)
    local bag = nn.EmbeddingBag(5, 3, { padding_idx = 1 })
    near({ 0.66135, 0.26692, 0.06168, -0.37928, -0.92896, 0.18208 },
      bag(torch.tensor { 0, 1, 3, 4 }, torch.tensor { 0, 2 }))
    assert.are.equal("EmbeddingBag(10, 3, max_norm=1.0, mode='sum', padding_idx=9)",
      tostring(nn.EmbeddingBag(10, 3, { max_norm = 1.0, padding_idx = -1, mode = "sum" })))
    assert.are.equal("weight", keys(bag))
    assert.is_false(nn.EmbeddingBag.from_pretrained(torch.ones(2, 2)).weight.requires_grad)
  end)
end)

describe("ctc_loss", function()
  local function uniform(steps) return torch.zeros(steps, 1, 3):log_softmax(2):requires_grad_() end
  it("has PyTorch's gradient, of rows that are log-probabilities", function()
    local x = uniform(3)
    local loss = F.ctc_loss(x, torch.tensor { { 1, 1 } }, { 3 }, { 2 })
    loss:backward()
    near({ 1.64792 }, loss)
    near({ 0.16667, -0.33333, 0.16667, -0.33333, 0.16667, 0.16667, 0.16667, -0.33333, 0.16667 }, x.grad)
  end)
  it("can be infinite, or zero instead", function()
    local x = uniform(2)
    near({ math.huge }, F.ctc_loss(x, torch.tensor { { 1, 1 } }, { 2 }, { 2 }))
    local loss = nn.CTCLoss { zero_infinity = true } (x, torch.tensor { { 1, 1 } }, torch.tensor { 2 }, torch.tensor { 2 })
    loss:backward()
    near({ 0 }, loss)
    near({ 0, 0, 0, 0, 0, 0 }, x.grad)
  end)
  it("cannot be differentiated twice, and says so", function()
    local x = uniform(3)
    local loss = F.ctc_loss(x, torch.tensor { { 1 } }, { 3 }, { 1 })
    local grad = torch.autograd.grad(loss, x, { create_graph = true })
    grad = torch.is_tensor(grad) and grad or grad[1]
    assert.error_matches(function() grad:sum():backward() end, "ctc_loss is not differentiable")
  end)
  it("says what is wrong", function()
    local x = uniform(3)
    assert.error_matches(function() F.ctc_loss(x, torch.tensor { { 1 } }, { 4 }, { 1 }) end, "input_lengths")
    assert.error_matches(function() F.ctc_loss(x, torch.tensor { { 3 } }, { 3 }, { 1 }) end, "target class 3 is out of range")
    assert.error_matches(function() F.ctc_loss(x, torch.tensor { { 1 } }, { 3 }, { 2 }) end, "target_lengths")
    assert.error_matches(function() F.ctc_loss(x, torch.tensor { { 1 } }, { 3 }, { 1 }, 3) end, "blank")
  end)
end)

describe("grid_sample", function()
  it("says what is wrong", function()
    local x, grid = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 1, 2)
    assert.error_matches(function() F.grid_sample(x, grid, "cubic") end, "'mode'")
    assert.error_matches(function() F.grid_sample(x, grid, "bilinear", "mirror") end, "'padding_mode'")
    assert.error_matches(function() F.grid_sample(x, torch.zeros(2, 1, 1, 2)) end, "batch")
    assert.error_matches(function() F.grid_sample(x, torch.zeros(1, 1, 1, 3)) end, "2 coordinates")
    assert.error_matches(function() F.grid_sample(x, grid:double()) end, "one dtype")
    assert.error_matches(function() F.affine_grid(torch.ones(1, 2, 2), { 1, 1, 2, 2 }) end, "theta")
  end)
  it("is the identity for the identity", function()
    local x = torch.randn(2, 3, 4, 5, { dtype = torch.float64 })
    local theta = torch.tensor({ { 1., 0., 0. }, { 0., 1., 0. } }, { dtype = torch.float64 }):expand(2, 2, 3)
    for _, align in ipairs { true, false } do
      local grid = F.affine_grid(theta, x:size(), align)
      for _, mode in ipairs { "bilinear", "nearest", "bicubic" } do
        near(flat(x), F.grid_sample(x, grid, mode, "border", align), 1e-9)
      end
    end
  end)
end)

describe("attention of several heads", function()
  torch.manual_seed(2)
  local m = nn.MultiheadAttention(4, 2, { add_bias_kv = true, batch_first = true })
  local x = torch.randn(2, 3, 4)
  it("starts and computes as in PyTorch", function()
    near({ -0.5998, -0.04159, -0.04853, 0.43436 }, m.in_proj_weight[0])
    near({ -0.2095, 0.17884, -0.07541, 0.05434 }, m.bias_v)
    local y, weights = m(x, x, x)
    near({ -0.00926, 0.05356, -0.01829, 0.00493, -0.00074, 0.0178, -0.00407, 0.01073, 0.00567, -0.0336, 0.01129, 0.02639 },
      y[0])
    near({ 0.21712, 0.23737, 0.25399, 0.29151, 0.25801, 0.24784, 0.24796, 0.24619, 0.26312, 0.27116, 0.25918, 0.20654 },
      weights[1])
    local fast, none = m(x, x, x, { need_weights = false })
    assert.is_nil(none)
    near(flat(y), fast)
  end)
  it("leaves out what the masks forbid, also without a batch", function()
    local padding = torch.tensor { { false, true, false }, { false, false, true } }
    local y, weights = m(x, x, x, { key_padding_mask = padding })
    near({ 0, 0, 0 }, weights["0, :, 1"])
    near(flat(y), (m(x, x, x, { key_padding_mask = padding, need_weights = false })))
    near(flat(y[0]), (m(x[0], x[0], x[0], { key_padding_mask = padding[0] })))
  end)
  it("has PyTorch's names", function()
    assert.are.equal("in_proj_weight in_proj_bias bias_k bias_v out_proj.weight out_proj.bias", keys(m))
    assert.are.equal("MultiheadAttention(\n  (out_proj): NonDynamicallyQuantizableLinear(in_features=4, out_features=4, "
      .. "bias=True)\n)", tostring(m))
    assert.error_matches(function() nn.MultiheadAttention(5, 2) end, "divisible")
    assert.error_matches(function() m(x, x, x, { is_causal = true }) end, "attn_mask")
  end)
end)

describe("print", function()
  for expected, module in pairs {
    ["MaxUnpool2d(kernel_size=(2, 3), stride=(2, 2), padding=(0, 1))"] =
      nn.MaxUnpool2d({ 2, 3 }, { stride = 2, padding = { 0, 1 } }),
    ["MaxUnpool1d(kernel_size=(2,), stride=(2,), padding=(0,))"] = nn.MaxUnpool1d(2),
    ["FractionalMaxPool3d()"] = nn.FractionalMaxPool3d(2, { output_ratio = 0.5 }),
    ["LPPool3d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"] = nn.LPPool3d(2, 3),
    ["CTCLoss()"] = nn.CTCLoss(), ["MultiMarginLoss()"] = nn.MultiMarginLoss(),
  } do
    it(expected, function() assert.are.equal(expected, tostring(module)) end)
  end
end)

describe("losses with a layer of their own", function()
  it("AdaptiveLogSoftmaxWithLoss", function()
    torch.manual_seed(0)
    local m = nn.AdaptiveLogSoftmaxWithLoss(16, 20, { 5, 10 }, { div_value = 2.0 })
    assert.are.equal("head.weight tail.0.0.weight tail.0.1.weight tail.1.0.weight tail.1.1.weight", keys(m))
    local x = torch.randn(6, 16)
    local output, loss = m(x, torch.tensor { 0, 4, 5, 9, 10, 19 })
    near({ -1.8821, -2.43198, -3.16349, -4.31728, -4.35443, -3.50791 }, output)
    near({ 3.2762 }, loss)
    near({ 1 }, m:log_prob(x)[3]:exp():sum())
    assert.are.same(m:log_prob(x):argmax(1):tolist(), m:predict(x):tolist())
    assert.error_matches(function() m(x, torch.full({ 6 }, 20)) end, "targets must lie in")
    assert.error_matches(function() nn.AdaptiveLogSoftmaxWithLoss(4, 8, { 3, 3 }) end, "increasing order")
  end)
  it("LinearCrossEntropyLoss", function()
    torch.manual_seed(1)
    local m = nn.LinearCrossEntropyLoss(3, 5, { bias = true })
    local x, target = torch.randn(4, 3), torch.tensor { 0, 1, 2, 4 }
    near(flat(F.cross_entropy(m.linear(x), target)), m(x, target))
    assert.are.equal("LinearCrossEntropyLoss(\n  in_features=3, num_classes=5, out_features=(), bias=True, reduction=mean, "
      .. "ignore_index=None, label_smoothing=0.0, options=None\n  (linear): Linear(in_features=3, out_features=5, "
      .. "bias=True)\n)", tostring(m))
  end)
end)
