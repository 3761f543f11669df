-- Trains several small nets on the same images and lets them vote: together they err less, and know better when they do.
--   lampad scripts/ensemble_mnist.lua [options]
-- Fashion-MNIST by default, MNIST with --data FOLDER. The nets differ in their first weights and in the images they see (each a draw
-- with replacement, Breiman's bagging). At the test all of them run at once, as one net over stacked weights (torch.func).
-- The last line is "ensemble accuracy: ...".
local torch = require "lampad"
local nn, F, optim, func = torch.nn, torch.nn.functional, torch.optim, torch.func
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "members", 5, "nets" },
  { "epochs", 4, "for each net" },
  { "batch-size", 128, "images" },
  { "hidden", 64, "width of the hidden layer" },
  { "lr", 2e-3, "learning rate" },
  limit_train = 10000,
  quick = { members = 3, epochs = 1, hidden = 32 },
})
local train_x, train_y, test_x, test_y = script.images(options)

local function new_net()
  return nn.Sequential(nn.Flatten(), nn.Linear(784, options.hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(options.hidden, 10))
end

local members, objects = {}, {}
for i = 1, options.members do
  local net = new_net()
  local optimizer = optim.Adam(net:parameters(), { lr = options.lr })
  local sampler = torch.Generator()
  sampler:manual_seed(options.seed * 1000 + i)
  members[i] = { net = net, optimizer = optimizer, drawn = torch.randint(0, #train_x, { #train_x }, { generator = sampler }) }
  objects["net" .. i], objects["optimizer" .. i] = net, optimizer
end

script.loop(options, objects, {
  unit = "epoch", count = options.epochs,
  step = function()
    local total, right = 0, 0
    for _, member in ipairs(members) do
      member.net:train()
      for x, y in script.batches(options["batch-size"], train_x[member.drawn], train_y[member.drawn]) do
        local loss = F.cross_entropy(member.net(x), y)
        member.optimizer:zero_grad()
        loss:backward()
        member.optimizer:step()
        total = total + loss:item() * #x
      end
      right = right + script.accuracy(member.net, test_x, test_y)
    end
    return { loss = total / #train_x / options.members, accuracy = right / options.members }
  end,
})

-- Probabilities (members, N, 10) of all nets at once.
local nets = {}
for i, member in ipairs(members) do nets[i] = member.net:eval() end
local parameters, buffers = func.stack_module_state(nets)
local base = nets[1]
local function run(p, b, x) return func.functional_call(base, { p, b }, x) end
local run_all = torch.vmap(run, { in_dims = { 0, 0, false } })
local single, together = torch.metrics.MeanMetric(), torch.metrics.Accuracy("multiclass", { num_classes = 10 })
local nll = { one = torch.metrics.Mean(), all = torch.metrics.Mean() }
torch.no_grad(function()
  for first = 0, #test_y - 1, 1000 do
    local count = math.min(1000, #test_y - first)
    local x, y = test_x:narrow(0, first, count), test_y:narrow(0, first, count)
    local log_p = run_all(parameters, buffers, x):log_softmax(2)
    local vote = log_p:exp():mean(0):log()
    single:update(log_p:argmax(2):eq(y):to(torch.float32))
    together:update(vote, y)
    for i = 1, options.members do nll.one:update(F.nll_loss(log_p[i - 1], y), count) end
    nll.all:update(F.nll_loss(vote, y), count)
  end
end)
print(("accuracy of one net: %.4f"):format(single:compute():item()))
print(("negative log likelihood: %.4f for one net, %.4f for all"):format(nll.one:compute():item(), nll.all:compute():item()))
script.final("ensemble accuracy", together:compute():item())
