-- Times networks of vision.models: whole training steps (SGD with momentum) and inference with batch 1, at 224 x 224, and at
-- 64 x 64 for the comparison of builds (compare.lua); one line each: "name<TAB>microseconds", the median of five runs and more.
--   build/lampad scripts/bench/zoo.lua [PATTERN] [BUDGET]      the twin of zoo.py; nets.lua tells the budget
local torch = require "lampad"
local shared = dofile((arg[0]:match "^(.*)/" or ".") .. "/nets.lua")
local nn, optim, models = torch.nn, torch.optim, torch.vision.models

local function training(name, batch, side, dtype)
  local net = models[name]():train():to(dtype)
  local x, y = torch.randn(batch, 3, side, side):to(dtype), torch.randint(0, 1000, { batch })
  local optimizer = optim.SGD(net:parameters(), { lr = 0.01, momentum = 0.9 })
  return shared.classifier(net, x, y, optimizer)
end

local function inference(name, folded, side)
  local net = models[name]():eval()
  local x = torch.randn(1, 3, side, side)
  if folded then net = nn.utils.fuse_conv_bn(net, x) end
  return function() torch.no_grad(function() net(x) end) end
end

local rows = {}
local function add_training(name, batch, side, dtype)
  rows[#rows + 1] = { ("%s%s, training step, batch %d, %d x %d"):format(name, dtype and " in bfloat16" or "", batch, side, side),
    function() return training(name, batch, side, dtype or torch.float32) end }
end
local function add_inference(name, folded, side)
  rows[#rows + 1] = { ("%s%s, inference, batch 1, %d x %d"):format(name, folded and " folded" or "", side, side),
    function() return inference(name, folded, side) end }
end

add_training("vgg16", 16, 224)
add_training("resnet18", 16, 224)
add_training("alexnet", 32, 224)
add_training("mobilenet_v2", 16, 224)
add_training("efficientnet_b0", 16, 224)
add_training("resnet18", 16, 224, torch.bfloat16)
add_inference("resnet50", false, 224)
add_inference("resnet50", true, 224)
add_inference("vgg16", false, 224)
add_inference("vgg16_bn", false, 224)
add_inference("vgg16_bn", true, 224)
for _, name in ipairs { "squeezenet1_1", "resnet18", "mobilenet_v2", "efficientnet_b0" } do
  add_training(name, 4, 64)
  add_inference(name, false, 64)
end

local positional, budget = shared.arguments(arg, { warm_ups = 2, seconds = 1, least = 5, sample = 0.001 })
shared.measure(rows, positional[1] or "", budget)
