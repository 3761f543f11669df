-- Conversions between element types.
local core = require "lampad.core"
local value = require "lampad.onnx.value"

local torch = core.torch
local op = {}

-- --- strings ------------------------------------------------------------------------------------------
local special = { inf = math.huge, ["+inf"] = math.huge, ["-inf"] = -math.huge, nan = 0 / 0 }

local function parse_number(node, s)
  local v = special[s:lower()] or tonumber((s:gsub("^%s*%+", "")))
  if not v then node:fail("the string '%s' is no number", s) end
  return v
end

-- The shortest text that reads back as the same number of the type.
local function number_text(v, kind)
  if v ~= v then return "NaN" end
  if v == math.huge then return "INF" elseif v == -math.huge then return "-INF" end
  if math.type(v) == "integer" then return tostring(v) end
  if type(v) == "boolean" then return v and "1" or "0" end
  for digits = 1, 17 do
    local s = ("%%.%dg"):format(digits):format(v)
    local back = tonumber(s)
    if kind == "float32" then back = ("<f"):unpack(("<f"):pack(back)) end
    if back == v then return s end
  end
end

local function from_strings(node, v)
  local list = value.string_list(v)
  for i, s in ipairs(list) do list[i] = parse_number(node, s) + 0.0 end
  return torch.tensor(list, { dtype = torch.float64 }):reshape(v.tensor.shape)
end

local function to_strings(v)
  local kind, t = value.type_of(v), value.tensor_of(v)
  local list = t:flatten():tolist()
  for i, number in ipairs(list) do list[i] = number_text(number, kind.name) end
  return value.strings(list, { t.shape:unpack() })
end

-- --- numbers ------------------------------------------------------------------------------------------
-- Numbers of uint64, kept in int64, as float64: the upper half lies below zero.
local function unsigned_to_float(t)
  local wide = t:to(torch.float64)
  return torch.where(t:lt(0), wide + 2.0 ^ 64, wide)
end

local function float_to_unsigned(t)
  local wide = t:to(torch.float64)
  local upper = wide:ge(2.0 ^ 63)
  return torch.where(upper, wide - 2.0 ^ 64, wide):to(torch.int64)
end

local function is_float(t)
  return t.dtype == torch.float32 or t.dtype == torch.float64 or t.dtype == torch.float16 or t.dtype == torch.bfloat16
end

--- The value in the type `kind`. options: saturate (default true) and round_mode, for the float8 types.
local function convert(node, v, kind, options)
  if kind.name == "string" then return value.is_strings(v) and v or to_strings(v) end
  local t
  if value.is_strings(v) then
    t = from_strings(node, v)
  else
    local from = value.type_of(v)
    if from == kind then return v end
    t = value.tensor_of(v)
    if from.name == "uint64" and (kind.float or is_float(torch.empty(0, { dtype = kind.dtype }))) then t = unsigned_to_float(t) end
  end
  if kind.float then
    if not is_float(t) then t = t:to(torch.float64) end
    return value.typed(kind, kind.from_float(t, options.saturate ~= false, options.round_mode))
  end
  if kind.name == "uint64" and is_float(t) then return value.typed(kind, float_to_unsigned(t)) end
  if kind.name == "bool" then return t:ne(0) end
  if kind.wrap then
    -- Through int64, so that the low bits are there to be kept.
    t = kind.wrap(t:to(torch.int64))
  end
  return value.typed(kind, t:to(kind.dtype))
end

local function options_of(node) return { saturate = node:flag("saturate", 1), round_mode = node:get "round_mode" } end

-- Before opset 6 the type was given by name.
local old_names = { FLOAT = 1, UINT8 = 2, INT8 = 3, UINT16 = 4, INT16 = 5, INT32 = 6, INT64 = 7, STRING = 8, BOOL = 9,
  FLOAT16 = 10, DOUBLE = 11, UINT32 = 12, UINT64 = 13, COMPLEX64 = 14, COMPLEX128 = 15 }

op.Cast = value.raw(function(node, v)
  local to = node:need "to"
  return convert(node, v, node:element_type(old_names[to] or to), options_of(node))
end)

op.CastLike = value.raw(function(node, v, like) return convert(node, v, value.type_of(like), options_of(node)) end)

-- --- bits ---------------------------------------------------------------------------------------------
-- Types whose stored numbers are not their bits in a file.
local function check_bits(node, kind)
  if kind.float or (kind.bits and kind.bits < 8) or kind.name == "string" then
    node:fail("BitCast of %s is not supported", kind.name)
  end
end

op.BitCast = value.raw(function(node, v)
  local from, to = value.type_of(v), node:element_type(node:need "to")
  check_bits(node, from)
  check_bits(node, to)
  local bits = value.tensor_of(v)
  if from.wire then bits = bits:to(from.wire) end
  if from.name == "bool" then bits = bits:to(torch.uint8) end
  if to.name == "bool" then return bits:view(torch.uint8):ne(0) end
  local seen = bits:contiguous():view(to.wire or to.dtype)
  if not to.wide then return seen end
  local kept = seen:to(to.dtype)
  return value.typed(to, to.wrap and to.wrap(kept) or kept)
end)

return op
