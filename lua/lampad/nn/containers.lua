-- nn.Sequential, nn.ModuleList, nn.ModuleDict: modules that hold others; and what ParameterList shares with them.
-- The list-like ones count from 0: seq[0], seq[-1], seq["1:3"], #seq, seq[2] = m, seq:append(m).
local args = require "lampad.args"
local class = require "lampad.class"
local colon = require "lampad.colon"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local OrderedDict = require "lampad.ordered_dict"
local Module = require "lampad.nn.module"

local is_module, own_children = Module.is_module, Module.own_children

-- --- list-like containers: integers index the members in order ---------------------------------------
local List = Module:extend "_ListContainer"

-- Member names and values in order; ParameterList overrides it.
List._members = own_children

-- Raises because the value is no module.
local function no_module(what, value)
  if type(value) == "table" and rawget(value, "__meta") then
    args.fail(what, "the class %s is not a Module; %s(...) makes one", value.__name, value.__name)
  end
  args.fail(what, "%s is not a Module", text.describe(value))
end

-- The value to store for a member, or an error.
function List:_check_member(value)
  if not is_module(value) then no_module(self.__name, value) end
  return value
end

-- 0-based position from an index that may be negative.
local function position(self, index, count)
  if math.type(index) ~= "integer" then
    args.fail(self.__name, "indices must be integers or slices such as \"1:3\", got %s", text.describe(index))
  end
  local at = index < 0 and index + count or index
  if at < 0 or at >= count then
    args.fail(self.__name, "index %d is out of range for a container of %d", index, count)
  end
  return at
end

-- The 0-based positions that a slice such as "1:3" or "::-1" names among `count`, in order.
local function slice_positions(self, key, count)
  local from, to, step = key:match("^%s*(-?%d*)%s*:%s*(-?%d*)%s*:?%s*(-?%d*)%s*$")
  if not from then args.fail(self.__name, "'%s' is no slice; write \"1:3\"", key) end
  step = tonumber(step) or 1
  if step == 0 then args.fail(self.__name, "slice step cannot be zero") end
  local low, high = 0, count -- bounds of what the ends may be
  if step < 0 then low, high = -1, count - 1 end
  local function bound(s, default)
    local v = tonumber(s)
    if not v then return default end
    if v < 0 then v = v + count end
    return math.max(low, math.min(high, v))
  end
  local first, last = bound(from, step > 0 and 0 or count - 1), bound(to, step > 0 and count or -1)
  local positions = {}
  for i = first, last - (step > 0 and 1 or -1), step do positions[#positions + 1] = i end
  return positions
end

local function get(self, index)
  local _, members = self:_members()
  return members[position(self, index, #members) + 1]
end

local function slice(self, key)
  local names, members = self:_members()
  local result = rawget(getmetatable(self), "class")()
  for _, i in ipairs(slice_positions(self, key, #members)) do
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
  value = self:_check_member(value)
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
  self[tostring(#self)] = self:_check_member(member)
  return self
end

--- Adds every member of a list, an iterator or another container; returns self.
function List:extend_with(members)
  local list = not (is_module(members) and not members.iter) and iterate.list(members)
  if not list then
    args.fail(self.__name, "extend should be called with a list, an iterator or a container, got %s",
      text.describe(members))
  end
  for _, member in ipairs(list) do self:append(member) end
  return self
end

--- list:extend(members) on an instance adds members; List:extend "Name" on a class makes a class.
function List.extend(self, what)
  if rawget(self, "__meta") then return class.extend(self, what) end
  return self:extend_with(what)
end

--- Puts a member before position `index` (counted from 0); returns self.
function List:insert(index, member)
  member = self:_check_member(member)
  local _, members = self:_members()
  local count = #members
  if math.type(index) ~= "integer" or index < -count or index > count then
    args.fail(self.__name, "insert: index %s is out of range for a container of %d", tostring(index), count)
  end
  if index < 0 then index = index + count end
  local list = table.move(members, 1, count, 1, {})
  table.insert(list, index + 1, member)
  renumber(self, list)
  return self
end

--- Removes the member at `index`, those of a slice, or the attribute of that name; those after move up.
function List:del(index)
  if type(index) == "string" and not index:find(":", 1, true) then return Module.del(self, index) end
  local _, members = self:_members()
  local list = table.move(members, 1, #members, 1, {})
  if type(index) == "string" then
    for _, i in ipairs(slice_positions(self, index, #list)) do list[i + 1] = false end
    local kept = {}
    for _, member in ipairs(list) do
      if member then kept[#kept + 1] = member end
    end
    list = kept
  else
    table.remove(list, position(self, index, #list) + 1)
  end
  renumber(self, list)
end

--- Removes and returns the member at `index` (the last one by default), or a container with those of a slice.
function List:pop(index)
  index = index or -1
  local removed
  if type(index) == "string" then removed = slice(self, index) else removed = get(self, index) end
  self:del(index)
  return removed
end

--- Removes all members.
function List:clear() renumber(self, {}) end

-- A new container of self's class with the members of both.
function List.__add(self, other)
  if not List._is_list(self) then self, other = other, self end
  local list = iterate.list(other)
  if not list then
    args.fail(self.__name, "only a list, an iterator or a container can be added, got %s", text.describe(other))
  end
  local result = rawget(getmetatable(self), "class")()
  for member in self:iter() do result:append(member) end
  return result:extend_with(list)
end

function List._is_list(value) return is_module(value) and value.extend_with ~= nil end

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

function List.__pairs(self) return self:enumerate() end

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
    if args.is_named(first) and next(first) ~= nil then
      args.fail("Sequential", "a table of names has no order; write the modules as a list of pairs, such as "
        .. "{{'%s', module}, ...}", next(first))
    end
    if type(first) == "table" and rawget(first, "__meta") then no_module("Sequential", first) end
    local ok, list = true, nil
    if first ~= nil then ok, list = pcall(iterate.list, first) end
    if not ok then no_module("Sequential", first) end -- a function that is no iterator, such as F.relu
    given = list or given
    given.n = first ~= nil and #given or 1
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
      self[tostring(i - 1)] = self:_check_member(given[i])
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
  if not is_module(self) then colon.fail("forward", "a module", self) end
  return run(self, rawget(self, "_order"), 1, ...)
end

-- a + b: the modules of both, numbered anew.
function Sequential.__add(self, other)
  for _, side in ipairs { self, other } do
    if not class.isinstance(side, Sequential) then
      args.fail("Sequential", "add operator supports only objects of Sequential class, but %s is given",
        text.describe(side))
    end
  end
  return List.__add(self, other)
end

-- n * a, a * n: the same modules n times over.
function Sequential.__mul(self, times)
  if type(self) == "number" then self, times = times, self end
  if math.type(times) ~= "integer" then
    args.fail("Sequential", "unsupported operand for *: expected an integer, got %s", text.describe(times))
  end
  if times <= 0 then args.fail("Sequential", "Non-positive multiplication factor %d", times) end
  local result = rawget(getmetatable(self), "class")()
  for _ = 1, times do result:extend_with(self) end
  return result
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

--- nn.ModuleDict{a = m, b = n} (names sorted), an ordered map, another ModuleDict, or a list of pairs
--- {{"a", m}, {"b", n}}.
function ModuleDict:init(modules)
  if modules ~= nil then self:update(modules) end
end

--- The pairs of a table by name (sorted), an ordered map, a list of pairs or a module with items(), as a list.
--- what: the class for messages.
local function pairs_of(what, given)
  local list = {}
  if is_module(given) and given.items then
    for name, value in given:items() do list[#list + 1] = { name, value } end
  elseif type(given) == "table" and getmetatable(given) == nil and #given > 0 then
    for i, pair in ipairs(given) do
      if type(pair) ~= "table" or getmetatable(pair) ~= nil then
        args.fail(what, "update sequence element #%d should be a pair {name, value}, got %s", i - 1,
          text.describe(pair))
      elseif #pair ~= 2 then
        args.fail(what, "update sequence element #%d has length %d; 2 is required", i - 1, #pair)
      end
      list[i] = pair
    end
  elseif type(given) == "function" then
    for name, value in given do list[#list + 1] = { name, value } end
  elseif OrderedDict.is(given) or type(given) == "table" and getmetatable(given) == nil then
    for name, value in OrderedDict.items(OrderedDict(given)) do list[#list + 1] = { name, value } end
  else
    args.fail(what, "update should be called with a table of names, an ordered map or a list of pairs, got %s",
      text.describe(given))
  end
  return list
end

--- Adds every entry of a table, an ordered map or a list of pairs.
function ModuleDict:update(modules)
  for _, pair in ipairs(pairs_of("ModuleDict", modules)) do self:add_module(pair[1], pair[2]) end
end

--- Iterator over name, module in order.
function ModuleDict:items() return self:named_children() end

--- Iterator over the names.
function ModuleDict:keys()
  local next_item = self:items()
  return function() return (next_item()) end
end
ModuleDict.iter = ModuleDict.keys

--- Iterator over the modules.
function ModuleDict:values() return self:children() end

--- Whether there is an entry of that name.
function ModuleDict:contains(name) return is_module(rawget(self, name)) end

--- Removes an entry and returns it.
function ModuleDict:pop(name)
  local module = rawget(self, name)
  if not is_module(module) then args.fail("ModuleDict", "no module named '%s'", tostring(name)) end
  self:del(name)
  return module
end

--- Removes all entries.
function ModuleDict:clear()
  for _, name in ipairs((own_children(self))) do self:del(name) end
end

function ModuleDict.__pairs(self) return self:items() end
function ModuleDict.__len(self) return #own_children(self) end
function ModuleDict:len() return #self end

function ModuleDict.__newindex(self, key, value)
  if type(key) ~= "string" and is_module(value) then
    args.fail("ModuleDict", "module name should be a string, got %s", text.describe(key))
  end
  set_attribute(self, key, value)
end

for _, C in ipairs { List, Sequential, ModuleList, ModuleDict } do C:_guard_methods() end

return { Sequential = Sequential, ModuleList = ModuleList, ModuleDict = ModuleDict, List = List, pairs_of = pairs_of }
