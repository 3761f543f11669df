-- tune.MedianPruner: gives a trial up when its best value so far is worse than the median of what the others had at that step.
local class = require "lampad.class"
local args = require "lampad.args"

local MedianPruner = class.extend(class.Object, "MedianPruner")
local spec = args "MedianPruner(int n_startup_trials=5, int n_warmup_steps=0, int interval_steps=1)"

--- MedianPruner({n_startup_trials = 5, n_warmup_steps = 0, interval_steps = 1}): never prunes before that many trials are
--- complete, nor before that step of a trial; looks at every interval_steps-th step.
function MedianPruner:init(...)
  local o = spec:collect(...)
  if o.interval_steps < 1 then args.fail("MedianPruner", "`interval_steps` must be positive, got %d", o.interval_steps) end
  self.n_startup_trials, self.n_warmup_steps, self.interval_steps = o.n_startup_trials, o.n_warmup_steps, o.interval_steps
end

local function median(values)
  table.sort(values)
  local middle = #values // 2
  return #values % 2 == 1 and values[middle + 1] or (values[middle] + values[middle + 1]) / 2
end

--- Whether the trial should be given up after what it reported last.
function MedianPruner:prune(study, trial)
  local step = trial.last_step
  if step == nil or step < self.n_warmup_steps or (step - self.n_warmup_steps) % self.interval_steps ~= 0 then return false end
  local sign = study.direction == "minimize" and 1 or -1
  local others, complete = {}, 0
  for _, other in ipairs(study.trials) do
    if other.state == "complete" then
      complete = complete + 1
      local value = other.intermediate_values[step]
      if value ~= nil and value == value then others[#others + 1] = sign * value end
    end
  end
  if complete < self.n_startup_trials or #others == 0 then return false end
  local best
  for _, value in pairs(trial.intermediate_values) do
    if value == value and (best == nil or sign * value < best) then best = sign * value end
  end
  return best == nil or best > median(others)
end

return MedianPruner
