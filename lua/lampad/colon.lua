-- The missing colon: Python's net.parameters() is net:parameters() in Lua. A method that is called with a dot gets its
-- first argument, or nothing, in the place of the object; without this check it would stumble over that inside.
local args = require "lampad.args"
local text = require "lampad.text"

local colon = {}

--- Raises that method `name` was called without its object.
function colon.fail(name, what, given)
  args.fail(nil, "%s: expected %s before the method, got %s; methods are called with a colon, object:%s(...)",
    name, what, text.describe(given), name)
end
local fail = colon.fail

--- Makes the public methods of the table `methods` raise unless fits(self). what: the words for what `self` should be.
--- except: names to leave alone, as a set (functions that take no `self`, what is called too often).
function colon.guard(methods, what, fits, except)
  for name, method in pairs(methods) do
    if type(method) == "function" and name:find "^%l" and not except[name] then
      rawset(methods, name, function(self, ...)
        if not fits(self) then fail(name, what, self) end
        return method(self, ...)
      end)
    end
  end
end

return colon
