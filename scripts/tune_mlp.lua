-- Searches for the learning rate, the width, the activation and the dropout of a small net on Fashion-MNIST (torch.tune).
--   lampad scripts/tune_mlp.lua [options]
-- Trials that are worse than the median are given up early. With --log FILE the search goes on where it was left.
-- The last line is "best accuracy: ...", on images that no trial was trained on.
local torch = require "lampad"
local nn, F, optim, tune = torch.nn, torch.nn.functional, torch.optim, torch.tune
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "trials", 20, "in all, those of the log included" },
  { "epochs", 4, "for a trial that is not given up" },
  { "batch-size", 128, "images" },
  { "sampler", "tpe", "tpe or random" },
  { "log", "", "of the search, a line a trial", kind = "file" },
  limit_train = 5000,
  quick = { trials = 8, epochs = 2 },
})
if options.checkpoint then script.fail("a search keeps --log FILE, no checkpoint") end
local samplers = { tpe = tune.TPESampler, random = tune.RandomSampler }
if not samplers[options.sampler] then script.fail("--sampler takes tpe or random, got '%s'", options.sampler) end
local train_x, train_y, test_x, test_y = script.images(options)

local activations = { relu = nn.ReLU, tanh = nn.Tanh, gelu = nn.GELU }

local function objective(trial)
  local rate = trial:suggest_float("lr", 1e-4, 1e-1, { log = true })
  local width = trial:suggest_int("width", 16, 256, { log = true })
  local activation = trial:suggest_categorical("activation", { "relu", "tanh", "gelu" })
  local dropout = trial:suggest_float("dropout", 0, 0.5, { step = 0.1 })
  torch.manual_seed(options.seed) -- each trial by itself, in whatever run
  local net = nn.Sequential(nn.Flatten(), nn.Linear(784, width), activations[activation](), nn.Dropout(dropout), nn.Linear(width, 10))
  local optimizer = optim.Adam(net:parameters(), { lr = rate })
  local accuracy
  for epoch = 1, options.epochs do
    net:train()
    for x, y in script.batches(options["batch-size"], train_x, train_y) do
      local loss = F.cross_entropy(net(x), y)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
    end
    accuracy = script.accuracy(net, test_x, test_y)
    trial:report(accuracy, epoch)
    if trial:should_prune() then trial:prune() end
  end
  return accuracy
end

local study = tune.create_study {
  direction = "maximize", storage = options.log, sampler = samplers[options.sampler] { seed = options.seed },
  pruner = tune.MedianPruner { n_startup_trials = 4 },
}
study:optimize(objective, {
  max_trials = options.trials,
  callback = function(_, trial)
    local p = trial.params
    print(("trial %d: %s, lr %.5f, width %d, %s, dropout %.1f: %s (%.2f s)"):format(trial.number, trial.state, p.lr, p.width, p.activation,
      p.dropout, trial.value and ("%.4f"):format(trial.value) or "-", trial.seconds))
  end,
})
local best = study.best_params
print(("best of %d: lr %.5f, width %d, %s, dropout %.1f"):format(#study.trials, best.lr, best.width, best.activation, best.dropout))
script.final("best accuracy", study.best_value)
