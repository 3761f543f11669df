-- default_collate: the items of a batch put together. Tensors are stacked; integers become an int64
-- tensor, floats a float64 one, booleans a bool one; strings stay a list; tables with names are put
-- together by name, lists member by member.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"

local torch = core.torch
local collate_list

local function is_plain(value) return type(value) == "table" and getmetatable(value) == nil end

-- The values of one field over the batch -> the batched field.
function collate_list(values)
  local first = values[1]
  if torch.is_tensor(first) then
    for i, value in ipairs(values) do
      if not torch.is_tensor(value) then
        args.fail("default_collate", "item %d of the batch is %s, the first is a tensor", i - 1, text.describe(value))
      end
      if value.shape ~= first.shape then
        args.fail("default_collate", "expects each tensor of a batch to be equal size, but got %s at item 0 and %s "
          .. "at item %d; resize them in the dataset or give a collate_fn", tostring(first.shape),
          tostring(value.shape), i - 1)
      end
    end
    return torch.stack(values)
  end
  local kind = type(first)
  if kind == "number" then
    if math.type(first) == "float" then return torch.tensor(values, { dtype = torch.float64 }) end
    return torch.tensor(values)
  end
  if kind == "boolean" then return torch.tensor(values) end
  if kind == "string" then return values end
  if OrderedDict.is(first) or is_plain(first) then
    local result = is_plain(first) and {} or OrderedDict()
    for key in pairs(first) do
      local field = {}
      for i, value in ipairs(values) do
        if type(value) ~= "table" or value[key] == nil then
          args.fail("default_collate", "item %d of the batch has no entry '%s', which the first one has",
            i - 1, tostring(key))
        end
        if math.type(key) == "integer" and #value ~= #first then
          args.fail("default_collate", "each element in list of batch should be of equal size, but item 0 has %d and "
            .. "item %d has %d", #first, i - 1, #value)
        end
        field[i] = value[key]
      end
      result[key] = collate_list(field)
    end
    return result
  end
  args.fail("default_collate", "batch must contain tensors, numbers, booleans, strings or tables; found %s",
    text.describe(first))
end

-- An item of several values is a list with this metatable, so that it is not taken for a table the
-- dataset gave.
local Item = { __name = "dataset item" }

--- One value as it is, several as an Item.
local function pack_item(...)
  if select("#", ...) == 1 then return (...) end
  return setmetatable(table.pack(...), Item)
end

--- An item of getitems(): what table.pack(...) made stands for several values.
local function as_item(item)
  if is_plain(item) and math.type(item.n) == "integer" and item.n >= #item then return setmetatable(item, Item) end
  return item
end

--- default_collate(batch): batch is the list of items, as a collate_fn gets it: an item of several values is
--- the list of them. Returns as many values as an item has.
local function default_collate(batch)
  if #batch == 0 then args.fail("default_collate", "the batch is empty") end
  local first = batch[1]
  if getmetatable(first) ~= Item then return collate_list(batch) end
  local result = {}
  for field = 1, first.n do
    local values = {}
    for i, item in ipairs(batch) do
      if item[field] == nil then
        args.fail("default_collate", "each item of the batch should have %d values, but value %d of item %d is nil",
          first.n, field, i - 1)
      end
      values[i] = item[field]
    end
    result[field] = collate_list(values)
  end
  return table.unpack(result, 1, first.n)
end

--- For loaders without batching: items pass as they are, for Lua has no arrays that are no tensors.
local function default_convert(...) return ... end

return { default_collate = default_collate, default_convert = default_convert, pack_item = pack_item,
  as_item = as_item, Item = Item }
