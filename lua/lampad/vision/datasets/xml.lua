-- The XML of annotations: elements, attributes, text, comments, character data, the five entities and numbers of characters. No
-- document types, so no entity can grow. Source: XML 1.0, W3C.
local xml = {}

local entities = { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" }
local MAX_DEPTH = 100

local function plain(text)
  return (text:gsub("&(#?x?)(%w+);", function(mark, name)
    if mark == "" then return entities[name] end
    local code = tonumber(name, mark == "#x" and 16 or 10)
    return code and code < 0x110000 and utf8.char(code) or nil
  end))
end

--- parse(text): the root: {tag, attributes, children, text (what stands before the first child)}; or nil and what is wrong.
function xml.parse(text)
  local at, stack, root = 1, {}, nil
  local function add(characters)
    local top = stack[#stack]
    if top and #top.children == 0 then top.text = top.text .. characters end
  end
  while at <= #text do
    local open = text:find("<", at, true)
    if not open then break end
    add(plain(text:sub(at, open - 1)))
    local next_at
    if text:sub(open, open + 3) == "<!--" then
      local _, stop = text:find("-->", open + 4, true)
      next_at = stop
    elseif text:sub(open, open + 8) == "<![CDATA[" then
      local start, stop = text:find("]]>", open + 9, true)
      if start then add(text:sub(open + 9, start - 1)) end
      next_at = stop
    elseif text:sub(open, open + 1) == "<?" then
      local _, stop = text:find("?>", open + 2, true)
      next_at = stop
    elseif text:sub(open, open + 1) == "<!" then
      return nil, "document types are not read"
    else
      local stop = text:find(">", open, true)
      local closing, tag, rest = text:sub(open, stop or open):match "^<(/?)([%w_:.-]+)(.-)>$"
      if not tag or rest:find("<", 1, true) then return nil, ("bad markup at byte %d"):format(open) end
      if closing == "/" then
        local top = table.remove(stack)
        if not top or top.tag ~= tag then return nil, ("</%s> ends nothing"):format(tag) end
      else
        local element = { tag = tag, attributes = {}, children = {}, text = "" }
        for name, _, value in rest:gmatch "([%w_:.-]+)%s*=%s*([\"'])(.-)%2" do element.attributes[name] = plain(value) end
        local parent = stack[#stack]
        if parent then
          parent.children[#parent.children + 1] = element
        elseif root then
          return nil, "two roots"
        else
          root = element
        end
        if rest:sub(-1) ~= "/" then stack[#stack + 1] = element end
        if #stack > MAX_DEPTH then return nil, "nested too deep" end
      end
      next_at = stop
    end
    if not next_at then return nil, ("bad markup at byte %d"):format(open) end
    at = next_at + 1
  end
  if not root then return nil, "no element" end
  if #stack > 0 then return nil, ("<%s> is not closed"):format(stack[#stack].tag) end
  return root
end

return xml
