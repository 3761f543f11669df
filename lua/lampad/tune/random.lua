-- tune.RandomSampler: every parameter uniform in its space, in the logarithm where the space says log.
local class = require "lampad.class"
local args = require "lampad.args"
local draws = require "lampad.tune.draws"
local space = require "lampad.tune.space"

local RandomSampler = class.extend(class.Object, "RandomSampler")
local spec = args "RandomSampler(int seed=0)"

--- RandomSampler({seed = 0}).
function RandomSampler:init(...) self.seed = spec(...) end

--- The value of a parameter in a trial. `study` gives the trials before it.
function RandomSampler:sample(_, trial, name, s)
  local stream = draws(self.seed, trial.number, name)
  if s.kind == "categorical" then return s.choices[stream:index(#s.choices)] end
  local low, high = space.bounds(s)
  return space.value_at(s, low + (high - low) * stream:uniform())
end

return RandomSampler
