-- Switches that PyTorch programs set and that change nothing here: deterministic algorithms (all of Lampad's are, on
-- the CPU) and torch.compile (functions run as they are). They check their arguments and remember what was set.
local args = require "lampad.args"
local text = require "lampad.text"

local fail = args.fail
local modes = {}

local deterministic, warn_only = false, false

local use_spec = args "use_deterministic_algorithms(bool mode, *, bool warn_only=false)"
--- use_deterministic_algorithms(mode, {warn_only = false}): results are reproducible in either mode.
function modes.use_deterministic_algorithms(...)
  local mode, only_warn = use_spec(...)
  deterministic, warn_only = mode, only_warn
end

--- What use_deterministic_algorithms was last given.
function modes.are_deterministic_algorithms_enabled() return deterministic end

--- Whether it was given warn_only.
function modes.is_deterministic_algorithms_warn_only_enabled() return deterministic and warn_only end

local debug_modes = { default = 0, warn = 1, error = 2 }

--- set_deterministic_debug_mode("default" | "warn" | "error", or 0, 1, 2).
function modes.set_deterministic_debug_mode(mode)
  local value = mode
  if type(mode) == "string" then
    value = debug_modes[mode]
    if not value then
      fail("set_deterministic_debug_mode", "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but "
        .. "got %s", mode)
    end
  elseif math.type(mode) ~= "integer" then
    fail("set_deterministic_debug_mode", "debug_mode must be str or int, but got %s", text.describe(mode))
  elseif mode < 0 or mode > 2 then
    fail("set_deterministic_debug_mode", "invalid value of debug_mode, expected 0, 1, or 2, but got %d", mode)
  end
  deterministic, warn_only = value > 0, value == 1
end

--- The mode as 0, 1 or 2.
function modes.get_deterministic_debug_mode()
  if not deterministic then return 0 end
  return warn_only and 1 or 2
end

local compile_names = { "model", "fullgraph", "dynamic", "backend", "mode", "options", "disable" }

--- compile(model, {fullgraph, dynamic, backend, mode, options, disable}): the model or function as it is: there is no
--- compiler, every op runs as it is called. compile{...} without a model returns a function that does the same.
function modes.compile(model, options)
  local named = model
  if type(model) == "table" and getmetatable(model) == nil then
    args.check_names("compile", model, compile_names)
    model = model.model
  else
    named = options or {}
    if type(named) ~= "table" then fail("compile", "expected a table of options, got %s", text.describe(named)) end
    args.check_names("compile", named, compile_names)
  end
  if named.mode ~= nil and named.options ~= nil then
    fail("compile", "Either mode or options can be specified, but both can't be specified at the same time")
  end
  if model == nil then return function(f) return modes.compile(f) end end
  local meta = getmetatable(model)
  if type(model) ~= "function" and not (type(meta) == "table" and meta.__call) then
    fail("compile", "argument 'model' must be a module or a function, got %s", text.describe(model))
  end
  return model
end

return modes
