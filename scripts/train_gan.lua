-- Trains a generative adversarial net on Fashion-MNIST (Goodfellow et al. 2014; layers as Radford et al. 2016).
--   lampad scripts/train_gan.lua [options]
-- The last line is "Fréchet distance: ...", between drawn and test images, each brought to 64 numbers by a fixed random projection and
-- taken as normal there (the measure of Heusel et al. 2017 without their net); 0 for equal distributions.
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options(script.with_images {
  { "epochs", 5, "passes over the data" },
  { "batch-size", 64, "images" },
  { "latent", 32, "random numbers an image is made from" },
  { "width", 32, "channels" },
  { "lr", 5e-4, "learning rate of both nets" },
  { "pictures", 6, "to draw at the end", least = 0 },
  limit_train = 10000,
  quick = { epochs = 2, width = 8, pictures = 2 },
})
local train_x, _, test_x = script.images(options)
train_x, test_x = train_x * 2 - 1, test_x * 2 - 1 -- as tanh gives them

local w = options.width
local generator = nn.Sequential(
  nn.Linear(options.latent, 2 * w * 7 * 7, { bias = false }), nn.BatchNorm1d(2 * w * 7 * 7), nn.ReLU(), nn.Unflatten(1, { 2 * w, 7, 7 }),
  nn.ConvTranspose2d(2 * w, w, 4, { stride = 2, padding = 1, bias = false }), nn.BatchNorm2d(w), nn.ReLU(),
  nn.ConvTranspose2d(w, 1, 4, { stride = 2, padding = 1 }), nn.Tanh())
local discriminator = nn.Sequential(
  nn.Conv2d(1, w, 4, { stride = 2, padding = 1 }), nn.LeakyReLU(0.2),
  nn.Conv2d(w, 2 * w, 4, { stride = 2, padding = 1, bias = false }), nn.BatchNorm2d(2 * w), nn.LeakyReLU(0.2),
  nn.Flatten(), nn.Linear(2 * w * 7 * 7, 1))
for _, net in ipairs { generator, discriminator } do
  for name, p in net:named_parameters() do
    if p.ndim == 4 and name:find "weight" then nn.init.normal_(p, 0, 0.02) end
  end
end
local g_optimizer = optim.Adam(generator:parameters(), { lr = options.lr, betas = { 0.5, 0.999 } })
local d_optimizer = optim.Adam(discriminator:parameters(), { lr = options.lr, betas = { 0.5, 0.999 } })

-- --- the distance -----------------------------------------------------------------------------------------
local projection_seed = torch.Generator()
projection_seed:manual_seed(7)
local projection = torch.randn(784, 64, { generator = projection_seed }):to(torch.float64) / 28

local function moments(images)
  local points = images:reshape(#images, 784):to(torch.float64):matmul(projection)
  return points:mean(0), torch.cov(points.T)
end

-- |m1 - m2|^2 + trace(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2).
local function frechet(m1, c1, m2, c2)
  local values, vectors = torch.linalg.eigh(c1)
  local root = (vectors * values:clamp(0):sqrt()):matmul(vectors.T)
  local cross = torch.linalg.eigvalsh(root:matmul(c2):matmul(root)):clamp(0):sqrt():sum()
  return ((m1 - m2) ^ 2):sum():item() + (c1:trace() + c2:trace() - cross * 2):item()
end

local test_mean, test_cov = moments(test_x)

local function distance()
  generator:eval()
  local seed, parts, wanted = torch.Generator(), {}, #test_x
  seed:manual_seed(11)
  torch.no_grad(function()
    for first = 0, wanted - 1, 500 do
      parts[#parts + 1] = generator(torch.randn(math.min(500, wanted - first), options.latent, { generator = seed }))
    end
  end)
  return frechet(test_mean, test_cov, moments(torch.cat(parts)))
end

-- --- training ---------------------------------------------------------------------------------------------
local function verdict(images, real)
  local logits = discriminator(images)
  return F.binary_cross_entropy_with_logits(logits, real and torch.ones_like(logits) or torch.zeros_like(logits))
end

local objects = { generator = generator, discriminator = discriminator, g_optimizer = g_optimizer, d_optimizer = d_optimizer }
local history = script.loop(options, objects, {
  unit = "epoch", count = options.epochs,
  step = function()
    generator:train()
    local d_total, g_total, batches = 0, 0, 0
    for real in script.batches(options["batch-size"], train_x) do
      local drawn = generator(torch.randn(#real, options.latent))
      local d_loss = verdict(real, true) + verdict(drawn:detach(), false)
      d_optimizer:zero_grad()
      d_loss:backward()
      d_optimizer:step()
      local g_loss = verdict(drawn, true)
      g_optimizer:zero_grad()
      g_loss:backward()
      g_optimizer:step()
      d_total, g_total, batches = d_total + d_loss:item(), g_total + g_loss:item(), batches + 1
    end
    return { discriminator = d_total / batches, generator = g_total / batches, distance = distance() }
  end,
})

if options.pictures > 0 then
  generator:eval()
  torch.no_grad(function() script.show((generator(torch.randn(options.pictures, options.latent)) + 1) / 2) end)
end
script.final("Fréchet distance", history[#history].distance)
