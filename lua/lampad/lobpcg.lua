-- torch.lobpcg: a few extreme eigenpairs of a large symmetric matrix (Knyazev 2001, "Toward the optimal preconditioned
-- eigensolver: locally optimal block preconditioned conjugate gradient method").
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local linalg = core.modules.linalg

local function times(B, X) return B == nil and X or B:matmul(X) end

-- A basis of span(S), orthonormal in B's inner product; directions that rounding cannot tell apart are left out.
local function orthonormal(S, B)
  local norms = S:pow(2):sum(0, true):sqrt():clamp_min(1e-300)
  S = S / norms
  local values, vectors = linalg.eigh(S.mT:matmul(times(B, S)))
  local limit = values[-1]:item() * torch.finfo(S.dtype).eps * S:size(-1)
  local first = values:le(limit):sum():item()
  if first > 0 then
    values, vectors = values[first .. ":"], vectors[":, " .. first .. ":"]
  end
  return S:matmul(vectors) / values:sqrt()
end

-- The Ritz pairs of A in span(Z): eigenvalues in the order asked for.
local function ritz(A, Z, n, largest)
  local values, vectors = linalg.eigh(Z.mT:matmul(A:matmul(Z)))
  if largest then values, vectors = values:flip(0), vectors:flip(1) end
  return values["0:" .. n], Z:matmul(vectors[":, 0:" .. n])
end

-- E (k), X (m, k) of one matrix.
local function solve(A, B, X, o)
  local n = X:size(-1)
  X = orthonormal(X, B)
  if X:size(-1) < n then args.fail("lobpcg", "the columns of X must be linearly independent") end
  local E
  E, X = ritz(A, X, n, o.largest)
  local a_norm = A:matmul(X):norm():item() / X:norm():item()
  local b_norm = times(B, X):norm():item() / X:norm():item()
  local P
  for iteration = 1, o.niter do
    local R = A:matmul(X) - times(B, X) * E
    local errors = R:pow(2):sum(0):sqrt() / (X:pow(2):sum(0):sqrt() * (a_norm + E:abs() * b_norm))
    if o.tracker then o.tracker { istep = iteration - 1, E = E, X = X, R = R, rerr = errors } end
    if errors["0:" .. o.k]:lt(o.tol):all():item() then break end
    local W = o.iK == nil and R or o.iK:matmul(R)
    local S = P and torch.cat({ X, W, P }, 1) or torch.cat({ X, W }, 1)
    local new_E, new_X = ritz(A, orthonormal(S, B), n, o.largest)
    P = new_X - X:matmul(X.mT:matmul(times(B, new_X))) -- what the step adds to the old space
    E, X = new_E, new_X
  end
  return E["0:" .. o.k], X[":, 0:" .. o.k]
end

-- E and X again as functions of A: to first order, E = diag(X^T A X), and X moves by -(A - E)^+ dA X.
local function differentiable(A, E, X)
  local values, vectors = linalg.eigh(A:detach())
  local moved = A:matmul(X) - X * E
  local columns = {}
  for j = 0, X:size(1) - 1 do
    local gaps = values - E[j]
    local weights = torch.where(gaps:abs():gt(values:abs():max() * 1e-8), 1 / gaps, 0.0)
    local rest = (vectors * weights):matmul(vectors.mT):matmul(moved[":, " .. j])
    columns[j + 1] = X[":, " .. j] - rest
  end
  return (X * A:matmul(X)):sum(0), torch.stack(columns, 1)
end

local lobpcg_spec = args [[lobpcg(Tensor A, int k=nil, Tensor B=nil, Tensor X=nil, int n=nil, Tensor iK=nil, int niter=nil,
  float tol=nil, bool? largest=nil, str method=nil, function tracker=nil, any ortho_iparams=nil, any ortho_fparams=nil,
  any ortho_bparams=nil)]]

--- The k largest (largest = false: smallest) eigenvalues of a symmetric A, and their eigenvectors as columns:
--- A X = X diag(E), or A X = B X diag(E) with a positive definite B. X: columns to begin with (default: random ones);
--- iK: a preconditioner; tracker: a function that sees each step's {istep, E, X, R, rerr}.
return function(...)
  local A, k, B, X, n, iK, niter, tol, largest, method, tracker = lobpcg_spec(...)
  if method ~= nil and method ~= "ortho" and method ~= "basic" then
    args.fail("lobpcg", "method must be 'ortho' or 'basic', got '%s'", method)
  end
  if A.ndim < 2 or A:size(-1) ~= A:size(-2) then
    args.fail("lobpcg", "A must be square matrices, got shape %s", tostring(A.shape))
  end
  if not A:is_floating_point() then args.fail("lobpcg", "A must be real and floating, got %s", tostring(A.dtype)) end
  local m = A:size(-1)
  k = k or (X ~= nil and X:size(-1) or 1)
  n = n or (X ~= nil and X:size(-1) or k)
  if k < 1 or n < k then args.fail("lobpcg", "k must be from 1 to n = %d, got %d", n, k) end
  if m < 3 * n then
    args.fail("lobpcg", "not applicable when the number of A rows (=%d) is smaller than 3 x the number of requested "
      .. "eigenpairs (=%d)", m, n)
  end
  if B ~= nil and B.requires_grad or (B ~= nil and A.requires_grad) then
    args.fail("lobpcg", "has no derivative for the generalised problem; detach A and B")
  end
  local o = { k = k, niter = niter ~= nil and niter >= 0 and niter or 1000, largest = largest ~= false, tracker = tracker,
    tol = tol ~= nil and tol >= 0 and tol or torch.finfo(A.dtype).eps ^ 0.5 }
  if X == nil then
    local sizes = { A.shape:unpack() }
    sizes[#sizes] = n
    X = torch.randn(sizes, { dtype = A.dtype })
  end
  local function matrices(t, columns) return t:expand(A.shape["0:-2"] .. { m, columns }):reshape(-1, m, columns) end
  local all = { A = matrices(A, m), X = matrices(X, X:size(-1)) }
  all.B = B ~= nil and matrices(B, m) or nil
  all.iK = iK ~= nil and matrices(iK, m) or nil
  local values, vectors = {}, {}
  for i = 0, all.A:size(0) - 1 do
    o.iK = all.iK and all.iK[i]
    local E, V
    do
      local _ <close> = torch.no_grad()
      E, V = solve(all.A[i]:detach(), all.B and all.B[i]:detach(), all.X[i]:detach(), o)
    end
    if A.requires_grad and torch.is_grad_enabled() then E, V = differentiable(all.A[i], E, V) end
    values[i + 1], vectors[i + 1] = E, V
  end
  if A.ndim == 2 then return values[1], vectors[1] end
  local batch = A.shape["0:-2"]
  if #values == 0 then
    return torch.empty(batch .. { k }, { dtype = A.dtype }), torch.empty(batch .. { m, k }, { dtype = A.dtype })
  end
  return torch.stack(values):reshape(batch .. { k }), torch.stack(vectors):reshape(batch .. { m, k })
end
