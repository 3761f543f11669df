-- x[...] and x[...] = y against results that PyTorch gave (tests/golden/ops/index.lua), and the forms
-- that only Lua has: index tuples, lists, tensors and masks as keys.
local torch = require "lampad"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/ops/index.lua")

local function numel(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

local function counting(shape, first)
  local values = {}
  for i = 1, numel(shape) do values[i] = (first or 0) + i - 1 end
  return torch.tensor(values, { dtype = torch.int64 }):reshape(shape)
end

local function flat(x) return x:reshape(-1):tolist() end

local function error_of(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(message)
end

local function read(x, key) return x[key] end
local function write(x, key, value) x[key] = value end

describe("index text", function()
  for _, row in ipairs(golden.reads) do
    local name, text, shape, values = table.unpack(row)
    it(("reads %s[%s]"):format(name, text), function()
      local x = counting(golden.shapes[name])
      if not values then
        assert.is_false((pcall(read, x, text)))
      else
        local y = x[text]
        assert.are.same(shape, y.shape:tolist())
        assert.are.same(values, flat(y))
      end
    end)
  end
  for _, row in ipairs(golden.writes) do
    local name, text, shape, values = table.unpack(row)
    it(("writes %s[%s] with [%s]"):format(name, text, table.concat(shape, ", ")), function()
      local x = counting(golden.shapes[name])
      local value = #shape == 0 and 100 or counting(shape, 100)
      if not values then
        assert.is_false((pcall(write, x, text, value)))
      else
        x[text] = value
        assert.are.same(values, flat(x))
      end
    end)
  end

  it("says where bad text goes wrong", function()
    local x = counting { 2, 3 }
    for text, part in pairs {
      ["1:3 4"] = "expected ',' at position 5",
      ["i"] = "unknown name 'i'",
      ["0, k"] = "position 4",
      ["1.5"] = "must be an integer",
      ["::0"] = "step cannot be zero",
      ["::-1"] = "must be greater than zero",
      ["[0, 1"] = "'[' is not closed",
      ["[0 1]"] = "expected ',' or ']'",
      ["0,,1"] = "unexpected ','",
      ["#"] = "unexpected '#'",
      [""] = "nothing to index by",
      ["None, , 1"] = "unexpected ','",
      ["99999999999999999999"] = "too large",
    } do
      -- A table, because a bare word would be looked up as a property.
      local message = error_of(read, x, { text })
      assert.is_truthy(message:find(part, 1, true), text .. ": " .. message)
    end
  end)
end)

describe("x[i]", function()
  local x = counting { 2, 3 }
  it("is a view", function()
    local y = counting { 2, 3 }
    y[1][2] = 50
    assert.are.same({ 0, 1, 2, 3, 4, 50 }, flat(y))
    assert.are.same({ 3, 4, 5 }, flat(x[1]))
    assert.are.same({ 3, 4, 5 }, flat(x[-1]))
  end)
  it("checks its range", function()
    assert.is_truthy(error_of(read, x, 5):find("index 5 is out of bounds for dimension 0 with size 2", 1, true))
    assert.is_truthy(error_of(read, x, -3):find("index -3 is out of bounds for dimension 0 with size 2", 1, true))
    assert.is_truthy(error_of(read, x, "0, 7"):find("index 7 is out of bounds for dimension 1 with size 3", 1, true))
    assert.is_truthy(error_of(read, x, { 0, 0, 0 }):find("too many indices for tensor of dimension 2", 1, true))
  end)
  it("refuses a 0-d tensor", function()
    assert.is_truthy(error_of(read, torch.tensor(5), 0):find("x:item()", 1, true))
  end)
  it("takes integral floats only", function()
    assert.are.same({ 3, 4, 5 }, flat(x[1.0]))
    assert.is_truthy(error_of(read, x, 1.5):find("must be an integer", 1, true))
  end)
end)

describe("index tuples", function()
  local x = counting { 2, 3, 4 }
  it("mix numbers, texts, tensors, lists and masks", function()
    local idx = torch.tensor { 0, 2 }
    assert.are.same({ 12, 20 }, flat(x[{ 1, { 0, 2 }, 0 }]))
    assert.are.same({ 1, 2, 9, 10 }, flat(x[{ 0, idx, "1:3" }]))
    assert.are.same({ 2, 2, 4 }, x[{ "...", idx, ":" }].shape:tolist())
    assert.are.same({ 1, 2, 3, 4 }, x[{ "None, ..." }].shape:tolist())
    assert.are.same({ 1, 4 }, x[{ 0, torch.tensor { false, true, false } }].shape:tolist())
    assert.are.same({ 2, 3, 4 }, x[{}].shape:tolist())
    assert.are.same({ 1, 2, 3, 4 }, x[{ true }].shape:tolist())
    assert.are.same({ 23 }, flat(x[torch.Size { 1, 2, 3 }]))
    assert.are.same({ 2, 2, 3, 4 }, x[{ { { 0, 1 }, { 1, 0 } } }].shape:tolist())
  end)
  it("take 0-d tensors as integers", function()
    assert.are.same({ 3, 4 }, x[torch.tensor(1)].shape:tolist())
    assert.are.same({ 1, 2, 3, 4 }, x[torch.tensor(true)].shape:tolist())
  end)
  it("select by mask", function()
    local mask = x:gt(20)
    assert.are.same({ 21, 22, 23 }, flat(x[mask]))
    local y = counting { 2, 3, 4 }
    y[y:lt(22)] = 0
    assert.are.equal(45, y:sum():item())
    y[mask] = torch.tensor { 1, 2, 3 }
    assert.are.same({ 1, 2, 3 }, flat(y["1, 2, 1:"]))
  end)
  it("assign tables and numbers", function()
    local y = torch.zeros(2, 3)
    y[0] = { 1, 2, 3 }
    y["1, 1:"] = 7
    y[{ 1, 0 }] = 2.5
    assert.are.same({ 1, 2, 3, 2.5, 7, 7 }, flat(y))
    assert.is_false((pcall(write, y, 0, "text")))
    assert.is_false((pcall(write, y, 0, { 1, 2 })))
  end)
  it("refuse other keys", function()
    for _, key in ipairs { print, { print }, { a = 1 }, { 1.5 }, { { 0.5 } } } do
      assert.is_false((pcall(read, x, key)))
    end
    assert.is_false((pcall(read, x, { torch.tensor { 0.5 } })))
    assert.is_truthy(error_of(read, x, { torch.tensor { 2 } }):find("out of bounds", 1, true))
  end)
end)

describe("indexing under autograd", function()
  it("gives gradients to what was read", function()
    local x = torch.tensor({ { 1., 2. }, { 3., 4. } }, { requires_grad = true })
    local y = x[0]:sum() + 2 * x[":, 1"]:sum() + 3 * x[{ { 1, 1 }, { 0, 0 } }]:sum()
    y:backward()
    assert.are.same({ 1, 3, 6, 2 }, flat(x.grad))
  end)
  it("gives gradients through assignment", function()
    local x = torch.tensor({ 1., 2., 3. }, { requires_grad = true })
    local v = torch.tensor(5., { requires_grad = true })
    local y = x * 2
    y[1] = v
    y:sum():backward()
    assert.are.same({ 2, 0, 2 }, flat(x.grad))
    assert.are.equal(1, v.grad:item())
  end)
end)

describe("an index expanded along the other dims", function()
  -- The same walk as over its copy: results are equal to the last bit.
  local function both(run, index) return run(index), run(index:contiguous()) end

  local function check(run, index)
    local lean, full = both(run, index)
    assert.is_true(torch.equal(lean, full))
    assert.are.same(full:stride(), lean:stride())
  end

  it("gathers and scatters as its copy does", function()
    torch.manual_seed(2)
    for _, dtype in ipairs { torch.float32, torch.int64, torch.bfloat16 } do
      local self, line = (torch.randn(6, 5, 7) * 9):to(dtype), torch.tensor { 3, 0, 3, 2, 4, 3, 0, 1 }
      for dim = 0, 2 do
        local sizes, view = { 6, 5, 7 }, { 1, 1, 1 }
        sizes[dim + 1], view[dim + 1] = 8, 8
        local src = (torch.randn(sizes) * 9):to(dtype)
        local index = line:view(view):expand(sizes)
        check(function(i) return self:gather(dim, i) end, index)
        check(function(i) return self.mT:gather(dim < 1 and 0 or 3 - dim, i) end, index.mT)
        check(function(i) return self:scatter_add(dim, i, src) end, index)
        check(function(i) return self:clone():scatter_add_(dim, i, src) end, index)
        check(function(i) return self:scatter(dim, i, 5) end, index)
        check(function(i) return self:scatter(dim, i, 2, { reduce = "multiply" }) end, index)
        for _, reduce in ipairs { "sum", "prod", "amax", "amin", "mean" } do
          for _, include in ipairs { true, false } do
            check(function(i) return self:scatter_reduce(dim, i, src, { reduce = reduce, include_self = include }) end, index)
          end
        end
        -- An index that does not reach as far as self, and a longer source.
        sizes[dim == 0 and 2 or 1] = 3
        check(function(i) return self:scatter_add(dim, i, src) end, line:view(view):expand(sizes))
        check(function(i) return self:gather(dim, i) end, line:view(view):expand(sizes))
      end
    end
  end)

  it("adds what index_add adds", function()
    local x, at = torch.randn(400, 33), torch.randint(0, 20, { 400 })
    local sums = torch.zeros(20, 33):scatter_add_(0, at:unsqueeze(1):expand(-1, 33), x)
    assert.is_true(torch.equal(sums, torch.zeros(20, 33):index_add_(0, at, x)))
    assert.is_true(torch.equal(sums:gather(0, at:unsqueeze(1):expand(-1, 33)), sums:index_select(0, at)))
  end)

  it("is checked before anything is written", function()
    local self, far = torch.zeros(4, 3), torch.tensor { 0, 4 }
    for _, bad in ipairs { far, -far } do
      local index = bad:unsqueeze(1):expand(2, 3)
      local message = bad[1]:item() > 0 and "index 4 is out of bounds" or "index -4 is out of bounds"
      assert.is_truthy(error_of(function() self:scatter_add_(0, index, torch.ones(2, 3)) end):find(message, 1, true))
      assert.is_truthy(error_of(function() return self:gather(0, index) end):find(message, 1, true))
    end
    assert.is_true(torch.equal(self, torch.zeros(4, 3)))
  end)
end)
