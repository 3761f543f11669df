-- Lampad's own checkpoint file: nested tables, ordered maps, strings, numbers, booleans and tensors.
-- It exists so that training can stop and go on; for exchange with PyTorch there is torch.save.
--
-- Layout, little-endian:
--   8 bytes "LAMPADCK", u32 version, u32 CRC-32 of the body, u64 length of the body, the body
-- The body is one value: a tag byte and what belongs to it.
--   n nil; t true; f false; i s8 integer; d double; s s4-prefixed string
--   T table, u32 count, then key and value count times; O the same for an OrderedDict, in order
--   R u32 number of a table that came before (tables are numbered from 0 as they begin)
--   X tensor: flags byte (1 Parameter, 2 requires_grad), dtype name (s1), u8 ndim, sizes (u64 each),
--     u64 bytes, the bytes row by row
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local checkpoint = {}

local MAGIC, VERSION = "LAMPADCK", 1
local HEADER = "<c8I4I4I8"
local HEADER_BYTES = HEADER:packsize()
local MAX_DEPTH = 200

-- --- writing ----------------------------------------------------------------------------------------
local write_value

local function write_entry(out, key, value, depth)
  write_value(out, key, depth + 1)
  write_value(out, value, depth + 1)
end

local function write_table(out, value, depth)
  local number = out.seen[value]
  if number then
    out[#out + 1] = ("<BI4"):pack(("R"):byte(), number)
    return
  end
  if depth > MAX_DEPTH then args.fail("save", "tables are nested more than %d deep", MAX_DEPTH) end
  out.seen[value] = out.tables
  out.tables = out.tables + 1
  local at = #out + 1
  out[at] = false -- the head, once the entries are counted
  local count = 0
  if OrderedDict.is(value) then
    for key, member in OrderedDict.items(value) do
      write_entry(out, key, member, depth)
      count = count + 1
    end
    out[at] = ("<BI4"):pack(("O"):byte(), count)
    return
  end
  if getmetatable(value) ~= nil then
    args.fail("save", "cannot store %s; store its state_dict() instead", text.describe(value))
  end
  -- Integer keys in order, then the others sorted: the same data gives the same file.
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) < type(b)
  end)
  for _, key in ipairs(keys) do
    write_entry(out, key, value[key], depth)
    count = count + 1
  end
  out[at] = ("<BI4"):pack(("T"):byte(), count)
end

local function write_tensor(out, t)
  local flags = (Parameter.is(t) and 1 or 0) | (t.requires_grad and t.is_leaf and 2 or 0)
  local dtype = tostring(t.dtype):gsub("^torch%.", "")
  local bytes = core.tensor_to_bytes(t:detach():cpu():contiguous())
  local head = { ("<BBs1B"):pack(("X"):byte(), flags, dtype, t.ndim) }
  for d = 0, t.ndim - 1 do head[#head + 1] = ("<I8"):pack(t:size(d)) end
  head[#head + 1] = ("<I8"):pack(#bytes)
  out[#out + 1] = table.concat(head)
  out[#out + 1] = bytes
end

function write_value(out, value, depth)
  local kind = type(value)
  if value == nil then
    out[#out + 1] = "n"
  elseif kind == "boolean" then
    out[#out + 1] = value and "t" or "f"
  elseif math.type(value) == "integer" then
    out[#out + 1] = ("<Bi8"):pack(("i"):byte(), value)
  elseif kind == "number" then
    out[#out + 1] = ("<Bd"):pack(("d"):byte(), value)
  elseif kind == "string" then
    out[#out + 1] = ("<Bs4"):pack(("s"):byte(), value)
  elseif torch.is_tensor(value) then
    write_tensor(out, value)
  elseif kind == "table" then
    write_table(out, value, depth)
  else
    args.fail("save", "cannot store %s; only tables, strings, numbers, booleans and tensors", text.describe(value))
  end
end

--- save(value, path): writes the file whole or not at all.
function checkpoint.save(value, path)
  if type(path) ~= "string" then args.fail("save", "the path must be a string, got %s", text.describe(path)) end
  local out = { false, seen = {}, tables = 0 }
  write_value(out, value, 0)
  local crc, length = 0, 0
  for i = 2, #out do
    crc = core.crc32(out[i], crc)
    length = length + #out[i]
  end
  out[1] = HEADER:pack(MAGIC, VERSION, crc, length)
  local ok, message = core.atomic_write(path, out)
  if not ok then args.fail("save", "%s", message) end
end

-- --- reading ----------------------------------------------------------------------------------------
local read_value

-- Unpacks with `format` at the reader's place and moves on.
local function take(reader, format)
  local values = table.pack(pcall(string.unpack, format, reader.bytes, reader.at))
  if not values[1] then
    args.fail("load", "%s is corrupted: a value at byte %d ends too early", reader.path, reader.at)
  end
  reader.at = values[values.n]
  return table.unpack(values, 2, values.n - 1)
end

local function read_tensor(reader)
  local flags, dtype_name, ndim = take(reader, "<Bs1B")
  local sizes, count = {}, 1
  for d = 1, ndim do
    sizes[d] = take(reader, "<I8")
    count = count * sizes[d]
  end
  local size_bytes = take(reader, "<I8")
  local dtype = torch[dtype_name]
  if dtype == nil or size_bytes < 0 or size_bytes > #reader.bytes - reader.at + 1 then
    args.fail("load", "%s is corrupted: bad tensor at byte %d", reader.path, reader.at)
  end
  local ok, t = pcall(core.tensor_from_bytes, reader.bytes, dtype, sizes, reader.at - 1)
  if not ok then args.fail("load", "%s is corrupted: bad tensor at byte %d (%s)", reader.path, reader.at, t) end
  reader.at = reader.at + size_bytes
  if flags & 1 ~= 0 then return Parameter(t, flags & 2 ~= 0) end
  if flags & 2 ~= 0 then t:requires_grad_(true) end
  return t
end

local function read_table(reader, ordered, depth)
  if depth > MAX_DEPTH then args.fail("load", "%s is corrupted: tables nested too deep", reader.path) end
  local result = ordered and OrderedDict() or {}
  reader.tables[#reader.tables + 1] = result
  for _ = 1, take(reader, "<I4") do
    local key = read_value(reader, depth + 1)
    if key == nil or key ~= key then args.fail("load", "%s is corrupted: bad key", reader.path) end
    result[key] = read_value(reader, depth + 1)
  end
  return result
end

local readers = {
  n = function() return nil end,
  t = function() return true end,
  f = function() return false end,
  i = function(reader) return (take(reader, "<i8")) end,
  d = function(reader) return (take(reader, "<d")) end,
  s = function(reader) return (take(reader, "<s4")) end,
  T = function(reader, depth) return read_table(reader, false, depth) end,
  O = function(reader, depth) return read_table(reader, true, depth) end,
  R = function(reader)
    local known = reader.tables[take(reader, "<I4") + 1]
    if known == nil then args.fail("load", "%s is corrupted: bad reference", reader.path) end
    return known
  end,
  X = read_tensor,
}

function read_value(reader, depth)
  local tag = take(reader, "c1")
  local read = readers[tag]
  if not read then
    args.fail("load", "%s is corrupted: unknown tag at byte %d", reader.path, reader.at - 1)
  end
  return read(reader, depth)
end

--- load(path): what save() stored. Nothing in a file is ever executed.
function checkpoint.load(path)
  if type(path) ~= "string" then args.fail("load", "the path must be a string, got %s", text.describe(path)) end
  local file, message = io.open(path, "rb")
  if not file then args.fail("load", "cannot open %s", message) end
  local bytes = file:read("a")
  file:close()
  if not bytes then args.fail("load", "cannot read %s", path) end
  if bytes:sub(1, #MAGIC) ~= MAGIC then args.fail("load", "%s is no Lampad checkpoint", path) end
  if #bytes < HEADER_BYTES then args.fail("load", "%s is truncated: it ends in its header", path) end
  local _, version, crc, length = HEADER:unpack(bytes)
  if version ~= VERSION then
    args.fail("load", "%s has version %d of the format, this Lampad reads version %d", path, version, VERSION)
  end
  if #bytes - HEADER_BYTES < length then
    args.fail("load", "%s is truncated: it has %d of %d bytes", path, #bytes, HEADER_BYTES + length)
  end
  if #bytes - HEADER_BYTES > length then
    args.fail("load", "%s is corrupted: %d bytes follow its end", path, #bytes - HEADER_BYTES - length)
  end
  bytes = bytes:sub(HEADER_BYTES + 1)
  if core.crc32(bytes) ~= crc then args.fail("load", "%s is corrupted: its checksum does not fit", path) end
  return read_value({ bytes = bytes, at = 1, path = path, tables = {} }, 0)
end

return checkpoint
