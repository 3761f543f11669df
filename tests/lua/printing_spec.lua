-- tostring(tensor) against texts that PyTorch wrote (tests/golden/print).
local torch = require "lampad"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local records = dofile(here .. "/../golden/print/print.lua")

local function build(record)
  if record.lua then return assert(load("local torch = ...; " .. record.lua))(torch) end
  local n, values = 1, {}
  for _, size in ipairs(record.shape) do n = n * size end
  local function number(v) return type(v) == "table" and v[1] + v[2] * torch.j or v end
  for i = 1, n do
    if record.linear then
      local a, b = record.linear[1], record.linear[2]
      if type(a) == "table" then values[i] = (a[1] + b[1] * (i - 1)) + (a[2] + b[2] * (i - 1)) * torch.j
      else values[i] = a + b * (i - 1) end
    else
      local v = record.values[i]
      -- A product with torch.j would spread a NaN or lose the sign of a zero: complex values part by part.
      values[i] = v
    end
  end
  local dtype = torch[record.dtype]
  local x
  if dtype.is_complex and record.values then
    local parts = {}
    for i, v in ipairs(values) do parts[i] = v end
    local real = dtype == torch.complex64 and torch.float32 or torch.float64
    x = torch.view_as_complex(torch.tensor(parts, { dtype = real }):reshape(n, 2)):reshape(record.shape)
  else
    for i = 1, n do values[i] = number(values[i]) end
    x = torch.tensor(values, { dtype = dtype }):reshape(record.shape)
  end
  if record.transposed then x = x:transpose(0, -1) end
  if record.grad then x = x:detach():requires_grad_() end
  return x
end

describe("tostring(tensor)", function()
  after_each(function() torch.set_printoptions { profile = "default" } end)

  for i, record in ipairs(records) do
    local name = record.lua or record.dtype .. " [" .. table.concat(record.shape, ", ") .. "]"
    it(("gives PyTorch's text %d: %s"):format(i, name), function()
      local x = build(record)
      if record.options then torch.set_printoptions(record.options) end
      assert.are.equal(record.text, tostring(x))
    end)
  end

  it("reads only the elements it shows", function()
    local x = torch.zeros(1):expand(1000000, 1000000)
    assert.are.equal("tensor([[0., 0., 0.,  ..., 0., 0., 0.],", tostring(x):match("^[^\n]*"))
  end)
end)

describe("torch.set_printoptions", function()
  after_each(function() torch.set_printoptions { profile = "default" } end)

  it("takes positional arguments", function()
    torch.set_printoptions(2)
    assert.are.equal("tensor([1.12])", tostring(torch.tensor { 1.12345 }))
  end)
  it("names the known arguments for an unknown one", function()
    assert.has_error(function() torch.set_printoptions { digits = 2 } end)
    local _, message = pcall(torch.set_printoptions, { digits = 2 })
    assert.is_truthy(message:find("unknown argument 'digits'", 1, true))
    assert.is_truthy(message:find("precision", 1, true))
  end)
  it("refuses wrong values", function()
    for _, bad in ipairs { { precision = "4" }, { precision = -1 }, { profile = "wide" }, { edgeitems = 1.5 } } do
      assert.is_false((pcall(torch.set_printoptions, bad)))
    end
    assert.are.equal("tensor([1.1235])", tostring(torch.tensor { 1.12345 }))
  end)
end)
