-- torch.unique, unique_consecutive and nonzero: results that hang on the options.
local torch = require "lampad"

describe("unique", function()
  local x = torch.tensor { 3, 1, 3, 0 }

  it("gives what its options ask for", function()
    local values, inverse, counts = x:unique(true, true, true)
    assert.same({ 0, 1, 3 }, values:tolist())
    assert.same({ 2, 1, 2, 0 }, inverse:tolist())
    assert.same({ 1, 1, 2 }, counts:tolist())
    assert.equal(1, select("#", torch.unique(x)))
    local _, only_counts = torch.unique(x, { return_counts = true })
    assert.same({ 1, 1, 2 }, only_counts:tolist())
  end)

  it("works along a dim and on runs", function()
    local rows = torch.unique(torch.tensor { { 1, 2 }, { 1, 2 }, { 0, 5 } }, { dim = 0 })
    assert.same({ { 0, 5 }, { 1, 2 } }, rows:tolist())
    local runs, counts = torch.unique_consecutive(torch.tensor { 1, 1, 2, 1 }, { return_counts = true })
    assert.same({ 1, 2, 1 }, runs:tolist())
    assert.same({ 2, 1, 1 }, counts:tolist())
  end)

  it("names a wrong argument", function()
    assert.error_matches(function() torch.unique(3) end, "unique: argument 'input' must be a tensor")
    assert.error_matches(function() torch.unique(x, { inverse = true }) end, "inverse")
  end)
end)

describe("nonzero", function()
  it("gives rows, or one tensor per dim", function()
    local m = torch.tensor { { 0, 5 }, { 7, 0 } }
    assert.same({ { 0, 1 }, { 1, 0 } }, m:nonzero():tolist())
    local columns = torch.nonzero(m, { as_tuple = true })
    assert.equal(2, #columns)
    assert.same({ 0, 1 }, columns[1]:tolist())
    assert.same({ 1, 0 }, columns[2]:tolist())
  end)
end)
