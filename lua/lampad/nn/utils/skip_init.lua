-- nn.utils.init: skip_init, layers whose weights nobody initialises.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"

local torch = core.torch

--- skip_init(Class, ...): Class(...) without the work of filling its weights, whose values are arbitrary; no random
--- number is drawn. For weights that are loaded or filled afterwards.
local function skip_init(class, ...)
  local parent = type(class) == "table" and rawget(class, "__meta") and class
  while parent and parent ~= Module do parent = rawget(parent, "super") end
  if not parent then args.fail("skip_init", "Expected a Module class, got %s", text.describe(class)) end
  local drawn, before = torch.get_rng_state(), core.skip_init
  local _ <close> = setmetatable({}, { __close = function()
    core.skip_init = before
    torch.set_rng_state(drawn)
  end })
  core.skip_init = true
  return class(...)
end

return { skip_init = skip_init }
