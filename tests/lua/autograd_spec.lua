-- torch.autograd beyond backward: hooks, nodes, saved tensors, anomalies, inference tensors, custom functions,
-- numerical checks, checkpoints of activations.
local torch = require "lampad"
local nn, F, autograd = torch.nn, torch.nn.functional, torch.autograd
local checkpoint = torch.utils.checkpoint.checkpoint

local function leaf(values, dtype) return torch.tensor(values, { dtype = dtype, requires_grad = true }) end
local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert(not ok, "no error")
  return text
end
local function same(expected, t) assert.same(expected, torch.is_tensor(t) and t:tolist() or t) end

describe("hooks", function()
  it("of tensors see and replace gradients, and can be removed", function()
    local x = leaf { 1.0, 2.0 }
    local y = x * 3
    local seen
    local h1 = y:register_hook(function(g) seen = g:tolist() return g * 2 end)
    local h2 = x:register_hook(function(g) return g + 1 end)
    y:sum():backward()
    same({ 1, 1 }, seen)
    same({ 7, 7 }, x.grad)
    h1:remove()
    h2:remove()
    x.grad = nil
    (x * 3):sum():backward()
    same({ 3, 3 }, x.grad)
    assert.match("doesn't require gradient", message(function() torch.ones(1):register_hook(print) end))
  end)

  it("of leaves run after their grad was written", function()
    local x, calls = leaf { 1.0, 2.0 }, {}
    local handle = x:register_post_accumulate_grad_hook(function(p)
      assert.is_true(p == x)
      calls[#calls + 1] = p.grad:tolist()
      p.grad = nil
    end);
    (x * 2):sum():backward();
    (x * 4):sum():backward()
    same({ { 2, 2 }, { 4, 4 } }, calls)
    assert.is_nil(x.grad)
    handle:remove()
    x:sum():backward()
    assert.equal(2, #calls)
    assert.match("non%-leaf", message(function() (x * 2):register_post_accumulate_grad_hook(print) end))
  end)

  it("of nodes run before and after their backward", function()
    local x = leaf { 1.0, 2.0 }
    local y = x * 3
    local log = {}
    y.grad_fn:register_prehook(function(outs)
      log[#log + 1] = outs[1]:tolist()
      return { outs[1] * 2 }
    end)
    local handle = y.grad_fn:register_hook(function(ins, outs)
      log[#log + 1] = { ins[1]:tolist(), outs[1]:tolist() }
      return { ins[1] * 10 }
    end)
    y:sum():backward({ retain_graph = true })
    same({ { 1, 1 }, { { 6, 6 }, { 2, 2 } } }, log)
    same({ 60, 60 }, x.grad)
    handle:remove()
    x.grad = nil
    y:sum():backward()
    same({ 6, 6 }, x.grad)
    assert.match("boom", message(function()
      local z = x * 2
      z.grad_fn:register_hook(function() error("boom") end)
      z:sum():backward()
    end))
  end)

  it("remove each other while they run", function()
    local x, calls = leaf { 1.0 }, {}
    local y = x * 2
    local function trio(register)
      local handles = {}
      for i = 1, 3 do
        handles[i] = register(function()
          calls[#calls + 1] = i
          if i == 1 then for _, h in ipairs(handles) do h:remove() end end
        end)
      end
    end
    trio(function(f) return y:register_hook(f) end)
    trio(function(f) return y.grad_fn:register_hook(f) end)
    trio(function(f) return y.grad_fn:register_prehook(f) end)
    trio(function(f) return x:register_post_accumulate_grad_hook(f) end)
    y:backward { retain_graph = true }
    y:backward()
    same({ 1, 1, 1, 1 }, calls)
    same({ 4 }, x.grad)
  end)

  it("over several gradients run once all are there", function()
    local x, y, z = leaf { 1.0 }, leaf { 2.0 }, leaf { 3.0 }
    local got, first = {}, 0
    local handle = autograd.graph.register_multi_grad_hook({ x, y, z }, function(grads) got[#got + 1] = grads end)
    local any = autograd.graph.register_multi_grad_hook({ x, y }, function() first = first + 1 end, { mode = "any" })
    local loss = x * y
    loss:backward { retain_graph = true }
    assert.equal(1, #got)
    same({ 2 }, got[1][1])
    same({ 1 }, got[1][2])
    assert.is_nil(got[1][3])
    assert.equal(1, first)
    handle:remove()
    any:remove()
    loss:backward()
    assert.equal(1, #got)
  end)
end)

describe("the graph", function()
  it("shows its nodes", function()
    local x = leaf { 1.0, 4.0 }
    local y = (x * 2):sqrt()
    local node = y.grad_fn
    assert.equal("SqrtBackward0", node:name())
    local next_node, nr = table.unpack(node.next_functions[1])
    assert.equal("MulBackward0", next_node:name())
    assert.equal(0, nr)
    local accumulator = next_node.next_functions[1][1]
    assert.equal("AccumulateGrad", accumulator:name())
    assert.is_true(accumulator.variable == x)
    assert.is_nil(next_node.next_functions[2][1])
    assert.is_true(node:_sequence_nr() > next_node:_sequence_nr())
    node.metadata.note = "kept"
    assert.equal("kept", y.grad_fn.metadata.note)
    local values = torch.tensor({ { 1.0, 2.0 } }, { requires_grad = true }):max(1)
    assert.equal(0, values.output_nr)
    assert.is_true(x.is_leaf)
    assert.is_false(y.is_leaf)
    assert.is_false(y.retains_grad)
    y:retain_grad()
    assert.is_true(y.retains_grad)
    y:sum():backward()
    same({ 1, 1 }, y.grad)
    assert.is_true(autograd.graph.get_gradient_edge(x).node == accumulator)
  end)

  it("packs what it saves", function()
    local x = leaf { 1.0, 2.0 }
    local packed, unpacked = 0, 0
    local y = autograd.graph.saved_tensors_hooks(function(t)
      packed = packed + 1
      return { t:detach():clone() }
    end, function(v)
      unpacked = unpacked + 1
      return v[1]
    end, function() return (x * x):exp():sum() end)
    assert.equal(3, packed)
    local g = autograd.grad(y, x, nil, { create_graph = true })
    assert.equal(3, unpacked)
    local e1, e4 = math.exp(1), math.exp(4)
    assert.is_true(torch.allclose(g, torch.tensor { 2 * e1, 4 * e4 }))
    assert.is_true(torch.allclose(autograd.grad(g:sum(), x), torch.tensor { 6 * e1, 18 * e4 }))
    assert.match("expected to be a Tensor", message(function()
      autograd.graph.saved_tensors_hooks(function() return 1 end, function(v) return v end,
        function() return (x * x):sum() end):backward()
    end))
    assert.match("not here", message(function()
      autograd.graph.disable_saved_tensors_hooks("not here", function()
        autograd.graph.saved_tensors_hooks(print, print)
      end)
    end))
    x.grad = nil
    autograd.graph.save_on_cpu(true, function() return (x * x):sum() end):backward()
    same({ 2, 4 }, x.grad)
    do
      local _ <close> = autograd.graph.saved_tensors_hooks(function(t) return t * 2 end, function(t) return t end)
      x.grad = nil
      local z = (x * x):sum()
      z:backward()
      same({ 4, 8 }, x.grad)
    end
    -- The scopes have ended.
    packed = 0;
    (x * x):sum():backward()
    assert.equal(0, packed)
  end)

  it("finds anomalies", function()
    local x = leaf { 1.0, 4.0 }
    assert.is_false(torch.is_anomaly_enabled())
    local text = message(function()
      autograd.detect_anomaly(function()
        assert.is_true(torch.is_anomaly_enabled())
        local y = (x - 1):sqrt():sum() * 0
        y:backward()
      end)
    end)
    assert.match("Function 'SqrtBackward0' returned nan values in its 0th output", text)
    assert.match("Traceback of the forward call", text)
    assert.match("autograd_spec.lua:%d+", text)
    assert.is_false(torch.is_anomaly_enabled())
    autograd.detect_anomaly({ check_nan = false }, function()
      assert.is_false(torch.is_anomaly_check_nan_enabled());
      ((x - 1):sqrt():sum() * 0):backward()
    end)
    autograd.set_detect_anomaly(true)
    assert.is_true(torch.is_anomaly_enabled())
    torch.set_anomaly_enabled(false)
    assert.is_false(torch.is_anomaly_enabled())
    -- Errors of other kinds carry the traceback as well.
    local trace = message(function()
      local _ <close> = autograd.set_detect_anomaly(true)
      local y = x:exp()
      y:add_(1)
      y:sum():backward()
    end)
    assert.match("modified by an inplace", trace)
    assert.match("Traceback of the forward", trace)
  end)
end)

describe("inference mode", function()
  it("marks tensors and keeps them out of autograd", function()
    local x = leaf { 1.0, 2.0 }
    local made
    torch.inference_mode(function()
      assert.is_true(torch.is_inference_mode_enabled())
      made = x * 2
      assert.is_true(made:is_inference())
      made:add_(1)
      assert.is_false(x:view(2):is_inference())
    end)
    assert.is_true(torch.is_inference(made))
    assert.is_false(torch.is_inference(x))
    assert.match("Inference tensors cannot be saved for backward", message(function() return made * x end))
    assert.match("Inplace update to inference tensor outside", message(function() made:add_(1) end))
    assert.match("do not track version", message(function() return made._version end))
    assert.match("Setting requires_grad=True on inference tensor", message(function() made:requires_grad_() end))
    same({ 6, 10 }, (made:clone() * 2):tolist());
    (made:clone() * x):sum():backward()
    same({ 3, 5 }, x.grad)
    torch.inference_mode(false, function() assert.is_true((x * 2).requires_grad) end)
    torch.inference_mode({ mode = false }, function() assert.is_true((x * 2).requires_grad) end)
    autograd.graph.allow_mutation_on_saved_tensors(function()
      local y = x:exp()
      local z = y * y
      y:zero_()
      x.grad = nil
      z:sum():backward()
    end)
    assert.is_true(torch.allclose(x.grad, 2 * (2 * x:detach()):exp()))
    assert.is_true(autograd.Variable(made:clone(), true).requires_grad)
  end)

  it("decorates functions, as no_grad does", function()
    local x = leaf { 1.0 }
    local f = torch.inference_mode()(function(a, k) return a * k, torch.is_grad_enabled() end)
    local y, enabled = f(x, 3)
    assert.is_true(y:is_inference())
    assert.is_false(enabled)
    assert.is_true(torch.is_grad_enabled())
    local g = torch.no_grad()(function(a) return a * 2 end)
    assert.is_false(g(x).requires_grad)
    assert.is_true(torch.is_grad_enabled())
    assert.match("boom", message(torch.no_grad()(function() error("boom") end)))
    assert.is_true(torch.is_grad_enabled())
  end)
end)

describe("autograd.grad and backward", function()
  it("fill in, leave out and batch", function()
    local x, y = leaf { 1.0, 2.0 }, leaf { 3.0, 4.0 }
    local gx, gy = autograd.grad((x * x):sum(), { x, y }, nil, { allow_unused = true })
    same({ 2, 4 }, gx)
    assert.is_nil(gy)
    local _, zeros = autograd.grad((x * x):sum(), { x, y }, nil, { materialize_grads = true })
    same({ 0, 0 }, zeros)
    assert.match("not have been used in the graph", message(function() autograd.grad((x * x):sum(), { x, y }) end))
    same({ { 2, 0 }, { 0, 4 } }, autograd.grad(x * x, x, torch.eye(2), { is_grads_batched = true }))
    local bx, by = autograd.grad(x * x, { x, y }, torch.eye(2), { is_grads_batched = true, allow_unused = true })
    same({ { 2, 0 }, { 0, 4 } }, bx)
    assert.is_nil(by)
    local middle = x * 2
    local loss = (middle * middle):sum()
    loss:backward { inputs = { middle }, retain_graph = true }
    same({ 4, 8 }, middle.grad)
    assert.is_nil(x.grad)
    assert.match("cannot be empty", message(function() loss:backward { inputs = {} } end))
    autograd.backward({ (x * y):sum() }, { inputs = { x } })
    same({ 3, 4 }, x.grad)
    assert.is_nil(y.grad)
  end)
end)

describe("gradients at the limits of clamp", function()
  -- PyTorch 2.15's: a number leaves nothing to what equals it, a tensor shares as torch.maximum does.
  local nan = 0 / 0
  local x_values = { 0., 1., 0.5, -1, 2, nan }
  local function all(limit) return { limit, limit, limit, limit, limit, limit } end
  local function gradients(fn, ...)
    local leaves = {}
    for i, values in ipairs { x_values, ... } do
      leaves[i] = torch.tensor(values, { dtype = torch.float64, requires_grad = true })
    end
    fn(table.unpack(leaves)):sum():backward()
    local got = {}
    for i, x in ipairs(leaves) do got[i] = x.grad:tolist() end
    return got
  end
  local function both(x, min, max) return x:clamp(min, max) end

  it("that are numbers", function()
    assert.same({ { 0, 0, 1, 0, 0, 0 } }, gradients(function(x) return x:clamp(0, 1) end))
    assert.same({ { 0, 1, 1, 0, 1, 0 } }, gradients(function(x) return x:clamp(0) end))
    assert.same({ { 0, 1, 1, 0, 1, 0 } }, gradients(function(x) return x:clamp_min(0) end))
    assert.same({ { 1, 0, 1, 1, 0, 0 } }, gradients(function(x) return x:clamp { max = 1 } end))
    assert.same({ { 0, 0, 0, 0, 0, 0 } }, gradients(function(x) return x:clamp(nan) end))
    local infinite = torch.tensor({ -math.huge, math.huge }, { requires_grad = true })
    infinite:clamp { max = 1 }:sum():backward()
    assert.same({ 1, 0 }, infinite.grad:tolist())
  end)
  it("that are tensors", function()
    assert.same({ { 0.5, 0.5, 1, 0, 0, 1 }, { 0.5, 0, 0, 1, 0, 0 }, { 0, 0.5, 0, 0, 1, 0 } }, gradients(both, all(0.), all(1.)))
    assert.same({ { 0, 0, 1, 0, 0, 1 }, { 1, 0, 0, 1, 0, 0 }, { 0, 1, 0, 0, 1, 0 } }, gradients(both, all(0.5), all(0.5)))
    assert.same({ { 0, 0, 0, 0, 0, 1 }, all(0), all(1) }, gradients(both, all(1.), all(0.)))
    assert.same({ { 1, 1, 1, 0, 1, 1 }, all(0), all(0) }, gradients(both, all(0.), all(nan)))
    assert.same({ { 0.5, 1, 1, 0, 1, 1 }, { 0.5, 0, 0, 1, 0, 1 } }, gradients(torch.clamp_min, all(0.)))
    assert.same({ { 1, 0.5, 1, 1, 0, 1 }, { 0, 0.5, 0, 0, 1, 1 } }, gradients(torch.clamp_max, all(1.)))
    assert.same({ all(1), all(1) }, gradients(torch.maximum, all(nan)))
  end)
end)

describe("Function", function()
  local Cube = autograd.Function:extend "Cube"
  function Cube.forward(ctx, x)
    local y = x * x * x
    ctx:save_for_backward(x, y)
    return y
  end
  function Cube.backward(ctx, grad)
    local x = table.unpack(ctx.saved_tensors)
    return grad * 3 * x * x
  end

  it("is checked once and twice", function()
    local x = torch.randn(3, { dtype = torch.float64, requires_grad = true })
    assert.is_true(autograd.gradcheck(Cube.apply, { x }, { check_batched_grad = true }))
    assert.is_true(autograd.gradgradcheck(Cube.apply, { x }))
    assert.is_true(torch.allclose(torch.func.hessian(function(a) return (a * a * a):sum() end)(x.data),
      torch.func.hessian(function(a) return Cube.apply(a):sum() end)(x.data)))
    local each = torch.vmap(torch.func.grad(function(a) return Cube.apply(a):sum() end))(torch.ones(2, 3))
    same({ { 3, 3, 3 }, { 3, 3, 3 } }, each)
  end)

  it("differentiates through saved outputs", function()
    local Exp = autograd.Function:extend "Exp"
    function Exp.forward(ctx, x)
      local y = x:exp()
      ctx:save_for_backward(y)
      return y
    end
    function Exp.backward(ctx, grad) return grad * ctx.saved_tensors[1] end
    local x = torch.randn(3, { dtype = torch.float64, requires_grad = true })
    assert.is_true(autograd.gradgradcheck(Exp.apply, { x }))
    -- What it saved does not keep the result alive.
    local watch = setmetatable({}, { __mode = "v" })
    do watch[1] = Exp.apply(x) end
    collectgarbage()
    collectgarbage()
    assert.is_nil(watch[1])
    local y = Exp.apply(x)
    y:mul_(2)
    assert.match("modified by an inplace", message(function() y:sum():backward() end))
  end)

  it("has the form with setup_context", function()
    local Scale = autograd.Function:extend "Scale"
    function Scale.forward(x, k) return x * k, x:argmax() end
    function Scale.setup_context(ctx, inputs, output)
      ctx.k = inputs[2]
      ctx:mark_non_differentiable(output[2])
      assert.same({ true, false, n = 2 }, ctx.needs_input_grad)
    end
    function Scale.backward(ctx, grad, other)
      assert.is_true(other:eq(0):all():item())
      return grad * ctx.k
    end
    local x = leaf { 1.0, 2.0 }
    local y, at = Scale.apply(x, 4)
    assert.is_false(at.requires_grad)
    y:sum():backward()
    same({ 4, 4 }, x.grad)
  end)

  it("gets nil for gradients that are not there, when it asks for that", function()
    local seen
    local Two = autograd.Function:extend "Two"
    function Two.forward(ctx, x)
      ctx:set_materialize_grads(false)
      return x * 2, x * 3
    end
    function Two.backward(_, a, b)
      seen = { a == nil, b == nil }
      return b * 3
    end
    local x = leaf { 1.0 }
    local _, second = Two.apply(x)
    second:backward()
    same({ true, false }, seen)
    same({ 3 }, x.grad)
  end)

  it("changes inputs in place", function()
    local Add = autograd.Function:extend "Add"
    function Add.forward(ctx, x)
      x:add_(1)
      ctx:mark_dirty(x)
      return x
    end
    function Add.backward(_, grad) return grad * 5 end
    local x = leaf { 1.0 }
    local y = x * 1
    local z = Add.apply(y)
    assert.is_true(z == y)
    z:sum():backward()
    same({ 5 }, x.grad)
    assert.match("leaf Variable", message(Add.apply, x))
  end)

  it("can be differentiable once", function()
    local Once = autograd.Function:extend "Once"
    function Once.forward(ctx, x)
      ctx:save_for_backward(x)
      return x * x
    end
    Once.backward = autograd.once_differentiable(function(ctx, grad) return grad * 2 * ctx.saved_tensors[1] end)
    local x = leaf { 3.0 }
    same({ 6 }, autograd.grad(Once.apply(x), x))
    local g = autograd.grad(Once.apply(x), x, nil, { create_graph = true })
    assert.match("differentiate twice", message(function() g:backward() end))
  end)

  it("says what backward did wrong", function()
    local Bad = autograd.Function:extend "Bad"
    function Bad.forward(_, x) return x * 2 end
    function Bad.backward(_, g) return g, g end
    local x = leaf { 1.0, 2.0 }
    assert.match("incorrect number of gradients %(expected 1, got 2%)", message(function() Bad.apply(x):sum():backward() end))
    function Bad.backward(_, g) return g:reshape(2, 1) end
    assert.match("invalid gradient at index 0", message(function() Bad.apply(x):sum():backward() end))
  end)
end)

describe("gradcheck", function()
  it("takes PyTorch's arguments and finds faults", function()
    local x = torch.randn(2, { dtype = torch.float64, requires_grad = true })
    local options = { eps = 1e-6, atol = 1e-5, rtol = 1e-3, raise_exception = false, nondet_tol = 1e-9,
      check_undefined_grad = true, check_grad_dtypes = true, check_batched_grad = true, fast_mode = true }
    assert.is_true(autograd.gradcheck(torch.sin, x, options))
    local Wrong = autograd.Function:extend "Wrong"
    function Wrong.forward(_, a) return a * 2 end
    function Wrong.backward(_, g) return g * 3 end
    assert.is_false((autograd.gradcheck(Wrong.apply, x, options)))
    local turn = 0
    local Moody = autograd.Function:extend "Moody"
    function Moody.forward(_, a) return a * 2 end
    function Moody.backward(_, g)
      turn = turn + 1
      return g * (2 + 1e-3 * turn)
    end
    assert.match("not reentrant", message(autograd.gradcheck, Moody.apply, x))
    assert.match("unknown argument", message(autograd.gradcheck, torch.sin, x, { epss = 1 }))
    assert.match("forward%-mode", message(autograd.gradcheck, torch.sin, x, { check_forward_ad = true }))
  end)
end)

describe("autograd.functional", function()
  local functional = autograd.functional
  local x = torch.tensor { 1.0, 2.0 }

  it("keeps graphs when asked to", function()
    local p = leaf { 1.0, 2.0 }
    local jac = functional.jacobian(function(a) return a ^ 3 end, p, { create_graph = true })
    jac:sum():backward()
    same({ 6, 12 }, p.grad)
    assert.is_false(functional.jacobian(function(a) return a ^ 3 end, p).requires_grad)
    local value, product = functional.vhp(function(a) return (a ^ 3):sum() end, x, torch.ones(2))
    same(9, value:item())
    same({ 6, 12 }, product)
  end)

  it("gives the structure of inputs and outputs", function()
    same({ 2, 0, 0, 4 }, functional.jacobian(function(a) return a * a end, x, { vectorize = true }):flatten():tolist())
    local one = functional.jacobian(function(a) return a:sum() end, { x })
    same({ { 1, 1 } }, { one[1]:tolist() })
    local out, products = functional.vjp(function(a, b) return a * b end, { x, x + 1 }, torch.ones(2))
    same({ 2, 6 }, out)
    same({ 2, 3 }, products[1])
    local h = functional.hessian(function(a) return (a ^ 3):sum() end, { x })
    same({ { 6, 0 }, { 0, 12 } }, h[1][1])
    -- An input that the output does not depend on.
    same({ { 0, 0 } }, functional.jacobian(function(_, b) return b:sum():reshape(1) end, { x, x })[1])
  end)

  it("is strict on demand", function()
    assert.match("does not require gradients", message(functional.jacobian, function() return torch.ones(2) end, x,
      { strict = true }))
    assert.match("independent of input 1", message(functional.jacobian, function(a) return a * 2 end, { x, x },
      { strict = true }))
    assert.match("independent of input 0", message(functional.hvp, function(a) return a:sum() end, x, x, { strict = true }))
    assert.match("must be either a Tensor or a list", message(functional.jacobian, torch.sin, 3))
    assert.match("v has invalid size", message(functional.vjp, torch.sin, x, torch.ones(3)))
    assert.match("can only be nil", message(functional.vjp, torch.sin, x))
    assert.match("single element", message(functional.hessian, torch.sin, x))
    assert.match("unknown argument", message(functional.jacobian, torch.sin, x, { create = true }))
  end)
end)

describe("checkpoint", function()
  local function block()
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2))
  end

  it("gives the same gradients, with the same random numbers", function()
    local net, x = block(), torch.randn(4, 3, { requires_grad = true })
    local function run(f)
      torch.manual_seed(7)
      net:zero_grad()
      x.grad = nil
      local out = f()
      local after = torch.rand(1):item()
      out:sum():backward()
      return { out:tolist(), x.grad:tolist(), net[0].weight.grad:tolist(), after, torch.rand(1):item() }
    end
    local plain = run(function() return net(x) end)
    assert.same(plain, run(function() return checkpoint(net, x, { use_reentrant = false }) end))
    assert.same(plain, run(function() return checkpoint(net, x, { use_reentrant = true }) end))
    assert.same(plain, run(function()
      return checkpoint(function(a) return checkpoint(net, a) end, x, { use_reentrant = false })
    end))
  end)

  it("runs again only in backward, keeps nothing and takes any arguments", function()
    local x, runs = leaf { 1.0, 2.0 }, 0
    local saved = setmetatable({}, { __mode = "v" })
    local function f(a, k, options)
      runs = runs + 1
      local inner = a * k
      if runs == 1 then saved[1] = inner end
      return inner:exp(), inner:sin(), options.name
    end
    local e, s, name = checkpoint(f, x, 2.0, { name = "kept" })
    assert.equal("kept", name)
    assert.equal(1, runs)
    collectgarbage()
    assert.is_nil(saved[1])
    autograd.backward { e:sum(), s:sum() }
    assert.equal(2, runs)
    local expected = leaf { 1.0, 2.0 }
    local inner = expected * 2
    autograd.backward { inner:exp():sum(), inner:sin():sum() }
    assert.is_true(torch.allclose(expected.grad, x.grad))
    torch.no_grad(function() checkpoint(f, x, 2.0, {}) end)
    assert.equal(3, runs)
  end)

  it("keeps graphs and differentiates twice", function()
    local x = leaf { 1.0, 2.0 }
    local y = checkpoint(function(a) return (a * a * a):sum() end, x)
    local g = autograd.grad(y, x, nil, { create_graph = true })
    same({ 3, 12 }, g)
    same({ 6, 12 }, autograd.grad(g:sum(), x))
    same({ 3, 12 }, autograd.grad(checkpoint(function(a) return (a ^ 3):sum() end, x), x, nil, { retain_graph = true }))
  end)

  it("notices functions that are not the same twice", function()
    local x, n = torch.randn(3, { requires_grad = true }), 0
    local function fickle(a)
      n = n + 1
      return n == 1 and (a * a):sum() or (a * a)["1:"]:exp():sum()
    end
    assert.match("different number of tensors", message(function()
      checkpoint(fickle, x, { early_stop = false }):backward()
    end))
    n = 0
    local function shapes(a)
      n = n + 1
      local b = n == 1 and a or torch.cat { a, a }
      return (b * b):sum()
    end
    assert.match("different metadata", message(function() checkpoint(shapes, x):backward() end))
    assert.match("determinism_check should be one of", message(checkpoint, shapes, x, { determinism_check = "x" }))
    assert.match("must be a function", message(checkpoint, 3, x))
  end)

  it("splits a Sequential", function()
    local net, x = block():eval(), torch.randn(4, 3, { requires_grad = true })
    local whole = autograd.grad(net(x):sum(), x)
    for segments = 1, 4 do
      local out = torch.utils.checkpoint.checkpoint_sequential(net, segments, x, { use_reentrant = false })
      assert.same(whole:tolist(), autograd.grad(out:sum(), x):tolist())
    end
  end)
end)

describe("switches", function()
  it("remember what was set", function()
    assert.is_false(torch.are_deterministic_algorithms_enabled())
    torch.use_deterministic_algorithms(true, { warn_only = true })
    assert.is_true(torch.are_deterministic_algorithms_enabled())
    assert.is_true(torch.is_deterministic_algorithms_warn_only_enabled())
    assert.equal(1, torch.get_deterministic_debug_mode())
    torch.set_deterministic_debug_mode("error")
    assert.equal(2, torch.get_deterministic_debug_mode())
    assert.is_false(torch.is_deterministic_algorithms_warn_only_enabled())
    torch.set_deterministic_debug_mode(0)
    assert.is_false(torch.are_deterministic_algorithms_enabled())
    assert.match("expected one of", message(torch.set_deterministic_debug_mode, "loud"))
    assert.match("expected 0, 1, or 2", message(torch.set_deterministic_debug_mode, 3))
  end)

  it("compile nothing", function()
    assert.equal(F.relu, torch.compile(F.relu))
    assert.equal(F.relu, torch.compile { fullgraph = true, mode = "max-autotune" }(F.relu))
    local net = nn.Linear(2, 2)
    assert.equal(net, torch.compile(net, { dynamic = true, backend = "inductor" }))
    assert.match("unknown argument", message(torch.compile, net, { fast = true }))
    assert.match("must be a module or a function", message(torch.compile, 3))
    assert.match("Either mode or options", message(torch.compile, net, { mode = "default", options = {} }))
  end)
end)

describe("a custom function", function()
  it("runs again after its graph was freed when it saved no tensor, as in PyTorch", function()
    local Reverse = torch.autograd.Function:extend "Reverse"
    function Reverse.forward(ctx, x, alpha)
      ctx.alpha = alpha
      return x:view_as(x)
    end
    function Reverse.backward(ctx, grad) return -grad * ctx.alpha, nil end
    local x = torch.ones(2, { requires_grad = true })
    local y = Reverse.apply(x, 3)
    y:sum():backward()
    y:sum():backward()
    assert.same({ -6, -6 }, x.grad:tolist())
    local Square = torch.autograd.Function:extend "Square"
    function Square.forward(ctx, a)
      ctx:save_for_backward(a)
      return a * a
    end
    function Square.backward(ctx, grad) return grad * 2 * ctx.saved_tensors[1] end
    local z = Square.apply(x)
    z:sum():backward { retain_graph = true }
    z:sum():backward()
    assert.error_matches(function() z:sum():backward() end, "Trying to backward through the graph a second time")
  end)

  it("does not keep itself alive by a result in a field of ctx", function()
    local Keep = torch.autograd.Function:extend "Keep"
    local contexts = setmetatable({}, { __mode = "k" })
    function Keep.forward(ctx, x)
      contexts[ctx] = true
      ctx.y = x * x
      return ctx.y
    end
    function Keep.backward(ctx, grad) return grad * ctx.y end
    local x = torch.tensor({ 2., 3. }, { requires_grad = true })
    for i = 1, 2 do
      local y = Keep.apply(x)
      if i == 2 then
        local grad = torch.autograd.grad(y:sum(), x, { create_graph = true })
        grad = type(grad) == "table" and grad[1] or grad
        assert.same({ 4, 9 }, grad:tolist())
        assert.is_true(grad.requires_grad) -- by way of the result
      end
    end
    for _ = 1, 4 do collectgarbage() end
    assert.is_nil(next(contexts))
  end)
end)
