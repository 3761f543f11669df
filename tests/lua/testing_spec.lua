-- torch.testing, and what scripts ask torch.cuda, torch.backends and torch.accelerator. Texts are PyTorch 2.15's.
local torch = require "lampad"
local close = torch.testing.assert_close

local function trouble(...)
  local ok, message = pcall(close, ...)
  assert.is_false(ok)
  return (message:gsub("^[^\n]-:%d+: ", ""))
end

describe("assert_close", function()
  local a = torch.tensor { 1., 2., 3. }

  it("accepts what is close, of any structure", function()
    close(a, a)
    close(a, a + 1e-3, { rtol = 0, atol = 1 })
    close({ a, { x = 1.0 } }, { a:clone(), { x = 1.0 } })
    close(torch.tensor(0 / 0), torch.tensor(0 / 0), { equal_nan = true })
    close(a, a:double(), { check_dtype = false })
    close(true, true)
    close({}, {})
    close(torch.empty(0), torch.empty(0))
  end)

  it("says what differs, where and how much", function()
    assert.are.equal("Tensor-likes are not close!\n\nMismatched elements: 3 / 3 (100.0%)\n"
      .. "Greatest absolute difference: 0.001000046730041504 at index (0,) (up to 1e-05 allowed)\n"
      .. "Greatest relative difference: 0.0009990476537495852 at index (0,) (up to 1.3e-06 allowed)", trouble(a, a + 1e-3))
    assert.are.equal("Tensor-likes are not equal!\n\nMismatched elements: 1 / 2 (50.0%)\n"
      .. "Greatest absolute difference: 3 at index (1,)\nGreatest relative difference: 0.6000000238418579 at index (1,)",
      trouble(torch.tensor { 1, 2 }, torch.tensor { 1, 5 }))
    assert.are.equal("Scalars are not close!\n\nExpected 1.1 but got 1.0.\n"
      .. "Absolute difference: 0.10000000000000009 (up to 1e-07 allowed)\n"
      .. "Relative difference: 0.09090909090909098 (up to 1e-07 allowed)", trouble(1.0, 1.1))
    assert.are.equal("The values for attribute 'shape' do not match: torch.Size([3]) != torch.Size([2]).",
      trouble(a, a["0:2"]))
    assert.are.equal("The values for attribute 'dtype' do not match: torch.float32 != torch.float64.", trouble(a, a:double()))
    assert.truthy(trouble({ x = a }, { x = a + 1 }):find("The failure occurred for item ['x']", 1, true))
    assert.are.equal("The length of the sequences mismatch: 1 != 2", trouble({ a }, { a, a }))
    assert.are.equal("Booleans mismatch: True is not False", trouble(true, false))
    assert.truthy(trouble(torch.zeros(2, 3), torch.zeros(3, 2):t(), { check_stride = true }):find("stride", 1, true))
    assert.are.equal("boo", trouble(a, a + 1, { msg = "boo" }))
    assert.truthy(trouble(a, a + 1, { msg = function(m) return "so: " .. m end }):find("^so: Tensor"))
  end)

  it("refuses what cannot be compared", function()
    for _, f in ipairs { function() close(a, { 1, 2, 3 }) end, function() close("a", "a") end,
      function() close(a, a, { rtol = 1 }) end, function() close(a, a, { tol = 1 }) end } do assert.has_error(f) end
  end)
end)

describe("make_tensor", function()
  it("draws PyTorch's numbers", function()
    torch.manual_seed(0)
    assert.are.equal("tensor([-0.0674,  4.8280, -7.4074, -6.6235, -3.4664])",
      tostring(torch.testing.make_tensor(5, { dtype = torch.float32, device = "cpu" })))
    torch.manual_seed(0)
    local x = torch.testing.make_tensor(2, 3, { dtype = torch.float32, noncontiguous = true })
    assert.are.equal("tensor([[ 4.8280, -6.6235,  2.4134],\n        [ 7.1360,  2.3815, -1.7691]])", tostring(x))
    assert.are.same({ 6, 2 }, x:stride())
    torch.manual_seed(0)
    assert.are.equal("tensor([ 6, -5, -9, -9])",
      tostring(torch.testing.make_tensor({ 4 }, { dtype = torch.int64, exclude_zero = true })))
    assert.is_true(torch.testing.make_tensor({ 2 }, { dtype = torch.complex64, requires_grad = true }).requires_grad)
    assert.has_error(function() torch.testing.make_tensor({ 2 }, { dtype = torch.int8, low = 3, high = 3 }) end)
  end)
end)

describe("devices", function()
  it("there is only the CPU, and scripts find that out", function()
    assert.is_false(torch.cuda.is_available() or torch.backends.mps.is_available() or torch.accelerator.is_available())
    assert.are.equal(0, torch.cuda.device_count())
    assert.is_nil(torch.accelerator.current_accelerator())
    torch.cuda.manual_seed_all(3)
    torch.cuda.empty_cache()
    torch.backends.cudnn.benchmark = true
    assert.has_error(function() torch.cuda.current_device() end)
    assert.truthy(({ DEFAULT = true, AVX2 = true, AVX512 = true })[torch.backends.cpu.get_cpu_capability()])
    local x = torch.ones(1)
    assert.is_true(x.is_cpu)
    assert.is_false(x.is_cuda or x.is_sparse or x.is_quantized or x.is_meta or x.is_nested)
  end)
end)
