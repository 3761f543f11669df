-- The classes torch.Tensor, torch.FloatTensor, torch.LongTensor, ... and torch.FloatStorage, torch.UntypedStorage, ...: for
-- torch.isinstance, and as PyTorch's old constructors. New code makes tensors with torch.tensor, torch.empty, torch.zeros.
local core = require "lampad.core"
local args = require "lampad.args"
local storage = require "lampad.storage"
local text = require "lampad.text"

local torch = core.torch
local M = {}

local titles = { Float = "float32", Double = "float64", Half = "float16", BFloat16 = "bfloat16", Char = "int8",
  Byte = "uint8", Short = "int16", Int = "int32", Long = "int64", Bool = "bool", ComplexFloat = "complex64",
  ComplexDouble = "complex128" }

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

-- The sizes in numbers given one by one, or in a torch.Size; nil when the first value is something else.
local function sizes_of(first, ...)
  if first == nil then return { 0 } end
  if math.type(first) == "integer" then return { first, ... } end
  if type(first) == "userdata" and not is_tensor(first) and first.unpack then return { first:unpack() } end
end

-- Uninitialised elements of the sizes, or the data of a nested table, or a tensor of the dtype itself.
local function make(name, dtype, first, ...)
  local sizes = sizes_of(first, ...)
  if sizes then return torch.empty(sizes, { dtype = dtype }) end
  if type(first) == "table" then return torch.tensor(first, { dtype = dtype }) end
  if is_tensor(first) then
    if first.dtype ~= dtype then
      args.fail(name, "expected a tensor of %s, got %s; use x:to(...)", tostring(dtype), text.describe(first))
    end
    return first:detach()
  end
  args.fail(name, "takes sizes, a nested table of numbers or a tensor, got %s", text.describe(first))
end

local function class(name, is, call, index)
  M[name] = setmetatable({ __name = "torch." .. name, is = is }, {
    __call = function(_, ...) return call(...) end,
    __index = index,
    __tostring = function() return "<class 'torch." .. name .. "'>" end,
  })
end

-- torch.Tensor.add is the method, as x.add is.
class("Tensor", is_tensor, function(...) return make("Tensor", torch.get_default_dtype(), ...) end, core.methods)

class("UntypedStorage", function(v) return storage.kind_of(v) == "UntypedStorage" end, function(...)
  return storage.untyped(make("UntypedStorage", torch.uint8, ...))
end)
class("TypedStorage", function(v) return storage.kind_of(v) == "TypedStorage" end, function(...)
  return storage.typed(make("TypedStorage", torch.get_default_dtype(), ...))
end)

for title, dtype_name in pairs(titles) do
  local dtype, name = torch[dtype_name], title .. "Tensor"
  if not dtype.is_complex then
    class(name, function(v) return is_tensor(v) and v.dtype == dtype end, function(...) return make(name, dtype, ...) end)
  end
  local storage_name = title .. "Storage"
  class(storage_name, function(v) return storage.kind_of(v) == "TypedStorage" and v.dtype == dtype end, function(...)
    return storage.typed(make(storage_name, dtype, ...))
  end)
end

--- Whether `class` is one of these, and then whether the value is of it.
function M.check(value, wanted)
  for _, member in pairs(M) do
    if member == wanted and type(member) == "table" then return true, wanted.is(value) end
  end
  return false
end

return M
