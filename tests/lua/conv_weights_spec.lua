-- Weights that convolutions keep packed without a gradient (nn/cpu/conv_dnnl.c): whatever writes to them, the next
-- result is that of the new ones.
local core = require "lampad.core"
local F = torch.nn.functional

local function without_gradient(x, weight)
  return torch.no_grad(function() return F.conv2d(x, weight, nil, 1, 1) end)
end

-- By another way: the kernel in float64 packs nothing.
local function check(x, weight)
  local expected = F.conv2d(x:double(), weight:detach():double(), nil, 1, 1)
  local allowed = 1e-4 * expected:abs():max():item()
  for _ = 1, 2 do
    local off = (without_gradient(x, weight):double() - expected):abs():max():item()
    assert.is_true(off <= allowed, ("off by %g, allowed %g"):format(off, allowed))
  end
end

describe("weights packed for convolutions", function()
  local x, weight
  before_each(function()
    torch.manual_seed(0)
    x, weight = torch.randn(2, 32, 24, 24), torch.nn.Parameter(torch.randn(32, 32, 3, 3))
    check(x, weight)
  end)

  it("follow every write", function()
    local writes = {
      function() torch.no_grad(function() weight:add_(1) end) end,
      function() torch.no_grad(function() weight[3] = 2 end) end,
      function() torch.no_grad(function() weight[{ 1, 2 }]:zero_() end) end,
      function() weight.data:mul_(2) end,
      function() weight.data[5] = torch.randn(32, 3, 3) end,
      function() weight:detach():normal_() end,
      function() torch.no_grad(function() weight:view(-1):copy_(torch.randn(32 * 32 * 9)) end) end,
      function() torch.add(torch.ones(32, 32, 3, 3), 1, { out = weight.data }) end,
      function() torch.nn.init.kaiming_normal_(weight) end,
      function() weight.data = torch.randn(32, 32, 3, 3) end,
      function() weight.data:untyped_storage():fill_(0) end,
    }
    for i, write in ipairs(writes) do
      write()
      local ok, message = pcall(check, x, weight)
      assert.is_true(ok, ("after write %d: %s"):format(i, tostring(message)))
    end
  end)

  it("follow optimizers and loaded states", function()
    local net = torch.nn.Conv2d(32, 32, 3, { padding = 1 })
    for _, name in ipairs { "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adafactor" } do
      local optimizer = torch.optim[name](net:parameters(), { lr = 0.1 })
      torch.no_grad(function() net(x) end)
      net(x):sum():backward()
      optimizer:step()
      check(x, net.weight)
    end
    net:load_state_dict(torch.nn.Conv2d(32, 32, 3):state_dict())
    check(x, net.weight)
  end)

  it("serve other sizes, parts of the same storage and several threads of work", function()
    local both = torch.randn(64, 32, 3, 3)
    check(x, both:narrow(0, 0, 32))
    check(x, both:narrow(0, 32, 32))
    check(torch.randn(1, 32, 5, 9), weight)
    check(torch.randn(5, 32, 40, 40), weight)
    local threads = torch.get_num_threads()
    torch.set_num_threads(1)
    check(x, weight)
    torch.set_num_threads(threads)
  end)

  it("are not made where weights are about to change", function()
    local fresh = torch.nn.Parameter(torch.randn(32, 32, 3, 3))
    local function live() collectgarbage() collectgarbage() return core.memory_stats().live_bytes end
    local before = live()
    F.conv2d(x, fresh, nil, 1, 1):sum():backward()
    fresh.grad = nil
    assert.is_true(live() <= before)
    without_gradient(x, fresh)
    assert.is_true(live() > before)
  end)

  it("give the same result twice, and are freed with the weight", function()
    assert.is_true(torch.equal(without_gradient(x, weight), without_gradient(x, weight)))
    local function live() collectgarbage() collectgarbage() return core.memory_stats().live_bytes end
    local before = live()
    for _ = 1, 20 do without_gradient(x, torch.randn(32, 32, 3, 3)) end
    assert.is_true(live() <= before)
  end)
end)
