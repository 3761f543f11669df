-- Trains an LSTM on the characters of a text and writes some of its own. The text is read from many places at once, and each piece
-- begins with the state that the one before it ended with.
--   lampad scripts/train_char_lstm.lua [TEXT] [options]
-- TEXT is a file, plain or gzipped; by default the Bible, if Debian's package bible-kjv is
-- installed, else the licences that every Debian has.
-- The last line is "validation loss: ...", in nats a character, over the last tenth of the text (--validate characters of it).
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options {
  { "steps", 600, "of the optimizer" },
  { "eval-every", 100, "steps" },
  { "batch-size", 16, "places in the text" },
  { "length", 64, "characters to learn from at once" },
  { "layers", 2, "of the LSTM" },
  { "width", 96, "of its state" },
  { "embedding", 32, "numbers for a character" },
  { "dropout", 0.1, "between the layers" },
  { "lr", 5e-3, "learning rate at first" },
  { "validate", 20000, "characters" },
  { "temperature", 0.8, "when it writes: lower is safer" },
  { "generate", 200, "characters to write at the end", least = 0 },
  file = true,
  quick = { steps = 30, ["eval-every"] = 10, ["batch-size"] = 8, length = 32, width = 32, lr = 2e-2, validate = 1000, generate = 60 },
}
if options.steps % options["eval-every"] ~= 0 then script.fail("--steps must be a multiple of --eval-every") end
local ids, characters = script.encode(script.text(options.file))
local split = math.floor(#ids * 0.9)
local train_ids, val_ids = ids:narrow(0, 0, split), ids:narrow(0, split, math.min(#ids - split, options.validate + 1))
local stream_length = #train_ids // options["batch-size"]
if stream_length <= options.length then script.fail("the text is too short for %d places", options["batch-size"]) end
local streams = train_ids:narrow(0, 0, stream_length * options["batch-size"]):view(options["batch-size"], stream_length)

-- --- the net --------------------------------------------------------------------------------------------
local CharLSTM = nn.Module:extend "CharLSTM"

function CharLSTM:init(vocabulary, o)
  self.embedding = nn.Embedding(vocabulary, o.embedding)
  self.lstm = nn.LSTM(o.embedding, o.width, { num_layers = o.layers, dropout = o.dropout, batch_first = true })
  self.head = nn.Linear(o.width, vocabulary)
end

--- (N, T) token numbers and the state {h, c} or nil -> (N, T, vocabulary) logits and the new state.
function CharLSTM:forward(tokens, state)
  local output, new_state = self.lstm(self.embedding(tokens), state)
  return self.head(output), new_state
end

local net = CharLSTM(characters.n, options)
local optimizer = optim.Adam(net:parameters(), { lr = options.lr })
local scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
local parameters = 0
for p in net:parameters() do parameters = parameters + p:numel() end
print(("%d characters, %d different; %d parameters"):format(#ids, characters.n, parameters))

-- --- training -------------------------------------------------------------------------------------------
-- Where the streams are read, and the state of the LSTM there; kept by checkpoints.
local reader = { at = 0, state = nil }
function reader:state_dict() return { at = self.at, state = self.state } end
function reader:load_state_dict(saved) self.at, self.state = saved.at, saved.state end

function reader:next()
  if self.at + options.length >= stream_length then self.at, self.state = 0, nil end
  local x, y = streams:narrow(1, self.at, options.length), streams:narrow(1, self.at + 1, options.length)
  self.at = self.at + options.length
  return x, y
end

local function detached(state) return { state[1]:detach(), state[2]:detach() } end

local function validate()
  net:eval()
  local total, count, state = 0, 0, nil
  torch.no_grad(function()
    for first = 0, #val_ids - 2, 1000 do
      local n = math.min(1000, #val_ids - 1 - first)
      local logits
      logits, state = net(val_ids:narrow(0, first, n):unsqueeze(0), state)
      total = total + F.cross_entropy(logits[0], val_ids:narrow(0, first + 1, n), { reduction = "sum" }):item()
      count = count + n
    end
  end)
  return total / count
end

local history = script.loop(options, { net = net, optimizer = optimizer, scheduler = scheduler, reader = reader }, {
  unit = "round", count = options.steps // options["eval-every"],
  step = function()
    net:train()
    local total = 0
    for _ in torch.utils.tqdm.trange(options["eval-every"], { leave = false, unit = "step" }) do
      local x, y = reader:next()
      local logits, state = net(x, reader.state)
      reader.state = detached(state)
      local loss = F.cross_entropy(logits:flatten(0, 1), y:flatten())
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
  local token, state, written = torch.zeros(1, 1, { dtype = torch.int64 }), nil, {}
  torch.no_grad(function()
    for i = 1, count do
      local logits
      logits, state = net(token, state)
      token = torch.multinomial((logits[{ 0, -1 }] / options.temperature):softmax(0), 1):unsqueeze(0)
      written[i] = characters[token:item()]
    end
  end)
  return table.concat(written)
end

if options.generate > 0 then print(generate(options.generate)) end
script.final("validation loss", history[#history].validation)
