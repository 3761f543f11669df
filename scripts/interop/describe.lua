-- What a checkpoint holds, as lines of text that describe.py writes alike: see there.
local torch = require "lampad"
local core = require "lampad.core"

local M = {}

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function text_of(x)
  return "text " .. (#x <= 64 and hex(x) or ("%d bytes %08x"):format(#x, core.crc32(x)))
end

local function key_of(k)
  if getmetatable(k) and getmetatable(k).__name == "None" then return "none" end
  if type(k) == "boolean" then return tostring(k) end
  if math.type(k) == "integer" then return "int " .. k end
  if type(k) == "number" then return "float " .. hex((">d"):pack(k)) end
  return text_of(tostring(k))
end

local function ints(...) return "(" .. table.concat({ ... }, ",") .. ")" end

local function tensor_line(d, t)
  local storage = t:untyped_storage()
  local bytes, number = storage:nbytes(), 0
  if bytes > 0 then
    local place = storage:data_ptr()
    number = d.storages[place]
    if not number then
      d.count = d.count + 1
      number = d.count
      d.storages[place] = number
    end
  end
  local data = t:numel() > 0 and core.tensor_to_bytes(t:detach():contiguous()) or ""
  return ("%s%s %s %s strides %s at %d of storage %d of %d: %08x %s"):format(
    torch.isinstance(t, torch.nn.Parameter) and "parameter" or "tensor", t.requires_grad and " grad" or "", tostring(t.dtype),
    ints(t.shape:unpack()), ints(table.unpack(t:stride())), t:storage_offset(), number, bytes, core.crc32(data),
    hex(data:sub(1, 32)))
end

local add

local function is_ordered(x) return getmetatable(x) ~= nil and type(x.items) == "function" end

local function add_table(d, at, x)
  local lines = d.lines
  if d.above[x] then
    lines[#lines + 1] = at .. ": again"
    return
  end
  d.above[x] = true
  local length = rawget(x, "n") or rawlen(x)
  if type(x) == "table" and rawget(x, "class") and getmetatable(x) and getmetatable(x).__name == "inert" then
    lines[#lines + 1] = ("%s: object %s"):format(at, x.class)
  elseif not is_ordered(x) and length > 0 and (rawget(x, "n") or rawget(x, 1) ~= nil) then
    lines[#lines + 1] = ("%s: %d items"):format(at, length)
    for i = 1, length do add(d, ("%s[%d]"):format(at, i), x[i]) end
  else
    local keys, values = {}, {}
    if is_ordered(x) then
      for k, v in x:items() do
        keys[#keys + 1] = k
        values[k] = v
      end
    else
      for k, v in next, x do
        keys[#keys + 1] = k
        values[k] = v
      end
      table.sort(keys, function(a, b) return key_of(a) < key_of(b) end)
    end
    lines[#lines + 1] = #keys > 0 and ("%s: %d keys"):format(at, #keys) or at .. ": empty"
    for _, k in ipairs(keys) do add(d, ("%s.{%s}"):format(at, key_of(k)), values[k]) end
  end
  d.above[x] = nil
end

function add(d, at, x)
  local line
  if x == nil then
    line = "none"
  elseif type(x) == "boolean" or type(x) == "number" then
    line = key_of(x)
  elseif type(x) == "string" then
    line = text_of(x)
  elseif torch.is_tensor(x) then
    line = tensor_line(d, x)
  elseif torch.isinstance(x, torch.Size) then
    local sizes = { x:unpack() }
    if #sizes == 0 then sizes = {} end
    return add_table(d, at, sizes)
  elseif type(x) == "table" then
    return add_table(d, at, x)
  elseif torch.isinstance(x, torch.dtype) or torch.isinstance(x, torch.device) then
    line = tostring(x)
  else
    line = "complex " .. hex((">dd"):pack(x.real, x.imag))
  end
  d.lines[#d.lines + 1] = at .. ": " .. line
end

--- The lines of a value.
function M.describe(x)
  local d = { lines = {}, storages = {}, count = 0, above = {} }
  add(d, "", x)
  return d.lines
end

function M.read_lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

function M.write_lines(path, lines)
  local file <close> = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"), "\n")
end

local passed, failed = 0, 0

--- Counts a check and prints its faults.
function M.result(name, faults)
  if #faults == 0 then
    passed = passed + 1
    return
  end
  failed = failed + 1
  print("failed: " .. name)
  for i = 1, math.min(#faults, 6) do print("    " .. faults[i]:sub(1, 400)) end
end

--- Counts the comparison of two lists of lines. Strides of what Python keeps as a lazy conjugate are not compared.
function M.same(name, want, got)
  local faults = {}
  for i = 1, math.max(#want, #got) do
    local a, b = want[i] or "nothing", got[i] or "nothing"
    if a:find " written out: " then b = b:gsub(" strides .-: ", " written out: ") end
    if a ~= b then faults[#faults + 1] = ("expected %s\n    got      %s"):format(a, b) end
  end
  M.result(name, faults)
end

--- The last line, and the exit status.
function M.finish()
  print(("%d passed, %d failed"):format(passed, failed))
  os.exit(failed == 0 and passed > 0)
end

return M
