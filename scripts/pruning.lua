-- Takes most weights out of a trained net: those of the smallest magnitude of all layers together, more after each epoch and fewer at a
-- time (Zhu and Gupta 2017), while the rest goes on learning.
--   lampad scripts/pruning.lua [options]
-- The last line is "accuracy of the pruned net: ...", on Fashion-MNIST; that of the whole net, and of it pruned all at once without
-- learning on, stand above it.
local torch = require "lampad"
local nn, F, optim, prune = torch.nn, torch.nn.functional, torch.optim, torch.nn.utils.prune
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "epochs", 4, "before the first weight goes" },
  { "pruning-epochs", 6, "after that" },
  { "sparsity", 0.95, "part of the weights that goes" },
  { "batch-size", 128, "images" },
  { "hidden", 256, "width of the hidden layers" },
  { "lr", 1e-3, "learning rate" },
  limit_train = 10000,
  quick = { epochs = 2, ["pruning-epochs"] = 2, hidden = 32 },
})
if options.sparsity >= 1 then script.fail("--sparsity must be below 1") end
local train_x, train_y, test_x, test_y = script.images(options)

local net = nn.Sequential(nn.Flatten(), nn.Linear(784, options.hidden), nn.ReLU(), nn.Linear(options.hidden, options.hidden), nn.ReLU(),
  nn.Linear(options.hidden, 10))

-- All masks exist from the start, all ones: the state has the same names before and after.
local pairs_of, total = {}, 0
for module in net:modules() do
  if torch.isinstance(module, nn.Linear) then
    prune.identity(module, "weight")
    pairs_of[#pairs_of + 1] = { module, "weight" }
    total = total + module.weight:numel()
  end
end
local optimizer = optim.Adam(net:parameters(), { lr = options.lr })

local function kept(list)
  local count = 0
  for _, pair in ipairs(list) do count = count + pair[1].weight_mask:sum():item() end
  return math.tointeger(count)
end

-- Prunes until the given part of all weights is gone.
local function prune_to(list, sparsity)
  local amount = math.floor(sparsity * total) - (total - kept(list))
  if amount <= 0 then return end
  -- The weights as they are now; module.weight is what the last forward made of them.
  local scores = {}
  for i, pair in ipairs(list) do scores[i] = pair[1].weight_orig end
  prune.global_unstructured(list, prune.L1Unstructured, scores, { amount = amount })
end

local function train_epoch()
  net:train()
  local sum = torch.metrics.Mean()
  for x, y in script.batches(options["batch-size"], train_x, train_y) do
    local loss = F.cross_entropy(net(x), y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    sum:update(loss, #x)
  end
  return sum:compute():item()
end

-- The accuracy of a copy that is pruned all at once.
local function pruned_at_once()
  local copy = net:deepcopy()
  local list = {}
  for module in copy:modules() do
    if torch.isinstance(module, nn.Linear) then list[#list + 1] = { module, "weight" } end
  end
  prune_to(list, options.sparsity)
  return script.accuracy(copy, test_x, test_y)
end

local history = script.loop(options, { net = net, optimizer = optimizer }, {
  unit = "epoch", count = options.epochs + options["pruning-epochs"],
  step = function(round)
    local after = round - options.epochs
    if after > 0 then prune_to(pairs_of, options.sparsity * (1 - (1 - after / options["pruning-epochs"]) ^ 3)) end
    local values = { loss = train_epoch(), weights = kept(pairs_of) }
    values.accuracy = script.accuracy(net, test_x, test_y)
    if after == 0 then values.at_once = pruned_at_once() end
    return values
  end,
})
for _, pair in ipairs(pairs_of) do prune.remove(pair[1], "weight") end
local dense = history[options.epochs]
print(("%d of %d weights are left"):format(history[#history].weights, total))
print(("accuracy of the whole net: %.4f, pruned at once: %.4f"):format(dense.accuracy, dense.at_once))
script.final("accuracy of the pruned net", script.accuracy(net, test_x, test_y))
