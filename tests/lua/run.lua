-- Runs the busted specs of tests/lua/ in this interpreter: build/lampad tests/lua/run.lua [FILTER]
-- FILTER is part of a spec file's name, or "name:PATTERN" for part of a test's name. The last line is
-- "N passed, N failed".

local here = arg[0]:match("^(.*)/[^/]*$") or "."
local filter = arg[1]

local function spec_files()
  local files = {}
  local list = assert(io.popen("ls '" .. here .. "'"))
  for name in list:lines() do
    if name:match("_spec%.lua$") then files[#files + 1] = name end
  end
  list:close()
  table.sort(files)
  return files
end

local pattern = filter and filter:match("^name:(.*)$")
local runner_args = { "--no-auto-insulate", "--output=" .. here .. "/report.lua", "--run=lampad" }
if pattern then runner_args[#runner_args + 1] = "--filter=" .. pattern end
local chosen = 0
for _, name in ipairs(spec_files()) do
  if pattern or not filter or name:find(filter, 1, true) then
    runner_args[#runner_args + 1] = here .. "/" .. name
    chosen = chosen + 1
  end
end
if chosen == 0 then
  print("no spec file's name contains '" .. tostring(filter) .. "'")
  print("0 passed, 1 failed")
  os.exit(1)
end

-- busted reads the global `arg`.
arg = { [0] = arg[0], table.unpack(runner_args) }
require "busted.runner" { standalone = false }
