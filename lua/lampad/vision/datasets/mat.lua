-- MATLAB's files of version 5 (of SVHN, Caltech101, Flowers102 and ImageNet): arrays of numbers as tensors, texts, cells and
-- structs as tables. Nothing is run. Source: "MAT-File Format", The MathWorks.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local mat = {}

local MAX_BYTES = 1 << 34 -- that a packed variable may unpack to
local MAX_DEPTH = 20
local COMPRESSED, MATRIX, INT32 = 15, 14, 5

-- Types of stored numbers -> dtype, bytes; uint16 and larger unsigned ones are read as signed, which sizes and labels fit.
local stored = {
  [1] = { torch.int8, 1 }, [2] = { torch.uint8, 1 }, [3] = { torch.int16, 2 }, [4] = { torch.int16, 2, "uint16" },
  [5] = { torch.int32, 4 }, [6] = { torch.int32, 4 }, [7] = { torch.float32, 4 }, [9] = { torch.float64, 8 },
  [12] = { torch.int64, 8 }, [13] = { torch.int64, 8 }, [16] = { torch.uint8, 1 }, [17] = { torch.int16, 2, "uint16" },
}
-- Classes of arrays -> dtype.
local CELL, STRUCT, CHAR = 1, 2, 4
local classes = { [6] = torch.float64, [7] = torch.float32, [8] = torch.int8, [9] = torch.uint8, [10] = torch.int16,
  [11] = torch.int32, [12] = torch.int32, [13] = torch.int64, [14] = torch.int64, [15] = torch.int64 }

local function damaged(reader, what) args.fail(reader.what, "%s is damaged: %s", reader.path, what) end

-- The bytes [at, at + count) of a source (a tensor of bytes) as a tensor, as a string.
local function slice(reader, source, at, count)
  if count < 0 or at + count > source:numel() then damaged(reader, "it ends too early") end
  return source:narrow(0, at, count)
end
local function text(reader, source, at, count) return core.tensor_to_bytes(slice(reader, source, at, count)) end

-- The element at a position: type, where its data are, how many bytes, where the next one begins.
local function element(reader, source, at)
  local first, second = ("<I4I4"):unpack(text(reader, source, at, 8))
  if first >> 16 ~= 0 then return first & 0xFFFF, at + 4, first >> 16, at + 8 end
  local padded = first == COMPRESSED and second or (second + 7) // 8 * 8
  return first, at + 8, second, at + 8 + padded
end

-- The numbers of an element as a tensor of one dim.
local function numbers(reader, source, at)
  local kind, from, count, following = element(reader, source, at)
  local type = stored[kind]
  if not type or count % type[2] ~= 0 then damaged(reader, "an array of an unknown type") end
  local bytes = slice(reader, source, from, count)
  -- A view needs its bytes aligned.
  local values = type[2] == 1 and type[1] == torch.uint8 and bytes or bytes:clone():view(type[1])
  if type[3] == "uint16" then values = values:to(torch.int32):bitwise_and(0xFFFF) end
  return values, following
end

local matrix

-- The name in front of an array's data.
local function name_at(reader, source, at)
  local _, from, count, following = element(reader, source, at)
  return text(reader, source, from, count):gsub("%z.*", ""), following
end

-- An array of any class from its element's data [at, stop) -> value, name.
local function read_matrix(reader, source, at, stop, depth)
  if depth > MAX_DEPTH then damaged(reader, "it is nested too deep") end
  if at == stop then return nil end
  local flags, dims, name
  flags, at = numbers(reader, source, at)
  local class = flags[0]:item() & 0xFF
  local kind = element(reader, source, at)
  if kind ~= INT32 then damaged(reader, "the sizes of an array are no integers") end
  dims, at = numbers(reader, source, at)
  dims = dims:tolist()
  name, at = name_at(reader, source, at)
  local count = 1
  for _, size in ipairs(dims) do
    if size < 0 or count > (1 << 40) then damaged(reader, "an array has sizes that cannot be") end
    count = count * size
  end
  if classes[class] then
    local values = numbers(reader, source, at)
    if values:numel() ~= count then damaged(reader, "an array has not the numbers its sizes say") end
    local order, reversed = {}, {}
    for i = 1, #dims do order[i], reversed[i] = #dims - i, dims[#dims + 1 - i] end
    return values:to(classes[class]):reshape(reversed):permute(order), name
  elseif class == CHAR then
    local values, parts = numbers(reader, source, at), {}
    for i, code in ipairs(values:tolist()) do parts[i] = utf8.char(code) end
    return table.concat(parts), name
  elseif class == CELL then
    local cells = { dims = dims }
    for i = 1, count do cells[i], at = matrix(reader, source, at, depth + 1) end
    return cells, name
  elseif class == STRUCT then
    local widths, names_at = numbers(reader, source, at)
    local width, names = widths[0]:item(), {}
    local _, from, bytes, following = element(reader, source, names_at)
    at = following
    if width < 1 then damaged(reader, "names of fields without letters") end
    for i = 0, bytes // width - 1 do
      names[i + 1] = text(reader, source, from + i * width, width):gsub("%z.*", "")
    end
    local list = { dims = dims, fields = names }
    for i = 1, count do
      list[i] = {}
      for _, field in ipairs(names) do list[i][field], at = matrix(reader, source, at, depth + 1) end
    end
    return list, name
  end
  return nil, name -- objects, sparse arrays: nothing here needs them
end

-- The array that begins at a position -> value, where the next one begins.
function matrix(reader, source, at, depth)
  local kind, from, count, following = element(reader, source, at)
  if kind ~= MATRIX then damaged(reader, "an array was expected") end
  local value = read_matrix(reader, source, from, from + count, depth)
  return value, following
end

--- load(path, what): the variables of the file by name: tensors in MATLAB's sizes, strings, lists of cells, lists of structs (with
--- fields `fields` and `dims`). `what` stands in front of errors.
function mat.load(path, what)
  local source = core.read_file(path, what)
  local reader = { path = path, what = what }
  if source:numel() < 128 then args.fail(what, "%s is no MATLAB file: it has only %d bytes", path, source:numel()) end
  local version, order = ("<I2c2"):unpack(text(reader, source, 124, 4))
  if version ~= 0x0100 or order ~= "IM" then
    args.fail(what, "%s is no MATLAB file of version 5 in little-endian order", path)
  end
  local result, at = {}, 128
  while at < source:numel() do
    local kind, from, count, following = element(reader, source, at)
    local data, start = source, from
    if kind == COMPRESSED then
      local message
      data, message = core.inflate(slice(reader, source, from, count):contiguous(), MAX_BYTES)
      if not data then damaged(reader, message) end
      kind, start, count = element(reader, data, 0)
    end
    if kind == MATRIX then
      local value, name = read_matrix(reader, data, start, start + count, 0)
      if name then result[name] = value end
    end
    at = following
  end
  return result
end

--- The variable of that name, or an error that names the file.
function mat.variable(path, name, what)
  local value = mat.load(path, what)[name]
  if value == nil then args.fail(what, "%s has no variable '%s'", path, name) end
  return value
end

return mat
