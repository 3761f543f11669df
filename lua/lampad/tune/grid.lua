-- tune.GridSampler: every combination of the listed values, once; the search ends after the last.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local space = require "lampad.tune.space"

local GridSampler = class.extend(class.Object, "GridSampler")
local spec = args "GridSampler(table search_space)"

--- GridSampler({lr = {0.1, 0.01}, layers = {1, 2, 3}}): the last name, by alphabet, varies fastest.
function GridSampler:init(...)
  local given
  if select("#", ...) == 1 and type((...)) == "table" then given = (...).search_space or (...) else given = spec(...) end
  self.names, self.grid, self.size = {}, given, 1
  for name, values in pairs(given) do
    if type(name) ~= "string" or type(values) ~= "table" or #values == 0 then
      args.fail("GridSampler", "search_space['%s'] must be a list of values, got %s", tostring(name), text.repr(values))
    end
    self.names[#self.names + 1] = name
    self.size = self.size * #values
  end
  if #self.names == 0 then args.fail("GridSampler", "search_space is empty") end
  table.sort(self.names)
end

--- The number of trials after which nothing is left.
function GridSampler:limit() return self.size end

function GridSampler:sample(_, trial, name, s)
  local values = self.grid[name]
  if not values then
    args.fail("GridSampler", "the parameter '%s' is not in the grid; it has %s", name, table.concat(self.names, ", "))
  end
  local place = trial.number % self.size
  for i = #self.names, 1, -1 do
    local count = #self.grid[self.names[i]]
    if self.names[i] == name then
      local value = values[place % count + 1]
      if s.kind == "float" and math.type(value) == "integer" then value = value + 0.0 end
      if not space.contains(s, value) then
        args.fail("GridSampler", "the value %s of '%s' is outside of what the trial asks for", text.repr(value), name)
      end
      return value
    end
    place = place // count
  end
end

return GridSampler
