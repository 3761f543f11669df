-- The sets from which trials take their values: floats, integers and choices, checked, and seen by samplers as intervals of
-- numbers. A space is {kind = "float" | "int" | "categorical", low, high, log, step, choices}.
--
-- Samplers draw from the interval of `bounds`, in which every value of the space has its share: log spaces in logarithms,
-- integers and steps with half a step on each side. `value_at` brings a point of it back to a value.
local args = require "lampad.args"
local text = require "lampad.text"

local space = {}

local function check_range(what, name, low, high, log, step)
  if not (low <= high) or low == -math.huge or high == math.huge then
    args.fail(what, "'%s': low must not be above high, both finite, got %s and %s", name, text.repr(low), text.repr(high))
  end
  if step ~= nil and not (step > 0) then args.fail(what, "'%s': step must be positive, got %s", name, text.repr(step)) end
  if log and not (low > 0) then args.fail(what, "'%s': low must be positive with log, got %s", name, text.repr(low)) end
end

--- A space of floats in [low, high]; of low, low + step, ... with step.
function space.float(name, low, high, step, log)
  check_range("suggest_float", name, low, high, log, step)
  if log and step then args.fail("suggest_float", "'%s': step and log exclude each other", name) end
  if step then high = low + math.floor((high - low) / step + 1e-9) * step end
  return { kind = "float", low = low + 0.0, high = high + 0.0, step = step, log = log or nil }
end

--- A space of integers from low to high, both included.
function space.int(name, low, high, step, log)
  check_range("suggest_int", name, low, high, log, step)
  if log and step ~= 1 then args.fail("suggest_int", "'%s': step and log exclude each other", name) end
  return { kind = "int", low = low, high = low + (high - low) // step * step, step = step, log = log or nil }
end

--- A space of the listed values: strings, numbers, booleans.
function space.categorical(name, choices)
  if #choices == 0 then args.fail("suggest_categorical", "'%s': choices is empty", name) end
  for i, choice in ipairs(choices) do
    local kind = type(choice)
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      args.fail("suggest_categorical", "'%s': choice %d must be a string, number or boolean, got %s", name, i, text.describe(choice))
    end
  end
  return { kind = "categorical", choices = table.move(choices, 1, #choices, 1, {}) }
end

--- Whether two spaces are the same.
function space.same(a, b)
  for _, key in ipairs { "kind", "low", "high", "log", "step" } do
    if a[key] ~= b[key] then return false end
  end
  if a.choices then
    if #a.choices ~= #b.choices then return false end
    for i, choice in ipairs(a.choices) do if choice ~= b.choices[i] then return false end end
  end
  return true
end

--- The ends of the interval that samplers draw from.
function space.bounds(s)
  local half = s.step and s.step / 2 or 0
  local low, high = s.low - half, s.high + half
  if s.log then return math.log(low), math.log(high) end
  return low, high
end

--- The place of a value in that interval.
function space.point_of(s, value)
  if s.log then return math.log(value) end
  return value
end

--- The value of a point of the interval.
function space.value_at(s, point)
  local value = s.log and math.exp(point) or point
  if s.step then
    value = s.low + math.floor((value - s.low) / s.step + 0.5) * s.step
    if s.kind == "int" then value = math.tointeger(value) or math.floor(value) end
  end
  if value < s.low then return s.low elseif value > s.high then return s.high end
  return value
end

--- Whether a value belongs to the space.
function space.contains(s, value)
  if s.kind == "categorical" then
    for _, choice in ipairs(s.choices) do if choice == value then return true end end
    return false
  end
  return type(value) == "number" and (s.kind == "float" or math.type(value) == "integer") and value >= s.low and value <= s.high
end

return space
