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

--- Prints "name<TAB>milliseconds" of each row {name, make} whose name contains the pattern: the median over at least five runs
--- and `seconds`, after `warm_ups` more. make() gives the function to run.
function nets.measure(rows, pattern, warm_ups, seconds)
  for _, row in ipairs(rows) do
    if row[1]:find(pattern, 1, true) then
      torch.manual_seed(0)
      local run, times = row[2](), {}
      for _ = 1, warm_ups do run() end
      local start = core.now()
      repeat
        local from = core.now()
        run()
        times[#times + 1] = core.now() - from
      until #times >= 5 and core.now() - start > seconds
      table.sort(times)
      print(("%s\t%.5g"):format(row[1], times[(#times + 1) // 2] * 1e3))
      run = nil -- luacheck: ignore
      collectgarbage()
    end
  end
end

return nets
