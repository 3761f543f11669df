-- torch.warnings: warnings as in Python's module of that name. A warning is one line on stderr, at the user's line:
--   script.lua:12: UserWarning: lr_scheduler:step() came before optimizer:step()
-- Each is shown once for its place and text, unless a filter says otherwise.
local args = require "lampad.args"

local warnings = {}

local actions = { default = true, always = true, ignore = true, once = true, error = true }
local filters = {}  -- category -> action
local action_of_all = "default"
local seen = {}     -- texts shown
local caught = nil  -- the list that catch_warnings fills

--- simplefilter(action, category): what becomes of warnings (of one category, or of all). Actions: "default" (once a
--- place and text), "once" (once a text), "always", "ignore", "error" (raised as an error).
function warnings.simplefilter(action, category)
  if not actions[action] then
    args.fail("warnings.simplefilter", "action must be 'default', 'always', 'once', 'ignore' or 'error', got %s",
      require("lampad.text").describe(action))
  end
  if category == nil then
    action_of_all, filters = action, {}
  else
    filters[category] = action
  end
end

--- Forgets filters and which warnings have been shown.
function warnings.resetwarnings() action_of_all, filters, seen = "default", {}, {} end

--- warn(message, category = "UserWarning"): a warning at the caller's line.
function warnings.warn(message, category)
  category = category or "UserWarning"
  local where = args.where()
  if caught then
    caught[#caught + 1] = { message = message, category = category, where = where:gsub(": $", "") }
    return
  end
  local action = filters[category] or action_of_all
  if action == "ignore" then return end
  local line = category .. ": " .. message
  if action == "error" then error(where .. line, 0) end
  local key = action == "once" and line or where .. line
  if action ~= "always" and seen[key] then return end
  seen[key] = true
  io.stderr:write(where, line, "\n")
end

--- catch_warnings(body): runs body and returns the list of its warnings, {message, category, where} each, instead of
--- showing them.
function warnings.catch_warnings(body)
  local before, list = caught, {}
  caught = list
  local ok, err = pcall(body)
  caught = before
  if not ok then error(err, 0) end
  return list
end

return warnings
