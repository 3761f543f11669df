-- Layers' functions by their flat names under torch: the argument order and the numbers for reductions are PyTorch's.
local torch = require "lampad"
local F = torch.nn.functional

local function same(a, b) assert.is_true(torch.equal(a, b)) end

describe("flat names", function()
  local x, y = torch.rand(3, 4), torch.rand(3, 4)

  it("of losses take the reduction as a number", function()
    same(torch.kl_div(x:log(), y), F.kl_div(x:log(), y, { reduction = "mean" }))
    same(torch.kl_div(x:log(), y, 0), F.kl_div(x:log(), y, { reduction = "none" }))
    same(torch.binary_cross_entropy_with_logits(x, y, nil, nil, 2),
      F.binary_cross_entropy_with_logits(x, y, { reduction = "sum" }))
    same(torch.poisson_nll_loss(x, y, true, false, 1e-8, 1), F.poisson_nll_loss(x, y))
    same(torch.triplet_margin_loss(x, y, x, 1.0, 2, 1e-6, false, 0), F.triplet_margin_loss(x, y, x, { reduction = "none" }))
    local sign = torch.tensor { 1., -1., 1. }
    same(torch.cosine_embedding_loss(x, y, sign, 0.5), F.cosine_embedding_loss(x, y, sign, { margin = 0.5 }))
    same(torch.margin_ranking_loss(x[0], y[0], torch.ones(4), 0.1), F.margin_ranking_loss(x[0], y[0], torch.ones(4), 0.1))
    same(torch.hinge_embedding_loss(x, y:gt(0.5) * 2.0 - 1, 2), F.hinge_embedding_loss(x, y:gt(0.5) * 2.0 - 1, 2))
    assert.has_error(function() torch.kl_div(x, y, 5) end)
  end)

  it("of layers", function()
    local weight = torch.ones(4)
    same(torch.batch_norm(x, weight, nil, nil, nil, true, 0.1, 1e-5, false), F.batch_norm(x, nil, nil, weight, nil, true))
    same(torch.embedding(torch.eye(3), torch.tensor { 1, 2 }), torch.eye(3)["1:"])
    same(torch.prelu(-x, torch.tensor { 0.5 }), -x * 0.5)
    same((-x):prelu(torch.tensor { 0.5 }), -x * 0.5)
    same(torch.rrelu(-x), F.rrelu(-x))
    torch.manual_seed(1)
    local expected = F.alpha_dropout(x, 0.5, true)
    torch.manual_seed(1)
    same(torch.alpha_dropout(x, 0.5, true), expected)
    local z = x:clone()
    assert.are.equal(z, torch.dropout_(z, 0., true))
    assert.are.equal(0.0, torch.zero_(z):sum():item())
  end)

  it("of norms and ranges", function()
    assert.are.equal(3.0, torch.nuclear_norm(torch.eye(3)):item())
    assert.are.equal("torch.Size([1, 1])", tostring(torch.nuclear_norm(torch.eye(3), true).shape))
    assert.are.equal(2.0, torch.frobenius_norm(torch.ones(2, 2), { 0, 1 }):item())
    assert.are.equal("torch.Size([3, 1])", tostring(torch.norm_except_dim(x, 2, 0).shape))
    assert.are.same({ 1., 2., 3. }, torch.range(1, 3):tolist())
    assert.are.same({ 2., 1.5, 1. }, torch.range(2, 1, -0.5):tolist())
    assert.are.same({ { 1, 1 }, { 2, 1 } }, torch.vander(torch.tensor { 1, 2 }):tolist())
    assert.has_error(function() torch.range(1, 3, -1) end)
  end)
end)
