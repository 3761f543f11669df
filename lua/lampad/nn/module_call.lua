-- Calling modules: net(x) runs forward with the hooks round it, and errors get the module's path. Adds its methods to
-- nn.Module; called by module.lua.
--
-- Note [Module path in errors]: the outermost call of a module runs under xpcall. At an error its handler
-- looks through the stack for functions whose first argument is a module, and adds the path of the innermost
-- one ("features.3 (Conv2d)") to the message. Calls inside cost next to nothing for it: only that they are no tail
-- calls, so that the stack still shows a module whose forward ends in one.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local hooks = require "lampad.nn.module_hooks"

local torch = core.torch
local unpack, pack, getmetatable, type = table.unpack, table.pack, getmetatable, type
local running, status = coroutine.running, coroutine.status

local function is_plain_list(v) return type(v) == "table" and getmetatable(v) == nil end

-- The arguments as a list, and the table of named ones that may end them.
local function split(inputs)
  local last = inputs[inputs.n]
  if inputs.n == 0 or type(last) ~= "table" or next(last) == nil or not args.is_named(last) then return inputs, {} end
  local list = pack(unpack(inputs, 1, inputs.n - 1))
  return list, last
end

local function joined(list, named)
  local count = list.n or #list
  local inputs = pack(unpack(list, 1, count))
  if next(named) ~= nil then
    inputs.n = count + 1
    inputs[inputs.n] = named
  end
  return inputs
end

-- A list of values from what a hook returned: a list, or single values.
local function values_of(returned)
  if not is_plain_list(returned[1]) then return returned end
  returned[1].n = returned[1].n or #returned[1]
  return returned[1]
end

local function run_pre_hooks(self, inputs)
  for _, hook in ipairs(hooks.of(self, "forward_pre")) do
    if hook.with_kwargs then
      local list, named = split(inputs)
      local returned = pack(hook.fn(self, list, named))
      if returned.n == 1 and is_plain_list(returned[1]) and #returned[1] == 2 then returned = pack(unpack(returned[1])) end
      if returned.n > 0 and returned[1] ~= nil then
        if not (is_plain_list(returned[1]) and type(returned[2]) == "table") then
          args.fail(nil, "forward pre-hook must return nil or two tables, new_args and new_kwargs, but got %s",
            text.describe(returned[1]))
        end
        inputs = joined(returned[1], returned[2])
      end
    else
      local returned = pack(hook.fn(self, inputs))
      if returned.n > 0 and returned[1] ~= nil then inputs = values_of(returned) end
    end
  end
  return inputs
end

-- Calls a forward hook; returns the outputs, replaced or not.
local function run_post_hook(self, hook, inputs, outputs)
  local shown = outputs[1]
  if outputs.n > 1 then shown = outputs end
  local returned
  if hook.with_kwargs then
    local list, named = split(inputs)
    returned = pack(hook.fn(self, list, named, shown))
  else
    returned = pack(hook.fn(self, inputs, shown))
  end
  if returned.n == 0 or returned[1] == nil then return outputs end
  if outputs.n > 1 then return values_of(returned) end
  return returned
end

-- The first tensor among the outputs, also inside lists and maps.
local function first_tensor(value)
  if type(value) == "userdata" then return torch.is_tensor(value) and value or nil end
  if type(value) ~= "table" then return nil end
  for i = 1, value.n or #value do
    local found = first_tensor(value[i])
    if found then return found end
  end
  local _, member = next(value)
  if #value == 0 and member ~= nil then return first_tensor(member) end
end

-- Old backward hooks sit on the node of the first output.
local function hook_node(self, outputs)
  local list = hooks.of(self, "backward")
  if #list == 0 then return end
  local output = first_tensor(outputs)
  local node = output and output.grad_fn
  if not node then return end
  for _, hook in ipairs(list) do
    node:register_hook(function(grad_inputs, grad_outputs) return hook.fn(self, grad_inputs, grad_outputs) end)
  end
end

-- --- Note [Arguments beyond those of forward] ------------------------------------------------------------
-- Lua drops arguments that a function has no parameter for; PyTorch raises. The number of a forward's parameters is
-- asked once for each function; one without any is a stub that looks at nothing, and takes all. Inside of a network one
-- and two arguments are looked at without a call.
local limits = setmetatable({}, { __mode = "k", __index = function(known, forward)
  local limit = args.forward_counts[forward]
  if not limit then
    local info = type(forward) == "function" and debug.getinfo(forward, "u")
    limit = info and not info.isvararg and info.nparams > 1 and info.nparams - 1 or math.huge
  end
  known[forward] = limit
  return limit
end })

-- Raises when a value stands behind the last parameter of the module's forward; nil and {} (no named arguments) are none.
local function check_count(self, ...)
  local limit = limits[self.forward]
  local given = select("#", ...)
  if given <= limit then return end
  for i = given, limit + 1, -1 do
    local value = select(i, ...)
    if value ~= nil and not (is_plain_list(value) and next(value) == nil) then
      args.fail(nil, "%s.forward() takes %d positional arguments but %d were given (self is one of them)", self.__name,
        limit + 1, i + 1)
    end
  end
end

-- `ran` marks the forward hooks that have run.
local function call_with_hooks(self, ran, inputs)
  inputs = run_pre_hooks(self, inputs)
  ran.inputs = inputs
  local backward, backward_pre = hooks.of(self, "full_backward"), hooks.of(self, "full_backward_pre")
  local watch
  if (#backward > 0 or #backward_pre > 0) and torch.is_grad_enabled() then
    watch = require "lampad.nn.backward_hook"(self, backward, backward_pre)
    inputs = watch:inputs(inputs)
  end
  check_count(self, unpack(inputs, 1, inputs.n))
  local outputs = pack(self:forward(unpack(inputs, 1, inputs.n)))
  for _, hook in ipairs(hooks.of(self, "forward")) do
    ran[hook] = true
    outputs = run_post_hook(self, hook, inputs, outputs)
  end
  if watch then outputs = watch:outputs(outputs) end
  hook_node(self, outputs)
  return unpack(outputs, 1, outputs.n)
end

local function has_always_called(self)
  for _, hook in ipairs(hooks.of(self, "forward")) do
    if hook.always_call then return true end
  end
  return false
end

local add_path -- below

-- After an error: the always-called hooks that have not run see what there is; their own errors are dropped.
local function finish(self, ran, ok, ...)
  if ok then return ... end
  local outputs = { n = 1 }
  for _, hook in ipairs(hooks.of(self, "forward")) do
    if hook.always_call and not ran[hook] then
      local done, result = pcall(run_post_hook, self, hook, ran.inputs, outputs)
      if done then outputs = result end
    end
  end
  error((...), 0)
end

local function call_hooked(self, ...)
  local inputs, ran = pack(...), {}
  ran.inputs = inputs
  if has_always_called(self) then
    return finish(self, ran, xpcall(call_with_hooks, add_path, self, ran, inputs))
  end
  return call_with_hooks(self, ran, inputs)
end

return function(Module)
  local meta = Module.__meta
  local is_module = Module.is_module

  --- What net(x) computes; subclasses define it.
  function Module:forward()
    args.fail(nil, "Module [%s] is missing the required \"forward\" function", self.__name)
  end

  -- --- Note [Module path in errors] -----------------------------------------------------------------------
  local outermost, outermost_thread -- the module whose call is the outermost one, and the coroutine it runs in

  -- The module whose method is the innermost running one, or nil.
  local function innermost_module()
    for level = 3, math.huge do
      local info = debug.getinfo(level, "f")
      if not info then return nil end
      local _, value = debug.getlocal(level, 1)
      if is_module(value) then return value end
    end
  end

  -- "features.3 (Conv2d) of Net" for a module below `outer`.
  local function describe(outer, inner)
    if inner == outer then return inner.__name end
    local ok, path = pcall(function()
      for name, candidate in outer:named_modules() do
        if candidate == inner then return name end
      end
    end)
    return ("%s (%s) of %s"):format(ok and path or "?", inner.__name, outer.__name)
  end

  -- The message handler of the outermost call. An error that came with a path, caught and raised again, keeps it.
  function add_path(err)
    if type(err) ~= "string" or err == "interrupted" or not outermost then return err end
    if err:find "\n  in [^\n]+$" then return err end
    return err .. "\n  in " .. describe(outermost, innermost_module() or outermost)
  end

  --- Where in a network the running call is, "features.3 (Conv2d) of Net", or nil outside of modules.
  function core.module_path()
    if not outermost then return nil end
    return describe(outermost, innermost_module() or outermost)
  end

  --- The module whose call is the outermost one under way, or nil.
  function hooks.outermost() return outermost end

  local function call_inner(self, ...)
    if self._hooks or hooks.any_global then return call_hooked(self, ...) end
    check_count(self, ...)
    return self:forward(...)
  end

  local function leave(before, thread_before, ok, ...)
    outermost, outermost_thread = before, thread_before
    if ok then return ... end
    error((...), 0)
  end

  local function pass(...) return ... end

  function meta.__call(self, ...)
    local thread = running()
    if thread == outermost_thread then
      if self._hooks or hooks.any_global then return pass(call_hooked(self, ...)) end
      local _, second, third = ...
      if second ~= nil and (third ~= nil or limits[self.forward] < 2) then check_count(self, ...) end
      return pass(self:forward(...))
    end
    -- A coroutine that the outermost call's one waits for has a stack of its own, but is inside that call.
    local before, thread_before = outermost, outermost_thread
    if not (before and status(thread_before) == "normal") then outermost = self end
    outermost_thread = thread
    return leave(before, thread_before, xpcall(call_inner, add_path, self, ...))
  end

  -- --- hooks ------------------------------------------------------------------------------------------------
  local function add_hook(self, kind, what, hook, options, known)
    if not self._hooks then rawset(self, "_hooks", {}) end
    return hooks.add(self._hooks, kind, what, hook, options, known)
  end

  --- hook(module, args) before forward; `args` is the list of arguments. What it returns replaces them: a
  --- list, or a single value. Options: prepend (run first); with_kwargs: hook(module, args, kwargs), where the table of
  --- named arguments that ends the call stands apart, returns nothing or both.
  function Module:register_forward_pre_hook(hook, options)
    return add_hook(self, "forward_pre", "register_forward_pre_hook", hook, options, { "prepend", "with_kwargs" })
  end

  --- hook(module, args, output) after forward; several results come as a list. What it returns replaces
  --- the output. Options: prepend; with_kwargs: hook(module, args, kwargs, output); always_call: also when forward
  --- raises (with output nil).
  function Module:register_forward_hook(hook, options)
    return add_hook(self, "forward", "register_forward_hook", hook, options,
      { "prepend", "with_kwargs", "always_call" })
  end

  local mixed = "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only "
    .. "one of them."

  --- hook(module, grad_input, grad_output) with lists of gradients, once those of the inputs are known.
  --- A list it returns replaces grad_input.
  function Module:register_full_backward_hook(hook, options)
    hooks.check_kind(self._hooks, "full_backward", mixed)
    return add_hook(self, "full_backward", "register_full_backward_hook", hook, options, { "prepend" })
  end

  --- hook(module, grad_output) before the module's backward; a list it returns replaces grad_output.
  function Module:register_full_backward_pre_hook(hook, options)
    return add_hook(self, "full_backward_pre", "register_full_backward_pre_hook", hook, options, { "prepend" })
  end

  --- hook(module, grad_input, grad_output) of the last op of forward: PyTorch's old form, which sees the gradients of
  --- that op's inputs, not of the module's. register_full_backward_hook is the better one.
  function Module:register_backward_hook(hook)
    hooks.check_kind(self._hooks, "backward", mixed)
    return add_hook(self, "backward", "register_backward_hook", hook)
  end
end
