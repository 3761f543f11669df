-- Progress bars: counting, text, ends.
require "lampad"
local tqdm = require "lampad.tqdm"

local function sink()
  local parts = {}
  return { write = function(self, s) parts[#parts + 1] = s return self end, flush = function() end,
    text = function() return table.concat(parts) end }
end

describe("tqdm", function()
  it("passes items on and counts them", function()
    local out, seen = sink(), {}
    for x in tqdm({ 1, 2, 3 }, { file = out, desc = "items", ascii = true }) do seen[#seen + 1] = x end
    assert.same({ 1, 2, 3 }, seen)
    assert.matches("^items: 100%%|##########| 3/3 %[%d+:%d+<%d+:%d+, .*it/s%]\n$", out.text())
  end)

  it("passes several values, from iterators and loops", function()
    local i, seen = 0, {}
    local function pairs_of()
      i = i + 1
      if i <= 2 then return i, i * 10 end
    end
    for a, b in tqdm(pairs_of, { file = sink() }) do seen[#seen + 1] = a + b end
    assert.same({ 11, 22 }, seen)
    local count = 0
    for _ in tqdm.trange(4, { file = sink() }) do count = count + 1 end
    assert.equal(4, count)
  end)

  it("closes when the loop is left", function()
    local out = sink()
    for _ in tqdm({ 1, 2, 3 }, { file = out }) do break end -- luacheck: ignore
    assert.matches("0/3", out.text())
    out = sink()
    pcall(function()
      for _ in tqdm({ 1, 2, 3 }, { file = out }) do error "stop" end
    end)
    assert.matches("\n$", out.text())
  end)

  it("is driven by hand", function()
    local out = sink()
    local bar = tqdm { total = 4, file = out, ascii = true }
    bar:update(2)
    bar:set_postfix { loss = 0.25, acc = 1 }
    assert.matches("50%%|#####     | 2/4 %[.*, acc=1, loss=0.25%]", bar:format(bar.start + 1.0001))
    assert.matches("%[00:01<00:01, 2.00it/s", bar:format(bar.start + 1.0001, true))
    assert.matches("%[1:00:00<", bar:format(bar.start + 3600.0001))
    bar:close()
    bar:close()
    assert.error_matches(function() tqdm({ 1 }, { descr = "x" }) end, "did you mean 'desc'")
    assert.error_matches(function() tqdm(5) end, "cannot iterate over number %(5%)")
  end)

  it("leaves print as it was", function()
    local before = print
    for _ in tqdm({ 1 }, { file = sink() }) do end -- luacheck: ignore
    assert.equal(before, print)
  end)
end)
