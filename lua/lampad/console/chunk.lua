-- What an interactive entry means: whether it is complete, and the function it compiles to.
--
-- Entries are chunks of their own, so a `local` at the top of one would be gone in the next. Such
-- locals become globals: a script pasted line by line works as it does in a file.

local chunk = {}

-- Splits Lua source into tokens: calls visit(kind, text, first, last) with kind "name", "string",
-- "number", "symbol"; blanks and comments are skipped. Unfinished strings end the walk.
local function each_token(source, visit)
  local at = 1
  while true do
    at = source:find("%S", at)
    if not at then return end
    local first, last, level = source:find("^%-%-%[(=*)%[", at)
    if first then                                               -- long comment
      local _, close = source:find("]" .. level .. "]", last + 1, true)
      if not close then return end
      at = close + 1
    elseif source:find("^%-%-", at) then                        -- comment to the end of the line
      at = source:find("\n", at, true)
      if not at then return end
    else
      local kind, _
      first, last, level = source:find("^%[(=*)%[", at)
      if first then
        kind = "string"
        _, last = source:find("]" .. level .. "]", last + 1, true)
      elseif source:find("^[\"']", at) then
        kind = "string"
        local quote, from = source:sub(at, at), at + 1
        while true do
          last = source:find("[\\" .. quote .. "\n]", from)
          if not last or source:sub(last, last) ~= "\\" then break end
          from = last + 2
        end
        if last and source:sub(last, last) == "\n" then last = nil end
      elseif source:find("^[%a_]", at) then
        kind = "name"
        _, last = source:find("^[%w_]+", at)
      elseif source:find("^%.?%d", at) then
        kind = "number"
        _, last = source:find("^[%w_.]+", at)
        while source:find("^[+-]%w", last + 1) and source:find("^[eEpP]", last) do
          _, last = source:find("^[%w_.]+", last + 2)
        end
      else
        kind = "symbol"
        last = at
      end
      if not last then return end
      visit(kind, source:sub(at, last), at, last)
      at = last + 1
    end
  end
end

local opens = { ["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true,
  ["("] = true, ["{"] = true, ["["] = true }
local closes = { ["end"] = true, ["until"] = true, [")"] = true, ["}"] = true, ["]"] = true }

-- The source with the locals of its outermost level made global. Line numbers stay.
local function globalise(source)
  local tokens, edits, depth = {}, {}, 0
  each_token(source, function(kind, text, first, last)
    if kind == "string" then text = "" end
    tokens[#tokens + 1] = { text = text, kind = kind, first = first, last = last, depth = depth }
    if opens[text] then depth = depth + 1
    elseif closes[text] then depth = depth - 1 end
  end)
  for i, token in ipairs(tokens) do
    if token.text == "local" and token.depth == 0 then
      local at = i + 1
      local keep = false
      local attributes = {}
      if not (tokens[at] and tokens[at].text == "function") then
        while tokens[at] and tokens[at].kind == "name" do
          at = at + 1
          if tokens[at] and tokens[at].text == "<" then
            local close = tokens[at + 2]
            if not close then return source end
            keep = keep or tokens[at + 1].text == "close"
            attributes[#attributes + 1] = { tokens[at].first, close.last, "" }
            at = at + 3
          end
          if not (tokens[at] and tokens[at].text == ",") then break end
          at = at + 1
        end
      end
      if not keep then
        edits[#edits + 1] = { token.first, token.last, "" }
        for _, edit in ipairs(attributes) do edits[#edits + 1] = edit end
        local following = tokens[at]
        if not following or (following.text ~= "=" and following.text ~= "function") then
          local after = tokens[at - 1].last
          edits[#edits + 1] = { after + 1, after, " = nil" }
        end
      end
    end
  end
  for i = #edits, 1, -1 do
    local first, last, text = table.unpack(edits[i])
    source = source:sub(1, first - 1) .. text .. source:sub(last + 1)
  end
  return source
end

local function at_end(message) return message:sub(-5) == "<eof>" end

-- The entry as an expression: a leading "=" asks for one.
local function as_expression(text)
  local rest = text:match "^%s*=(.*)$"
  return "return " .. (rest or text), rest ~= nil
end

-- Would more lines make sense of the text? False for a complete entry and for a hopeless one.
function chunk.is_complete(text)
  if text:match "^%s*%?" then return true end
  local expression, forced = as_expression(text)
  local f, message = load(expression, "=stdin", "t")
  if f then return true end
  if not forced then
    f, message = load(text, "=stdin", "t")
    if f then return true end
  end
  return not at_end(message)
end

-- Compiles an entry: a function and whether its values stay unshown (a trailing ";"), or nil and a message.
function chunk.compile(text)
  local silent = text:match ";%s*$" ~= nil
  local expression, forced = as_expression(text)
  local f, message = load(expression, "=stdin", "t")
  if not f and not forced then
    local whole
    whole, message = load(text, "=stdin", "t")
    f = whole and (load(globalise(text), "=stdin", "t") or whole)
  end
  if not f then return nil, message end
  return f, silent
end

return chunk
