--- Tensors of more than 2^31 elements: build/lampad tests/large/large.lua [PATTERN]
-- Counters, offsets and sizes of 32 bits would wrap around here. One element is one byte, so that two or three
-- tensors of 2 GiB are alive at a time; without 8 GiB of free memory the tests are skipped with a word.
-- PATTERN selects tests whose name contains it. The last line is "N passed, N failed".
local torch = require "lampad"
local core = require "lampad.core"

local GIB = 1 << 30
local NEEDED = 8 * GIB
local n = (1 << 31) + 17 -- elements
local edge = 1 << 31     -- the first place that 32 bits do not reach

local function free_memory()
  local file = io.open "/proc/meminfo"
  if not file then return nil end
  local kib = file:read("a"):match "MemAvailable:%s*(%d+) kB"
  file:close()
  return kib and tonumber(kib) * 1024
end

local int8, uint8, bool = torch.int8, torch.uint8, torch.bool

local tests = {}
local function test(name, body) tests[#tests + 1] = { name, body } end
local function equal(expected, got)
  if torch.is_tensor(got) then got = got:tolist() end
  local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b end
    if #a ~= #b then return false end
    for i = 1, #a do
      if not same(a[i], b[i]) then return false end
    end
    return true
  end
  if not same(expected, got) then
    local function text(v) return type(v) == "table" and torch.tensor(v):__tostring() or tostring(v) end
    error(("expected %s, got %s"):format(text(expected), text(got)), 2)
  end
end

-- Zeros but for 3 at the edge and 5 at the end.
local function marked(dtype)
  local x = torch.zeros(n, { dtype = dtype or int8 })
  x[edge] = 3
  x[-1] = 5
  return x
end

test("reading and writing single elements", function()
  local x = marked()
  equal(3, x[edge]:item())
  equal(5, x[n - 1]:item())
  equal(0, x[edge - 1]:item())
  equal({ 0, 3, 0 }, x[("%d:%d"):format(edge - 1, edge + 2)])
  equal(n, x:numel())
  equal(n, #x)
  equal(n - 1, x["1:"]:numel())
end)

test("reductions", function()
  local x = marked()
  equal(8, x:sum():item())
  equal(2, x:count_nonzero():item())
  equal(5, x:max():item())
  equal(0, x:min():item())
  equal(n - 1, x:argmax():item())
  x[7] = -1
  equal(7, x:argmin():item())
  equal({ { 7 }, { edge }, { n - 1 } }, x:nonzero())
  local values, at = x:max(0)
  equal(5, values:item())
  equal(n - 1, at:item())
  equal(true, x:any():item())
  equal(false, x:all():item())
  equal(1, x["1:"]:abs_():min():item() + 1)
end)

test("a sum of as many ones", function()
  local x = torch.ones(n, { dtype = uint8 })
  equal(n, x:sum():item())
  equal(1, x:all():item())
  equal(1, x:prod():item())
  equal(n, x:view(bool):sum():item())
  equal(1.0, x:mean(nil, { dtype = torch.float32 }):item())
end)

test("reductions along a dim", function()
  local x = marked()["1:"]:view(2, n // 2)
  equal({ 0, 8 }, x:sum(1))
  local values, at = x:max(1)
  equal({ 0, 5 }, values)
  equal({ 0, n // 2 - 1 }, at)
  equal(8, x:t():sum(1, { dtype = int8 }):sum():item())
  local sums = x:sum(0, { dtype = int8 })
  equal({ n // 2 }, sums.shape:tolist())
  equal(5, sums[-1]:item())
end)

test("copies, comparison and casts", function()
  local x = marked()
  local y = x:clone()
  equal(true, torch.equal(x, y))
  y[edge + 1] = 1
  equal(false, torch.equal(x, y))
  y = nil -- luacheck: ignore
  collectgarbage()
  local b = x:to(bool)
  equal(true, b[edge]:item())
  equal(2, b:sum():item())
end)

test("filling and arithmetic in place", function()
  local x = marked()
  x:add_(2)
  equal(2 * n + 8, x:sum():item())
  x["1:"]:fill_(1)
  equal(n + 1, x:sum():item())
  x[("%d:"):format(edge)]:zero_()
  equal(edge + 1, x:sum():item())
  x:mul_(x)
  equal(edge + 3, x:sum():item())
end)

test("comparison, where and masks", function()
  local x = marked()
  local mask = x:gt(2)
  equal(2, mask:sum():item())
  equal({ 3, 5 }, x[mask])
  equal({ 3, 5 }, x:masked_select(mask))
  x:masked_fill_(mask, 7)
  equal(14, x:sum():item())
  x[mask] = torch.tensor({ 1, 2 }, { dtype = int8 })
  equal({ 1, 2 }, torch.stack { x[edge], x[n - 1] })
  torch.where(mask, 4, x, { out = x })
  equal(8, x:sum():item())
end)

test("strides", function()
  local x = marked()
  equal(8, x["::2"]:sum():item())       -- both places are even
  equal(0, x["1::2"]:sum():item())
  x["1::2"]:fill_(1)
  equal(8 + n // 2, x:sum():item())
  local wide = torch.ones(1, { dtype = int8 }):expand(n)
  equal(n, wide:sum():item())
  equal(n - 1, wide["1:"]:numel())
end)

test("joining and splitting", function()
  local half = torch.ones((1 << 30) + 9, { dtype = int8 })
  local x = torch.cat { half, half }
  equal(half:numel() * 2, x:numel())
  equal(half:numel() * 2, x:sum():item())
  local parts = x:split(1 << 30)
  equal(3, #parts)
  equal(18, parts[3]:numel())
  equal(2, #x:chunk(2))
end)

test("gathering along a dim", function()
  local x = marked()
  local at = torch.tensor { edge, n - 1, 0, edge - 1 }
  equal({ 3, 5, 0, 0 }, x:index_select(0, at))
  equal({ 3, 5, 0, 0 }, x:gather(0, at))
  equal({ 3, 5, 0, 0 }, x:take(at))
  equal({ 3, 5, 0, 0 }, x[at])
  x:index_fill_(0, at["0:1"], 9)
  x:scatter_(0, at["1:2"], 8)
  equal({ 9, 8 }, x[at["0:2"]])
  x:index_add_(0, at["0:2"], torch.tensor({ 1, 2 }, { dtype = int8 }))
  equal(20, x:sum():item())
  x:put_(at, torch.tensor({ 1, 2, 3, 4 }, { dtype = int8 }))
  equal(10, x:sum():item())
end)

test("turning and rolling", function()
  local x = marked()
  local y = x:flip(0)
  equal(5, y[0]:item())
  equal(3, y[n - 1 - edge]:item())
  equal(8, y:sum():item())
  y = x:roll(1, 0)
  equal(5, y[0]:item())
  equal(3, y[edge + 1]:item())
end)

test("a transposed copy", function()
  local x = torch.zeros(3, 1 << 30, { dtype = int8 })["0:2"]
  x[1][-1] = 6
  x[1][0] = 2
  local y = x:t():contiguous()
  equal({ { 0, 2 }, { 0, 6 } }, y[{ { 0, -1 } }])
  equal(8, y:sum():item())
end)

test("repeating", function()
  local x = torch.arange(5, { dtype = int8 }):rep((1 << 31) // 5 + 1)
  equal(4, x[-1]:item())
  equal(2, x[edge - edge % 5 + 2]:item())
  equal(10 * ((1 << 31) // 5 + 1), x:sum():item())
end)

test("scans", function()
  local x = torch.zeros(n, { dtype = int8 })
  x[edge] = 1
  x[0] = 1
  local y = x:cumsum(0, { dtype = int8 })
  equal({ 1, 1, 2, 2 }, torch.stack { y[0], y[edge - 1], y[edge], y[-1] })
end)

test("counting values", function()
  local x = marked(uint8)
  equal({ n - 2, 0, 0, 1, 0, 1 }, torch.bincount(x))
end)

test("printing", function()
  local text = tostring(marked())
  equal(true, text:find("tensor%(%[0, 0, 0,  %.%.%., 0, 0, 5%], dtype=torch.int8%)") ~= nil)
end)

test("sizes that do not fit a dim of 32 bits", function()
  local x = torch.zeros(1, 1, { dtype = int8 }):expand(1 << 20, 1 << 20)
  equal(1 << 40, x:numel())
  equal(0, x[-1][-1]:item())
  equal(false, (pcall(function() return x:clone() end)))
end)

test("random numbers", function()
  torch.manual_seed(1)
  local x = torch.zeros(n, { dtype = uint8 })
  local tail = x[("%d:"):format(edge)]
  tail:random_(1, 100)
  equal(0, x[edge - 1]:item())
  equal(true, tail:min():item() >= 1)
end)

local pattern = arg[1] or ""
local memory = free_memory()
if memory and memory < NEEDED then
  print(("skipped: these tests need %d GiB of free memory, there are %.1f"):format(NEEDED / GIB, memory / GIB))
  print "1 passed, 0 failed"
  return
end

local passed, failed = 0, 0
for _, t in ipairs(tests) do
  if t[1]:find(pattern, 1, true) then
    local start = core.now()
    core.memory_reset_peak()
    local ok, message = xpcall(t[2], debug.traceback)
    collectgarbage()
    collectgarbage()
    core.memory_empty_cache()
    if ok then
      passed = passed + 1
      local peak = core.memory_stats().peak_bytes / GIB
      print(("ok      %s (%.1f s, %.1f GiB)"):format(t[1], core.now() - start, peak))
    else
      failed = failed + 1
      print(("FAILED  %s: %s"):format(t[1], message))
    end
    io.stdout:flush()
  end
end
print(("peak memory %.1f GiB"):format(core.peak_memory() / GIB))
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0, true)
