-- Memory over many steps: what a loop makes and drops must not pile up.
local core = require "lampad.core"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local command = dofile(here .. "/command.lua")

-- In a process of its own: prints how much resident memory and live bytes grow from step 2,000 to 10,000.
local steps = [[
local core = require "lampad.core"
local function resident_kib()
  local file = assert(io.open("/proc/self/status"))
  local kib = file:read("a"):match("VmRSS:%s*(%d+)")
  file:close()
  return tonumber(kib)
end
torch.manual_seed(0)
local net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
local optimizer = optim.SGD(net:parameters(), { lr = 0.01, momentum = 0.9 })
local x, y = torch.randn(4, 8), torch.tensor { 0, 1, 0, 1 }
local first_kib, first_live
for step = 1, 10000 do
  optimizer:zero_grad()
  local loss = F.cross_entropy(net(x), y)
  loss:backward()
  optimizer:step()
  if step == 2000 then
    collectgarbage()
    first_kib, first_live = resident_kib(), core.memory_stats().live_bytes
  end
end
collectgarbage()
print(resident_kib() - first_kib, core.memory_stats().live_bytes - first_live)
]]

describe("memory", function()
  it("stays flat over 10,000 training steps of a tiny net", function()
    local status, out, err = command.run { "-e", steps }
    assert.equal(0, status, err)
    local grown_kib, grown_live = out:match("(%-?%d+)%s+(%-?%d+)")
    assert.is_true(tonumber(grown_kib) < 2048, out)
    assert.is_true(tonumber(grown_live) <= 4096, out)
  end)

  it("frees a graph whose saved tensors were written in place", function()
    local a, b = torch.ones(50, { requires_grad = true }), torch.ones(50, { requires_grad = true })
    local function live()
      collectgarbage()
      collectgarbage()
      return core.memory_stats().live_count
    end
    for name, build in pairs {
      ["a saved input"] = function()
        local x = a * 1
        x:mul_(x * b)
      end,
      ["a saved tensor without history"] = function()
        local x = torch.ones(50)
        x:mul_(x * b)
      end,
      ["a saved view"] = function()
        local x = a * 1
        x["0:25"]:mul_(x["0:25"] * b["0:25"])
      end,
      ["a saved view of another part"] = function()
        local x = a * 1
        x["25:50"]:mul_(x["0:25"] * b["0:25"])
      end,
      ["a saved view of what is written whole"] = function()
        local x = a * 1
        x:mul_((x["0:25"] * b["0:25"]):sum())
      end,
    } do
      build()
      local before = live()
      for _ = 1, 10 do build() end
      assert.equal(before, live(), name)
    end
  end)

  it("frees large garbage without a call by the user", function()
    -- A quarter of what is live may be garbage. Other tests had more, and the allowance learns at its collections.
    collectgarbage()
    collectgarbage()
    local x = torch.zeros(1024, 1024)
    for _ = 1, 300 do x = x + 1 end
    core.memory_reset_peak()
    local before = core.memory_stats().live_bytes
    for _ = 1, 200 do x = x + 1 end -- 800 MiB of garbage
    assert.equal(500, x["0, 0"]:item())
    local peak = core.memory_stats().peak_bytes - before
    assert.is_true(peak < 80 * 2 ^ 20, ("peak %.0f MiB"):format(peak / 2 ^ 20))
  end)

  it("frees gradients that autograd.grad made and nobody kept", function()
    local x = torch.randn(1000, 1000):requires_grad_()
    local y = (x * 2):sum()
    local before = core.memory_stats().live_bytes
    for _ = 1, 200 do torch.autograd.grad({ y }, { x }, { retain_graph = true }) end
    local grown = core.memory_stats().live_bytes - before
    assert.is_true(grown < 100 * 2 ^ 20, ("%d MiB live after 200 gradients of 4 MB"):format(grown // 2 ^ 20))
  end)

  -- Elements of 256 KiB that live for 16 rounds.
  local function fill(rounds)
    local recent = {}
    for i = 1, rounds do recent[i % 16] = torch.ones(256, 256) end
    assert.equal(1, recent[0]["0, 0"]:item())
  end

  it("frees tensors that grew old before they died, in either mode of the collector", function()
    for _, mode in ipairs { "generational", "incremental" } do
      local mode_before = collectgarbage(mode)
      fill(4000) -- other tests had more, and the allowance learns at its collections
      core.memory_reset_peak()
      local before = core.memory_stats().live_bytes
      fill(1000) -- 250 MiB of garbage
      local peak = core.memory_stats().peak_bytes - before
      collectgarbage(mode_before)
      assert.is_true(peak < 80 * 2 ^ 20, ("%s: peak %.0f MiB"):format(mode, peak / 2 ^ 20))
    end
    assert.equal("generational", collectgarbage("generational"))
  end)

  it("counts garbage from what the program's own collection left", function()
    for _, mode in ipairs { "generational", "incremental" } do
      local mode_before = collectgarbage(mode)
      do
        local held = {}
        for i = 1, 300 do held[i] = torch.ones(512, 512) end
        assert.equal(1, held[300]["0, 0"]:item())
      end
      collectgarbage()
      collectgarbage()
      core.memory_reset_peak()
      local before = core.memory_stats().live_bytes
      fill(1000)
      local peak = core.memory_stats().peak_bytes - before
      collectgarbage(mode_before)
      -- The allowances may still be those for 300 MiB.
      assert.is_true(peak < 200 * 2 ^ 20, ("%s: peak %.0f MiB"):format(mode, peak / 2 ^ 20))
    end
  end)

  it("releases at once with free(), and says so afterwards", function()
    local x = torch.ones(1024, 1024)
    local before = core.memory_stats().live_bytes
    x:free()
    assert.is_true(core.memory_stats().live_bytes <= before - 4 * 2 ^ 20)
    assert.has_error(function() return x + 1 end)
    assert.truthy(tostring(x):find("freed", 1, true))
  end)

  it("collects at the end of torch.scope", function()
    local before = core.memory_stats().live_bytes
    local kept = torch.scope(function()
      local a = torch.ones(1024, 1024)
      local b = a * 2
      return b:sum()
    end)
    assert.equal(2 * 1024 * 1024, kept:item())
    assert.is_true(core.memory_stats().live_bytes < before + 2 ^ 20)
  end)
end)
