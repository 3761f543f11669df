-- Parity with PyTorch for two models: with seed 0 they have PyTorch's initial weights to the last bit, and 100 steps of
-- training give its losses within 1e-3 relative.
--   lampad scripts/bench/parity_models.lua [gpt|resnet]...   (default: both; the numbers stand in tests/golden/parity_*.txt,
--   written by parity_models.py)
local torch = require "lampad"
local core = require "lampad.core"
local nn, F = torch.nn, torch.nn.functional

local here = arg[0]:match "^(.*)/" or "."
local VOCAB, CONTEXT, WIDTH, HEADS = 61, 32, 64, 4

-- --- a small GPT --------------------------------------------------------------------------------------------
local Attention = nn.Module:extend "Attention"

function Attention:init()
  self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
  self.proj = nn.Linear(WIDTH, WIDTH)
end

function Attention:forward(x)
  local n, t, c = x.shape:unpack()
  local heads = {}
  for i, y in ipairs(self.qkv(x):split(WIDTH, { dim = 2 })) do
    heads[i] = y:view(n, t, HEADS, c // HEADS):transpose(1, 2)
  end
  local q, k, v = table.unpack(heads)
  local y = F.scaled_dot_product_attention(q, k, v, { is_causal = true })
  return self.proj(y:transpose(1, 2):contiguous():view(n, t, c))
end

local Block = nn.Module:extend "Block"

function Block:init()
  self.ln_1 = nn.LayerNorm(WIDTH)
  self.attn = Attention()
  self.ln_2 = nn.LayerNorm(WIDTH)
  self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH), nn.Dropout(0.1))
end

function Block:forward(x)
  x = x + self.attn(self.ln_1(x))
  return x + self.mlp(self.ln_2(x))
end

local GPT = nn.Module:extend "GPT"

local function init_weights(module)
  if module:isinstance(nn.Linear) then
    nn.init.normal_(module.weight, { mean = 0.0, std = 0.02 })
    if module.bias ~= nil then nn.init.zeros_(module.bias) end
  elseif module:isinstance(nn.Embedding) then
    nn.init.normal_(module.weight, { mean = 0.0, std = 0.02 })
  end
end

function GPT:init()
  self.wte = nn.Embedding(VOCAB, WIDTH)
  self.wpe = nn.Embedding(CONTEXT, WIDTH)
  self.blocks = nn.ModuleList { Block(), Block() }
  self.ln_f = nn.LayerNorm(WIDTH)
  self.head = nn.Linear(WIDTH, VOCAB, { bias = false })
  self:apply(init_weights)
  self.head.weight = self.wte.weight -- one matrix for both
end

function GPT:forward(tokens, targets)
  local x = self.wte(tokens) + self.wpe(torch.arange(tokens:size(1)))
  for block in self.blocks:iter() do x = block(x) end
  local logits = self.head(self.ln_f(x))
  return F.cross_entropy(logits:view(-1, VOCAB), targets:reshape(-1))
end

local models = {}

function models.gpt()
  torch.manual_seed(0)
  local net = GPT()
  -- Each token tells the next one, but for some noise.
  local tokens = torch.randint(0, VOCAB, { 64, CONTEXT + 1 })
  for t = 1, CONTEXT do
    tokens[{ ":", t }] = torch.where(torch.rand(64):lt(0.9), (tokens[{ ":", t - 1 }] * 5 + 7) % VOCAB, tokens[{ ":", t }])
  end
  local optimizer = torch.optim.AdamW(net:parameters(), { lr = 1e-3, betas = { 0.9, 0.95 }, weight_decay = 0.1 })
  return net, function()
    local rows = torch.randint(0, 64, { 8 })
    local batch = tokens[rows]
    local loss = net(batch[":, :-1"], batch[":, 1:"])
    optimizer:zero_grad()
    loss:backward()
    nn.utils.clip_grad_norm_(net:parameters(), 1.0)
    optimizer:step()
    return loss
  end
end

-- --- a small ResNet -----------------------------------------------------------------------------------------
local Residual = dofile(here .. "/nets.lua").Residual

local ResNet = nn.Module:extend "ResNet"

function ResNet:init()
  self.conv1 = nn.Conv2d(3, 8, 3, { padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(8)
  self.layers = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 32, 2))
  self.pool = nn.AdaptiveAvgPool2d(1)
  self.fc = nn.Linear(32, 10)
  for m in self:modules() do
    if m:isinstance(nn.Conv2d) then nn.init.kaiming_normal_(m.weight, { mode = "fan_out", nonlinearity = "relu" }) end
  end
end

function ResNet:forward(x)
  x = self.layers(F.relu(self.bn1(self.conv1(x))))
  return self.fc(self.pool(x):flatten(1))
end

function models.resnet()
  torch.manual_seed(0)
  local net = ResNet()
  local images = torch.randn(128, 3, 32, 32)
  local labels = torch.randint(0, 10, { 128 })
  local rows_of_class = (labels * 3):tolist()
  for i = 0, 127 do images[i][{ ":", rows_of_class[i + 1] }]:add_(1.5) end -- the class is a bright row
  local optimizer = torch.optim.SGD(net:parameters(), { lr = 0.02, momentum = 0.9, weight_decay = 5e-4, nesterov = true })
  local schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
  return net, function()
    local rows = torch.randperm(128)[":16"]
    local loss = F.cross_entropy(net(images[rows]), labels[rows], { label_smoothing = 0.1 })
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    schedule:step()
    return loss
  end
end

-- --- comparing ------------------------------------------------------------------------------------------------
local function read(name)
  local weights, losses = {}, {}
  for line in io.lines(here .. "/../../tests/golden/parity_" .. name .. ".txt") do
    local kind, key, value = line:match "^(%S+) (%S+) (%S+)$"
    if kind == "weight" then weights[key] = tonumber(value, 16) else losses[tonumber(key)] = tonumber(value) end
  end
  return weights, losses
end

local function compare(name)
  local weights, losses = read(name)
  local net, step = models[name]()
  local differing = {}
  for key, p in net:named_parameters() do
    if core.crc32(core.tensor_to_bytes(p:detach())) ~= weights[key] then differing[#differing + 1] = key end
  end
  print(name .. ": " .. (#differing == 0 and "initial weights equal to the last bit"
    or "initial weights DIFFERENT in " .. table.concat(differing, ", ")))
  local worst, worst_step = 0, 0
  for i = 1, #losses do
    local difference = math.abs(step():item() - losses[i]) / losses[i]
    if difference > worst or difference ~= difference then worst, worst_step = difference, i end
  end
  print(("%s: losses of %d steps: largest relative difference %.2e (step %d)"):format(name, #losses, worst, worst_step))
  return #differing == 0 and worst <= 1e-3
end

local passed = true
for _, name in ipairs(#arg > 0 and arg or { "gpt", "resnet" }) do passed = compare(name) and passed end
print(passed and "parity: passed" or "parity: FAILED")
os.exit(passed and 0 or 1, true)
