-- What takes an iterable takes an iterator function, a list, an ordered map's values, or an object
-- with iter(): this turns each into the one form the caller wants.
local OrderedDict = require "lampad.ordered_dict"

local iterate = {}

-- A module without iter() is called for what it computes.
local function callable(meta) return meta.__call and not meta.is_module end

--- A plain list from an iterator (its first result each time), a list or an object with iter().
--- Returns nil when the value is none of these.
function iterate.list(value)
  local result = {}
  local meta = getmetatable(value)
  if OrderedDict.is(value) then
    for item in OrderedDict.values(value) do result[#result + 1] = item end
  elseif type(value) == "table" and meta == nil then
    return value
  elseif type(value) == "function" then
    for item in value do result[#result + 1] = item end
  elseif type(meta) == "table" and type(value) == "table" and value.iter then
    for item in value:iter() do result[#result + 1] = item end
  elseif type(meta) == "table" and callable(meta) then
    for item in value do result[#result + 1] = item end
  else
    return nil
  end
  return result
end

--- An iterator function over the same kinds of values; all results of an iterator come through.
--- A list gives its members. Returns nil when the value cannot be iterated.
function iterate.iterator(value)
  local meta = getmetatable(value)
  if type(value) == "function" then return value end
  if OrderedDict.is(value) then return OrderedDict.items(value) end
  if type(value) == "table" and meta == nil then
    local i = 0
    return function()
      i = i + 1
      return value[i]
    end
  end
  if type(meta) == "table" then
    if type(value) == "table" and value.iter then return value:iter() end
    if callable(meta) then
      return function(...) return value(...) end
    end
  end
end

return iterate
