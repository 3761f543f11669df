-- F.pad of every mode and all small paddings, negative ones too: each result's place in the input, and the gradient.
local torch = require "lampad"
local F = torch.nn.functional

local FILL = 9

-- The input's index for result i, or nil where it is filled.
local function source(mode, n, before, after, i)
  local j = i - before
  if mode == "circular" then
    local low, shift = math.max(-before, 0), math.max(before, 0)
    return low + (i - shift) % (n - low - math.max(-after, 0))
  end
  if j >= 0 and j < n then return j end
  if mode == "reflect" then return j < 0 and -j or 2 * (n - 1) - j end
  if mode == "replicate" then return j < 0 and 0 or n - 1 end
end

local function check(mode, n, before, after)
  local x = torch.arange(n):double():view(1, 1, n):requires_grad_()
  local ok, y = pcall(F.pad, x, { before, after }, mode, mode == "constant" and FILL or nil)
  if not ok then return 0 end
  local text = ("%s of %d by (%d, %d)"):format(mode, n, before, after)
  local count = n + before + after
  assert.equal(count, y:numel(), text)
  if count == 0 then return 1 end
  local g = torch.randn(count, { dtype = torch.float64 })
  local want, slope = {}, {}
  for j = 1, n do slope[j] = 0 end
  for i = 0, count - 1 do
    local j = source(mode, n, before, after, i)
    want[i + 1] = j or FILL
    if j then slope[j + 1] = slope[j + 1] + g[i]:item() end
  end
  assert.is_true(y:view(-1):equal(torch.tensor(want, { dtype = torch.float64 })), text);
  (y:view(-1) * g):sum():backward()
  local gap = x.grad:view(-1) - torch.tensor(slope, { dtype = torch.float64 })
  assert.is_true(gap:abs():max():item() < 1e-12, text .. ", gradient")
  return 1
end

describe("pad", function()
  for _, mode in ipairs { "constant", "reflect", "replicate", "circular" } do
    it("takes each element from where PyTorch does: " .. mode, function()
      local checked = 0
      for n = 1, 6 do
        for before = -4, 5 do
          for after = -4, 5 do checked = checked + check(mode, n, before, after) end
        end
      end
      assert.is_true(checked > 250, checked)
    end)
  end

  it("reflects a long signal", function()
    local x = torch.rand(1, 1, 2 ^ 20 // 1)
    local y = F.pad(x, { 3, 5 }, "reflect")
    assert.is_true(y:narrow(-1, 3, x:numel()):equal(x))
    assert.equal(x[0][0][3]:item(), y[0][0][0]:item())
    assert.equal(x[0][0][x:numel() - 6]:item(), y[0][0][y:numel() - 1]:item())
  end)

  it("takes more dims than an image has", function()
    for _, sizes in ipairs { { 13, 3, 1, 1, 1, 1 }, { 2, 3, 1, 1, 1, 1, 1 }, { 2, 1, 2, 1, 2, 3 } } do
      local x = torch.arange(torch.ones(sizes):numel()):view(sizes)
      local y = torch.constant_pad_nd(x, { 0, 3, 1, 0 }, 7)
      assert.is_true(torch.equal(y:narrow(-1, 0, sizes[#sizes]):narrow(-2, 1, sizes[#sizes - 1]), x))
      assert.equal(7 * (y:numel() - x:numel()) + x:sum():item(), y:sum():item())
    end
  end)
end)
