-- torch.cuda as scripts ask it before they choose a device: there is none in this build, so that is_available() is false
-- and `torch.device(torch.cuda.is_available() and "cuda" or "cpu")` gives the CPU. What needs a device says so.
local args = require "lampad.args"
local warnings = require "lampad.warnings"

local M = {}
local autocast_spec = args "autocast(bool enabled=true, dtype dtype=nil, bool? cache_enabled=nil)"

function M.is_available() return false end
function M.device_count() return 0 end
function M.is_initialized() return false end
function M.is_bf16_supported() return false end

-- Of no effect without a device, as in PyTorch.
for _, name in ipairs { "empty_cache", "manual_seed", "manual_seed_all", "seed", "seed_all" } do
  M[name] = function() end
end

-- Nothing is in use.
for _, name in ipairs { "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved" } do
  M[name] = function() return 0 end
end

for _, name in ipairs { "current_device", "synchronize", "set_device", "get_device_name", "get_device_capability",
  "get_device_properties", "mem_get_info", "init", "current_stream", "Stream", "Event", "get_rng_state",
  "set_rng_state" } do
  M[name] = function()
    args.fail("torch.cuda." .. name, "there is no CUDA device in this build; ask torch.cuda.is_available() first")
  end
end

-- The older names of what torch.amp has for all devices.
M.amp = {}

local function deprecated(name)
  warnings.warn(("`torch.cuda.amp.%s(args...)` is deprecated. Please use `torch.amp.%s('cuda', args...)` instead."):format(name,
    name), "FutureWarning")
end

function M.amp.autocast(...)
  deprecated "autocast"
  local mode = require "lampad.amp.autocast_mode"
  local body, given = mode.split_body(...)
  local enabled, dtype, cache_enabled = autocast_spec(table.unpack(given, 1, given.n))
  if body then return mode.autocast("cuda", dtype, enabled, cache_enabled, body) end
  return mode.autocast("cuda", dtype, enabled, cache_enabled)
end

function M.amp.GradScaler(...)
  deprecated "GradScaler"
  return require("lampad.amp").GradScaler("cuda", ...)
end

return M
