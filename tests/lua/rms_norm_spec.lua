-- RMS norm: values, gradients and their gradients beside the definition, written with plain ops in float64.
local torch = require "lampad"
local F = torch.nn.functional

local function definition(x, dims, weight, eps)
  local y = x * (x * x):mean(dims, true):add(eps):rsqrt()
  return weight and y * weight or y
end

local function close(got, expected, tolerance)
  local difference = (got:to(torch.float64) - expected):abs():max():item()
  assert.is_true(difference <= tolerance * (1 + expected:abs():max():item()), ("off by %g"):format(difference))
end

local tolerances = { float64 = 1e-12, float32 = 2e-6, bfloat16 = 8e-3, float16 = 1e-3 }

-- An operand of the dtype and the same numbers in float64, both leaves.
local function twins(shape, name)
  local x = torch.randn(shape):to(torch[name])
  return x:clone():requires_grad_(), x:to(torch.float64):requires_grad_()
end

describe("rms_norm", function()
  it("and its gradients are those of the definition", function()
    torch.manual_seed(0)
    for _, case in ipairs {
      { { 1, 1 }, 1 }, { { 7, 17 }, 1 }, { { 3, 5000 }, 1 }, { { 65, 96 }, 1 }, { { 4, 3, 8 }, 2 }, { { 300, 5 }, 1 }, { { 6 }, 1 },
    } do
      local shape, count = case[1], case[2]
      local dims, normalized = {}, {}
      for i = 1, count do
        dims[i] = -count + i - 1
        normalized[i] = shape[#shape - count + i]
      end
      for name, tolerance in pairs(tolerances) do
        local x, x64 = twins(shape, name)
        local w, w64 = twins(normalized, name)
        local g = torch.randn(shape):to(torch[name])
        for _, weighted in ipairs { true, false } do
          local y = F.rms_norm(x, normalized, weighted and w or nil, 1e-3)
          local expected = definition(x64, dims, weighted and w64 or nil, 1e-3)
          assert.equal(torch[name], y.dtype)
          close(y:detach(), expected:detach(), tolerance)
          local inputs, inputs64 = weighted and { x, w } or { x }, weighted and { x64, w64 } or { x64 }
          local got = { torch.autograd.grad(y, inputs, g) }
          local wanted = { torch.autograd.grad(expected, inputs64, g:to(torch.float64)) }
          for i = 1, #inputs do close(got[i], wanted[i], 4 * tolerance) end
        end
      end
    end
  end)

  it("has gradients of its gradients", function()
    torch.manual_seed(1)
    for name, tolerance in pairs { float64 = 1e-11, float32 = 1e-5 } do
      local x, x64 = twins({ 5, 9 }, name)
      local w, w64 = twins({ 9 }, name)
      local g, g64 = twins({ 5, 9 }, name)
      local function second(y, a, b, c)
        local da, db = torch.autograd.grad(y, { a, b }, c, { create_graph = true })
        return { torch.autograd.grad((da * da):sum() + (db * db * db):sum(), { a, b, c }) }
      end
      local got = second(F.rms_norm(x, { 9 }, w, 1e-3), x, w, g)
      local wanted = second(definition(x64, { -1 }, w64, 1e-3), x64, w64, g64)
      for i = 1, 3 do close(got[i], wanted[i], tolerance) end
    end
  end)

  it("takes every layout, wider weights, empty rows and batches of vmap", function()
    local x, w = torch.randn(6, 10), torch.randn(6)
    close(F.rms_norm(x:t(), { 6 }, w, 1e-5), definition(x:t():to(torch.float64), { -1 }, w:to(torch.float64), 1e-5), 2e-6)
    close(F.rms_norm(x[":, 2:8"], { 6 }, w, 1e-5),
      definition(x[":, 2:8"]:to(torch.float64), { -1 }, w:to(torch.float64), 1e-5), 2e-6)
    local half = x:t():to(torch.bfloat16)
    local mixed = F.rms_norm(half, { 6 }, w, 1e-5)
    assert.equal(torch.bfloat16, mixed.dtype)
    close(mixed, definition(half:to(torch.float64), { -1 }, w:to(torch.float64), 1e-5), 8e-3)
    assert.same({ 0, 6 }, { F.rms_norm(torch.zeros(0, 6), { 6 }, w):size(0), F.rms_norm(torch.zeros(0, 6), { 6 }, w):size(1) })
    local rows = torch.func.vmap(function(row) return F.rms_norm(row, { 6 }, w, 1e-5) end)(x:t())
    close(rows, F.rms_norm(x:t(), { 6 }, w, 1e-5):to(torch.float64), 2e-6)
  end)

  it("passes NaN on in its row alone, and refuses other shapes", function()
    local x = torch.ones(3, 4)
    x[{ 1, 2 }] = 0 / 0
    local y = F.rms_norm(x, { 4 })
    assert.same({ false, true, false }, y:isnan():all(1):tolist())
    assert.error_matches(function() F.rms_norm(x, { 5 }) end, "normalized_shape %[5%]")
    assert.error_matches(function() F.rms_norm(x, { 4 }, torch.ones(3)) end, "weight.*%[4%]")
  end)
end)
