--- Reads golden files (the format stands in scripts/gen/golden.py) and compares results with them.
local torch = require "lampad"

local M = {}

local dtypes = { [0] = torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32,
  torch.float64, torch.complex64, torch.complex128, torch.bool, torch.bfloat16 }
local formats = { [torch.uint8] = "<B", [torch.int8] = "<b", [torch.int16] = "<i2", [torch.int32] = "<i4",
  [torch.int64] = "<i8", [torch.float16] = "<I2", [torch.float32] = "<f", [torch.float64] = "<d",
  [torch.complex64] = "<f", [torch.complex128] = "<d", [torch.bool] = "<B", [torch.bfloat16] = "<I2" }

-- Differences allowed: absolute and relative.
local tolerances = {
  [torch.float16] = { 2e-3, 2e-3 }, [torch.bfloat16] = { 1.6e-2, 1.6e-2 }, [torch.float32] = { 1e-5, 1e-5 },
  [torch.float64] = { 1e-9, 1e-7 }, [torch.complex64] = { 1e-5, 1e-5 }, [torch.complex128] = { 1e-9, 1e-7 },
}

function M.half_value(bits)
  local sign, exponent, mantissa = bits >> 15, (bits >> 10) & 31, bits & 1023
  local value
  if exponent == 31 then value = mantissa == 0 and math.huge or 0 / 0
  elseif exponent == 0 then value = mantissa * 2.0 ^ -24
  else value = (1024 + mantissa) * 2.0 ^ (exponent - 25) end
  return sign == 1 and -value or value
end

function M.bfloat16_value(bits) return (string.unpack("<f", string.pack("<I4", bits << 16))) end

-- --- reading ------------------------------------------------------------------------------------

local readers = {}

local function read_value(data, pos)
  return readers[data:sub(pos, pos)](data, pos + 1)
end

--- One value from `data` at `pos`, and the position after it.
M.read_value = read_value
M.dtypes, M.formats = dtypes, formats

--- The number that the bits of a stored element stand for.
function M.number_of(dtype, bits)
  if dtype == torch.float16 then return M.half_value(bits) end
  if dtype == torch.bfloat16 then return M.bfloat16_value(bits) end
  return bits
end

function readers.T(data, pos)
  local number, ndim
  number, ndim, pos = string.unpack("<BB", data, pos)
  local value = { kind = "tensor", dtype = dtypes[number], shape = {}, data = data }
  local n = 1
  for i = 1, ndim do
    value.shape[i], pos = string.unpack("<I4", data, pos)
    n = n * value.shape[i]
  end
  value.pos = pos
  value.numbers = value.dtype.is_complex and 2 * n or n
  return value, pos + n * value.dtype.itemsize
end

function readers.L(data, pos)
  local n
  n, pos = string.unpack("<I2", data, pos)
  local value = { kind = "list" }
  for i = 1, n do value[i], pos = read_value(data, pos) end
  return value, pos
end

readers.P = readers.L -- a tuple, in the files of PyTorch's own samples

function readers.s(data, pos)
  local text, after = string.unpack("<s2", data, pos)
  return { kind = "value", value = text }, after
end

function readers.b(data, pos) return { kind = "value", value = data:byte(pos) == 1 }, pos + 1 end
function readers.d(data, pos) return { kind = "value", value = dtypes[data:byte(pos)] }, pos + 1 end
function readers.N(_, pos) return { kind = "none" }, pos end

function readers.i(data, pos)
  local value, after = string.unpack("<i8", data, pos)
  return { kind = "number", value = value }, after
end

function readers.f(data, pos)
  local value, after = string.unpack("<d", data, pos)
  return { kind = "number", value = value }, after
end

function readers.c(data, pos)
  local re, im, after = string.unpack("<dd", data, pos)
  return { kind = "value", value = re + im * torch.j }, after
end

--- Adds the records of a file to `into`: into[cname][case] is a list of {dtype, result, grads}.
function M.load(path, into)
  local file = assert(io.open(path, "rb"))
  local data = file:read("a")
  file:close()
  assert(data:sub(1, 4) == "LPG1", path .. " is no golden file")
  local pos = 5
  while pos <= #data do
    local cname, case, number, n
    cname, case, number, pos = string.unpack("<s2s2B", data, pos)
    local record = { dtype = dtypes[number], grads = {} }
    record.result, pos = read_value(data, pos)
    n, pos = string.unpack("<B", data, pos)
    for i = 1, n do record.grads[i], pos = read_value(data, pos) end
    into[cname] = into[cname] or {}
    into[cname][case] = into[cname][case] or {}
    table.insert(into[cname][case], record)
  end
end

-- --- comparing ----------------------------------------------------------------------------------

local function near(a, b, absolute, relative)
  if a == b then return true end
  if a ~= a then return b ~= b end
  local limit = absolute + relative * math.abs(b)
  return math.abs(a - b) <= limit and limit < math.huge
end

local function describe(value)
  if torch.is_tensor(value) then return tostring(value.dtype) .. " " .. tostring(value.shape) end
  return type(value) .. " (" .. tostring(value) .. ")"
end

local function compare_tensor(expected, actual, how)
  if not torch.is_tensor(actual) then return "expected a tensor, got " .. describe(actual) end
  if actual.dtype ~= expected.dtype then
    return ("expected %s, got %s"):format(tostring(expected.dtype), tostring(actual.dtype))
  end
  if actual.shape ~= torch.Size(expected.shape) then
    return ("expected shape [%s], got %s"):format(table.concat(expected.shape, ", "), tostring(actual.shape))
  end
  if how.shape_only then return nil end
  local got, format, pos = actual:_shown(), formats[expected.dtype], expected.pos
  local tolerance = tolerances[expected.dtype] or { 0, 0 }
  local scale = how.scale or 1
  local step = how.signless and expected.dtype.is_complex and 2 or 1 -- phases are free: moduli are compared
  for i = 1, expected.numbers, step do
    local want
    want, pos = string.unpack(format, expected.data, pos)
    local have = got[i]
    want = M.number_of(expected.dtype, want)
    if expected.dtype == torch.bool then have = have and 1 or 0 end
    if step == 2 then
      local other
      other, pos = string.unpack(format, expected.data, pos)
      have, want = (have ^ 2 + got[i + 1] ^ 2) ^ 0.5, (want ^ 2 + other ^ 2) ^ 0.5
    elseif how.signless then
      have, want = math.abs(have), math.abs(want)
    end
    if not near(have, want, tolerance[1] * scale, tolerance[2] * scale) then
      return ("element %d of %d: expected %.9g, got %.9g"):format(i - 1, expected.numbers, want, have)
    end
  end
  return nil
end

local function each_number(expected, visit)
  local format, pos = formats[expected.dtype], expected.pos
  for _ = 1, expected.numbers do
    local want, after = string.unpack(format, expected.data, pos)
    pos = after
    visit(want)
  end
end

--- Whether a stored gradient holds a NaN.
function M.has_nan(expected)
  local found = false
  if expected.kind == "tensor" then each_number(expected, function(v) found = found or v ~= v end) end
  return found
end

--- Whether differences of the result mean something: no tensor of it is of less than double precision.
function M.is_precise(expected)
  if expected.kind == "tensor" then
    local dtype = expected.dtype
    return not (dtype.is_floating_point and dtype ~= torch.float64) and dtype ~= torch.complex64
  end
  for _, item in ipairs(expected) do
    if not M.is_precise(item) then return false end
  end
  return true
end

--- As compare, for one gradient: no gradient and one of zeros are the same.
function M.compare_gradient(expected, actual, how)
  if expected.kind == "none" then
    if actual ~= nil and actual:count_nonzero():item() > 0 then return "expected none, got " .. tostring(actual) end
    return nil
  end
  if actual == nil then
    local largest = 0
    each_number(expected, function(v) largest = math.max(largest, math.abs(v)) end)
    return largest > 0 and "expected a gradient, got nil" or nil
  end
  return M.compare(expected, { actual }, how)
end

--- nil when the results (a table.pack of Lua results) are the expected ones, else what differs.
-- how: shape_only, signless (compare absolute values), scale (of the tolerances)
function M.compare(expected, results, how)
  how = how or {}
  local actual = results[1]
  if expected.kind == "tensor" then return compare_tensor(expected, actual, how)
  elseif expected.kind == "none" then return actual ~= nil and "expected nil, got " .. describe(actual) or nil
  elseif expected.kind == "number" then
    if type(actual) == "number" and near(actual, expected.value, 1e-7, 1e-6) then return nil end
    return ("expected %s, got %s"):format(tostring(expected.value), describe(actual))
  elseif expected.kind == "value" then
    if actual == expected.value then return nil end
    return ("expected %s, got %s"):format(tostring(expected.value), describe(actual))
  end
  local list = results
  if type(actual) == "table" and not torch.is_tensor(actual) then list = actual end
  local n = list.n or #list
  if n ~= #expected then return ("expected %d results, got %d"):format(#expected, n) end
  for i, item in ipairs(expected) do
    local trouble = M.compare(item, { list[i] }, how)
    if trouble then return ("result %d: %s"):format(i, trouble) end
  end
  return nil
end

return M
