-- The same net, seed and batches as PyTorch: equal initial weights, equal losses (scripts/bench/parity.lua).

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
end)
