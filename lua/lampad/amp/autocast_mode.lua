-- torch.autocast and the functions around its state. What each op does with it stands in its row of the schema; the
-- casting is in tensor/dispatch/autocast.c.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local warnings = require "lampad.warnings"

local torch = core.torch
local fail = args.fail

local M = {}

local supported = { [torch.bfloat16] = true, [torch.float16] = true }

-- "cpu" of "cpu:0"; raises unless the value names a kind of device.
local function device_kind(what, device_type)
  if type(device_type) ~= "string" then
    fail(what, "Expected `device_type` of type `str`, got: %s", text.describe(device_type))
  end
  local ok, device = pcall(torch.device, device_type)
  if not ok then
    fail(what, "unsupported device_type '%s'; expected 'cpu' or 'cuda'", device_type)
  end
  return device.type
end

local function check_dtype(what, dtype)
  if not torch.isinstance(dtype, torch.dtype) then
    fail(what, "argument 'dtype' must be a torch.dtype, got %s", text.describe(dtype))
  end
end

--- The function that stands last among the arguments, or nil, and a list of those before it.
function M.split_body(...)
  local given = table.pack(...)
  local body = given[given.n]
  if type(body) ~= "function" then return nil, given end
  given[given.n] = nil
  given.n = given.n - 1
  return body, given
end

--- is_autocast_available(device_type): can ops on such devices choose their precision? Of "cpu" and, where there is one,
--- "cuda".
function M.is_autocast_available(device_type)
  device_kind("is_autocast_available", device_type)
  return true
end

-- Whether autocast can be in force with the dtype; warns when not.
local function can_enable(kind, dtype)
  if kind == "cuda" then
    warnings.warn "CUDA is not available. Disabling autocast."
    return false
  elseif not supported[dtype] then
    warnings.warn("In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
      .. "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.")
    return false
  end
  return true
end

local spec = args "autocast(any device_type, dtype dtype=nil, bool enabled=true, bool? cache_enabled=nil)"

--- autocast(device_type, {dtype, enabled = true, cache_enabled}, body): a scope in which ops choose their precision.
--- Matrix products, convolutions and attention compute in dtype (bfloat16 on a CPU unless given; or float16), losses,
--- Fourier transforms, decompositions and others that need it in float32, all else in the dtype of its inputs. Models
--- and inputs stay float32, and so do the gradients of parameters. A weight is cast once in the outermost scope, unless
--- cache_enabled is false. Inside, enabled = false switches it off. Leave the scope before backward.
function M.autocast(...)
  local body, given = M.split_body(...)
  local device_type, dtype, enabled, cache_enabled = spec(table.unpack(given, 1, given.n))
  local kind = device_kind("autocast", device_type)
  if dtype == nil then dtype = M.get_autocast_dtype(kind) end
  check_dtype("autocast", dtype)
  if cache_enabled == nil then cache_enabled = torch.is_autocast_cache_enabled() end
  return core.autocast(kind, enabled and can_enable(kind, dtype), dtype, cache_enabled, body)
end

-- --- the state --------------------------------------------------------------------------------------------

--- is_autocast_enabled(device_type = "cuda"): is it in force for ops on such devices?
function M.is_autocast_enabled(device_type)
  return (core.autocast_state(device_kind("is_autocast_enabled", device_type or "cuda")))
end

--- set_autocast_enabled(device_type, enabled): from now on; torch.autocast also puts things back.
function M.set_autocast_enabled(device_type, enabled)
  if type(device_type) == "boolean" and enabled == nil then device_type, enabled = "cuda", device_type end
  local kind = device_kind("set_autocast_enabled", device_type)
  if type(enabled) ~= "boolean" then
    fail("set_autocast_enabled", "argument 'enabled' must be a boolean, got %s", text.describe(enabled))
  end
  local _, dtype = core.autocast_state(kind)
  core.set_autocast_state(kind, enabled, dtype)
end

--- get_autocast_dtype(device_type): the dtype of ops that compute in lower precision.
function M.get_autocast_dtype(device_type)
  local _, dtype = core.autocast_state(device_kind("get_autocast_dtype", device_type))
  return dtype
end

--- set_autocast_dtype(device_type, dtype).
function M.set_autocast_dtype(device_type, dtype)
  local kind = device_kind("set_autocast_dtype", device_type)
  check_dtype("set_autocast_dtype", dtype)
  core.set_autocast_state(kind, core.autocast_state(kind), dtype)
end

-- The older names, one for each kind of device.
for name, kind in pairs { cpu = "cpu", gpu = "cuda" } do
  M["get_autocast_" .. name .. "_dtype"] = function() return M.get_autocast_dtype(kind) end
  M["set_autocast_" .. name .. "_dtype"] = function(dtype) M.set_autocast_dtype(kind, dtype) end
end
function M.is_autocast_cpu_enabled() return M.is_autocast_enabled "cpu" end
function M.set_autocast_cpu_enabled(enabled) M.set_autocast_enabled("cpu", enabled) end

-- --- custom functions -----------------------------------------------------------------------------------------

local function cast(value, kind, dtype)
  if torch.is_tensor(value) then
    local eligible = value:is_floating_point() and value.device.type == kind and value.dtype ~= torch.float64
    return eligible and value:to(dtype) or value
  elseif type(value) == "table" and getmetatable(value) == nil then
    local result = {}
    for key, item in pairs(value) do result[cast(key, kind, dtype)] = cast(item, kind, dtype) end
    return result
  end
  return value
end

-- decorator(fn, options) or decorator(options)(fn), by `wrap(fn, options)`.
local function decorator(what, names, wrap)
  local function check(options)
    if not args.is_named(options) then
      fail(what, "expected options, {device_type = 'cpu'}, got %s", text.describe(options))
    end
    args.check_names(what, options, names)
    local checked = { kind = device_kind(what, options.device_type), cast_inputs = options.cast_inputs }
    if checked.cast_inputs ~= nil then check_dtype(what, checked.cast_inputs) end
    return checked
  end
  return function(fn, options)
    if type(fn) == "function" then return wrap(fn, check(options)) end
    local checked = check(fn)
    return function(inner)
      if type(inner) ~= "function" then fail(what, "expected a function to decorate, got %s", text.describe(inner)) end
      return wrap(inner, checked)
    end
  end
end

--- custom_fwd(forward, {device_type, cast_inputs}), or custom_fwd{...}(forward): for the forward(ctx, ...) of an
--- autograd.Function. With cast_inputs, a dtype, autocast is off inside of it and the tensors that it gets are cast to
--- that first, where autocast is in force.
M.custom_fwd = decorator("custom_fwd", { "device_type", "cast_inputs" }, function(forward, options)
  local kind, cast_inputs = options.kind, options.cast_inputs
  return function(ctx, ...)
    local enabled, dtype = core.autocast_state(kind)
    ctx._autocast_dtype = dtype
    ctx._forward_used_autocast = enabled and cast_inputs == nil
    if not enabled or cast_inputs == nil then return forward(ctx, ...) end
    local given = table.pack(...)
    for i = 1, given.n do given[i] = cast(given[i], kind, cast_inputs) end
    local _ <close> = M.autocast(kind, { enabled = false })
    return forward(ctx, table.unpack(given, 1, given.n))
  end
end)

--- custom_bwd(backward, {device_type}), or custom_bwd{...}(backward): for the backward of a Function whose forward has
--- custom_fwd: runs it with autocast as it was in forward.
M.custom_bwd = decorator("custom_bwd", { "device_type" }, function(backward, options)
  return function(ctx, ...)
    local _ <close> = core.autocast(options.kind, ctx._forward_used_autocast, ctx._autocast_dtype,
      torch.is_autocast_cache_enabled())
    return backward(ctx, ...)
  end
end)

return M
