-- tune.Study: a search. It runs trials of an objective, keeps their results and, if asked, a log from which it goes on.
--
--   local study = torch.tune.create_study {direction = "minimize", storage = "search.jsonl"}
--   study:optimize(function(trial)
--     local lr = trial:suggest_float("lr", 1e-4, 1, {log = true})
--     ...
--     return loss
--   end, {n_trials = 50})
--   print(study.best_value, study.best_params.lr)
--
-- Note [The log]: JSON, one object a line: first the study, then every trial when it ends. A line is written at once and whole; a
-- last line without its end, from a process that was killed, is dropped when the study is opened again, and its trial is run
-- again under the same number with the same draws.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local json = require "lampad.json"
local Trial = require "lampad.tune.trial"

local Study = class.extend(class.Object, "Study")
local spec = args [[create_study(*, str study_name='study', str direction='minimize', any sampler=nil, any pruner=nil,
  str storage=nil, bool load_if_exists=true)]]

-- --- the log ------------------------------------------------------------------------------------------
local function append(self, record)
  local file, message = io.open(self.storage, "ab")
  local ok = file
  if file then
    ok, message = file:write(json.encode(record), "\n")
    local closed, trouble = file:close()
    if ok and not closed then ok, message = nil, trouble end
  end
  if not ok then args.fail("Study", "cannot write %s", tostring(message)) end
end

-- Keys of JSON objects are text, so steps are written as text.
local function trial_record(trial)
  local intermediate = {}
  for step, value in pairs(trial.intermediate_values) do intermediate[tostring(step)] = value end
  return {
    trial = trial.number, state = trial.state, value = trial.value, params = trial.params, spaces = trial.spaces,
    intermediate_values = intermediate, user_attrs = trial.user_attrs, seconds = trial.seconds, message = trial.message,
  }
end

local function plain(t)
  if type(t) ~= "table" then return t end
  local result = {}
  for key, value in pairs(t) do result[key] = plain(value) end
  return result
end

local function trial_from(self, record)
  local trial = Trial(self, record.trial)
  trial.state, trial.value, trial.seconds, trial.message = record.state, record.value, record.seconds, record.message
  trial.params, trial.spaces = plain(record.params), plain(record.spaces or {})
  trial.user_attrs = plain(record.user_attrs or {})
  for step, value in pairs(record.intermediate_values) do
    trial.intermediate_values[math.tointeger(tonumber(step))] = value
  end
  return trial
end

-- Reads the log, and cuts off an unfinished last line. False without a log.
local function open_log(self)
  local file = io.open(self.storage, "rb")
  if not file then return false end
  local whole = file:read "a"
  file:close()
  local complete = whole:match "^.*\n" or ""
  local number = 0
  for line in complete:gmatch "[^\n]+" do
    number = number + 1
    local record, trouble = json.decode(line)
    if type(record) ~= "table" then
      args.fail("create_study", "%s:%d: %s", self.storage, number, trouble or "not an object")
    end
    if record.study then
      if record.direction ~= self.direction then
        args.fail("create_study", "%s is a study that is to %s, asked for was %s", self.storage, tostring(record.direction),
          self.direction)
      end
      self.study_name = record.study
    elseif type(record.trial) ~= "number" or type(record.params) ~= "table" or type(record.intermediate_values) ~= "table" then
      args.fail("create_study", "%s:%d: no record of a trial", self.storage, number)
    else
      self.trials[#self.trials + 1] = trial_from(self, record)
    end
  end
  if #complete < #whole then
    local ok, message = core.atomic_write(self.storage, complete)
    if not ok then args.fail("create_study", "%s", message) end
  end
  return number > 0
end

-- --- the study ------------------------------------------------------------------------------------------
--- create_study{direction = "minimize", sampler, pruner, storage, study_name, load_if_exists = true}. The sampler is a TPESampler by
--- default; without a pruner nothing is pruned. storage: a file for the log, see Note [The log].
function Study:init(...)
  local o = spec:collect(...)
  if o.direction ~= "minimize" and o.direction ~= "maximize" then
    args.fail("create_study", "`direction` must be 'minimize' or 'maximize', got '%s'", o.direction)
  end
  if o.sampler ~= nil and (type(o.sampler) ~= "table" or not o.sampler.sample) then
    args.fail("create_study", "`sampler` must have sample(study, trial, name, space), got %s", text.describe(o.sampler))
  end
  if o.pruner ~= nil and (type(o.pruner) ~= "table" or not o.pruner.prune) then
    args.fail("create_study", "`pruner` must have prune(study, trial), got %s", text.describe(o.pruner))
  end
  self.study_name, self.direction, self.pruner = o.study_name, o.direction, o.pruner
  self.sampler = o.sampler or require("lampad.tune.tpe")()
  self.storage, self.trials, self._queue = o.storage, {}, {}
  if self.storage then
    local exists = open_log(self)
    if exists and not o.load_if_exists then
      args.fail("create_study", "%s exists; load_if_exists = true goes on with it", self.storage)
    end
    if not exists then append(self, { study = self.study_name, direction = self.direction, version = 1 }) end
  end
end

--- Puts a trial with the given values of some or all parameters first in line.
function Study:enqueue_trial(params)
  if type(params) ~= "table" then args.fail("enqueue_trial", "expected a table of values, got %s", text.describe(params)) end
  self._queue[#self._queue + 1] = params
end

local function finish(self, trial, state, seconds)
  trial.state, trial.seconds = state, seconds
  self.trials[#self.trials + 1] = trial
  if self.storage then append(self, trial_record(trial)) end
end

-- Runs one trial. Errors of the objective pass on, after the trial was noted as failed.
local function run_trial(self, objective, catch)
  local trial = Trial(self, #self.trials)
  trial._fixed = table.remove(self._queue, 1)
  local start = core.now()
  local trace
  local ok, result = xpcall(objective, function(err)
    if err ~= Trial.PRUNED and type(err) == "string" and err ~= "interrupted" then trace = debug.traceback(err, 2) end
    return err
  end, trial)
  local seconds = core.now() - start
  if ok then
    local value = Trial.number_of("optimize", result)
    if value ~= value then
      trial.message = "the value is nan"
      finish(self, trial, "fail", seconds)
    else
      trial.value = value
      finish(self, trial, "complete", seconds)
    end
  elseif result == Trial.PRUNED then
    finish(self, trial, "pruned", seconds)
  elseif result == "interrupted" then
    error(result, 0)
  else
    trial.message = tostring(result)
    finish(self, trial, "fail", seconds)
    if not catch then error(trace or result, 0) end
  end
  return trial
end

local optimize_spec = args "optimize(function objective, int n_trials=nil, float timeout=nil, *, int max_trials=nil, bool catch=false, function callback=nil)"

--- optimize(objective, {n_trials, timeout, max_trials, catch = false, callback}): runs objective(trial), which returns the value to
--- minimize or maximize, until n_trials trials were run, the study has max_trials in all (those of the log included), timeout seconds
--- have passed or the sampler has nothing left. catch: an error of the objective marks the trial as failed and the search goes on.
--- callback(study, trial) is called after each trial; false ends the search.
function Study:optimize(...)
  local objective, n_trials, timeout, max_trials, catch, callback = optimize_spec(...)
  local limit = self.sampler.limit and self.sampler:limit() or math.huge
  limit = math.min(limit, max_trials or math.huge, n_trials and #self.trials + n_trials or math.huge)
  if limit == math.huge and timeout == nil then
    args.fail("optimize", "needs n_trials, max_trials or timeout: this sampler never ends")
  end
  local start = core.now()
  while #self.trials < limit and not (timeout and core.now() - start >= timeout) do
    local trial = run_trial(self, objective, catch)
    if callback and callback(self, trial) == false then break end
  end
  return self
end

--- The trial with the best value; nil before one is complete. Also study.best_trial.
local function best_trial(self)
  local best
  for _, trial in ipairs(self.trials) do
    if trial.state == "complete" and (not best or self.direction == "minimize" and trial.value < best.value
      or self.direction == "maximize" and trial.value > best.value) then
      best = trial
    end
  end
  return best
end

-- best_trial, best_value, best_params are read like fields, as in Optuna.
local methods = Study.__meta.__index
function Study.__meta.__index(self, key)
  if key == "best_trial" then return best_trial(self) end
  if key == "best_value" or key == "best_params" then
    local best = best_trial(self)
    return best and best[key == "best_value" and "value" or "params"]
  end
  return methods[key]
end

function Study.__tostring(self)
  return ("Study(%s, %d trials, best %s)"):format(self.study_name, #self.trials, text.repr(self.best_value))
end

local function create_study(...) return Study(...) end

return { Study = Study, create_study = create_study }
