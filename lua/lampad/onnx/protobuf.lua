-- A reader of protobuf's wire format, driven by small message descriptions.
--
--   local messages = {
--     Point = { [1] = { "x", "int64" }, [2] = { "tags", "string", repeated = true },
--               [3] = { "origin", "Point" } },
--   }
--   local point = protobuf.decode(messages, "Point", bytes, "the file p.pb")
--   print(point.x, point.tags[1], point.origin.x)
--
-- A message becomes a Lua table; fields that are absent are nil, repeated ones are lists (nil when
-- there are none), unknown fields are skipped. Field types: int64, int32 (also for enums), uint64 (same bits as
-- a Lua integer), float, double, string (also for short `bytes`), the name of another message, and
-- two that copy nothing out of the file:
--   slice   the place of a bytes field: { source = whole file, at = first byte's index, size = bytes }
--   floats, doubles   repeated numbers as the string of their little-endian bytes
--
-- Bytes come from files that nobody has checked: every length is compared with what is left, messages may
-- nest MAX_DEPTH deep and number MAX_MESSAGES. Nothing in the bytes is ever executed.
local args = require "lampad.args"

local protobuf = {}

local MAX_DEPTH = 100         -- as in Google's readers
local MAX_MESSAGES = 1000000  -- a table costs some 100 bytes, an empty message 2 bytes of the file

-- Wire types.
local VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

local function fail(reader, at, format, ...)
  local where = select("#", ...) > 0 and format:format(...) or format
  args.fail(reader.what, "corrupted or truncated: %s at byte %d", where, at - 1)
end

-- The integer of seven bits a byte, lowest first, that begins at `at`; and the place behind it.
local function read_varint(reader, at, stop)
  local bytes = reader.bytes
  local value, shift = 0, 0
  local first = at
  while true do
    if at >= stop then fail(reader, first, "a number ends too early") end
    local byte = bytes:byte(at)
    at = at + 1
    value = value | (byte & 0x7f) << shift
    if byte < 0x80 then return value, at end
    shift = shift + 7
    if shift > 63 then fail(reader, first, "a number of more than 10 bytes") end
  end
end

-- The first byte and the end of a length-delimited field.
local function read_length(reader, at, stop)
  local length, from = read_varint(reader, at, stop)
  if length < 0 or length > stop - from then
    fail(reader, at, "a field of %s bytes, where %d are left,", length < 0 and "2^63 or more" or tostring(length),
      stop - from)
  end
  return from, from + length
end

-- Sign-extends the low half, as protobuf does for int32.
local function to_int32(v)
  v = v & 0xffffffff
  return v >= 0x80000000 and v - 0x100000000 or v
end

local function identity(v) return v end

-- How single numbers are kept, by field type.
local varints = { int64 = identity, uint64 = identity, int32 = to_int32 }
local fixed = {
  float = { wire = FIXED32, size = 4, format = "<f" }, double = { wire = FIXED64, size = 8, format = "<d" },
  floats = { wire = FIXED32, size = 4 }, doubles = { wire = FIXED64, size = 8 },
}

local function append(message, name, value)
  local list = message[name]
  if not list then
    list = {}
    message[name] = list
  end
  list[#list + 1] = value
end

-- Moves over a field that the description does not know.
local function skip(reader, wire, at, stop)
  if wire == VARINT then
    local _, after = read_varint(reader, at, stop)
    return after
  elseif wire == BYTES then
    local _, after = read_length(reader, at, stop)
    return after
  end
  local size = wire == FIXED64 and 8 or wire == FIXED32 and 4
  if not size then fail(reader, at, "unknown wire type %d", wire) end
  if at + size > stop then fail(reader, at, "a number of %d bytes ends too early", size) end
  return at + size
end

local function read_integers(reader, message, field, wire, at, stop)
  local name, convert = field[1], varints[field[2]]
  if wire == VARINT then
    local value, after = read_varint(reader, at, stop)
    if field.repeated then append(message, name, convert(value)) else message[name] = convert(value) end
    return after
  end
  if wire ~= BYTES or not field.repeated then fail(reader, at, "field %s has wire type %d", name, wire) end
  local from, to = read_length(reader, at, stop)
  while from < to do
    local value
    value, from = read_varint(reader, from, to)
    append(message, name, convert(value))
  end
  return to
end

local function read_fixed(reader, message, field, wire, at, stop)
  local name, kind = field[1], fixed[field[2]]
  local from, to = at, at + kind.size
  if wire == BYTES and field.repeated then
    from, to = read_length(reader, at, stop)
    if (to - from) % kind.size ~= 0 then fail(reader, at, "field %s has a length of %d", name, to - from) end
  elseif wire ~= kind.wire then
    fail(reader, at, "field %s has wire type %d", name, wire)
  elseif to > stop then
    fail(reader, at, "field %s ends too early, by %d bytes,", name, to - stop)
  end
  if not kind.format then
    -- Parts, joined when the message is complete; of a merged message, once more.
    if type(message[name]) == "string" then message[name] = { message[name] } end
    append(message, name, reader.bytes:sub(from, to - 1))
  elseif field.repeated then
    for place = from, to - 1, kind.size do append(message, name, (kind.format:unpack(reader.bytes, place))) end
  else
    message[name] = kind.format:unpack(reader.bytes, from)
  end
  return to
end

local read_message

local function read_bytes(reader, message, field, wire, at, stop, depth)
  local name, kind = field[1], field[2]
  if wire ~= BYTES then fail(reader, at, "field %s has wire type %d", name, wire) end
  local from, to = read_length(reader, at, stop)
  local value
  if kind == "string" then
    value = reader.bytes:sub(from, to - 1)
  elseif kind == "slice" then
    value = { source = reader.bytes, at = from, size = to - from }
  else
    -- A message given twice is merged.
    value = read_message(reader, kind, from, to, depth + 1, not field.repeated and message[name] or nil)
  end
  if field.repeated then append(message, name, value) else message[name] = value end
  return to
end

local function reader_of(kind)
  return varints[kind] and read_integers or fixed[kind] and read_fixed or read_bytes
end

-- Reads bytes at..stop-1 as the message `kind`, into `message` when that is given.
function read_message(reader, kind, at, stop, depth, message)
  if depth > MAX_DEPTH then fail(reader, at, "messages nested more than %d deep", MAX_DEPTH) end
  reader.count = reader.count + 1
  if reader.count > MAX_MESSAGES then fail(reader, at, "more than %d messages", MAX_MESSAGES) end
  message = message or {}
  local fields = reader.messages[kind]
  local raw -- names of the fields whose bytes are kept as they are
  while at < stop do
    local key
    key, at = read_varint(reader, at, stop)
    local number, wire = key >> 3, key & 7
    if number == 0 then fail(reader, at - 1, "a field of number 0") end
    local field = fields[number]
    if field then
      at = reader_of(field[2])(reader, message, field, wire, at, stop, depth)
      if field[2] == "floats" or field[2] == "doubles" then
        raw = raw or {}
        raw[field[1]] = true
      end
    else
      at = skip(reader, wire, at, stop)
    end
  end
  for name in pairs(raw or {}) do message[name] = table.concat(message[name]) end
  return message
end

--- decode(messages, kind, bytes, what): the message `kind` of the descriptions, read from all the bytes. Errors
--- begin with `what`.
function protobuf.decode(messages, kind, bytes, what)
  local reader = { messages = messages, bytes = bytes, what = what, count = 0 }
  return read_message(reader, kind, 1, #bytes + 1, 1)
end

return protobuf
