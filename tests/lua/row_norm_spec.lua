-- Layer and group norm beside their definition, written with plain ops in float64: rows shorter and longer than a vector,
-- numbers of rows that leave some over, channels of few elements and of many.
local torch = require "lampad"
local F = torch.nn.functional

local tolerances = { float64 = 1e-11, float32 = 5e-6, bfloat16 = 2e-2, float16 = 3e-3 }

local function close(got, expected, tolerance, what)
  local difference = (got:to(torch.float64) - expected):abs():max():item()
  assert.is_true(difference <= tolerance * (1 + expected:abs():max():item()), ("%s: off by %g"):format(what, difference))
end

-- An operand of the dtype and the same numbers in float64, both leaves.
local function twins(shape, name)
  local x = torch.randn(shape):to(torch[name])
  return x:clone():requires_grad_(), x:to(torch.float64):requires_grad_()
end

local function centred(x, dims)
  local d = x - x:mean(dims, true)
  return d * (d * d):mean(dims, true):add(1e-3):rsqrt()
end

-- norm(x, w, b) beside definition(x), values and gradients, with weights, laid along x by `view`, and without.
local function compare(norm, definition, shape, vector, view, what)
  for name, tolerance in pairs(tolerances) do
    local x, x64 = twins(shape, name)
    local w, w64 = twins({ vector }, name)
    local b, b64 = twins({ vector }, name)
    local g = torch.randn(shape):to(torch[name])
    for _, weighted in ipairs { true, false } do
      local y = norm(x, weighted and w or nil, weighted and b or nil)
      local expected = definition(x64)
      if weighted then expected = expected * w64:view(view) + b64:view(view) end
      local case = ("%s, %s%s"):format(what, name, weighted and ", weighted" or "")
      close(y:detach(), expected:detach(), tolerance, case)
      local got = { torch.autograd.grad(y, weighted and { x, w, b } or { x }, g) }
      local wanted = { torch.autograd.grad(expected, weighted and { x64, w64, b64 } or { x64 }, g:to(torch.float64)) }
      for i = 1, #got do close(got[i], wanted[i], 8 * tolerance, case .. ", gradient " .. i) end
    end
  end
end

describe("rows that are normalised", function()
  it("are those of layer norm", function()
    torch.manual_seed(0)
    for _, n in ipairs { 1, 2, 3, 15, 16, 17, 32, 33, 50, 63, 64, 70 } do
      for _, rows in ipairs { 1, 16, 37, 2100 } do
        compare(function(x, w, b) return F.layer_norm(x, { n }, w, b, 1e-3) end,
          function(x) return centred(x, { -1 }) end, { rows, n }, n, { n }, ("%d rows of %d"):format(rows, n))
      end
    end
  end)

  it("are groups of channels", function()
    torch.manual_seed(1)
    for _, case in ipairs {
      { 1, 6, 3 }, { 5, 12, 12 }, { 70, 12, 4 }, { 3, 6, 2, 2, 2 }, { 40, 34, 2, 3 }, { 9, 8, 4, 7, 7 }, { 2, 4, 2, 9, 11 }, { 300, 128, 32 },
    } do
      local images, channels, groups = case[1], case[2], case[3]
      local shape, view = { images, channels, table.unpack(case, 4) }, { channels }
      for _ = 4, #case do view[#view + 1] = 1 end
      compare(function(x, w, b) return F.group_norm(x, groups, w, b, 1e-3) end,
        function(x) return centred(x:reshape(images, groups, -1), { -1 }):reshape(shape) end, shape, channels, view,
        ("groups %s"):format(table.concat(case, " ")))
    end
  end)

  it("may lie far from 0, be all alike, or hold what is no number", function()
    torch.manual_seed(2)
    local x = torch.randn(33, 17) + 1000
    close(F.layer_norm(x, { 17 }), centred(x:to(torch.float64), { -1 }), 2e-3, "far from 0")
    assert.equal(0, F.layer_norm(torch.full({ 20, 7 }, 3.5), { 7 }):abs():max():item())
    x[{ 4, 3 }] = math.huge
    x[{ 20, 0 }] = 0 / 0
    local y = F.layer_norm(x, { 17 }):isnan():any(1)
    assert.equal(2, y:sum():item())
    assert.is_true(y[4]:item() and y[20]:item())
  end)
end)
