-- torch.func and torch.vmap against PyTorch's values (tests/golden/func.lua) and against mathematics.
local torch = require "lampad"
local nn, F, func, vmap = torch.nn, torch.nn.functional, torch.func, torch.vmap
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/func.lua")
local f64 = { dtype = torch.float64 }

local function wave(...)
  local shape, n = { ... }, 1
  for _, s in ipairs(shape) do n = n * s end
  return torch.sin(torch.arange(n, f64) * 0.7 + 0.3):reshape(shape)
end

-- Compares nested tables of numbers with tensors or nested tables of them.
local function same(expected, got, tolerance, path)
  path = path or "result"
  if torch.is_tensor(got) then got = got:tolist() end
  if type(expected) == "number" then
    assert(type(got) == "number", path .. " is a " .. type(got))
    if not (math.abs(expected - got) <= (tolerance or 1e-10)) then
      error(("%s is %.12g, expected %.12g"):format(path, got, expected), 0)
    end
    return
  end
  for key, value in pairs(expected) do
    assert(got[key] ~= nil, ("%s[%s] is missing"):format(path, tostring(key)))
    same(value, got[key], tolerance, ("%s[%s]"):format(path, tostring(key)))
  end
end

local x3, m, b = wave(3), wave(3, 4), wave(5, 3)

describe("torch.func agrees with PyTorch:", function()
  local cases = {
    hessian = function() return func.hessian(function(x) return (x:exp() * x:roll(1)):sum() end)(x3) end,
    jacrev_jacrev = function() return func.jacrev(func.jacrev(function(x) return x:softmax(0) end))(x3) end,
    jacfwd_matrix = function() return func.jacfwd(function(x) return x:matmul(m):tanh() end)(b[":2"]) end,
    jacrev_two = function()
      return { func.jacrev(function(p, q) return p:sin() * q, (p * q):sum() end, { 0, 1 })(x3, x3 + 1) }
    end,
    jacrev_dict = function()
      return func.jacrev(function(d) return { u = d.p * d.q:sum() } end)({ p = x3, q = x3 * 2 })
    end,
    vmap_hessian = function() return vmap(func.hessian(function(x) return (x ^ 3):sum() + x:prod() end))(b) end,
    grad_vmap_grad = function()
      local inner = func.grad(function(a) return (a:sin() * a):sum() end)
      return func.grad(function(t) return vmap(inner)(t):pow(2):sum() end)(b)
    end,
    vmap_vmap = function() return vmap(vmap(torch.dot, { 0, nil }), { nil, 0 })(b, wave(2, 3)) end,
    vmap_dims = function()
      local f = vmap(function(p, q) return p * q, p:sum() end, { in_dims = { 1, 0 }, out_dims = { -1, 0 } })
      return { f(b, wave(3, 5)) }
    end,
    vmap_of_jvp = function()
      return vmap(function(p, t) return (select(2, func.jvp(torch.tanh, { p }, { t }))) end)(b, b:flip(0))
    end,
    jvp = function() return { func.jvp(function(p, q) return p * q:exp() end, { x3, x3 * 2 }, { x3 + 1, x3 * 3 }) } end,
    jvp_of_jvp = function()
      local inner = function(p) return (select(2, func.jvp(function(q) return q:sin():exp() end, { p }, { p * 2 }))) end
      return (select(2, func.jvp(inner, { x3 }, { torch.ones(3, f64) })))
    end,
    vjp = function()
      local _, pull = func.vjp(function(p, q) return p * q:exp() end, x3, x3 * 2)
      return { pull(x3 + 1) }
    end,
    grad_and_value = function()
      return { func.grad_and_value(function(p) return (p * p:cumsum(0)):sum() end)(x3) }
    end,
    vmap_linalg = function()
      return vmap(function(a)
        return torch.linalg.solve(a:matmul(a.T) + 3 * torch.eye(3, f64), a)
      end)(wave(2, 3, 3))
    end,
    vmap_index = function()
      return vmap(function(a, i) return a[i] end)(b, torch.tensor { { 0, 2 }, { 1, 1 }, { 2, 0 }, { 0, 0 }, { 2, 1 } })
    end,
    vmap_scatter = function()
      return vmap(function(a, i) return torch.zeros(4, f64):scatter_add(0, i, a) end)(b,
        torch.arange(15):reshape(5, 3) % 4)
    end,
    functional_jacobian = function()
      return torch.autograd.functional.jacobian(function(p, q) return p * q:sum(), q ^ 2 end, { x3, x3 * 2 })
    end,
    functional_hessian = function()
      return torch.autograd.functional.hessian(function(p, q) return (p ^ 2 * q):sum() end, { x3, x3 * 2 })
    end,
    functional_hvp = function()
      return { torch.autograd.functional.hvp(function(p) return (p ^ 3):sum() end, x3, x3 + 1) }
    end,
    functional_jvp = function()
      return { torch.autograd.functional.jvp(function(p) return p:exp():cumsum(0) end, x3, x3 + 1) }
    end,
  }
  for name, case in pairs(cases) do
    it(name, function() same(golden[name], case()) end)
  end

  local function per_sample(net, x, target)
    local params = {}
    for name, p in net:named_parameters() do params[name] = p:detach() end
    local function loss(p, sample, label)
      return F.cross_entropy(func.functional_call(net, p, { sample:unsqueeze(0) }), label:unsqueeze(0))
    end
    return vmap(func.grad(loss), { in_dims = { false, 0, 0 } })(params, x, target)
  end

  it("gradients of each sample of a perceptron", function()
    torch.manual_seed(11)
    local net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)):double()
    same(golden.per_sample_mlp, per_sample(net, b, torch.tensor { 0, 2, 1, 1, 0 }))
  end)

  it("gradients of each sample of a convolutional net", function()
    torch.manual_seed(12)
    local net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.LayerNorm(8),
      nn.Linear(8, 3)):double()
    same(golden.per_sample_conv, per_sample(net, wave(4, 1, 6, 6), torch.tensor { 0, 2, 1, 2 }))
  end)

  it("ensembles of stacked modules", function()
    local models = {}
    for seed = 0, 2 do
      torch.manual_seed(seed)
      models[#models + 1] = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)):double()
    end
    local params, buffers = func.stack_module_state(models)
    local function run(p, bufs, inputs) return func.functional_call(models[1], { p, bufs }, inputs) end
    same(golden.ensemble, { vmap(run, { 0, 0, nil })(params, buffers, wave(5, 3)):detach(),
      vmap(run)(params, buffers, wave(3, 2, 3)):detach() })
  end)

  it("random numbers", function()
    local ones = torch.ones(2, 6)
    local function seeded(f, mode, input)
      torch.manual_seed(5)
      return vmap(f, { randomness = mode or "different" })(input or ones)
    end
    same(golden.randomness, {
      rand = seeded(function(a) return torch.rand(3) + 0 * a:sum() end),
      rand_same = seeded(function(a) return torch.rand(3) + 0 * a:sum() end, "same"),
      dropout = seeded(function(a) return F.dropout(a) end),
      dropout_same = seeded(function(a) return F.dropout(a) end, "same"),
      dropout2d = seeded(function(a) return F.dropout2d(a) end, nil, torch.ones(2, 2, 3, 1, 1)),
      bernoulli = seeded(torch.bernoulli, nil, ones / 2),
      randperm = seeded(function(a) return torch.randperm(5) + 0 * a:sum():long() end),
      multinomial = seeded(function(a) return torch.multinomial(a, 3) end),
      normal = seeded(function(a) return torch.empty_like(a):normal_() end),
      normal_same = seeded(function(a) return torch.empty_like(a):normal_() end, "same"),
      grad_dropout = seeded(func.grad(function(a) return (F.dropout(a, 0.3) * a):sum() end)),
    }, 1e-6)
  end)
end)

describe("transforms", function()
  it("give results that require grad only where something outside does", function()
    local w = torch.tensor({ 1.0, 2.0 }, { requires_grad = true })
    local plain = func.grad(function(x) return (x * x):sum() end)(torch.ones(2))
    assert.is_false(plain.requires_grad)
    local tied = func.grad(function(x) return (x * w * w):sum() end)(torch.ones(2))
    assert.is_true(tied.requires_grad)
    tied:sum():backward()
    same({ 2, 4 }, w.grad)
    w.grad = nil
    local each = vmap(func.grad(function(x) return (x * x * w):sum() end))(torch.ones(3, 2))
    each:sum():backward()
    same({ 6, 6 }, w.grad)
    local _, value = func.grad_and_value(function(x) return (x * w):sum() end)(torch.ones(2))
    assert.is_true(value.requires_grad)
  end)

  it("ignore no_grad around them and obey it inside", function()
    torch.no_grad(function()
      local g = func.grad(function(x) return (x * x):sum() end)(torch.ones(2))
      same({ 2, 2 }, g)
      assert.is_false(g.requires_grad)
    end)
    same({ 0, 0 }, func.grad(function(x)
      local y = torch.no_grad(function() return x * x end)
      return y:sum() + 0 * x:sum()
    end)(torch.ones(2)))
  end)

  it("take and give trees", function()
    local g = func.grad(function(p, k) return (p.w * p.list[2]):sum() * k end)(
      { w = torch.ones(2), list = { torch.ones(1), torch.full({ 2 }, 3.0) } }, 2.0)
    same({ w = { 6, 6 }, list = { { 0 }, { 2, 2 } } }, g)
    local grads, both = func.grad_and_value(function(x) return x:sum(), { doubled = x * 2 } end, 0, true)(torch.ones(2))
    same({ 1, 1 }, grads)
    same({ 2, { doubled = { 2, 2 } } }, both)
    local ga, gb = table.unpack(func.grad(function(a, c) return (a * c):sum() end, { -1, 0 })(x3, x3 + 1))
    same(x3:tolist(), ga)
    same((x3 + 1):tolist(), gb)
  end)

  it("nest in any order", function()
    local f = function(x) return x:sin() end
    local d3 = func.grad(func.grad(func.grad(f)))
    same(-math.cos(0.5), d3(torch.tensor(0.5, f64)))
    local outer = func.jacfwd(func.jacfwd(func.jacrev(function(x) return (x ^ 4):sum() end)))
    same(24 * 0.7, outer(torch.tensor({ 0.7 }, f64))[{ 0, 0, 0 }]:item(), 1e-9)
    -- The derivative of x * d/dy (x + y) at y = 1 is 1: no confusion of perturbations.
    local confused = func.grad(function(x)
      return x * func.grad(function(y) return x + y end)(torch.tensor(1.0, f64))
    end)
    same(1, confused(torch.tensor(1.0, f64)))
    local y, push = func.linearize(function(x) return x:exp(), x * 2 end, x3)
    local tangents = { push(torch.ones(3, f64)) }
    same(y[1]:tolist(), tangents[1])
    same({ 2, 2, 2 }, tangents[2])
  end)

  it("say what is wrong", function()
    local function message(f, ...) return select(2, pcall(f, ...)) end
    assert.match("only 1 positional inputs", message(func.grad(torch.sum, 1), x3))
    assert.match("scalar tensor, got tensor with 1 dims", message(func.grad(torch.sin), x3))
    assert.match("only Tensors of floating point", message(func.grad(torch.sum), torch.tensor { 1, 2 }))
    assert.match("should be two results", message(func.grad(torch.sum, 0, true), x3))
    assert.match("`chunk_size` should be greater", message(func.jacrev, torch.sin, { chunk_size = 0 }))
    assert.match("doesn't match the shape", message(func.jvp, torch.sin, { x3 }, { torch.ones(2, f64) }))
    assert.match("pytree structure of cotangents", message(select(2, func.vjp(torch.sin, x3)), { x3 }))
    assert.match("must be unique", message(func.grad(torch.dot, { 0, 0 }), x3, x3))
  end)
end)

describe("vmap", function()
  it("maps trees, constants, other dims and pieces", function()
    local out = vmap(function(d, k) return { s = d.a + k, t = { d.c:sum() } } end, { { a = 0, c = 1 }, nil })(
      { a = torch.arange(3.0), c = torch.ones(2, 3) }, 10)
    same({ s = { 10, 11, 12 }, t = { { 2, 2, 2 } } }, out)
    same((b * 2):tolist(), vmap(function(a) return a * 2 end, { chunk_size = 2 })(b))
    same((b * 2).T:tolist(), vmap(function(a) return a * 2 end, { out_dims = 1, chunk_size = 3 })(b))
    assert.equal(torch.Size { 0, 6 }, vmap(function(a) return a * 2 end)(torch.ones(0, 6)).shape)
    local first, constant = vmap(function(a) return a, 7 end, 0, { 0, false })(b)
    same(b:tolist(), first)
    assert.equal(7, constant)
  end)

  it("sees one example", function()
    vmap(function(a)
      assert.equal(torch.Size { 3 }, a.shape)
      assert.equal(1, a.ndim)
      assert.equal(3, #a)
      assert.match("^BatchedTensor%(lvl=%d+, bdim=0, value=\n    tensor%(", tostring(a))
      return a
    end)(b)
  end)

  it("writes in place", function()
    local t = torch.zeros(4, 3)
    vmap(function(a) a:add_(1); a[0] = 5; a["1:"]:mul_(2) return a end)(t)
    same({ { 5, 2, 2 }, { 5, 2, 2 }, { 5, 2, 2 }, { 5, 2, 2 } }, t)
    local g = vmap(func.grad(function(a)
      local c = a * 1
      c[1] = 0
      c["2:"]:mul_(3)
      return (c * c):sum()
    end))(torch.ones(2, 4))
    same({ { 2, 0, 18, 18 }, { 2, 0, 18, 18 } }, g)
    local leaf = torch.ones(2, 3, { requires_grad = true })
    vmap(function(a) local c = a:clone(); c[0] = a[1] * 7; return c:exp_():sum() end)(leaf):sum():backward()
    local e, e7 = math.exp(1), 7 * math.exp(7)
    same({ { 0, e + e7, e }, { 0, e + e7, e } }, leaf.grad, 1e-2)
  end)

  it("indexes by a number of each example", function()
    local t, at = torch.arange(12.0):reshape(3, 4), torch.tensor { 0, 2, 3 }
    same({ 0, 6, 11 }, vmap(function(a, i) return a[i] end)(t, at))
    same({ 0, 4, 9 }, vmap(function(a, i) return a:reshape(2, 2)[{ 0, i % 2 }] end)(t, at))
    same({ { 9, 1, 2, 3 }, { 4, 5, 9, 7 }, { 8, 9, 10, 9 } }, vmap(function(a, i)
      local c = a:clone()
      c[i] = 9
      return c
    end)(t, at))
    same({ { 1, 0, 0, 0 }, { 0, 0, 1, 0 }, { 0, 0, 0, 1 } }, vmap(func.grad(function(a, i) return a[i] end))(t, at))
    same({ { 0, 1, 2, 3 }, { 4, 5, 0, 0 }, { 0, 0, 0, 0 } }, vmap(function(a)
      local c = a:clone()
      c[c:gt(5)] = 0
      return c
    end)(t))
  end)

  it("promotes dtypes as one example would", function()
    local r = vmap(function(a) return a:sum() * torch.ones(2) end)(torch.ones(3, 2, f64))
    assert.equal(torch.float32, r.dtype)
    assert.equal(torch.float64, vmap(function(a) return a * torch.ones(2) end)(torch.ones(3, 2, f64)).dtype)
    assert.equal(torch.float32, vmap(function(a) return a * 2.5 end)(torch.tensor { 1, 2 }).dtype)
  end)

  it("works inside of a backward and with batched cotangents", function()
    local x = torch.randn(3, { requires_grad = true, dtype = torch.float64 })
    local y = x ^ 3
    local rows = torch.autograd.grad(y, x, torch.eye(3, f64), { is_grads_batched = true })
    same((3 * x * x):diag():tolist(), rows)
  end)

  it("refuses what has no batched form", function()
    local function message(f, input) return select(2, pcall(vmap(f), input or b)) end
    assert.match("calling .item%(%) on a Tensor", message(function(a) return a:sum():item() end))
    assert.match("dynamic shape", message(function(a) return a:nonzero() end))
    assert.match("indexing with a boolean mask", message(function(a) return a[a:gt(0)] end))
    assert.match("data%-dependent control flow", message(function(a) return torch.equal(a, a) and a or a end))
    assert.match("randomness error mode", message(function(a) return a + torch.rand(3, f64) end))
    assert.match("doesn't have storage", message(function(a) return torch.tensor(a:tolist()) end))
    assert.match("not possible because there exists", message(function(a) return torch.zeros(3, f64):add_(a) end))
    assert.match("out=", message(function(a) return torch.add(a, a, { out = torch.zeros(3, f64) }) end))
    assert.match("backward%(%) called inside", message(function(a) a:sum():backward() return a end))
    assert.match("must only return Tensors", message(function() return 3 end))
    assert.match("got sizes %[5, 2%]", select(2, pcall(vmap(torch.dot), b, torch.ones(2, 3))))
    assert.match("at least one Tensor", select(2, pcall(vmap(torch.sin, { false }), b)))
    assert.match("in_dims is not compatible", select(2, pcall(vmap(torch.sin, { 0, 0 }), b)))
    assert.match("dimensionality 2", select(2, pcall(vmap(torch.sin, 2), b)))
    assert.match("cannot vmap over non%-Tensor", select(2, pcall(vmap(torch.add), b, 2)))
    assert.match("Only allowed values for randomness", select(2, pcall(vmap, torch.sin, { randomness = "x" })))
    local kept
    vmap(function(a) kept = a return a end)(b)
    assert.match("after that has returned", select(2, pcall(torch.add, kept, 1)))
    assert.match("after that has returned", select(2, pcall(vmap(function(a) return a + kept end), b)))
    -- An error inside closes its level: later calls are not batched.
    same((b + 1):tolist(), b + 1)
    assert.is_true(torch.rand(2):ge(0):all():item())
  end)
end)

describe("functional_call", function()
  local function net()
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
  end

  it("runs with other parameters and restores its own", function()
    local n = net()
    local own = n[0].weight
    local w = torch.zeros(3, 2)
    local out = func.functional_call(n, { ["0.weight"] = w, ["0.bias"] = torch.ones(3) }, torch.ones(4, 2))
    same({ 0, 0, 0 }, out[0], 1e-4)
    assert.equal(own, n[0].weight)
    assert.is_true(nn.Parameter and torch.isinstance(n[0].weight, nn.Parameter))
    pcall(func.functional_call, n, { ["0.weight"] = w }, "no tensor")
    assert.equal(own, n[0].weight)
  end)

  it("differentiates with respect to a map of parameters", function()
    local n = net()
    local params = {}
    for name, p in n:named_parameters() do params[name] = p:detach() end
    local g = func.grad(function(p) return func.functional_call(n, p, torch.ones(4, 2) * torch.arange(4.0):unsqueeze(1))
      :pow(2):sum() end)(params)
    assert.equal(torch.Size { 3, 2 }, g["0.weight"].shape)
    assert.equal(4, (function() local c = 0 for _ in pairs(g) do c = c + 1 end return c end)())
  end)

  it("works with batch norms that keep no statistics", function()
    local n = func.replace_all_batch_norm_modules_(net())
    local params = {}
    for name, p in n:named_parameters() do params[name] = p:detach() end
    local each = vmap(func.grad(function(p, x) return func.functional_call(n, p, x):pow(2):sum() end), { nil, 0 })(params,
      torch.randn(5, 4, 2))
    assert.equal(torch.Size { 5, 3, 2 }, each["0.weight"].shape)
    vmap(function(a)
      assert.equal(torch.Size { 2, 3 }, func.debug_unwrap(a).shape)
      return a
    end)(torch.ones(2, 3))
  end)

  it("says what is wrong", function()
    local n = net()
    local function message(...) return select(2, pcall(func.functional_call, ...)) end
    assert.match("Unexpected key%(s%): 'nope'", message(n, { nope = torch.ones(1) }, torch.ones(2, 2), nil, { strict = true }))
    assert.match("has no attribute `nope`", message(n, { ["nope.x"] = torch.ones(1) }, torch.ones(2, 2)))
    assert.match("appeared in multiple dictionaries", message(n,
      { { ["0.bias"] = torch.ones(3) }, { ["0.bias"] = torch.ones(3) } }, torch.ones(2, 2)))
    assert.match("Missing key", message(n, { ["0.bias"] = torch.ones(3) }, torch.ones(2, 2), nil, { strict = true }))
    assert.match("at least one model", select(2, pcall(func.stack_module_state, {})))
  end)
end)

describe("custom functions under vmap", function()
  local Scaled = torch.autograd.Function:extend "Scaled"
  function Scaled.forward(x, w) return x * x * w end
  function Scaled.setup_context(ctx, inputs) ctx:save_for_backward(inputs[1], inputs[2]) end
  function Scaled.backward(ctx, grad)
    local x, w = table.unpack(ctx.saved_tensors)
    return grad * 2 * x * w, (grad * x * x):sum_to_size(w.shape)
  end
  local function plain(x, w) return x * x * w end

  it("are differentiated inside and outside", function()
    local w = torch.randn(3, { dtype = torch.float64 })
    for _, f in ipairs { Scaled.apply, plain } do
      local x = b:detach():requires_grad_(true)
      local v = w:detach():requires_grad_(true)
      vmap(f, { 0, nil })(x, v):sin():sum():backward()
      local inside = vmap(func.grad(function(a, c) return f(a, c):sin():sum() end, { 0, 1 }), { 0, nil })(b, w)
      same(x.grad:tolist(), inside[1])
      same(v.grad:tolist(), inside[2]:sum(0))
    end
    local twice = {}
    for i, f in ipairs { Scaled.apply, plain } do
      local x = b:detach():requires_grad_(true)
      local g = torch.autograd.grad(vmap(f, { 0, nil })(x, w):exp():sum(), x, nil, { create_graph = true })
      g:sin():sum():backward()
      twice[i] = x.grad
    end
    same(twice[2]:tolist(), twice[1], 1e-9)
    same(func.hessian(function(a) return plain(a, w):sum() end)(x3):tolist(),
      func.hessian(function(a) return Scaled.apply(a, w):sum() end)(x3))
  end)
end)
