-- LazyModuleMixin: layers that learn a size from their first input, as PyTorch's torch.nn.modules.lazy describes them.
--
-- A lazy layer holds UninitializedParameters. Its first call runs initialize_parameters(input), which gives them their
-- shapes and values; then the layer becomes an instance of `cls_to_become`: LazyLinear becomes Linear.
local core = require "lampad.core"
local args = require "lampad.args"
local Module = require "lampad.nn.module"
local OrderedDict = require "lampad.ordered_dict"
local uninitialized = require "lampad.nn.uninitialized"

local torch = core.torch
local is_lazy = uninitialized.is_lazy

local LazyModuleMixin = { __name = "LazyModuleMixin" }

-- Calls visit(name, value) for the layer's own parameters and buffers that are not initialised.
local function each_lazy(self, visit)
  for _, name in ipairs(rawget(self, "_order")) do
    local value = rawget(self, name)
    if is_lazy(value) then visit(name, value) end
  end
end

local methods = {}

--- Gives the parameters their shapes and values, from the arguments of the first call; a lazy class defines it.
function methods:initialize_parameters()
  args.fail(nil, "initialize_parameters is not implemented for %s", self.__name)
end

--- Whether a parameter or a buffer of the layer has no shape yet.
function methods:has_uninitialized_params()
  local found = false
  each_lazy(self, function() found = true end)
  return found
end

-- The step before the first forward.
function methods:_infer_parameters(...)
  self:initialize_parameters(...)
  if self:has_uninitialized_params() then
    args.fail(nil, "module %s has not been fully initialized", self.__name)
  end
  rawset(self, "_inferred", true)
  local becomes = self.cls_to_become
  if becomes then
    rawset(self, "_inferred", nil)
    setmetatable(self, becomes.__meta)
  end
end

-- What is not initialised takes the shape of what is loaded.
function methods:_load_from_state_dict(state, prefix, ...)
  each_lazy(self, function(name, value)
    local input = OrderedDict.get(state, prefix .. name)
    if torch.is_tensor(input) then torch.no_grad(function() value:materialize(input.shape) end) end
  end)
  self._lazy_base._load_from_state_dict(self, state, prefix, ...)
end

function methods._replicate_for_data_parallel()
  args.fail(nil, "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass to "
    .. "correctly initialize the modules")
end

local call = Module.__meta.__call

--- Makes a subclass of nn.Module lazy, before its methods are defined: LazyModuleMixin(Class, cls_to_become). The class
--- defines initialize_parameters(self, input, ...).
local function mix(_, Class, becomes)
  if type(Class) ~= "table" or not rawget(Class, "__meta") then
    args.fail("LazyModuleMixin", "argument 'Class' must be a subclass of nn.Module, got %s", type(Class))
  end
  for name, method in pairs(methods) do Class[name] = method end
  Class._lazy_base, Class.cls_to_become = Class.super, becomes
  function Class.__call(self, ...)
    if not rawget(self, "_inferred") then self:_infer_parameters(...) end
    return call(self, ...)
  end
  return Class
end

return setmetatable(LazyModuleMixin, { __call = mix, __tostring = function() return "class LazyModuleMixin" end })
