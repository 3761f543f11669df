-- Parts of nets that several measurements share; the twin of nets.py.
local torch = require "lampad"
local core = require "lampad.core"
local nn, F = torch.nn, torch.nn.functional

local nets = {}

--- Two convolutions with batch norm round which the input goes: (N, inputs, H, W) -> (N, outputs, H / stride, W / stride).
local Residual = nn.Module:extend "Residual"
nets.Residual = Residual

function Residual:init(inputs, outputs, stride)
  self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, { bias = false })
  self.bn1 = nn.BatchNorm2d(outputs)
  self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, { bias = false })
  self.bn2 = nn.BatchNorm2d(outputs)
  self.shortcut = nn.Sequential()
  if stride ~= 1 or inputs ~= outputs then
    self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, { bias = false }), nn.BatchNorm2d(outputs))
  end
end

function Residual:forward(x)
  local y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
  return F.relu(y + self.shortcut(x))
end

--- A step of a classifier: forward, backward, optimizer.
function nets.classifier(net, x, y, optimizer)
  return function()
    optimizer:zero_grad()
    F.cross_entropy(net(x), y):backward()
    optimizer:step()
  end
end

--- Reads a measuring script's arguments: the positional ones, then the budget, by name.
---   --seconds S, --least N   samples are taken for S seconds, and at least N of them
---   --sample S               calls of one sample take S seconds together, or there is one
---   --warm-ups N             calls before it
---   --quantile Q             which of the sorted samples counts: 0.5, the median, without it
---   --processor 1            the processor's time counts, not the clock's: with one thread, busy neighbours do not change it
---   --calls N                no measuring: N calls and the name alone, to count their instructions (count.lua)
function nets.arguments(arguments, budget)
  local positional, i = {}, 1
  while arguments[i] do
    local name = arguments[i]:match "^%-%-([%a-]+)$"
    if name then
      budget[name:gsub("-", "_")] = assert(tonumber(arguments[i + 1]), arguments[i] .. " takes a number")
      i = i + 1
    else
      positional[#positional + 1] = arguments[i]
    end
    i = i + 1
  end
  return positional, budget
end

--- Whether a pattern selects the name: a part of it, or, after "=", whole names with "|" between them.
function nets.selects(pattern, name)
  if pattern:sub(1, 1) ~= "=" then return name:find(pattern, 1, true) ~= nil end
  return ("|" .. pattern:sub(2) .. "|"):find("|" .. name .. "|", 1, true) ~= nil
end

--- The seconds of a call of run: the median, or another quantile, of the samples that the budget asks for.
function nets.seconds_of(run, budget)
  local now = budget.processor == 1 and os.clock or core.now
  for _ = 1, budget.warm_ups do run() end
  local from = now()
  run()
  local once = now() - from
  local calls = math.max(1, math.ceil(budget.sample / math.max(once, 1e-7)))
  local times, start = { calls == 1 and once or nil }, now()
  while #times < budget.least or now() - start < budget.seconds do
    from = now()
    for _ = 1, calls do run() end
    times[#times + 1] = (now() - from) / calls
  end
  table.sort(times)
  return times[math.max(1, math.ceil((budget.quantile or 0.5) * #times))]
end

--- Prints "name<TAB>microseconds" of each row {name, make} that the pattern selects. make() gives the function to run.
function nets.measure(rows, pattern, budget)
  for _, row in ipairs(rows) do
    if nets.selects(pattern, row[1]) then
      torch.manual_seed(0)
      local run = row[2]()
      if budget.calls then
        for _ = 1, budget.calls do run() end
        print(row[1])
      else
        print(("%s\t%.5g"):format(row[1], nets.seconds_of(run, budget) * 1e6))
      end
      run = nil -- luacheck: ignore
      collectgarbage()
    end
  end
end

return nets
