-- Dict: a plain table with PyTorch's dict methods, what torch.load makes of a Python dict. Fields are read, set and
-- compared as in any table; the order of the keys is kept for items(), keys(), values() and pairs().
--   d.epoch, d["epoch"] = 3, #d, d:items(), pairs(d)
-- A key named like a method hides that method. What Python's dicts hold and tables cannot: a key whose value is None has
-- the value nil, and is among the keys until it is set; the key None is Dict.None, the key NaN comes from items().
local Dict = {}

--- None: Python's None where Lua has no nil, as a key of a dict. torch.save writes it as None, as a value too.
Dict.None = setmetatable({}, { __name = "None", __tostring = function() return "None" end })

-- The keys of each dict in the order in which the file has them; keys set later come after these.
local orders = setmetatable({}, { __mode = "k" })
-- The keys of each dict whose value is None.
local nones = setmetatable({}, { __mode = "k" })
local meta = { __index = Dict, __name = "dict" }

-- What stands for a key in the table: each NaN is a key of its own, as in Python.
local nan_meta = {}
function Dict.stored_key(key)
  if key == nil then return Dict.None end
  return key ~= key and setmetatable({}, nan_meta) or key
end

--- The key that a stored one stands for; None stays Dict.None.
function Dict.shown_key(key) return getmetatable(key) == nan_meta and 0 / 0 or key end

-- The stored keys that are there now, in order.
local function keys_of(self)
  local keys, seen, empty = {}, {}, nones[self] or {}
  for _, key in ipairs(orders[self] or {}) do
    if (rawget(self, key) ~= nil or empty[key]) and not seen[key] then
      seen[key] = true
      keys[#keys + 1] = key
    end
  end
  for key in next, self do
    if not seen[key] then keys[#keys + 1] = key end
  end
  return keys
end

--- new(): an empty dict.
function Dict.new() return setmetatable({}, meta) end

--- fill(dict, keys, value_of): sets keys[i] to value_of(i), in that order. keys: a list that becomes the dict's own, with
--- Dict.None for the key None.
function Dict.fill(self, keys, value_of)
  for i = 1, #keys do
    keys[i] = Dict.stored_key(keys[i])
    local value = value_of(i)
    rawset(self, keys[i], value)
    if value == nil or nones[self] then
      nones[self] = nones[self] or {}
      nones[self][keys[i]] = value == nil or nil
    end
  end
  if #keys > 0 then orders[self] = keys end
end

-- A key that is not there is set: if it was one with the value None, it is so no more.
function meta.__newindex(self, key, value)
  if nones[self] then nones[self][key] = nil end
  rawset(self, key, value)
end

--- Iterator over key, value in order. Values may be replaced during the loop.
function Dict.items(self)
  local keys, i = keys_of(self), 0
  return function()
    i = i + 1
    local key = keys[i]
    if key ~= nil then return Dict.shown_key(key), rawget(self, key) end
  end
end

--- Iterator over the keys in order.
function Dict.keys(self)
  local keys, i = keys_of(self), 0
  return function()
    i = i + 1
    return Dict.shown_key(keys[i])
  end
end

--- Iterator over the values in order, without those that are None.
function Dict.values(self)
  local keys, i = keys_of(self), 0
  return function()
    local value
    repeat
      i = i + 1
      if keys[i] == nil then return nil end
      value = rawget(self, keys[i])
    until value ~= nil
    return value
  end
end

--- The value of a key, or `default`. The key may be nil, for None.
function Dict.get(self, key, default)
  if key == nil then key = Dict.None end
  local value = rawget(self, key)
  if value == nil then return default end
  return value
end

meta.__pairs = Dict.items

-- As Python's len; of a table that is filled as a list, the list's length.
function meta.__len(self)
  if rawget(self, 1) ~= nil and rawget(self, 0) == nil then return rawlen(self) end
  return #keys_of(self)
end

--- True for a dict.
function Dict.is(value) return getmetatable(value) == meta end

--- True when it came with keys, and is a dict even if its keys are now those of a list.
function Dict.has_order(self) return orders[self] ~= nil end

return Dict
