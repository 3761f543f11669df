-- Hooks of nn.Module: forward, backward, state_dict, registration; of one module and of all.
local torch = require "lampad"
local nn = torch.nn
local all = nn.modules.module

local Add = nn.Module:extend "Add"
function Add:forward(x, options)
  return x + (options and options.by or 1)
end

local Two = nn.Module:extend "Two"
function Two:forward(x, y) return x * y, x + y end

describe("forward hooks", function()
  it("see named arguments apart with with_kwargs", function()
    local net, seen = Add(), {}
    local h1 = net:register_forward_pre_hook(function(_, args, kwargs)
      seen[#seen + 1] = { #args, kwargs.by }
      return { args[1] * 10 }, { by = (kwargs.by or 0) + 1 }
    end, { with_kwargs = true })
    local h2 = net:register_forward_hook(function(_, args, kwargs, output)
      seen[#seen + 1] = { args[1]:item(), kwargs.by, output:item() }
    end, { with_kwargs = true })
    assert.equal(13, net(torch.tensor(1), { by = 2 }):item())
    assert.same({ { 1, 2 }, { 10, 3, 13 } }, seen)
    assert.equal(11, net(torch.tensor(1)):item())
    h1:remove()
    h1:remove()
    h2:remove()
    assert.equal(3, net(torch.tensor(1), { by = 2 }):item())
    net:register_forward_pre_hook(function() return 3 end, { with_kwargs = true })
    assert.error_matches(function() net(torch.tensor(1)) end,
      "forward pre%-hook must return nil or two tables, new_args and new_kwargs, but got number %(3%)")
  end)

  it("get several results as a list, and replace them", function()
    local net = Two()
    net:register_forward_hook(function(_, inputs, outputs)
      assert.equal(2, inputs.n)
      assert.equal(2, outputs.n)
      return { outputs[2], outputs[1] }
    end)
    local a, b = net(torch.tensor(3), torch.tensor(4))
    assert.same({ 7, 12 }, { a:item(), b:item() })
    local none = nn.Module:extend "None"
    function none:forward() end
    local seen = 0
    local n = none()
    n:register_forward_hook(function(_, _, output)
      seen = seen + 1
      assert.is_nil(output)
    end)
    assert.equal(0, select("#", n()))
    assert.equal(1, seen)
  end)

  it("may remove themselves, and end with a scope", function()
    local net, log = nn.Identity(), {}
    local once
    once = net:register_forward_hook(function()
      log[#log + 1] = "once"
      once:remove()
    end)
    net:register_forward_hook(function() log[#log + 1] = "always" end)
    net(1)
    net(1)
    assert.same({ "once", "always", "always" }, log)
    do
      local _ <close> = net:register_forward_hook(function() log[#log + 1] = "scoped" end)
      net(1)
    end
    net(1)
    assert.same({ "once", "always", "always", "always", "scoped", "always" }, log)
  end)

  it("are called after an error when always_call", function()
    local Bad = nn.Module:extend "Bad"
    function Bad:forward() error("broken", 0) end
    local net, log = Bad(), {}
    net:register_forward_hook(function(_, _, output) log[#log + 1] = tostring(output) end, { always_call = true })
    net:register_forward_hook(function() log[#log + 1] = "never" end)
    net:register_forward_hook(function() error "dropped" end, { always_call = true })
    local outer = nn.Sequential(net)
    local ok, err = pcall(outer, 1)
    assert.is_false(ok)
    assert.equal("broken\n  in 0 (Bad) of Sequential", err)
    assert.same({ "nil" }, log)
    -- A hook that raises itself does not run twice.
    local good, runs = nn.Identity(), 0
    good:register_forward_hook(function()
      runs = runs + 1
      error("from the hook", 0)
    end, { always_call = true })
    assert.error_matches(function() good(1) end, "from the hook")
    assert.equal(1, runs)
  end)

  it("say what they cannot take", function()
    local net = nn.Identity()
    assert.error_matches(function() net:register_forward_hook(3) end, "argument 'hook' must be a function, got number")
    assert.error_matches(function() net:register_forward_hook(print, { prepand = true }) end, "did you mean 'prepend'")
    assert.error_matches(function() net:register_forward_pre_hook(print, { always_call = true }) end, "unknown argument")
    assert.error_matches(function() net:register_state_dict_pre_hook(nil) end, "argument 'hook' must be a function")
  end)
end)

describe("backward hooks", function()
  local function scale()
    local net = nn.Linear(2, 1, { bias = false })
    torch.no_grad(function() net.weight:copy_(torch.tensor { { 3.0, 4.0 } }) end)
    return net
  end

  it("full pre hooks replace grad_output, in order", function()
    local net, log = scale(), {}
    net:register_full_backward_pre_hook(function(_, grad_output)
      log[#log + 1] = grad_output[1]:item()
      return { grad_output[1] * 2 }
    end)
    net:register_full_backward_pre_hook(function(_, grad_output)
      log[#log + 1] = grad_output[1]:item()
      return grad_output[1] * 5
    end, { prepend = true })
    net:register_full_backward_hook(function(_, grad_input, grad_output)
      log[#log + 1] = grad_output[1]:item()
      log[#log + 1] = grad_input[1]:tolist()
    end)
    local x = torch.ones(1, 2, { requires_grad = true })
    net(x):sum():backward()
    assert.same({ 1.0, 5.0, 10.0, { { 30.0, 40.0 } } }, log)
    assert.same({ { 10.0, 10.0 } }, net.weight.grad:tolist())
  end)

  it("chain what they return, and count it", function()
    local net = scale()
    net:register_full_backward_hook(function(_, grad_input) return { grad_input[1] + 1 } end)
    net:register_full_backward_hook(function(_, grad_input) return { grad_input[1] * 10 } end)
    local x = torch.ones(1, 2, { requires_grad = true })
    net(x):sum():backward()
    assert.same({ { 40.0, 50.0 } }, x.grad:tolist())
    net:register_full_backward_hook(function(_, grad_input) return { grad_input[1], grad_input[1] } end)
    assert.error_matches(function() net(x):sum():backward() end,
      "Backward hook returned an invalid number of grad_input, got 2, but expected 1")
  end)

  it("run without gradients of the inputs, and may not return any then", function()
    local net, seen = scale(), nil
    local handle = net:register_full_backward_hook(function(_, grad_input, grad_output)
      seen = { grad_input.n, grad_input[1], grad_output[1]:item() }
    end)
    net(torch.ones(1, 2)):sum():backward()
    assert.same({ 1, nil, 1.0 }, seen)
    handle:remove()
    net:register_full_backward_hook(function(_, _, grad_output) return { grad_output[1] } end)
    assert.error_matches(function() net(torch.ones(1, 2)):sum():backward() end,
      "Backward hook for Modules where no input requires gradient should always return nil")
  end)

  it("see every input and output", function()
    local net, seen = Two(), nil
    net:register_full_backward_hook(function(_, grad_input, grad_output)
      seen = { grad_input[1]:item(), grad_input[2]:item(), grad_output[1]:item(), grad_output[2]:item() }
    end)
    local a, b = torch.tensor(3.0, { requires_grad = true }), torch.tensor(4.0, { requires_grad = true })
    local product, sum = net(a, b)
    torch.autograd.backward { product * 2, sum }
    assert.same({ 9.0, 7.0, 2.0, 1.0 }, seen)
  end)

  it("of the old kind see the last op, and do not mix with full ones", function()
    local Net = nn.Module:extend "Net"
    function Net:forward(x) return (x * 2):exp() end
    local net, seen = Net(), nil
    net:register_backward_hook(function(_, grad_input, grad_output)
      seen = { grad_input[1]:item(), grad_output[1]:item() }
    end)
    local x = torch.tensor(0.0, { requires_grad = true })
    local y = net(x) * 3
    y:backward()
    assert.same({ 3.0, 3.0 }, seen)
    assert.equal(6, x.grad:item())
    assert.error_matches(function() net:register_full_backward_hook(print) end,
      "Cannot use both regular backward hooks and full backward hooks on a single Module")
    local other = Net()
    other:register_full_backward_hook(function() end)
    assert.error_matches(function() other:register_backward_hook(print) end, "Cannot use both regular")
  end)
end)

describe("hooks of every module", function()
  it("come before those of the module", function()
    local net, log = nn.Sequential(nn.Identity()), {}
    net[0]:register_forward_hook(function() log[#log + 1] = "own" end)
    local handles = {
      all.register_module_forward_pre_hook(function(m, inputs)
        log[#log + 1] = "pre " .. m.__name
        if m == net then return { inputs[1] + 1 } end
      end),
      all.register_module_forward_hook(function(m, _, output)
        log[#log + 1] = "post " .. m.__name
        if m == net then return output * 10 end
      end),
      all.register_module_full_backward_hook(function(m) log[#log + 1] = "back " .. m.__name end),
      all.register_module_full_backward_pre_hook(function(m) log[#log + 1] = "prior " .. m.__name end),
    }
    local x = torch.tensor(1.0, { requires_grad = true })
    local y = net(x)
    assert.equal(20, y:item())
    y:backward()
    for _, handle in ipairs(handles) do handle:remove() end
    net(x)
    assert.same({ "pre Sequential", "pre Identity", "post Identity", "own", "post Sequential", "prior Sequential",
      "prior Identity", "back Identity", "back Sequential", "own" }, log)
  end)

  it("of the old backward kind, one kind at a time", function()
    local log = {}
    local handle = all.register_module_backward_hook(function(m) log[#log + 1] = m.__name end)
    assert.error_matches(function() all.register_module_full_backward_hook(print) end,
      "Cannot use both regular backward hooks and full backward hooks as a global Module hook")
    nn.Linear(1, 1)(torch.ones(1, 1)):sum():backward()
    handle:remove()
    assert.same({ "Linear" }, log)
  end)

  it("of the forward kind may see errors", function()
    local log = {}
    local handle = all.register_module_forward_hook(function(m) log[#log + 1] = m.__name end, { always_call = true })
    pcall(nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 3))
    handle:remove()
    assert.same({ "Linear", "Sequential" }, log)
  end)

  it("see registrations and may replace them", function()
    local log = {}
    local handles = {
      all.register_module_parameter_registration_hook(function(m, name, p)
        log[#log + 1] = ("%s.%s %d"):format(m.__name, name, p:numel())
        if name == "gain" then return nn.Parameter(torch.zeros(3)) end
      end),
      all.register_module_buffer_registration_hook(function(_, name) log[#log + 1] = "buffer " .. name end),
      all.register_module_module_registration_hook(function(_, name, m) log[#log + 1] = name .. " " .. m.__name end),
    }
    local net = nn.Sequential(nn.Linear(2, 1))
    net:register_parameter("gain", nn.Parameter(torch.ones(1)))
    net:register_buffer("mean", torch.zeros(1))
    for _, handle in ipairs(handles) do handle:remove() end
    net.late = nn.ReLU()
    assert.same({ "Linear.weight 2", "Linear.bias 1", "0 Linear", "Sequential.gain 1", "buffer mean" }, log)
    assert.equal(3, net.gain:numel())
  end)
end)

describe("hooks of the state", function()
  it("pre hooks see prefixes; private ones may replace the map", function()
    local net, log = nn.Sequential(nn.Linear(1, 1)), {}
    net[0]:register_state_dict_pre_hook(function(m, prefix, keep_vars)
      log[#log + 1] = { m.__name, prefix, keep_vars }
    end)
    net:_register_state_dict_hook(function(_, sd, prefix)
      local other = sd:copy()
      other.added = prefix
      return other
    end)
    local sd = net:state_dict { keep_vars = true }
    assert.same({ { "Linear", "0.", true } }, log)
    assert.equal("", sd.added)
    assert.is_true(sd["0.weight"].requires_grad)
    net[0]:register_state_dict_post_hook(function() return 3 end)
    assert.error_matches(function() net:state_dict() end, "state_dict post%-hook must return None")
  end)

  it("load hooks get what PyTorch's get", function()
    local net, seen = nn.Sequential(nn.Linear(1, 1)), {}
    net[0]:_register_load_state_dict_pre_hook(function(sd, prefix, metadata, strict, missing, unexpected, errors)
      seen[1] = { prefix, metadata.version, strict, #missing, #unexpected, #errors }
      sd[prefix .. "bias"] = torch.ones(1)
    end)
    net[0]:_register_load_state_dict_pre_hook(function(m) seen[2] = m end, true)
    net:register_load_state_dict_post_hook(function(_, keys)
      seen[3] = keys.unexpected_keys[1]
      keys.unexpected_keys[1] = nil
    end)
    local sd = net:state_dict()
    sd["0.bias"] = nil
    sd.extra = torch.zeros(1)
    assert.equal("<All keys matched successfully>", tostring(net:load_state_dict(sd)))
    assert.same({ "0.", 1, true, 0, 1, 0 }, seen[1]) -- `extra` was found at the top already
    assert.equal(net[0], seen[2])
    assert.equal("extra", seen[3])
    assert.equal(1, net[0].bias:item())
    net:register_load_state_dict_post_hook(function() return 3 end)
    assert.error_matches(function() net:load_state_dict(sd) end, "must not return a value")
  end)
end)
