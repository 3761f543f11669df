-- Trains a variational autoencoder on Fashion-MNIST (Kingma and Welling 2014) and draws pictures from it.
--   lampad scripts/train_vae.lua [options]
-- The last line is "test bound: ...", the negative evidence lower bound in nats an image; smaller is better.
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "epochs", 10, "passes over the data" },
  { "batch-size", 128, "images" },
  { "hidden", 400, "width of the hidden layers" },
  { "latent", 20, "numbers that stand for an image" },
  { "lr", 1e-3, "learning rate" },
  { "pictures", 6, "to draw at the end", least = 0 },
  quick = { epochs = 2, hidden = 64, latent = 8, lr = 3e-3, pictures = 2 },
})
local train_x, _, test_x = script.images(options)

local VAE = nn.Module:extend "VAE"

function VAE:init(hidden, latent)
  self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU())
  self.mean = nn.Linear(hidden, latent)
  self.log_variance = nn.Linear(hidden, latent)
  self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Unflatten(1, { 1, 28, 28 }))
end

--- Images (N, 1, 28, 28) -> logits of their pixels, and mean and logarithm of the variance of what stands for them (N, latent).
function VAE:forward(x)
  local h = self.encoder(x)
  local mean, log_variance = self.mean(h), self.log_variance(h)
  local z = mean + torch.randn_like(mean) * (log_variance * 0.5):exp()
  return self.decoder(z), mean, log_variance
end

-- Both parts of the bound, summed over the images: what the pixels cost, and the distance from the standard normal.
local function bound(net, x)
  local logits, mean, log_variance = net(x)
  local pixels = F.binary_cross_entropy_with_logits(logits, x, { reduction = "sum" })
  local distance = (mean ^ 2 + log_variance:exp() - 1 - log_variance):sum() * 0.5
  return pixels, distance
end

local net = VAE(options.hidden, options.latent)
local optimizer = optim.Adam(net:parameters(), { lr = options.lr })

local function test()
  local pixels, distance = torch.metrics.SumMetric(), torch.metrics.SumMetric()
  torch.no_grad(function()
    for first = 0, #test_x - 1, 500 do
      local a, b = bound(net, test_x:narrow(0, first, math.min(500, #test_x - first)))
      pixels:update(a)
      distance:update(b)
    end
  end)
  return pixels:compute():item() / #test_x, distance:compute():item() / #test_x
end

local history = script.loop(options, { net = net, optimizer = optimizer }, {
  unit = "epoch", count = options.epochs,
  step = function()
    local total = 0
    for x in script.batches(options["batch-size"], train_x) do
      local pixels, distance = bound(net, x)
      local loss = (pixels + distance) / #x
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      total = total + loss:item() * #x
    end
    local pixels, distance = test()
    return { loss = total / #train_x, test = pixels + distance, distance = distance }
  end,
})

if options.pictures > 0 then
  torch.no_grad(function()
    script.show(net.decoder(torch.randn(options.pictures, options.latent)):sigmoid())
  end)
end
script.final("test bound", history[#history].test)
