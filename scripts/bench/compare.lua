-- Compares the speed of two builds of Lampad and fails when the new one is slower.
--   scripts/dev bench compare OLD [NEW] [--limit PERCENT] [--rounds N] [--repeats N] [--threads N] [--sets small,ops,steps,zoo]
-- OLD, NEW: executables or build folders (NEW: build). Needs no Python. The status is 1 when a workload is slower by more than
-- the limit (5 %), 2 when something could not be run.
--
-- Workloads: the small ops of small.lua, the ops of ops.tsv on 1e3 and 1e6 elements, the steps of steps.lua, networks of zoo.lua
-- at 64 x 64. How noise is handled:
-- - A round runs one process of each build for each set, one after the other, and swaps their order from round to round. A
--   process gives the time under which a tenth of its samples stay, for what disturbs only adds; a round gives the quotient
--   new / old, and what counts is the median quotient of the rounds (5).
-- - Small ops and those on 1e3 elements have one thread, and the processor's time counts, which busy neighbours do not change.
--   With --threads 1 that holds for everything.
-- - A workload over four fifths of the limit is suspicious. It is measured again, alone, in up to 21 new rounds of short
--   processes, so close to each other that the machine's changing speed meets both. These rounds alone decide, for among many
--   workloads some are over the limit by chance, but not twice. It counts as slower when their median is over the limit and
--   the quotients lie above 1 so consistently that equally fast builds would not: not one of the suspicious workloads of a
--   set in 99 comparisons of a hundred (judge.lua). Over the limit but not consistent is printed as NOISY and fails nothing.
-- - The spread of the quotients is printed: where it is over the limit, the machine is too busy for the comparison.
-- Checked by hand with a copy of the build, which passes, and with one whose pointwise ops spin 50 ns and whose tenth softmax is
-- made twice: they are found, on a machine busy with other things. tests/lua/bench_spec.lua tests the judgement.
local here = arg[0]:match "^(.*)/" or "."
local builds = dofile(here .. "/builds.lua")
local judge = dofile(here .. "/judge.lua")

local SETS = {
  { set = "small", script = "small.lua", arguments = {}, threads = 1, budget = "--steady 1 --seconds 0.1 --least 9 --sample 0.002" },
  { set = "ops", title = "1e3: ", script = "ops.lua", arguments = { "1000" }, threads = 1, budget = "--least 5 --sample 0.004" },
  { set = "ops", title = "1e6: ", script = "ops.lua", arguments = { "1000000" }, budget = "--least 3 --sample 0.004" },
  { set = "steps", script = "steps.lua", arguments = {}, budget = "--seconds 0.3 --warm-ups 2" },
  { set = "zoo", script = "zoo.lua", arguments = {}, pattern = "64 x 64", budget = "--seconds 0.2 --warm-ups 2" },
}

local positional, options = builds.arguments(arg, { limit = 5, rounds = 5, repeats = 21, threads = 0, sets = "small,ops,steps,zoo" })
if #positional < 1 or #positional > 2 then builds.fail("give the old build and, if it is not in build/, the new one") end
local executables = { builds.executable(positional[1]), builds.executable(positional[2] or "build") }
local limit = options.limit / 100
local threads = math.tointeger(options.threads > 0 and options.threads or tonumber(builds.output { "nproc" }))

-- Microseconds by name, and the names in order, of one process.
local function times_of(executable, set, pattern)
  local words = { executable, here .. "/" .. set.script, table.unpack(set.arguments) }
  words[#words + 1] = pattern
  for word in (set.budget .. " --quantile 0.1"):gmatch "%S+" do words[#words + 1] = word end
  local its_threads = set.threads or threads
  if its_threads == 1 then table.move({ "--processor", "1" }, 1, 2, #words + 1, words) end
  local times, names = {}, {}
  for name, time in builds.output(words, "OMP_NUM_THREADS=" .. its_threads):gmatch "([^\n\t]+)\t([^\n]+)" do
    times[name] = tonumber(time)
    names[#names + 1] = name
  end
  return times, names
end

-- Adds a pair of times to each workload of a set that the pattern selects: pairs_of[name] = {{old, new}, ...}.
local function play_round(set, pattern, number, pairs_of, names)
  local times = {}
  for _, side in ipairs(number % 2 == 0 and { 1, 2 } or { 2, 1 }) do
    local in_order
    times[side], in_order = times_of(executables[side], set, pattern)
    if #names == 0 then table.move(in_order, 1, #in_order, 1, names) end
  end
  for _, name in ipairs(names) do
    local old, new = times[1][name], times[2][name]
    if old and new then
      pairs_of[name] = pairs_of[name] or {}
      table.insert(pairs_of[name], { old, new })
    end
  end
end

local function line_of(title, list_of_pairs, note)
  local times = { {}, {} }
  for i, pair in ipairs(list_of_pairs) do times[1][i], times[2][i] = pair[1], pair[2] end
  return ("%-58s %12.4g %12.4g %7.3f  %s"):format(title, judge.median(times[1]), judge.median(times[2]),
    judge.ratio(list_of_pairs), note)
end

local slower, noisy, repeated, ratios, spreads = {}, 0, 0, {}, {}
print(("old: %s\nnew: %s\n%d threads; microseconds\n"):format(executables[1], executables[2], threads))
print(("%-58s %12s %12s %7s"):format("", "old", "new", "ratio"))
for _, set in ipairs(SETS) do
  if ("," .. options.sets .. ","):find("," .. set.set .. ",", 1, true) then
    local pairs_of, names, suspects = {}, {}, {}
    for number = 1, options.rounds do play_round(set, set.pattern or "", number, pairs_of, names) end
    for _, name in ipairs(names) do
      if pairs_of[name] and judge.is_suspicious(pairs_of[name], limit) then suspects[#suspects + 1] = name end
    end
    local again = {}
    for _, name in ipairs(suspects) do
      local number = 0
      repeat
        number = number + 1
        play_round(set, "=" .. name, number, again, { name })
      until number >= options.repeats or number == options.repeats // 2 and judge.ratio(again[name]) < 1 + limit / 2
    end
    repeated = repeated + #suspects
    for _, name in ipairs(names) do
      local list_of_pairs, title, note = pairs_of[name], (set.title or "") .. name, ""
      if not list_of_pairs then
        note = "in one build only"
        print(("%-58s  %s"):format(title, note))
      else
        if again[name] then
          local verdict = judge.verdict(again[name], limit, #suspects)
          if verdict == "slower" then slower[#slower + 1] = title end
          if verdict == "noisy" then noisy = noisy + 1 end
          note = ("%s(%.3f at first, then %d rounds more)"):format(verdict == "" and "" or verdict:upper() .. " ",
            judge.ratio(list_of_pairs), #again[name])
          list_of_pairs = again[name]
        end
        ratios[#ratios + 1], spreads[#spreads + 1] = judge.ratio(list_of_pairs), judge.spread(pairs_of[name])
        print(line_of(title, list_of_pairs, note))
      end
    end
  end
end
if #ratios == 0 then builds.fail("there is no set '%s'", options.sets) end

local noise = judge.median(spreads)
print(("\nThe quotients of a workload's rounds lie within %.1f %% (median of the workloads)."):format(noise * 100))
if noise > limit then print "That is more than the limit: a slower build may have gone unnoticed. Measure on a quieter machine." end
print(("%d workloads, median ratio %.3f; %d measured again, %d too noisy to tell, %d slower by more than %g %%"):format(
  #ratios, judge.median(ratios), repeated, noisy, #slower, options.limit))
for _, title in ipairs(slower) do print("  slower: " .. title) end
os.exit(#slower == 0)
