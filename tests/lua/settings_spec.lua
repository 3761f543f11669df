-- Settings of the library as a whole; masked reductions against what they mean; LinAlgError.
local torch = require "lampad"

describe("settings", function()
  it("of determinism are kept", function()
    torch.use_deterministic_algorithms(true, { warn_only = true })
    assert.is_true(torch.are_deterministic_algorithms_enabled())
    assert.is_true(torch.is_deterministic_algorithms_warn_only_enabled())
    assert.are.equal(1, torch.get_deterministic_debug_mode())
    torch.set_deterministic_debug_mode "default"
    assert.is_false(torch.are_deterministic_algorithms_enabled())
    assert.has_error(function() torch.set_deterministic_debug_mode "loud" end)
    torch.set_float32_matmul_precision "high"
    assert.are.equal("high", torch.get_float32_matmul_precision())
    torch.set_float32_matmul_precision "highest"
    assert.has_error(function() torch.set_float32_matmul_precision "low" end)
  end)

  it("of defaults refuse what there is not", function()
    torch.set_default_tensor_type "torch.DoubleTensor"
    assert.are.equal(torch.float64, torch.ones(1).dtype)
    torch.set_default_tensor_type "torch.FloatTensor"
    assert.has_error(function() torch.set_default_tensor_type "torch.cuda.FloatTensor" end)
    assert.are.equal("cpu", tostring(torch.get_default_device()))
    torch.set_default_device "cpu"
    assert.has_error(function() torch.set_default_device "cuda" end)
    assert.are.equal(-1, torch.get_device(torch.ones(1)))
  end)

  it("flush subnormal numbers when asked", function()
    if not torch.set_flush_denormal(true) then return end
    local tiny = torch.tensor({ 1e-310 }, { dtype = torch.float64 })
    local flushed = (tiny * 1.0):item()
    torch.set_flush_denormal(false)
    assert.are.equal(0.0, flushed)
    assert.are.equal(1e-310, (tiny * 1.0):item())
  end)

  it("name types and versions", function()
    assert.are.equal("torch.FloatTensor", torch.typename(torch.ones(1)))
    assert.are.equal("torch.dtype", torch.typename(torch.int8))
    assert.are.equal("int", torch.typename(3))
    assert.are.equal("str", torch.typename "x")
    assert.are.equal("torch.Generator", torch.typename(torch.Generator()))
    assert.are.equal("torch.storage.TypedStorage", torch.typename(torch.ones(1):storage()))
    assert.are.equal("Linear", torch.typename(torch.nn.Linear(1, 1)))
    assert.are.equal(torch.__version__, torch.version.__version__)
    assert.is_nil(torch.version.cuda)
    assert.truthy(torch.__config__.show():find "OpenBLAS")
    assert.truthy(torch.__config__.parallel_info():find "OpenMP")
    assert.is_true(torch.get_num_interop_threads() >= 1)
    assert.has_error(function() torch.set_num_interop_threads(0) end)
  end)

  it("fork_rng puts the generator's state back", function()
    torch.manual_seed(5)
    local inside
    local result = torch.random.fork_rng(function()
      inside = torch.rand(1):item()
      return 7
    end)
    assert.are.equal(7, result)
    assert.are.equal(inside, torch.rand(1):item())
    do
      local state = torch.get_rng_state()
      do
        local _ <close> = torch.random.fork_rng()
        torch.rand(3)
      end
      assert.is_true(torch.equal(state, torch.get_rng_state()))
      torch.random.fork_rng(function() torch.rand(1) end, { enabled = false })
      assert.is_false(torch.equal(state, torch.get_rng_state()))
    end
  end)
end)

describe("LinAlgError", function()
  it("tells matrices that are to blame from wrong arguments", function()
    local class = torch.linalg.LinAlgError
    for _, f in ipairs {
      function() torch.linalg.inv(torch.zeros(2, 2)) end, function() torch.linalg.solve(torch.zeros(2, 2), torch.ones(2)) end,
      function() torch.linalg.cholesky(-torch.eye(2)) end, function() torch.linalg.ldl_factor(torch.zeros(2, 2)) end,
      function() torch.inverse(torch.zeros(3, 2, 2)) end,
    } do
      local ok, err = pcall(f)
      assert.is_false(ok)
      assert.is_true(torch.isinstance(err, class), err)
    end
    local _, err = pcall(torch.linalg.inv, torch.zeros(2, 3))
    assert.is_false(torch.isinstance(err, class))
    _, err = pcall(error, class "no pivot")
    assert.is_true(torch.isinstance(err, class))
    assert.is_false(torch.isinstance(nil, class))
  end)
end)

describe("low rank", function()
  it("svd_lowrank and pca_lowrank find the dominant part", function()
    torch.manual_seed(3)
    local a = torch.randn(7, 3, { dtype = torch.float64 }):matmul(torch.randn(3, 4, { dtype = torch.float64 }))
    local u, s, v = torch.svd_lowrank(a, 3)
    assert.is_true(torch.allclose((u * s):matmul(v.mT), a))
    assert.is_true(torch.allclose(s, torch.linalg.svdvals(a)["0:3"]))
    u, s, v = torch.pca_lowrank(a.mT, { q = 3, center = true })
    assert.is_true(torch.allclose((u * s):matmul(v.mT), a.mT - a.mT:mean(0, true)))
    assert.has_error(function() torch.svd_lowrank(a, 9) end)
  end)

  it("lobpcg finds extreme eigenpairs, with derivatives", function()
    torch.manual_seed(0)
    local double = { dtype = torch.float64 }
    local a, b = torch.randn(12, 12, double), torch.randn(12, 12, double)
    a, b = a + a.mT, b:matmul(b.mT) + 12 * torch.eye(12, double)
    local exact = torch.linalg.eigvalsh(a)
    local e, x = torch.lobpcg(a, 3)
    assert.is_true(torch.allclose(e, exact["-3:"]:flip(0)))
    assert.is_true(torch.allclose(a:matmul(x), x * e, 1e-5, 1e-5))
    assert.is_true(torch.allclose((torch.lobpcg(a, 2, { largest = false })), exact["0:2"]))
    e, x = torch.lobpcg(a, 2, b)
    assert.is_true(torch.allclose(a:matmul(x), b:matmul(x) * e, 1e-5, 1e-5))
    local batch = torch.lobpcg(torch.stack { a, -a }, 1)
    assert.is_true(torch.allclose(batch, torch.stack { exact["-1:"], -exact["0:1"] }))
    local start = torch.randn(4, 1, double)
    assert.is_true(torch.autograd.gradcheck(function(t)
      local values, vectors = torch.lobpcg(t + t.mT, 1, { X = start, tol = 1e-12, niter = 20 })
      return values, vectors:abs()
    end, { torch.randn(4, 4, double):requires_grad_() }))
    for _, f in ipairs { function() torch.lobpcg(a, 5) end, function() torch.lobpcg(torch.ones(3, 4)) end,
      function() torch.lobpcg(a:long()) end, function() torch.lobpcg(a, 1, { method = "fast" }) end } do
      assert.has_error(f)
    end
  end)
end)

describe("masked", function()
  local x = torch.tensor { { -3., -2., -1. }, { 0., 1., 2. } }
  local mask = torch.tensor { { true, false, true }, { false, false, false } }
  local inf, nan = math.huge, 0 / 0
  for name, expected in pairs {
    sum = { -4., 0. }, prod = { 3., 1. }, amax = { -1., -inf }, amin = { -3., inf }, mean = { -2., nan },
    median = { -3., nan }, argmax = { 2., 0. }, argmin = { 0., 0. },
  } do
    it(name .. " counts what the mask keeps", function()
      assert.are.equal(tostring(torch.tensor(expected)), tostring(torch.masked[name](x, 1, { mask = mask })))
    end)
  end

  it("var, std, norm, softmax, normalize, logaddexp", function()
    local function is(expected, t) assert.are.equal(tostring(torch.tensor(expected)), tostring(t)) end
    is({ 2., nan }, torch.masked.var(x, 1, true, { mask = mask }))
    is({ 1., nan }, torch.masked.std(x, 1, false, { mask = mask }))
    is({ 3., 0. }, torch.masked.norm(x, inf, 1, { mask = mask }))
    is({ 1., inf }, torch.masked.norm(x, -inf, 1, { mask = mask }))
    is({ { 0.1192, 0., 0.8808 }, { nan, nan, nan } }, torch.masked.softmax(x, 1, { mask = mask }))
    is({ { -3., -3., -4. }, { 0., 0., 0. } }, torch.masked.cumsum(x, 1, { mask = mask }))
    is({ { -2.3069, -inf, -0.3069 }, { -inf, -inf, -inf } },
      torch.masked.logaddexp(x, x, { input_mask = mask, other_mask = mask }))
    is(-4., torch.masked.sum(x, { mask = mask }))
    assert.has_error(function() torch.masked.mean(x:long(), 1) end)
    assert.has_error(function() torch.masked.median(x:long(), 1, { mask = mask }) end)
    assert.has_error(function() torch.masked.sum(x, 1, { mask = torch.ones(2, 2) }) end)
  end)
end)
