-- Linear algebra through Lua: argument forms, decompositions put together, errors.
local torch = require "lampad"
local F = torch.nn.functional

local function close(a, b, tolerance)
  assert.is_true(torch.allclose(a, b, tolerance or 1e-9, tolerance or 1e-9))
end

local function normal(...) return torch.randn(..., { dtype = torch.float64 }) end

describe("products", function()
  it("take operands spread or as a list", function()
    local a, b = normal { 2, 3 }, normal { 3, 4 }
    close(torch.einsum("ij,jk->ik", a, b), a:mm(b))
    close(torch.einsum("ij,jk->ik", { a, b }), a:mm(b))
    close(torch.einsum("ij->j", a), a:sum(0)) -- one tensor needs no list either
    close(torch.chain_matmul(a, b), a:mm(b))
  end)

  it("tensordot takes a number, two lists, or a list of lists", function()
    local a, b = normal { 2, 3, 4 }, normal { 4, 3, 5 }
    close(torch.tensordot(a, b, { { 1, 2 }, { 1, 0 } }), torch.einsum("ijk,kjl->il", a, b))
    close(torch.tensordot(a, b, { dims = { { 2 }, { 0 } } }), torch.einsum("ijk,klm->ijlm", a, b))
    close(torch.tensordot(a, b, { 2 }, { 0 }), torch.tensordot(a, b, 1))
    close(torch.tensordot(a, b, { dims = 1 }), torch.tensordot(a, b, 1))
  end)

  it("linear is a product with the transposed weight, gradients included", function()
    local x, w, b = normal { 5, 2, 3 }, normal { 4, 3 }, normal { 4 }
    local inputs = { x:requires_grad_(), w:requires_grad_(), b:requires_grad_() }
    close(F.linear(x, w, b), torch.matmul(x, w:t()) + b)
    assert.is_true(torch.autograd.gradcheck(F.linear, inputs))
    assert.is_true(torch.autograd.gradgradcheck(F.linear, inputs))
  end)
end)

describe("decompositions", function()
  it("give back the matrix", function()
    torch.manual_seed(0)
    local a = normal { 2, 4, 3 }
    local u, s, vh = torch.linalg.svd(a, false)
    close(u:matmul(torch.diag_embed(s)):matmul(vh), a)
    local q, r = torch.linalg.qr(a)
    close(q:matmul(r), a)
    local p, l, up = torch.linalg.lu(a)
    close(p:matmul(l):matmul(up), a)
    local lu, pivots = torch.linalg.lu_factor(a["..., :3, :"])
    local b = normal { 2, 3, 2 }
    close(a["..., :3, :"]:matmul(torch.linalg.lu_solve(lu, pivots, b)), b)
    close(torch.linalg.lu_solve(lu, pivots, b.mT, { left = false }):matmul(a["..., :3, :"]), b.mT)
    local w, v = torch.linalg.eigh(a.mT:matmul(a))
    close(v:matmul(torch.diag_embed(w)):matmul(v.mT), a.mT:matmul(a))
  end)

  it("have gradients that do not depend on signs", function()
    torch.manual_seed(1)
    local a = normal { 2, 3, 3 }:requires_grad_()
    local function rebuilt(f) return torch.autograd.gradcheck(f, { a }) end
    assert.is_true(rebuilt(function(x)
      local u, s, vh = torch.linalg.svd(x)
      return (u * s:unsqueeze(-2):exp()):matmul(vh)
    end))
    assert.is_true(rebuilt(function(x)
      local w, v = torch.linalg.eigh(x + x.mT)
      return (v * w:unsqueeze(-2):exp()):matmul(v.mT)
    end))
    assert.is_true(rebuilt(function(x)
      local w, v = torch.linalg.eig(x)
      return torch.real((v * w:unsqueeze(-2):exp()):matmul(torch.linalg.inv(v)))
    end))
    assert.is_true(rebuilt(function(x) return torch.linalg.matrix_exp(x) end))
  end)

  it("det has a gradient at a singular matrix", function()
    local a = torch.tensor({ { 1., 2. }, { 2., 4. } }, { dtype = torch.float64, requires_grad = true })
    torch.linalg.det(a):backward()
    close(a.grad, torch.tensor({ { 4., -2. }, { -2., 1. } }, { dtype = torch.float64 }))
  end)

  it("say what is wrong with a matrix", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.matches(text, message, 1, true)
    end
    fails("The diagonal element 2 is zero", torch.linalg.inv, torch.tensor { { 1., 1. }, { 1., 1. } })
    fails("(Batch element 1): ", torch.linalg.inv, torch.stack { torch.eye(2), torch.zeros(2, 2) })
    fails("leading minor of order 2", torch.linalg.cholesky, torch.tensor { { 1., 2. }, { 2., 1. } })
    fails("square", torch.linalg.det, torch.ones(2, 3))
    fails("float32", torch.linalg.inv, torch.ones(2, 2, { dtype = torch.int64 }))
    fails("2x3 and 2x3", torch.mm, torch.ones(2, 3), torch.ones(2, 3))
    fails("the same dtype", torch.mm, torch.ones(2, 2), torch.ones(2, 2, { dtype = torch.float64 }))
    fails("subscripts", torch.einsum, "ij,jk->ik", torch.ones(2), torch.ones(2, 2))
  end)
end)

describe("large float32 products", function()
  -- Large enough for every way that there is to make them.
  local x, w, b = torch.randn(512, 300), torch.randn(400, 300), torch.randn(400)
  local function exact() return torch.nn.functional.linear(x:double(), w:double(), b:double()) end
  local function check(y)
    local expected = exact()
    assert.is_true(torch.equal(y:isnan(), expected:isnan()))
    assert.is_true(torch.equal(y:isinf(), expected:isinf()))
    local difference = (y:double() - expected)[expected:isfinite()]
    assert.is_true(difference:abs():max():item() < 1e-4)
  end
  local function check_all()
    check(torch.nn.functional.linear(x, w, b))
    check(x:matmul(w:t()) + b)
    check(torch.addmm(b, x, w:t()))
    check(torch.addmm(b, x, w:t(), { out = torch.empty(400, 512):t() }))
  end
  it("are as exact as the sum of their terms", check_all)
  it("keep infinities and NaN", function()
    x[{ 3, 5 }], x[{ 100, 7 }] = math.huge, 0 / 0
    check_all()
  end)
  it("are added to a tensor that shares the result's memory", function()
    local start, a, c = torch.randn(400, 400), torch.randn(400, 400), torch.randn(400, 400)
    local y = start:clone()
    torch.addmm(y, a, c, { out = y:view(400, 400) })
    assert.is_true(torch.allclose(torch.addmm(start, a, c), y))
  end)
end)
