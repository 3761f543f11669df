-- scaled_dot_product_attention by blocks against the definition: lengths of several blocks, masks, groups of heads.
local core = require "lampad.core"
local F = torch.nn.functional

-- The definition, by ops that have nothing to do with it.
local function by_definition(q, k, v, options)
  local heads, groups = q:size(1), k:size(1)
  if heads ~= groups then
    k, v = k:repeat_interleave(heads / groups, 1), v:repeat_interleave(heads / groups, 1)
  end
  local scores = torch.einsum("bhie,bhje->bhij", q, k) * (options.scale or 1 / math.sqrt(q:size(3)))
  if options.is_causal then
    local ones = torch.ones(q:size(2), k:size(2), { dtype = torch.bool })
    scores = scores:masked_fill(ones:tril():logical_not(), -math.huge)
  elseif options.attn_mask and options.attn_mask.dtype == torch.bool then
    scores = scores:masked_fill(options.attn_mask:logical_not(), -math.huge)
  elseif options.attn_mask then
    scores = scores + options.attn_mask
  end
  return scores:softmax(-1):nan_to_num(0):matmul(v)
end

local function compare(shape, options)
  local b, h, g, l, s, e, f = table.unpack(shape)
  local t = { torch.randn(b, h, l, e, { dtype = torch.float64 }), torch.randn(b, g, s, e, { dtype = torch.float64 }),
    torch.randn(b, g, s, f, { dtype = torch.float64 }) }
  for _, x in ipairs(t) do x:requires_grad_() end
  local grad = torch.randn(b, h, l, f, { dtype = torch.float64 })
  options.enable_gqa = h ~= g or nil
  local got = F.scaled_dot_product_attention(t[1], t[2], t[3], options)
  local expected = by_definition(t[1], t[2], t[3], options)
  assert.is_true(torch.allclose(got, expected, 1e-9, 1e-9), "values differ")
  local found, wanted = { torch.autograd.grad({ got }, t, { grad }) }, { torch.autograd.grad({ expected }, t, { grad }) }
  for i = 1, 3 do assert.is_true(torch.allclose(found[i], wanted[i], 1e-8, 1e-8), "gradient " .. i .. " differs") end
end

describe("attention by blocks", function()
  before_each(function() torch.manual_seed(0) end)

  it("has the definition's values and gradients over several blocks", function()
    compare({ 2, 3, 3, 300, 530, 8, 5 }, {})
    compare({ 1, 2, 2, 300, 530, 8, 8 }, { is_causal = true })
    compare({ 1, 2, 2, 530, 100, 8, 8 }, { is_causal = true, scale = 0.25 })
    compare({ 1, 4, 2, 140, 270, 4, 4 }, { is_causal = true })
    compare({ 3, 6, 1, 17, 33, 16, 4 }, {})
  end)

  it("takes masks of any shape that broadcasts", function()
    local mask = torch.rand(150, 300):gt(0.5)
    compare({ 2, 3, 3, 150, 300, 4, 4 }, { attn_mask = mask })
    compare({ 2, 3, 3, 150, 300, 4, 4 }, { attn_mask = torch.randn(2, 1, 1, 300, { dtype = torch.float64 }) })
    compare({ 2, 3, 3, 150, 300, 4, 4 }, { attn_mask = torch.randn(3, 150, 1, { dtype = torch.float64 }) })
    compare({ 2, 3, 3, 300, 150, 4, 4 }, { attn_mask = mask:t() })
  end)

  it("gives zeros where nothing may be attended to, and NaN for NaN", function()
    local mask = torch.ones(3, 4, { dtype = torch.bool })
    mask[1] = false
    local q, k, v = torch.randn(1, 1, 3, 2), torch.randn(1, 1, 4, 2), torch.randn(1, 1, 4, 2)
    q:requires_grad_()
    local out = F.scaled_dot_product_attention(q, k, v, mask)
    assert.same({ 0, 0 }, out[{ 0, 0, 1 }]:tolist())
    out:sum():backward()
    assert.same({ 0, 0 }, q.grad[{ 0, 0, 1 }]:tolist())
    assert.is_true(q.grad:isfinite():all():item())
    local spoilt = q:detach():clone()
    spoilt[{ 0, 0, 2, 0 }] = 0 / 0
    out = F.scaled_dot_product_attention(spoilt, k, v)
    assert.same({ false, false, true }, out:isnan():any(-1):flatten():tolist())
  end)

  it("gives a mask of numbers its gradient, and drops weights when asked to", function()
    local q, mask = torch.randn(1, 1, 3, 2), torch.randn(3, 3):requires_grad_()
    F.scaled_dot_product_attention(q, q, q, mask):sum():backward()
    assert.same({ 3, 3 }, mask.grad.shape:tolist())
    assert.equal(0, F.scaled_dot_product_attention(q, q, q, nil, 1.0):abs():sum():item())
  end)

  it("needs memory for rows, not for their square", function()
    local q = torch.zeros(1, 1, 20000, 4)
    core.memory_reset_peak()
    F.scaled_dot_product_attention(q, q, q) -- the square would take 1.6 GB
    assert.is_true(core.memory_stats().peak_bytes < 50e6)
  end)
end)
