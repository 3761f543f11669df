-- Transforms, constraints and their registries against PyTorch's values.
local torch = require "lampad"
local D = torch.distributions
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/distributions_golden.lua")
local close, close_gradients = golden.close, golden.close_gradients

describe("transform", function()
  for _, record in ipairs(golden.load "transforms") do
    it(record.code .. " of " .. record.x[1], function()
      local t, params = golden.make(record)
      local x = golden.tensor(record.x):requires_grad_(true)
      assert.equal(record.text, tostring(t))
      assert.equal(record.bijective, t.bijective)
      for _, name in ipairs { "domain", "codomain" } do
        if record[name] then assert.equal(record[name], tostring(t[name])) end
      end
      if record.event_dim then
        assert.equal(record.event_dim, t.event_dim)
      elseif record.domain then
        assert.error_matches(function() return t.event_dim end, "Please use either .domain.event_dim or .codomain.event_dim")
      end
      if golden.is_record(record.sign) then
        close(record.sign, t.sign, "sign")
      elseif record.sign then
        assert.equal(record.sign, t.sign)
      end
      local y = t(x)
      local leaves = { x, table.unpack(params) }
      close(record.y, y, "y")
      if record.y_grad then close_gradients(record.y_grad, y, leaves, "y", 5) end
      if record.back then close(record.back, t.inv(y:detach()), "inverse", 10) end
      assert.equal(rawequal(t.inv.inv, t), true)
      if record.jacobian then
        local jacobian = t:log_abs_det_jacobian(x, y)
        close(record.jacobian, jacobian, "jacobian")
        if record.jacobian_grad then close_gradients(record.jacobian_grad, jacobian, leaves, "jacobian", 5) end
        close(record.jacobian, -t.inv:log_abs_det_jacobian(y, x), "jacobian of the inverse")
      end
      if record.forward_shape then assert.same(record.forward_shape, { t:forward_shape(x.shape):unpack() }) end
      if record.inverse_shape then assert.same(record.inverse_shape, { t:inverse_shape(y.shape):unpack() }) end
      local cached = t:with_cache(1)
      if cached._cache_size == 1 and not torch.isinstance(cached, D.ComposeTransform) then
        assert.is_true(rawequal(x, cached.inv(cached(x))))
      end
    end)
  end

  it("is equal to one of the same parameters", function()
    local same = { D.ExpTransform, D.SigmoidTransform, D.TanhTransform, D.SoftplusTransform, D.AbsTransform,
      D.StickBreakingTransform, D.SoftmaxTransform, D.LowerCholeskyTransform }
    for _, T in ipairs(same) do assert.is_true(T() == T()) end
    assert.is_true(D.AffineTransform(1, 2) == D.AffineTransform(1., torch.tensor(2.)))
    assert.is_false(D.AffineTransform(1, 2) == D.AffineTransform(1, 3))
    assert.is_true(D.PowerTransform(2.) == D.PowerTransform(torch.tensor(2.)))
    assert.is_false(D.ExpTransform() == D.TanhTransform())
    assert.is_true(D.ExpTransform().inv == D.ExpTransform().inv)
    assert.is_true(D.ComposeTransform { D.ExpTransform() } == D.ComposeTransform { D.ExpTransform() })
    assert.is_false(D.CorrCholeskyTransform() == D.CorrCholeskyTransform())
  end)

  it("keeps the last pair with cache_size 1", function()
    local calls = 0
    local Mine = D.Transform:extend "Mine"
    Mine.domain, Mine.codomain, Mine.bijective = D.constraints.real, D.constraints.positive, true
    function Mine:_call(x)
      calls = calls + 1
      return x:exp()
    end
    function Mine:_inverse() error("the inverse should be cached") end
    local t, x = Mine { cache_size = 1 }, torch.randn(3)
    local y = t(x)
    assert.is_true(rawequal(y, t(x)))
    assert.equal(1, calls)
    assert.is_true(rawequal(x, t.inv(y)))
    assert.equal("Mine()", tostring(t))
    assert.equal("_InverseTransform(Mine())", tostring(t.inv))
    assert.equal(0, t.event_dim)
    assert.error_matches(function() return t.sign end, "Mine: the transform does not implement sign")
  end)
end)

describe("constraint", function()
  for _, record in ipairs(golden.load "constraints") do
    it(record.code, function()
      local c = golden.make(record)
      assert.equal(record.text, tostring(c))
      assert.equal(record.event_dim, c.event_dim)
      assert.equal(record.is_discrete, c.is_discrete)
      close(record.check, c:check(golden.tensor(record.value)), "check")
      for _, name in ipairs { "biject_to", "transform_to" } do
        local expected = record[name]
        if expected then
          local t = D[name](c)
          assert.equal(expected.text, tostring(t))
          local y = t(golden.tensor(expected.x))
          close(expected.y, y, name)
          if not record.code:find "positive_semi" then assert.is_true(c:check(y):all():item(), name .. " leaves the region") end
        else
          assert.error_matches(function() D[name](c) end, "Cannot transform .+ constraints")
        end
      end
    end)
  end

  it("can be dependent", function()
    local c = D.constraints
    assert.is_true(c.is_dependent(c.dependent))
    assert.is_false(c.is_dependent(c.positive))
    assert.is_true(c.is_dependent(D.Uniform.support))
    assert.equal(0, D.Uniform.support.event_dim)
    assert.is_false(D.Uniform.support.is_discrete)
    assert.equal(1, c.dependent { is_discrete = true, event_dim = 1 }.event_dim)
    assert.equal("Dependent()", tostring(c.dependent))
  end)

  it("of one's own joins a registry", function()
    local Even = D.constraints.Constraint:extend "Even"
    Even.is_discrete = true
    function Even:check(value) return (value % 2):eq(0) end
    local registry = D.constraint_registry.ConstraintRegistry()
    registry:register(Even)(function() return D.AffineTransform(0, 2) end)
    assert.same({ 0, 2, 4 }, registry(Even())(torch.arange(3)):tolist())
    assert.equal("Even()", tostring(Even()))
    assert.error_matches(function() registry(D.constraints.real) end, "Cannot transform Real constraints")
    assert.error_matches(function() registry:register(3, print) end, "Expected constraint to be either a Constraint")
  end)
end)
