-- Fuzzes the readers of safetensors, .npy and .npz: files of tests/fuzz/corpus and tests/golden/files with bytes changed, cut,
-- moved and doubled. Every file must give tensors, which are then read and written again, or an error that can be caught.
-- Run it under the sanitizers:
--   build-asan/lampad tests/fuzz/files.lua safetensors|npy|npz [SECONDS [SEED]]
-- Prints the seed; a file that ends the process is in the file named at the start. The last line is "N passed, N failed".
local torch = require "lampad"
local core = require "lampad.core"

local root = arg[0]:match "^(.*)/tests/fuzz/" or "."
local format, seconds, seed = arg[1], tonumber(arg[2] or 10), math.tointeger(arg[3]) or os.time()
local ending = ({ safetensors = "%.safetensors$", npy = "%.npy$", npz = "%.npz$" })[format]
  or error "usage: tests/fuzz/files.lua safetensors|npy|npz [SECONDS [SEED]]"
math.randomseed(seed)
core.memory_set_limit(1 << 30)
local last = os.tmpname()
print(("seed %d; the file being tried: %s"):format(seed, last))

local seeds = {}
local list <close> = assert(io.popen(("ls '%s'/tests/golden/files/* '%s'/tests/fuzz/corpus/*"):format(root, root)))
for path in list:lines() do
  if path:find(ending) then
    local file <close> = assert(io.open(path, "rb"))
    seeds[#seeds + 1] = file:read "a"
  end
end
assert(#seeds > 0, "no seeds")

-- --- changes ----------------------------------------------------------------------------------------------

local tokens = { "{", "}", "[", "]", "(", ")", ",", ":", '"', "'", "\\", "\\u0000", "0", "-1", "1e9", "9223372036854775807",
  "18446744073709551616", "null", "True", "<", ">", "|", "O", "__metadata__", "F8_E4M3", "F4", "BOOL", "\0", "\xff", "\x7f",
  "\x80", "\xff\xff\xff\xff", "\0\0\0\x80", "\xff\xff", "PK\3\4", "PK\1\2", "PK\5\6", "PK\6\6", "\x93NUMPY" }

local function splice(bytes, at, count, new) return bytes:sub(1, at - 1) .. new .. bytes:sub(at + count) end
-- Mostly in the front, where headers are.
local function place(b)
  local n = math.max(#b, 1)
  return math.random() < 0.5 and math.random(math.min(n, 300)) or math.random(n)
end
local function token() return tokens[math.random(#tokens)] end

local changes = {
  function(b) return splice(b, place(b), 1, string.char(math.random(0, 255))) end,
  function(b) return splice(b, place(b), 1, token()) end,
  function(b) return splice(b, place(b), 0, token()) end,
  function(b)
    local new = token()
    return splice(b, place(b), #new, new)
  end,
  function(b) return b:sub(1, place(b)) end,
  function(b) return splice(b, place(b), math.random(8), "") end,
  function(b)
    local at = place(b)
    return splice(b, place(b), 0, b:sub(at, at + math.random(64)))
  end,
  function(b)
    local other = seeds[math.random(#seeds)]
    local at, n = place(other), math.random(64)
    return splice(b, place(b), n, other:sub(at, at + n - 1))
  end,
  function(b) -- another number in the place of one
    local first, stop = b:find("%d+", place(b))
    return first and splice(b, first, stop - first + 1, tostring(math.random(0, 40))) or b
  end,
}

-- The length that stands in front of a header made right again, so that what is behind it is tried too.
local function mend(b)
  if format == "safetensors" then
    local from, stop = b:find("^{.*}%s*", 9)
    return from and ("<I8"):pack(stop - 8) .. b:sub(9) or b
  elseif format == "npy" and #b > 10 then
    local stop = b:find("\n", 11, true)
    return stop and stop - 10 < 65536 and b:sub(1, 8) .. ("<I2"):pack(stop - 10) .. b:sub(11) or b
  end
  return b
end

-- --- one file ---------------------------------------------------------------------------------------------

local function write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
end

local readers = {
  safetensors = function(bytes) return torch.safetensors.load(bytes) end,
  npy = function(bytes) return { x = torch.from_numpy(bytes) } end,
  npz = function() return torch.numpy.load(last) end,
}

local function try(bytes)
  local ok, tensors = pcall(readers[format], bytes)
  if not ok then return type(tensors) == "string" and not tensors:find "attempt to" and tensors or error(tensors) end
  for name, t in pairs(tensors) do
    local same = core.tensor_to_bytes(t:contiguous())
    assert(#same == t:numel() * t:element_size(), name)
    if t.dtype == torch.bool then assert(not same:find "[^\0\1]", "a boolean that is none") end
  end
  if format == "safetensors" then
    local again = torch.safetensors.load(torch.safetensors.save(tensors))
    for name, t in tensors:items() do
      assert(core.tensor_to_bytes(again[name]) == core.tensor_to_bytes(t), name)
    end
  end
end

local passed, failed, loaded = 0, 0, 0
local stop = os.time() + seconds
while os.time() < stop and failed < 10 do
  local bytes = seeds[math.random(#seeds)]
  for _ = 1, math.random(4) do bytes = changes[math.random(#changes)](bytes) end
  if math.random() < 0.7 then bytes = mend(bytes) end
  write(last, bytes)
  local ok, refusal = pcall(try, bytes)
  if ok then
    passed = passed + 1
    if not refusal then loaded = loaded + 1 end
  else
    failed = failed + 1
    local kept = os.tmpname()
    write(kept, bytes)
    print(("%s: %s"):format(kept, tostring(refusal)))
  end
end
os.remove(last)
print(("%d of them were read"):format(loaded))
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
