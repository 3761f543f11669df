-- Under anomaly detection: which module of a network gave the first NaN, for the error about NaNs in backward. Hooks on
-- every module look at inputs and outputs; a module whose inputs have no NaN and whose outputs have one is the origin.
local core = require "lampad.core"
local hooks = require "lampad.nn.module_hooks"

local torch = core.torch

local origins = setmetatable({}, { __mode = "k" }) -- network -> path of its origin, since its last call with clean inputs
local handles

local function is_nan(t)
  return (torch.is_floating_point(t) or torch.is_complex(t)) and torch.isnan(t:detach()):any():item()
end

-- Whether a NaN is among the tensors of a value, also inside lists. Batched tensors of vmap have no single answer: no.
local function has_nan(value)
  if type(value) == "userdata" then
    if not torch.is_tensor(value) then return false end
    local ok, found = pcall(torch.no_grad, function() return is_nan(value) end)
    return ok and found
  end
  if type(value) ~= "table" or getmetatable(value) ~= nil then return false end
  for _, member in pairs(value) do
    if has_nan(member) then return true end
  end
  return false
end

local function before(module, inputs)
  if module == hooks.outermost() and not has_nan(inputs) then origins[module] = nil end
end

local function after(_, inputs, output)
  local network = hooks.outermost()
  if network and not origins[network] and has_nan(output) and not has_nan(inputs) then
    origins[network] = core.module_path()
  end
end

--- "features.3 (Conv2d) of Net" for each network with a NaN, or nil; forgets them.
function core.nan_origin()
  local paths = {}
  for _, path in pairs(origins) do paths[#paths + 1] = path end
  origins = setmetatable({}, { __mode = "k" })
  table.sort(paths)
  return #paths > 0 and table.concat(paths, ", ") or nil
end

--- Watches modules from now on, or no longer.
return function(enabled)
  if enabled and not handles then
    handles = { hooks.module.register_module_forward_pre_hook(before), hooks.module.register_module_forward_hook(after) }
  elseif not enabled and handles then
    for _, handle in ipairs(handles) do handle:remove() end
    handles = nil
    core.nan_origin()
  end
end
