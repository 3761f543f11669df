-- A loss of one's own: the focal loss (Lin et al. 2017), which looks away from what is easy, against the cross entropy, where one class
-- in fifty is the one to find. Its derivatives are checked numerically first.
--   lampad scripts/custom_loss.lua [options]
-- The last line is "average precision: ...", with the focal loss; that with the cross entropy stands above it.
local torch = require "lampad"
local nn, F, optim, metrics = torch.nn, torch.nn.functional, torch.optim, torch.metrics
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options {
  { "rows", 20000, "to draw" },
  { "epochs", 10, "for each of the two losses" },
  { "batch-size", 256, "rows" },
  { "gamma", 2.0, "how far the focal loss looks away" },
  { "alpha", 0.75, "weight of the rare class in it" },
  { "lr", 5e-3, "learning rate" },
  quick = { rows = 2000, epochs = 2 },
}

-- --- the loss -------------------------------------------------------------------------------------------------
local FocalLoss = nn.Module:extend "FocalLoss"

function FocalLoss:init(gamma, alpha)
  self.gamma, self.alpha = gamma, alpha
end

--- Logits (N) and targets (N) of 0 and 1 -> the mean of -weight (1 - p)^gamma log p, p being the probability given to the truth.
function FocalLoss:forward(logits, target)
  local log_p = -F.binary_cross_entropy_with_logits(logits, target, { reduction = "none" })
  local weight = target * self.alpha + (1 - target) * (1 - self.alpha)
  return -(weight * (1 - log_p:exp()) ^ self.gamma * log_p):mean()
end

do -- of what is computed by known ops the derivatives follow; checking them finds what is not smooth
  local logits = torch.randn(8, { dtype = torch.float64, requires_grad = true })
  local target = torch.tensor({ 0, 1, 1, 0, 1, 0, 0, 1 }, { dtype = torch.float64 })
  local focal = FocalLoss(options.gamma, options.alpha)
  assert(torch.autograd.gradcheck(function(x) return focal(x, target) end, { logits }))
  assert(torch.autograd.gradgradcheck(function(x) return focal(x, target) end, { logits }))
  print "the derivatives of the focal loss are right, to the second"
end

-- --- data: a rare class on two rings ----------------------------------------------------------------------------
local function draw(count)
  local rare = torch.rand(count):lt(0.02):to(torch.float32)
  local angle = torch.rand(count) * (2 * math.pi)
  local radius = torch.randn(count) * 0.25 + rare * 0.6 + 1.2
  return torch.stack({ radius * angle:cos(), radius * angle:sin(), torch.randn(count) }, 1), rare
end
local train_x, train_y = draw(options.rows)
local test_x, test_y = draw(options.rows)

-- --- training ---------------------------------------------------------------------------------------------------
local function new_net() return nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0)) end

local runs = { { name = "entropy", net = new_net(), loss = nn.BCEWithLogitsLoss() } }
runs[2] = { name = "focal", net = runs[1].net:deepcopy(), loss = FocalLoss(options.gamma, options.alpha) }
local objects = {}
for _, run in ipairs(runs) do
  run.optimizer = optim.Adam(run.net:parameters(), { lr = options.lr })
  objects[run.name], objects[run.name .. "_optimizer"] = run.net, run.optimizer
end

local function test(net)
  local scores = metrics.MetricCollection { precision = metrics.AveragePrecision "binary", auroc = metrics.AUROC "binary" }
  torch.no_grad(function() scores:update(net(test_x):sigmoid(), test_y:to(torch.int64)) end)
  return scores:compute()
end

script.loop(options, objects, {
  unit = "epoch", count = options.epochs * 2,
  step = function(round)
    local run = runs[(round - 1) // options.epochs + 1]
    local total = metrics.Mean()
    for x, y in script.batches(options["batch-size"], train_x, train_y) do
      local loss = run.loss(run.net(x), y)
      run.optimizer:zero_grad()
      loss:backward()
      run.optimizer:step()
      total:update(loss, #x)
    end
    return { [run.name .. " precision"] = test(run.net).precision:item(), loss = total:compute():item() }
  end,
})
local results = {}
for _, run in ipairs(runs) do
  results[run.name] = test(run.net)
  print(("%s: AUROC %.4f, average precision %.4f"):format(run.name, results[run.name].auroc:item(), results[run.name].precision:item()))
end
script.final("average precision", results.focal.precision:item())
