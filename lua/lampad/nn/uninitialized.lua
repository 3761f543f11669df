-- nn.UninitializedParameter and nn.UninitializedBuffer: tensors of a lazy module whose shape is not known yet.
--
-- Such a value is an empty tensor with a metatable of its own, so that no op takes it for a tensor. It knows its dtype
-- and device, which may change; materialize(shape) gives it memory and makes it an ordinary tensor, the same object.
local core = require "lampad.core"
local args = require "lampad.args"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local sample = torch.empty(0)
local tensor_meta = debug.getmetatable(sample)
local kinds = {}
local M = {}

--- True for an UninitializedParameter or an UninitializedBuffer.
local function is_lazy(value)
  return type(value) == "userdata" and kinds[debug.getmetatable(value)] ~= nil
end
M.is_lazy = is_lazy

-- Runs fn on the plain tensor inside.
local function as_tensor(value, fn, ...)
  local meta = debug.getmetatable(value)
  debug.setmetatable(value, tensor_meta)
  local results = table.pack(pcall(fn, value, ...))
  debug.setmetatable(value, meta)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local function convert(value, ...)
  as_tensor(value, function(t, ...)
    local changed = t:detach():to(...)
    local requires_grad = t.requires_grad
    t:requires_grad_(false)
    t.data = changed
    if requires_grad and changed.dtype.is_floating_point then t:requires_grad_(true) end
  end, ...)
  return value
end

local methods = {}

--- Another dtype or device; the value itself changes.
methods.to = convert

for method, dtype in pairs {
  half = "float16", float = "float32", double = "float64", char = "int8", short = "int16", int = "int32", long = "int64",
} do
  methods[method] = function(self) return convert(self, torch[dtype]) end
end
function methods.cpu(self) return convert(self, "cpu") end
function methods.cuda(self, device) return convert(self, device or "cuda") end

--- state_dict() holds the value itself.
function methods.detach(self) return self end
function methods.is_floating_point(self) return self.dtype.is_floating_point end
function methods.is_complex(self) return self.dtype.is_complex end
function methods.get_device(self) return as_tensor(self, function(t) return t:get_device() end) end

function methods.share_memory_()
  args.fail(nil, "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the "
    .. "parameters before calling `module.share_memory()`.")
end

local materialize_spec = args "materialize(ints shape, device device=nil, dtype dtype=nil)"

--- Memory of this shape, not filled; from here on the value is a Parameter or a tensor like any other.
function methods.materialize(self, shape, ...)
  if type(shape) == "userdata" then shape = { shape:unpack() } end
  local sizes, device, dtype = materialize_spec(shape, ...)
  if type(sizes) == "number" then sizes = { sizes } end
  local requires_grad = self.requires_grad
  local data = torch.empty(sizes, { device = device or self.device, dtype = dtype or self.dtype })
  debug.setmetatable(self, tensor_meta)
  self:requires_grad_(false)
  self.data = data
  if requires_grad then self:requires_grad_(true) end
end

local fields = { dtype = true, device = true, requires_grad = true, is_leaf = true, grad = true, grad_fn = true, layout = true }

local function make_kind(name)
  local meta = { __name = name, __metatable = name, __gc = tensor_meta.__gc }
  function meta.__tostring() return "<" .. name .. ">" end
  local function refuse(what)
    args.fail(nil, "Attempted to use an uninitialized parameter in %s. This error happens when you are using a `LazyModule` "
      .. "or explicitly manipulating `torch.nn.parameter.%s` objects. When using LazyModules Call `forward` with a dummy "
      .. "batch to initialize the parameters before calling torch functions", what, name)
  end
  function meta.__index(self, key)
    if methods[key] then return methods[key] end
    if fields[key] then return as_tensor(self, function(t) return t[key] end) end
    if key == "shape" or key == "ndim" then
      args.fail(nil, "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
        .. "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` to "
        .. "initialize the parameters before accessing their attributes.")
    end
    -- What no tensor answers to is nil here too.
    local ok, value = pcall(function() return sample[key] end)
    if type(key) == "string" and ok and value == nil then return nil end
    refuse(tostring(key))
  end
  function meta.__newindex(self, key, value)
    if key ~= "requires_grad" and key ~= "grad" then refuse(tostring(key)) end
    as_tensor(self, function(t) t[key] = value end)
  end
  for key, value in pairs(tensor_meta) do
    if type(value) == "function" and meta[key] == nil then
      meta[key] = function() return refuse(key:sub(3)) end
    end
  end
  meta.__eq = function(a, b) return rawequal(a, b) end
  meta.__concat = nil
  kinds[meta] = name
  return meta
end

local parameter_meta, buffer_meta = make_kind "UninitializedParameter", make_kind "UninitializedBuffer"

local function new(meta, requires_grad, device, dtype)
  local value = torch.empty({ 0 }, args.making(device, dtype))
  if requires_grad then value:requires_grad_(true) end
  if meta == parameter_meta then Parameter.mark(value) end
  return debug.setmetatable(value, meta)
end

--- Another one of the same kind, dtype, device and requires_grad.
function M.copy(value)
  return new(debug.getmetatable(value), value.requires_grad, value.device, value.dtype)
end

--- The fields of a class that can only be called.
local function callable(name, fn)
  return setmetatable({ __name = name }, {
    __call = function(_, ...) return fn(...) end,
    __tostring = function() return "class " .. name end,
  })
end

local parameter_spec = args "UninitializedParameter(bool requires_grad=true, device device=nil, dtype dtype=nil)"
local buffer_spec = args [[UninitializedBuffer(bool requires_grad=false, device device=nil, dtype dtype=nil,
  bool persistent=true)]]

--- nn.UninitializedParameter(requires_grad = true, device = nil, dtype = nil)
M.UninitializedParameter = callable("UninitializedParameter", function(...)
  return new(parameter_meta, parameter_spec(...))
end)

--- nn.UninitializedBuffer(requires_grad = false, device = nil, dtype = nil, persistent = true): whether it is persistent is
--- said to register_buffer.
M.UninitializedBuffer = callable("UninitializedBuffer", function(...)
  local requires_grad, device, dtype = buffer_spec(...)
  return new(buffer_meta, requires_grad, device, dtype)
end)

return M
