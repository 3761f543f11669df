-- Parity of recurrent nets with PyTorch: the char-LSTM below (two layers, dropout between them) with seed 0 has
-- PyTorch's initial weights to the last bit, and 100 steps of Adam give its losses within 1e-3 relative.
--   lampad scripts/bench/parity_rnn.lua [FILE]   (default: tests/golden/parity_rnn.txt, written by parity_rnn.py)
local torch = require "lampad"
local core = require "lampad.core"
local nn, F = torch.nn, torch.nn.functional

local TEXT = ("the quick brown fox jumps over the lazy dog. pack my box with five dozen liquor jugs. "
  .. "how vexingly quick daft zebras jump! sphinx of black quartz, judge my vow. "):rep(8)

local Net = nn.Module:extend "Net"

function Net:init(letters)
  self.embedding = nn.Embedding(letters, 16)
  self.lstm = nn.LSTM(16, 64, { num_layers = 2, dropout = 0.2 })
  self.head = nn.Linear(64, letters)
end

function Net:forward(x, state)
  local y, last = self.lstm(self.embedding(x), state)
  return self.head(y), last
end

local weights, losses = {}, {}
for line in io.lines(arg[1] or "tests/golden/parity_rnn.txt") do
  local kind, name, value = line:match "^(%S+) (%S+) (%S+)$"
  if kind == "weight" then
    weights[name] = tonumber(value, 16)
  else
    losses[tonumber(name)] = tonumber(value)
  end
end

local letters, code_of = {}, {}
for c in TEXT:gmatch "." do
  if not code_of[c] then
    code_of[c] = true
    letters[#letters + 1] = c
  end
end
table.sort(letters)
for i, c in ipairs(letters) do code_of[c] = i - 1 end
local codes = {}
for c in TEXT:gmatch "." do codes[#codes + 1] = code_of[c] end
codes = torch.tensor(codes)

torch.manual_seed(0)
local net = Net(#letters)
local differing = {}
for name, p in net:named_parameters() do
  if core.crc32(core.tensor_to_bytes(p:detach())) ~= weights[name] then differing[#differing + 1] = name end
end
print(#differing == 0 and "initial weights: equal to the last bit"
  or "initial weights: DIFFERENT in " .. table.concat(differing, ", "))

local optimizer = torch.optim.Adam(net:parameters(), { lr = 0.003 })
local batch, steps, state = 8, 20, nil
local worst, worst_step = 0, 0
for step = 1, #losses do
  local at = torch.randint(0, #codes - steps - 1, { batch })
  local window = at + torch.arange(steps + 1):unsqueeze(1)
  local x, y = codes[window[":-1"]], codes[window["1:"]]
  local logits, last = net(x, state)
  state = { last[1]:detach(), last[2]:detach() }
  local loss = F.cross_entropy(logits:flatten(0, 1), y:flatten())
  optimizer:zero_grad()
  loss:backward()
  nn.utils.clip_grad_norm_(net:parameters(), 1.0)
  optimizer:step()
  local difference = math.abs(loss:item() - losses[step]) / losses[step]
  if difference > worst or difference ~= difference then worst, worst_step = difference, step end
end
print(("losses of %d steps: largest relative difference %.2e (step %d)"):format(#losses, worst, worst_step))
local passed = #differing == 0 and worst <= 1e-3
print(passed and "parity: passed" or "parity: FAILED")
os.exit(passed and 0 or 1, true)
