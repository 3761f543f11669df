-- nn.ParameterList and nn.ParameterDict: modules that hold parameters, as a list that counts from 0 or by name.
-- Tensors become Parameters when they come in; other values are kept as they are and take no part in the state.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local containers = require "lampad.nn.containers"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local set_attribute = Module.__meta.__newindex

-- A tensor that is no Parameter becomes one.
local function as_parameter(value)
  if type(value) ~= "userdata" or not torch.is_tensor(value) or Parameter.is(value) then return value end
  return Parameter(value)
end

-- "Parameter containing: [torch.float32 of size 2x3]"
local function describe(value, type_name)
  if type(value) == "userdata" and torch.is_tensor(value) then
    return ("%s containing: [%s of size %s%s]"):format(Parameter.is(value) and "Parameter" or "Tensor",
      type_name(value), table.concat({ value.shape:unpack() }, "x"),
      value.is_cuda and (" (GPU %d)"):format(value:get_device()) or "")
  end
  local kinds = { string = "str", boolean = "bool", table = "dict" }
  local kind = kinds[type(value)] or (math.type(value) == "integer" and "int" or type(value) == "number" and "float")
  return "Object of type: " .. (Module.is_module(value) and value.__name or kind or type(value))
end

local function repr(self, names, values, type_name)
  local lines = { self:_get_name() .. "(" }
  for i, value in ipairs(values) do
    local shown = Module.is_module(value) and tostring(value) or describe(value, type_name)
    lines[#lines + 1] = "    (" .. names[i] .. "): " .. text.indent(shown, 4)
  end
  if #lines == 1 then return lines[1] .. ")" end
  return table.concat(lines, "\n") .. "\n)"
end

-- --- ParameterList ------------------------------------------------------------------------------------
local ParameterList = containers.List:extend "ParameterList"

-- Members stand under "0", "1", ...
function ParameterList:_members()
  local names, values = {}, {}
  while true do
    local name = tostring(#names)
    local value = rawget(self, name)
    if value == nil then return names, values end
    names[#names + 1], values[#values + 1] = name, value
  end
end

function ParameterList:_check_member(value)
  if value == nil then args.fail("ParameterList", "a member must not be nil") end
  return as_parameter(value)
end

--- nn.ParameterList{p, q}: tensors become Parameters; list[i] counts from 0, also list["1:3"], #list, list:iter(),
--- append, extend.
function ParameterList:init(values)
  if values ~= nil then self:extend_with(values) end
end

function ParameterList.__call() args.fail(nil, "ParameterList should not be called.") end

function ParameterList.__tostring(self)
  local names, values = self:_members()
  return repr(self, names, values, function(t) return tostring(t.dtype) end)
end

-- --- ParameterDict ------------------------------------------------------------------------------------
local ParameterDict = Module:extend "ParameterDict"

function ParameterDict.allocate(C)
  local self = Module.allocate(C)
  rawset(self, "_keys", {})
  return self
end

local function position(self, key)
  for i, name in ipairs(rawget(self, "_keys")) do
    if name == key then return i end
  end
end

--- nn.ParameterDict{w = tensor, ...} (names sorted), an ordered map, a list of pairs or another ParameterDict. An
--- entry is a field: dict.w. To replace one, assign a Parameter or call dict:update{w = tensor}.
function ParameterDict:init(parameters)
  if parameters ~= nil then self:update(parameters) end
end

-- Every name assigned from outside is an entry; `training` and the like are fields from the start.
function ParameterDict.__newindex(self, key, value)
  if type(key) ~= "string" then
    args.fail("ParameterDict", "the key must be a string, got %s", text.describe(key))
  end
  if key:find(".", 1, true) then args.fail("ParameterDict", "the key can't contain \".\", got '%s'", key) end
  if not position(self, key) then table.insert(rawget(self, "_keys"), key) end
  set_attribute(self, key, as_parameter(value))
end

local function live(self)
  local names, values = {}, {}
  for _, name in ipairs(rawget(self, "_keys")) do
    local value = rawget(self, name)
    if value ~= nil then names[#names + 1], values[#values + 1] = name, value end
  end
  return names, values
end

--- Adds every entry of a table, an ordered map, a list of pairs or another ParameterDict.
function ParameterDict:update(parameters)
  for _, pair in ipairs(containers.pairs_of("ParameterDict", parameters)) do
    if self:contains(pair[1]) then rawset(self, pair[1], as_parameter(pair[2])) else self[pair[1]] = pair[2] end
  end
end

--- Iterator over name, value in order.
function ParameterDict:items()
  local names, values = live(self)
  local i = 0
  return function()
    i = i + 1
    return names[i], values[i]
  end
end

--- Iterator over the names.
function ParameterDict:keys()
  local next_item = self:items()
  return function() return (next_item()) end
end
ParameterDict.iter = ParameterDict.keys

--- Iterator over the values.
function ParameterDict:values()
  local next_item = self:items()
  return function() return (select(2, next_item())) end
end

--- Whether there is an entry of that name.
function ParameterDict:contains(key) return position(self, key) ~= nil and rawget(self, key) ~= nil end

--- The value of a key, or `default`.
function ParameterDict:get(key, default)
  if self:contains(key) then return rawget(self, key) end
  return default
end

--- The value of a key, which is `default` from now on when the key is new.
function ParameterDict:setdefault(key, default)
  if not self:contains(key) then self[key] = default end
  return rawget(self, key)
end

--- Removes an entry.
function ParameterDict:del(key)
  local i = position(self, key)
  if not i then args.fail("ParameterDict", "no entry named '%s'", tostring(key)) end
  table.remove(rawget(self, "_keys"), i)
  Module.del(self, key)
end

--- Removes an entry and returns its value.
function ParameterDict:pop(key)
  local value = self:get(key)
  self:del(key)
  return value
end

--- Removes the last entry; returns its name and value.
function ParameterDict:popitem()
  local names, values = live(self)
  if #names == 0 then args.fail("ParameterDict", "popitem: it is empty") end
  self:del(names[#names])
  return names[#names], values[#names]
end

--- Removes all entries.
function ParameterDict:clear()
  for _, name in ipairs((live(self))) do self:del(name) end
end

--- A ParameterDict with the same parameters.
function ParameterDict:copy() return ParameterDict(self) end

--- A ParameterDict with the keys of a list (or of self) and one value for all.
function ParameterDict:fromkeys(keys, default)
  local result = ParameterDict()
  local names = keys == nil and live(self) or iterate.list(keys)
  if not names then
    args.fail("ParameterDict", "fromkeys takes a list or an iterator of names, got %s", text.describe(keys))
  end
  for _, key in ipairs(names) do result[key] = default end
  return result
end

--- a | b: the entries of both, those of b where both have a name.
function ParameterDict.__bor(a, b)
  local result = ParameterDict(a)
  result:update(b)
  return result
end

function ParameterDict.__pairs(self) return self:items() end
function ParameterDict.__len(self) return #live(self) end
function ParameterDict:len() return #self end

function ParameterDict.__call() args.fail(nil, "ParameterDict should not be called.") end

function ParameterDict.__tostring(self)
  local names, values = live(self)
  return repr(self, names, values, function(t) return t:type() end)
end

return { ParameterList = ParameterList, ParameterDict = ParameterDict }
