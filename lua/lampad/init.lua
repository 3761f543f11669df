-- lampad: the module table `torch`. The C core brings the ops and the tensor type; this file adds the
-- libraries, each loaded when its name is first used.
local core = require "lampad.core"

local torch = core.torch

local submodules = {
  nn = "lampad.nn", optim = "lampad.optim", utils = "lampad.utils", vision = "lampad.vision",
  autograd = "lampad.autograd", func = "lampad.func", vmap = "lampad.func.vmap",
}

--- True when the object is an instance of the class (or of one below it).
function torch.isinstance(object, class)
  local Parameter = package.loaded["lampad.nn.parameter"]
  if Parameter and class == Parameter then return Parameter.is(object) end
  return require("lampad.class").isinstance(object, class)
end

-- Functions with as many results as their options ask for; loaded at the first call.
for _, name in ipairs { "unique", "unique_consecutive", "nonzero" } do
  local function first(...) return require("lampad.unique")[name](...) end
  torch[name], core.methods[name] = first, first
end

-- Scopes of autograd that PyTorch has here too.
-- Switches that change nothing on a CPU, and compile; loaded at the first call.
for _, name in ipairs { "use_deterministic_algorithms", "are_deterministic_algorithms_enabled",
  "is_deterministic_algorithms_warn_only_enabled", "set_deterministic_debug_mode", "get_deterministic_debug_mode",
  "compile" } do
  torch[name] = function(...) return require("lampad.modes")[name](...) end
end

--- set_anomaly_enabled(mode, check_nan = true): as torch.autograd.set_detect_anomaly, from now on.
function torch.set_anomaly_enabled(mode, check_nan)
  require("lampad.autograd.graph").anomaly.set_detect_anomaly(mode, check_nan)
end

-- PyTorch's usual form of the dims, a pair of lists, becomes the two lists of the schema's form.
local tensordot = torch.tensordot
--- Sums of products: dims is a number, or {dims_of_a, dims_of_b}.
function torch.tensordot(...)
  local a, b, dims = ...
  local pair = type(dims) == "table" and (dims.dims or dims)
  if type(pair) == "table" and type(pair[1]) == "table" then return tensordot(a, b, pair[1], pair[2]) end
  return tensordot(...)
end

--- A deep copy of a module, tensor or table: Python's copy.deepcopy.
function torch.deepcopy(value) return require("lampad.copy").deepcopy(value) end

--- torch.del(container, key): Python's `del container[key]`; members of a list-like module count from 0.
function torch.del(container, key)
  if type(container) == "table" and container.del then return container:del(key) end
  container[key] = nil
end

-- Every submodule, loaded or not, for completion.
local function submodule_names()
  local names = {}
  for _, list in ipairs { submodules, core.modules } do
    for name in pairs(list) do
      if not name:find(".", 1, true) and name ~= "optim_kernels" then names[#names + 1] = name end
    end
  end
  return names
end

return setmetatable(torch, {
  __names = submodule_names,
  __index = function(_, name)
    local path = submodules[name]
    local value
    if path then
      value = require(path)
    else
      value = core.modules[name] -- op families without a Lua part: linalg, special, ...
    end
    if value ~= nil then rawset(torch, name, value) end
    return value
  end,
  __name = "lampad",
})
