-- Settings and questions of torch as a whole: precision, default types and devices, threads, versions.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local M = {}

local precision = "highest"
local precisions = { highest = true, high = true, medium = true }
--- How precisely float32 matrices are multiplied. All are multiplied in float32; the setting is kept for scripts.
function M.set_float32_matmul_precision(value)
  if not precisions[value] then
    args.fail("set_float32_matmul_precision", "invalid value, expected 'highest', 'high' or 'medium', but got %s",
      tostring(value))
  end
  precision = value
end
function M.get_float32_matmul_precision() return precision end

--- Whether tiny (subnormal) floats become zero; true when the processor can.
function M.set_flush_denormal(mode)
  if type(mode) ~= "boolean" then
    args.fail("set_flush_denormal", "argument 'mode' must be a boolean, got %s", require("lampad.text").describe(mode))
  end
  return core.set_flush_denormal(mode)
end

-- --- defaults ---------------------------------------------------------------------------------------------

local cpu_types = { ["torch.FloatTensor"] = "float32", ["torch.DoubleTensor"] = "float64",
  ["torch.HalfTensor"] = "float16", ["torch.BFloat16Tensor"] = "bfloat16" }
--- The old form of set_default_dtype: takes 'torch.FloatTensor', 'torch.DoubleTensor', ...
function M.set_default_tensor_type(t)
  local name = cpu_types[t]
  if name then return torch.set_default_dtype(torch[name]) end
  args.fail("set_default_tensor_type", "only the floating types of the CPU are supported as the default type "
    .. "('torch.FloatTensor', 'torch.DoubleTensor', 'torch.HalfTensor', 'torch.BFloat16Tensor'), got %s; use "
    .. "torch.set_default_dtype", tostring(t))
end

--- The device of new tensors.
function M.get_default_device() return torch.device "cpu" end
--- The device of new tensors can only be the CPU.
function M.set_default_device(device)
  if device ~= nil and tostring(torch.device(device)) ~= "cpu" then
    args.fail("set_default_device", "only 'cpu' is supported as the default device, got %s; give {device = ...} to the "
      .. "function that makes the tensor", tostring(device))
  end
end

local device_spec = args "get_device(Tensor input)"
--- x:get_device(): -1 on the CPU.
function M.get_device(...) return device_spec(...):get_device() end

-- --- threads ------------------------------------------------------------------------------------------------

local interop
--- The threads for ops that run beside each other. There is no such parallelism (only within ops); the number is kept.
function M.get_num_interop_threads() return interop or torch.get_num_threads() end
function M.set_num_interop_threads(n)
  if math.type(n) ~= "integer" or n < 1 then
    args.fail("set_num_interop_threads", "expected a positive number of threads, got %s",
      require("lampad.text").describe(n))
  end
  if interop then args.fail("set_num_interop_threads", "cannot set number of interop threads twice") end
  interop = n
end

-- --- names ----------------------------------------------------------------------------------------------------

local lua_types = { string = "str", boolean = "bool", table = "dict", ["nil"] = "NoneType" }
--- The name of a value's type: "torch.FloatTensor", "torch.dtype", "Linear", "int".
function M.typename(v)
  if type(v) == "userdata" and torch.is_tensor(v) then return require("lampad.tensor_methods").type_name(v) end
  if require("lampad.storage").is_storage(v) then
    return "torch.storage." .. require("lampad.storage").kind_of(v)
  end
  if type(v) == "number" then return math.type(v) == "integer" and "int" or "float" end
  local class = require("lampad.class").class_of(v)
  if class then return class.__name end
  local meta = getmetatable(v)
  if type(meta) == "table" and type(meta.__name) == "string" then return meta.__name end
  return lua_types[type(v)] or type(v)
end

--- Whether a value is a storage, as x:storage() gives.
function M.is_storage(v) return require("lampad.storage").is_storage(v) end

--- torch.version: what this library is. cuda and hip are nil: there is no such build.
M.version = setmetatable({ __version__ = torch.__version__, debug = false },
  { __tostring = function() return torch.__version__ end })

--- torch.__config__.show() and parallel_info(): what the library was built with, and its threads.
M.__config__ = {
  show = function() return "Lampad built with:\n" .. core.build_info() end,
  parallel_info = function()
    return ("Lampad/Parallel:\n\ttorch.get_num_threads() : %d\n\ttorch.get_num_interop_threads() : %d\n%s"
      .. "Environment variables:\n\tOMP_NUM_THREADS : %s\nParallel backend: OpenMP\n"):format(torch.get_num_threads(),
      M.get_num_interop_threads(), core.build_info(), os.getenv "OMP_NUM_THREADS" or "[not set]")
  end,
}

return M
