-- Hooks in the order of registration, with handles to remove them: what optimizers register.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"

--- What register_*_hook returns; handle:remove() takes the hook out.
local Handle = class.extend(class.Object, "RemovableHandle")
function Handle:init(list, hook) self.list, self.hook = list, hook end
function Handle:remove()
  for i, entry in ipairs(self.list) do
    if entry == self then return table.remove(self.list, i) end
  end
end

local hooks = {}

--- Adds a hook to a list of handles; options {prepend = true} puts it first. `what` names the function in errors.
function hooks.add(what, list, hook, options)
  local meta = getmetatable(hook)
  if type(hook) ~= "function" and not (type(meta) == "table" and meta.__call) then
    args.fail(what, "the hook must be a function, got %s", text.describe(hook))
  end
  local prepend = options
  if type(options) == "table" then
    args.check_names(what, options, { "prepend" })
    prepend = options.prepend
  end
  local handle = Handle(list, hook)
  table.insert(list, prepend and 1 or #list + 1, handle)
  return handle
end

--- Calls each hook of the list with the arguments; what one returns goes to `take`, if it is not nil.
function hooks.run(list, take, ...)
  if #list == 0 then return end
  for _, handle in ipairs(table.move(list, 1, #list, 1, {})) do
    local result = handle.hook(...)
    if result ~= nil and take then take(result) end
  end
end

return hooks
