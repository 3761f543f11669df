-- torch.tune: samplers, pruning, the log from which a search goes on; and the JSON that it is written in.
local torch = require "lampad"
local tune = torch.tune
local json = require "lampad.json"
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")

local function fails(pattern, f)
  local ok, message = pcall(f)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(pattern, 1, true), message)
  assert.truthy(message:find("tune_spec.lua:", 1, true), message)
end

describe("json", function()
  it("keeps what it writes", function()
    for _, value in ipairs { 0, -3, 2.5, 1e300, 0.1, 1 / 3, 5e-324, math.maxinteger, math.mininteger, true, false, "", "a\"b\\c\n\1\127é",
      math.huge, -math.huge } do
      local back = assert.truthy(json.encode(value)) and json.decode(json.encode(value))
      assert.equal(value, back)
      assert.equal(math.type(value), math.type(back))
    end
    local nan = json.decode(json.encode(0 / 0))
    assert.is_true(nan ~= nan)
    local text = '{"a": [1, 2.0, [], {}], "b": {"c": null}, "d": "x"}'
    assert.equal(text, json.encode(json.decode(text)))
    assert.equal("[]", json.encode(json.array {}))
    assert.equal(json.null, json.decode "null")
  end)

  it("reads JSON of others", function()
    assert.same({ x = { -1, 150.0, "é😀/" } }, json.decode ' {"x"\t:[-1,\n1.5e2 , "\\u00e9\\ud83d\\ude00\\/"]}\r\n ')
  end)

  it("refuses what is none", function()
    for _, text in ipairs { "", "{", "[1,", "[1 2]", '{"a"}', '{"a":1,}', "[1,]", "01", "1.", ".5", "+1", "tru", '"a', '"\\x"', "'a'",
      "1 2", "{1:2}", '"a\nb"', "[" .. ("["):rep(300), "-", "nan" } do
      local value, message = json.decode(text)
      assert.is_nil(value, text)
      assert.equal("string", type(message))
    end
    assert.error_matches(function() json.encode { print } end, "cannot write a function")
    assert.error_matches(function() json.encode { [1.5] = 1 } end, "must be a string")
  end)
end)

describe("tune", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)

  local function quadratic(trial)
    local x = trial:suggest_float("x", -10, 10)
    local y = trial:suggest_float("y", 1e-4, 1, { log = true })
    return (x - 2) ^ 2 + (math.log(y, 10) + 2) ^ 2
  end

  it("draws values inside of their spaces, each with its share", function()
    local study = tune.create_study { sampler = tune.RandomSampler { seed = 1 } }
    local counts, below = {}, 0
    study:optimize(function(trial)
      local n = trial:suggest_int("n", 1, 4)
      local even = trial:suggest_int("even", 2, 9, { step = 2 })
      local c = trial:suggest_categorical("c", { "a", "b", true })
      local f = trial:suggest_float("f", 0, 1, { step = 0.25 })
      local log = trial:suggest_float("log", 1e-4, 1, { log = true })
      local units = trial:suggest_int("units", 1, 100, { log = true })
      assert.is_true(n >= 1 and n <= 4 and math.type(n) == "integer")
      assert.is_true(even % 2 == 0 and even >= 2 and even <= 8)
      assert.is_true(f * 4 % 1 == 0 and f >= 0 and f <= 1)
      assert.is_true(log >= 1e-4 and log <= 1 and units >= 1 and units <= 100 and math.type(units) == "integer")
      for _, key in ipairs { "n" .. n, "c" .. tostring(c), "e" .. even, "f" .. f } do counts[key] = (counts[key] or 0) + 1 end
      if log < 1e-2 then below = below + 1 end
      return 0
    end, { n_trials = 400 })
    for key, wanted in pairs { n1 = 100, n4 = 100, ca = 133, cb = 133, ctrue = 133, e2 = 100, e8 = 100, ["f0.0"] = 80, ["f1.0"] = 80 } do
      assert.is_near(wanted, counts[key], 45)
    end
    assert.is_near(200, below, 45)
  end)

  it("gives the same search for a seed, another for another", function()
    local function run(seed)
      local study = tune.create_study { sampler = tune.TPESampler { seed = seed } }
      study:optimize(quadratic, { n_trials = 20 })
      local xs = {}
      for i, trial in ipairs(study.trials) do xs[i] = trial.params.x end
      return xs
    end
    assert.same(run(3), run(3))
    assert.are_not.same(run(3), run(4))
  end)

  it("goes through a grid once", function()
    local study = tune.create_study { sampler = tune.GridSampler { a = { 1, 2, 3 }, b = { "x", "y" } }, direction = "maximize" }
    local seen = {}
    study:optimize(function(trial)
      local a, b = trial:suggest_float("a", 0, 5), trial:suggest_categorical("b", { "x", "y", "z" })
      seen[#seen + 1] = a .. b
      return a + (b == "x" and 1 or 0)
    end)
    assert.same({ "1.0x", "1.0y", "2.0x", "2.0y", "3.0x", "3.0y" }, seen)
    assert.same({ 4.0, 3.0, "x" }, { study.best_value, study.best_params.a, study.best_params.b })
    assert.equal(4, study.best_trial.number)
  end)

  it("finds better values with TPE than at random, over seeds", function()
    local sums = { 0, 0 }
    for seed = 1, 8 do
      for i, sampler in ipairs { tune.RandomSampler { seed = seed }, tune.TPESampler { seed = seed } } do
        local study = tune.create_study { sampler = sampler }
        study:optimize(quadratic, { n_trials = 60 })
        sums[i] = sums[i] + study.best_value
      end
    end
    assert.is_true(sums[2] < sums[1] / 2, ("TPE %g, random %g"):format(sums[2], sums[1]))
  end)

  it("learns choices and integers with TPE", function()
    local study = tune.create_study { sampler = tune.TPESampler { seed = 5 }, direction = "maximize" }
    local late = 0
    study:optimize(function(trial)
      local c = trial:suggest_categorical("c", { "a", "b", "c", "d" })
      local n = trial:suggest_int("n", 1, 64, { log = true })
      if trial.number >= 40 and c == "c" then late = late + 1 end
      return (c == "c" and 10 or 0) - math.abs(n - 8)
    end, { n_trials = 80 })
    assert.equal("c", study.best_params.c)
    assert.is_true(math.abs(study.best_params.n - 8) <= 1)
    assert.is_true(late > 20)
  end)

  it("prunes what is worse than the median", function()
    local study = tune.create_study { sampler = tune.RandomSampler { seed = 2 }, pruner = tune.MedianPruner { n_startup_trials = 4 } }
    local steps = 0
    study:optimize(function(trial)
      local x = trial:suggest_float("x", 0, 1)
      for step = 1, 5 do
        steps = steps + 1
        trial:report(x / step, step)
        if trial:should_prune() then trial:prune() end
      end
      return x / 5
    end, { n_trials = 40 })
    local states = {}
    for _, trial in ipairs(study.trials) do states[trial.state] = (states[trial.state] or 0) + 1 end
    assert.equal(40, states.complete + states.pruned)
    assert.is_true(states.pruned > 10)
    assert.is_true(steps < 200 - 4 * 10)
    for i = 1, 4 do assert.equal("complete", study.trials[i].state) end
    -- Neither warm-up steps nor those between the intervals prune.
    local pruner = tune.MedianPruner { n_startup_trials = 1, n_warmup_steps = 3, interval_steps = 2 }
    local fake = { direction = "minimize", trials = { { state = "complete", intermediate_values = { [1] = 0, [3] = 0, [4] = 0, [5] = 0 } } } }
    local function asks(step) return pruner:prune(fake, { last_step = step, intermediate_values = { [step] = 1 } }) end
    assert.same({ false, true, false, true }, { asks(1), asks(3), asks(4), asks(5) })
  end)

  it("goes on from its log with the same trials", function()
    local function objective(trial)
      local value = quadratic(trial)
      trial:report(value * 2, 0)
      trial:set_user_attr("note", "n" .. trial.number)
      if trial:should_prune() then trial:prune() end
      return value
    end
    local function study_of(path)
      return tune.create_study { storage = path, sampler = tune.TPESampler { seed = 7, n_startup_trials = 5 },
        pruner = tune.MedianPruner { n_startup_trials = 8 } }
    end
    local whole, path = study_of(folder .. "/whole.jsonl"), folder .. "/part.jsonl"
    whole:optimize(objective, { max_trials = 25 })
    study_of(path):optimize(objective, { max_trials = 11 })
    -- The process was killed while it wrote, and in the middle of another trial.
    local text = command.read(path)
    command.write(path, text .. '{"trial": 11, "state": "comp')
    pcall(function() study_of(path):optimize(function(trial) trial:suggest_float("x", -10, 10) error("interrupted", 0) end, { max_trials = 12 }) end)
    assert.equal(text, command.read(path))
    local resumed = study_of(path)
    assert.equal(11, #resumed.trials)
    assert.equal("n3", resumed.trials[4].user_attrs.note)
    resumed:optimize(objective, { max_trials = 25 })
    for i, trial in ipairs(whole.trials) do
      local other = resumed.trials[i]
      assert.same({ trial.params, trial.state, trial.value, trial.intermediate_values },
        { other.params, other.state, other.value, other.intermediate_values })
    end
    assert.equal(whole.best_value, tune.create_study { storage = path }.best_value)
    assert.truthy(tostring(whole):find("Study(study, 25 trials, best ", 1, true))
    fails("is to minimize, asked for was maximize", function() tune.create_study { storage = path, direction = "maximize" } end)
    fails("exists", function() tune.create_study { storage = path, load_if_exists = false } end)
    command.write(path, "rubbish\n")
    fails("part.jsonl:1:", function() tune.create_study { storage = path } end)
    command.write(path, "{}\n")
    fails("no record of a trial", function() tune.create_study { storage = path } end)
    fails("cannot write", function() tune.create_study { storage = folder .. "/none/x.jsonl" } end)
  end)

  it("notes trials that fail", function()
    local study = tune.create_study()
    assert.error_matches(function() study:optimize(function() error "no good" end, { max_trials = 1 }) end, "no good")
    assert.same({ 1, "fail" }, { #study.trials, study.trials[1].state })
    study:optimize(function(trial) if trial.number < 3 then error "again" end return 0 / 0 end, { max_trials = 4, catch = true })
    assert.truthy(study.trials[2].message:find "again")
    assert.equal("the value is nan", study.trials[4].message)
    assert.is_nil(study.best_trial)
    assert.is_nil(study.best_value)
    study:enqueue_trial { x = 3.5 }
    local seen = {}
    study:optimize(function(trial) seen[#seen + 1] = trial:suggest_float("x", 0, 10) return torch.tensor(1.0) end,
      { max_trials = 10, callback = function(_, trial) return trial.number < 5 end })
    assert.same({ 3.5, 2, 1.0 }, { seen[1], #seen, study.best_value })
    study:optimize(function() return 1 end, { timeout = 0 })
    assert.equal(6, #study.trials)
  end)

  it("says what is wrong", function()
    local study = tune.create_study()
    local function within(pattern, f)
      fails(pattern, function() study:optimize(f, { n_trials = 1 }) end)
    end
    fails("`direction`", function() tune.create_study { direction = "up" } end)
    fails("`sampler`", function() tune.create_study { sampler = 3 } end)
    fails("`pruner`", function() tune.create_study { pruner = {} } end)
    fails("n_trials, max_trials or timeout", function() study:optimize(print) end)
    fails("`gamma`", function() tune.TPESampler { gamma = 1 } end)
    fails("`n_ei_candidates`", function() tune.TPESampler { n_ei_candidates = 0 } end)
    fails("`interval_steps`", function() tune.MedianPruner { interval_steps = 0 } end)
    fails("search_space is empty", function() tune.GridSampler {} end)
    fails("search_space['a']", function() tune.GridSampler { a = 3 } end)
    within("low must not be above high", function(trial) return trial:suggest_float("x", 2, 1) end)
    within("low must be positive with log", function(trial) return trial:suggest_float("x", 0, 1, { log = true }) end)
    within("step and log", function(trial) return trial:suggest_float("x", 1, 2, { log = true, step = 0.1 }) end)
    within("choices is empty", function(trial) return trial:suggest_categorical("x", {}) end)
    within("choice 1 must be", function(trial) return trial:suggest_categorical("x", { {} }) end)
    within("with another range", function(trial) return trial:suggest_int("x", 1, 2) + trial:suggest_int("x", 1, 3) end)
    within("the value must be a number", function() end)
    within("the step must not be negative", function(trial) trial:report(1, -1) end)
    local grid = tune.create_study { sampler = tune.GridSampler { a = { 9 } } }
    fails("not in the grid", function() grid:optimize(function(trial) return trial:suggest_float("b", 0, 1) end) end)
    grid = tune.create_study { sampler = tune.GridSampler { a = { 9 } } }
    fails("outside of what", function() grid:optimize(function(trial) return trial:suggest_float("a", 0, 1) end) end)
    study:enqueue_trial { x = 30 }
    within("outside of its range", function(trial) return trial:suggest_int("x", 1, 2) end)
    fails("expected a table", function() study:enqueue_trial(3) end)
  end)
end)
