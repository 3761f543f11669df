-- torch.distributions: messages as PyTorch's, classes of one's own, utilities, streams and gradients.
local torch = require "lampad"
local D = torch.distributions
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/distributions_golden.lua")

local f64 = { dtype = torch.float64 }

-- Words of PyTorch's messages that are Python's.
local function in_lua(message)
  return (message:gsub("^ ", ""):gsub("transform _", "transform "):gsub("'", ""))
end

describe("messages", function()
  for _, row in ipairs(golden.load "errors") do
    it(row[1], function()
      local chunk = assert(load("local D, T, torch = ...; local made = " .. row[1] .. "; return made", "=golden", "t"))
      local ok, message = pcall(chunk, D, torch.tensor, torch)
      assert.is_false(ok)
      assert.truthy(message:find("^golden:1: "), message)
      local bare, expected = golden.bare(message), in_lua(row[2])
      if not bare:gsub("'", ""):find(expected, 1, true) then
        error(("expected\n  %s\ngot\n  %s"):format(expected, bare))
      end
    end)
  end
end)

describe("torch.distributions", function()
  it("has every name", function()
    for name in pairs(D) do assert.truthy(D[name], name) end
    assert.is_true(torch.isinstance(D.Normal(0, 1), D.Normal))
    assert.is_true(torch.isinstance(D.Chi2(1), D.ExponentialFamily))
    assert.is_false(torch.isinstance(D.Normal(0, 1), D.Gamma))
    assert.equal(D.transforms.ExpTransform, D.ExpTransform)
    assert.equal(D.kl.kl_divergence, D.kl_divergence)
    assert.equal(D.normal.Normal, D.Normal)
    assert.equal(D.relaxed_bernoulli.LogitRelaxedBernoulli, D.LogitRelaxedBernoulli)
  end)

  it("takes arguments by position, by name, as numbers and tensors", function()
    for _, d in ipairs { D.Normal(1, 2), D.Normal { loc = 1, scale = 2 }, D.Normal(1, { scale = 2 }),
      D.Normal(torch.tensor(1.), 2.) } do
      assert.equal("Normal(loc: 1.0, scale: 2.0)", tostring(d))
      assert.equal(torch.float32, d.loc.dtype)
    end
    assert.error_matches(function() D.Normal(1) end, "argument 'scale' .* is missing")
    assert.error_matches(function() D.Normal("a", 1) end, "Normal: argument 'loc' must be a number or a tensor, got string")
    assert.error_matches(function() D.Dirichlet(1) end, "argument 'concentration' must be a tensor, got number")
    assert.error_matches(function() D.Normal(1, 2, { validate = true }) end, "unknown argument 'validate'")
    assert.error_matches(function() D.Categorical(0.5) end, "argument 'probs' must be a tensor, got number")
    assert.error_matches(function() D.Independent(3, 1) end, "argument 'base_distribution' must be a Distribution, got number")
    assert.error_matches(function() D.TransformedDistribution(D.Normal(0, 1), 3) end, "transforms must be a Transform or list")
  end)

  it("refuses what does not fit", function()
    assert.error_matches(function() D.Normal(torch.zeros(2), torch.ones(3)) end,
      "Normal: argument 'scale' of shape torch.Size%(%[3%]%) does not broadcast with the shape torch.Size%(%[2%]%) before it")
    assert.error_matches(function() D.Independent(D.Normal(torch.zeros(2), 1), -1) end, "must be >= 0, got %-1")
    assert.error_matches(function() D.Normal(0, 1):icdf "x" end, "Normal: argument 'value' must be a tensor, got string")
    assert.error_matches(function() D.ExpTransform() "x" end, "ExpTransform: argument 'x' must be a tensor, got string")
    assert.equal("tensor(7.)", tostring(D.AffineTransform(1, 2)(3)))
    assert.equal("tensor(0.)", tostring(D.Normal(0, 1):icdf(0.5)))
    assert.error_matches(function() D.Wishart(3, torch.eye(2)):rsample({ 2 }, { max_try_correction = "x" }) end,
      "Wishart: argument 'max_try_correction' must be an integer")
  end)

  it("takes sample shapes in every spelling", function()
    local d = D.Normal(torch.zeros(2), 1)
    for _, drawn in ipairs { d:sample(3), d:sample { 3 }, d:sample(torch.Size { 3 }), d:sample { sample_shape = { 3 } },
      d:rsample(3), d:sample_n(3) } do
      assert.same({ 3, 2 }, { drawn.shape:unpack() })
    end
    assert.same({ 3, 4, 2 }, { d:sample(3, 4).shape:unpack() })
    assert.same({ 2 }, { d:sample().shape:unpack() })
    assert.same({ 2 }, { d:sample(nil).shape:unpack() })
    assert.error_matches(function() d:sample(1.5) end, "Normal: argument 'sample_shape' must hold integers")
    assert.error_matches(function() d:sample { -1 } end, "integers of at least 0")
    assert.error_matches(function() d:sample { sample_shap = 3 } end, "unknown argument 'sample_shap'")
  end)

  it("draws from a generator of one's own", function()
    local generator = torch.Generator()
    generator:manual_seed(3)
    torch.manual_seed(3)
    local d = D.Gamma(torch.tensor { 0.5, 2. }, 1.)
    local expected = d:sample(2)
    assert.is_true(expected:equal(d:sample({ 2 }, { generator = generator })))
    generator:manual_seed(3)
    assert.is_true(expected:equal(d:sample { sample_shape = 2, generator = generator }))
    generator:manual_seed(3)
    assert.is_true(expected:equal(d:rsample({ 2 }, generator):detach()))
  end)

  it("keeps sample out of the graph and rsample in it", function()
    local scale = torch.tensor { 1., 2. }
    scale:requires_grad_(true)
    assert.is_false(D.Normal(0, scale):sample().requires_grad)
    assert.is_true(D.Normal(0, scale):rsample().requires_grad)
    assert.is_false(D.LogNormal(0, scale):sample().requires_grad)
    assert.is_true(D.LogNormal(0, scale):rsample().requires_grad)
    assert.error_matches(function() D.Bernoulli(0.5):rsample() end, "Bernoulli: the distribution does not implement rsample")
    assert.error_matches(function() return D.Wishart(3, torch.eye(2)):cdf(torch.eye(2)) end, "does not implement cdf")
  end)

  it("copes with empty batches", function()
    local none = torch.zeros(0)
    assert.same({ 2, 0 }, { D.Normal(none, 1):sample(2).shape:unpack() })
    assert.same({ 0 }, { D.Normal(none, 1):log_prob(none).shape:unpack() })
    assert.same({ 2, 0, 3 }, { D.Dirichlet(torch.ones(0, 3)):sample(2).shape:unpack() })
    assert.same({ 0, 2 }, { D.Categorical(torch.ones(2, 3)):sample(0).shape:unpack() })
    assert.same({ 0 }, { D.Gamma(torch.ones(0), 1):entropy().shape:unpack() })
    assert.same({ 0 }, { D.MultivariateNormal(torch.zeros(0, 2), torch.eye(2)):log_prob(torch.zeros(0, 2)).shape:unpack() })
  end)

  it("validates when asked to", function()
    D.Distribution.set_default_validate_args(false)
    local ok, message = pcall(function()
      D.Normal(0, -1)
      assert.error_matches(function() D.Normal(0, -1, { validate_args = true }) end, "to satisfy the constraint")
    end)
    D.Distribution.set_default_validate_args(true)
    assert.is_true(ok, message)
    assert.error_matches(function() D.Normal(0, -1) end, "to satisfy the constraint")
    local unchecked = D.Uniform(0, 1, { validate_args = false })
    assert.equal(-math.huge, unchecked:log_prob(torch.tensor(3.)):item())
    assert.equal(-math.huge, unchecked:expand { 2 }:log_prob(torch.tensor(3.))[0]:item())
    assert.error_matches(function() D.Distribution.set_default_validate_args(3) end, "must be a boolean")
    assert.error_matches(function() D.Normal(0, 1):log_prob(3) end, "The value argument to log_prob must be a Tensor")
    local parameter = torch.nn.Parameter(torch.tensor { -1. })
    assert.error_matches(function() D.Normal(0, parameter) end, "Expected parameter scale %(Parameter of shape %(1,%)%)")
  end)

  it("can be extended", function()
    local Triangular = D.Distribution:extend "Triangular"
    Triangular.arg_constraints = { width = D.constraints.positive }
    Triangular.has_rsample = true
    function Triangular:init(width, validate_args)
      self.width = torch.as_tensor(width)
      D.Distribution.init(self, self.width.shape, nil, validate_args)
    end
    function Triangular:support() return D.constraints.interval(-self.width, self.width) end
    function Triangular:mean() return torch.zeros_like(self.width) end
    function Triangular:variance() return self.width ^ 2 / 6 end
    function Triangular:rsample(...)
      local shape = self:_extended_shape(...)
      return self.width * (torch.rand(shape) - torch.rand(shape))
    end
    function Triangular:log_prob(value)
      if self._validate_args then self:_validate_sample(value) end
      return torch.log1p(-value:abs() / self.width) - self.width:log()
    end
    local d = Triangular(torch.tensor { 1., 2. })
    assert.equal("Triangular(width: torch.Size([2]))", tostring(d))
    assert.same({ 0, 0 }, d.mean:tolist())
    assert.near(math.sqrt(4 / 6), d.stddev[1]:item(), 1e-6)
    assert.same({ 5, 2 }, { d:sample(5).shape:unpack() })
    assert.near(-math.log(2), d:log_prob(torch.zeros(2))[1]:item(), 1e-6)
    assert.error_matches(function() d:log_prob(torch.tensor { 3., 0. }) end, "to be within the support")
    assert.error_matches(function() Triangular(torch.tensor(-1.)) end, "Expected parameter width")
    assert.error_matches(function() d:expand { 3, 2 } end, "Triangular: expand is not implemented")
    assert.error_matches(function() return d.mode end, "Triangular: the distribution does not implement mode")
    local both = D.Independent(d, 1)
    assert.same({}, { both:log_prob(torch.zeros(2)).shape:unpack() })

    local Named = D.Normal:extend "Named"
    function Named:init(name)
      self.name = name
      D.Normal.init(self, 0, 1)
    end
    assert.error_matches(function() Named("x"):expand { 2 } end, "Subclass Named of Normal that defines a custom init must also")
    local Plain = D.Normal:extend "Plain"
    assert.equal("Plain(loc: torch.Size([2]), scale: torch.Size([2]))", tostring(Plain(0, 1):expand { 2 }))
  end)

  it("takes entropies of exponential families from the log normalizer", function()
    for _, d in ipairs { D.Normal(0.5, torch.tensor { 1., 2. }), D.Gamma(1.5, torch.tensor { 1., 2. }), D.Bernoulli(torch.tensor { 0.25, 0.5 }),
      D.Exponential(torch.tensor { 1., 2. }) } do
      local bregman = D.ExponentialFamily.entropy(d)
      assert.is_true(bregman:allclose(d:entropy(), { atol = 1e-5 }), d.__name)
    end
    assert.error_matches(function() D.Poisson(2.):entropy() end, "does not implement entropy")
  end)

  it("differentiates what it draws", function()
    local a = torch.tensor({ 0.3, 0.9, 2.5, 7.0, 30.0 }, f64)
    local b = torch.tensor({ 1.5, 0.5, 3.0, 8.0, 25.0 }, f64)
    -- Moving a parameter moves the number so that the distribution function stays.
    for name, d in pairs { gamma = function(x) return D.Gamma(x, 1.) end, beta = function(x) return D.Beta(x, b) end } do
      torch.manual_seed(2)
      local x = a:clone():requires_grad_(true)
      local drawn = d(x):rsample()
      local grad = torch.autograd.grad(drawn:sum(), { x })
      local step = 1e-4
      local at = drawn:detach()
      local function cdf(p)
        if name == "gamma" then return torch.special.gammainc(p, at) end
        -- The Beta distribution function by the trapezoidal rule in the logit of x.
        local t = torch.linspace(0, 1, 20001, f64)[{ "1:" }]:unsqueeze(-1)
        local logit = torch.log(at / (1 - at)) - (1 - t) * 200 * (1 / torch.minimum(p, b)):clamp { max = 4 }
        local y = torch.sigmoid(logit)
        local density = torch.exp(p * y:log() + b * torch.log1p(-y) + torch.lgamma(p + b) - torch.lgamma(p) - torch.lgamma(b))
        return torch.trapezoid(density, logit, { dim = 0 })
      end
      local slope = (cdf(a + step) - cdf(a - step)) / (2 * step)
      local expected = -slope / d(a):log_prob(at):exp()
      for i = 0, a:numel() - 1 do
        assert.near(1, grad[i]:item() / expected[i]:item(), 2e-3, name .. " " .. i)
      end
    end
  end)

  it("refuses second derivatives of the draws", function()
    local a = torch.tensor({ 1.5, 2.5 }, f64):requires_grad_(true)
    local first = torch.autograd.grad(torch._standard_gamma(a):sum(), { a }, { create_graph = true })
    assert.error_matches(function() first:sum():backward() end, "_standard_gamma_grad")
  end)

  it("draws nothing from senseless shapes and stops", function()
    local drawn = torch._standard_gamma(torch.tensor { 0 / 0, -3., 0. })
    assert.is_true(drawn[0]:isnan():item() and drawn[1]:isnan():item())
    assert.equal(torch.finfo(torch.float32).tiny, drawn[2]:item())
    assert.error_matches(function() torch._standard_gamma(torch.ones(2, { dtype = torch.int64 })) end,
      "self %(the shapes%) must have dtype float32 or float64, got int64")
    assert.error_matches(function() torch._sample_dirichlet(torch.tensor(1.)) end, "must have at least 1 dim")
    assert.error_matches(function() torch._dirichlet_grad(torch.rand(2), torch.ones(2, f64), torch.ones(2)) end,
      "alpha and total must have x's dtype")
  end)

  it("keeps lazy parameters, with gradients even inside no_grad", function()
    local probs = torch.tensor { 0.25, 0.5 }
    probs:requires_grad_(true)
    local d = D.Bernoulli(probs)
    local _
    torch.no_grad(function() _ = d.logits end)
    assert.is_true(d.logits.requires_grad)
    assert.is_true(rawequal(d.logits, d.logits))
    assert.equal("Bernoulli(probs: torch.Size([2]), logits: torch.Size([2]))", tostring(d))
    assert.same({ 2 }, { d.param_shape:unpack() })
    assert.same({ 2 }, { D.Multinomial(3, torch.ones(2)).param_shape:unpack() })
  end)

  it("is certain of certain counts", function()
    local d = D.Binomial(100, torch.tensor { 0., 1. })
    assert.same({ 0, 0 }, d:log_prob(torch.tensor { 0., 100. }):tolist())
    assert.is_true(d:log_prob(torch.tensor { 1., 99. }):lt(-10):all():item())
  end)

  it("mixes, reshapes and nests", function()
    local gmm = D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Normal(torch.tensor { -1., 1. }, 0.5))
    assert.equal("MixtureSameFamily(\n  Categorical(probs: torch.Size([2]), logits: torch.Size([2])),\n  "
      .. "Normal(loc: torch.Size([2]), scale: torch.Size([2])))", tostring(gmm))
    assert.near(0, gmm.mean:item(), 1e-6)
    local reshaped = D.TransformedDistribution(D.Independent(D.Normal(torch.zeros(4), 1), 1), D.ReshapeTransform({ 4 }, { 2, 2 }))
    assert.same({ 2, 2 }, { reshaped.event_shape:unpack() })
    assert.same({}, { reshaped:log_prob(torch.zeros(2, 2)).shape:unpack() })
    local copula = D.TransformedDistribution(D.MultivariateNormal(torch.zeros(2), torch.eye(2)),
      D.CumulativeDistributionTransform(D.Normal(0, 1)))
    assert.is_true(D.constraints.unit_interval:check(copula:sample(3)):all():item())
  end)
end)

describe("torch.distributions.utils", function()
  local utils = D.utils

  it("broadcasts numbers and tensors", function()
    local a, b = utils.broadcast_all(1, torch.zeros(2, f64))
    assert.equal("tensor([1., 1.], dtype=torch.float64)", tostring(a))
    assert.equal("tensor([0., 0.], dtype=torch.float64)", tostring(b))
    local x = torch.zeros(2)
    assert.is_true(rawequal(x, (utils.broadcast_all(x, 3))))
    assert.equal("tensor(3.)", tostring(utils.broadcast_all(3)))
    assert.error_matches(function() utils.broadcast_all("x") end, "broadcast_all: argument '0' must be a number or a tensor, got string")
  end)

  it("changes between probabilities and logits", function()
    local probs = torch.tensor { 0., 0.5, 1. }
    assert.equal("tensor([1.1921e-07, 5.0000e-01, 1.0000e+00])", tostring(utils.clamp_probs(probs)))
    assert.equal("tensor([-15.9424,   0.0000,  15.9424])", tostring(utils.probs_to_logits(probs, true)))
    assert.equal("tensor([-1.5942e+01, -6.9315e-01, -1.1921e-07])", tostring(utils.probs_to_logits(probs)))
    assert.equal("tensor([0.3333, 0.3333, 0.3333])", tostring(utils.logits_to_probs(torch.zeros(3))))
    assert.equal("tensor([0.5000, 0.7311])", tostring(utils.logits_to_probs(torch.tensor { 0., 1. }, { is_binary = true })))
  end)

  it("turns triangles into vectors and back", function()
    local m = torch.arange(1, 10):reshape(3, 3):to(torch.float32)
    assert.same({ 1, 4, 5, 7, 8, 9 }, utils.tril_matrix_to_vec(m):tolist())
    for diag = -2, 0 do
      local vec = utils.tril_matrix_to_vec(torch.stack { m, m + 1 }, diag)
      assert.is_true(torch.stack({ m, m + 1 }):tril(diag):equal(utils.vec_to_tril_matrix(vec, diag)))
    end
    assert.error_matches(function() utils.vec_to_tril_matrix(torch.ones(4)) end, "The size of last dimension is 4")
  end)

  it("makes properties", function()
    local calls, Mine = 0, D.Distribution:extend "Mine"
    Mine.arg_constraints = {}
    Mine.twice = utils.property(function(self) return 2 * self.once end)
    Mine.once = utils.lazy_property(function()
      calls = calls + 1
      return 21
    end)
    local mine = Mine()
    assert.equal(42, mine.twice)
    assert.equal(42, mine.twice)
    assert.equal(1, calls)
  end)
end)

describe("Gamma and Dirichlet draws", function()
  local a = torch.tensor { 0.05, 0.5, 1., 2., 7., 50. }

  it("are PyTorch's stream", function()
    local function equal(expected, got)
      for i, v in ipairs(got:reshape(-1):tolist()) do assert.near(expected[i], v, math.abs(expected[i]) * 2e-7) end
    end
    torch.manual_seed(11)
    equal({ 0.0299470834, 0.0704159439, 0.888554692, 2.37272406, 11.342433, 47.4893837 }, torch._standard_gamma(a))
    equal({ 0.13017660720308005, 0.07015347356920512, 2.1941148818777108, 0.7024953306470098, 2.533347270259672, 60.117387384963045 },
      torch._standard_gamma(a:double()))
    equal({ 5.75055021e-12, 0.0129881073, 0.0515664034, 0.0265055317, 0.129817426, 0.779122531 }, torch._sample_dirichlet(a))
    equal({ 1.3847102175284219e-06, 0.1602062228158938, 0.8397923924738886 }, torch._sample_dirichlet(a:double()[{ ":3" }]))
    equal({ 0.60351634, 2.01006699, 1.19917202, 4.88660574, 1.26244259, 4.00509644 }, torch._standard_gamma(torch.arange(1., 7.):reshape(2, 3):t()))
  end)

  it("leak nothing when memory runs out", function()
    local core = require "lampad.core"
    local function live()
      collectgarbage()
      collectgarbage()
      return core.memory_stats().live_count
    end
    local leaf = a:clone():requires_grad_(true)
    for _, call in ipairs { function() torch._standard_gamma(a:expand(3, 6)) end,
      function() torch._sample_dirichlet(a:expand(2, 6)) end,
      function() torch._dirichlet_grad(a:reciprocal() / 30, a, a + 1) end,
      function() torch.autograd.grad(torch._sample_dirichlet(leaf):sum(), { leaf }) end } do
      call()
      local before, failures = live(), 0
      for n = 0, 1000 do
        core.memory_fail_after(n)
        local ok, message = pcall(call)
        core.memory_fail_after(-1)
        if ok then break end
        failures = failures + 1
        assert.truthy(tostring(message):find("memory", 1, true), tostring(message))
      end
      assert.is_true(failures > 0 and failures < 1000)
      assert.equal(before, live())
    end
  end)
end)
