-- nn.utils.weight_norm: Salimans and Kingma (2016), a weight as direction and length. This is the older form, a hook
-- before forward; nn.utils.parametrizations.weight_norm is the newer one.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local library = {}

--- v * g / |v|, the norm over all dims but one (dim -1: over all).
function library.compute(v, g, dim) return v * (g / torch.norm_except_dim(v, 2, dim)) end

-- The hook; module[name] is recomputed before each forward.
local WeightNorm = class.extend(class.Object, "WeightNorm")
library.WeightNorm = WeightNorm

function WeightNorm:init(name, dim) self.name, self.dim = name, dim end

function WeightNorm:compute_weight(module)
  return library.compute(module[self.name .. "_v"], module[self.name .. "_g"], self.dim)
end

function WeightNorm:__call(module) rawset(module, self.name, self:compute_weight(module)) end

local function find(module, name)
  for _, entry in ipairs(module._hooks and module._hooks.forward_pre or {}) do
    if class.isinstance(entry.fn, WeightNorm) and entry.fn.name == name then return entry end
  end
end

local spec = args "weight_norm(Module module, str name='weight', int? dim=0)"
local remove_spec = args "remove_weight_norm(Module module, str name='weight')"

--- Replaces the parameter `name` by two, name_g (lengths) and name_v (directions); the lengths are over all dims but
--- `dim` (false, Python's None: one length for all). Returns the module.
function library.weight_norm(...)
  local module, name, dim = spec(...)
  dim = dim or -1
  if find(module, name) then
    args.fail("weight_norm", "Cannot register two weight_norm hooks on the same parameter %s", name)
  end
  local weight = rawget(module, name)
  if not Parameter.is(weight) then
    args.fail("weight_norm", "%s has no parameter named '%s'", module.__name, name)
  end
  local hook = WeightNorm(name, dim)
  local g, v = torch.norm_except_dim(weight, 2, dim):detach(), weight:detach()
  module:del(name)
  module:register_parameter(name .. "_g", Parameter(g))
  module:register_parameter(name .. "_v", Parameter(v))
  rawset(module, name, hook:compute_weight(module))
  module:register_forward_pre_hook(hook)
  return module
end

--- Puts the computed weight back as a parameter; returns the module.
function library.remove_weight_norm(...)
  local module, name = remove_spec(...)
  local entry = find(module, name)
  if not entry then args.fail("remove_weight_norm", "weight_norm of '%s' not found in %s", name, tostring(module)) end
  local weight = entry.fn:compute_weight(module):detach()
  rawset(module, name, nil)
  module:del(name .. "_g")
  module:del(name .. "_v")
  module[name] = Parameter(weight)
  require("lampad.nn.module_hooks").drop(module._hooks, "forward_pre", entry)
  return module
end

return library
