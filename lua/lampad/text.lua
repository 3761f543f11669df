-- Text for messages and for `print` of modules: Python's spelling of values, the nearest known
-- name, descriptions of arguments, indentation. Pure Lua; used by every library file.
local text = {}

-- The shortest decimal text that reads back as the same float, as Python's repr: 0.1, 1e-05, 2.0.
local function float_repr(v)
  if v ~= v then return "nan" end
  if v == math.huge then return "inf" end
  if v == -math.huge then return "-inf" end
  local s
  for digits = 1, 17 do
    s = ("%." .. digits .. "g"):format(v)
    if tonumber(s) == v then break end
  end
  -- Python writes positional notation for exponents in [-4, 16); %g switches at the digit count.
  local mantissa, exponent = s:match("^(.-)e([-+]%d+)$")
  exponent = tonumber(exponent)
  if exponent and exponent >= 0 and exponent < 16 then s = ("%.0f"):format(v) end
  if mantissa and exponent and (exponent < 0 or exponent >= 16) then return s end
  if not s:find("[.e]") then s = s .. ".0" end
  return s
end

--- Python's repr of a plain value: nil -> None, true -> True, 1e-5 -> 1e-05, "x" -> 'x',
--- {2, 3} -> (2, 3), {3} -> (3,). Anything else through tostring.
function text.repr(v)
  local kind = type(v)
  if v == nil then return "None" end
  if kind == "boolean" then return v and "True" or "False" end
  if kind == "number" then return math.type(v) == "integer" and tostring(v) or float_repr(v) end
  if kind == "string" then return "'" .. v .. "'" end
  if kind == "table" and getmetatable(v) == nil then
    local parts = {}
    for i = 1, v.n or #v do parts[i] = text.repr(v[i]) end
    return #parts == 1 and "(" .. parts[1] .. ",)" or "(" .. table.concat(parts, ", ") .. ")"
  end
  return tostring(v)
end

--- Python's str: as repr, but a string stands without quotes.
function text.str(v)
  return type(v) == "string" and v or text.repr(v)
end

--- Every line but the first moved right by `width` blanks; blank lines stay empty.
function text.indent(s, width)
  local pad = (" "):rep(width)
  return (s:gsub("\n([^\n]+)", function(line)
    return line:find("%S") and "\n" .. pad .. line or "\n"
  end))
end

-- Edits (insert, delete, replace, swap of neighbours) that turn a into b.
local function distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local two_before = before
    before, row = row, { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, two_before[j - 2] + 1)
      end
      row[j] = best
    end
  end
  return row[#b]
end

--- The name in the list `known` nearest to `name`, or nil when the list is empty.
function text.nearest(name, known)
  local best, best_distance
  for _, candidate in ipairs(known) do
    local d = distance(name:lower(), candidate:lower())
    if not best or d < best_distance then best, best_distance = candidate, d end
  end
  return best, best_distance
end

--- What a value is, for messages: "nil", "number (3.5)", "string ('x')", "torch.Tensor (float32 [2, 3])".
function text.describe(v)
  local kind = type(v)
  if kind == "number" or kind == "boolean" then return kind .. " (" .. tostring(v) .. ")" end
  if kind == "string" then return "string ('" .. (#v > 40 and v:sub(1, 37) .. "..." or v) .. "')" end
  if kind == "userdata" then
    local torch = require("lampad.core").torch
    if torch.is_tensor(v) then
      local sizes = {}
      for i = 0, v.ndim - 1 do sizes[i + 1] = v:size(i) end
      return ("torch.Tensor (%s [%s])"):format(tostring(v.dtype):gsub("^torch%.", ""),
        table.concat(sizes, ", "))
    end
  end
  local meta = getmetatable(v)
  if type(meta) == "table" and type(meta.__name) == "string" then return meta.__name end
  if type(meta) == "string" then return meta end -- of userdata that hides its metatable
  return kind
end

return text
