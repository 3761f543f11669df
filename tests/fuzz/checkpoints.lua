-- Fuzzes torch.load: files of tests/golden/checkpoints and of tests/lua/hostile_checkpoints.lua with bytes changed, cut, moved
-- and doubled. Every load must give a value or an error that can be caught; run it under the sanitizers:
--   build-asan/lampad tests/fuzz/checkpoints.lua [SECONDS [SEED]]
-- Prints the seed; a file that breaks it is in the file named at the start when the process ends.
local torch = require "lampad"
local core = require "lampad.core"

local root = arg[0]:match "^(.*)/tests/fuzz/" or "."
local seconds, seed = tonumber(arg[1] or 10), math.tointeger(arg[2]) or os.time()
math.randomseed(seed)
local last = os.tmpname()
print(("seed %d; the file being tried: %s"):format(seed, last))

local seeds = {}
local list <close> = assert(io.popen(("ls '%s/tests/golden/checkpoints'/*.pt"):format(root)))
for path in list:lines() do
  local file <close> = assert(io.open(path, "rb"))
  seeds[#seeds + 1] = file:read "a"
end
for _, case in ipairs(dofile(root .. "/tests/lua/hostile_checkpoints.lua").cases "/nonexistent") do
  seeds[#seeds + 1] = case.bytes
end

local function splice(bytes, at, count, new) return bytes:sub(1, at - 1) .. new .. bytes:sub(at + count) end

local interesting = { "\0", "\xff", "\x7f", "\x80", "(", "t", "R", "b", "Q", "q\0", "h\0", "\xff\xff\xff\xff", "\0\0\0\x80", "." }
local changes = {
  function(b) return splice(b, math.random(#b), 1, string.char(math.random(0, 255))) end,
  function(b) return splice(b, math.random(#b), 1, interesting[math.random(#interesting)]) end,
  function(b)
    local new = interesting[math.random(#interesting)]
    return splice(b, math.random(#b), #new, new)
  end,
  function(b) return b:sub(1, math.random(#b)) end,
  function(b) return splice(b, math.random(#b), math.random(8), "") end,
  function(b)
    local at, n = math.random(#b), math.random(64)
    return splice(b, math.random(#b), 0, b:sub(at, at + n))
  end,
  function(b)
    local other = seeds[math.random(#seeds)]
    local at, n = math.random(#other), math.random(64)
    return splice(b, math.random(#b), n, other:sub(at, at + n - 1))
  end,
}

-- Makes a changed archive's checksums right again, so that what is behind them is tried too.
local function mend(bytes)
  local heads, at = {}, 1
  while true do
    at = bytes:find("PK\3\4", at, true)
    if not at or at + 29 > #bytes then break end
    local size, name_bytes, extra_bytes = ("<I4I2I2"):unpack(bytes, at + 22)
    local name = bytes:sub(at + 30, at + 29 + name_bytes)
    local data = at + 30 + name_bytes + extra_bytes
    if data + size <= #bytes then heads[name] = core.crc32(bytes:sub(data, data + size - 1)) end
    at = at + 4
  end
  at = 1
  while true do
    at = bytes:find("PK\1\2", at, true)
    if not at or at + 45 > #bytes then return bytes end
    local name_bytes = ("<I2"):unpack(bytes, at + 28)
    local crc = heads[bytes:sub(at + 46, at + 45 + name_bytes)]
    local method = ("<I2"):unpack(bytes, at + 10)
    if crc and method == 0 then bytes = splice(bytes, at + 16, 4, ("<I4"):pack(crc)) end
    at = at + 4
  end
end

local start, tries, loaded = os.time(), 0, 0
while os.difftime(os.time(), start) < seconds do
  local bytes = seeds[math.random(#seeds)]
  for _ = 1, math.random(4) do
    if #bytes > 1 then bytes = changes[math.random(#changes)](bytes) end
  end
  if math.random() < 0.7 then bytes = mend(bytes) end
  local file = assert(io.open(last, "wb"))
  file:write(bytes)
  file:close()
  local ok, value = pcall(torch.load, last, { mmap = math.random() < 0.3 })
  if ok then
    loaded = loaded + 1
    pcall(tostring, value)
    pcall(torch.save, value, last .. ".out")
  elseif type(value) ~= "string" then
    error("an error that is no text")
  end
  tries = tries + 1
end
os.remove(last)
os.remove(last .. ".out")
print(("%d files tried, %d loaded, 0 failed"):format(tries, loaded))
