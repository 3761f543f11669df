-- Fuzzes the readers of files through the Lua libraries: checkpoints (zip, legacy, tar), safetensors, .npy, .npz. Seeds with
-- bytes changed, cut, moved and doubled must give values, which are then printed and written again, or an error that can be
-- caught. formats.c tries the engine's readers alone, and faster. Run it under the sanitizers:
--   build-asan/lampad tests/fuzz/files.lua checkpoint|safetensors|npy|npz|all [SECONDS [SEED]]
-- Prints the seed; a file that ends the process is in the file named at the start. The last line is "N passed, N failed".
local torch = require "lampad"
local core = require "lampad.core"

local root = arg[0]:match "^(.*)/tests/fuzz/" or "."
local wanted, seconds, seed = arg[1], tonumber(arg[2] or 10), math.tointeger(arg[3]) or os.time()
math.randomseed(seed)
core.memory_set_limit(1 << 30)
local last = os.tmpname()
print(("seed %d; the file being tried: %s"):format(seed, last))

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
end

-- The files of a shell pattern, from the project's root.
local function read_all(pattern, into)
  local list <close> = assert(io.popen(("cd '%s' && ls -d %s 2>/dev/null"):format(root, pattern)))
  for path in list:lines() do into[#into + 1] = read(root .. "/" .. path) end
  return into
end

local function splice(bytes, at, count, new) return bytes:sub(1, at - 1) .. new .. bytes:sub(at + count) end

-- --- lengths and checksums made right again, so that what is behind them is tried too ------------------------------

local function mend_zip(bytes)
  local sums, at = {}, 1
  while true do
    at = bytes:find("PK\3\4", at, true)
    if not at or at + 29 > #bytes then break end
    local size, name_bytes, extra_bytes = ("<I4I2I2"):unpack(bytes, at + 22)
    local name = bytes:sub(at + 30, at + 29 + name_bytes)
    local data = at + 30 + name_bytes + extra_bytes
    if data + size <= #bytes then sums[name] = core.crc32(bytes:sub(data, data + size - 1)) end
    at = at + 4
  end
  at = 1
  while true do
    at = bytes:find("PK\1\2", at, true)
    if not at or at + 45 > #bytes then return bytes end
    local name_bytes = ("<I2"):unpack(bytes, at + 28)
    local sum = sums[bytes:sub(at + 46, at + 45 + name_bytes)]
    local method = ("<I2"):unpack(bytes, at + 10)
    if sum and method == 0 then bytes = splice(bytes, at + 16, 4, ("<I4"):pack(sum)) end
    at = at + 4
  end
end

local function mend_safetensors(b)
  local from, stop = b:find("^{.*}%s*", 9)
  return from and ("<I8"):pack(stop - 8) .. b:sub(9) or b
end

local function mend_npy(b)
  local stop = #b > 10 and b:find("\n", 11, true)
  return stop and stop - 10 < 65536 and b:sub(1, 8) .. ("<I2"):pack(stop - 10) .. b:sub(11) or b
end

-- --- the formats: words to put in, readers ------------------------------------------------------------------

local numbers = { "\0", "\xff", "\x7f", "\x80", "\xff\xff", "\xff\xff\xff\xff", "\0\0\0\x80", "PK\3\4", "PK\1\2", "PK\5\6", "PK\6\6" }
local texts = { "{", "}", "[", "]", "(", ")", ",", ":", '"', "'", "\\", "\\u0000", "0", "-1", "1e9", "9223372036854775807",
  "18446744073709551616", "null", "True", "<", ">", "|", "O", "__metadata__", "F8_E4M3", "F4", "BOOL", "\x93NUMPY" }

local function check_tensors(tensors)
  for name, t in pairs(tensors) do
    local same = core.tensor_to_bytes(t:contiguous())
    assert(#same == t:numel() * t:element_size(), name)
    if t.dtype == torch.bool then assert(not same:find "[^\0\1]", "a boolean that is none") end
  end
end

local formats = {
  checkpoint = {
    words = { "(", "t", "R", "b", "Q", "q\0", "h\0", ".", "N", "}", "]", "a", "s" },
    mend = mend_zip,
    read = function() return torch.load(last, { mmap = math.random() < 0.3 }) end,
    check = function(value)
      assert(tostring(value))
      pcall(torch.save, value, last .. ".out")
    end,
  },
  safetensors = {
    words = texts, mend = mend_safetensors,
    read = function(bytes) return torch.safetensors.load(bytes) end,
    check = function(tensors)
      check_tensors(tensors)
      local again = torch.safetensors.load(torch.safetensors.save(tensors))
      for name, t in tensors:items() do assert(core.tensor_to_bytes(again[name]) == core.tensor_to_bytes(t), name) end
    end,
  },
  npy = { words = texts, mend = mend_npy, read = function(bytes) return { torch.from_numpy(bytes) } end, check = check_tensors },
  npz = {
    words = texts, mend = mend_zip,
    read = function()
      local tensors = {}
      for name, t in pairs(torch.numpy.load(last)) do tensors[name] = t end
      return tensors
    end,
    check = check_tensors,
  },
}

for name, format in pairs(formats) do
  format.seeds = {}
  if name == "checkpoint" then
    read_all("tests/golden/checkpoints/*.pt", format.seeds)
    for _, case in ipairs(dofile(root .. "/tests/lua/hostile_checkpoints.lua").cases "/nonexistent") do
      format.seeds[#format.seeds + 1] = case.bytes
    end
  else
    read_all(("tests/golden/files/*.%s tests/fuzz/corpus/%s/*"):format(name, name), format.seeds)
  end
  assert(#format.seeds > 0, "no seeds")
end

-- --- changes ------------------------------------------------------------------------------------------------------

-- Mostly in the front, where headers are; in an archive behind the first of its own.
local function place(b)
  local n = math.max(#b, 1)
  local from = b:sub(1, 2) == "PK" and math.min(n, 64) or 1
  return math.random() < 0.7 and math.random(from, math.min(n, from + 300)) or math.random(n)
end

local function word(format)
  local words = math.random() < 0.5 and format.words or numbers
  return words[math.random(#words)]
end

local changes = {
  function(b) return splice(b, place(b), 1, string.char(math.random(0, 255))) end,
  function(b, format) return splice(b, place(b), 1, word(format)) end,
  function(b, format) return splice(b, place(b), 0, word(format)) end,
  function(b, format)
    local new = word(format)
    return splice(b, place(b), #new, new)
  end,
  function(b) return b:sub(1, place(b)) end,
  function(b) return splice(b, place(b), math.random(8), "") end,
  function(b)
    local at = place(b)
    return splice(b, place(b), 0, b:sub(at, at + math.random(64)))
  end,
  function(b, format)
    local other = format.seeds[math.random(#format.seeds)]
    local at, n = place(other), math.random(64)
    return splice(b, place(b), n, other:sub(at, at + n - 1))
  end,
  function(b) -- another number in the place of one
    local first, stop = b:find("%d+", place(b))
    return first and splice(b, first, stop - first + 1, tostring(math.random(0, 40))) or b
  end,
}

-- --- the run ------------------------------------------------------------------------------------------------------

local passed, failed = 0, 0

-- Engine errors are texts; anything else, or one of Lua's own, is a finding.
local function is_refusal(message) return type(message) == "string" and not message:find "attempt to" end

local function run(name, format)
  local stop, loaded, tries = os.time() + seconds, 0, 0
  while os.time() < stop and failed < 10 do
    local bytes = format.seeds[math.random(#format.seeds)]
    for _ = 1, math.random(4) do bytes = changes[math.random(#changes)](bytes, format) end
    if math.random() < 0.7 then bytes = format.mend(bytes) end
    write(last, bytes)
    local ok, value = pcall(format.read, bytes)
    local message = not ok and not is_refusal(value) and tostring(value) or nil
    if ok then
      loaded = loaded + 1
      ok, value = pcall(format.check, value)
      if not ok then message = tostring(value) end
    end
    tries = tries + 1
    if not message then
      passed = passed + 1
    else
      failed = failed + 1
      local kept = os.tmpname()
      write(kept, bytes)
      print(("%s, %s: %s"):format(name, kept, message))
    end
  end
  print(("%s: %d files tried, %d read"):format(name, tries, loaded))
end

if wanted == "all" then
  seconds = seconds // 4
  for _, name in ipairs { "checkpoint", "safetensors", "npy", "npz" } do run(name, formats[name]) end
elseif formats[wanted] then
  run(wanted, formats[wanted])
else
  error "usage: tests/fuzz/files.lua checkpoint|safetensors|npy|npz|all [SECONDS [SEED]]"
end
os.remove(last)
os.remove(last .. ".out")
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
