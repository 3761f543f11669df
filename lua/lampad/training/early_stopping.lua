-- training.EarlyStopping: says when a value that should improve no longer does.
--
--   local stopping = torch.training.EarlyStopping {patience = 3}
--   for epoch = 1, 100 do
--     ...
--     if stopping:step(validation_loss) then break end
--   end
-- The names of the options are those of Lightning's EarlyStopping.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local watch = require "lampad.training.watch"

local EarlyStopping = class.extend(class.Object, "EarlyStopping")
local spec = args [[EarlyStopping(int patience=3, float min_delta=0, str mode='min', *, bool check_finite=true,
  float stopping_threshold=nil, float divergence_threshold=nil)]]

--- EarlyStopping({patience = 3, min_delta = 0, mode = "min", check_finite = true, stopping_threshold, divergence_threshold}).
--- Stops after `patience` steps in a row without an improvement of more than min_delta, at a value that is not finite, at one
--- that reaches stopping_threshold and at one worse than divergence_threshold.
function EarlyStopping:init(...)
  local o = spec:collect(...)
  watch.check_mode("EarlyStopping", o.mode)
  if o.patience < 0 then args.fail("EarlyStopping", "`patience` must not be negative, got %d", o.patience) end
  if o.min_delta < 0 then args.fail("EarlyStopping", "`min_delta` must not be negative, got %s", text.repr(o.min_delta)) end
  self.patience, self.min_delta, self.mode, self.check_finite = o.patience, o.min_delta, o.mode, o.check_finite
  self.stopping_threshold, self.divergence_threshold = o.stopping_threshold, o.divergence_threshold
  self.steps, self.wait_count, self.stopped = 0, 0, false
  self.best, self.best_step, self.reason = nil, nil, nil
end

-- Why training should stop at this value, or nil.
local function reason_at(self, value)
  local function reached(limit)
    if limit == nil then return false end
    if self.mode == "min" then return value <= limit end
    return value >= limit
  end
  if self.check_finite and (value ~= value or math.abs(value) == math.huge) then
    return ("the value is %s"):format(text.repr(value))
  end
  if self.stopping_threshold and reached(self.stopping_threshold) then
    return ("%s reaches %s"):format(text.repr(value), text.repr(self.stopping_threshold))
  end
  local limit = self.divergence_threshold
  if limit and (self.mode == "min" and value > limit or self.mode == "max" and value < limit) then
    return ("%s is worse than %s"):format(text.repr(value), text.repr(limit))
  end
  if self.wait_count >= self.patience and self.wait_count > 0 then
    return ("no better than %s for %d steps"):format(text.repr(self.best), self.wait_count)
  end
end

--- step(value): true when training should stop. `reason` then says why; `best` and `best_step` (from 0) tell the best value.
function EarlyStopping:step(value)
  value = watch.number("EarlyStopping.step", "the value", value)
  if watch.better(self.mode, value, self.best, self.min_delta) then
    self.best, self.best_step, self.wait_count = value, self.steps, 0
  else
    self.wait_count = self.wait_count + 1
  end
  self.steps = self.steps + 1
  self.reason = reason_at(self, value)
  self.stopped = self.reason ~= nil
  return self.stopped
end

--- What load_state_dict takes to go on.
function EarlyStopping:state_dict()
  return { steps = self.steps, wait_count = self.wait_count, best = self.best, best_step = self.best_step, stopped = self.stopped,
    reason = self.reason }
end

function EarlyStopping:load_state_dict(state_dict)
  if type(state_dict) ~= "table" or state_dict.steps == nil or state_dict.wait_count == nil then
    args.fail("EarlyStopping.load_state_dict", "expected what state_dict() gave, got %s", text.describe(state_dict))
  end
  for _, name in ipairs { "steps", "wait_count", "best", "best_step", "stopped", "reason" } do self[name] = state_dict[name] end
end

return EarlyStopping
