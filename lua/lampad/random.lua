-- torch.random: the default generator by PyTorch's module name, and a scope that keeps its state.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local random = {}

for _, name in ipairs { "manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "default_generator" } do
  random[name] = torch[name]
end

local fork_spec = args [[fork_rng(any devices=nil, bool enabled=true, any _caller=nil, any _devices_kw=nil,
  str device_type='cpu')]]

--- The default generator's state is put back at the end: random.fork_rng(function() ... end), or
--- `local _ <close> = random.fork_rng()`. Options: {enabled = false} leaves it as it is then.
function random.fork_rng(...)
  local given, body = table.pack(...), nil
  for i = 1, given.n do
    if type(given[i]) == "function" then
      body = table.remove(given, i)
      given.n = given.n - 1
      break
    end
  end
  local _, enabled = fork_spec(table.unpack(given, 1, given.n))
  local state = enabled and torch.get_rng_state() or nil
  local scope = setmetatable({}, {
    __close = function()
      if state then torch.set_rng_state(state) end
      state = nil
    end,
  })
  if not body then return scope end
  local close <close> = scope -- luacheck: ignore close
  return body()
end

return random
