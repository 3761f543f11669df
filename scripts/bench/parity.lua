-- Parity with PyTorch: the CNN below with seed 0 has PyTorch's initial weights to the last bit, and 100 steps
-- of SGD on the same batches give its losses within 1e-4 relative.
--   lampad scripts/bench/parity.lua [FILE]   (default: tests/golden/parity.txt, written by parity.py)
local torch = require "lampad"
local core = require "lampad.core"
local nn, F = torch.nn, torch.nn.functional
local data = torch.utils.data

local Net = nn.Module:extend "Net"

function Net:init()
  self.conv1 = nn.Conv2d(1, 16, 3, { padding = 1 })
  self.bn1 = nn.BatchNorm2d(16)
  self.conv2 = nn.Conv2d(16, 32, 3, { padding = 1 })
  self.bn2 = nn.BatchNorm2d(32)
  self.fc1 = nn.Linear(32 * 7 * 7, 128)
  self.fc2 = nn.Linear(128, 10)
end

function Net:forward(x)
  x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
  x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
  x = F.relu(self.fc1(x:flatten(1)))
  return self.fc2(x)
end

local weights, losses = {}, {}
for line in io.lines(arg[1] or "tests/golden/parity.txt") do
  local kind, name, value = line:match "^(%S+) (%S+) (%S+)$"
  if kind == "weight" then
    weights[name] = tonumber(value, 16)
  else
    losses[tonumber(name)] = tonumber(value)
  end
end

torch.manual_seed(0)
local net = Net()
local differing = {}
for name, p in net:named_parameters() do
  if core.crc32(core.tensor_to_bytes(p:detach())) ~= weights[name] then differing[#differing + 1] = name end
end
print(#differing == 0 and "initial weights: equal to the last bit"
  or "initial weights: DIFFERENT in " .. table.concat(differing, ", "))

local images = torch.rand(1000, 1, 28, 28) * 0.1
local labels = torch.randint(0, 10, { 1000 })
local rows = labels:tolist()
for i = 0, 999 do images[i][0][rows[i + 1]]:add_(0.5) end
local loader = data.DataLoader(data.TensorDataset(images, labels), { batch_size = 64, shuffle = true })
local optimizer = torch.optim.SGD(net:parameters(), { lr = 0.005 })
local step, worst, worst_step = 0, 0, 0
while step < #losses do
  for x, y in loader:iter() do
    step = step + 1
    if step > #losses then break end
    local loss = F.cross_entropy(net(x), y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    local difference = math.abs(loss:item() - losses[step]) / losses[step]
    if difference > worst or difference ~= difference then worst, worst_step = difference, step end
  end
end
print(("losses of %d steps: largest relative difference %.2e (step %d)"):format(#losses, worst, worst_step))
local passed = #differing == 0 and worst <= 1e-4
print(passed and "parity: passed" or "parity: FAILED")
os.exit(passed and 0 or 1, true)
