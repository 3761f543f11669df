-- Optimizers and schedulers against PyTorch's numbers (tests/golden/libs.lua).
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/libs.lua")

local function small_net()
  torch.manual_seed(4)
  return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
end

local function evaluate(code, environment)
  return assert(load("return " .. code, "=golden", "t", environment))()
end

local function train(net, optimizer, steps)
  for _ = 1, steps do
    local loss = F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 2))
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
  end
end

local function values_of(net)
  local parts = {}
  for p in net:parameters() do parts[#parts + 1] = p:detach():reshape(-1) end
  return torch.cat(parts):tolist()
end

local function close(expected, got, tolerance)
  assert.equal(#expected, #got)
  for i = 1, #expected do
    local difference = math.abs(expected[i] - got[i])
    if difference ~= difference or difference > tolerance then
      error(("element %d is %.9g, expected %.9g"):format(i - 1, got[i], expected[i]), 2)
    end
  end
end

describe("optimizers", function()
  for _, row in ipairs(golden.optimizers) do
    it(row.code, function()
      local net = small_net()
      local optimizer = evaluate(row.code, { optim = optim, p = net:parameters() })
      torch.manual_seed(5)
      train(net, optimizer, 6)
      close(row.values, values_of(net), 1e-5)
      assert.equal((row.text:gsub("\n$", "")), tostring(optimizer))
    end)

    it(row.code .. " goes on from its state_dict", function()
      local net = small_net()
      local optimizer = evaluate(row.code, { optim = optim, p = net:parameters() })
      torch.manual_seed(5)
      train(net, optimizer, 3)
      local other = net:deepcopy()
      local resumed = evaluate(row.code, { optim = optim, p = other:parameters() })
      resumed:load_state_dict(optimizer:state_dict())
      local state = torch.get_rng_state()
      train(net, optimizer, 3)
      torch.set_rng_state(state)
      train(other, resumed, 3)
      assert.same(values_of(net), values_of(other))
    end)
  end

  it("keep PyTorch's structure of state", function()
    local net = nn.Linear(2, 1)
    local optimizer = optim.Adam { { params = { net.weight }, lr = 0.5 }, { params = { net.bias } } }
    net(torch.ones(1, 2)):sum():backward()
    optimizer:step()
    local state = optimizer:state_dict()
    assert.same({ 0 }, state.param_groups[1].params)
    assert.same({ 1 }, state.param_groups[2].params)
    assert.equal(0.5, state.param_groups[1].lr)
    assert.equal(0.001, state.param_groups[2].lr)
    assert.equal(1, state.state[0].step:item())
    assert.same({ 1, 2 }, { state.state[0].exp_avg.shape:unpack() })
  end)

  it("take a closure, and parameters without gradient", function()
    local net = nn.Linear(2, 1)
    local before = net.bias:item()
    local optimizer = optim.SGD(net:parameters(), { lr = 0.1, momentum = 0.9 })
    local loss = optimizer:step(function()
      optimizer:zero_grad()
      local l = F.linear(torch.ones(1, 2), net.weight):sum()
      l:backward()
      return l
    end)
    assert.is_true(torch.is_tensor(loss))
    assert.equal(before, net.bias:item())
    assert.is_nil(rawget(optimizer.state, net.bias))
  end)

  it("say what is wrong", function()
    local net = nn.Linear(2, 1)
    local p = net.weight
    local wrong = {
      { function() optim.SGD(net:parameters(), { lr = -1 }) end, "SGD: Invalid learning rate: %-1" },
      { function() optim.SGD({}, { lr = 1 }) end, "empty parameter list" },
      { function() optim.SGD(p, { lr = 1 }) end, "must be an iterator or a list" },
      { function() optim.SGD({ { params = p }, { params = { p } } }, { lr = 1 }) end, "more than one parameter group" },
      { function() optim.SGD({ p * 2 }, { lr = 1 }) end, "can't optimize a non%-leaf Tensor" },
      { function() optim.SGD({ 3 }, { lr = 1 }) end, "can only optimize Tensors" },
      { function() optim.SGD({ p }, { lr = 1, nesterov = true }) end, "Nesterov momentum requires" },
      { function() optim.SGD({ p }, { rl = 1 }) end, "unknown argument 'rl'; did you mean 'lr'" },
      { function() optim.Adam({ p }, { betas = { 1, 0.9 } }) end, "Invalid beta parameter at index 0" },
      { function() optim.SGD { { params = { p }, momentums = 1 } } end, "did you mean 'momentum'" },
    }
    for _, row in ipairs(wrong) do assert.error_matches(row[1], row[2]) end
    local a, b = optim.SGD { p }, optim.SGD(net:parameters())
    assert.error_matches(function() a:load_state_dict(b:state_dict()) end, "doesn't match the size")
  end)
end)

describe("lr_scheduler", function()
  local function two_groups()
    return optim.SGD({ { params = { torch.zeros(1, { requires_grad = true }) } },
      { params = { torch.zeros(1, { requires_grad = true }) }, lr = 0.3 } }, { lr = 0.1 })
  end
  local function environment(optimizer)
    return setmetatable({ o = optimizer }, { __index = optim.lr_scheduler })
  end

  for _, row in ipairs(golden.schedulers) do
    it(row.code, function()
      local optimizer = two_groups()
      local scheduler = evaluate(row.code, environment(optimizer))
      for i, expected in ipairs(row.rates) do
        -- PyTorch's numbers to the last bit, but for the C library's cosine and power.
        close(expected, { optimizer.param_groups[1].lr, optimizer.param_groups[2].lr }, 1e-15)
        assert.same({ optimizer.param_groups[1].lr, optimizer.param_groups[2].lr }, scheduler:get_last_lr(), i)
        optimizer:step()
        scheduler:step()
      end
    end)

    it(row.code .. " goes on from its state_dict", function()
      local optimizer, other = two_groups(), two_groups()
      local scheduler, resumed = evaluate(row.code, environment(optimizer)), evaluate(row.code, environment(other))
      for _ = 1, 5 do
        optimizer:step()
        scheduler:step()
      end
      other:load_state_dict(optimizer:state_dict())
      resumed:load_state_dict(scheduler:state_dict())
      for _ = 1, 5 do
        optimizer:step()
        scheduler:step()
        other:step()
        resumed:step()
        assert.same(scheduler:get_last_lr(), resumed:get_last_lr())
      end
    end)
  end

  it("says what is wrong", function()
    assert.error_matches(function() optim.lr_scheduler.StepLR(3, 1) end, "number %(3%) is not an Optimizer")
    assert.error_matches(function() optim.lr_scheduler.LinearLR(two_groups(), 2) end, "Starting multiplicative factor")
    assert.error_matches(function() optim.lr_scheduler.StepLR(two_groups(), 1, { last_epoch = 3 }) end, "initial_lr")
  end)
end)
