-- Hooks of modules: the lists that register_*_hook fills, their handles, and the hooks of all modules at once
-- (torch.nn.modules.module.register_module_forward_hook and others).
--
-- A list of hooks is never changed: adding and removing make a new one, so a hook may remove itself while the list
-- runs. `place[kind]` holds the list, where place is a module's `_hooks` or `hooks.global`; an entry is
-- {fn, with_kwargs, always_call}.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"

local hooks = {
  global = {},        -- lists by kind, of every module
  any_global = false, -- whether `global` holds a list
  registration = nil, -- lists by kind "parameter", "buffer", "module" once one is filled
}

--- What register_*_hook returns: handle:remove() takes the hook out, as does the end of `local h <close> = handle`.
local Handle = class.extend(class.Object, "RemovableHandle")

function Handle:init(place, kind, entry)
  self.place, self.kind, self.entry = place, kind, entry
end

--- Takes an entry out of the list place[kind].
function hooks.drop(place, kind, dropped)
  local kept = {}
  for _, entry in ipairs(place[kind] or {}) do
    if entry ~= dropped then kept[#kept + 1] = entry end
  end
  place[kind] = #kept > 0 and kept or nil
  hooks.any_global = next(hooks.global) ~= nil
end

--- Takes the hook out; a second call changes nothing.
function Handle:remove() hooks.drop(self.place, self.kind, self.entry) end

function Handle:__close() self:remove() end

--- Adds fn to the list place[kind]. options: the caller's table with some of the names in `known`, or for a single
--- known name its value.
function hooks.add(place, kind, what, fn, options, known)
  if type(fn) ~= "function" and not (type(getmetatable(fn)) == "table" and getmetatable(fn).__call) then
    args.fail(what, "argument 'hook' must be a function, got %s", text.describe(fn))
  end
  if type(options) == "boolean" and known then options = { [known[1]] = options } end
  if options == nil then options = {} end
  if type(options) ~= "table" then
    args.fail(what, "expected a table of options, got %s", text.describe(options))
  end
  args.check_names(what, options, known or {})
  local entry = { fn = fn, with_kwargs = options.with_kwargs == true, always_call = options.always_call == true }
  local list = { table.unpack(place[kind] or {}) }
  table.insert(list, options.prepend and 1 or #list + 1, entry)
  place[kind] = list
  return Handle(place, kind, entry)
end

local EMPTY = {}

--- The entries of a kind for a module, those of all modules first.
function hooks.of(module, kind)
  local own, all = module._hooks and module._hooks[kind], hooks.global[kind]
  if not all then return own or EMPTY end
  if not own then return all end
  local list = { table.unpack(all) }
  for _, entry in ipairs(own) do list[#list + 1] = entry end
  return list
end

-- --- hooks of every module ------------------------------------------------------------------------------

local mixed = "Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please use "
  .. "only one of them."

--- Raises when one of the two kinds of backward hooks is about to join the other.
function hooks.check_kind(place, kind, message)
  local other = kind == "backward" and "full_backward" or "backward"
  if place and place[other] then args.fail(nil, "%s", message) end
end

local function add_global(kind, what, fn, options, known)
  hooks.any_global = true
  return hooks.add(hooks.global, kind, what, fn, options, known)
end

local module = {}
hooks.module = module

--- hook(module, args) before every module's forward.
function module.register_module_forward_pre_hook(hook)
  return add_global("forward_pre", "register_module_forward_pre_hook", hook)
end

--- hook(module, args, output) after every module's forward; options with_kwargs and always_call as in
--- Module:register_forward_hook.
function module.register_module_forward_hook(hook, options)
  return add_global("forward", "register_module_forward_hook", hook, options, { "with_kwargs", "always_call" })
end

--- hook(module, grad_input, grad_output) in every module's backward.
function module.register_module_full_backward_hook(hook)
  hooks.check_kind(hooks.global, "full_backward", mixed)
  return add_global("full_backward", "register_module_full_backward_hook", hook)
end

--- hook(module, grad_output) before every module's backward.
function module.register_module_full_backward_pre_hook(hook)
  return add_global("full_backward_pre", "register_module_full_backward_pre_hook", hook)
end

--- hook(module, grad_input, grad_output) of the last op of every module's forward.
function module.register_module_backward_hook(hook)
  hooks.check_kind(hooks.global, "backward", mixed)
  return add_global("backward", "register_module_backward_hook", hook)
end

for _, kind in ipairs { "parameter", "buffer", "module" } do
  -- hook(module, name, value) when a member of the kind is registered; what it returns takes its place.
  local what = "register_module_" .. kind .. "_registration_hook"
  module[what] = function(hook)
    hooks.registration = hooks.registration or {}
    return hooks.add(hooks.registration, kind, what, hook)
  end
end

--- The value to register under the name after the registration hooks have seen it.
function hooks.registered(owner, name, value)
  local kind
  if owner.is_module(value) then
    kind = "module"
  elseif type(value) == "userdata" then
    if require("lampad.nn.parameter").is(value) then
      kind = "parameter"
    elseif owner._persistence and owner._persistence[name] ~= nil then
      kind = "buffer"
    end
  end
  for _, entry in ipairs(kind and hooks.registration[kind] or EMPTY) do
    local replacement = entry.fn(owner, name, value)
    if replacement ~= nil then value = replacement end
  end
  return value
end

return hooks
