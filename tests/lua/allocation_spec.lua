-- Every allocation of a call fails in turn: each failure is a Lua error that speaks of memory, leaves
-- every object usable and no storage behind.
local torch = require "lampad"
local core = require "lampad.core"

local x = torch.arange(24):reshape(2, 3, 4)
local w = torch.ones(2, 3, { requires_grad = true })
local many = torch.arange(100000):remainder(997):float()

local calls = {
  ["torch.tensor of a nested table"] = function() return torch.tensor { { 1, 2 }, { 3, 4 } } end,
  ["torch.tensor of 0-d tensors"] = function() return torch.tensor({ torch.tensor(1), 2 }, { dtype = torch.float16 }) end,
  ["torch.as_tensor"] = function() return torch.as_tensor(x, torch.float32) end,
  ["x:new_tensor"] = function() return x:new_tensor({ 1, 2 }) end,
  ["x:item()"] = function() return x[0][0][0]:item() end,
  ["x[i]"] = function() return x[1] end,
  ["x[text]"] = function() return x["0, 1:, ::2"] end,
  ["x[text] with None, True and a list"] = function() return x["None, True, [0, 1], ..."] end,
  ["x[lists]"] = function() return x[{ { 0, 1 }, { 1, 2 } }] end,
  ["x[mask]"] = function() return x[x:gt(5)] end,
  ["x[...] = value"] = function()
    local y = x:clone()
    y[{ { 0, 1 }, { 1, 2 } }] = 5
    y["0, :, 1"] = { 1, 2, 3 }
    y[1] = torch.zeros(1, 1, 4, { dtype = torch.int64 })
    return y
  end,
  ["x[...] = value under autograd"] = function()
    local y = w * 2
    y[0] = 3
    y[{ { 0, 1 }, { 0, 2 } }]:sum():backward()
    w.grad = nil
  end,
  ["draws of categories"] = function()
    torch.multinomial(w:detach(), 2)
    torch.multinomial(w:detach(), 1)
    return torch.multinomial(w:detach(), 5, true)
  end,
  ["order statistics of many elements"] = function()
    torch.nanmedian(many)
    torch.kthvalue(many, 7)
    return torch.quantile(many, 0.3)
  end,
  ["distinct elements"] = function()
    torch.unique(many:to(torch.int64), { return_inverse = true, return_counts = true })
    torch.unique(many, { return_inverse = true })
    return torch.unique_consecutive(many, { return_inverse = true, return_counts = true })
  end,
  ["counts"] = function()
    torch.bincount(many:to(torch.int32))
    return torch.histc(many, 10)
  end,
  ["masks and flips"] = function()
    local y = many:view(100, 1000):clone()
    y[y:gt(500)] = 1
    y:masked_scatter_(y:lt(30), many)
    return y:t():masked_select(y:t():gt(3)):flip(0)
  end,
  ["tostring(x)"] = function() return tostring(w * 2) end,
  ["torch.get_rng_state"] = function() return torch.get_rng_state() end,
  ["Generator.clone_state"] = function() return torch.Generator():clone_state() end,
}

local function live()
  collectgarbage()
  collectgarbage()
  return core.memory_stats().live_count
end

describe("a failing allocation", function()
  for name, call in pairs(calls) do
    it("in " .. name .. " is an error and leaks nothing", function()
      call()
      local before, failures = live(), 0
      for n = 0, 1000 do
        core.memory_fail_after(n)
        local ok, message = pcall(call)
        core.memory_fail_after(-1)
        if ok then break end
        failures = failures + 1
        assert.is_truthy(tostring(message):find("memory", 1, true), tostring(message))
      end
      w.grad = nil
      assert.is_true(failures > 0 and failures < 1000)
      assert.are.equal(before, live())
      call()
    end)
  end
end)
