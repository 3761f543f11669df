-- ONNX's backend test data: every case whose name is not in tests/onnx/expected.lua must give its outputs, and every case
-- that is there must not.
local torch = require "lampad"

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local root = here .. "/../.."
local command = dofile(here .. "/command.lua")
local cases = dofile(root .. "/tests/onnx/cases.lua")
local expected = dofile(root .. "/tests/onnx/expected.lua")

local archive = root .. "/../shared/data/goldens/onnx_backend_data_6be0677.tar.xz"

-- Does torch have the dotted name?
local function is_there(name)
  local v = torch
  for word in name:gmatch "[^.]+" do
    v = v and v[word]
  end
  return v ~= nil
end

-- case name -> why it is not expected to pass, and whether it may
local reasons, either = {}, {}
for _, group in ipairs(expected) do
  for name in group.cases:gmatch "%S+" do
    either[name] = group.either
    reasons[name] = not (group.until_there and is_there(group.until_there)) and group.reason or nil
  end
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

describe("the ONNX backend test data", function()
  if not exists(archive) then
    it("is not there", function() pending(archive .. " is absent") end)
    return
  end

  local folder
  setup(function()
    folder = command.new_folder()
    assert.equal(0, (command.shell(("tar -xJf %s -C %s"):format(command.quote(archive), command.quote(folder)))))
  end)
  teardown(command.clean)

  -- node: 1,802 cases of one operator each, or of the graph that stands for it; the others: small graphs.
  for _, part in ipairs { "node", "simple", "pytorch-converted", "pytorch-operator" } do
    it("gives its outputs: " .. part, function()
      local found = cases.find(folder .. "/data/" .. part)
      local passed, listed, counts, faults = 0, 0, {}, {}
      for _, case in ipairs(found) do
        local ok, message = pcall(cases.run, case)
        local reason = reasons[case.name]
        if ok then
          passed = passed + 1
        elseif reason then
          listed, counts[reason] = listed + 1, (counts[reason] or 0) + 1
        end
        if ok and reason and not either[case.name] then
          faults[#faults + 1] = ("%s passes; take it from tests/onnx/expected.lua (%s)"):format(case.name, reason)
        elseif not ok and not reason then
          faults[#faults + 1] = ("%s: %s"):format(case.name, message)
        end
      end
      print(("ONNX %s: %d of %d cases passed, %d are listed as not expected to"):format(part, passed, #found, listed))
      for _, group in ipairs(expected) do
        if counts[group.reason] then print(("  %3d  %s"):format(counts[group.reason], group.reason)) end
      end
      assert.equal("", table.concat(faults, "\n"))
      assert.is_true(#found > 0)
    end)
  end

  it("knows the cases that the list names", function()
    local known = {}
    for _, case in ipairs(cases.find(folder .. "/data")) do known[case.name] = true end
    for name in pairs(reasons) do assert(known[name], name .. " is no case") end
  end)
end)
