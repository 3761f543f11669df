-- Methods of tensors that are written in Lua: conversions by type names, memory, elementwise callbacks.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local M = {}

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end
local function describe(v) return require("lampad.text").describe(v) end

-- --- types ------------------------------------------------------------------------------------------------

local titles = { float32 = "Float", float64 = "Double", float16 = "Half", bfloat16 = "BFloat16", int8 = "Char",
  uint8 = "Byte", int16 = "Short", int32 = "Int", int64 = "Long", bool = "Bool", complex64 = "ComplexFloat",
  complex128 = "ComplexDouble" }
local by_title = {}
for name, title in pairs(titles) do by_title["torch." .. title .. "Tensor"] = torch[name] end

--- "torch.FloatTensor": what x:type() gives.
function M.type_name(x) return "torch." .. titles[tostring(x.dtype):match "%w+$"] .. "Tensor" end

--- The dtype that a dtype or a type's name stands for.
function M.dtype_of(what, value)
  local dtype = by_title[value] or value
  if type(value) == "string" and value == "torch.Tensor" then dtype = torch.get_default_dtype() end
  if type(dtype) ~= "userdata" or getmetatable(dtype) ~= torch.dtype then
    args.fail(what, "argument 'dtype' must be a torch.dtype or a name such as 'torch.FloatTensor', got %s",
      describe(value))
  end
  return dtype
end

local type_spec = args "type(Tensor self, any dtype=nil, bool non_blocking=false)"
--- Without an argument the type's name, as 'torch.FloatTensor'; else the tensor in that dtype.
function M.type(...)
  local x, dtype = type_spec(...)
  if dtype == nil then return M.type_name(x) end
  return x:to(M.dtype_of("type", dtype))
end

--- A tensor of x's dtype from sizes or a nested table (the old form of new_empty and new_tensor).
function M.new(x, ...) return require("lampad.tensor_types")[M.type_name(x):match "%.(%w+)$"](...) end

local where_spec = args "where(Tensor self, Tensor condition, any other)"
--- self where the condition holds, other elsewhere.
function M.where(...)
  local x, condition, other = where_spec(...)
  return torch.where(condition, x, other)
end

local dense_spec = args "to_dense(Tensor self, dtype dtype=nil, *, bool masked_grad=true)"
--- A strided tensor, as all are here: the tensor itself (in the dtype, when one is given).
function M.to_dense(...)
  local x, dtype = dense_spec(...)
  return dtype ~= nil and x:to(dtype) or x
end

local dequantize_spec = args "dequantize(Tensor self)"
--- The tensor in float32. There are no quantised tensors, so the values stay.
function M.dequantize(...) return dequantize_spec(...):to(torch.float32) end

-- --- memory -------------------------------------------------------------------------------------------------

--- The memory behind the tensor, as a row of elements of its dtype.
function M.storage(x) return require("lampad.storage").typed(x) end
--- The memory behind the tensor, as a row of bytes.
function M.untyped_storage(x) return require("lampad.storage").untyped(x) end

--- Makes the tensor use the memory of a storage: set_(source), set_(source, offset, size, stride); without an argument it
--- becomes empty. set_tensor is the op for tensors.
function M.set_(set_tensor, self, source, ...)
  local storage = require "lampad.storage"
  if source == nil then return set_tensor(self, torch.empty({ 0 }, { dtype = self.dtype })) end
  if not storage.is_storage(source) then return set_tensor(self, source, ...) end -- which says what is wrong
  if storage.kind_of(source) == "TypedStorage" and source.dtype ~= self.dtype then
    args.fail("set_", "expected a Storage of type %s or an UntypedStorage, but got %s", tostring(self.dtype),
      tostring(source.dtype))
  end
  return set_tensor(self, storage.tensor_of(source, self.dtype), ...)
end

local set_to_spec = args "is_set_to(Tensor self, Tensor tensor)"
--- Whether both tensors use the same memory with the same geometry.
function M.is_set_to(...)
  local a, b = set_to_spec(...)
  if a:data_ptr() ~= b:data_ptr() or a.shape ~= b.shape or not a:is_same_storage(b) then return false end
  for d = 0, a.ndim - 1 do
    if a:stride(d) ~= b:stride(d) then return false end
  end
  return true
end

--- The dims in the order of their strides, from the largest to the smallest, several results.
function M.dim_order(x)
  local order = {}
  for d = 1, x.ndim do order[d] = d - 1 end
  table.sort(order, function(a, b)
    local s, t = x:stride(a), x:stride(b)
    if s ~= t then return s > t end
    return a < b
  end)
  return table.unpack(order)
end

-- --- element by element ----------------------------------------------------------------------------------------

-- self's elements replaced by what callable gives for those of the tensors.
local function map(name, callable, self, ...)
  if type(callable) ~= "function" then
    args.fail(name, "argument 'callable' must be a function, got %s", describe(callable))
  end
  local columns, others = {}, { self, ... }
  for k, t in ipairs(others) do
    if not is_tensor(t) then args.fail(name, "expected tensors, got %s", describe(t)) end
    if t.requires_grad then
      args.fail(name, "a tensor that requires grad cannot be changed by a function; use x:detach():%s(...)", name)
    end
    if k > 1 and t.dtype ~= self.dtype then
      args.fail(name, "expected a tensor of %s, got %s", tostring(self.dtype), tostring(t.dtype))
    end
    columns[k] = t:expand(self.shape):reshape(-1):tolist()
  end
  local values = {}
  for i = 1, #columns[1] do
    local value = callable(columns[1][i], columns[2] and columns[2][i], columns[3] and columns[3][i])
    if value == nil then args.fail(name, "the function gave no value for element %d", i - 1) end
    values[i] = value
  end
  if #values > 0 then self:copy_(torch.tensor(values, { dtype = self.dtype }):reshape(self.shape)) end
  return self
end

--- Replaces each element v by callable(v), in place.
function M.apply_(self, callable) return map("apply_", callable, self) end
--- Replaces each element v by callable(v, w), w from a tensor that broadcasts to self.
function M.map_(self, tensor, callable) return map("map_", callable, self, tensor) end
--- map_ with two tensors.
function M.map2_(self, x, y, callable) return map("map2_", callable, self, x, y) end

-- --- questions ---------------------------------------------------------------------------------------------------

local function checked(name, answer)
  local spec = args(name .. "(Tensor input)")
  return function(...) return answer(spec(...)) end
end
-- conj and negation are computed at once, never kept for later.
M.is_conj = checked("is_conj", function() return false end)
M.is_neg = checked("is_neg", function() return false end)
M.is_signed = checked("is_signed", function(x) return x.dtype.is_signed end)
M.is_distributed = checked("is_distributed", function() return false end)
M.is_nonzero = checked("is_nonzero", function(x)
  if x:numel() ~= 1 then
    args.fail("is_nonzero", "the truth of a tensor with %d elements is ambiguous; it must have one", x:numel())
  end
  local v = x:item()
  if type(v) == "boolean" then return v end
  return v ~= 0
end)

return M
