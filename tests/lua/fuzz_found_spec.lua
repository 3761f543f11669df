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

  it("an out that is an input of another shape", function()
    local a, b = torch.ones(3, 4), torch.ones(4, 5)
    torch.mm(a, b, { out = a })
    assert.same({ 3, 5 }, a.shape:tolist())
    assert.equal(60, a:sum():item())
    local x = torch.tensor { { 1., 5. }, { 7., 2. } }
    torch.cumsum(x, 1, { out = x })
    assert.same({ { 1, 6 }, { 7, 9 } }, x:tolist())
  end)

  it("derivatives of what an in-place composite saves", function()
    local leaf = torch.tensor({ 1., 2., 3. }, { requires_grad = true })
    local x = leaf * 1
    x:index_reduce_(0, torch.tensor { 0, 2 }, torch.tensor { 2., 5. }, "prod")
    x:sum():backward()
    assert.same({ 2, 1, 5 }, leaf.grad:tolist())
  end)

  it("second derivatives through a view written in place", function()
    local l = torch.tensor(0.5, { dtype = torch.float64, requires_grad = true })
    for _, whole in ipairs { true, false } do
      local base = torch.tensor({ 1., 2., 3. }, { dtype = torch.float64 })
      local view = base["1:"]
      view:mul_(l)
      view:sigmoid_()
      local first = torch.autograd.grad(whole and base:sum() or view:sum(), l, { create_graph = true })
      assert.near(0.8407, first:item(), 1e-4)
      assert.near(-1.2160, torch.autograd.grad(first, l):item(), 1e-4)
    end
  end)

  it("numbers that make sizes overflow", function()
    local F, huge = torch.nn.functional, math.maxinteger
    fails("pad|larger than", F.pad, torch.ones(3), { huge, huge })
    fails("pixel_shuffle|2^31", F.pixel_shuffle, torch.ones(1, 4, 2, 2), 1 << 32)
    fails("conv1d|groups", F.conv1d, torch.ones(1, 4, 8), torch.ones(1, 8, 4), { groups = 1 << 62 })
    fails("max_pool1d|2^31", F.max_pool1d, torch.ones(1, 4, 8), huge)
    fails("local_response_norm|larger than", F.local_response_norm, torch.ones(1, 1, 3, 5), 1 << 62)
    fails("interpolate|scale_factor", F.interpolate, torch.ones(1, 1, 3), { scale_factor = { 1e300 } })
    fails("diag_embed|counted", torch.diag_embed, torch.ones(3), math.mininteger)
    fails("tril_indices|too many", torch.tril_indices, huge, 4)
    fails("bincount|memory", torch.bincount, torch.tensor { huge })
    assert.equal(10, torch.triu_indices(huge, 4).shape[1])
    assert.same({ { 1, 9, 3 } }, torch.tensor { { 1, 2, 3 } }:slice_scatter(torch.tensor { { 9 } }, 1, 1, 3, huge):tolist())
  end)

  it("what LAPACK does not return from", function()
    local x = torch.ones(4, 4)
    x[1][2] = math.huge
    for _, name in ipairs { "svd", "svdvals", "eig", "eigvals", "eigh", "eigvalsh" } do
      fails(name .. "|non-finite", torch.linalg[name], name:find "h" and x:t() or x)
    end
    fails("lstsq|non-finite", torch.linalg.lstsq, x, x)
    x[1][2] = 0 / 0
    assert.equal(4, torch.linalg.eigvalsh(x, "L"):numel()) -- the other triangle is not read
  end)

  it("random draws that would not end", function()
    local count = torch.tensor { math.huge, 1e30, 3e38 }
    assert.equal(3, torch.binomial(count, torch.full({ 3 }, 0.3)):numel())
  end)

  it("nothing left behind by wrong arguments", function()
    local x = torch.ones(2)
    local before = live()
    for _ = 1, 3 do
      pcall(torch.trapezoid, torch.ones(3, 4), torch.ones(0))
      pcall(torch.linalg.cond, torch.ones(0, 0))
    end
    x:free()
    assert.truthy(live() <= before)
  end)

  it("gradients have the shapes of their tensors", function()
    local source = torch.tensor(1., { requires_grad = true })
    torch.zeros(1):index_copy(0, torch.tensor { 0 }, source):sum():backward()
    assert.same({}, source.grad.shape:tolist())
    torch.zeros(1):index_add(0, torch.tensor { 0 }, source):sum():backward()
    assert.equal(2, source.grad:item())
  end)

  it("sizes and offsets whose sum overflows", function()
    fails("as_strided|out of bounds", torch.as_strided, torch.ones(3), { 2 }, { 1 }, math.maxinteger - 1)
    local tail = torch.ones(4)["3:"]
    fails("randn|counted", torch.randn, { math.maxinteger - 1 }, { out = tail })
    assert.same({ 1 }, tail:tolist())
  end)

  it("the gradient of a source that an empty index does not reach", function()
    local source = torch.zeros(3, 0, { requires_grad = true })
    torch.zeros(3, 3):scatter_add(0, torch.zeros(0, 3, { dtype = torch.int64 }), source):sum():backward()
    assert.same({ 3, 0 }, source.grad.shape:tolist())
  end)

  it("a scatter from an empty source, combinations beyond counting", function()
    fails("scatter_add|src", torch.scatter_add, torch.tensor(1.), 0, torch.tensor(0), torch.ones(0))
    fails("combinations|too many", torch.combinations, torch.ones(3), math.maxinteger, true)
  end)

  it("steps and orders that cannot be counted", function()
    local x = torch.ones(3, { dtype = torch.complex64 })
    assert.equal(1, x:unfold(0, 2, (1 << 63) - 2):size(0))
    assert.matches("1%.%+0%.j", tostring(x:unfold(0, 2, (1 << 63) - 2)))
    local y = torch.ones(2, { requires_grad = true })
    torch.polygamma((1 << 63) - 1, y):sum():backward()
    assert.equal(2, y.grad:numel())
  end)

  it("numbers of bins and strides at the end of counting", function()
    fails("histogram|less than 2^63", torch.histogram, torch.ones(1), math.maxinteger)
    assert.equal(0, torch.rand(0, math.maxinteger - 1, { dtype = torch.complex64 }):numel())
  end)

  it("options of to and type_as that are of no use", function()
    local x = torch.ones(2)
    fails("to|copy", x.to, x, torch.float64, { copy = 1 })
    fails("to|non_blocking", x.to, x, { dtype = torch.float64, non_blocking = "yes" })
    fails("type_as|dimm", x.type_as, x, x, { dimm = 1 })
    assert.is_true(rawequal(x, x:to(torch.float32, false, false)))
    assert.is_false(x:to(torch.float32, false, true):is_same_storage(x))
    assert.is_true(rawequal(x, x:type_as(x)))
  end)

  it("factors of another batch", function()
    fails("orgqr|batch dims of tau", torch.orgqr, torch.rand(3, 5, 5), torch.rand(1, 3))
    fails("householder_product|batch dims of tau", torch.linalg.householder_product, torch.rand(1, 5, 5), torch.rand(3, 3))
  end)

  it("a sum over empty dims whose product cannot be counted", function()
    local x = torch.empty(1, 3, 0):expand(1 << 62, 3, 0)
    assert.same({ 0 }, torch.sum(x, { 0, 1 }).shape:tolist())
    assert.equal(0, x:sum():item())
  end)

  it("a diagonal far off the main one of an empty tensor", function()
    local x = torch.empty(0, 2, 5, 13)
    assert.equal(0, torch.diag_embed(x, { dim2 = 0, offset = 1 << 31 }):numel())
    assert.equal(0, torch.diag_embed(x, { dim2 = 0, offset = -(1 << 31) }):numel())
  end)

  it("another order of memory for a tensor that is expanded", function()
    local x = torch.ones(1, 1, 1, 2):expand(4, 3, 4, 2)
    x:resize_({ 4, 3, 4, 2 }, { memory_format = torch.channels_last })
    assert.is_true(x:untyped_storage():nbytes() >= 96 * 4)
    assert.is_true(x:is_contiguous { memory_format = torch.channels_last })
    local wide = torch.ones(1, 1, 1, 2):expand(1 << 58, 1, 1, 2)
    fails("resize_|more elements", wide.resize_, wide, wide.shape, { memory_format = torch.channels_last })
  end)

  it("a stride without effect that cannot be counted in bytes", function()
    local x = torch.tensor { { 0. }, { 0. }, { 2. } }
    fails("as_strided|reach past any memory", x.as_strided, x, { 3, 1 }, { 1, math.maxinteger - 1 })
    assert.equal("tensor([[0.],\n        [0.],\n        [2.]])", tostring(x:as_strided({ 3, 1 }, { 1, 1 << 55 })))
  end)

  it("more samples of a region than ever end", function()
    local ops = torch.vision.ops
    local x, boxes = torch.rand(1, 4, 5, 5), torch.tensor { { 0., 0, 0, 4, 4 } }
    fails("ps_roi_align|at most 1048576", ops.ps_roi_align, x, boxes, 2, 1.0, math.maxinteger - 1)
    fails("roi_align|at most 1048576", ops.roi_align, x, boxes, 2, 1.0, 1 << 21)
    assert.is_true(torch.allclose(ops.roi_align(x, boxes, 2, 1.0, 1 << 12), ops.roi_align(x, boxes, 2, 1.0, 1 << 8), 1e-3, 1e-3))
  end)

  it("a range at either end of the integers without a float in it", function()
    local x = torch.zeros(3)
    fails("randint_like|no number of float32 lies in the range", torch.randint_like, x, math.mininteger, math.mininteger + 1)
    fails("randint_like|no number of float32 lies in the range", torch.randint_like, x, math.maxinteger - (1 << 38), math.maxinteger)
  end)

  it("heads that cannot be shared out after a conversion to wider floats", function()
    local q, k = torch.zeros(1, 3, 4, 2, { dtype = torch.bfloat16 }), torch.zeros(1, 2, 4, 2, { dtype = torch.bfloat16 })
    fails("scaled_dot_product_attention|divisible by the key heads, got 3 and 2", torch.nn.functional.scaled_dot_product_attention,
      q, k, k, { enable_gqa = true })
  end)

  it("more padding than a kernel reaches", function()
    local x, w = torch.randn(2, 3, 5), torch.randn(4, 3, 3)
    for _, padding in ipairs { 3, 4, 50 } do
      local y = torch.nn.functional.conv1d(x, w, { padding = padding })
      local wide = torch.nn.functional.conv1d(x:double(), w:double(), { padding = padding })
      assert.is_true(torch.allclose(y:double(), wide, 1e-4, 1e-5))
    end
    local y = torch.nn.functional.conv2d(torch.randn(1, 8, 6, 6), torch.randn(8, 8, 1, 1), { padding = 2 })
    assert.equal(0, y[0][0][0]:abs():sum():item())
    fails("memory", torch.conv_tbc, torch.randn(5, 2, 3), torch.randn(3, 3, 4), torch.randn(4), 1000000007)
  end)
end)
