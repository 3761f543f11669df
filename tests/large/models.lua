-- Every network of vision.models, and those with options, against torchvision's numbers. scripts/models.sh runs it.
--   build/lampad tests/large/models.lua [NAME_FILTER]
local here = arg[0]:match "^(.*)/[^/]*$" or "."
local golden = dofile(here .. "/../lua/models_golden.lua")

local rows, labels = golden.rows(), {}
for label in pairs(rows) do
  if not arg[1] or label:find(arg[1], 1, true) then labels[#labels + 1] = label end
end
table.sort(labels)

local passed, failed = 0, 0
for _, label in ipairs(labels) do
  local ok, err = pcall(golden.check, label, rows[label], true)
  if ok then passed = passed + 1 else failed = failed + 1 end
  io.write(("%-8s%s%s\n"):format(ok and "ok" or "FAILED", label, ok and "" or ": " .. tostring(err)))
  io.flush()
  collectgarbage()
end
print(passed .. " passed, " .. failed .. " failed")
os.exit(failed == 0 and passed > 0)
