-- Times recurrent nets: a forward pass without gradients and a training step (forward, sum, backward), the best
-- of several; one line a case: "name<TAB>forward ms<TAB>step ms".
--   build/lampad scripts/bench/rnn.lua [PATTERN] [--threads N]      the twin of rnn.py; rnn.sh runs both
local torch = require "lampad"
local core = require "lampad.core"
local nn = torch.nn

local pattern, threads = "", 2
do
  local i = 1
  while arg[i] do
    if arg[i] == "--threads" then
      threads = math.tointeger(tonumber(arg[i + 1]))
      i = i + 1
    else
      pattern = arg[i]
    end
    i = i + 1
  end
end
torch.set_num_threads(threads)

local function measure(fn)
  fn()
  local best, count, start = math.huge, 0, core.now()
  repeat
    local from = core.now()
    fn()
    best, count = math.min(best, core.now() - from), count + 1
  until count >= 5 and core.now() - start > 0.5
  return best * 1e3
end

-- name, batch, steps, input, hidden, options
for line in io.lines((arg[0]:match("^(.*)/") or ".") .. "/rnn.tsv") do
  local name, kind, batch, steps, input, hidden, layers, directions, dtype =
    line:match "^([^#\t]+)\t(%a+)\t(%d+)\t(%d+)\t(%d+)\t(%d+)\t(%d+)\t(%d+)\t(%w+)$"
  if name and name:find(pattern, 1, true) then
    torch.manual_seed(0)
    local number = function(s) return math.tointeger(tonumber(s)) end
    local forward, step
    if kind:find "Cell" then
      local cell = nn[kind](number(input), number(hidden), { dtype = torch[dtype] })
      local x = torch.randn(number(batch), number(input), { dtype = torch[dtype] })
      local h = torch.randn(number(batch), number(hidden), { dtype = torch[dtype] })
      local hx = kind == "LSTMCell" and { h, h } or h
      forward = function() torch.no_grad(function() cell(x, hx) end) end
      step = function()
        cell(x, hx):sum():backward()
        cell:zero_grad()
      end
    else
      local net = nn[kind](number(input), number(hidden), number(layers),
        { bidirectional = directions == "2", dtype = torch[dtype] })
      local x = torch.randn(number(steps), number(batch), number(input), { dtype = torch[dtype] })
      x:requires_grad_(not name:find("fixed input", 1, true))
      forward = function() torch.no_grad(function() net(x) end) end
      step = function()
        net(x):sum():backward()
        net:zero_grad()
        x.grad = nil
      end
    end
    print(("%s\t%.4f\t%.4f"):format(name, measure(forward), measure(step)))
  end
end
