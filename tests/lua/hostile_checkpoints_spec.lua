-- Checkpoints that mean harm: each is refused with a clear error or loads as something inert; nothing runs, nothing breaks.
local torch = require "lampad"
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local hostile = dofile(here .. "/hostile_checkpoints.lua")

describe("torch.load of hostile files", function()
  local marker = os.tmpname()
  os.remove(marker)
  for _, case in ipairs(hostile.cases(marker)) do
    it(("%s: %s"):format(case.wants, case.name), function()
      local path = os.tmpname()
      do
        local file <close> = assert(io.open(path, "wb"))
        file:write(case.bytes)
      end
      for _, load in ipairs { function() return torch.load(case.bytes) end, function() return torch.load(path) end,
        function() return torch.load(path, { mmap = true }) end } do
        local ok, value = pcall(load)
        if not ok then
          assert.is_string(value)
          assert.matches("load", value)
        end
      end
      local ok, value = pcall(torch.load, path)
      os.remove(path)
      if case.wants == "refused" then assert.is_false(ok, "it loads as " .. tostring(value)) end
      if case.wants == "inert" then assert.is_true(ok, tostring(value)) end
      assert.is_nil(io.open(marker, "rb"))
    end)
  end
end)
