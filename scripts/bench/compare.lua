-- Compares the speed of two builds of Lampad and fails when the new one is slower.
--   scripts/dev bench compare OLD [NEW] [--limit PERCENT] [--rounds N] [--repeats N] [--threads N] [--sets small,ops,steps,zoo]
-- OLD, NEW: executables or build folders (NEW: build). Needs no Python. The status is 1 when a workload is slower by more than
-- the limit (5 %), 2 when something could not be run.
--
-- Workloads: the small ops of small.lua, the ops of ops.tsv on 1e3 and 1e6 elements, the steps of steps.lua, networks of zoo.lua
-- at 64 x 64. How noise is handled: a round runs one process of each build for each set, one after the other, and swaps their
-- order from round to round; a process gives the median of its samples, a round the quotient new / old, and a workload's figure
-- is the median quotient of the rounds (5). A workload over four fifths of the limit is suspicious: it is measured again, in 11 new rounds,
-- and these alone decide, for among many workloads some are over the limit by chance, but not twice. It counts as slower when
-- their median is over the limit and the quotients lie above 1 so consistently that equally fast builds would show it once in
-- a hundred times (judge.lua). Over the limit but not consistent is printed as noisy and fails nothing: measure on a quieter machine.
local here = arg[0]:match "^(.*)/" or "."
local builds = dofile(here .. "/builds.lua")
local judge = dofile(here .. "/judge.lua")

local SETS = {
  { set = "small", script = "small.lua", arguments = {}, budget = "--seconds 0.1 --least 9" },
  { set = "ops", title = "1e3: ", script = "ops.lua", arguments = { "1000" }, budget = "--least 5 --sample 0.004" },
  { set = "ops", title = "1e6: ", script = "ops.lua", arguments = { "1000000" }, budget = "--least 3 --sample 0.004" },
  { set = "steps", script = "steps.lua", arguments = {}, budget = "--seconds 0.3 --warm-ups 2" },
  { set = "zoo", script = "zoo.lua", arguments = {}, pattern = "64 x 64", budget = "--seconds 0.2 --warm-ups 2" },
}

local positional, options = builds.arguments(arg, { limit = 5, rounds = 5, repeats = 11, threads = "", sets = "small,ops,steps,zoo" })
if #positional < 1 or #positional > 2 then builds.fail("give the old build and, if it is not in build/, the new one") end
local executables = { builds.executable(positional[1]), builds.executable(positional[2] or "build") }
local limit = options.limit / 100
local threads = options.threads == "" and builds.output({ "nproc" }):match "%d+" or options.threads

-- Microseconds by name, and the names in order, of one process.
local function times_of(executable, set, pattern)
  local words = { executable, here .. "/" .. set.script, table.unpack(set.arguments) }
  words[#words + 1] = pattern
  for word in set.budget:gmatch "%S+" do words[#words + 1] = word end
  local times, names = {}, {}
  for name, time in builds.output(words, "OMP_NUM_THREADS=" .. threads):gmatch "([^\n\t]+)\t([^\n]+)" do
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

local slower, noisy, repeated, all_ratios = {}, 0, 0, {}
print(("old: %s\nnew: %s\n%s threads; microseconds\n"):format(executables[1], executables[2], threads))
print(("%-58s %12s %12s %7s"):format("", "old", "new", "ratio"))
for _, set in ipairs(SETS) do
  if ("," .. options.sets .. ","):find("," .. set.set .. ",", 1, true) then
    local pairs_of, names, suspects = {}, {}, {}
    for number = 1, options.rounds do play_round(set, set.pattern or "", number, pairs_of, names) end
    for _, name in ipairs(names) do
      if pairs_of[name] and judge.is_suspicious(pairs_of[name], limit) then suspects[#suspects + 1] = name end
    end
    local again = {}
    if #suspects > 0 then
      for number = 1, options.repeats do play_round(set, "=" .. table.concat(suspects, "|"), number, again, { table.unpack(suspects) }) end
    end
    repeated = repeated + #suspects
    for _, name in ipairs(names) do
      local list_of_pairs, title, note = pairs_of[name], (set.title or "") .. name, ""
      if not list_of_pairs then
        note = "in one build only"
        print(("%-58s  %s"):format(title, note))
      else
        if again[name] then
          local verdict = judge.verdict(again[name], limit)
          if verdict == "slower" then slower[#slower + 1] = title end
          if verdict == "noisy" then noisy = noisy + 1 end
          note = ("%s(%.3f at first, then %d rounds more)"):format(verdict == "" and "" or verdict:upper() .. " ",
            judge.ratio(list_of_pairs), #again[name])
          list_of_pairs = again[name]
        end
        all_ratios[#all_ratios + 1] = judge.ratio(list_of_pairs)
        print(line_of(title, list_of_pairs, note))
      end
    end
  end
end
if #all_ratios == 0 then builds.fail("there is no set '%s'", options.sets) end

print(("\n%d workloads, median ratio %.3f; %d measured again, %d too noisy to tell, %d slower by more than %g %%"):format(
  #all_ratios, judge.median(all_ratios), repeated, noisy, #slower, options.limit))
for _, title in ipairs(slower) do print("  slower: " .. title) end
os.exit(#slower == 0)
