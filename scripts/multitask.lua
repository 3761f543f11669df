-- One net for three questions about an image of Fashion-MNIST: which of ten things it is, whether it is worn on the feet, and how
-- bright it is on average. The losses are weighed by uncertainties that are learnt too (Kendall, Gal, Cipolla 2018).
--   lampad scripts/multitask.lua [options]
-- The last line is "accuracy: ...", of the first question; F1 of the second and R2 of the third stand above it.
local torch = require "lampad"
local nn, F, optim, metrics = torch.nn, torch.nn.functional, torch.optim, torch.metrics
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "epochs", 5, "passes over the data" },
  { "batch-size", 128, "images" },
  { "lr", 2e-3, "learning rate" },
  limit_train = 10000,
  quick = { epochs = 2 },
})
local train_x, train_y, test_x, test_y = script.images(options)

-- Sandals, sneakers and ankle boots are the classes 5, 7 and 9.
local worn_on_feet = torch.tensor { 0, 0, 0, 0, 0, 1, 0, 1, 0, 1 }
local function answers(x, y) return y, worn_on_feet[y], x:mean({ 1, 2, 3 }) end

local Net = nn.Module:extend "Net"

function Net:init()
  self.trunk = nn.Sequential(nn.Conv2d(1, 8, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, { padding = 1 }),
    nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 7 * 7, 64), nn.ReLU())
  self.class = nn.Linear(64, 10)
  self.feet = nn.Linear(64, 1)
  self.brightness = nn.Linear(64, 1)
  self.log_variance = nn.Parameter(torch.zeros(3))
end

function Net:forward(x)
  local features = self.trunk(x)
  return self.class(features), self.feet(features):squeeze(1), self.brightness(features):squeeze(1)
end

local net = Net()
local optimizer = optim.Adam(net:parameters(), { lr = options.lr })

-- A loss with a large variance counts little, but a large variance costs its logarithm.
local function loss_of(x, y)
  local class, feet, brightness = net(x)
  local true_class, true_feet, true_brightness = answers(x, y)
  local losses = torch.stack {
    F.cross_entropy(class, true_class),
    F.binary_cross_entropy_with_logits(feet, true_feet:to(feet.dtype)),
    F.mse_loss(brightness, true_brightness),
  }
  return (losses * (-net.log_variance):exp() + net.log_variance * 0.5):sum()
end

local function test()
  local scores = {
    accuracy = metrics.Accuracy("multiclass", { num_classes = 10 }), f1 = metrics.F1 "binary", r2 = metrics.R2(),
  }
  net:eval()
  torch.no_grad(function()
    for first = 0, #test_y - 1, 1000 do
      local count = math.min(1000, #test_y - first)
      local x = test_x:narrow(0, first, count)
      local class, feet, brightness = net(x)
      local true_class, true_feet, true_brightness = answers(x, test_y:narrow(0, first, count))
      scores.accuracy:update(class, true_class)
      scores.f1:update(feet:sigmoid(), true_feet)
      scores.r2:update(brightness, true_brightness)
    end
  end)
  local values = {}
  for name, metric in pairs(scores) do values[name] = metric:compute():item() end
  return values
end

local history = script.loop(options, { net = net, optimizer = optimizer }, {
  unit = "epoch", count = options.epochs,
  step = function()
    net:train()
    local total = metrics.Mean()
    for x, y in script.batches(options["batch-size"], train_x, train_y) do
      local loss = loss_of(x, y)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      total:update(loss, #x)
    end
    local values = test()
    values.loss = total:compute():item()
    return values
  end,
})
local last = history[#history]
print(("weights of the losses: %.2f, %.2f, %.2f"):format(table.unpack((-net.log_variance):exp():tolist())))
print(("F1 of what is worn on the feet: %.4f\nR2 of the brightness: %.4f"):format(last.f1, last.r2))
script.final("accuracy", last.accuracy)
