-- Counts the instructions of small ops under valgrind, of one build or of two beside each other. Time on a busy machine cannot
-- show a change of 1 %, instructions do.
--   scripts/dev bench count [OLD] [NEW] [--calls N, thousands] [--only PATTERN] [--states N]
-- OLD, NEW: executables or build folders (NEW: build; without OLD it is counted alone). The rows are those of small.lua.
--
-- A figure is the difference between a process with more calls and one with fewer, divided by the number of calls between: the
-- start is left out. It has one thread, the AVX2 kernels (valgrind knows no AVX-512), and a collection each thousand calls. What
-- would differ from run to run is Lua's seed for the hashes of strings, made from addresses, which are fixed under valgrind, and from the
-- time, which a preloaded time() holds still: the same build gives the same figures to the last instruction. Builds whose code
-- lies elsewhere have other seeds, which is worth up to 0.4 %, so a figure is the mean over several times (3): about 0.1 %.
local here = arg[0]:match "^(.*)/" or "."
local builds = dofile(here .. "/builds.lua")

local FIXED_TIME = [[
#include <stdlib.h>
#include <time.h>
time_t time(time_t *result) {
  const char *text = getenv("FIXED_TIME");
  const time_t now = text ? atol(text) : 0;
  if (result) *result = now;
  return now;
}
]]

local positional, options = builds.arguments(arg, { calls = 5000, states = 3, only = "" })
if #positional > 2 then builds.fail("at most two builds can be compared") end
local executables = { builds.executable(positional[1] or "build") }
if #positional > 0 then executables[2] = builds.executable(positional[2] or "build") end

local library = os.tmpname()
do
  local source = assert(io.open(library .. ".c", "w"))
  source:write(FIXED_TIME)
  source:close()
  builds.output { "cc", "-shared", "-fPIC", "-O1", "-o", library, library .. ".c" }
  os.remove(library .. ".c")
end

-- The instructions of a process that makes so many calls of a row.
local function total(executable, row, calls, state)
  local output = builds.output({ "sh", "-c", 'exec "$@" 2>&1', "sh", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
    executable, here .. "/small.lua", "=" .. row, "--steady", 1, "--calls", calls },
    -- With the variable set, lampad does not set it and start itself anew.
    ("OMP_NUM_THREADS=1 GOMP_SPINCOUNT=10000 FIXED_TIME=%d LD_PRELOAD=%s"):format(state, library))
  return tonumber(output:match "Collected : (%d+)") or builds.fail("valgrind counted nothing:\n%s", output)
end

local function per_call(executable, row)
  local sum, fewer = 0, 1000
  for state = 1, options.states do
    sum = sum + (total(executable, row, fewer + options.calls, state) - total(executable, row, fewer, state)) / options.calls
  end
  return sum / options.states
end

print(("%-40s %12s"):format("instructions of a call", executables[2] and "old" or "") .. (executables[2] and ("%13s %9s"):format("new", "change") or ""))
for row in builds.output({ executables[1], here .. "/small.lua", options.only, "--calls", "0" }):gmatch "[^\n]+" do
  local counts = {}
  for i, executable in ipairs(executables) do counts[i] = per_call(executable, row) end
  print(("%-40s %12.1f"):format(row, counts[1]) ..
    (counts[2] and ("%13.1f %+8.2f%%"):format(counts[2], (counts[2] / counts[1] - 1) * 100) or ""))
end
os.remove(library)
