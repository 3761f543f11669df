-- The element types of ONNX tensors and how each is kept.
--
-- Types that torch has are plain tensors. The others are kept in the nearest wider dtype, so that every op works
-- on them, and a value carries its type along (value.lua):
--   uint16 in int32, uint32 in int64, uint64 in int64 with the same bits;
--   uint4, int4, uint2, int2 in int8 or uint8;
--   the float8 and float4 types in float32, which holds each of their values exactly;
--   strings as int64 positions in a list of the different strings.
local core = require "lampad.core"

local torch = core.torch
local types = {}

-- --- small floating-point formats -------------------------------------------------------------------
-- A format of 1 sign bit (none for e8m0), `exponent` and `mantissa` bits. `nan` and `inf` say which bit patterns
-- (without sign) are not finite numbers.
local formats = {
  float8e4m3fn = { exponent = 4, mantissa = 3, bias = 7, largest = 448.0, nan = function(bits) return bits & 0x7f == 0x7f end },
  float8e4m3fnuz = { exponent = 4, mantissa = 3, bias = 8, largest = 240.0, unsigned_zero = true,
    nan = function(bits) return bits == 0x80 end },
  float8e5m2 = { exponent = 5, mantissa = 2, bias = 15, largest = 57344.0, infinite = true,
    nan = function(bits) return bits & 0x7f > 0x7c end, inf = function(bits) return bits & 0x7f == 0x7c end },
  float8e5m2fnuz = { exponent = 5, mantissa = 2, bias = 16, largest = 57344.0, unsigned_zero = true,
    nan = function(bits) return bits == 0x80 end },
  float4e2m1 = { exponent = 2, mantissa = 1, bias = 1, largest = 6.0, always_saturates = true, no_nan = true,
    nan = function() return false end },
}

-- The numbers of all bit patterns of a format, as a float32 tensor.
local function decode_table(format)
  local width = 1 + format.exponent + format.mantissa
  local values = {}
  for bits = 0, (1 << width) - 1 do
    local mantissa = bits & (1 << format.mantissa) - 1
    local exponent = bits >> format.mantissa & (1 << format.exponent) - 1
    local value
    if format.nan(bits) then
      value = 0 / 0
    elseif format.inf and format.inf(bits) then
      value = math.huge
    elseif exponent == 0 then
      value = mantissa * 2.0 ^ (1 - format.bias - format.mantissa)
    else
      value = (mantissa + (1 << format.mantissa)) * 2.0 ^ (exponent - format.bias - format.mantissa)
    end
    values[bits + 1] = bits >> width - 1 == 1 and -value or value
  end
  return torch.tensor(values, { dtype = torch.float32 })
end

--- The nearest number of the format, ties to even, for every element of the float tensor x. Where x is too large the
--- result is the largest number when `saturate`, else infinity or nan, whichever the format has.
function types.round_to_format(x, name, saturate)
  local format = formats[name]
  local wide = x:to(torch.float64)
  local size = wide:abs()
  local smallest = 1 - format.bias -- exponent of the smallest normal number
  local exponent = torch.floor(torch.log2(torch.where(size:eq(0), torch.ones_like(size), size)))
  -- log2 rounds: just below a power of two it may give the next exponent, which would cost a bit.
  exponent = torch.where(torch.exp2(exponent):gt(size), exponent - 1, exponent):clamp(smallest, 1100)
  local step = torch.exp2(exponent - format.mantissa)
  local rounded = torch.round(size / step) * step
  local largest = torch.full_like(size, format.largest)
  local beyond = largest
  if not (saturate or format.always_saturates) then
    beyond = torch.full_like(size, format.infinite and math.huge or 0 / 0)
  end
  -- (`not <=` would catch nan, which stays.)
  rounded = torch.where(torch.logical_or(rounded:gt(format.largest), size:eq(math.huge)), beyond, rounded)
  rounded = torch.where(wide:isnan(), format.no_nan and torch.zeros_like(wide) or wide, rounded)
  local result = torch.copysign(rounded, wide)
  if format.unsigned_zero then result = torch.where(result:eq(0), torch.zeros_like(result), result) end
  return result:to(torch.float32)
end

--- The power of two of float8e8m0 for every element of x >= 0. `mode` is "up", "down" or "nearest".
function types.round_to_power(x, mode, saturate)
  local wide = x:to(torch.float64)
  local exponent = torch.floor(torch.log2(wide))
  exponent = torch.where(torch.exp2(exponent):gt(wide), exponent - 1, exponent)
  local below = torch.exp2(exponent)
  local up
  if mode == "down" then
    up = torch.zeros_like(below):to(torch.bool)
  elseif mode == "nearest" then
    up = wide:ge(below * 1.5)
  else
    up = wide:gt(below)
  end
  local result = torch.where(up, below * 2, below)
  local smallest, largest = 2.0 ^ -127, 2.0 ^ 127
  if saturate then
    result = torch.where(wide:isnan(), wide, result:clamp(smallest, largest))
  else
    local outside = torch.logical_or(wide:lt(smallest), result:gt(largest))
    result = torch.where(torch.logical_or(outside, wide:isnan()), torch.full_like(wide, 0 / 0), result)
  end
  return result:to(torch.float32)
end

-- --- the table ---------------------------------------------------------------------------------------
local function mask_with(mask)
  return function(t) return t:bitwise_and(mask) end
end

-- The low `bits` bits with the sign that the highest of them stands for.
local function signed_with(bits)
  local half = 1 << bits - 1
  return function(t) return (t + half):bitwise_and(2 * half - 1) - half end
end

-- code, name, dtype it is kept in; then for types that torch lacks:
--   bits   width of an element in a file
--   wire   dtype of the elements as they are read; for fewer than 8 bits they are unpacked first
--   widen  from what was read to what is kept
--   wrap   brings results of integer arithmetic back into the type's range
local function add(code, name, dtype, more)
  local entry = more or {}
  entry.code, entry.name, entry.dtype = code, name, dtype
  entry.wide = more ~= nil
  types[code], types[name] = entry, entry
end

add(1, "float32", torch.float32)
add(2, "uint8", torch.uint8)
add(3, "int8", torch.int8)
add(4, "uint16", torch.int32, { bits = 16, wire = torch.int16, wrap = mask_with(0xffff) })
add(5, "int16", torch.int16)
add(6, "int32", torch.int32)
add(7, "int64", torch.int64)
add(8, "string", torch.int64, {})
add(9, "bool", torch.bool)
add(10, "float16", torch.float16)
add(11, "float64", torch.float64)
add(12, "uint32", torch.int64, { bits = 32, wire = torch.int32, wrap = mask_with(0xffffffff) })
add(13, "uint64", torch.int64, { bits = 64, wire = torch.int64 })
add(14, "complex64", torch.complex64)
add(15, "complex128", torch.complex128)
add(16, "bfloat16", torch.bfloat16)
for code, name in pairs { [17] = "float8e4m3fn", [18] = "float8e4m3fnuz", [19] = "float8e5m2", [20] = "float8e5m2fnuz",
  [23] = "float4e2m1" } do
  local decoded
  add(code, name, torch.float32, {
    bits = name == "float4e2m1" and 4 or 8, wire = torch.uint8, float = true,
    widen = function(t)
      decoded = decoded or decode_table(formats[name])
      return decoded:index_select(0, t:to(torch.int64):flatten()):reshape(t.shape)
    end,
    from_float = function(x, saturate) return types.round_to_format(x, name, saturate) end,
  })
end
add(21, "uint4", torch.uint8, { bits = 4, wire = torch.uint8, wrap = mask_with(0xf) })
add(22, "int4", torch.int8, { bits = 4, wire = torch.uint8, wrap = signed_with(4) })
add(24, "float8e8m0", torch.float32, {
  bits = 8, wire = torch.uint8, float = true,
  widen = function(t)
    local power = torch.exp2(t:to(torch.float64) - 127):to(torch.float32)
    return torch.where(t:eq(255), torch.full_like(power, 0 / 0), power)
  end,
  from_float = function(x, saturate, mode) return types.round_to_power(x, mode or "up", saturate) end,
})
add(25, "uint2", torch.uint8, { bits = 2, wire = torch.uint8, wrap = mask_with(0x3) })
add(26, "int2", torch.int8, { bits = 2, wire = torch.uint8, wrap = signed_with(2) })

local of_dtype = {}
for code = 1, 26 do
  if not types[code].wide then of_dtype[tostring(types[code].dtype)] = types[code] end
end

--- The element type that a plain tensor has.
function types.of(tensor) return of_dtype[tostring(tensor.dtype)] end

-- Least and greatest number of the integer types that quantization knows.
types.range = {
  uint8 = { 0, 255 }, int8 = { -128, 127 }, uint16 = { 0, 65535 }, int16 = { -32768, 32767 },
  int32 = { -2147483648, 2147483647 }, uint4 = { 0, 15 }, int4 = { -8, 7 }, uint2 = { 0, 3 }, int2 = { -2, 1 },
}

return types
