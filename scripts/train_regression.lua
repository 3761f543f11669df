-- Predicts a number from others with a small net.
--   lampad scripts/train_regression.lua [TABLE.csv] [options]
-- TABLE.csv (plain or gzipped) has a row a sample; lines that are not all numbers, such as a head, are left out. --target is the column
-- to predict, counted from 0, -1 for the last. Without a table, Friedman's first problem is drawn: ten numbers in [0, 1], y =
-- 10 sin(pi x0 x1) + 20 (x2 - 1/2)^2 + 10 x3 + 5 x4 and noise. A fifth of the rows is kept for the test.
-- The last line is "test R2: ...".
local torch = require "lampad"
local nn, F, optim, metrics = torch.nn, torch.nn.functional, torch.optim, torch.metrics
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options {
  { "target", -1, "column to predict", least = -math.huge },
  { "rows", 2000, "to draw without a table" },
  { "epochs", 60, "passes over the data" },
  { "batch-size", 32, "rows" },
  { "hidden", 64, "width of the two hidden layers" },
  { "lr", 3e-3, "learning rate" },
  { "weight-decay", 1e-3, "of AdamW" },
  { "patience", 15, "epochs without a better test error before it stops" },
  file = true,
  quick = { rows = 200, epochs = 6, hidden = 16, lr = 1e-2 },
}

-- --- data -----------------------------------------------------------------------------------------------
-- The rows of numbers of a table, in doubles.
local function read_table(path)
  local rows = {}
  for line in script.read(path):gmatch "[^\r\n]+" do
    local row = {}
    for field in line:gmatch "[^,; \t]+" do
      local value = tonumber((field:gsub('"', "")))
      if not value then
        row = nil
        break
      end
      row[#row + 1] = value + 0.0
    end
    if row and #rows > 0 and #row ~= #rows[1] then
      if #rows == 1 then rows = {} else row = nil end -- a line of counts above the table
    end
    if row and #row > 1 then rows[#rows + 1] = row end
  end
  if #rows < 10 then script.fail("%s has %d rows of numbers; ten are the least", path, #rows) end
  return torch.tensor(rows)
end

local function friedman(count)
  local x = torch.rand(count, 10)
  local y = (x[":, 0"] * x[":, 1"] * math.pi):sin() * 10 + (x[":, 2"] - 0.5) ^ 2 * 20 + x[":, 3"] * 10 + x[":, 4"] * 5
  return torch.cat({ x, (y + torch.randn(count)):unsqueeze(1) }, 1)
end

local rows = options.file and read_table(options.file) or friedman(options.rows)
local columns = rows:size(1)
local target = options.target
if target < -columns or target >= columns then
  script.fail("--target must be a column from 0 to %d, got %d", columns - 1, options.target)
end
target = target % columns
rows = rows[torch.randperm(#rows)]
local inputs = torch.cat({ rows:narrow(1, 0, target), rows:narrow(1, target + 1, columns - target - 1) }, 1)
local outputs = rows:narrow(1, target, 1)
local test_count = #rows // 5

-- Scaled by what the training rows have: zero mean, unit deviation.
local function scaled(t)
  local known = t:narrow(0, test_count, #rows - test_count)
  local mean, deviation = known:mean(0, true), known:std(0, { keepdim = true }):clamp(1e-6)
  return (t - mean) / deviation, mean, deviation
end
local x = scaled(inputs)
local y, y_mean, y_deviation = scaled(outputs)
local test_x, test_y = x:narrow(0, 0, test_count), outputs:narrow(0, 0, test_count)
local train_x, train_y = x:narrow(0, test_count, #rows - test_count), y:narrow(0, test_count, #rows - test_count)
print(("%d rows to train on, %d to test on, %d columns"):format(#train_x, test_count, columns))

-- --- training ---------------------------------------------------------------------------------------------
local net = nn.Sequential(nn.Linear(columns - 1, options.hidden), nn.ReLU(), nn.Linear(options.hidden, options.hidden), nn.ReLU(),
  nn.Linear(options.hidden, 1))
local optimizer = optim.AdamW(net:parameters(), { lr = options.lr, weight_decay = options["weight-decay"] })
local scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
local stopping = torch.training.EarlyStopping { patience = options.patience }
local objects = { net = net, optimizer = optimizer, scheduler = scheduler, stopping = stopping }

local function test()
  local scores = metrics.MetricCollection { r2 = metrics.R2(), error = metrics.MSE { squared = false } }
  torch.no_grad(function() scores:update(net(test_x) * y_deviation + y_mean, test_y) end)
  return scores:compute()
end

local history = script.loop(options, objects, {
  unit = "epoch", count = options.epochs,
  step = function()
    local mean = metrics.Mean()
    for a, b in script.batches(options["batch-size"], train_x, train_y) do
      local loss = F.mse_loss(net(a), b)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      mean:update(loss, #a)
    end
    local scores = test()
    scheduler:step()
    stopping:step(scores.error)
    return { loss = mean:compute():item(), error = scores.error:item(), r2 = scores.r2:item() }
  end,
  done = function() return stopping.stopped and stopping.reason end,
})
print(("root of the mean squared error: %.4f"):format(history[#history].error))
script.final("test R2", history[#history].r2)
