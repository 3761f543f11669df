-- Parts of nets that several measurements share; the twin of nets.py.
local torch = require "lampad"
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

return nets
