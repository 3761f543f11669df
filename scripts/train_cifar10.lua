-- Trains a ResNet-20 (He et al. 2016, with shortcuts that cost no weights) on CIFAR-10.
--   lampad scripts/train_cifar10.lua [--data FOLDER] [options]
-- FOLDER holds cifar-10-batches-py or the batches of the binary format, data_batch_*.bin and test_batch.bin; --download
-- fetches them. With all 50,000 pictures and the options of the paper (164 epochs) the net gets 91 to 92 of 100 right.
--   lampad scripts/train_cifar10.lua --evaluate resnet20.th    tests the weights of a file
-- The last line is "test accuracy: ...".
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options {
  { "data", "data", "folder of the pictures" },
  { "download", false, "fetch them, unless they are there" },
  { "epochs", 164, "passes over the pictures" },
  { "batch-size", 128, "pictures" },
  { "blocks", 3, "in each of three stages: 3 is ResNet-20, 5 is ResNet-32, 9 is ResNet-56" },
  { "lr", 0.1, "learning rate; a tenth after a half and after three quarters of the epochs" },
  { "momentum", 0.9, "" },
  { "weight-decay", 1e-4, "" },
  { "limit-train", 50000, "pictures to train on" },
  { "limit-test", 10000, "pictures to test on" },
  { "evaluate", "", "file of weights to test, in the place of training", kind = "file" },
  quick = { epochs = 2, ["limit-train"] = 512, ["limit-test"] = 500, blocks = 1, lr = 0.05 },
}

-- --- the network ---------------------------------------------------------------------------------------------
local Block = nn.Module:extend "BasicBlock"

--- Two convolutions of 3x3 and a shortcut: where the size changes every second pixel, with channels of zeros added.
function Block:init(channels, out, stride)
  self.conv1 = nn.Conv2d(channels, out, 3, { stride = stride, padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(out)
  self.conv2 = nn.Conv2d(out, out, 3, { stride = 1, padding = 1, bias = false })
  self.bn2 = nn.BatchNorm2d(out)
  self.added = (out - channels) // 2
end

function Block:forward(x)
  local y = F.relu(self.bn1(self.conv1(x)), true)
  y = self.bn2(self.conv2(y))
  if self.added > 0 then x = F.pad(x["..., ::2, ::2"], { 0, 0, 0, 0, self.added, self.added }) end
  return F.relu(y + x, true)
end

local ResNet = nn.Module:extend "ResNet"

--- Pictures (N, 3, 32, 32) -> logits (N, 10).
function ResNet:init(blocks)
  self.conv1 = nn.Conv2d(3, 16, 3, { stride = 1, padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(16)
  local channels = 16
  for stage = 1, 3 do
    local out, layer = 8 << stage, nn.Sequential()
    for i = 1, blocks do
      layer:append(Block(channels, out, i == 1 and stage > 1 and 2 or 1))
      channels = out
    end
    self["layer" .. stage] = layer
  end
  self.linear = nn.Linear(64, 10)
  for module in self:modules() do
    if torch.isinstance(module, nn.Linear) or torch.isinstance(module, nn.Conv2d) then
      nn.init.kaiming_normal_(module.weight)
    end
  end
end

function ResNet:forward(x)
  x = F.relu(self.bn1(self.conv1(x)), true)
  x = self.layer3(self.layer2(self.layer1(x)))
  return self.linear(F.avg_pool2d(x, x:size(3)):flatten(1))
end

-- --- pictures ----------------------------------------------------------------------------------------------------
local mean = torch.tensor { 0.485, 0.456, 0.406 }:reshape(1, 3, 1, 1)
local std = torch.tensor { 0.229, 0.224, 0.225 }:reshape(1, 3, 1, 1)

-- float32 (N, 3, 32, 32), normalised, and int64 labels.
local function load(train)
  local ok, set = pcall(torch.vision.datasets.CIFAR10, options.data, { train = train, download = options.download })
  if not ok then script.fail("%s", (tostring(set):gsub("^[^:]+:%d+: ", ""))) end
  local count = math.min(options[train and "limit-train" or "limit-test"], #set)
  local x = set.data:narrow(0, 0, count):permute(0, 3, 1, 2):to(torch.float32):div_(255)
  return x:sub_(mean):div_(std):contiguous(), torch.tensor(set.targets):narrow(0, 0, count), set.classes
end

-- A part of 32 x 32 of each picture with 4 pixels of zeros round it, every second mirrored on average.
local function vary(x)
  local n, size = x:size(0), x:size(3)
  local padded = F.pad(x, { 4, 4, 4, 4 })
  local top, left = torch.randint(0, 9, { n, 1 }), torch.randint(0, 9, { n, 1 })
  local along = torch.arange(size)
  local columns = torch.where(torch.rand(n, 1):lt(0.5), along, size - 1 - along) + left
  local rows = along + top
  -- The channels come last when indices stand round them.
  local parts = padded[{ torch.arange(n):reshape(n, 1, 1), ":", rows:unsqueeze(2), columns:unsqueeze(1) }]
  return parts:permute(0, 3, 1, 2):contiguous()
end

local net = ResNet(options.blocks)
local test_x, test_y, classes = load(false)

local function report()
  net:eval()
  local right, of = torch.zeros(10), torch.zeros(10)
  torch.no_grad(function()
    for first = 0, #test_y - 1, 500 do
      local count = math.min(500, #test_y - first)
      local y = test_y:narrow(0, first, count)
      right = right + torch.bincount(y[net(test_x:narrow(0, first, count)):argmax(1):eq(y)], { minlength = 10 })
      of = of + torch.bincount(y, { minlength = 10 })
    end
  end)
  local shares = (right / of):tolist()
  for i, share in ipairs(shares) do print(("  %-10s %.3f"):format(classes and classes[i] or i - 1, share)) end
  script.final("test accuracy", right:sum():item() / of:sum():item())
end

if options.evaluate then
  local ok, file = pcall(torch.load, options.evaluate)
  if not ok then script.fail("%s", tostring(file)) end
  local state = file.state_dict or file.net or file
  -- Of a network that was trained on several devices.
  local plain = {}
  for name, value in pairs(state) do plain[(name:gsub("^module%.", ""))] = value end
  local loaded, message = pcall(net.load_state_dict, net, plain)
  if not loaded then script.fail("%s", (tostring(message):gsub("^[^:\n]+:%d+: ", ""))) end
  report()
  return
end

-- --- training --------------------------------------------------------------------------------------------------------
local train_x, train_y = load(true)
local optimizer = optim.SGD(net:parameters(), { lr = options.lr, momentum = options.momentum,
  weight_decay = options["weight-decay"] })
local scheduler = optim.lr_scheduler.MultiStepLR(optimizer, { options.epochs // 2, options.epochs * 3 // 4 })

script.loop(options, { net = net, optimizer = optimizer, scheduler = scheduler }, {
  unit = "epoch", count = options.epochs,
  step = function()
    net:train()
    local total, right = 0, 0
    for x, y in script.batches(options["batch-size"], train_x, train_y) do
      local logits = net(vary(x))
      local loss = F.cross_entropy(logits, y)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      total = total + loss:item() * #y
      right = right + logits:argmax(1):eq(y):sum():item()
    end
    scheduler:step()
    return { loss = total / #train_y, train = right / #train_y, test = script.accuracy(net, test_x, test_y) }
  end,
})
report()
