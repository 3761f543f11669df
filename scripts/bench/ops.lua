-- Times the calls of ops.tsv on tensors of N float32 elements; one line a call: "name<TAB>microseconds".
--   build/lampad scripts/bench/ops.lua N [PATTERN] [GROUP] [BUDGET]      the twin of ops.py; nets.lua tells the budget
local torch = require "lampad"
local here = arg[0]:match("^(.*)/") or "."
local shared = dofile(here .. "/nets.lua")
local F = torch.nn.functional
local positional, budget = shared.arguments(arg, { warm_ups = 1, seconds = 0, least = 7, sample = 0.02 })
local n, pattern, group = math.tointeger(tonumber(positional[1])), positional[2] or "", positional[3]

torch.manual_seed(0)
local columns = n >= 1000000 and 1000 or 50
local rows = n // columns
local side = math.floor(math.sqrt(n))
local third = math.floor(math.sqrt(n / 16))
local pixels = math.max(4, math.floor(math.sqrt(n / 32)))

-- What the calls name; a tensor is made when the first call wants it.
local makers = {
  a = function() return torch.randn(n) end,
  b = function() return torch.randn(n) end,
  c = function() return torch.randn(n) end,
  p = function() return torch.rand(n) + 0.5 end,
  m = function() return torch.randn(rows, columns) end,
  w = function() return torch.randn(rows, columns) end,
  row = function() return torch.randn(columns) end,
  v = function() return torch.randn(columns, columns) end,
  q = function() return torch.randn(side, side) end,
  k = function() return torch.randn(side, side) end,
  u = function() return torch.randn(16, third, third) end,
  i = function() return torch.randint(0, n, { n }) end,
  j = function() return torch.randint(0, rows, { rows }) end,
  g = function() return torch.randint(0, columns, { rows, columns }) end,
  t = function() return torch.randint(0, columns, { rows }) end,
  mask = function() return torch.rand(n):gt(0.5) end,
  z = function() return torch.randn(n // 2, { dtype = torch.complex64 }) end,
  y = function() return torch.randn(n // 2, { dtype = torch.complex64 }) end,
  r = function() return torch.rand(n) end,
  s = function() return torch.randn(n // 64 + 1, 8, 8) + torch.eye(8) * 8 end,
  image = function() return torch.randn(2, 16, pixels, pixels) end,
  filter = function() return torch.randn(16, 16, 3, 3) end,
}
local env = {
  torch = torch, F = F, L = function(...) return { ... } end,
  add_ = function(x, y) return x:add_(y) end,
  mul_ = function(x, y) return x:mul_(y) end,
  to64 = function(x) return x:to(torch.float64) end,
  to16 = function(x) return x:to(torch.bfloat16) end,
  transposed = function(x) return x:t():contiguous() end,
  layer_norm = function(x) return F.layer_norm(x, { columns }) end,
}
setmetatable(env, { __index = function(t, name)
  local make = makers[name]
  if make then t[name] = make() end
  return rawget(t, name)
end })

for line in io.lines(here .. "/ops.tsv") do
  local name, code, its_group = line:match "^([^#\t][^\t]*)\t([^\t]+)\t?(.*)$"
  if name and shared.selects(pattern, name) and (not group or group == its_group) then
    local fn = assert(load("return function() local _ = " .. code .. " end", name, "t", env))()
    print(("%s\t%.4f"):format(name, shared.seconds_of(fn, budget) * 1e6))
  end
end
