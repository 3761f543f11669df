-- Classes: `local Net = nn.Module:extend "Net"`, `Net.super`, `Net(...)`, `isinstance(x, Net)`.
--
-- A class is the table of its methods; what it lacks is looked up in its parent. Each class has one
-- metatable for its instances, `Class.__meta`, which starts as a copy of its parent's metamethods;
-- a method named like a metamethod (`function Net:__tostring()`) goes there.
-- `Class(...)` makes an instance with `Class.allocate(Class)` and then calls `instance:init(...)`.
local Object = {}

local function construct(class, ...)
  local self = class.allocate(class)
  class.init(self, ...)
  return self
end

-- Python's names of methods, which would never be called, and ours.
local python_names = {
  __init__ = "init", __call__ = "__call", __len__ = "len", __getitem__ = "getitem", __repr__ = "__tostring",
  __str__ = "__tostring", __iter__ = "iter",
}

local function set_class_field(class, key, value)
  if python_names[key] then
    error(("%s: Python's '%s' is '%s' in Lua"):format(class.__name, key, python_names[key]), 2)
  end
  if type(key) == "string" and key:sub(1, 2) == "__" then class.__meta[key] = value end
  rawset(class, key, value)
end

--- A class below `parent`. `parent.make_index(class)`, where there is one, gives the instances'
--- __index (for classes whose instances answer to integers); otherwise it is the class itself.
local function extend(parent, name)
  if type(name) ~= "string" then
    error(("extend: the class name must be a string, got %s"):format(type(name)), 2)
  end
  local class = { __name = name, super = parent }
  local meta = {}
  for key, value in pairs(parent.__meta) do meta[key] = value end
  class.__meta = meta
  meta.__name, meta.class = name, class
  setmetatable(class, {
    __index = parent, __call = construct, __newindex = set_class_field,
    __name = "class", __tostring = function() return "class " .. name end,
  })
  meta.__index = parent.make_index and parent.make_index(class) or class
  return class
end

--- Does nothing: what `Net.super.init(self)`, Python's super().__init__(), reaches in the end.
function Object.init() end

Object.__name = "Object"
Object.__meta = {}
Object.extend = extend

function Object.allocate(class)
  return setmetatable({}, class.__meta)
end

--- The class of an instance, or nil.
local function class_of(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.class or nil
end

--- True when value is an instance of the class or of one below it.
local function isinstance(value, class)
  local c = class_of(value)
  while c do
    if c == class then return true end
    c = rawget(c, "super")
  end
  return false
end

--- instance:isinstance(Class).
function Object:isinstance(class) return isinstance(self, class) end

return { Object = Object, extend = extend, isinstance = isinstance, class_of = class_of }
