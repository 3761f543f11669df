-- Time per call of `a + b` on one-element tensors, without and with gradient recording, in microseconds.
-- Prints "plain X" and "grad Y": the median of several rounds. The twin of overhead.py.
local torch = require "lampad"
local core = require "lampad.core"

local rounds, calls = 15, 50000
torch.set_num_threads(1)

local function median_time(a, b)
  local times = {}
  for round = 1, rounds do
    local start = core.now()
    for _ = 1, calls do local _ = a + b end
    times[round] = (core.now() - start) / calls * 1e6
  end
  table.sort(times)
  return times[rounds // 2 + 1]
end

local a, b = torch.ones(1), torch.ones(1)
print(("plain %.4f"):format(median_time(a, b)))
a.requires_grad = true
print(("grad %.4f"):format(median_time(a, b)))
