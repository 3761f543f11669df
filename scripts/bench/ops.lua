-- Times the calls of ops.tsv on tensors of N float32 elements; one line a call: "name<TAB>microseconds".
--   build/lampad scripts/bench/ops.lua N [PATTERN]      the twin of ops.py
local torch = require "lampad"
local core = require "lampad.core"
local F = torch.nn.functional
local n, pattern = math.tointeger(tonumber(arg[1])), arg[2] or ""

torch.manual_seed(0)
local columns = n >= 1000000 and 1000 or 50
local rows = n // columns
local side = math.floor(math.sqrt(n))
local third = math.floor(math.sqrt(n / 16))
local env = { torch = torch, F = F, L = function(...) return { ... } end }
env.a, env.b, env.c = torch.randn(n), torch.randn(n), torch.randn(n)
env.p = torch.rand(n) + 0.5
env.m, env.w, env.row = torch.randn(rows, columns), torch.randn(rows, columns), torch.randn(columns)
env.v = torch.randn(columns, columns)
env.q, env.k = torch.randn(side, side), torch.randn(side, side)
env.u = torch.randn(16, third, third)
env.i, env.j = torch.randint(0, n, { n }), torch.randint(0, rows, { rows })
env.g = torch.randint(0, columns, { rows, columns })
env.t = torch.randint(0, columns, { rows })
env.mask = torch.rand(n):gt(0.5)
local pixels = math.max(4, math.floor(math.sqrt(n / 32)))
env.image, env.filter = torch.randn(2, 16, pixels, pixels), torch.randn(16, 16, 3, 3)
env.add_ = function(x, y) return x:add_(y) end
env.mul_ = function(x, y) return x:mul_(y) end
env.to64 = function(x) return x:to(torch.float64) end
env.to16 = function(x) return x:to(torch.bfloat16) end
env.transposed = function(x) return x:t():contiguous() end
env.layer_norm = function(x) return F.layer_norm(x, { columns }) end

local function measure(fn)
  fn()
  local calls, start = 1, core.now()
  fn()
  local once = core.now() - start
  if once < 0.02 then calls = math.ceil(0.02 / math.max(once, 1e-7)) end
  local times = {}
  for round = 1, 7 do
    start = core.now()
    for _ = 1, calls do fn() end
    times[round] = (core.now() - start) / calls * 1e6
  end
  table.sort(times)
  return times[4]
end

for line in io.lines((arg[0]:match("^(.*)/") or ".") .. "/ops.tsv") do
  local name, code = line:match("^([^#\t][^\t]*)\t(.+)$")
  if name and name:find(pattern, 1, true) then
    local fn = assert(load("return function() local _ = " .. code .. " end", name, "t", env))()
    print(("%s\t%.4f"):format(name, measure(fn)))
  end
end
