-- From the messages TensorProto, SequenceProto, OptionalProto, MapProto to values (value.lua). Numbers of elements are
-- compared with the bytes that are there before anything is allocated.
local core = require "lampad.core"
local args = require "lampad.args"
local types = require "lampad.onnx.types"
local value = require "lampad.onnx.value"

local torch = core.torch
local tensor = {}

local MAX_DIMS = 64 -- what the engine can have is less, and it says so itself

-- Element sizes in bytes of the wire dtypes.
local sizes_of = {}
for name, bytes in pairs { float32 = 4, uint8 = 1, int8 = 1, int16 = 2, int32 = 4, int64 = 8, bool = 1, float16 = 2,
  float64 = 8, complex64 = 8, complex128 = 16, bfloat16 = 2 } do
  sizes_of[tostring(torch[name])] = bytes
end

local function fail(context, proto, format, ...)
  local name = proto.name and proto.name ~= "" and ("tensor '%s'"):format(proto.name) or "a tensor"
  args.fail(context.what, name .. " " .. format, ...)
end

-- The number of elements; sizes whose product does not fit are refused.
local function count_elements(context, proto)
  local dims = proto.dims or {}
  if #dims > MAX_DIMS then fail(context, proto, "has %d dimensions, at most %d are possible", #dims, MAX_DIMS) end
  local count = 1
  for _, size in ipairs(dims) do
    if size < 0 then fail(context, proto, "has the negative size %d", size) end
    if size > 0 and count > (1 << 56) // size then fail(context, proto, "has more than 2^56 elements") end
    count = count * size
  end
  return count
end

-- Bytes of a list of integers, `bytes` each, of which the low ones count.
local function pack_integers(list, bytes)
  local format, mask = "<I" .. bytes, bytes < 8 and (1 << 8 * bytes) - 1 or -1
  if bytes == 8 then format = "<i8" end
  local parts = {}
  for i, v in ipairs(list) do parts[i] = format:pack(v & mask) end
  return table.concat(parts)
end

-- Little-endian bytes of elements of `kind` as { source, at, size }, from the field that holds them.
local function data_bytes(context, proto, kind)
  if proto.data_location == 1 then return context.read_external(proto) end
  if proto.raw_data then return proto.raw_data end
  local source
  if proto.float_data then
    source = proto.float_data
  elseif proto.double_data then
    source = proto.double_data
  elseif proto.int64_data then
    source = pack_integers(proto.int64_data, 8)
  elseif proto.uint64_data then
    source = pack_integers(proto.uint64_data, kind.name == "uint32" and 4 or 8)
  else
    local wire = kind.wire or kind.dtype
    source = pack_integers(proto.int32_data or {}, sizes_of[tostring(wire)])
  end
  return { source = source, at = 1, size = #source }
end

-- Elements of 4 or 2 bits, unpacked from bytes, the lowest first.
local function unpack_bits(bytes, bits, count)
  local parts = {}
  for shift = 0, 7, bits do parts[#parts + 1] = bytes:bitwise_right_shift(shift):bitwise_and((1 << bits) - 1) end
  return torch.stack(parts, 1):flatten():narrow(0, 0, count)
end

local function read_numbers(context, proto, kind)
  local dims, count = proto.dims or {}, count_elements(context, proto)
  local data = data_bytes(context, proto, kind)
  local wire = kind.wire or kind.dtype
  local bits = kind.bits or sizes_of[tostring(wire)] * 8
  local expected = (count * bits + 7) // 8
  if data.size ~= expected then
    fail(context, proto, "(%s, sizes {%s}) has %d bytes of data, expected %d", kind.name, table.concat(dims, ", "),
      data.size, expected)
  end
  local function read(dtype, sizes)
    local ok, result = pcall(core.tensor_from_bytes, data.source, dtype, sizes, data.at - 1)
    if not ok then fail(context, proto, "cannot be made: %s", result) end
    return result
  end
  if not kind.wide then return read(wire, dims) end
  local t
  if bits < 8 then
    t = unpack_bits(read(wire, { expected }), bits, count):reshape(dims)
  else
    t = read(wire, dims)
  end
  t = kind.widen and kind.widen(t) or t:to(kind.dtype)
  return value.typed(kind, kind.wrap and kind.wrap(t) or t)
end

--- The value of a TensorProto. context.what begins error messages; context.read_external(proto) gives the bytes that lie
--- in another file.
function tensor.read(context, proto)
  local kind = types[proto.data_type or 0]
  if not kind then fail(context, proto, "has the unknown element type %d", proto.data_type or 0) end
  if kind.name == "string" then
    local strings, count = proto.string_data or {}, count_elements(context, proto)
    if #strings ~= count then fail(context, proto, "has %d strings, expected %d", #strings, count) end
    return value.strings(strings, proto.dims or {})
  end
  return read_numbers(context, proto, kind)
end

--- The dense tensor of a SparseTensorProto: values at flat positions, or at rows of coordinates.
function tensor.read_sparse(context, proto)
  local values = proto.values and tensor.read(context, proto.values)
  local indices = proto.indices and tensor.read(context, proto.indices)
  if not values or not indices then args.fail(context.what, "a sparse tensor lacks its values or indices") end
  local kind, held = value.type_of(values), value.tensor_of(values)
  local total = count_elements(context, { name = proto.values.name, dims = proto.dims })
  local flat = indices
  if indices.ndim == 2 then
    flat = torch.zeros(indices:size(0), { dtype = torch.int64 })
    for d, size in ipairs(proto.dims) do flat = flat * size + indices:select(1, d - 1) end
  end
  local dense = torch.zeros(total, { dtype = held.dtype }):index_put({ flat }, held)
  return value.typed(kind, dense:reshape(proto.dims), value.is_typed(values) and values.pool or nil)
end

--- The value of a SequenceProto, MapProto or OptionalProto.
function tensor.read_sequence(context, proto)
  local members = {}
  local function add(list, read)
    for i, member in ipairs(list or {}) do members[i] = read(context, member) end
  end
  add(proto.tensor_values, tensor.read)
  add(proto.sparse_tensor_values, tensor.read_sparse)
  add(proto.sequence_values, tensor.read_sequence)
  add(proto.map_values, tensor.read_map)
  add(proto.optional_values, tensor.read_optional)
  return value.sequence(members)
end

function tensor.read_map(context, proto)
  local keys = proto.string_keys or proto.keys or {}
  local values = proto.values and tensor.read_sequence(context, proto.values) or {}
  if #keys ~= #values then args.fail(context.what, "a map has %d keys and %d values", #keys, #values) end
  return value.map(keys, values)
end

function tensor.read_optional(context, proto)
  if proto.tensor_value then return tensor.read(context, proto.tensor_value) end
  if proto.sparse_tensor_value then return tensor.read_sparse(context, proto.sparse_tensor_value) end
  if proto.sequence_value then return tensor.read_sequence(context, proto.sequence_value) end
  if proto.map_value then return tensor.read_map(context, proto.map_value) end
  if proto.optional_value then return tensor.read_optional(context, proto.optional_value) end
  return nil
end

return tensor
