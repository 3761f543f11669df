-- OrderedDict: a map that keeps the order in which its keys came, what state_dict() returns.
--   sd["fc.weight"], sd["k"] = v, sd["k"] = nil, #sd, sd:items(), sd:keys(), sd:values(), pairs(sd)
-- A key named like a method hides that method: OrderedDict.items(sd) still works. What torch.load finds in a file and no
-- table holds is kept as in lampad.dict: keys whose value is None, the keys None and NaN.
local Dict = require "lampad.dict"

local OrderedDict = {}

-- Hidden fields of an instance; tables as keys, so that no string key can meet them.
local KEYS, VALUES = {}, {}
local NIL = {} -- the value of a key whose value is None
local meta = {}

local function shown(value)
  if value == NIL then return nil end
  return value
end

--- A new map, from another one, a plain table (its keys sorted) or nothing.
local function new(from)
  local self = setmetatable({ [KEYS] = {}, [VALUES] = {} }, meta)
  if from ~= nil then OrderedDict.update(self, from) end
  return self
end

function meta.__index(self, key)
  local value = self[VALUES][key]
  if value == nil then return OrderedDict[key] end
  return shown(value)
end

local function put(self, key, value)
  local keys, values = rawget(self, KEYS), rawget(self, VALUES)
  if values[key] == nil then keys[#keys + 1] = key end
  values[key] = value
end

--- put(map, key, value): map[key] = value, for keys and values that may be Python's None or NaN too.
function OrderedDict.put(self, key, value)
  if value == nil then value = NIL end
  put(self, Dict.stored_key(key), value)
end

function meta.__newindex(self, key, value)
  local keys, values = self[KEYS], self[VALUES]
  if key == "_metadata" then
    rawset(self, key, value)
  elseif value == nil then
    if values[key] == nil then return end
    values[key] = nil
    for i = 1, #keys do
      if rawequal(keys[i], key) then
        table.remove(keys, i)
        break
      end
    end
  else
    put(self, key, value)
  end
end

function meta.__len(self) return #self[KEYS] end

--- Iterator over key, value in order. Values may be replaced during the loop.
function OrderedDict.items(self)
  local keys, values, i = self[KEYS], self[VALUES], 0
  return function()
    i = i + 1
    local key = keys[i]
    if key ~= nil then return Dict.shown_key(key), shown(values[key]) end
  end
end

function meta.__pairs(self) return OrderedDict.items(self) end

--- Iterator over the keys in order.
function OrderedDict.keys(self)
  local keys, i = self[KEYS], 0
  return function()
    i = i + 1
    return Dict.shown_key(keys[i])
  end
end

--- Iterator over the values in order, without those that are None.
function OrderedDict.values(self)
  local keys, values, i = self[KEYS], self[VALUES], 0
  return function()
    local value
    repeat
      i = i + 1
      if keys[i] == nil then return nil end
      value = shown(values[keys[i]])
    until value ~= nil
    return value
  end
end

function OrderedDict.len(self) return #self[KEYS] end

--- The value of a key, or `default`. The key may be nil, for None.
function OrderedDict.get(self, key, default)
  if key == nil then key = Dict.None end
  local value = self[VALUES][key]
  if value == nil then return default end
  return shown(value)
end

function OrderedDict.contains(self, key) return self[VALUES][key] ~= nil end

--- Removes a key and returns its value, or `default` when it is absent.
function OrderedDict.pop(self, key, default)
  local value = self[VALUES][key]
  if value == nil then return default end
  self[key] = nil
  return shown(value)
end

--- Sets every key of another ordered map or plain table.
function OrderedDict.update(self, other)
  if getmetatable(other) == meta then
    for _, key in ipairs(rawget(other, KEYS)) do put(self, key, rawget(other, VALUES)[key]) end
  else
    local keys = {}
    for key in pairs(other) do keys[#keys + 1] = key end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, key in ipairs(keys) do self[key] = other[key] end
  end
  return self
end

--- A copy with the same values (not copied themselves).
function OrderedDict.copy(self)
  local result = new(self)
  rawset(result, "_metadata", rawget(self, "_metadata"))
  return result
end

--- OrderedDict({('a', 1), ('b', 2)}) in Python's spelling.
function meta.__tostring(self)
  local repr = require("lampad.text").repr
  local parts = {}
  for key, value in OrderedDict.items(self) do
    parts[#parts + 1] = ("(%s, %s)"):format(repr(key), repr(value))
  end
  return #parts == 0 and "OrderedDict()" or "OrderedDict([" .. table.concat(parts, ", ") .. "])"
end

meta.__name = "OrderedDict"

require("lampad.colon").guard(OrderedDict, "an ordered map", function(value) return getmetatable(value) == meta end, {})

--- True for an ordered map.
function OrderedDict.is(value) return getmetatable(value) == meta end

return setmetatable(OrderedDict, { __call = function(_, from) return new(from) end })
