-- A trial: one run with one set of parameters. The objective gets it, asks it for values and may report how it goes.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local space = require "lampad.tune.space"
local text = require "lampad.text"

local Trial = class.extend(class.Object, "Trial")

--- What trial:prune() raises; Study:optimize knows it by identity.
Trial.PRUNED = setmetatable({}, { __tostring = function() return "the trial was pruned" end })

function Trial:init(study, number)
  self.number, self.state, self.value = number, "running", nil
  self.params, self.spaces, self.intermediate_values, self.user_attrs = {}, {}, {}, {}
  self._study = study
end

local function suggest(self, name, s)
  local known = self.spaces[name]
  if known then
    if not space.same(known, s) then
      args.fail("suggest", "the parameter '%s' was asked for before with another range", name)
    end
    return self.params[name]
  end
  local fixed = self._fixed and self._fixed[name]
  local value = fixed
  if value == nil then value = self._study.sampler:sample(self._study, self, name, s) end
  if not space.contains(s, value) then
    args.fail("suggest", "the value %s of the parameter '%s' is outside of its range", text.repr(value), name)
  end
  self.params[name], self.spaces[name] = value, s
  return value
end

local float_spec = args "suggest_float(str name, float low, float high, *, float step=nil, bool log=false)"
--- suggest_float(name, low, high, {step, log = false}): a float in [low, high].
function Trial:suggest_float(...)
  local name, low, high, step, log = float_spec(...)
  return suggest(self, name, space.float(name, low, high, step, log))
end

local int_spec = args "suggest_int(str name, int low, int high, *, int step=1, bool log=false)"
--- suggest_int(name, low, high, {step = 1, log = false}): an integer, both ends included.
function Trial:suggest_int(...)
  local name, low, high, step, log = int_spec(...)
  return suggest(self, name, space.int(name, low, high, step, log))
end

local categorical_spec = args "suggest_categorical(str name, table choices)"
--- suggest_categorical(name, choices): one of the listed strings, numbers or booleans.
function Trial:suggest_categorical(...)
  local name, choices = categorical_spec(...)
  return suggest(self, name, space.categorical(name, choices))
end

local function number_of(what, value)
  if core.torch.is_tensor(value) and value:numel() == 1 then value = value:item() end
  if type(value) ~= "number" then
    args.fail(what, "the value must be a number or a tensor of one element, got %s", text.describe(value))
  end
  return value + 0.0
end
Trial.number_of = number_of

local report_spec = args "report(any value, int step)"
--- report(value, step): how the trial stands at a step, such as the loss after an epoch.
function Trial:report(...)
  local value, step = report_spec(...)
  if step < 0 then args.fail("report", "the step must not be negative, got %d", step) end
  self.intermediate_values[step] = number_of("report", value)
  self.last_step = math.max(step, self.last_step or step)
end

--- Whether the study's pruner would give the trial up.
function Trial:should_prune()
  local pruner = self._study.pruner
  return pruner ~= nil and pruner:prune(self._study, self)
end

--- Ends the trial as pruned: raises what Study:optimize takes for that.
function Trial:prune() error(Trial.PRUNED, 0) end

--- A note about the trial that the log keeps: a string, a number, a boolean or a table of these.
function Trial:set_user_attr(name, value) self.user_attrs[name] = value end

return Trial
