-- Times networks of vision.models at 224 x 224: whole training steps (SGD with momentum) and inference with batch 1; one line
-- each: "name<TAB>milliseconds", the median of five runs and more.
--   build/lampad scripts/bench/zoo.lua [PATTERN]      the twin of zoo.py; run.py --zoo runs both
local torch = require "lampad"
local measure = dofile((arg[0]:match "^(.*)/" or ".") .. "/nets.lua").measure
local F, optim, models = torch.nn.functional, torch.optim, torch.vision.models

local pattern = arg[1] or ""

local function training(name, batch)
  return ("%s, training step, batch %d"):format(name, batch), function()
    local net = models[name]():train()
    local x, y = torch.randn(batch, 3, 224, 224), torch.randint(0, 1000, { batch })
    local optimizer = optim.SGD(net:parameters(), { lr = 0.01, momentum = 0.9 })
    return function()
      optimizer:zero_grad()
      F.cross_entropy(net(x), y):backward()
      optimizer:step()
    end
  end
end

local function inference(name)
  return name .. ", inference, batch 1", function()
    local net = models[name]():eval()
    local x = torch.randn(1, 3, 224, 224)
    return function() torch.no_grad(function() net(x) end) end
  end
end

local rows = {
  { training("vgg16", 16) }, { training("resnet18", 16) }, { training("alexnet", 32) }, { training("mobilenet_v2", 16) },
  { training("efficientnet_b0", 16) }, { inference "resnet50" }, { inference "vgg16" },
}

measure(rows, pattern, 2, 1)
