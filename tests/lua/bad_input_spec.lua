-- Wrong calls: each gives one Lua error that names what was expected and what came, and leaves the
-- session as it was. Every case is a function that must fail and the texts its message must hold.

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")

local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local data, vision = torch.utils.data, torch.vision

local function ones(...) return torch.ones(...) end
local function leaf(...) return torch.ones(...):requires_grad_() end

-- { name, function, text, ... }: a text is searched for as it stands.
local cases = {
  -- shapes
  { "operands that do not broadcast", function() local _ = ones(2, 3) + ones(4) end, "add", "[2, 3]", "[4]" },
  { "a matrix product that does not fit", function() local _ = ones(2, 3):matmul(ones(4, 5)) end,
    "matmul", "[2, 3]", "[4, 5]" },
  { "mm of a vector", function() local _ = ones(2, 3):mm(ones(3)) end, "mm", "mat2", "[3]" },
  { "cat along a dim where others differ", function() local _ = torch.cat({ ones(2, 3), ones(3, 4) }, 0) end,
    "cat", "[2, 3]", "[3, 4]" },
  { "cat of nothing", function() local _ = torch.cat({}) end, "cat", "non-empty" },
  { "stack of different shapes", function() local _ = torch.stack { ones(2), ones(3) } end, "stack", "[2]", "[3]" },
  { "a reshape that loses elements", function() local _ = ones(2, 3):reshape(4, 2) end, "reshape", "[4, 2]", "6" },
  { "a view of a transposed matrix", function() local _ = ones(2, 3):t():view(6) end, "view", "reshape" },
  { "two sizes of -1", function() local _ = ones(6):view(-1, -1) end, "view", "-1" },
  { "a negative size", function() local _ = torch.zeros(-1) end, "zeros", "negative", "-1" },
  { "expanding a dim that is not 1", function() local _ = ones(2, 3):expand(3, 3) end, "expand", "[3, 3]", "[2, 3]" },
  { "a permutation with a dim twice", function() local _ = ones(2, 3):permute(0, 0) end, "permute", "[0, 0]" },
  { "a ragged table", function() local _ = torch.tensor { { 1, 2 }, { 3 } } end, "length 2", "length 1" },
  { "assigning a wrong shape", function() ones(2, 3)["0"] = ones(7) end, "[7]", "[3]" },
  { "a result tensor of a wrong dtype",
    function() local _ = torch.add(ones(2), ones(2), { out = torch.zeros(2, { dtype = torch.int64 }) }) end,
    "add", "cast", "Long" },
  -- dims and indices
  { "a dim out of range", function() local _ = ones(2, 3):sum(7) end, "sum", "[-2, 1]", "7" },
  { "a transposed dim out of range", function() local _ = ones(2, 3):transpose(0, 5) end, "transpose", "5" },
  { "an index out of range", function() local _ = ones(2, 3)[5] end, "index 5", "size 2" },
  { "an index out of range in a text", function() local _ = ones(2, 3)["0, 9"] end, "index 9", "dimension 1", "size 3" },
  { "too many indices", function() local _ = ones(2, 3)["0, 0, 0"] end, "too many indices", "2" },
  { "an index text with a fault", function() local _ = ones(2, 3)["1:;"] end, "position 3", "1:;" },
  { "a fractional index", function() local _ = ones(2)[1.5] end, "integer", "1.5" },
  { "a float tensor as index", function() local _ = ones(3)[ones(2)] end, "integers or bool", "float32" },
  { "a mask of a wrong shape", function() local _ = ones(2, 3)[torch.tensor { true, false, true }] end,
    "mask", "[3]", "[2, 3]" },
  { "gather beyond the end", function() local _ = ones(2, 3):gather(1, torch.tensor { { 0, 9 } }) end,
    "gather", "9", "size 3" },
  { "a size entry that is not there", function() local _ = ones(2, 3).shape[2] end, "index 2", "2" },
  { "topk of more than there is", function() local _ = ones(2, 3):topk(9, 1) end, "topk", "9" },
  -- dtypes and values
  { "a dtype as a string", function() local _ = torch.zeros(2, { dtype = "float32" }) end, "dtype", "torch.dtype", "string" },
  { "bitwise and of floats", function() local _ = ones(2) & ones(2) end, "bitwise_and", "float32" },
  { "a float added to integers in place", function() torch.tensor({ 1, 2 }):add_(0.5) end, "add_", "Float", "Long" },
  { "integers that require gradients", function() local _ = torch.ones(2, { dtype = torch.int64, requires_grad = true }) end,
    "floating point", "int64" },
  { "words among numbers", function() local _ = torch.tensor { 1, "a" } end, "number", "'a'" },
  { "a number too large for its dtype", function() local _ = torch.tensor({ 300 }, { dtype = torch.uint8 }) end,
    "uint8", "overflow" },
  { "an empty range of random integers", function() local _ = torch.randint(5, 5, { 2 }) end, "randint", "5" },
  { "arange with step 0", function() local _ = torch.arange(0, 10, 0) end, "arange", "nonzero" },
  { "item of several elements", function() local _ = ones(2, 3):item() end, "item", "6 elements" },
  { "split into parts of 0", function() local _ = ones(4):split(0) end, "split", "0" },
  { "writing where elements overlap", function() ones(1):expand(4):add_(1) end, "add_", "single memory location", "clone()" },
  -- arguments
  { "an unknown named argument", function() local _ = torch.sum(ones(2), { keepdims = true }) end,
    "sum", "'keepdims'", "did you mean 'keepdim'" },
  { "a misspelt option", function() local _ = torch.zeros(2, { dtyp = torch.float32 }) end, "'dtyp'", "did you mean 'dtype'" },
  { "a missing argument", function() local _ = torch.add(ones(2)) end, "add", "'other'", "missing" },
  { "a string for a tensor", function() local _ = torch.add(ones(2), "x") end, "add", "'other'", "a tensor", "string ('x')" },
  { "a dot for a colon", function() local _ = ones(2).sum() end, "sum", "'self'" },
  { "a misspelt option of a module", function() local _ = nn.Conv2d(3, 4, 3, { paddin = 1 }) end,
    "Conv2d", "'paddin'", "did you mean 'padding'" },
  { "a missing argument of a module", function() local _ = nn.Linear(3) end, "Linear", "out_features", "missing" },
  { "comparing tensors with <", function() local _ = ones(2) < ones(2) end, "x:lt(y)" },
  { "a freed tensor", function()
    local x = ones(2)
    x:free()
    local _ = x + 1
  end, "add", "freed" },
  -- devices and memory
  { "a device that is not there", function() local _ = torch.zeros(2, { device = "cuda" }) end, "cuda", "not available", "cpu" },
  { "moving to a device that is not there", function() local _ = ones(2):to("cuda:1") end, "cuda", "not available" },
  { "a device that does not exist", function() local _ = torch.zeros(2, { device = "gpu" }) end, "device", "'gpu'" },
  { "one terabyte", function() local _ = torch.zeros(1 << 38) end, "out of memory", "1.00 TiB", "live", "cached" },
  { "more elements than can be counted", function() local _ = torch.zeros(1 << 62, 16) end, "zeros", "counted" },
  -- autograd
  { "in-place on a leaf", function() leaf(2):add_(1) end, "add_", "leaf", "no_grad" },
  { "in-place on a view of a leaf", function() leaf(2, 2)[0]:mul_(2) end, "mul_", "leaf" },
  { "backward twice", function()
    local x = leaf(2)
    local y = (x * x):sum()
    y:backward()
    y:backward()
  end, "backward", "second time", "retain_graph" },
  { "backward of a vector", function()
    local x = leaf(2);
    (x * 2):backward()
  end, "backward", "scalar", "[2]" },
  { "backward without a graph", function() ones(2):sum():backward() end, "backward", "does not require grad" },
  { "a saved tensor changed in place", function()
    local y = leaf(2) * 2
    local z = (y * y):sum()
    y:add_(1)
    z:backward()
  end, "modified by an inplace operation", "version 1", "clone()" },
  -- modules, losses, optimizers
  { "a layer fed a wrong width", function() local _ = nn.Linear(3, 4)(ones(2, 5)) end, "linear", "[2, 5]", "in Linear" },
  { "a fault inside a network", function()
    local _ = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(5, 4, 3))(ones(1, 3, 9, 9))
  end, "conv2d", "5 channels", "[1, 4, 7, 7]", "2 (Conv2d) of Sequential" },
  { "a convolution of wrong channels", function() local _ = F.conv2d(ones(1, 3, 8, 8), ones(4, 2, 3, 3)) end,
    "conv2d", "[4, 2, 3, 3]", "[1, 3, 8, 8]" },
  { "a window larger than the image", function() local _ = F.max_pool2d(ones(1, 1, 2, 2), 5) end, "max_pool2d", "5", "[1, 1, 2, 2]" },
  { "a class that is not there", function() local _ = F.cross_entropy(ones(2, 3), torch.tensor { 0, 3 }) end,
    "cross_entropy", "3", "[0, 3)" },
  { "targets of a wrong number", function() local _ = F.cross_entropy(ones(2, 3), torch.tensor { 0, 1, 2 }) end,
    "cross_entropy", "[2, 3]", "[3]" },
  { "batch normalisation of one sample", function() local _ = nn.BatchNorm1d(3)(ones(1, 3)) end, "batch_norm", "more than 1 value" },
  { "a dropout probability above 1", function() local _ = nn.Dropout(1.5) end, "Dropout", "1.5" },
  { "a state that does not fit", function() nn.Linear(2, 2):load_state_dict { weight = ones(3, 3) } end,
    "Linear", "bias", "size mismatch for weight" },
  { "an optimizer without parameters", function() local _ = optim.SGD({}, { lr = 0.1 }) end, "SGD", "empty parameter list" },
  { "a negative learning rate", function() local _ = optim.SGD({ leaf(2) }, { lr = -1 }) end, "learning rate", "-1" },
  { "a misspelt option of an optimizer", function() local _ = optim.SGD({ leaf(2) }, { lr = 1, momentun = 1 }) end,
    "'momentun'", "did you mean 'momentum'" },
  -- data
  { "a batch size of 0", function() local _ = data.DataLoader({ 1, 2 }, { batch_size = 0 }) end, "batch_size", "0" },
  { "data that are not there", function() local _ = vision.datasets.FashionMNIST "/nowhere" end,
    "FashionMNIST", "/nowhere", "train-images-idx3-ubyte.gz", "dataset-fashion-mnist" },
}

-- After every failure: numbers, gradients and modules still work.
local function still_usable()
  local x = leaf(2, 3)
  local y = nn.functional.relu(x * 2):sum()
  y:backward()
  assert.equal(12, y:item())
  assert.same({ { 2, 2, 2 }, { 2, 2, 2 } }, x.grad:tolist())
  assert.is_true(torch.is_grad_enabled())
end

describe("a wrong call", function()
  teardown(command.clean)

  it("has a case for each of at least 40 mistakes", function() assert.truthy(#cases >= 40) end)

  for _, case in ipairs(cases) do
    it("is explained: " .. case[1], function()
      local ok, message = pcall(case[2])
      assert.is_false(ok)
      assert.equal("string", type(message))
      for i = 3, #case do
        assert(message:find(case[i], 1, true), ("'%s' is not in: %s"):format(case[i], message))
      end
      assert(message:match "^[^\n]*%.lua:%d+: ", "no line in: " .. message)
      still_usable()
    end)
  end

  it("leaves the operands as they were", function()
    local a, b = torch.arange(6):reshape(2, 3), ones(4)
    for _ = 1, 100 do pcall(function() return a + b end) end
    assert.same({ { 0, 1, 2 }, { 3, 4, 5 } }, a:tolist())
    assert.same({ 1, 1, 1, 1 }, b:tolist())
  end)

  it("keeps no memory", function()
    local core = require "lampad.core"
    local function fail_often(n)
      for i = 1, n do pcall(cases[i % #cases + 1][2]) end
      collectgarbage()
      collectgarbage()
      return core.memory_stats().live_bytes
    end
    fail_often(2 * #cases)
    local before = fail_often(2 * #cases)
    assert.truthy(fail_often(4 * #cases) <= before + 1024)
  end)

  it("is explained: a damaged .gz file", function()
    local source = "/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz"
    local file = io.open(source, "rb")
    if not file then pending "the package dataset-fashion-mnist is not installed" return end
    local bytes = file:read "a"
    file:close()
    local folder = command.new_folder()
    for name, content in pairs {
      ["t10k-labels-idx1-ubyte.gz"] = bytes:sub(1, #bytes // 2),                       -- cut short
      ["t10k-images-idx3-ubyte.gz"] = bytes,                                           -- labels for images
    } do command.write(folder .. "/" .. name, content) end
    local ok, message = pcall(vision.datasets.FashionMNIST, folder, { train = false })
    assert.is_false(ok)
    assert.truthy(message:find(folder, 1, true), message)
    still_usable()
    command.write(folder .. "/t10k-images-idx3-ubyte.gz", "this is no gzip file at all")
    ok, message = pcall(vision.datasets.FashionMNIST, folder, { train = false })
    assert.is_false(ok)
    assert.truthy(message:find("t10k-images-idx3-ubyte.gz", 1, true), message)
    local flipped = bytes:sub(1, 2000) .. bytes:sub(2001, 2001):gsub(".", function(c)
      return string.char(c:byte() ~ 0xff)
    end) .. bytes:sub(2002)
    command.write(folder .. "/t10k-images-idx3-ubyte.gz", flipped)
    ok, message = pcall(vision.datasets.FashionMNIST, folder, { train = false })
    assert.is_false(ok)
    assert.truthy(message:find("t10k-images-idx3-ubyte.gz", 1, true), message)
    still_usable()
  end)

  it("is explained: a checkpoint that is none", function()
    local folder = command.new_folder()
    command.write(folder .. "/bad", "not a checkpoint")
    local ok, message = pcall(torch.load, folder .. "/bad")
    assert.is_false(ok)
    assert.truthy(message:find("/bad", 1, true), message)
    ok, message = pcall(torch.load, folder .. "/absent")
    assert.is_false(ok)
    assert.truthy(message:find("/absent", 1, true), message)
  end)

  it("is survived: Ctrl-C in a loop and in a long op", function()
    -- The script has itself interrupted once it is ready: $PPID is the process that runs the shell.
    local interrupt_soon = "os.execute '(sleep 0.7; kill -INT $PPID) >/dev/null 2>&1 &'\n"
    local prefix = "timeout -k 20 60"
    local status, out, err = command.run({ "-e", interrupt_soon .. [[
      local x = torch.ones(10)
      local ok, message = pcall(function() while true do x = x + 0 end end)
      print(ok, message:match "interrupt" ~= nil, x:sum():item())]] }, nil, prefix)
    assert.equal("", err)
    assert.equal("false\ttrue\t10.0\n", out)
    assert.equal(0, status)
    status, out, err = command.run({ "-e", [[
      local x = torch.ones(20000000, { dtype = torch.float64 })
      local start = os.time()
      ]] .. interrupt_soon .. [[
      local ok, message = pcall(function() for _ = 1, 1000 do torch.lgamma(x, { out = x }) end end)
      print(ok, message:match "interrupt" ~= nil, os.time() - start < 15, torch.ones(3):sum():item())]] }, nil, prefix)
    assert.equal("", err)
    assert.equal("false\ttrue\ttrue\t3.0\n", out)
    assert.equal(0, status)
  end)
end)
