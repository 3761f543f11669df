--- Reads the arguments of stored calls (the format stands in scripts/gen/golden_opinfo.py) and makes them anew.
local torch = require "lampad"
local golden = require "golden"

local M = {}

--- What stands for Python's None.
local NONE = setmetatable({}, { __name = "None" })
local read_argument

local function read_list(data, pos, is_tuple)
  local n
  n, pos = string.unpack("<I2", data, pos)
  local list = { n = n }
  for i = 1, n do list[i], pos = read_argument(data, pos) end
  return { is_list = true, is_tuple = is_tuple, items = list }, pos
end

local arguments = {}

M.NONE, M.kinds = NONE, arguments

function arguments.V(data, pos)
  local wants, number, ndim
  wants, number, ndim, pos = string.unpack("<BBB", data, pos)
  local spec = { is_view = true, wants = wants == 1, dtype = golden.dtypes[number], sizes = {}, strides = {} }
  for i = 1, ndim do spec.sizes[i], pos = string.unpack("<i4", data, pos) end
  for i = 1, ndim do spec.strides[i], pos = string.unpack("<i4", data, pos) end
  spec.offset, spec.count, pos = string.unpack("<i4i4", data, pos)
  spec.data, spec.pos = data, pos
  return spec, pos + spec.count * spec.dtype.itemsize
end

function arguments.L(data, pos) return read_list(data, pos, false) end
function arguments.P(data, pos) return read_list(data, pos, true) end

function arguments.S(data, pos)
  local spec, bounds = {}, {}
  for i = 1, 3 do
    bounds[i], pos = read_argument(data, pos)
    spec[i] = bounds[i] == NONE and "" or tostring(bounds[i])
  end
  return table.concat(spec, ":"), pos
end

function arguments.e(_, pos) return "...", pos end
function arguments.N(_, pos) return NONE, pos end

function arguments.m(data, pos)
  local name, after = string.unpack("<s2", data, pos)
  return torch[name], after
end

--- The description of an argument at `pos`, and the position after it.
function read_argument(data, pos)
  local kind = data:sub(pos, pos)
  if arguments[kind] then return arguments[kind](data, pos + 1) end
  local value, after = golden.read_value(data, pos)
  return value.value, after
end

--- The argument itself, made anew; tensors that want gradients are added to `inputs`.
local function make(spec, inputs)
  if spec == NONE then return nil end
  if type(spec) ~= "table" then return spec end
  if spec.make then return spec.make(inputs) end -- the kinds of other readers
  if spec.is_list then
    local list = {}
    for i = 1, spec.items.n do list[i] = make(spec.items[i], inputs) end
    return list
  end
  local values, format, pos = {}, spec.format or golden.formats[spec.dtype], spec.pos
  for i = 1, spec.count do
    local value
    value, pos = string.unpack(format, spec.data, pos)
    value = golden.number_of(spec.dtype, value)
    if spec.dtype == torch.bool then value = value ~= 0 end
    if spec.dtype.is_complex then
      local im
      im, pos = string.unpack(format, spec.data, pos)
      value = value + im * torch.j
    end
    values[i] = value
  end
  local t = torch.tensor(values, { dtype = spec.dtype })
  t = t:as_strided(spec.sizes, spec.strides, spec.offset)
  if spec.wants then
    t = t:detach():requires_grad_()
    inputs[#inputs + 1] = t
  end
  return t
end

M.read, M.make = read_argument, make
return M
