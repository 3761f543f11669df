-- Dict: a plain table with PyTorch's dict methods, what torch.load makes of a Python dict. Fields are read, set and
-- compared as in any table; the order of the keys is kept for items(), keys(), values() and pairs().
--   d.epoch, d["epoch"] = 3, #d, d:items(), pairs(d)
-- A key named like a method hides that method.
local Dict = {}

-- The keys of each dict in the order in which the file has them; keys set later come after these.
local orders = setmetatable({}, { __mode = "k" })
local meta = { __index = Dict, __name = "dict" }

-- The keys that are there now, in order.
local function keys_of(self)
  local keys, seen = {}, {}
  for _, key in ipairs(orders[self] or {}) do
    if rawget(self, key) ~= nil and not seen[key] then
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

--- fill(dict, keys, value_of): sets keys[i] to value_of(i), in that order; nil leaves the key out.
function Dict.fill(self, keys, value_of)
  for i = 1, #keys do rawset(self, keys[i], value_of(i)) end
  if #keys > 0 then orders[self] = keys end
end

--- Iterator over key, value in order. Values may be replaced during the loop.
function Dict.items(self)
  local keys, i = keys_of(self), 0
  return function()
    i = i + 1
    local key = keys[i]
    if key ~= nil then return key, rawget(self, key) end
  end
end

--- Iterator over the keys in order.
function Dict.keys(self)
  local keys, i = keys_of(self), 0
  return function()
    i = i + 1
    return keys[i]
  end
end

--- Iterator over the values in order.
function Dict.values(self)
  local keys, i = keys_of(self), 0
  return function()
    i = i + 1
    local key = keys[i]
    if key ~= nil then return rawget(self, key) end
  end
end

--- The value of a key, or `default`.
function Dict.get(self, key, default)
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
