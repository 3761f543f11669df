-- Trains a small GPT on the characters of a text and writes some of its own.
--   lampad scripts/train_char_gpt.lua [TEXT] [options]
-- TEXT is a file, plain or gzipped; by default the Bible, if Debian's package bible-kjv is
-- installed, else the licences that every Debian has.
-- The last line is "validation loss: ...", in nats a character, over the last tenth of the text.
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options {
  { "steps", 600, "of the optimizer" },
  { "eval-every", 100, "steps" },
  { "batch-size", 16, "sequences" },
  { "context", 64, "characters" },
  { "layers", 2, "blocks" },
  { "heads", 4, "of attention" },
  { "width", 64, "of the residual stream" },
  { "dropout", 0.1, "probability" },
  { "lr", 3e-3, "learning rate at its peak" },
  { "generate", 200, "characters to write at the end", least = 0 },
  file = true,
  quick = { steps = 30, ["eval-every"] = 10, ["batch-size"] = 8, context = 32, layers = 2, width = 32, lr = 1e-2, generate = 60 },
}
if options.steps % options["eval-every"] ~= 0 then script.fail("--steps must be a multiple of --eval-every") end
if options.width % options.heads ~= 0 then script.fail("--width must be a multiple of --heads") end

local ids, characters = script.encode(script.text(options.file))
local split = math.floor(#ids * 0.9)
local train_ids, val_ids = ids:narrow(0, 0, split), ids:narrow(0, split, #ids - split)
if #val_ids <= options.context then script.fail("the text is too short for --context %d", options.context) end

-- --- the net --------------------------------------------------------------------------------------------
local Block = nn.Module:extend "Block"

function Block:init(width, heads, dropout)
  self.heads, self.dropout = heads, dropout
  self.norm1 = nn.LayerNorm(width)
  self.attention = nn.Linear(width, 3 * width)
  self.out = nn.Linear(width, width)
  self.norm2 = nn.LayerNorm(width)
  self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))
end

function Block:forward(x)
  local batch, length, width = x.shape:unpack()
  local qkv = self.attention(self.norm1(x)):view(batch, length, 3, self.heads, width // self.heads)
  local q, k, v = table.unpack(qkv:permute(2, 0, 3, 1, 4):unbind(0))
  local mixed = F.scaled_dot_product_attention(q, k, v, { is_causal = true })
  x = x + F.dropout(self.out(mixed:transpose(1, 2):reshape(batch, length, width)), self.dropout, self.training)
  return x + self.mlp(self.norm2(x))
end

local GPT = nn.Module:extend "GPT"

function GPT:init(vocabulary, o)
  self.context = o.context
  self.token = nn.Embedding(vocabulary, o.width)
  self.position = nn.Embedding(o.context, o.width)
  self.blocks = nn.ModuleList()
  for _ = 1, o.layers do self.blocks:append(Block(o.width, o.heads, o.dropout)) end
  self.norm = nn.LayerNorm(o.width)
  self.head = nn.Linear(o.width, vocabulary, { bias = false })
  for _, p in self:named_parameters() do
    if p.ndim == 2 then nn.init.normal_(p, 0, 0.02) end
  end
end

--- (N, T) token numbers -> (N, T, vocabulary) logits.
function GPT:forward(tokens)
  local x = self.token(tokens) + self.position(torch.arange(tokens:size(1)))
  for block in self.blocks:iter() do x = block(x) end
  return self.head(self.norm(x))
end

-- --- training -------------------------------------------------------------------------------------------
local net = GPT(characters.n, options)
local optimizer = optim.AdamW(net:parameters(), { lr = options.lr, betas = { 0.9, 0.99 }, weight_decay = 0.1 })
local warmup = math.max(1, options.steps // 20)
local scheduler = optim.lr_scheduler.LambdaLR(optimizer, function(step)
  if step < warmup then return (step + 1) / warmup end
  return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / math.max(1, options.steps - warmup)))
end)
local parameters = 0
for p in net:parameters() do parameters = parameters + p:numel() end
print(("%d characters, %d different; %d parameters"):format(#ids, characters.n, parameters))

local steps_of = torch.arange(options.context + 1)

-- Random pieces of the text: inputs and, one character later, targets.
local function batch(from, count, generator)
  local first = torch.randint(0, #from - options.context, { count, 1 }, { generator = generator })
  local pieces = from[first + steps_of]
  return pieces:narrow(1, 0, options.context), pieces:narrow(1, 1, options.context)
end

local function loss_of(x, y) return F.cross_entropy(net(x):flatten(0, 1), y:flatten()) end

-- The same pieces at each evaluation.
local function validate()
  net:eval()
  local generator, total, rounds = torch.Generator(), 0, options.quick and 4 or 20
  generator:manual_seed(1234)
  torch.no_grad(function()
    for _ = 1, rounds do total = total + loss_of(batch(val_ids, 32, generator)):item() end
  end)
  return total / rounds
end

local rounds = options.steps // options["eval-every"]
local history = script.loop(options, { net = net, optimizer = optimizer, scheduler = scheduler }, {
  unit = "round", count = rounds,
  step = function()
    net:train()
    local total = 0
    for _ in torch.utils.tqdm.trange(options["eval-every"], { leave = false, unit = "step" }) do
      local loss = loss_of(batch(train_ids, options["batch-size"], torch.default_generator))
      optimizer:zero_grad()
      loss:backward()
      nn.utils.clip_grad_norm_(net:parameters(), 1)
      optimizer:step()
      scheduler:step()
      total = total + loss:item()
    end
    return { loss = total / options["eval-every"], validation = validate() }
  end,
})

-- --- a text of its own ------------------------------------------------------------------------------------
local function generate(count)
  net:eval()
  local tokens = torch.zeros(1, 1, { dtype = torch.int64 })
  local written = {}
  torch.no_grad(function()
    for i = 1, count do
      local seen = tokens:size(1)
      local logits = net(tokens:narrow(1, math.max(0, seen - options.context), math.min(seen, options.context)))
      local best, which = logits[{ 0, -1 }]:topk(math.min(20, characters.n))
      local choice = which[torch.multinomial(best:softmax(0), 1)]
      tokens = torch.cat({ tokens, choice:unsqueeze(0) }, 1)
      written[i] = characters[choice:item()]
    end
  end)
  return table.concat(written)
end

if options.generate > 0 then print(generate(options.generate)) end
script.final("validation loss", history[#history].validation)
