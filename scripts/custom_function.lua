-- Functions with derivatives of one's own (torch.autograd.Function): a swish whose backward is written by hand and checked, and a sign
-- whose derivative is made up, so that a net with weights of one bit can be trained (Courbariaux et al. 2016).
--   lampad scripts/custom_function.lua [options]
-- The last line is "accuracy with one bit: ...", on Fashion-MNIST; that of the same net with whole weights stands above it.
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "epochs", 5, "for each of the two nets" },
  { "batch-size", 128, "images" },
  { "hidden", 256, "width of the hidden layers" },
  { "lr", 1e-3, "learning rate" },
  limit_train = 10000,
  quick = { epochs = 2, hidden = 64 },
})

-- --- the functions --------------------------------------------------------------------------------------------
local Swish = torch.autograd.Function:extend "Swish"

function Swish.forward(ctx, x)
  ctx:save_for_backward(x)
  return x * x:sigmoid()
end

function Swish.backward(ctx, grad)
  local x = ctx.saved_tensors[1]
  local s = x:sigmoid()
  return grad * (s + x * s * (1 - s))
end

local Sign = torch.autograd.Function:extend "Sign"

function Sign.forward(ctx, x)
  ctx:save_for_backward(x)
  return torch.where(x:ge(0), torch.ones_like(x), -torch.ones_like(x))
end

-- As if it were the identity between -1 and 1; the true derivative is 0 and teaches nothing.
function Sign.backward(ctx, grad)
  return grad * ctx.saved_tensors[1]:abs():le(1):to(grad.dtype)
end

do
  local x = torch.randn(5, 3, { dtype = torch.float64, requires_grad = true })
  assert(torch.autograd.gradcheck(Swish.apply, { x }))
  assert(torch.autograd.gradgradcheck(Swish.apply, { x }))
  print "the derivatives of the swish are right, to the second"
end

-- --- the nets ---------------------------------------------------------------------------------------------------
local BinaryLinear = nn.Linear:extend "BinaryLinear"

--- x times the signs of the weight, scaled by the mean size of each row.
function BinaryLinear:forward(x)
  local scale = self.weight:detach():abs():mean(1, true)
  return F.linear(x, Sign.apply(self.weight) * scale, self.bias)
end

local Net = nn.Module:extend "Net"

function Net:init(Linear)
  self.fc1, self.norm1 = Linear(784, options.hidden), nn.BatchNorm1d(options.hidden)
  self.fc2, self.norm2 = Linear(options.hidden, options.hidden), nn.BatchNorm1d(options.hidden)
  self.fc3 = Linear(options.hidden, 10)
end

function Net:forward(x)
  x = Swish.apply(self.norm1(self.fc1(x:flatten(1))))
  x = Swish.apply(self.norm2(self.fc2(x)))
  return self.fc3(x)
end

-- --- training -----------------------------------------------------------------------------------------------------
local train_x, train_y, test_x, test_y = script.images(options)
local runs = { { name = "whole", net = Net(nn.Linear) }, { name = "binary", net = Net(BinaryLinear) } }
local objects = {}
for _, run in ipairs(runs) do
  run.optimizer = optim.Adam(run.net:parameters(), { lr = options.lr })
  objects[run.name], objects[run.name .. "_optimizer"] = run.net, run.optimizer
end

script.loop(options, objects, {
  unit = "epoch", count = 2 * options.epochs,
  step = function(round)
    local run = runs[(round - 1) // options.epochs + 1]
    run.net:train()
    local total = 0
    for x, y in script.batches(options["batch-size"], train_x, train_y) do
      local loss = F.cross_entropy(run.net(x), y)
      run.optimizer:zero_grad()
      loss:backward()
      run.optimizer:step()
      total = total + loss:item() * #x
    end
    return { [run.name] = script.accuracy(run.net, test_x, test_y), loss = total / #train_x }
  end,
})
print(("accuracy with whole weights: %.4f"):format(script.accuracy(runs[1].net, test_x, test_y)))
script.final("accuracy with one bit", script.accuracy(runs[2].net, test_x, test_y))
