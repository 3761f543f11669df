-- Times the calls of shapes.tsv on tensors of odd shapes; one line a call: "name, shape<TAB>microseconds".
--   build/lampad scripts/bench/shapes.lua [PATTERN [DTYPE]] [BUDGET]      the twin of shapes.py; nets.lua tells the budget
-- A call that the dtype does not have is left out.
local torch = require "lampad"
local here = arg[0]:match("^(.*)/") or "."
local shared = dofile(here .. "/nets.lua")
local positional, budget = shared.arguments(arg, { warm_ups = 1, seconds = 0, least = 7, sample = 0.005 })
local pattern, dtype = positional[1] or "", torch[positional[2] or "float32"]

local shapes = { -- rows of coordinates, columns of them, features, images smaller than a vector, rows beside a power of two
  { 100000, 3 }, { 3, 100000 }, { 20000, 17 }, { 17, 20000 }, { 1000, 7, 50 }, { 64, 32, 7, 7 }, { 512, 5, 5, 13 }, { 2, 3, 300, 301 },
  { 8, 128, 1, 1 }, { 300, 300 }, { 33, 65, 129 },
}

local function numbers(shape)
  if dtype.is_floating_point or dtype.is_complex then return torch.randn(shape):to(dtype) end
  return torch.randint(0, dtype == torch.bool and 2 or 100, shape):to(dtype)
end

local function environment(shape)
  local x, dims = numbers(shape), #shape
  local perm = {}
  for d = 1, dims do perm[d] = dims - d end
  return {
    torch = torch, F = torch.nn.functional, True = true, L = function(...) return { ... } end,
    dense = function(t) return t:contiguous() end,
    x = x, y = numbers(shape), i = torch.randint(0, 100, shape), row = numbers { shape[dims] },
    column = x:narrow(dims - 1, 0, 1):contiguous(), last = dims - 1, first = 0, perm = perm, short = math.max(1, shape[dims] - 1),
    back_first = torch.arange(shape[1] - 1, -1, -1), back_last = torch.arange(shape[dims] - 1, -1, -1),
  }
end

torch.manual_seed(0)
for _, shape in ipairs(shapes) do
  local env = environment(shape)
  for line in io.lines(here .. "/shapes.tsv") do
    local name, code = line:match "^([^#\t][^\t]*)\t([^\t]+)$"
    local title = name and name .. ", " .. table.concat(shape, " x ")
    if title and shared.selects(pattern, title) then
      local run = assert(load("return function() local _ = " .. code .. " end", title, "t", env))()
      if pcall(run) then print(("%s\t%.4f"):format(title, shared.seconds_of(run, budget) * 1e6)) end
    end
  end
end
