-- The enums of published weights: ResNet18_Weights.IMAGENET1K_V1, .DEFAULT, ["IMAGENET1K_V1"]; pairs() goes over name,
-- entry in order, # counts them. An entry has .name, .url, .meta (num_params, min_size, categories, ...), .transforms()
-- and :get_state_dict(). weights.lua makes them from its table.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local WeightsEnum = {}

-- --- entries ----------------------------------------------------------------------------------------
local entry_meta = { __name = "Weights" }
local methods = {}

function entry_meta.__tostring(self) return rawget(self, "enum").__name .. "." .. self.name end

function entry_meta.__index(self, key)
  if key == "value" then return self end
  if key == "transforms" then
    local preset = rawget(self, "preset")
    -- transforms(): the preprocessing of the weights; transforms{resize_size = 300} with another option.
    local function transforms(given, more)
      local options = {}
      for name, value in pairs(preset) do options[name] = value end
      if rawequal(given, self) then given = more end -- weights:transforms()
      for name, value in pairs(given or {}) do options[name] = value end
      return require("lampad.vision.models.presets").ImageClassification(options)
    end
    rawset(self, key, transforms)
    return transforms
  end
  return methods[key]
end

function entry_meta.__newindex(self, key)
  args.fail(tostring(self), "entries of weights cannot be changed (field '%s')", tostring(key))
end

--- The weights as a state_dict, fetched into the cache at first use: get_state_dict{progress = true, check_hash = false}
--- takes the options of torch.hub.load_state_dict_from_url.
function methods:get_state_dict(options)
  return core.torch.hub.load_state_dict_from_url(self.url, options)
end

--- True for an entry of any enum.
function WeightsEnum.is_entry(value) return getmetatable(value) == entry_meta end

-- --- enums ------------------------------------------------------------------------------------------
local Enum = {}

local function names_of(enum)
  local names = {}
  for i, entry in ipairs(rawget(enum, "list")) do names[i] = entry.name end
  return names
end

--- The entry for an entry, its name ("IMAGENET1K_V1", "ResNet18_Weights.IMAGENET1K_V1", "DEFAULT") or nil.
function Enum.verify(enum, value)
  if value == nil or value == false then return nil end
  local title = enum.__name
  if type(value) == "string" then
    local name = value
    if name:sub(1, #title + 1) == title .. "." then name = name:sub(#title + 2) end
    local entry = rawget(enum, "members")[name]
    if entry then return entry end
    args.fail(title, "no weights are named '%s'; there are %s and DEFAULT", value, table.concat(names_of(enum), ", "))
  end
  if WeightsEnum.is_entry(value) and rawget(value, "enum") == enum then return value end
  local came = WeightsEnum.is_entry(value) and value.enum.__name or text.describe(value)
  args.fail(title, "Invalid Weight class provided; expected %s but received %s", title, came)
end

local enum_meta = { __name = "WeightsEnum" }

function enum_meta.__index(enum, key)
  local members = rawget(enum, "members")
  if members[key] then return members[key] end
  if key == "__members__" then return members end
  if Enum[key] then
    return function(...) -- Enum.verify(x) as in Python, and Enum:verify(x)
      local value = ...
      if rawequal(value, enum) then return Enum[key](...) end
      return Enum[key](enum, ...)
    end
  end
  if type(key) ~= "string" or key:sub(1, 1) == "_" then return nil end
  args.fail(rawget(enum, "__name"), "no weights are named '%s'; there are %s and DEFAULT", key,
    table.concat(names_of(enum), ", "))
end

function enum_meta.__newindex(enum) args.fail(rawget(enum, "__name"), "an enum of weights cannot be changed") end

function enum_meta.__len(enum) return #rawget(enum, "list") end

function enum_meta.__pairs(enum)
  local list, i = rawget(enum, "list"), 0
  return function()
    i = i + 1
    if list[i] then return list[i].name, list[i] end
  end
end

function enum_meta.__tostring(enum) return "<enum '" .. rawget(enum, "__name") .. "'>" end

-- meta.categories is one list for all; loaded when somebody asks.
local lazy_meta = {
  __index = function(meta, key)
    if key ~= "categories" then return nil end
    local categories = require "lampad.vision.models.imagenet"
    rawset(meta, key, categories)
    return categories
  end,
  __pairs = function(meta)
    local _ = meta.categories
    return next, meta, nil
  end,
}

--- new(title, entries): the enum; entries are tables with name, url, meta, preset and categories (whether they have them).
function WeightsEnum.new(title, entries)
  local enum = { __name = title, list = entries, members = {} }
  for _, entry in ipairs(entries) do
    if entry.categories then setmetatable(entry.meta, lazy_meta) end
    entry.enum = enum
    enum.members[entry.name] = setmetatable(entry, entry_meta)
  end
  enum.members.DEFAULT = enum.members.IMAGENET1K_V2 or entries[1]
  return setmetatable(enum, enum_meta)
end

--- True for an enum.
function WeightsEnum.is(value) return getmetatable(value) == enum_meta end

return WeightsEnum
