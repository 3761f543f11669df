-- Attributes computed when they are read, for classes made with lampad.class: d.mean, t.domain, c.event_dim.
--
-- Three spellings, looked up by the instances' __index:
--   function Normal:mean() ... end             a method whose name stands in the class's table `getters`
--   Normal.rate = property(function(self) ...)  any other name
--   lazy_property(fn)                           computed once: the value is then kept in the instance
-- On the class itself (`Normal.mean`) one finds the function or the descriptor.
local core = require "lampad.core"

local torch = core.torch
local Property = { __name = "property" }

function Property.__get(descriptor, self, key)
  if not descriptor.lazy then return descriptor.fn(self) end
  local value
  do
    local _ <close> = torch.enable_grad()
    value = descriptor.fn(self)
  end
  rawset(self, key, value)
  return value
end

local M = {}

--- property(fn): an attribute that is fn(self) at every reading.
function M.property(fn) return setmetatable({ fn = fn, lazy = false }, Property) end

--- lazy_property(fn): an attribute that is fn(self) at the first reading, with gradients recorded, and kept.
function M.lazy_property(fn) return setmetatable({ fn = fn, lazy = true }, Property) end

--- True for what lazy_property made.
function M.is_lazy(value) return getmetatable(value) == Property and value.lazy end

--- The __index of a class's instances; a class sets it as `make_index`. Descriptors are tables whose metatable has
--- __get(descriptor, instance, name).
function M.make_index(class)
  return function(self, key)
    local value = class[key]
    local kind = type(value)
    if kind == "function" then
      if class.getters[key] then return value(self) end
    elseif kind == "table" then
      local meta = getmetatable(value)
      local get = type(meta) == "table" and rawget(meta, "__get")
      if get then return get(value, self, key) end
    end
    return value
  end
end

--- A base class whose instances' attributes follow the rules above; getters: the names of its computed attributes.
function M.base_class(name, getters)
  local class = require "lampad.class"
  local base = class.extend(class.Object, name)
  base.getters = {}
  for getter in getters:gmatch "%S+" do base.getters[getter] = true end
  base.make_index = M.make_index
  base.__meta.__index = M.make_index(base)
  return base
end

return M
