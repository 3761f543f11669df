-- Times whole training steps (forward, backward, optimizer) of small nets on random data; one line a net:
-- "name<TAB>microseconds", the median of the steps of about two seconds.
--   build/lampad scripts/bench/steps.lua [PATTERN] [BUDGET]      the twin of steps.py; nets.lua tells the budget
local torch = require "lampad"
local shared = dofile((arg[0]:match "^(.*)/" or ".") .. "/nets.lua")
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local Residual, classifier = shared.Residual, shared.classifier

local function mlp(batch, ...)
  local sizes, layers = { ... }, {}
  for i = 1, #sizes - 1 do
    layers[#layers + 1] = nn.Linear(sizes[i], sizes[i + 1])
    if i < #sizes - 1 then layers[#layers + 1] = nn.ReLU() end
  end
  local net = nn.Sequential(table.unpack(layers))
  return classifier(net, torch.randn(batch, sizes[1]), torch.randint(0, sizes[#sizes], { batch }),
    optim.SGD(net:parameters(), { lr = 0.01, momentum = 0.9 }))
end

local function convnet(net, batch, channels, side, classes)
  return classifier(net, torch.randn(batch, channels, side, side), torch.randint(0, classes, { batch }),
    optim.SGD(net:parameters(), { lr = 0.01, momentum = 0.9, weight_decay = 5e-4 }))
end

local Tagger = nn.Module:extend "Tagger"
function Tagger:init()
  self.lstm = nn.LSTM(256, 256)
  self.head = nn.Linear(256, 50)
end
function Tagger:forward(x) return self.head((self.lstm(x))):view(-1, 50) end

local Block = nn.Module:extend "Block"
function Block:init(width, heads)
  self.heads = heads
  self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
  self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
  self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
end
function Block:forward(x)
  local n, t, width = x.shape:unpack()
  local parts = {}
  for i, part in ipairs(self.qkv(self.ln_1(x)):split(width, 2)) do
    parts[i] = part:view(n, t, self.heads, width // self.heads):transpose(1, 2)
  end
  local y = F.scaled_dot_product_attention(parts[1], parts[2], parts[3], { is_causal = true })
  x = x + self.proj(y:transpose(1, 2):reshape(n, t, width))
  return x + self.mlp(self.ln_2(x))
end

local function resnet20()
  local layers = { nn.Conv2d(3, 16, 3, { padding = 1, bias = false }), nn.BatchNorm2d(16), nn.ReLU() }
  local inputs = 16
  for stage, width in ipairs { 16, 32, 64 } do
    for i = 1, 3 do
      layers[#layers + 1] = Residual(inputs, width, stage > 1 and i == 1 and 2 or 1)
      inputs = width
    end
  end
  table.move({ nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10) }, 1, 3, #layers + 1, layers)
  return nn.Sequential(table.unpack(layers))
end

local function depthwise_net()
  local layers = { nn.Conv2d(3, 32, 3, 2, 1, { bias = false }), nn.BatchNorm2d(32), nn.ReLU6() }
  local inputs = 32
  for _, row in ipairs { { 64, 1 }, { 128, 2 }, { 128, 1 }, { 256, 2 }, { 256, 1 } } do
    local outputs, stride = row[1], row[2]
    table.move({ nn.Conv2d(inputs, inputs, 3, stride, 1, { groups = inputs, bias = false }), nn.BatchNorm2d(inputs), nn.ReLU6(),
      nn.Conv2d(inputs, outputs, 1, { bias = false }), nn.BatchNorm2d(outputs), nn.ReLU6() }, 1, 6, #layers + 1, layers)
    inputs = outputs
  end
  table.move({ nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 100) }, 1, 3, #layers + 1, layers)
  return nn.Sequential(table.unpack(layers))
end

-- In the order of the table.
local nets = {
  { "MLP 784-512-512-10, batch 128", function() return mlp(128, 784, 512, 512, 10) end },
  { "MLP 64-64-10, batch 1", function() return mlp(1, 64, 64, 10) end },
  { "LSTM, batch 32, 64 steps, 256 wide", function()
    local net = Tagger()
    return classifier(net, torch.randn(64, 32, 256), torch.randint(0, 50, { 64 * 32 }), optim.Adam(net:parameters()))
  end },
  { "GPT block, 8 x 256 x 384, 6 heads", function()
    local net = Block(384, 6)
    local x, y = torch.randn(8, 256, 384), torch.randn(8, 256, 384)
    local optimizer = optim.AdamW(net:parameters())
    return function()
      optimizer:zero_grad()
      F.mse_loss(net(x), y):backward()
      optimizer:step()
    end
  end },
  { "LeNet-like CNN, batch 64, 28 x 28", function()
    return convnet(nn.Sequential(nn.Conv2d(1, 32, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(2),
      nn.Conv2d(32, 64, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(),
      nn.Linear(128, 10)), 64, 1, 28, 10)
  end },
  { "ResNet-20, batch 32, 32 x 32", function() return convnet(resnet20(), 32, 3, 32, 10) end },
  { "depthwise separable net, batch 16, 112 x 112", function() return convnet(depthwise_net(), 16, 3, 112, 100) end },
}

local positional, budget = shared.arguments(arg, { warm_ups = 3, seconds = 2, least = 5, sample = 0.001 })
shared.measure(nets, positional[1] or "", budget)
