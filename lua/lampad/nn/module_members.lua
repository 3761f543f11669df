-- module._modules, module._parameters and module._buffers: PyTorch's dicts of a module's own members, as scripts read
-- and write them (`model._modules["fc"] = nn.Linear(8, 2)`, `for name, m in pairs(model._modules) do`).
--
-- A view holds nothing but its module (module.lua says where members stand), so it is always up to date. Its keys come in
-- the order of registration and include the names of members that are nil, as None stands in PyTorch's dicts:
-- `view[name] = nil` empties a place, view:del(name) and view:pop(name) remove it. Keys are taken when a loop starts, so
-- a loop may replace, add and remove members. A key named like a method hides that method.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"
local Parameter = require "lampad.nn.parameter"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local known_parameters = Parameter.known
local rawget, rawset, getmetatable, type = rawget, rawset, getmetatable, type

local MODULE = {} -- key of a view's module; a table, so that no name can meet it

local function is_tensor(value)
  return type(value) == "userdata" and (torch.is_tensor(value) or is_lazy(value))
end

-- What the three dicts differ in: `field` of the module; the slot's kind; holds(module, name, value) for a member that
-- is not nil; expected, for messages; accept(value): the value to store, or nil when it does not fit.
local function kinds(Module)
  return {
    {
      field = "_modules", slot = "module", expected = "nn.Module",
      holds = function(_, _, value) return Module.is_module(value) end,
      accept = function(value) return Module.is_module(value) and value or nil end,
    },
    {
      field = "_parameters", slot = "parameter", expected = "tensor",
      holds = function(_, _, value) return type(value) == "userdata" and known_parameters[value] == true end,
      -- Scripts that adapt weights (MAML) put computed tensors here: they count as parameters from then on.
      accept = function(value) return is_tensor(value) and Parameter.mark(value) or nil end,
    },
    {
      field = "_buffers", slot = "value", expected = "tensor that is no Parameter",
      holds = function(module, name, value)
        local declared = rawget(module, "_persistence")
        return declared and declared[name] ~= nil and is_tensor(value) and not known_parameters[value]
      end,
      accept = function(value) return is_tensor(value) and not known_parameters[value] and value or nil end,
    },
  }
end

-- Whether the module has a place of the view's kind under the name, empty or not.
local function has(kind, module, name)
  local value = rawget(module, name)
  if value ~= nil then return kind.holds(module, name, value) and true or false end
  if kind.slot ~= "value" then return rawget(module, "_slot")[name] == kind.slot end
  local declared = rawget(module, "_persistence")
  return declared and declared[name] ~= nil or false
end

local function names_of(kind, module)
  local names = {}
  for _, name in ipairs(rawget(module, "_order")) do
    if has(kind, module, name) then names[#names + 1] = name end
  end
  return names
end

local function set(kind, view, name, value, store)
  local module, what = rawget(view, MODULE), "Module." .. kind.field
  if type(name) ~= "string" then args.fail(what, "a name must be a string, got %s", text.describe(name)) end
  if value == nil then
    if has(kind, module, name) then rawset(module, name, nil) end
    return
  end
  local accepted = kind.accept(value)
  if accepted == nil then
    args.fail(what, "cannot assign %s to '%s' (%s or nil expected)", text.describe(value), name, kind.expected)
  end
  if kind.slot == "value" and not has(kind, module, name) then store.declare_buffer(module, name, true) end
  if rawget(module, name) == nil then module[name] = accepted else store.place(module, name, accepted, kind.slot) end
end

-- The metatable of a kind's views, with the dict's methods behind the names.
local function make_meta(kind, Module, store)
  local methods = {}
  local meta = { __name = kind.field }

  local function module_of(view, method)
    if getmetatable(view) ~= meta then
      args.fail(nil, "%s.%s is a method: call it with a colon, view:%s(...)", kind.field, method, method)
    end
    return rawget(view, MODULE)
  end

  --- Iterator over name, member in the order of registration; the member of an empty place is nil.
  function methods.items(view)
    local module = module_of(view, "items")
    local names, i = names_of(kind, module), 0
    return function()
      i = i + 1
      local name = names[i]
      if name ~= nil then return name, rawget(module, name) end
    end
  end

  --- Iterator over the names.
  function methods.keys(view)
    local names, i = names_of(kind, module_of(view, "keys")), 0
    return function()
      i = i + 1
      return names[i]
    end
  end

  --- Iterator over the members; empty places are passed over.
  function methods.values(view)
    local next_item = methods.items(view)
    return function()
      local name, value = next_item()
      while name ~= nil and value == nil do name, value = next_item() end
      return value
    end
  end

  --- The member of a name, or `default`.
  function methods.get(view, name, default)
    local module = module_of(view, "get")
    if has(kind, module, name) then return rawget(module, name) end
    return default
  end

  function methods.contains(view, name) return has(kind, module_of(view, "contains"), name) end
  function methods.len(view) return #names_of(kind, module_of(view, "len")) end

  --- Removes a name with its place.
  function methods.del(view, name)
    local module = module_of(view, "del")
    if not has(kind, module, name) then args.fail("Module." .. kind.field, "no key '%s'", tostring(name)) end
    class.class_of(module).del(module, name)
  end

  --- Removes a name and returns its member, or `default` when there is no such name.
  function methods.pop(view, name, default)
    local module = module_of(view, "pop")
    if not has(kind, module, name) then
      if default ~= nil then return default end
      args.fail("Module." .. kind.field, "no key '%s'", tostring(name))
    end
    local value = rawget(module, name)
    class.class_of(module).del(module, name)
    return value
  end

  --- Removes the last name; returns it and its member.
  function methods.popitem(view)
    local names = names_of(kind, module_of(view, "popitem"))
    if #names == 0 then args.fail("Module." .. kind.field, "popitem: it is empty") end
    return names[#names], methods.pop(view, names[#names])
  end

  --- Removes all names.
  function methods.clear(view)
    for name in methods.keys(view) do methods.del(view, name) end
  end

  --- Sets every entry of a table by name (sorted), of an ordered map or of another view.
  function methods.update(view, members)
    module_of(view, "update")
    if type(members) ~= "table" or Module.is_module(members) then
      args.fail("Module." .. kind.field, "update takes a table by name or an ordered map, got %s", text.describe(members))
    end
    local own = getmetatable(members)
    if own == nil or OrderedDict.is(members) then members = OrderedDict(members) end
    for name, value in pairs(members) do set(kind, view, name, value, store) end
  end

  --- An ordered map of the members that are there now.
  function methods.copy(view)
    local result = OrderedDict()
    for name, value in methods.items(view) do result[name] = value end
    return result
  end

  function meta.__index(view, name)
    local module = rawget(view, MODULE)
    if type(name) == "string" and has(kind, module, name) then return rawget(module, name) end
    return methods[name]
  end
  function meta.__newindex(view, name, value) set(kind, view, name, value, store) end
  function meta.__len(view) return methods.len(view) end
  meta.__pairs = methods.items

  --- {'fc': Linear(...)}, as Python writes a dict.
  function meta.__tostring(view)
    local parts = {}
    for name, value in methods.items(view) do
      parts[#parts + 1] = ("'%s': %s"):format(name, value == nil and "None" or text.repr(value))
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return meta
end

--- A function that gives a new module its three views. store: place(self, name, value, kind) and declare_buffer(self,
--- name, persistent) of module.lua.
return function(Module, store)
  local metas = {}
  for i, kind in ipairs(kinds(Module)) do metas[i] = make_meta(kind, Module, store) end
  local modules, parameters, buffers = metas[1], metas[2], metas[3]
  return function(self)
    self._modules = setmetatable({ [MODULE] = self }, modules)
    self._parameters = setmetatable({ [MODULE] = self }, parameters)
    self._buffers = setmetatable({ [MODULE] = self }, buffers)
    return self
  end
end
