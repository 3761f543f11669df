-- The judgement of the comparison of two builds (scripts/bench/judge.lua): equal builds pass, slower ones do not.

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local judge = dofile(here .. "/../../scripts/bench/judge.lua")

describe("the comparison of two builds", function()
  -- Pairs of times with noise of both kinds: a machine whose speed both meet, and disturbances of single processes.
  local function pairs_of(count, quotient, noise)
    local list = {}
    for i = 1, count do
      local speed = 1 + math.random()
      local function disturbed(time) return time * speed * (1 + noise * math.random()) end
      list[i] = { disturbed(1), disturbed(quotient) }
    end
    return list
  end

  before_each(function() math.randomseed(7) end)

  it("takes the median quotient of the pairs", function()
    assert.equal(2, judge.ratio { { 1, 2 }, { 10, 30 }, { 4, 4 } })
    assert.equal(1.5, judge.ratio { { 1, 1 }, { 1, 2 } })
    assert.equal(0.25, judge.spread { { 1, 1 }, { 1, 1.25 }, { 1, 1.5 }, { 1, 1.75 }, { 1, 2 } })
  end)

  it("bounds it from below as coins would fall", function()
    local list = {}
    for i = 1, 11 do list[i] = { 1, i } end
    assert.equal(2, judge.lower_bound(list, 0.01))       -- 12 of 2048 throws have at most one tail
    assert.equal(1, judge.lower_bound(list, 0.005))
    assert.is_nil(judge.lower_bound(list, 0.0004))       -- 1 of 2048 has none
    assert.is_nil(judge.lower_bound({ { 1, 2 }, { 1, 2 } }, 0.01))
  end)

  it("finds a build that is slower beyond the noise", function()
    local list = pairs_of(21, 1.1, 0.04)
    assert.is_true(judge.is_suspicious(list, 0.05))
    assert.equal("slower", judge.verdict(list, 0.05, 10))
    assert.equal("", judge.verdict(list, 0.2, 10))
  end)

  it("passes equal builds and faster ones, however noisy", function()
    for _, noise in ipairs { 0, 0.02, 0.3 } do
      for _, quotient in ipairs { 0.9, 1 } do
        for _ = 1, 200 do assert.not_equal("slower", judge.verdict(pairs_of(21, quotient, noise), 0.05, 1)) end
      end
    end
  end)

  it("calls what is over the limit but not consistent noisy", function()
    local list = {}
    for i = 1, 21 do list[i] = { 1, i <= 8 and 0.7 or 1.3 } end
    assert.equal("noisy", judge.verdict(list, 0.05, 1))
  end)
end)
