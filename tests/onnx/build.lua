-- Writes ONNX messages, for tests of the reader: every function returns the bytes of a message or of one field.
local build = {}

local function varint(n)
  local bytes = {}
  repeat
    local low = n & 0x7f
    n = n >> 7
    bytes[#bytes + 1] = string.char(n ~= 0 and low | 0x80 or low)
  until n == 0
  return table.concat(bytes)
end
build.varint = varint

--- One field: an integer, a float32 or bytes.
function build.int(number, v) return varint(number << 3) .. varint(v) end
function build.float(number, v) return varint(number << 3 | 5) .. ("<f"):pack(v) end
function build.bytes(number, s) return varint(number << 3 | 2) .. varint(#s) .. s end

local codes = { float32 = 1, uint8 = 2, int8 = 3, uint16 = 4, int16 = 5, int32 = 6, int64 = 7, string = 8, bool = 9,
  float16 = 10, float64 = 11, uint32 = 12, uint64 = 13, bfloat16 = 16, uint4 = 21, int4 = 22 }
build.codes = codes

local function each(number, list, make)
  local parts = {}
  for i, member in ipairs(list or {}) do parts[i] = build.bytes(number, make and make(member) or member) end
  return table.concat(parts)
end

--- TensorProto: { name, type, dims, raw = bytes } or { ..., fields = bytes of further fields }.
function build.tensor(t)
  local parts = {}
  for _, size in ipairs(t.dims or {}) do parts[#parts + 1] = build.int(1, size) end
  parts[#parts + 1] = build.int(2, codes[t.type] or t.type)
  if t.name then parts[#parts + 1] = build.bytes(8, t.name) end
  if t.raw then parts[#parts + 1] = build.bytes(9, t.raw) end
  return table.concat(parts) .. (t.fields or "")
end

--- ValueInfoProto of a tensor: { name, type, shape... }, shape a list of numbers and names.
function build.value(v)
  local name, kind, shape = table.unpack(v)
  local dims = each(1, shape, function(dim)
    return type(dim) == "number" and build.int(1, dim) or build.bytes(2, dim)
  end)
  local tensor = build.int(1, codes[kind]) .. (shape and build.bytes(2, dims) or "")
  return build.bytes(1, name) .. build.bytes(2, build.bytes(1, tensor))
end

--- AttributeProto from a Lua value: an integer, a float, a string, a list of integers, { graph = bytes },
--- { tensor = bytes } or { ref = name, type = code }.
local function attribute(name, v)
  local head = build.bytes(1, name)
  if math.type(v) == "integer" then return head .. build.int(3, v) .. build.int(20, 2) end
  if type(v) == "number" then return head .. build.float(2, v) .. build.int(20, 1) end
  if type(v) == "string" then return head .. build.bytes(4, v) .. build.int(20, 3) end
  if v.graph then return head .. build.bytes(6, v.graph) .. build.int(20, 5) end
  if v.tensor then return head .. build.bytes(5, v.tensor) .. build.int(20, 4) end
  if v.ref then return head .. build.bytes(21, v.ref) .. build.int(20, v.type) end
  local parts = {}
  for i, n in ipairs(v) do parts[i] = varint(n) end
  return head .. build.bytes(8, table.concat(parts)) .. build.int(20, 7)
end

--- NodeProto: { op, inputs, outputs, attributes, domain = }.
function build.node(n)
  local op, inputs, outputs, attributes = table.unpack(n)
  local names = {}
  for name in pairs(attributes or {}) do names[#names + 1] = name end
  table.sort(names)
  return each(1, inputs) .. each(2, outputs) .. build.bytes(4, op)
    .. each(5, names, function(name) return attribute(name, attributes[name]) end)
    .. (n.domain and build.bytes(7, n.domain) or "") .. (n.name and build.bytes(3, n.name) or "")
end

--- GraphProto: { name =, nodes =, inputs =, outputs =, tensors = }.
function build.graph(g)
  return each(1, g.nodes, build.node) .. build.bytes(2, g.name or "g") .. each(5, g.tensors, build.tensor)
    .. each(11, g.inputs, build.value) .. each(12, g.outputs, build.value)
end

local function opset(version, domain) return (domain and build.bytes(1, domain) or "") .. build.int(2, version) end

--- FunctionProto: { name =, domain =, inputs =, outputs =, attributes =, nodes = }.
function build.func(f)
  return build.bytes(1, f.name) .. each(4, f.inputs) .. each(5, f.outputs) .. each(6, f.attributes)
    .. each(7, f.nodes, build.node) .. build.bytes(9, opset(f.opset or 17)) .. build.bytes(10, f.domain)
end

--- ModelProto: a graph as above, with opset = 17, functions = and fields = bytes of further fields.
function build.model(m)
  return build.int(1, 8) .. build.bytes(2, "spec") .. build.bytes(7, build.graph(m)) .. build.bytes(8, opset(m.opset or 17))
    .. each(25, m.functions, build.func) .. (m.fields or "")
end

return build
