-- What the fuzzer (tests/fuzz) found, one test for each fault, so that it stays mended.
local torch = require "lampad"
local core = require "lampad.core"

local function fails(words, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  for word in words:gmatch "[^|]+" do assert.truthy(tostring(message):find(word, 1, true), tostring(message)) end
end

local function live()
  collectgarbage()
  collectgarbage()
  return core.memory_stats().live_count
end

describe("found by fuzzing:", function()
  it("LU pivots are checked", function()
    local LU, pivots = torch.eye(3), torch.tensor({ 1, 2, 3 }, { dtype = torch.int32 })
    fails("lu_unpack|int32", torch.lu_unpack, LU, pivots:to(torch.int64))
    fails("lu_unpack|[3, 3]|[2]", torch.lu_unpack, LU, pivots:narrow(0, 0, 2))
    fails("lu_unpack|[1, 3]|30", torch.lu_unpack, LU, torch.tensor({ 1, 2, 30 }, { dtype = torch.int32 }))
    fails("lu_solve|LU|int64", torch.linalg.lu_solve, LU:to(torch.int64), pivots, LU:to(torch.int64))
    fails("lu_solve|[2, 3]", torch.linalg.lu_solve, LU, pivots:expand(2, 3), LU)
    fails("lu_solve|float32|float64", torch.linalg.lu_solve, LU, pivots, LU:to(torch.float64))
    for _, dtype in ipairs { torch.int64, torch.float16, torch.bool } do
      assert.same(LU:to(dtype):tolist(), (torch.lu_unpack(LU:to(dtype), pivots)):tolist())
    end
  end)

  it("an index that is written to while it is read", function()
    local x = torch.zeros(3, 3, { dtype = torch.int64 })
    fails("scatter_|index|clone", function() x:scatter_(0, x, 7) end)
    fails("scatter_add_|src|clone", function() x:scatter_add_(0, torch.zeros_like(x), x) end)
    fails("index_add_|source|clone", function() x:index_add_(0, torch.tensor { 0, 1, 2 }, x) end)
    fails("put_|index|clone", function() x:put_(x, x:clone()) end)
    local index = torch.zeros(5, 4, { dtype = torch.int64 })
    torch.scatter(torch.ones(3, 4, { dtype = torch.int64 }), 0, index, 2, { reduce = "add", out = index }) -- written last
    assert.same({ { 11, 11, 11, 11 }, { 1, 1, 1, 1 }, { 1, 1, 1, 1 } }, index:tolist())
    -- Interleaved columns share no element.
    local pair = torch.tensor { { 0, 5 }, { 1, 6 } }
    pair[":, 1"]:scatter_(0, pair[":, 0"], 9)
    assert.same({ { 0, 9 }, { 1, 9 } }, pair:tolist())
  end)

  it("writing by index to expanded memory", function()
    local x = torch.zeros(1, 3):expand(2, 3)
    local first = torch.tensor { 0 }
    fails("index_copy_|clone", function() x:index_copy_(0, first, torch.ones(1, 3)) end)
    fails("index_add_|clone", function() x:index_add_(0, first, torch.ones(1, 3)) end)
    fails("scatter_|clone", function() x:scatter_(0, torch.zeros(1, 3, { dtype = torch.int64 }), 1) end)
    x:index_fill_(0, first, 4)
    assert.same({ { 4, 4, 4 }, { 4, 4, 4 } }, x:tolist())
  end)

  it("a tensor as its own gradient", function()
    local x = torch.ones(2)
    local before = live()
    fails("grad|own", function() x.grad = x end)
    x = nil
    assert.truthy(live() <= before)
  end)

  it("a leaf that is a view is not written in place", function()
    local x = torch.zeros(8)["::2"]:requires_grad_()
    fails("view of a leaf", function() x[1] = 3 end)
    assert.is_true(x.is_leaf)
  end)

  it("backward of a view that has no history", function()
    local x = torch.ones(3)
    local view = x["1:"]
    x:requires_grad_()
    fails("does not require grad", function() view:backward(torch.ones(2)) end)
  end)

  it("no memory for the history of a view", function()
    local x = torch.ones(3, { requires_grad = true }) * 2
    local view = x["1:"]
    x:mul_(3)
    for n = 0, 40 do
      core.memory_fail_after(n)
      local ok, message = pcall(function() view:backward(torch.ones(2), { retain_graph = true }) end)
      core.memory_fail_after(-1)
      if ok then break end
      assert.truthy(message:find("memory", 1, true), message)
    end
  end)

  it("sizes whose product is too large", function()
    fails("numel|counted", function() return torch.Size { math.maxinteger, 6 }:numel() end)
  end)

  it("truth values made from other bytes", function()
    assert.same({ true, false, true }, torch.tensor({ 190, 0, 2 }, { dtype = torch.uint8 }):view(torch.bool):tolist())
  end)
end)
