-- Times what is all overhead: ops of a few elements, and the small net's backward; one line each: "name<TAB>microseconds".
--   build/lampad scripts/bench/small.lua [PATTERN] [BUDGET]
-- The twin of small.py; nets.lua tells the budget. With --steady 1 the collector runs after every thousand calls rather than when
-- time and memory say, so that two runs do the same: compare.lua and count.lua, which counts instructions, ask for it.
local torch = require "lampad"
local shared = dofile((arg[0]:match "^(.*)/" or ".") .. "/nets.lua")
local nn, F = torch.nn, torch.nn.functional

local function sum_of_ones(requires_grad)
  local a, b = torch.ones(1, { requires_grad = requires_grad }), torch.ones(1)
  return function() local _ = a + b end
end

local rows = {
  { "one element, a + b", function() return sum_of_ones(false) end },
  { "one element with gradient, a + b", function() return sum_of_ones(true) end },
  { "one element, add_", function()
    local a, b = torch.ones(1), torch.ones(1)
    return function() a:add_(b) end
  end },
  { "one element, times a number", function()
    local a = torch.ones(1)
    return function() local _ = a * 2.5 end
  end },
  { "a row of a matrix", function()
    local a = torch.ones(4, 4)
    return function() local _ = a[2] end
  end },
  { "linear, 1 x 64", function()
    local x, weight, bias = torch.randn(1, 64), torch.randn(64, 64), torch.randn(64)
    return function() F.linear(x, weight, bias) end
  end },
  { "backward of MLP 64-64-10, batch 1", function()
    local net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    local loss = F.cross_entropy(net(torch.randn(1, 64)), torch.tensor { 3 })
    return function() loss:backward { retain_graph = true } end
  end },
}

local positional, budget = shared.arguments(arg, { warm_ups = 100, seconds = 0.5, least = 15, sample = 0.02 })
if budget.steady == 1 then
  collectgarbage "stop"
  for _, row in ipairs(rows) do
    local make = row[2]
    row[2] = function()
      local run, count = make(), 0
      return function()
        run()
        count = count + 1
        if count % 1000 == 0 then collectgarbage "step" end
      end
    end
  end
end
shared.measure(rows, positional[1] or "", budget)
