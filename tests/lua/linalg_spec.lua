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

describe("batches of bfloat16 products", function()
  -- Products of small integers are exact in float32, and those up to 256 in bfloat16, too.
  local function whole(...) return torch.randint(-1, 2, { ... }):to(torch.float64) end

  it("are the products, however their operands lie", function()
    torch.manual_seed(2)
    local shapes = { { 2, 49, 49, 32 }, { 150, 49, 32, 49 }, { 3, 5, 64, 70 }, { 9, 33, 17, 31 }, { 4, 4, 90, 90 }, { 2, 90, 1, 90 } }
    for _, s in ipairs(shapes) do
      local count, m, n, k = table.unpack(s)
      local a, b, c = whole(count, m, k), whole(count, k, n), whole(count, m, n)
      local x, y, z = a:to(torch.bfloat16), b:to(torch.bfloat16), c:to(torch.bfloat16)
      local turned_x, turned_y = x:transpose(1, 2):contiguous():transpose(1, 2), y:transpose(1, 2):contiguous():transpose(1, 2)
      local function check(result, expected) assert.is_true(torch.equal(result:to(torch.float64), expected)) end
      for _, left in ipairs { x, turned_x } do
        for _, right in ipairs { y, turned_y } do check(left:bmm(right), a:bmm(b)) end
      end
      check(torch.baddbmm(z, x, y, { beta = 2, alpha = 3 }), c * 2 + a:bmm(b) * 3)
      check(x:matmul(y[0]), a:matmul(b[0]))
      check(x[0]:matmul(y), a[0]:matmul(b))
      check(x[0]:expand(count, m, k):bmm(y[0]:expand(count, k, n)), a[0]:mm(b[0]):expand(count, m, n))
      check(x:narrow(1, 0, m - 1):bmm(y), a:narrow(1, 0, m - 1):bmm(b))
    end
  end)

  it("of heads side by side are those of each head", function()
    torch.manual_seed(3)
    local qkv = whole(6, 49, 3, 4, 32)
    local function scores(t)
      t = t:permute(2, 0, 3, 1, 4)
      return t[0]:matmul(t[1]:transpose(-2, -1)):to(torch.float64)
    end
    assert.is_true(torch.equal(scores(qkv:to(torch.bfloat16)), scores(qkv)))
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

  it("slogdet has gradients of each of its results and of both", function()
    torch.manual_seed(2)
    for _, dtype in ipairs { torch.float64, torch.complex128 } do
      local a = torch.randn(2, 3, 3, { dtype = dtype }):requires_grad_()
      local function sign(x) return (torch.linalg.slogdet(x)) end
      local function logabs(x) return (select(2, torch.linalg.slogdet(x))) end
      for _, f in ipairs { sign, logabs, function(x) return sign(x) * logabs(x) end } do
        assert.is_true(torch.autograd.gradcheck(f, { a }))
        if f ~= sign or torch.is_complex(a) then assert.is_true(torch.autograd.gradgradcheck(f, { a })) end
      end
    end
  end)

  it("solve and lstsq have gradients of each operand and of both", function()
    torch.manual_seed(7)
    local function check(f, a, b)
      local plain_a, plain_b = a:detach(), b:detach()
      for _, case in ipairs { { f, { a, b } }, { function(x) return f(x, plain_b) end, { a } },
        { function(y) return f(plain_a, y) end, { b } } } do
        assert.is_true(torch.autograd.gradcheck(case[1], case[2]))
        assert.is_true(torch.autograd.gradgradcheck(case[1], case[2]))
      end
    end
    local function both(...) return normal(...):requires_grad_() end
    check(torch.linalg.solve, both { 3, 3 }, both { 2, 3, 2 })
    check(torch.linalg.solve, both { 2, 3, 3 }, both { 2, 3 })
    check(function(x, y) return (torch.linalg.lstsq(x, y)) end, both { 5, 3 }, both { 5, 2 })
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

describe("batches of matrices", function()
  local dtypes = { torch.float32, torch.float64, torch.complex64, torch.complex128 }
  local function tolerance_of(dtype) return (dtype == torch.float64 or dtype == torch.complex128) and 1e-9 or 2e-3 end
  local function same(a, b) assert.is_true(torch.equal(a, b)) end
  local function fails(text, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    assert.matches(text, message, 1, true)
  end
  -- Well-conditioned, with the largest elements off the diagonal: rows must change places.
  local function systems(count, n, dtype)
    local a = torch.randn(count, n, n, { dtype = dtype }) * 0.1
    return a + torch.eye(n, { dtype = dtype }):index_select(0, torch.randperm(n)) * (1 + n / 4)
  end

  it("are solved, inverted and factored, of every small order", function()
    torch.manual_seed(3)
    for n = 1, 20 do
      for _, dtype in ipairs(dtypes) do
        local a, e = systems(21, n, dtype), tolerance_of(dtype)
        local b, v = torch.randn(21, n, 3, { dtype = dtype }), torch.randn(21, n, { dtype = dtype })
        local x = torch.linalg.solve(a, b)
        close(a:matmul(x), b, e)
        same(torch.linalg.solve(a[5], b[5]), x[5]) -- alone as among others
        close(torch.linalg.solve(a, b.mT, { left = false }):matmul(a), b.mT, e)
        close(a:matmul(torch.linalg.solve(a, v):unsqueeze(-1)):squeeze(-1), v, e)
        close(a:matmul(torch.linalg.inv(a)), torch.eye(n, { dtype = dtype }):expand(21, n, n), e)
        close(torch.linalg.inv(a.mT).mT, torch.linalg.inv(a), e) -- not contiguous
        local p, l, u = torch.linalg.lu(a)
        close(p:matmul(l):matmul(u), a, e)
        assert.is_true(l:abs():max():item() < 1.0001 or torch.is_complex(l)) -- the largest was the pivot
        local product = torch.linalg.det(p) * u:diagonal(0, -2, -1):prod(-1)
        close(torch.linalg.det(a) / product, torch.ones(21, { dtype = dtype }), e)
        local sign, logabs = torch.linalg.slogdet(a)
        close(sign * logabs:exp() / product, torch.ones(21, { dtype = dtype }), e)
      end
    end
  end)

  it("name the first matrix that is singular, whatever comes after it", function()
    for _, n in ipairs { 2, 3, 16, 17, 40 } do
      local a = torch.eye(n):expand(50, n, n):clone()
      a["23, 1"], a["24, 0"], a["41, :"] = 0, 0, 0
      fails("(Batch element 23): The diagonal element 2 is zero", torch.linalg.inv, a)
      fails("(Batch element 23): The solver failed because the input matrix is singular", torch.linalg.solve, a, a)
      fails("(Batch element 23): ", torch.linalg.cholesky, a)
      local _, info = torch.linalg.inv_ex(a)
      local wanted = torch.zeros(50, { dtype = torch.int32 })
      wanted[23], wanted[24], wanted[41] = 2, 1, 1
      same(info, wanted)
      same(select(3, torch.linalg.lu_factor_ex(a)), wanted)
      same(select(2, torch.linalg.solve_ex(a, a)), wanted)
      assert.are.equal(47, torch.linalg.det(a):sum():item())
      assert.are.equal(-math.huge, select(2, torch.linalg.slogdet(a))[23]:item())
      a["30, 0, 0"], a["31, 0, 0"] = 0 / 0, math.huge
      for _, f in ipairs { torch.linalg.svd, torch.linalg.eigh, torch.linalg.eig } do
        fails("(Batch element 30): The algorithm failed to converge because the input", f, a)
      end
    end
  end)

  it("keep NaN to the matrix that has one", function()
    for _, n in ipairs { 1, 5, 16, 20 } do
      local a = systems(40, n, torch.float64)
      local whole, det = torch.linalg.inv(a), torch.linalg.det(a)
      a[{ 17, n - 1, n - 1 }] = 0 / 0
      local inverse, rest = torch.linalg.inv(a), torch.arange(40):ne(17)
      assert.is_true(inverse[17]:isnan():any():item() and torch.linalg.det(a)[17]:isnan():item())
      same(inverse[rest], whole[rest])
      same(torch.linalg.det(a)[rest], det[rest])
    end
  end)

  it("solve triangles row by row, column by column, with steps and broadcast", function()
    torch.manual_seed(9)
    for _, dtype in ipairs { torch.float64, torch.complex128 } do
      local rows = torch.randn(2, 9, 9, { dtype = dtype }) + 4 * torch.eye(9, { dtype = dtype })
      local every = { rows, rows.mT, rows.mT:contiguous().mT, torch.stack({ rows, rows }, 3)[{ "...", 0 }], rows[0], rows[1].mT,
        rows[0]:conj().mT }
      for _, a in ipairs(every) do
        for _, upper in ipairs { true, false } do
          local triangle, b = upper and a:triu() or a:tril(), torch.randn(2, 9, 3, { dtype = dtype })
          local kept = a:clone()
          close(triangle:matmul(torch.linalg.solve_triangular(a, b, { upper = upper })), b)
          close(torch.linalg.solve_triangular(a, b.mT, { upper = upper, left = false }):matmul(triangle), b.mT)
          same(a, kept)
        end
      end
    end
  end)

  it("may be empty", function()
    local none = torch.zeros(0, 8, 8)
    for _, f in ipairs { torch.linalg.inv, torch.linalg.det, torch.linalg.cholesky, torch.linalg.eigvalsh } do
      assert.are.equal(0, (f(none)):size(0))
    end
    assert.are.equal(0, torch.linalg.solve(none, none):numel())
    assert.are.equal(0, (torch.linalg.qr(none)):numel())
    assert.are.equal(0, (torch.linalg.svd(none)):numel())
    same(torch.linalg.det(torch.zeros(3, 0, 0)), torch.ones(3))
    assert.are.equal(0, torch.linalg.inv(torch.zeros(3, 0, 0)):numel())
  end)

  it("do not depend on the number of threads", function()
    local a, threads = torch.randn(90, 12, 12), torch.get_num_threads()
    local function all()
      local symmetric, results = a + a.mT, {}
      for _, f in ipairs { torch.linalg.inv, torch.linalg.qr, torch.linalg.svd } do results[#results + 1] = { f(a) } end
      results[#results + 1] = { torch.linalg.eigh(symmetric) }
      return results
    end
    torch.set_num_threads(1)
    local one = all()
    torch.set_num_threads(threads > 1 and threads or 2)
    for i, r in ipairs(all()) do
      for k = 1, #r do same(r[k], one[i][k]) end
    end
    torch.set_num_threads(threads)
  end)
end)

describe("QR and what begins with it", function()
  local shapes = { { 200, 70 }, { 70, 200 }, { 70, 33 }, { 33, 70 }, { 32, 32 }, { 5, 1 }, { 1, 5 }, { 2500, 20 },
    { 3, 8, 8 }, { 2, 100, 17 }, { 150, 130 }, { 101, 190 }, { 300, 97 }, { 2, 96, 96 } }

  local function check(a, mode)
    local q, r = torch.linalg.qr(a, mode)
    local wide, n = a:double(), q:size(-1)
    local size, e = wide:norm():item() + 1e-300, a.dtype == torch.float32 and 1e-5 or 1e-13
    assert.is_true((q:double():matmul(r:double()) - wide):norm():item() <= e * size)
    local gram = q:double().mT:matmul(q:double())
    assert.is_true((gram - torch.eye(n, { dtype = torch.float64 })):abs():max():item() <= 4 * e)
    assert.are.equal(0, r:tril(-1):abs():max():item())
    if mode ~= "complete" then assert.is_true(torch.equal(select(2, torch.linalg.qr(a, "r")), r)) end
  end

  it("gives orthonormal columns and an upper triangle", function()
    torch.manual_seed(4)
    for _, shape in ipairs(shapes) do
      for _, dtype in ipairs { torch.float32, torch.float64 } do
        local a = torch.randn(shape, { dtype = dtype })
        for _, mode in ipairs { "reduced", "complete" } do
          if shape[1] < 200 or mode == "reduced" then check(a, mode) end
        end
        check(a * 1e-25, "reduced") -- squares that are no float32
        check(a * 1e25, "reduced")
        a:select(-1, shape[#shape] // 2):zero_()
        check(a, "reduced")
      end
    end
    check(torch.eye(40), "reduced")
    check(torch.ones(200, 50), "reduced")
  end)

  it("multiplies reflectors of any factors, of every dtype, by blocks and column by column", function()
    torch.manual_seed(7)
    local cases = { { 70, 70, 49, torch.complex128 }, { 130, 100, 100, torch.float64 }, { 130, 130, 97, torch.complex64 },
      { 60, 55, 50, torch.float32 }, { 40, 30, 20, torch.complex128 } }
    for _, case in ipairs(cases) do
      local m, n, k, dtype = table.unpack(case)
      local v, tau = torch.randn(m, n, { dtype = dtype }) / m, torch.randn(k, { dtype = dtype })
      tau[k // 2] = 0
      local wide = dtype.is_complex and torch.complex128 or torch.float64
      local product = torch.eye(m, { dtype = wide })
      for j = 0, k - 1 do
        local w = torch.zeros(m, { dtype = wide })
        w[j] = 1
        w[{ j + 1 .. ":" }] = v[{ j + 1 .. ":", j }]:to(wide)
        product = product - tau[j]:to(wide) * product:mv(w):unsqueeze(1) * w:conj()
      end
      local expected = product[":, :" .. n]
      local error = (torch.linalg.householder_product(v, tau):to(wide) - expected):abs():max():item()
      assert.is_true(error <= (dtype == wide and 1e-13 or 1e-5) * expected:abs():max():item())
    end
  end)

  it("factors complex matrices", function()
    torch.manual_seed(8)
    for _, shape in ipairs { { 140, 100 }, { 100, 140 }, { 97, 97 }, { 50, 50 }, { 20, 10 } } do
      for _, dtype in ipairs { torch.complex64, torch.complex128 } do
        local a, tolerance = torch.randn(shape, { dtype = dtype }), dtype == torch.complex64 and 2e-5 or 1e-12
        a[":, 3"] = 0
        for _, mode in ipairs { "reduced", "complete" } do
          local q, r = torch.linalg.qr(a, mode)
          close(q:matmul(r), a, tolerance * 10)
          close(q.mH:matmul(q), torch.eye(q:size(1), { dtype = dtype }), tolerance)
          assert.are.equal(0, r:tril(-1):abs():max():item())
        end
        local packed, tau = torch.geqrf(a)
        close(torch.linalg.householder_product(packed[":, :" .. math.min(shape[1], shape[2])], tau), (torch.linalg.qr(a)), tolerance)
      end
    end
  end)

  it("gives the singular values and vectors of long matrices", function()
    torch.manual_seed(5)
    for _, shape in ipairs(shapes) do
      local a = torch.randn(shape, { dtype = torch.float64 })
      for _, x in ipairs { a, a.mT, a * 0, a * 1e-200 } do
        local u, s, vh = torch.linalg.svd(x, false)
        close(u:matmul(torch.diag_embed(s)):matmul(vh), x)
        close(u.mT:matmul(u), torch.eye(s:size(-1), { dtype = torch.float64 }):expand(u.mT:matmul(u):size()))
        close(vh:matmul(vh.mT), torch.eye(s:size(-1), { dtype = torch.float64 }):expand(vh:matmul(vh.mT):size()))
        close(torch.linalg.svdvals(x), s)
        close(s:square():sum(-1), x:square():sum { -2, -1 })
        assert.is_true((s:diff():le(0)):all():item())
      end
    end
  end)

  it("solves least squares of many rows", function()
    torch.manual_seed(6)
    for _, driver in ipairs { "gelsy", "gelsd", "gels" } do
      local a, b = normal { 3, 90, 20 }, normal { 3, 90, 4 }
      local x = torch.linalg.lstsq(a, b, { driver = driver })
      close(a.mT:matmul(a:matmul(x) - b), torch.zeros(3, 20, 4, { dtype = torch.float64 }))
      if driver ~= "gels" then -- of the many solutions the shortest
        a["..., :, 7"] = a["..., :, 3"] * 2
        local best, _, rank = torch.linalg.lstsq(a, b, { driver = driver })
        close(best, torch.linalg.pinv(a):matmul(b))
        assert.is_true(rank:eq(19):all():item())
      end
    end
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

describe("dot products", function()
  local threads = torch.get_num_threads()
  after_each(function() torch.set_num_threads(threads) end)

  -- Small whole numbers, whose sums float32 holds: the exact sum, rounded or wrapped once.
  it("are the sums of their products, of any length and dtype", function()
    torch.manual_seed(5)
    for _, name in ipairs { "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64" } do
      local dtype = torch[name]
      for number, k in ipairs { 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 130, 1000, 16383, 16384, 16385, 40000 } do
        torch.set_num_threads(1 + number % 3)
        local rows = math.max(1, 300 // k)
        local x, y = torch.randint(0, 4, { rows, k }), torch.randint(0, 4, { rows, k })
        local products, rounded_x, rounded_y = x * y, x:to(dtype), y:to(dtype)
        local function check(got, sum)
          assert.equal(got.dtype, dtype)
          assert.is_true(torch.equal(got, sum:to(dtype)))
        end
        check(torch.dot(rounded_x[0], rounded_y[0]), products[0]:sum())
        local apart = torch.stack({ rounded_x[0], rounded_x[0] }, 1):select(1, 0)
        check(torch.dot(apart, rounded_y[0]), products[0]:sum())
        check(torch.einsum("bi,bi->b", rounded_x, rounded_y), products:sum(1))
        check(rounded_x:matmul(rounded_y[0]), (x * y[0]):sum(1))
        check(rounded_x:t():contiguous():t():matmul(rounded_y[0]), (x * y[0]):sum(1))
        local batch = torch.bmm(rounded_x:unsqueeze(1), rounded_y:unsqueeze(2))
        check(batch:view(-1), products:sum(1))
        check(torch.baddbmm(batch, rounded_x:unsqueeze(1), rounded_y:unsqueeze(2), { beta = 0 }):view(-1), products:sum(1))
      end
    end
  end)

  it("make batches of matrix products, however their operands lie", function()
    torch.manual_seed(6)
    for _, name in ipairs { "bfloat16", "float16", "float32", "float64", "int32" } do
      local dtype = torch[name]
      for number, s in ipairs { { 6, 32, 32, 32 }, { 5, 33, 65, 31 }, { 2, 128, 64, 128 }, { 40, 7, 9, 300 }, { 3, 5, 2, 3 } } do
        torch.set_num_threads(1 + number % 3)
        local batch, m, k, n = table.unpack(s)
        local x, y, z = torch.randint(0, 4, { batch, m, k }), torch.randint(0, 4, { batch, k, n }), torch.randint(0, 4, { batch, m, n })
        local exact = x:double():bmm(y:double())
        local function check(got, sum)
          assert.equal(got.dtype, dtype)
          assert.is_true(torch.equal(got, sum:to(dtype)))
        end
        local a, b, c = x:to(dtype), y:to(dtype), z:to(dtype)
        local function turned(t) return t:transpose(1, 2):contiguous():transpose(1, 2) end
        check(a:bmm(b), exact)
        check(turned(a):bmm(b), exact)
        check(a:bmm(turned(b)), exact)
        check(turned(a):bmm(turned(b)), exact)
        check(torch.baddbmm(c, a, b), exact + z)
        local first = x:narrow(0, 0, 1):double():matmul(y:double())
        check(a:narrow(0, 0, 1):expand(batch, m, k):bmm(b), first)
        check(torch.stack({ a, a }, 1):select(1, 0):bmm(b), exact)
        check(torch.cat({ b, b }, 2):narrow(2, 0, n):transpose(1, 2):bmm(turned(a):transpose(1, 2)), exact:transpose(1, 2))
      end
    end
  end)

  it("keep NaN and infinities, and leave what lies beyond alone", function()
    for _, name in ipairs { "float16", "bfloat16", "float64" } do
      local x, y = torch.ones(40):to(torch[name]), torch.ones(40):to(torch[name])
      x[{ 19 }], y[{ 29 }] = 0 / 0, math.huge
      for k = 1, 40 do
        local got = torch.dot(x:narrow(0, 0, k), y:narrow(0, 0, k)):item()
        assert.is_true(k >= 20 and got ~= got or got == k)
        got = torch.dot(y:narrow(0, 0, k), y:narrow(0, 0, k)):item()
        assert.equal(k >= 30 and math.huge or k, got)
      end
    end
  end)
end)
