-- "Did you mean" lines for errors about names that do not exist.

local text = require "lampad.text"

-- The known name that was likely meant by `name`, or nil.
local function likely(name, known)
  local near, edits = text.nearest(name, known)
  if near and near ~= name and edits <= math.max(1, #name // 3) then return near end
end

-- The hint for a global that is not there.
local function global_hint(name)
  local torch = package.loaded["lampad"]
  if type(torch) == "table" and rawget(torch, name) ~= nil then
    return ("hint: there is no global '%s', but there is torch.%s"):format(name, name)
  end
  local names = { "torch", "nn", "F", "optim", "vision" }
  for key in next, _G do
    if type(key) == "string" then names[#names + 1] = key end
  end
  table.sort(names)
  local near = likely(name, names)
  return near and ("hint: there is no global '%s'; did you mean '%s'?"):format(name, near)
end

-- The hint for a function or method that is not there: a near name among those of the library.
local function member_hint(kind, name)
  local core = package.loaded["lampad.core"]
  if type(core) ~= "table" then return nil end
  if kind == "method" then
    local names = {}
    for key in next, core.methods do names[#names + 1] = key end
    table.sort(names)
    local near = likely(name, names)
    return near and ("hint: tensors have no method '%s'; did you mean '%s'?"):format(name, near)
  end
  local names = {}
  for _, library in ipairs { core.torch, core.modules["nn.functional"] or {} } do
    for key in next, library do
      if type(key) == "string" then names[#names + 1] = key end
    end
  end
  for _, library in ipairs { "lampad.nn", "lampad.optim" } do
    local meta = getmetatable(package.loaded[library])
    for _, key in ipairs(meta and meta.__names and meta.__names() or {}) do names[#names + 1] = key end
  end
  table.sort(names)
  local near = likely(name, names)
  return near and ("hint: there is no '%s' in it; did you mean '%s'?"):format(name, near)
end

-- The hint for an error message, or nil.
return function(message)
  local kind, name = message:match "attempt to call a nil value %((%a+) '([^']+)'%)"
  if name == "?" then return nil end -- Lua does not know the name either
  local property = message:match "attempt to call a torch%.%a+ value %(method '([^']+)'%)"
  if property then return ("hint: '%s' is no method; write x.%s"):format(property, property) end
  if kind == "field" or kind == "method" then return member_hint(kind, name) end
  name = message:match "%(global '([^']+)'%)"
  return name and global_hint(name)
end
