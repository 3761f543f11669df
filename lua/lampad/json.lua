-- JSON (RFC 8259) for the files that the libraries write themselves: logs of searches.
--   json.encode(value) -> text on one line; json.decode(text) -> value, or nil and what is wrong
-- Tables with #t > 0 or made by json.array are arrays, the others objects, with their keys sorted: the same data gives the
-- same text. As in Python's json, NaN and infinity are written NaN, Infinity, -Infinity. null is json.null.
local json = {}

local array_mark = {}
json.null = setmetatable({}, { __tostring = function() return "null" end })

--- The table, marked as an array, so that {} is written [].
function json.array(t) return setmetatable(t, array_mark) end

local MAX_DEPTH = 200
local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(s)
  return '"' .. s:gsub('[%c"\\\127]', function(c) return short[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function number(x)
  if x ~= x then return "NaN" end
  if x == math.huge then return "Infinity" elseif x == -math.huge then return "-Infinity" end
  if math.type(x) == "integer" then return ("%d"):format(x) end
  local s = ("%.15g"):format(x)
  if tonumber(s) ~= x then s = ("%.17g"):format(x) end
  return s:find "[.eE]" and s or s .. ".0"
end

local function write(out, value, depth)
  local kind = type(value)
  if value == nil or value == json.null then
    out[#out + 1] = "null"
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif kind == "number" then
    out[#out + 1] = number(value)
  elseif kind == "string" then
    out[#out + 1] = quote(value)
  elseif kind ~= "table" then
    error("json.encode: cannot write a " .. kind, 0)
  elseif depth > MAX_DEPTH then
    error("json.encode: tables are nested too deep", 0)
  elseif #value > 0 or getmetatable(value) == array_mark then
    for i = 1, #value do
      out[#out + 1] = i == 1 and "[" or ", "
      write(out, value[i], depth + 1)
    end
    out[#out + 1] = #value == 0 and "[]" or "]"
  else
    local keys = {}
    for key in pairs(value) do
      if type(key) ~= "string" then error("json.encode: the key of an object must be a string, got a " .. type(key), 0) end
      keys[#keys + 1] = key
    end
    table.sort(keys)
    for i, key in ipairs(keys) do
      out[#out + 1] = (i == 1 and "{" or ", ") .. quote(key) .. ": "
      write(out, value[key], depth + 1)
    end
    out[#out + 1] = #keys == 0 and "{}" or "}"
  end
end

--- The text of a value of tables, strings, numbers and booleans.
function json.encode(value)
  local out = {}
  write(out, value, 0)
  return table.concat(out)
end

-- --- reading ----------------------------------------------------------------------------------------
local plain = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local words = { ["true"] = true, ["false"] = false, null = json.null, NaN = 0 / 0, Infinity = math.huge }

local function fault(s, at, what) error({ ("%s at byte %d of %d"):format(what, at, #s) }, 0) end

local function skip(s, at) return s:match("^[ \t\r\n]*()", at) end

local function read_string(s, at)
  local parts = {}
  while true do
    local text, after = s:match('^([^"\\%c]*)()', at)
    parts[#parts + 1] = text
    local c = s:sub(after, after)
    if c == '"' then return table.concat(parts), after + 1 end
    if c ~= "\\" then fault(s, after, "a string that does not end") end
    local e = s:sub(after + 1, after + 1)
    at = after + 2
    if plain[e] then
      parts[#parts + 1] = plain[e]
    else
      local code = e == "u" and tonumber(s:match("^%x%x%x%x", at) or "", 16)
      if not code then fault(s, after, "a bad escape") end
      at = at + 4
      if code >= 0xD800 and code < 0xDC00 then -- the first half of a pair
        local low = tonumber(s:match("^\\u(%x%x%x%x)", at) or "", 16)
        if low and low >= 0xDC00 and low < 0xE000 then
          code, at = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), at + 6
        end
      end
      parts[#parts + 1] = utf8.char(code)
    end
  end
end

local function read(s, at, depth)
  if depth > MAX_DEPTH then fault(s, at, "values nested too deep") end
  at = skip(s, at)
  local c = s:sub(at, at)
  if c == '"' then return read_string(s, at + 1) end
  if c == "{" or c == "[" then
    local result, close = c == "{" and {} or json.array {}, c == "{" and "}" or "]"
    at = skip(s, at + 1)
    if s:sub(at, at) == close then return result, at + 1 end
    local n = 0
    while true do
      local key, value
      if c == "{" then
        at = skip(s, at)
        if s:sub(at, at) ~= '"' then fault(s, at, "no key") end
        key, at = read_string(s, at + 1)
        at = skip(s, at)
        if s:sub(at, at) ~= ":" then fault(s, at, "no ':'") end
        at = at + 1
      else
        n = n + 1
        key = n
      end
      value, at = read(s, at, depth + 1)
      result[key] = value
      at = skip(s, at)
      local mark = s:sub(at, at)
      at = at + 1
      if mark == close then return result, at end
      if mark ~= "," then fault(s, at - 1, "neither ',' nor '" .. close .. "'") end
    end
  end
  local word, after = s:match("^(%a+)()", at)
  if word and words[word] ~= nil then return words[word], after end
  if s:sub(at, at + 8) == "-Infinity" then return -math.huge, at + 9 end
  local digits
  digits, after = s:match("^(%-?%d+%.?%d*[eE]?[+-]?%d*)()", at)
  local value = digits and not digits:find "^%-?0%d" and not digits:find "%.$" and not digits:find "%.[eE]" and tonumber(digits)
  if not value then fault(s, at, "no value") end
  return value, after
end

--- The value of a JSON text; nil and a message when it is none. null inside it is json.null.
function json.decode(text)
  local ok, value, at = pcall(read, text, 1, 0)
  if not ok then
    if type(value) ~= "table" then error(value, 0) end -- not ours: an interrupt, no memory
    return nil, value[1]
  end
  at = skip(text, at)
  if at <= #text then return nil, ("something follows the value at byte %d"):format(at) end
  return value
end

return json
