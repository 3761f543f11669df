-- "Did you mean" lines for errors about names that do not exist.

local text = require "lampad.text"

-- The known name that was likely meant by `name`, or nil.
local function likely(name, known)
  local near, edits = text.nearest(name, known)
  if near and near ~= name and edits <= math.max(1, #name // 3) then return near end
end

-- The hint for an error message, or nil.
return function(message)
  local name = message:match "%(global '([^']+)'%)"
  if not name then return nil end
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
