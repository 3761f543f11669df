-- The same nets, seed and batches as PyTorch: equal initial weights, equal losses (scripts/bench/parity.lua and
-- parity_models.lua).

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")

describe("parity with PyTorch", function()
  teardown(command.clean)

  it("holds for the weights to the last bit and for the losses of 100 steps", function()
    local status, out, err = command.run { here .. "/../../scripts/bench/parity.lua", here .. "/../golden/parity.txt" }
    assert.equal(0, status, out .. err)
    assert.truthy(out:find("initial weights: equal to the last bit", 1, true), out)
    assert.truthy(out:find("parity: passed", 1, true), out)
  end)

  for _, name in ipairs { "gpt", "resnet" } do
    it("holds for the weights and the losses of a small " .. name, function()
      local status, out, err = command.run { here .. "/../../scripts/bench/parity_models.lua", name }
      assert.equal(0, status, out .. err)
      assert.truthy(out:find(name .. ": initial weights equal to the last bit", 1, true), out)
      assert.truthy(out:find("parity: passed", 1, true), out)
    end)
  end
end)
