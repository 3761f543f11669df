-- nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList: modules that hold others.
-- The list-like ones count from 0: seq[0], seq[-1], seq["1:3"], #seq, seq[2] = m, seq:append(m).
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local OrderedDict = require "lampad.ordered_dict"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local is_module, own_children = Module.is_module, Module.own_children

-- --- list-like containers: integers index the members in order ---------------------------------------
local List = Module:extend "_ListContainer"

-- Member names and values in order; ParameterList overrides it.
List._members = own_children

function List:_check_member(value)
  if not is_module(value) then args.fail(self.__name, "%s is not a Module", text.describe(value)) end
end

-- 0-based position from an index that may be negative.
local function position(self, index, count)
  local at = index < 0 and index + count or index
  if at < 0 or at >= count then
    args.fail(self.__name, "index %d is out of range for a container of %d", index, count)
  end
  return at
end

-- "1:3" -> first, last, step as 0-based half-open bounds.
local function slice_bounds(self, key, count)
  local from, to, step = key:match("^%s*(-?%d*)%s*:%s*(-?%d*)%s*:?%s*(%d*)%s*$")
  if not from then args.fail(self.__name, "'%s' is no slice; write \"1:3\"", key) end
  local function bound(s, default)
    local v = tonumber(s) or default
    if v < 0 then v = v + count end
    return math.max(0, math.min(count, v))
  end
  return bound(from, 0), bound(to, count), math.max(1, tonumber(step) or 1)
end

local function get(self, index)
  local _, members = self:_members()
  return members[position(self, index, #members) + 1]
end

local function slice(self, key)
  local names, members = self:_members()
  local from, to, step = slice_bounds(self, key, #members)
  local result = rawget(getmetatable(self), "class")()
  for i = from, to - 1, step do
    -- A Sequential keeps its names; lists number anew.
    local name = self._keeps_names and names[i + 1] or tostring(#result)
    result[name] = members[i + 1]
  end
  return result
end

function List.make_index(C)
  return function(self, key)
    if math.type(key) == "integer" then return get(self, key) end
    local value = C[key]
    if value == nil and type(key) == "string" and key:find(":", 1, true) then return slice(self, key) end
    return value
  end
end

local set_attribute = Module.__meta.__newindex
function List.__newindex(self, key, value)
  if math.type(key) ~= "integer" then return set_attribute(self, key, value) end
  local names = self:_members()
  if value == nil then return self:del(key) end
  self:_check_member(value)
  self[names[position(self, key, #names) + 1]] = value
end

function List.__len(self)
  local _, members = self:_members()
  return #members
end
function List:len() return #self end

-- Renames the members "0", "1", ... in the given order.
local function renumber(self, members)
  local names = self:_members()
  for _, name in ipairs(names) do
    rawset(self, name, nil)
    self._slot[name] = nil
  end
  local kept = {}
  for _, name in ipairs(self._order) do
    if self._slot[name] then kept[#kept + 1] = name end
  end
  rawset(self, "_order", kept)
  for i, member in ipairs(members) do self[tostring(i - 1)] = member end
end

--- Adds a member at the end; returns self.
function List:append(member)
  self:_check_member(member)
  self[tostring(#self)] = member
  return self
end

--- Adds every member of a list, an iterator or another container; returns self.
function List:extend_with(members)
  for _, member in ipairs(iterate.list(members) or args.fail(self.__name,
    "extend_with takes a list or an iterator, got %s", text.describe(members))) do
    self:append(member)
  end
  return self
end

--- list:extend(members) on an instance adds members; List:extend "Name" on a class makes a class.
function List.extend(self, what)
  if rawget(self, "__meta") then return class.extend(self, what) end
  return self:extend_with(what)
end

--- Puts a member before position `index` (counted from 0).
function List:insert(index, member)
  self:_check_member(member)
  local _, members = self:_members()
  local count = #members
  if index < -count or index > count then
    args.fail(self.__name, "insert: index %d is out of range for a container of %d", index, count)
  end
  if index < 0 then index = index + count end
  local list = table.move(members, 1, count, 1, {})
  table.insert(list, index + 1, member)
  renumber(self, list)
  return self
end

--- Removes the member at `index`; those after it move up.
function List:del(index)
  local _, members = self:_members()
  local list = table.move(members, 1, #members, 1, {})
  table.remove(list, position(self, index, #list) + 1)
  renumber(self, list)
end

--- Removes and returns the member at `index` (the last one by default).
function List:pop(index)
  local member = get(self, index or -1)
  self:del(index or -1)
  return member
end

--- Iterator over the members: for layer in list:iter() do.
function List:iter()
  local _, members = self:_members()
  local i = 0
  return function()
    i = i + 1
    return members[i]
  end
end

--- for i, layer in list:enumerate() do, counting from 0.
function List:enumerate()
  local _, members = self:_members()
  local i = -1
  return function()
    i = i + 1
    if members[i + 1] ~= nil then return i, members[i + 1] end
  end
end

-- --- Sequential -------------------------------------------------------------------------------------
local Sequential = List:extend "Sequential"
Sequential._keeps_names = true

--- nn.Sequential(a, b, ...), nn.Sequential{a, b}, or with names from an ordered map or a list of pairs:
--- nn.Sequential{{"conv", a}, {"act", b}}.
function Sequential:init(...)
  local given = table.pack(...)
  local first = given[1]
  if given.n == 1 and not is_module(first) then
    if OrderedDict.is(first) then
      for name, module in OrderedDict.items(first) do self:add_module(name, module) end
      return
    end
    given = iterate.list(first) or given
    given.n = #given
    for i = 1, given.n do
      local pair = given[i]
      if type(pair) == "table" and getmetatable(pair) == nil then
        self:add_module(pair[1], pair[2])
        given[i] = false
      end
    end
  end
  for i = 1, given.n do
    if given[i] then
      self:_check_member(given[i])
      self[tostring(i - 1)] = given[i]
    elseif given[i] == nil then
      args.fail("Sequential", "argument %d is nil, expected a module", i)
    end
  end
end

-- Calls the modules from position i on; tail calls, so any number of values passes along.
local function run(self, order, i, ...)
  local name = order[i]
  while name ~= nil do
    local module = rawget(self, name)
    i = i + 1
    if is_module(module) then return run(self, order, i, module(...)) end
    name = order[i]
  end
  return ...
end

--- Each module's output is the next one's input.
function Sequential:forward(...)
  return run(self, rawget(self, "_order"), 1, ...)
end

--- Removes a member by position, or by name; the others keep their places.
function Sequential:del(key)
  if type(key) == "string" then
    self[key] = nil
    return
  end
  List.del(self, key)
end

-- --- ModuleList -------------------------------------------------------------------------------------
local ModuleList = List:extend "ModuleList"

--- nn.ModuleList{a, b}: registers its members, has no forward.
function ModuleList:init(modules)
  if modules ~= nil then self:extend_with(modules) end
end

-- Runs of members that print alike are shown once: (0-3): 4 x ReLU().
function ModuleList:_child_lines()
  local names, members = own_children(self)
  local lines, i = {}, 1
  while i <= #members do
    local shown, last = tostring(members[i]), i
    while members[last + 1] ~= nil and tostring(members[last + 1]) == shown do last = last + 1 end
    shown = text.indent(shown, 2)
    if last > i then
      lines[#lines + 1] = ("(%s-%s): %d x %s"):format(names[i], names[last], last - i + 1, shown)
    else
      lines[#lines + 1] = ("(%s): %s"):format(names[i], shown)
    end
    i = last + 1
  end
  return lines
end

-- --- ModuleDict -------------------------------------------------------------------------------------
local ModuleDict = Module:extend "ModuleDict"

--- nn.ModuleDict{a = m, b = n} (names sorted), an ordered map, or a list of pairs {{"a", m}, {"b", n}}.
function ModuleDict:init(modules)
  if modules ~= nil then self:update(modules) end
end

--- Adds every entry of a table, an ordered map or a list of pairs.
function ModuleDict:update(modules)
  if type(modules) == "table" and getmetatable(modules) == nil and type(modules[1]) == "table"
    and getmetatable(modules[1]) == nil then
    for _, pair in ipairs(modules) do self:add_module(pair[1], pair[2]) end
    return
  end
  for name, module in OrderedDict.items(OrderedDict(modules)) do self:add_module(name, module) end
end

--- Iterator over name, module in order.
function ModuleDict:items() return self:named_children() end

--- Iterator over the names.
function ModuleDict:keys()
  local next_item = self:items()
  return function() return (next_item()) end
end

--- Iterator over the modules.
function ModuleDict:values() return self:children() end

function ModuleDict:contains(name) return is_module(rawget(self, name)) end

--- Removes an entry and returns it.
function ModuleDict:pop(name)
  local module = rawget(self, name)
  if not is_module(module) then args.fail("ModuleDict", "no module named '%s'", tostring(name)) end
  self[name] = nil
  return module
end

function ModuleDict.__len(self) return #own_children(self) end
function ModuleDict:len() return #self end

-- --- ParameterList ------------------------------------------------------------------------------------
local ParameterList = List:extend "ParameterList"

function ParameterList:_members()
  local names, values = {}, {}
  for _, name in ipairs(rawget(self, "_order")) do
    local value = rawget(self, name)
    if Parameter.is(value) then names[#names + 1], values[#values + 1] = name, value end
  end
  return names, values
end

function ParameterList:_check_member(value)
  if not Parameter.is(value) then
    args.fail("ParameterList", "%s is not a Parameter; wrap it with nn.Parameter(tensor)", text.describe(value))
  end
end

--- nn.ParameterList{p, q}: tensors become Parameters.
function ParameterList:init(values)
  for _, value in ipairs(values and iterate.list(values) or {}) do self:append(value) end
end

function ParameterList:append(value)
  if torch.is_tensor(value) and not Parameter.is(value) then value = Parameter(value) end
  return List.append(self, value)
end

function ParameterList.__tostring(self)
  local _, members = self:_members()
  local lines = { "ParameterList(" }
  for i, p in ipairs(members) do
    local sizes = { p.shape:unpack() }
    lines[i + 1] = ("    (%d): Parameter containing: [%s of size %s]"):format(i - 1, tostring(p.dtype),
      table.concat(sizes, "x"))
  end
  return table.concat(lines, "\n") .. "\n)"
end

return {
  Sequential = Sequential, ModuleList = ModuleList, ModuleDict = ModuleDict, ParameterList = ParameterList,
}
