-- kl_divergence against PyTorch's values for every registered pair, and the registry.
local torch = require "lampad"
local D = torch.distributions
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/distributions_golden.lua")
local records = golden.load "kl"

describe("kl_divergence", function()
  local known = {}
  for _, row in ipairs(records.values) do
    known[row[1]] = known[row[1]] or {}
    known[row[1]][row[2]] = row[3]
  end

  for i, p_record in ipairs(records.instances) do
    it(("from %d, %s"):format(i, p_record.code), function()
      local p = golden.make(p_record)
      for j, q_record in ipairs(records.instances) do
        local q = golden.make(q_record)
        local expected = known[i] and known[i][j]
        local what = ("%d to %d, %s"):format(i, j, q_record.code)
        if expected then
          golden.close(expected, D.kl_divergence(p, q), what)
        else
          local ok, message = pcall(D.kl_divergence, p, q)
          if ok then error(what .. " should not be implemented") end
          assert.truthy(message:find "kl_divergence: ", message)
        end
      end
    end)
  end

  it("has gradients", function()
    local loc, scale = torch.tensor({ 0.5 }, { dtype = torch.float64 }), torch.tensor({ 2.0 }, { dtype = torch.float64 })
    assert.is_true(torch.autograd.gradcheck(function(a, b)
      return D.kl_divergence(D.Normal(a, b), D.Gumbel(0.25, 1.5)) + D.kl_divergence(D.Gamma(b, b), D.Normal(a, b))
    end, { loc:requires_grad_(true), scale:requires_grad_(true) }))
  end)

  it("goes by the nearest class", function()
    local Mine = D.Normal:extend "Mine"
    local mine, normal = Mine(0, 1), D.Normal(1, 2)
    assert.equal(D.kl_divergence(D.Normal(0, 1), normal):item(), D.kl_divergence(mine, normal):item())
    local returned = D.register_kl(Mine, D.Normal)(function() return "mine and normal" end)
    assert.equal("function", type(returned))
    assert.equal("mine and normal", D.kl_divergence(mine, normal))
    D.register_kl(Mine, Mine, function() return "two of mine" end)
    assert.equal("two of mine", D.kl_divergence(mine, Mine(1, 1)))
  end)

  it("serves classes below those of its tables", function()
    local Mine = D.Exponential:extend "Mine"
    local q = D.Gamma(2., 3.)
    assert.equal(D.kl_divergence(D.Exponential(1.5), q):item(), D.kl_divergence(Mine(1.5), q):item())
    assert.equal(D.kl_divergence(D.Gamma(1.5, 0.5), D.Gumbel(0., 1.)):item(),
      D.kl_divergence(D.Chi2(3.), D.Gumbel(0., 1.)):item())
  end)

  it("refuses what is no distribution", function()
    assert.error_matches(function() D.kl_divergence(D.Normal(0, 1), 3) end, "argument 'q' must be a Distribution, got number")
    assert.error_matches(function() D.kl_divergence(D.Normal(0, 1)) end, "takes two distributions")
    assert.error_matches(function() D.register_kl(D.Normal, torch.nn.Linear) end, "Expected type_q to be a Distribution subclass")
    assert.error_matches(function() D.register_kl(D.Normal, D.Normal, 3) end, "argument 'fn' must be a function")
  end)

  it("is Bregman's divergence for exponential families", function()
    for _, pair in ipairs { { D.Normal(0.5, 1.5), D.Normal(-1, 0.75) }, { D.Gamma(2.5, 1.5), D.Gamma(1.25, 3.) },
      { D.Beta(2., 3.), D.Beta(0.5, 1.5) }, { D.Bernoulli(0.25), D.Bernoulli(0.75) }, { D.Poisson(2.), D.Poisson(3.) },
      { D.Exponential(2.), D.Exponential(0.5) }, { D.Dirichlet(torch.tensor { 1., 2. }), D.Dirichlet(torch.tensor { 3., 0.5 }) },
      { D.ContinuousBernoulli(0.25), D.ContinuousBernoulli(0.75) } } do
      local p, q = pair[1], pair[2]
      local normalizer, params, means = p:_normalizer_and_means()
      local other = { q:_natural_params() }
      local bregman = q:_log_normalizer(table.unpack(other)) - normalizer
      for i, mean in ipairs(means) do bregman = bregman - ((other[i] - params[i]) * mean):sum() end
      assert.near(D.kl_divergence(p, q):item(), bregman:item(), 2e-5, p.__name)
    end
  end)
end)
