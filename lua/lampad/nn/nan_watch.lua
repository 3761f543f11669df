-- Under anomaly detection: which module of a network gave the first NaN, for the error about NaNs in backward. Hooks on
-- every module look at inputs and outputs; a module whose inputs have no NaN and whose outputs have one is the origin.
local core = require "lampad.core"
local hooks = require "lampad.nn.module_hooks"

local torch = core.torch

local function new_table() return setmetatable({}, { __mode = "k" }) end

local CLEAN = "" -- the path of a network whose modules have given no NaN
local origins = new_table() -- network -> path of its origin, since its last call with clean inputs
local entered = new_table() -- networks whose inputs had NaNs when they were called last
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
  if module ~= hooks.outermost() then return end
  if not has_nan(inputs) then
    origins[module], entered[module] = CLEAN, nil
  elseif origins[module] == nil or origins[module] == CLEAN then
    origins[module], entered[module] = nil, true
  end
end

local function after(_, inputs, output)
  local network = hooks.outermost()
  if network and (origins[network] or CLEAN) == CLEAN and has_nan(output) and not has_nan(inputs) then
    origins[network] = core.module_path()
  end
end

--- Where the NaNs of the forward came from, as a sentence: out of a module ("features.3 (Conv2d) of Net"), with the input of
--- a network, or from none of the modules that ran; nil when none did. Forgets what it knew.
function core.nan_origin()
  local paths, inputs, ran = {}, {}, false
  for _, path in pairs(origins) do
    ran = true
    if path ~= CLEAN then paths[#paths + 1] = path end
  end
  for network in pairs(entered) do inputs[#inputs + 1] = network.__name end
  origins, entered = new_table(), new_table()
  table.sort(paths)
  table.sort(inputs)
  if #paths > 0 then return "The first NaN of the forward came out of " .. table.concat(paths, ", ") end
  if #inputs > 0 then return "NaNs were in the input of " .. table.concat(inputs, ", ") .. " already" end
  return ran and "No module's output had a NaN: it was made outside of modules, or by this derivative" or nil
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
