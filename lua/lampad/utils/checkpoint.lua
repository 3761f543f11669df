-- torch.utils.checkpoint: the forward of a part of a network runs again during backward, so that what it would save
-- need not be kept.
--
-- Note [How it works]. During the forward, hooks on saved tensors keep a number in place of each tensor. When backward
-- asks for the first of them, the function runs once more, with recording, and its saved tensors, which come in the
-- same order, are put by; each is handed out where its number stands. Once as many came as the forward saved, the
-- second run ends early: the hook raises STOP.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local graph = require "lampad.autograd.graph"

local torch = core.torch
local fail = args.fail
local unpack, pack = table.unpack, table.pack

local checkpoint = {}

local option_names = { "use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop",
  "respect_saved_tensors_hooks" }
local STOP = setmetatable({}, { __tostring = function() return "the recomputation of a checkpoint ends here" end })

-- Pops a trailing table that holds nothing but options of checkpoint.
local function pop_options(given)
  local last = given[given.n]
  if given.n == 0 or type(last) ~= "table" or getmetatable(last) ~= nil or next(last) == nil then return {} end
  for key in pairs(last) do
    local known = false
    for _, name in ipairs(option_names) do known = known or name == key end
    if not known then return {} end
  end
  given[given.n] = nil
  given.n = given.n - 1
  return last
end

local function describe(t) return ("shape: %s, dtype: %s"):format(tostring(t.shape), tostring(t.dtype)) end

local enabled_debug = false
--- set_checkpoint_debug_enabled(enabled, body): errors of the determinism check say more. On or off inside the body.
function checkpoint.set_checkpoint_debug_enabled(enabled, body)
  return graph.scope(function()
    local old = enabled_debug
    enabled_debug = enabled == true
    return { old }
  end, function(state) enabled_debug = state[1] end, body, "set_checkpoint_debug_enabled")
end

local early_stop -- what set_checkpoint_early_stop asks for, or nil

--- set_checkpoint_early_stop(enable, body): whether the second run of checkpoints made inside ends once it has all that
--- backward needs; the option early_stop of a checkpoint counts where this is not set.
function checkpoint.set_checkpoint_early_stop(enable, body)
  if type(enable) ~= "boolean" then
    fail("set_checkpoint_early_stop", "argument 'enable' must be a boolean, got %s", text.describe(enable))
  end
  return graph.scope(function()
    local old = early_stop
    early_stop = enable
    return { old }
  end, function(state) early_stop = state[1] end, body, "set_checkpoint_early_stop")
end

--- Two scopes that do nothing: the default of checkpoint's context_fn.
function checkpoint.noop_context_fn()
  local function noop() return setmetatable({}, { __close = function() end }) end
  return noop(), noop()
end

-- Runs the function again and gives the tensors it saves, in order.
local function recompute(frame)
  local saved = { n = 0 }
  local rng
  if frame.rng then
    rng = torch.get_rng_state()
    torch.set_rng_state(frame.rng)
  end
  local restore = setmetatable({}, { __close = function() if rng then torch.set_rng_state(rng) end end })
  local _ <close> = restore
  local hooks = graph.saved_tensors_hooks(function(t)
    saved.n = saved.n + 1
    saved[saved.n] = t:detach()
    if frame.early_stop and saved.n == frame.count then error(STOP, 0) end
    return saved[saved.n]
  end, function(t) return t end)
  local _ <close> = hooks
  local context = frame.context
  local _ <close> = context
  local _ <close> = core.autocast("cpu", table.unpack(frame.autocast, 1, 3))
  local _ <close> = torch.enable_grad()
  local ok, err = xpcall(frame.fn, function(err) return err end, unpack(frame.args, 1, frame.args.n))
  if not ok and err ~= STOP then error(err, 0) end
  return saved
end

local function check_same(frame, saved)
  if saved.n < frame.count or (saved.n ~= frame.count and frame.strict) then
    fail("checkpoint", "A different number of tensors was saved during the original forward and recomputation.\n"
      .. "Number of tensors saved during forward: %d\nNumber of tensors saved during recomputation: %d", frame.count,
      saved.n)
  end
  if not frame.strict then return end
  for i = 1, frame.count do
    local now = describe(saved[i])
    if now ~= frame.metadata[i] then
      fail("checkpoint", "Recomputed values for the following tensors have different metadata than during the forward "
        .. "pass.\ntensor at position %d:\nsaved metadata: {%s}\nrecomputed metadata: {%s}", i - 1, frame.metadata[i],
        now)
    end
  end
end

--- checkpoint(fn, ..., {use_reentrant, preserve_rng_state = true, context_fn, determinism_check = "default", debug}):
--- what fn(...) returns; its forward runs again in backward instead of keeping what that needs. fn must compute the
--- same both times; with preserve_rng_state its random numbers are the same. use_reentrant is accepted, both values
--- mean the same here. determinism_check: "default" compares shapes and dtypes, "none" nothing. context_fn returns two
--- scopes (to-be-closed values), for the forward and for the recomputation. early_stop (true): the second run ends once
--- it has all that backward needs.
function checkpoint.checkpoint(fn, ...)
  local given = pack(...)
  local options = pop_options(given)
  if type(fn) ~= "function" and not (type(fn) == "table" and getmetatable(fn) and getmetatable(fn).__call) then
    fail("checkpoint", "argument 'function' must be a function or a module, got %s", text.describe(fn))
  end
  local determinism = options.determinism_check or "default"
  if determinism ~= "default" and determinism ~= "none" then
    fail("checkpoint", "determinism_check should be one of ['default', 'none'], but got %s", tostring(determinism))
  end
  for _, name in ipairs { "use_reentrant", "preserve_rng_state", "debug", "early_stop",
    "respect_saved_tensors_hooks" } do
    if options[name] ~= nil and type(options[name]) ~= "boolean" then
      fail("checkpoint", "argument '%s' must be a boolean, got %s", name, text.describe(options[name]))
    end
  end
  local forward_context, backward_context
  if options.context_fn then forward_context, backward_context = options.context_fn() end
  local frame = { fn = fn, args = given, count = 0, metadata = {}, strict = determinism == "default",
    context = backward_context, early_stop = options.early_stop ~= false }
  if early_stop ~= nil then frame.early_stop = early_stop end
  local autocast, dtype = core.autocast_state "cpu"
  frame.autocast = { autocast, dtype, torch.is_autocast_cache_enabled() } -- in force the second time as well
  if options.preserve_rng_state ~= false then frame.rng = torch.get_rng_state() end
  local recomputed -- what the second run saved, until the last of it was taken
  local taken = {}
  local _ <close> = forward_context
  return graph.saved_tensors_hooks(function(t)
    frame.count = frame.count + 1
    frame.metadata[frame.count] = describe(t)
    return frame.count
  end, function(i)
    -- A second backward through a kept graph asks for a tensor again: compute again.
    if not recomputed or taken[i] then
      local saved = recompute(frame)
      check_same(frame, saved)
      recomputed, taken = saved, {}
    end
    taken[i] = true
    local t = recomputed[i]
    recomputed[i] = false
    local left = false
    for k = 1, frame.count do left = left or recomputed[k] ~= false end
    if not left then recomputed = nil end
    return t
  end, function() return fn(unpack(given, 1, given.n)) end)
end

--- checkpoint_sequential(functions, segments, input, {use_reentrant, preserve_rng_state}): runs a Sequential (or a list
--- of functions) in that many segments, each but the last checkpointed.
function checkpoint.checkpoint_sequential(functions, segments, input, options)
  local list = {}
  options = options or { use_reentrant = false }
  if type(options) ~= "table" then
    fail("checkpoint_sequential", "expected a table of options, got %s", text.describe(options))
  end
  args.check_names("checkpoint_sequential", options, { "use_reentrant", "preserve_rng_state" })
  if type(functions) ~= "table" then
    fail("checkpoint_sequential", "argument 'functions' must be a Sequential or a list of functions, got %s",
      text.describe(functions))
  end
  if getmetatable(functions) ~= nil and functions.children then
    for child in functions:children() do list[#list + 1] = child end
  else
    for i, f in ipairs(functions) do list[i] = f end
  end
  if math.type(segments) ~= "integer" or segments < 1 then
    fail("checkpoint_sequential", "argument 'segments' must be a positive integer, got %s", text.describe(segments))
  end
  local function run(first, last)
    return function(x)
      for i = first, last do x = list[i](x) end
      return x
    end
  end
  local size = math.max(#list // segments, 1)
  local at, x = 1, input
  for _ = 1, math.min(segments, #list) - 1 do
    x = checkpoint.checkpoint(run(at, at + size - 1), x, next(options) and options or { use_reentrant = false })
    at = at + size
  end
  return run(at, #list)(x)
end

return checkpoint
