-- Teaches a small net what a larger one has learnt (Hinton, Vinyals, Dean 2015) on Fashion-MNIST.
--   lampad scripts/distillation.lua [options]
-- Three times the epochs: the teacher, a student alone, the same student from the teacher's answers.
-- The last line is "distilled accuracy: ...", on the test images; those of the teacher and of the student alone stand above it.
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "epochs", 5, "for each of the three" },
  { "batch-size", 128, "images" },
  { "hidden", 32, "width of the student" },
  { "temperature", 2.0, "of the softmaxes that are compared" },
  { "alpha", 0.5, "how much the teacher's answers count beside the labels" },
  { "lr", 5e-3, "learning rate" },
  limit_train = 10000,
  quick = { epochs = 2 },
})
local train_x, train_y, test_x, test_y = script.images(options)

local nets, optimizers = {}, {}
nets.teacher = nn.Sequential(nn.Conv2d(1, 16, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, { padding = 1 }),
  nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))
nets.alone = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, options.hidden), nn.ReLU(), nn.Linear(options.hidden, 10))
nets.distilled = nets.alone:deepcopy() -- the very weights of the other student
local phases = { "teacher", "alone", "distilled" }
local objects = {}
for _, name in ipairs(phases) do
  optimizers[name] = optim.Adam(nets[name]:parameters(), { lr = options.lr })
  objects[name], objects[name .. "_optimizer"] = nets[name], optimizers[name]
end

local function distillation_loss(logits, x, y)
  local t = options.temperature
  local answers
  torch.no_grad(function() answers = (nets.teacher(x) / t):softmax(1) end)
  local soft = F.kl_div((logits / t):log_softmax(1), answers, { reduction = "batchmean" }) * (t * t)
  return options.alpha * soft + (1 - options.alpha) * F.cross_entropy(logits, y)
end

local accuracy = {}
script.loop(options, objects, {
  unit = "epoch", count = 3 * options.epochs,
  step = function(round)
    local phase = phases[(round - 1) // options.epochs + 1]
    local net, optimizer = nets[phase], optimizers[phase]
    nets.teacher:eval()
    net:train()
    local total = 0
    for x, y in script.batches(options["batch-size"], train_x, train_y) do
      local logits = net(x)
      local loss = phase == "distilled" and distillation_loss(logits, x, y) or F.cross_entropy(logits, y)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      total = total + loss:item() * #x
    end
    return { [phase] = script.accuracy(net, test_x, test_y), loss = total / #train_x }
  end,
})
for _, name in ipairs(phases) do accuracy[name] = script.accuracy(nets[name], test_x, test_y) end
print(("teacher accuracy: %.4f\nstudent accuracy: %.4f"):format(accuracy.teacher, accuracy.alone))
script.final("distilled accuracy", accuracy.distilled)
