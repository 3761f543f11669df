-- torch.optim: groups, names, hooks, state, dtypes, differentiable steps, users' own optimizers, schedulers' errors.
local torch = require "lampad"
local core = require "lampad.core"
local nn, optim = torch.nn, torch.optim
local warnings = torch.warnings

local all = { "SGD", "Adam", "AdamW", "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adamax", "NAdam", "RAdam", "RMSprop",
  "Rprop" }

local function parameter(values, dtype)
  local p = torch.tensor(values, { dtype = dtype }):requires_grad_()
  p.grad = torch.ones_like(p):detach() * 0.5
  return p
end

local function worst(a, b) return (a:detach():double() - b:detach():double()):abs():max():item() end

describe("an optimizer", function()
  it("accumulates gradients like one backward of the mean", function()
    torch.manual_seed(0)
    local x, y = torch.randn(8, 3), torch.randn(8, 1)
    local whole, parts = nn.Linear(3, 1), nn.Linear(3, 1)
    parts:load_state_dict(whole:state_dict())
    local first, second = optim.Adam(whole:parameters(), { lr = 0.1 }), optim.Adam(parts:parameters(), { lr = 0.1 })
    for _ = 1, 5 do
      first:zero_grad()
      nn.functional.mse_loss(whole(x), y):backward()
      first:step()
      second:zero_grad()
      for i = 0, 3 do
        local loss = nn.functional.mse_loss(parts(x:narrow(0, 2 * i, 2)), y:narrow(0, 2 * i, 2)) / 4
        loss:backward()
      end
      second:step()
    end
    assert.is_true(worst(whole.weight, parts.weight) < 1e-5)
  end)

  it("leaves gradients, or fills them with zeros", function()
    local p = parameter { 1.0 }
    local o = optim.SGD({ p }, { lr = 1 })
    o:step()
    assert.equal(0.5, p.grad:item())
    o:zero_grad { set_to_none = false }
    assert.equal(0, p.grad:item())
    o:zero_grad()
    assert.is_nil(p.grad)
    assert.error_matches(function() o:zero_grad { set_none = true } end, "unknown argument 'set_none'")
  end)

  it("takes named parameters", function()
    local net = nn.Linear(2, 1)
    local o = optim.SGD(net:named_parameters(), { lr = 0.1 })
    assert.same({ "weight", "bias" }, o.param_groups[1].param_names)
    assert.equal(net.weight, o.param_groups[1].params[1])
    assert.same({ "weight", "bias" }, o:state_dict().param_groups[1].param_names)
    local groups = optim.SGD { { params = nn.Linear(2, 2):named_parameters() }, { params = { { "w", parameter { 1.0 } } } } }
    assert.same({ "w" }, groups.param_groups[2].param_names)
    assert.error_matches(function() o:add_param_group { params = { parameter { 1.0 } } } end,
      "cannot add param group without names to the optimizer")
    assert.error_matches(function() optim.SGD { { "w", parameter { 1.0 } }, parameter { 2.0 } } end,
      "should be with/without names. Some param names are missing")
    -- Names stay when the loaded state has none, and follow it when it has.
    local plain = optim.SGD(nn.Linear(2, 1):parameters())
    o:load_state_dict(plain:state_dict())
    assert.same({ "weight", "bias" }, o.param_groups[1].param_names)
  end)

  it("takes groups with their own options, later ones too, and a user's own fields", function()
    local a, b, c = parameter { 1.0 }, parameter { 1.0 }, parameter { 1.0 }
    local o = optim.SGD({ { params = a, lr = 1.0, name = "first" }, { params = { b } } }, { lr = 0.1 })
    o:add_param_group { params = { c }, lr = 2, weight_decay = 1 }
    o:step()
    assert.equal(0.5, a:item())
    assert.is_true(math.abs(b:item() - 0.95) < 1e-6)
    assert.equal(-2, c:item())
    assert.equal("first", o.param_groups[1].name)
    assert.error_matches(function() o:add_param_group { params = a } end, "appear in more than one parameter group")
    assert.error_matches(function() o:add_param_group(3) end, "param_group must be a table, got number")
    assert.error_matches(function() o:add_param_group { params = 3 } end, "params must be tensors")
    assert.error_matches(function() o:add_param_group { params = {}, wieght_decay = 3 } end, "did you mean 'weight_decay'")
    -- The defaults are not shared between groups.
    local adam = optim.Adam { { params = { parameter { 1.0 } } }, { params = { parameter { 1.0 } } } }
    adam.param_groups[1].betas[1] = 0.5
    assert.equal(0.9, adam.param_groups[2].betas[1])
  end)

  it("may step inside of backward, one a parameter", function()
    torch.manual_seed(6)
    local net = nn.Linear(3, 2)
    local optimizers = {}
    for p in net:parameters() do
      optimizers[p] = optim.SGD({ p }, { lr = 0.1 })
      p:register_post_accumulate_grad_hook(function(q)
        optimizers[q]:step()
        optimizers[q]:zero_grad()
      end)
    end
    local before = net.bias:detach():clone()
    net(torch.ones(1, 3)):sum():backward()
    assert.is_nil(net.bias.grad)
    assert.is_true(worst(net.bias, before - 0.1) < 1e-6)
  end)

  it("can be copied with its parameters", function()
    local p = parameter { 1.0, 2.0 }
    local o = optim.Adam({ p }, { lr = 0.1 })
    o:step()
    local copy = require("lampad.copy").deepcopy(o)
    local q = copy.param_groups[1].params[1]
    assert.is_false(q == p)
    assert.equal(1, copy.state[q].step:item())
    copy:step()
    assert.equal(1, o.state[p].step:item())
    assert.is_false(q[0]:item() == p[0]:item())
  end)

  it("warns of duplicates and steps twice", function()
    local p = parameter { 1.0 }
    local o
    local warned = warnings.catch_warnings(function() o = optim.SGD({ p, p }, { lr = 1 }) end)
    assert.is_truthy(warned[1].message:find("duplicate parameters", 1, true))
    o:step()
    assert.equal(0, p:item())
  end)

  it("runs hooks in order, which may replace the arguments", function()
    local p = parameter { 1.0 }
    local o = optim.SGD({ p }, { lr = 1 })
    local log = {}
    local function note(name) return function(self) log[#log + 1] = name .. tostring(self == o) end end
    local global = optim.optimizer.register_optimizer_step_pre_hook(note "global pre ")
    local after = optim.optimizer.register_optimizer_step_post_hook(note "global post ")
    local pre = o:register_step_pre_hook(function(_, args)
      log[#log + 1] = "pre " .. tostring(args.n)
      return { function() return 7 end }
    end)
    o:register_step_post_hook(note "post ")
    assert.equal(7, o:step())
    assert.same({ "global pre true", "pre 0", "post true", "global post true" }, log)
    global:remove()
    after:remove()
    pre:remove()
    log = {}
    o:step()
    assert.same({ "post true" }, log)
    o:register_step_pre_hook(function() return 3 end)
    assert.error_matches(function() o:step() end, "a step pre%-hook must return nil or a list of arguments, got number")
    assert.error_matches(function() o:register_step_pre_hook(3) end, "the hook must be a function, got number")
  end)

  it("runs hooks of state_dict and load_state_dict", function()
    local p = parameter { 1.0 }
    local o = optim.SGD({ p }, { lr = 1, momentum = 0.9 })
    local log = {}
    local function note(name) return function() log[#log + 1] = name end end
    o:register_state_dict_pre_hook(note "second")
    o:register_state_dict_pre_hook(note "first", { prepend = true })
    o:register_state_dict_post_hook(function(_, state) state.extra = 1 end)
    o:register_load_state_dict_pre_hook(function(_, state)
      local copy = {}
      for k, v in pairs(state) do copy[k] = v end
      copy.param_groups = { { params = { 0 }, lr = 5, momentum = 0.5 } }
      return copy
    end)
    o:register_load_state_dict_post_hook(note "loaded")
    local state = o:state_dict()
    assert.equal(1, state.extra)
    o:load_state_dict(state)
    assert.same({ "first", "second", "loaded" }, log)
    assert.equal(5, o.param_groups[1].lr)
    assert.equal(1, state.param_groups[1].lr)
    assert.is_false(o.param_groups[1].nesterov) -- what a state lacks
  end)

  it("loads a state as PyTorch saves it: numbers for step, tensors of other dtypes, lists", function()
    local p = parameter({ 1.0, 2.0 }, torch.float64)
    local o = optim.NAdam { p }
    local group = o:state_dict().param_groups[1]
    o:load_state_dict { state = { [7] = { step = 3, mu_product = 0.25, exp_avg = torch.ones(2), exp_avg_sq = torch.ones(2),
      other = { torch.ones(1), 5 } } },
      param_groups = { { params = { 7 }, lr = 0.1, betas = { 0.5, 0.6 }, eps = 1e-3, weight_decay = 0, momentum_decay = 0.01 } } }
    local state = o.state[p]
    assert.equal(torch.float64, state.exp_avg.dtype)
    assert.equal(torch.float32, state.step.dtype)
    assert.equal(3, state.step:item())
    assert.equal(torch.float64, state.other[1].dtype)
    o:step()
    assert.equal(4, state.step:item())
    assert.is_false(o.param_groups[1].decoupled_weight_decay)
    assert.equal(2e-3, group.lr)
    local w = optim.AdamW { p }
    w:load_state_dict(optim.Adam({ p }, { lr = 1 }):state_dict())
    assert.is_true(w.param_groups[1].decoupled_weight_decay)
  end)

  it("keeps options that a loaded state lacks, and takes parameter lists", function()
    local o = optim.Adam(nn.ParameterList { nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(2)) }, { lr = 0.5 })
    assert.equal(2, #o.param_groups[1].params)
    local sgd = optim.SGD({ parameter { 1.0 }, parameter { 1.0, 2.0 } }, { lr = 3 })
    o:load_state_dict(sgd:state_dict())
    assert.equal(3, o.param_groups[1].lr)
    assert.same({ 0.9, 0.999 }, o.param_groups[1].betas)
    for _, wrong in ipairs { nn.Linear(2, 2), 3, "x", torch.ones(2) } do
      assert.error_matches(function() optim.SGD(wrong) end, "params must be an iterator or a list of tensors or groups, got")
    end
    assert.error_matches(function() optim.SGD(nn.Sequential(nn.Linear(2, 2))) end, "can only optimize Tensors, but one of the params %(number 0%) is Linear")
    assert.error_matches(function() optim.SGD() end, "argument 'params'")
  end)

  it("refuses states that do not fit", function()
    local p, q = parameter { 1.0 }, parameter { 1.0 }
    local o = optim.SGD { p }
    assert.error_matches(function() o:load_state_dict(3) end, "expected a table with 'state' and 'param_groups'")
    assert.error_matches(function() o:load_state_dict(optim.SGD { { params = p }, { params = q } }:state_dict()) end,
      "different number of parameter groups")
    assert.error_matches(function() o:load_state_dict(optim.SGD { p, q }:state_dict()) end, "doesn't match the size")
    local adam = optim.Adam { p }
    adam:step()
    adam.param_groups[1].amsgrad = true
    assert.error_matches(function() adam:step() end, "the state of parameter 0 holds no 'max_exp_avg_sq'")
    adam.param_groups[1].amsgrad = false
    adam.state[p].exp_avg = torch.zeros(3)
    assert.error_matches(function() adam:step() end, "expected exp_avgs%[0%] like its parameter, float32 %[1%], got")
    assert.equal(1, adam.state[p].step:item()) -- nothing was done
    adam.state[p].exp_avg, adam.state[p].step = torch.zeros(1), torch.tensor(1)
    assert.error_matches(function() adam:step() end, "expected steps%[0%] to be one number of float32 or float64")
  end)

  it("steps parameters of every dtype alike", function()
    torch.manual_seed(1)
    local start, grads = torch.randn(5, 7), {}
    for i = 1, 6 do grads[i] = torch.randn(5, 7) end
    for _, name in ipairs(all) do
      local results = {}
      for dtype, tolerance in pairs { [torch.float64] = 0, [torch.float32] = 2e-5, [torch.bfloat16] = 0.1, [torch.float16] = 0.03 } do
        local p = start:clone():to(dtype):requires_grad_()
        local o = optim[name]({ p }, { lr = 0.02 })
        for i = 1, 6 do
          p.grad = grads[i]:to(dtype)
          o:step()
        end
        assert.equal(dtype, p.dtype)
        results[#results + 1] = { p, tolerance }
      end
      local exact
      for _, row in ipairs(results) do
        if row[2] == 0 then exact = row[1] end
      end
      for _, row in ipairs(results) do
        local difference = worst(row[1], exact)
        if not (difference <= row[2]) then
          error(("%s in %s is off by %g"):format(name, tostring(row[1].dtype), difference))
        end
      end
    end
  end)

  it("steps transposed and empty parameters, single numbers, and gradients that are views", function()
    torch.manual_seed(2)
    local start, grad = torch.randn(4, 6), torch.randn(4, 6)
    for _, name in ipairs(all) do
      local plain = start:clone():requires_grad_()
      local turned = start:t():contiguous():t():requires_grad_()
      local empty, number = torch.zeros(0, 3, { requires_grad = true }), torch.tensor(1.0, { requires_grad = true })
      local a, b = optim[name]({ plain }, { lr = 0.1 }), optim[name]({ empty, turned, number }, { lr = 0.1 })
      local version = turned._version
      for _ = 1, 3 do
        plain.grad, turned.grad, empty.grad, number.grad = grad:clone(), grad:t():contiguous():t(), torch.zeros(0, 3), torch.tensor(1.0)
        a:step()
        b:step()
      end
      assert.is_true(worst(plain, turned) < 1e-6, name)
      assert.is_true(number:item() < 1, name)
      assert.is_true(version == nil or turned._version > version)
    end
  end)

  it("keeps infinities and NaN where PyTorch does", function()
    local p = torch.tensor { math.huge, 1.0, 1.0 }:requires_grad_()
    p.grad = torch.tensor { 0.0, 0 / 0, 1.0 }
    optim.SGD({ p }, { lr = 0.1 }):step()
    assert.equal(math.huge, p[0]:item())
    assert.is_true(p[1]:isnan():item())
    local q = parameter { 1.0, 1.0 }
    local o = optim.Adam({ q }, { amsgrad = true })
    q.grad = torch.tensor { 0 / 0, 1.0 }
    o:step()
    q.grad = torch.ones(2)
    o:step()
    assert.is_true(q[0]:isnan():item())
    assert.is_true(o.state[q].max_exp_avg_sq[0]:isnan():item())
    assert.is_false(q[1]:isnan():item())
  end)

  it("says in order what is wrong with options", function()
    local p = parameter { 1.0 }
    local wrong = {
      { "SGD", { lr = "x" }, "argument 'lr' must be a number or a tensor, got string" },
      { "SGD", { lr = torch.ones(2) }, "Tensor lr must be 1%-element" },
      { "SGD", { momentum = -1 }, "Invalid momentum value: %-1" },
      { "SGD", { fused = true, foreach = true }, "`fused` and `foreach` cannot be `True` together" },
      { "Adam", { fused = true, differentiable = true }, "`fused` does not support `differentiable`" },
      { "Adam", { betas = 3 }, "betas must be a list of two numbers" },
      { "Adam", { betas = {} }, "betas must be a list of two numbers" },
      { "Adam", { eps = -1 }, "Invalid epsilon value: %-1" },
      { "Adam", { lr = 0 / 0 }, "Invalid learning rate: nan" },
      { "Rprop", { etas = { 2, 3 } }, "Invalid eta values: 2, 3" },
      { "Rprop", { step_sizes = { 1 } }, "step_sizes must be a list of two numbers" },
      { "Adafactor", { eps = { 1 } }, "eps must be a list of two numbers" },
      { "LBFGS", { lr = -1 }, "Invalid learning rate" },
      { "SparseAdam", { lr = 0 }, "Invalid learning rate: 0" },
      { "Adadelta", { rho = 2 }, "Invalid rho value: 2" },
    }
    for _, row in ipairs(wrong) do
      assert.error_matches(function() optim[row[1]]({ p }, row[2]) end, row[3])
    end
    assert.error_matches(function() optim.SparseAdam({ p }):step() end, "SparseAdam does not support dense gradients")
    assert.error_matches(function() optim.Adam({ p }, { capturable = true }):step() end, "If capturable=True")
    assert.error_matches(function() optim.SGD({ params = { p } }, { lr = 1 }) end, "wrap a group in a list")
    local z = torch.ones(2, 2, { dtype = torch.complex64, requires_grad = true })
    z.grad = torch.ones(2, 2, { dtype = torch.complex64 })
    assert.error_matches(function() optim.Adafactor({ z }):step() end, "does not support complex parameters")
    assert.error_matches(function() optim.Muon({ z }):step() end, "does not support complex parameters")
    assert.error_matches(function() optim.SparseAdam({ z }) end, "Complex params at indices %[%[0, 0%]%]")
    assert.error_matches(function() optim.Adam({ z }, { fused = true }):step() end, "`fused=True` requires all the params")
    local m = torch.ones(2, 2, { requires_grad = true })
    m.grad = torch.ones(2, 2)
    assert.error_matches(function() optim.Muon({ m }, { ns_steps = 100 }):step() end, "must be less than 100")
    assert.error_matches(function() optim.Muon({ m }, { ns_coefficients = { 1, 2 } }):step() end, "must be 3 numbers")
    assert.error_matches(function() optim.LBFGS({ { params = p }, { params = m } }) end, "doesn't support per%-parameter")
    assert.error_matches(function() optim.LBFGS({ p }):step() end, "a closure that computes the loss again is required")
    assert.error_matches(function() optim.LBFGS({ p }, { line_search_fn = "x" }):step(function() return 1 end) end,
      "only 'strong_wolfe' is supported")
    assert.error_matches(function() optim.LBFGS({ p }):step(function() end) end, "the closure must return the loss")
  end)

  it("survives allocations that fail", function()
    local function live()
      collectgarbage()
      collectgarbage()
      return core.memory_stats().live_count
    end
    for _, name in ipairs(all) do
      local p = torch.ones(3, 4):t():requires_grad_()
      p.grad = torch.ones(4, 3)
      local o = optim[name] { p }
      o:step()
      local before, done = live(), false
      for n = 0, 300 do
        core.memory_fail_after(n)
        local ok, message = pcall(o.step, o)
        core.memory_fail_after(-1)
        if ok then
          done = true
          break
        end
        assert.is_truthy(tostring(message):find("memory", 1, true), tostring(message))
      end
      assert.is_true(done)
      assert.equal(before, live(), name)
    end
  end)
end)

describe("a differentiable step", function()
  it("does what the kernels do and has derivatives", function()
    torch.manual_seed(3)
    local rows = { { "SGD", { nesterov = true, momentum = 0.9, weight_decay = 0.1 } }, { "Adam", { amsgrad = true, weight_decay = 0.1 } },
      { "AdamW", {} }, { "Adadelta", {} }, { "Adagrad", {} }, { "Adamax", { maximize = true } }, { "ASGD", { t0 = 2 } },
      { "NAdam", { weight_decay = 0.1, decoupled_weight_decay = true } }, { "RAdam", { betas = { 0.9, 0.99 } } },
      { "RMSprop", { centered = true, momentum = 0.5 } }, { "Rprop", {} } }
    for _, row in ipairs(rows) do
      for _, dtype in ipairs { torch.float64, torch.complex128 } do
        local start, grads = torch.randn(4, { dtype = dtype }), {}
        for i = 1, 7 do grads[i] = torch.randn(4, { dtype = dtype }) end
        local function run(p, differentiable, count, given)
          local options = { differentiable = differentiable }
          for k, v in pairs(row[2]) do options[k] = v end
          local o = optim[row[1]]({ p }, options)
          for i = 1, count do
            p.grad = given[i]
            o:step()
          end
          return p
        end
        local a = run(start:clone():requires_grad_(), false, 7, grads):detach()
        local b = run(start:clone(), true, 7, grads)
        assert.is_true((a - b):abs():max():item() < 1e-9, row[1])
        if row[1] ~= "SGD" then -- its first buffer is cut off from the graph, in PyTorch too
          assert.is_true(torch.autograd.gradcheck(function(p, g1, g2)
            return run(p:clone(), true, 2, { g1, g2 })
          end, { start:clone():requires_grad_(), grads[1]:clone():requires_grad_(), grads[2]:clone():requires_grad_() }))
        end
      end
    end
  end)

  it("gives the derivative by the learning rate", function()
    local lr = torch.tensor(0.1, { dtype = torch.float64, requires_grad = true })
    local start = torch.tensor({ 1.0, 2.0 }, { dtype = torch.float64 })
    local w = start:clone()
    local o = optim.SGD({ w }, { lr = lr, differentiable = true })
    w.grad = start * 2
    o:step()
    w:square():sum():backward()
    -- w = s - 2 lr s; d/dlr sum(w^2) = sum(2 w * -2 s)
    assert.is_true(math.abs(lr.grad:item() - -4 * 0.8 * 5) < 1e-12)
  end)
end)

describe("optim.functional", function()
  local F = optim.functional
  -- The same three steps by the class and by the function, whose lists come from the class's state.
  local rows = {
    { "SGD", "sgd", { "momentum_buffer" }, { lr = 0.1, momentum = 0.9, dampening = 0, weight_decay = 0.1, nesterov = false } },
    { "Adam", "adam", { "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step" },
      { lr = 0.1, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, amsgrad = true } },
    { "AdamW", "adamw", { "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step" },
      { lr = 0.1, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, amsgrad = true } },
    { "Adadelta", "adadelta", { "square_avg", "acc_delta", "step" }, { lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0 } },
    { "Adagrad", "adagrad", { "sum", "step" }, { lr = 0.1, lr_decay = 0.1, eps = 1e-10, weight_decay = 0 } },
    { "Adamax", "adamax", { "exp_avg", "exp_inf", "step" }, { lr = 0.1, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0 } },
    { "ASGD", "asgd", { "ax", "mu", "eta", "step" }, { lr = 0.1, lambd = 1e-4, alpha = 0.75, t0 = 1, weight_decay = 0 } },
    { "NAdam", "nadam", { "exp_avg", "exp_avg_sq", "mu_product", "step" },
      { lr = 0.1, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0, momentum_decay = 0.004 } },
    { "RAdam", "radam", { "exp_avg", "exp_avg_sq", "step" }, { lr = 0.1, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0 } },
    { "RMSprop", "rmsprop", { "square_avg", "grad_avg", "momentum_buffer", "step" },
      { lr = 0.1, alpha = 0.9, eps = 1e-8, weight_decay = 0, momentum = 0.5, centered = true } },
    { "Rprop", "rprop", { "prev", "step_size", "step" }, { step_size_min = 1e-6, step_size_max = 50, etaminus = 0.5, etaplus = 1.2 } },
    { "Adafactor", "adafactor", { "row_var", "col_var", "variance", "step" },
      { lr = 0.1, d = 1, beta2_decay = -0.8, eps2 = 1e-3, weight_decay = 0 } },
    { "Muon", "muon", { "momentum_buffer" }, { lr = 0.1, weight_decay = 0.1, momentum = 0.95, nesterov = true,
      ns_coefficients = { 3.4445, -4.7750, 2.0315 }, ns_steps = 5, eps = 1e-7 } },
  }
  it("makes the optimizers' steps", function()
    torch.manual_seed(5)
    for _, row in ipairs(rows) do
      local class_options, maximizes = {}, row[2] ~= "muon"
      for k, v in pairs(row[4]) do class_options[k] = v end
      local o = class_options
      o.betas, o.beta1, o.beta2 = o.beta1 and { o.beta1, o.beta2 } or nil, nil, nil
      if o.etaminus then
        o.etas, o.step_sizes, o.lr = { o.etaminus, o.etaplus }, { o.step_size_min, o.step_size_max }, 0.1
        o.etaminus, o.etaplus, o.step_size_min, o.step_size_max = nil, nil, nil, nil
      end
      if o.eps2 then o.eps, o.eps2 = { nil, o.eps2 }, nil end
      if maximizes then o.maximize = true end
      local p = torch.randn(3, 4):requires_grad_()
      local optimizer = optim[row[1]]({ p }, o)
      p.grad = torch.randn(3, 4)
      optimizer:step()
      local q, lists = p:detach():clone():requires_grad_(), { { p }, { torch.randn(3, 4) } }
      lists[1][1] = q
      for _, name in ipairs(row[3]) do
        local value = optimizer.state[p][name]
        lists[#lists + 1] = { value and value:clone() }
      end
      local named = { maximize = maximizes or nil }
      for k, v in pairs(row[4]) do named[k] = v end
      lists[#lists + 1] = named
      F[row[2]](table.unpack(lists))
      p.grad = lists[2][1]
      optimizer:step()
      assert.is_true(worst(p, q) == 0, row[1])
    end
  end)

  it("makes momentum buffers and says what is wrong", function()
    local p, buffers = parameter { 1.0 }, {}
    local options = { lr = 1, momentum = 0.5, weight_decay = 0, dampening = 0, nesterov = false, maximize = false }
    F.sgd({ p }, { torch.ones(1) }, buffers, options)
    assert.equal(1, buffers[1]:item())
    assert.error_matches(function() F.sgd({ p }, { torch.ones(1) }, buffers, { lr = 1 }) end, "is missing")
    assert.error_matches(function()
      F.sparse_adam({ p }, { p }, { p }, { p }, { p }, { eps = 1, beta1 = 0, beta2 = 0, lr = 1, maximize = false })
    end, "does not support dense gradients")
    assert.error_matches(function()
      F.adadelta({ p }, { p }, { p }, { p }, { p }, { differentiable = true, lr = 1, rho = 0, eps = 1, weight_decay = 0, maximize = false })
    end, "differentiable = true is an option of the optimizers")
  end)
end)

describe("a user's own optimizer", function()
  local Own = optim.Optimizer:extend "Own"
  function Own:init(params, lr) optim.Optimizer.init(self, params, { lr = lr }) end
  function Own:step(closure)
    local loss = closure and closure()
    torch.no_grad(function()
      for _, group in ipairs(self.param_groups) do
        for _, p in ipairs(group.params) do
          local state = self.state[p]
          state.count = (state.count or 0) + 1
          p:sub_(p.grad, { alpha = group.lr })
        end
      end
    end)
    return loss
  end

  it("has state, hooks, schedulers, text and saving", function()
    local p = parameter { 1.0 }
    local o = Own({ p }, 1.0)
    local calls = 0
    o:register_step_post_hook(function() calls = calls + 1 end)
    local scheduler = optim.lr_scheduler.StepLR(o, 1)
    local warned = warnings.catch_warnings(function()
      assert.equal(3, o:step(function() return 3 end))
      scheduler:step()
    end)
    assert.equal(0, #warned)
    assert.equal(1, calls)
    assert.equal(0.5, p:item())
    assert.equal("Own (\nParameter Group 0\n    initial_lr: 1.0\n    lr: 0.1\n)", tostring(o))
    local other = Own({ parameter { 1.0 } }, 1)
    other:load_state_dict(o:state_dict())
    assert.equal(1, other:state_dict().state[0].count)
    assert.error_matches(function() optim.Optimizer({ p }, {}):step() end, "step is not implemented")
  end)

  it("may call its parent's step: hooks run once", function()
    local Twice = optim.SGD:extend "Twice"
    function Twice:step(closure)
      optim.SGD.step(self)
      return optim.SGD.step(self, closure)
    end
    local p = parameter { 1.0 }
    optim.SGD { parameter { 1.0 } }:step()
    local o, calls = Twice({ p }, { lr = 0.5 }), 0
    o:register_step_pre_hook(function() calls = calls + 1 end)
    o:step()
    assert.equal(1, calls)
    assert.equal(0.5, p:item())
  end)
end)

describe("schedulers", function()
  local S = optim.lr_scheduler
  local function sgd(lr) return optim.SGD({ parameter { 1.0 } }, { lr = lr or 0.1 }) end

  it("warn of steps in the wrong order, and of get_lr outside a step", function()
    local o = sgd()
    o:step() -- before the scheduler was there: does not count
    local scheduler = S.StepLR(o, 1)
    local warned = warnings.catch_warnings(function()
      scheduler:get_lr()
      scheduler:step()
      scheduler:step()
      o:step()
      o.step = function() end
      S.StepLR(o, 1):step()
    end)
    assert.equal(3, #warned)
    assert.is_truthy(warned[1].message:find("please use `get_last_lr()`", 1, true))
    assert.is_truthy(warned[2].message:find("before `optimizer.step()`", 1, true))
    assert.is_truthy(warned[3].message:find("has been overridden", 1, true))
    assert.is_truthy(warned[1].where:find("optim_features_spec.lua", 1, true))
  end)

  it("have PyTorch's older name for the base", function()
    local Own = S._LRScheduler:extend "Own"
    function Own:get_lr() return { self.last_epoch } end
    local scheduler = Own(sgd())
    assert.same({ 0 }, scheduler:get_last_lr())
    assert.is_true(torch.isinstance(scheduler, S.LRScheduler))
  end)

  it("change tensors in place", function()
    local lr = torch.tensor(1.0)
    local o = sgd(lr)
    local scheduler = S.ExponentialLR(o, 0.5)
    o:step()
    scheduler:step()
    assert.equal(lr, o.param_groups[1].lr)
    assert.equal(0.5, lr:item())
    assert.equal(1, scheduler.base_lrs[1]:item())
  end)

  it("resume from last_epoch", function()
    local o = sgd()
    o.param_groups[1].initial_lr = 0.1
    local scheduler = S.CosineAnnealingLR(o, 10, { last_epoch = 4 })
    assert.equal(5, scheduler.last_epoch)
    assert.error_matches(function() S.ExponentialLR(sgd(), 0.5, 3) end, "param 'initial_lr' is not specified in param_groups%[0%]")
  end)

  it("save the fields of callable objects", function()
    local Decay = require("lampad.class").extend(require("lampad.class").Object, "Decay")
    function Decay:init(rate) self.rate = rate end
    function Decay.__call(self, epoch) return self.rate ^ epoch end
    local o = sgd()
    local a, b = S.LambdaLR(o, Decay(0.5)), S.LambdaLR(sgd(), Decay(0.9))
    b:load_state_dict(a:state_dict())
    assert.equal(0.5, b.lr_lambdas[1].rate)
    local c = S.CyclicLR(optim.SGD({ parameter { 1.0 } }, { lr = 0.1 }), 0.1, 0.2, { scale_fn = Decay(0.5), step_size_up = 2 })
    local d = S.CyclicLR(optim.SGD({ parameter { 1.0 } }, { lr = 0.1 }), 0.1, 0.2, { scale_fn = Decay(0.9), step_size_up = 2 })
    d:load_state_dict(c:state_dict())
    assert.equal(0.125, d:scale_fn(3))
  end)

  it("reduce on a plateau by tensors, groups added later, within bounds", function()
    local o = sgd(1.0)
    local scheduler = S.ReduceLROnPlateau(o, { patience = 0, factor = 0.1, min_lr = 0.05 })
    scheduler:step(torch.tensor(1.0))
    scheduler:step(1.0)
    assert.is_true(math.abs(o.param_groups[1].lr - 0.1) < 1e-15)
    o:add_param_group { params = { parameter { 1.0 } }, lr = 0.2 }
    scheduler:step(1.0)
    assert.equal(0.05, o.param_groups[1].lr)
    assert.equal(0.05, o.param_groups[2].lr)
    assert.same({ 0.05, 0.05 }, scheduler:get_last_lr())
    assert.is_false(scheduler.in_cooldown)
    local Mine = S.ReduceLROnPlateau:extend "Mine"
    local cooling = Mine(o, { patience = 0, cooldown = 2 })
    cooling:step(1)
    cooling:step(1)
    assert.is_true(cooling.in_cooldown)
    local fixed = S.ReduceLROnPlateau(o, { patience = 0, min_lr = { 0, 0 } })
    o:add_param_group { params = { parameter { 1.0 } } }
    fixed:step(1)
    assert.error_matches(function() fixed:step(2) end, "differs from when `ReduceLROnPlateau` was initialized")
    assert.error_matches(function() fixed:step("x") end, "metrics must be a number")
  end)

  it("say what is wrong", function()
    local o, adam = sgd(), optim.Adagrad { parameter { 1.0 } }
    local wrong = {
      { function() S.StepLR(o, 0) end, "step_size must be positive" },
      { function() S.ConstantLR(o, 2) end, "Constant multiplicative factor expected to be between 0 and 1" },
      { function() S.LinearLR(o, { end_factor = 2 }) end, "Ending multiplicative factor" },
      { function() S.LambdaLR(o, { math.sin, math.cos }) end, "Expected 1 lr_lambdas, but got 2" },
      { function() S.MultiplicativeLR(o, 3) end, "lr_lambda should be a function, but got number" },
      { function() S.CosineAnnealingWarmRestarts(o, 0) end, "Expected positive integer T_0, but got 0" },
      { function() S.CosineAnnealingWarmRestarts(o, 1, 0) end, "Expected integer T_mult >= 1, but got 0" },
      { function() S.CosineAnnealingWarmRestarts(o, 1, 1, "x") end, "Expected float or int eta_min" },
      { function() S.CosineAnnealingWarmRestarts(o, 1):step(-1) end, "Expected non%-negative epoch, but got %-1" },
      { function() S.CyclicLR(o, 0.1, 0.2, { mode = "x" }) end, "mode is invalid and scale_fn is None" },
      { function() S.CyclicLR(o, { 0.1, 0.2 }, 0.2) end, "base_lr must have the same length as optimizer.param_groups" },
      { function() S.CyclicLR(adam, 0.1, 0.2) end, "optimizer must support momentum or beta1" },
      { function() S.OneCycleLR(o, 0.1) end, "You must define either total_steps OR" },
      { function() S.OneCycleLR(o, 0.1, { total_steps = 0 }) end, "Expected positive integer total_steps, but got 0" },
      { function() S.OneCycleLR(o, 0.1, { epochs = 1.5, steps_per_epoch = 1 }) end, "Expected positive integer epochs, but got 1.5" },
      { function() S.OneCycleLR(o, 0.1, { total_steps = 5, pct_start = 2 }) end, "Expected float between 0 and 1 pct_start" },
      { function() S.OneCycleLR(o, 0.1, { total_steps = 5, anneal_strategy = "x" }) end, "must be one of 'cos' or 'linear'" },
      { function() S.OneCycleLR(adam, 0.1, { total_steps = 5 }) end, "optimizer must support momentum or beta1" },
      { function() S.ReduceLROnPlateau(o, { factor = 1 }) end, "Factor should be < 1.0" },
      { function() S.ReduceLROnPlateau(o, "best") end, "mode best is unknown" },
      { function() S.ReduceLROnPlateau(o, { threshold_mode = "x" }) end, "threshold mode x is unknown" },
      { function() S.ReduceLROnPlateau(o, { min_lr = { 1, 2 } }) end, "expected 1 min_lrs, got 2" },
      { function() S.ReduceLROnPlateau(3) end, "number %(3%) is not an Optimizer" },
      { function() S.ChainedScheduler {} end, "expects at least one scheduler to be chained" },
      { function() S.ChainedScheduler { 3 } end, "at index 0 should have `optimizer` as its attribute" },
      { function() S.ChainedScheduler { S.StepLR(o, 1), S.StepLR(sgd(), 1) } end, "expects all schedulers to belong to the same" },
      { function() S.SequentialLR(o, { S.StepLR(o, 1) }, { 1 }) end, "one more than the number of milestone points" },
      { function() S.SequentialLR(o, {}, {}) end, "expects at least one scheduler" },
      { function() S.SequentialLR(o, { S.ReduceLROnPlateau(o) }, {}) end, "does not support `ReduceLROnPlateau`" },
      { function() S.LRScheduler(o) end, "get_lr is not implemented" },
      { function() S.StepLR(o, 1):load_state_dict(3) end, "expected a table, got number" },
    }
    for _, row in ipairs(wrong) do assert.error_matches(row[1], row[2]) end
    local scheduler = S.OneCycleLR(o, 0.1, { total_steps = 2 })
    for _ = 1, 2 do
      o:step()
      scheduler:step()
    end
    local zero = S.ConstantLR(o, 0, 1)
    assert.error_matches(function() zero:step() end, "division by zero")
    assert.error_matches(function() scheduler:step() end, "Tried to step 3 times. The specified number of total steps is 2")
  end)
end)

describe("torch.warnings", function()
  it("filters by action and category", function()
    local caught = warnings.catch_warnings(function()
      warnings.warn "one"
      warnings.warn("two", "FutureWarning")
    end)
    assert.equal("one", caught[1].message)
    assert.equal("UserWarning", caught[1].category)
    assert.equal("FutureWarning", caught[2].category)
    warnings.simplefilter("error", "FutureWarning")
    assert.error_matches(function() warnings.warn("three", "FutureWarning") end, "FutureWarning: three")
    warnings.simplefilter "ignore"
    warnings.warn("four", "FutureWarning")
    warnings.resetwarnings()
    assert.error_matches(function() warnings.simplefilter "loud" end, "action must be")
    assert.error_matches(function() warnings.catch_warnings(function() error "five" end) end, "five")
  end)
end)

describe("groups that differ from the defaults", function()
  it("may go without the momentum that nesterov asks for", function()
    local p, q = parameter { 1., 2. }, parameter { 3. }
    optim.SGD({ { params = { p } }, { params = { q }, momentum = 0 } }, { lr = 0.5, momentum = 0.9, nesterov = true }):step()
    assert.same({ 2.75 }, q:tolist())
  end)

  it("take Adafactor's eps with a nil", function()
    local p = parameter { 1., 2. }
    local o = optim.Adafactor({ { params = { p }, eps = { nil, 0.01 } } })
    assert.truthy(tostring(o):find("eps: (None, 0.01)", 1, true))
    o:step()
  end)
end)

describe("numbers in the state are computed in its dtype:", function()
  -- PyTorch's values.
  it("NAdam's mu_product", function()
    local p = torch.tensor({ 0.5, -0.3 }, { dtype = torch.float64, requires_grad = true })
    local o = optim.NAdam({ p }, { lr = 0.5, betas = { 0.9, 0.99 }, momentum_decay = 0.1, eps = 0 })
    for i = 1, 5 do
      p.grad = torch.tensor({ 0.1 * i, -0.7 + 0.2 * i }, { dtype = torch.float64 })
      o:step()
    end
    assert.near(-1.9807965965888645, p[0]:item(), 1e-13)
    assert.near(0.360478418217365, p[1]:item(), 1e-13)
  end)

  it("ASGD's eta and mu, also after a float64 state is loaded", function()
    local p = torch.tensor({ 0.5, -0.3 }, { dtype = torch.float64, requires_grad = true })
    local o = optim.ASGD({ p }, { lr = 0.3, lambd = 0.1, t0 = 0 })
    for i = 1, 6 do
      p.grad = torch.tensor({ 0.1 * i, -0.7 + 0.2 * i }, { dtype = torch.float64 })
      o:step()
      if i == 2 then
        local other = optim.ASGD { p }
        other:load_state_dict(o:state_dict())
        o = other
      end
    end
    assert.near(-0.1397510263948525, p[0]:item(), 1e-13)
    assert.near(-0.10017858772736139, o.state[p].ax[1]:item(), 1e-13)
  end)
end)
