-- torch.nn.functional beyond the golden values of the op tests: state that ops change in place, random
-- streams, options of PyTorch's old spellings, and the messages of wrong calls.
local torch = require "lampad"
local F = torch.nn.functional

local function list(x) return x:reshape(-1):tolist() end

local function near(expected, x, tolerance)
  local got = list(x)
  assert.are.equal(#expected, #got)
  for i, v in ipairs(expected) do
    assert.is_true(math.abs(v - got[i]) <= (tolerance or 1e-6), ("entry %d: expected %g, got %g"):format(i, v, got[i]))
  end
end

describe("dropout", function()
  it("draws PyTorch's noise", function()
    torch.manual_seed(0)
    local x = torch.arange(1, 11, { dtype = torch.float32 })
    near({ 0, 0, 4.2857, 0, 7.1429, 0, 10, 11.4286, 12.8571, 14.2857 }, F.dropout(x, 0.3), 1e-4)
  end)
  it("drops whole channels", function()
    torch.manual_seed(0)
    local y = F.dropout2d(torch.ones(8, 4, 3, 3), 0.5)
    assert.is_true(torch.equal(y, y["..., :1, :1"]:expand(8, 4, 3, 3)))
  end)
  it("works in place and gives the input back when there is nothing to do", function()
    local x = torch.ones(100)
    local y = F.dropout(x, 0.5, true, true)
    assert.is_true(torch.equal(x, y))
    assert.is_true(x:eq(0):any():item())
    near(list(x), F.dropout(x, 0.5, false))
    near({ 0, 0 }, F.dropout(torch.ones(2), 1.0))
  end)
end)

describe("batch_norm", function()
  it("moves running statistics, also of strided buffers", function()
    local stats = torch.zeros(2, 3)
    local x = torch.tensor { { 1., 2., 3. }, { 3., 6., 9. } }
    F.batch_norm(x, stats[0], stats[1], nil, nil, true, 0.5)
    near({ 1, 2, 3, 1, 4, 9 }, stats)
  end)
  it("lets two forwards run before a backward", function()
    local mean, var = torch.zeros(3), torch.ones(3)
    local x = torch.randn(8, 3, { requires_grad = true })
    local a = F.batch_norm(x, mean, var, nil, nil, true)
    local b = F.batch_norm(x * 2, mean, var, nil, nil, true);
    (a + b):sum():backward()
    assert.are.equal(8, x.grad:size(0))
  end)
end)

describe("embedding", function()
  it("gives the padding row no gradient and shrinks long rows", function()
    local w = torch.tensor { { 3., 4. }, { 0.3, 0.4 }, { 6., 8. } }
    near({ 0.6, 0.8, 0.3, 0.4 }, F.embedding(torch.tensor { 0, 1 }, w, nil, 1.0), 1e-5)
    near({ 0.6, 0.8, 0.3, 0.4, 6, 8 }, w, 1e-5) -- in place, but only the rows asked for
    w.requires_grad = true
    F.embedding(torch.tensor { 0, 1, 0 }, w, 1):sum():backward()
    near({ 2, 2, 0, 0, 0, 0 }, w.grad)
  end)
end)

describe("pooling", function()
  it("returns indices on request", function()
    local x = torch.arange(16, { dtype = torch.float32 }):reshape(1, 1, 4, 4)
    local y, index = F.max_pool2d(x, 2, { return_indices = true })
    near({ 5, 7, 13, 15 }, y)
    near({ 5, 7, 13, 15 }, index)
    local _, at = F.adaptive_max_pool2d(x, 1, { return_indices = true })
    assert.are.equal(15, at:item())
  end)
end)

describe("losses", function()
  it("take size_average and reduce", function()
    local x, y = torch.tensor { 1., 2. }, torch.tensor { 3., 5. }
    near({ 13 }, F.mse_loss(x, y, false))
    near({ 6.5 }, F.mse_loss(x, y, true))
    near({ 4, 9 }, F.mse_loss(x, y, { reduce = false }))
  end)
  it("agree between class indices and one-hot probabilities", function()
    torch.manual_seed(0)
    local x, t = torch.randn(5, 4, { dtype = torch.float64 }), torch.tensor { 0, 3, 1, 1, 2 }
    local hot = F.one_hot(t, 4):to(torch.float64)
    for _, smoothing in ipairs { 0.0, 0.2 } do
      local a = F.cross_entropy(x, t, { label_smoothing = smoothing })
      near(list(a), F.cross_entropy(x, hot, { label_smoothing = smoothing }), 1e-12)
      near(list(a), F.cross_entropy(x, t, { label_smoothing = smoothing, weight = torch.ones(4, { dtype = torch.float64 }) }), 1e-12)
    end
  end)
  it("average over what is not ignored", function()
    local x = torch.zeros(3, 2)
    near({ math.log(2) }, F.cross_entropy(x, torch.tensor { 0, -100, 1 }))
    near({ 0.6931472, 0, 0.6931472 }, F.cross_entropy(x, torch.tensor { 0, -100, 1 }, { reduction = "none" }))
  end)
end)

describe("convolution", function()
  it("gives the same numbers for strided, unbatched and channels-last inputs", function()
    torch.manual_seed(0)
    local x, w = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    local y = F.conv2d(x, w, { padding = 1 })
    near(list(y), F.conv2d(x:permute(0, 2, 3, 1):contiguous():permute(0, 3, 1, 2), w, { padding = 1 }), 1e-5)
    near(list(y[1]), F.conv2d(x[1], w, { padding = 1 }), 1e-5)
    near(list(y), F.conv2d(x, w, { padding = "same" }), 1e-5)
  end)
  it("computes 16-bit floats in float32", function()
    torch.manual_seed(0)
    local x, w = torch.randn(1, 8, 6, 6), torch.randn(4, 8, 3, 3)
    for _, dtype in ipairs { torch.float16, torch.bfloat16 } do
      local a, b = x:to(dtype), w:to(dtype)
      local y = F.conv2d(a, b)
      assert.are.equal(dtype, y.dtype)
      near(list(F.conv2d(a:float(), b:float()):to(dtype)), y, 0)
    end
  end)
end)

describe("wrong calls", function()
  local cases = {
    { "F.conv2d(torch.zeros(16, 1, 28, 28), torch.zeros(64, 3, 11, 11))",
      "conv2d: expected input of 3 channels (weight [64, 3, 11, 11], groups 1), got [16, 1, 28, 28]" },
    { "F.conv2d(torch.zeros(3, 4, 4), torch.zeros(8, 3, 5, 5))", "use more padding or a larger input" },
    { "F.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(8, 3, 3, 3), torch.zeros(7))", "expected 'bias' of shape [8]" },
    { "F.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(8, 3, 3, 3), {stride = 2, padding = 'same'})", "needs stride 1" },
    { "F.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(8, 3, 3, 3, {dtype = torch.float64}))", "got float32, float64" },
    { "F.max_pool2d(torch.zeros(1, 3, 8, 8), 2, 2, 2)", "expected 'padding' of at most half the kernel (1), got 2" },
    { "F.max_pool2d(torch.zeros(1, 3, 1, 1), 2)", "would have no elements" },
    { "F.batch_norm(torch.zeros(1, 3), nil, nil, nil, nil, true)", "expected more than 1 value per channel when training" },
    { "F.layer_norm(torch.zeros(4, 3), {4})", "expected 'input' whose last sizes are normalized_shape [4], got [4, 3]" },
    { "F.softmax(torch.zeros(2, 3, {dtype = torch.int64}), 1)", "give dtype to convert it" },
    { "F.cross_entropy(torch.zeros(4, 3), torch.tensor{0, 1, 2})", "class indices of shape [4] for input [4, 3], got [3]" },
    { "F.cross_entropy(torch.zeros(2, 3), torch.tensor{0, 3})", "target 3 is out of range" },
    { "F.cross_entropy(torch.zeros(2, 3), torch.tensor{0, 1}, {reduction = 'avg'})", "got 'avg'" },
    { "F.binary_cross_entropy(torch.full({2}, 1.5), torch.zeros(2))", "apply sigmoid" },
    { "F.mse_loss(torch.zeros(2, 3), torch.zeros(4))", "expected 'target' of the shape of the input, [2, 3], got [4]" },
    { "F.embedding(torch.tensor{5}, torch.zeros(5, 2))", "index 5 is out of range: weight [5, 2] has rows [0, 5)" },
    { "F.dropout(torch.zeros(3), 1.5)", "expected 'p' between 0 and 1, got 1.5" },
    { "F.pad(torch.zeros(1, 1, 3), {3, 3}, 'reflect')", "reflect padding must be smaller than the dim" },
    { "F.interpolate(torch.zeros(1, 1, 3, 3), {2, 2}, {mode = 'linear'})", "expected an input of 3 dims for mode 'linear'" },
    { "F.glu(torch.zeros(3, 3))", "expected an even size along dim 1" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local ok, message = pcall(load("local torch, F = ...; return " .. case[1]), torch, F)
      assert.is_false(ok)
      assert.is_truthy(tostring(message):find(case[2], 1, true), tostring(message))
    end)
  end
end)

describe("glu", function()
  it("has the derivatives of its formula", function()
    torch.manual_seed(0)
    for _, dim in ipairs { 0, 1, -1 } do
      local x = torch.randn(4, 6, 2, { dtype = torch.float64 }):requires_grad_()
      local function formula(t)
        local halves = t:chunk(2, dim)
        return halves[1] / (1 + (-halves[2]):exp())
      end
      local w = torch.randn(formula(x):size(), { dtype = torch.float64 })
      local function gradients(f)
        local first = torch.autograd.grad((f(x) * w):sum(), x, { create_graph = true })
        return first, torch.autograd.grad(first:pow(2):sum(), x)
      end
      local first, second = gradients(formula)
      local own_first, own_second = gradients(function(t) return F.glu(t, dim) end)
      assert.is_true(torch.allclose(own_first, first) and torch.allclose(own_second, second))
      -- Without a graph of its own the gradient is written straight into its halves.
      x.grad = nil;
      (F.glu(x, dim) * w):sum():backward()
      assert.is_true(torch.allclose(x.grad, first:detach()))
    end
  end)
end)

describe("the dtypes of norms", function()
  it("are the input's, or float32 weights for 16-bit inputs", function()
    local calls = {
      batch_norm = function(x, w) return F.batch_norm(x, w:clone(), w:clone(), w, w, true) end,
      layer_norm = function(x, w) return F.layer_norm(x, { 4 }, w, w) end,
      group_norm = function(x, w) return F.group_norm(x, 2, w, w) end,
    }
    local dtypes = { torch.float64, torch.float32, torch.bfloat16, torch.float16 }
    for _, call in pairs(calls) do
      for i, input in ipairs(dtypes) do
        for j, weight in ipairs(dtypes) do
          local x, w = torch.ones(3, 4, { dtype = input }), torch.ones(4, { dtype = weight })
          local ok, result = pcall(call, x, w)
          assert.equal(i == j or (i > 2 and j == 2), ok)
          if ok then
            assert.equal(input, result.dtype)
          else
            assert.matches("norm: expected '[%w_]+' of the dtype of the input, ", result)
          end
        end
      end
    end
  end)

  it("have one value per channel of the input, which the message shows", function()
    local ok, err = pcall(torch.nn.Sequential(torch.nn.BatchNorm1d(3)), torch.ones(2, 4))
    assert.is_false(ok)
    assert.matches("expected 'weight' of shape %[4%] %(one per channel of the input, %[2, 4%]%), got %[3%]", err)
    assert.matches("in 0 %(BatchNorm1d%) of Sequential", err)
  end)

  it("of one channel equal their formula, whichever way the memory is read", function()
    torch.manual_seed(4)
    local norms = {
      batch = { function(x) return F.batch_norm(x, nil, nil, nil, nil, true) end, { 0, 1, 2, 3 } },
      group = { function(x) return F.group_norm(x, 1) end, { 1, 2, 3 } },
      instance = { function(x) return F.instance_norm(x) end, { 2, 3 } },
    }
    for _, norm in pairs(norms) do
      local call, dims = table.unpack(norm)
      for _, sizes in ipairs { { 5, 1, 3, 4 }, { 64, 1, 8, 8 }, { 3, 1, 120, 130 } } do
        local x = torch.randn(sizes):add(3)
        local weight = torch.randn(sizes)
        for _, format in ipairs { torch.contiguous_format, torch.channels_last } do
          local a = x:clone({ memory_format = format }):requires_grad_()
          local b = x:double():requires_grad_()
          local y = call(a)
          local mean, variance = b:mean(dims, true), b:var(dims, false, true)
          local expected = (b - mean) / (variance + 1e-5):sqrt();
          (y * weight):sum():backward();
          (expected * weight:double()):sum():backward()
          assert.is_true(torch.allclose(y:double(), expected, 1e-5, 1e-5))
          assert.is_true(torch.allclose(a.grad:double(), b.grad, 1e-4, 1e-5))
        end
      end
    end
  end)
end)

describe("many rows by class or index", function()
  local threads = torch.get_num_threads()
  after_each(function() torch.set_num_threads(threads) end)

  -- Whole log-probabilities and weights, whose sums are exact in any order.
  it("nll_loss is the weighted sum of the targets' elements, and so is its gradient", function()
    torch.manual_seed(6)
    local weight = torch.tensor { 1, 2, 3, 4, 5 }
    for number, shape in ipairs { { 9000, 5 }, { 5000, 5, 2 }, { 3, 5, 7, 11 }, { 1, 5 }, { 0, 5 } } do
      torch.set_num_threads(1 + number % 3)
      local at = { shape[1], table.unpack(shape, 3) }
      local target = torch.randint(0, 5, at)
      target:masked_fill_(torch.rand(at):lt(0.2), -100)
      local counted = target:ne(-100)
      local class = target:clamp(0)
      local by_weight = weight:index_select(0, class:view(-1)):view(at) * counted
      for _, name in ipairs { "float32", "float64", "bfloat16", "float16" } do
        local dtype = torch[name]
        local x = torch.randint(-9, 1, shape)
        local input = x:to(dtype):requires_grad_()
        local each = -x:gather(1, class:unsqueeze(1)):squeeze(1) * by_weight
        local function check(reduction, expected, up)
          local got = F.nll_loss(input, target, { weight = weight:to(dtype), reduction = reduction })
          assert.is_true(torch.equal(got:detach(), expected:to(dtype)))
          local grad = torch.autograd.grad({ got }, { input }, { torch.ones_like(got) })
          local rows = torch.zeros(shape):scatter(1, class:unsqueeze(1), (-by_weight * up):to(torch.float32):unsqueeze(1))
          assert.is_true(torch.allclose(grad:to(torch.float32), rows, { rtol = 0.01, atol = 1e-7 }))
        end
        check("none", each, 1)
        check("sum", each:sum(), 1)
        if shape[1] > 1 then check("mean", each:sum():to(torch.float64) / by_weight:sum(), 1 / by_weight:sum():item()) end
      end
    end
    assert.error_matches(function() F.nll_loss(torch.zeros(9, 5), torch.tensor { 0, 1, 2, 3, 5, 4, 0, 0, 0 }) end,
      "target 5 is out of range")
    assert.error_matches(function() F.cross_entropy(torch.zeros(2, 5), torch.tensor { 0, -1 }) end, "target %-1 is out of range")
  end)

  it("embedding gives rows of any width and dtype", function()
    for _, name in ipairs { "float32", "float64", "bfloat16", "uint8", "int64", "bool" } do
      for _, width in ipairs { 1, 2, 3, 5, 8, 17, 33, 64, 129, 300 } do
        local weight = torch.randint(0, 9, { 7, width }):to(torch[name])
        local at = torch.randint(0, 7, { 40, 3 })
        local one_hot = at:unsqueeze(-1):eq(torch.arange(7)):to(torch.float64)
        assert.is_true(torch.equal(F.embedding(at, weight), one_hot:matmul(weight:to(torch.float64)):to(torch[name])))
        assert.is_true(torch.equal(F.embedding(at:to(torch.int32), weight), F.embedding(at, weight)))
      end
    end
    assert.error_matches(function() F.embedding(torch.tensor { 0, 7, 3 }, torch.zeros(7, 2)) end, "index 7 is out of range")
    assert.error_matches(function() F.embedding(torch.tensor { 0, -1 }, torch.zeros(7, 2)) end, "index %-1 is out of range")
    assert.equal(0, F.embedding(torch.empty(0):to(torch.int64), torch.zeros(7, 2)):numel())
  end)
end)
