-- Any Lua value as readable text: tables with their contents up to a depth and a width, cycles named,
-- objects by their own __tostring.
--   inspect(value, {depth = 4, width = 80, items = 100, colours = false}) -> string

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch "%a+" do
  keywords[word] = true
end

local escapes = {
  ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ["\0"] = "\\0", ["\27"] = "\\27", ['"'] = '\\"', ["\\"] = "\\\\",
}

-- A string as Lua source; UTF-8 text stays as it is.
local function quote(text)
  text = text:gsub('[%c"\\\127]', function(c) return escapes[c] or ("\\x%02x"):format(c:byte()) end)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end) end
  return '"' .. text .. '"'
end

local function columns(text) return utf8.len(text) or #text end

local paint_codes = { string = "32", number = "36", keyword = "35", faint = "2" }
local function painter(enabled)
  if not enabled then return function(text) return text end end
  return function(text, kind) return "\27[" .. paint_codes[kind] .. "m" .. text .. "\27[0m" end
end

-- "lampad/nn/module.lua:12" for functions written in Lua.
local function describe_function(f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return "function (built in)" end
  return ("function (%s:%d)"):format(info.short_src, info.linedefined)
end

-- Numbers in order, then strings in order, then the rest as they come.
local rank = { number = 1, string = 2, boolean = 3 }
local function key_less(a, b)
  local ra, rb = rank[math.type(a) and "number" or type(a)] or 4, rank[math.type(b) and "number" or type(b)] or 4
  if ra ~= rb then return ra < rb end
  if ra <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

-- What __tostring of the metatable makes of the object; nil when there is none.
local function own_text(value)
  local meta = debug.getmetatable(value)
  if type(meta) ~= "table" or not rawget(meta, "__tostring") then return nil end
  local ok, text = pcall(tostring, value)
  if ok then return text end
  return ("<%s whose __tostring failed: %s>"):format(type(value), text)
end

local function new_state(options)
  options = options or {}
  return {
    depth = options.depth or 4,
    width = options.width or 80,
    items = options.items or 100,
    paint = painter(options.colours),
    path = {},  -- tables being shown, to name cycles
  }
end

local show

-- The items of a table as texts, in order. Those of the sequence part have no key.
local function table_items(state, object, level)
  local items, count = {}, 0
  local function add(text)
    items[#items + 1] = text
  end
  local length = rawlen(object)
  for i = 1, length do
    count = count + 1
    if count > state.items then
      add(state.paint(("... %d more"):format(length - i + 1), "faint"))
      break
    end
    add(show(state, rawget(object, i), level + 1))
  end
  local keys = {}
  for key in next, object do
    if not (math.type(key) == "integer" and key >= 1 and key <= length) then keys[#keys + 1] = key end
  end
  table.sort(keys, key_less)
  for i, key in ipairs(keys) do
    count = count + 1
    if count > state.items then
      add(state.paint(("... %d more"):format(#keys - i + 1), "faint"))
      break
    end
    local name
    if type(key) == "string" and key:match "^[%a_][%w_]*$" and not keywords[key] then
      name = key
    else
      name = "[" .. show(state, key, level + 1) .. "]"
    end
    add(name .. " = " .. show(state, rawget(object, key), level + 1))
  end
  return items
end

local function strip_colours(text) return (text:gsub("\27%[[%d;]*m", "")) end

local function show_table(state, object, level)
  if state.path[object] then return state.paint("<cycle>", "faint") end
  if next(object) == nil then return "{}" end
  if level >= state.depth then return state.paint("{...}", "faint") end
  state.path[object] = true
  local items = table_items(state, object, level)
  state.path[object] = nil
  local meta = debug.getmetatable(object)
  local name = type(meta) == "table" and rawget(meta, "__name")
  local head = type(name) == "string" and name .. " " or ""
  local one_line = head .. "{" .. table.concat(items, ", ") .. "}"
  local room = state.width - 2 * level
  if not one_line:find("\n", 1, true) and columns(strip_colours(one_line)) <= room then return one_line end

  local indent = ("  "):rep(level + 1)
  local lines, current = {}, ""
  local function flush()
    if current ~= "" then lines[#lines + 1] = indent .. current end
    current = ""
  end
  -- Short items share lines; long or keyed ones have their own.
  for i, item in ipairs(items) do
    local text = item .. (i < #items and "," or "")
    local plain = strip_colours(text)
    if plain:find("\n", 1, true) or plain:find(" = ", 1, true) then
      flush()
      lines[#lines + 1] = indent .. text
    elseif current ~= "" and columns(strip_colours(current)) + 1 + columns(plain) > room - 2 then
      flush()
      current = text
    else
      current = current == "" and text or current .. " " .. text
    end
  end
  flush()
  return head .. "{\n" .. table.concat(lines, "\n") .. "\n" .. ("  "):rep(level) .. "}"
end

show = function(state, value, level)
  local kind = type(value)
  if kind == "string" then
    if level > 0 and #value > 200 then
      local cut = utf8.offset(value, 160) or 161
      return state.paint(quote(value:sub(1, cut - 1)), "string") ..
        state.paint((" ... %d bytes"):format(#value), "faint")
    end
    return state.paint(quote(value), "string")
  elseif kind == "number" then
    return state.paint(tostring(value), "number")
  elseif kind == "boolean" or kind == "nil" then
    return state.paint(tostring(value), "keyword")
  elseif kind == "function" then
    return describe_function(value)
  end
  local text = own_text(value)
  if text then
    -- An object of several lines keeps its shape when it is moved to the right.
    if level > 0 then text = text:gsub("\n", "\n" .. ("  "):rep(level)) end
    return text
  end
  if kind == "table" then return show_table(state, value, level) end
  return tostring(value)
end

return function(value, options)
  return show(new_state(options), value, 0)
end
