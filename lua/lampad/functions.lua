-- Functions of torch whose results or arguments go beyond what a schema row can say.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local M = {}

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

-- The sizes of a shape given as a number, a list or a torch.Size.
local function sizes_of(what, shape)
  if type(shape) == "number" and math.tointeger(shape) then return { math.tointeger(shape) } end
  if type(shape) == "userdata" and not torch.is_tensor(shape) and shape.unpack then return { shape:unpack() } end
  if type(shape) == "table" then return shape end
  args.fail(what, "expected shapes: numbers, lists of integers or torch.Size, got %s",
    require("lampad.text").describe(shape))
end

--- The shape that tensors of these shapes broadcast to.
function M.broadcast_shapes(...)
  local all, ndim = table.pack(...), 0
  for i = 1, all.n do
    all[i] = sizes_of("broadcast_shapes", all[i])
    ndim = math.max(ndim, #all[i])
  end
  local result = {}
  for d = 1, ndim do result[d] = 1 end
  for i = 1, all.n do
    local sizes = all[i]
    for k = 1, #sizes do
      local d, n = ndim - #sizes + k, sizes[k]
      if math.type(n) ~= "integer" or n < 0 then
        args.fail("broadcast_shapes", "sizes must be integers of at least 0, got %s", tostring(n))
      end
      if n ~= 1 and result[d] ~= 1 and result[d] ~= n then
        args.fail("broadcast_shapes", "shape mismatch: shape %d, %s, cannot be broadcast with size %d in dim %d", i - 1,
          tostring(torch.Size(sizes)), result[d], d - ndim - 1)
      end
      if n ~= 1 then result[d] = n end
    end
  end
  return torch.Size(result)
end

local unravel_spec = args "unravel_index(Tensor indices, any shape)"

--- The coordinates of flat indices in a tensor of the shape: one tensor for each dim, as several results.
function M.unravel_index(...)
  local indices, shape = unravel_spec(...)
  local sizes, count = sizes_of("unravel_index", shape), 1
  if indices:is_floating_point() or indices:is_complex() or indices.dtype == torch.bool then
    args.fail("unravel_index", "expected 'indices' to be an integer tensor, got %s", tostring(indices.dtype))
  end
  for _, n in ipairs(sizes) do
    if math.type(n) ~= "integer" or n < 0 then
      args.fail("unravel_index", "'shape' cannot have negative values, got %s", tostring(torch.Size(sizes)))
    end
    count = count * n
  end
  indices = indices:to(torch.int64)
  if indices:numel() > 0 and (indices:lt(0):any():item() or indices:ge(count):any():item()) then
    args.fail("unravel_index", "indices are out of bounds for a shape of %d elements", count)
  end
  local results, rest = {}, indices
  for d = #sizes, 1, -1 do
    results[d] = rest:remainder(math.max(sizes[d], 1))
    rest = rest:floor_divide(math.max(sizes[d], 1))
  end
  return table.unpack(results, 1, #sizes)
end

-- --- histogramdd ------------------------------------------------------------------------------------------

local histogramdd_spec = args [[histogramdd(Tensor input, any bins, floats range=nil, Tensor weight=nil,
  bool density=false)]]

--- Counts (or sums of weights) of points, the rows of input, in the cells of a grid, and the list of the grid's edges.
--- bins: a number of equal bins, one number for each column, or a list of edges (tensors).
function M.histogramdd(...)
  local input, bins, range, weight, density = histogramdd_spec(...)
  local columns = input.ndim > 0 and input:size(-1) or 0
  if type(bins) == "number" then
    local each = math.tointeger(bins)
    bins = {}
    for d = 1, columns do bins[d] = each end
  end
  local edges = bins
  if type(bins) ~= "table" then
    args.fail("histogramdd", "argument 'bins' must be a number, a list of numbers or a list of tensors, got %s",
      require("lampad.text").describe(bins))
  end
  local named = { weight = weight, density = density }
  if not is_tensor(bins[1]) then
    edges = torch._histogramdd_bin_edges(input, bins, { range = range, weight = weight, density = density })
  end
  return torch._histogramdd_from_bin_tensors(input, edges, named), edges
end

-- --- gradient ---------------------------------------------------------------------------------------------

-- Differences along dim d of samples at distance h (a number), or at the points x (a 1-d tensor).
local function gradient_along(y, d, h, x, edge_order)
  local n = y:size(d)
  local function part(from, to) return y:narrow(d, from, to - from) end
  local function column(v)
    local shape = {}
    for i = 1, y.ndim do shape[i] = i == d + 1 and -1 or 1 end
    return v:reshape(shape)
  end
  local first, inner, last
  if not x then
    inner = (part(2, n) - part(0, n - 2)) / (2 * h)
    if edge_order == 1 then
      first, last = (part(1, 2) - part(0, 1)) / h, (part(n - 1, n) - part(n - 2, n - 1)) / h
    else
      first = (part(0, 1) * -1.5 + part(1, 2) * 2 - part(2, 3) * 0.5) / h
      last = (part(n - 3, n - 2) * 0.5 - part(n - 2, n - 1) * 2 + part(n - 1, n) * 1.5) / h
    end
    return torch.cat({ first, inner, last }, d)
  end
  -- The parabola through three neighbours, as weights of the samples.
  local step = x:narrow(0, 1, n - 1) - x:narrow(0, 0, n - 1)
  local before, after = column(step:narrow(0, 0, n - 2)), column(step:narrow(0, 1, n - 2))
  local both = before + after
  inner = -after / (before * both) * part(0, n - 2) + (after - before) / (before * after) * part(1, n - 1)
    + before / (after * both) * part(2, n)
  local function at(i) return column(step:narrow(0, i, 1)) end
  if edge_order == 1 then
    first, last = (part(1, 2) - part(0, 1)) / at(0), (part(n - 1, n) - part(n - 2, n - 1)) / at(n - 2)
  else
    local a, b = at(0), at(1)
    first = -(2 * a + b) / (a * (a + b)) * part(0, 1) + (a + b) / (a * b) * part(1, 2) - a / (b * (a + b)) * part(2, 3)
    a, b = at(n - 3), at(n - 2)
    last = b / (a * (a + b)) * part(n - 3, n - 2) - (a + b) / (a * b) * part(n - 2, n - 1)
      + (a + 2 * b) / (b * (a + b)) * part(n - 1, n)
  end
  return torch.cat({ first, inner, last }, d)
end

local gradient_spec = args "gradient(Tensor input, *, any spacing=nil, ints dim=nil, int edge_order=1)"

--- Estimates the derivatives of sampled values along dims (all of them without dim), as a list with a tensor for each:
--- by central differences inside, one-sided ones of order edge_order at the ends. spacing is a distance, a list with one
--- for each dim, or a list of 1-d tensors of coordinates.
function M.gradient(...)
  local input, spacing, dim, edge_order = gradient_spec(...)
  local dims = {}
  if dim == nil then
    for d = 0, input.ndim - 1 do dims[d + 1] = d end
  else
    local seen = {}
    for i, d in ipairs(type(dim) == "number" and { dim } or dim) do
      if d < -input.ndim or d >= input.ndim then
        args.fail("gradient", "Dimension out of range (expected to be in range of [%d, %d], but got %d)", -input.ndim,
          input.ndim - 1, d)
      end
      dims[i] = d % math.max(input.ndim, 1)
      if seen[dims[i]] then args.fail("gradient", "dim %d appears multiple times in the list of dims", dims[i]) end
      seen[dims[i]] = true
    end
  end
  if edge_order ~= 1 and edge_order ~= 2 then
    args.fail("gradient", "edge_order must be 1 or 2, got %d", edge_order)
  end
  local coordinates = type(spacing) == "table" and is_tensor(spacing[1])
  if is_tensor(spacing) and spacing.ndim == 0 then spacing = spacing:item() end
  if type(spacing) == "table" and #spacing ~= #dims then
    args.fail("gradient", "expected spacing to be a number or a list of %d entries, one for each dim, got %d", #dims,
      #spacing)
  elseif spacing ~= nil and type(spacing) ~= "table" and type(spacing) ~= "number" then
    args.fail("gradient", "argument 'spacing' must be a number, a list of numbers or a list of 1-d tensors, got %s",
      require("lampad.text").describe(spacing))
  end
  local results = {}
  if input.dtype == torch.uint8 then args.fail("gradient", "uint8 input is not supported") end
  for i, d in ipairs(dims) do
    local n = input:size(d)
    if n < edge_order + 1 then
      args.fail("gradient", "dim %d must have at least edge_order + 1 = %d elements, got %d", d, edge_order + 1, n)
    end
    local x = coordinates and spacing[i] or nil
    if x and (x.ndim ~= 1 or x:numel() ~= n) then
      args.fail("gradient", "spacing %d must be 1-d with %d elements, as dim %d, got shape %s", i - 1, n, d,
        tostring(x.shape))
    end
    local h = not x and (type(spacing) == "table" and spacing[i] or spacing or 1) or nil
    results[i] = gradient_along(input, d, h, x, edge_order)
  end
  return results
end

-- --- low rank ----------------------------------------------------------------------------------------------

local function adjoint(x) return x:is_complex() and x.mT:conj() or x.mT end

local svd_lowrank_spec = args "svd_lowrank(Tensor A, int q=6, int niter=2, Tensor M=nil)"

--- U, S, V with A (less M) close to U diag(S) V^H, of rank q: from A's action on q random vectors, bettered by niter
--- subspace iterations (Halko et al. 2009, algorithms 4.4 and 5.1).
function M.svd_lowrank(...)
  local A, q, niter, mean = svd_lowrank_spec(...)
  if A.ndim < 2 then args.fail("svd_lowrank", "A must have at least 2 dims, got shape %s", tostring(A.shape)) end
  if mean ~= nil then A = A - mean:expand(A.shape) end
  local m, n = A:size(-2), A:size(-1)
  if q < 0 or q > math.min(m, n) then
    args.fail("svd_lowrank", "q(=%d) must be non-negative integer and not greater than min(m, n)=%d", q, math.min(m, n))
  end
  if niter < 0 then args.fail("svd_lowrank", "niter(=%d) must be non-negative integer", niter) end
  local wide = m < n
  if wide then A = adjoint(A) end
  local H = adjoint(A)
  local basis = torch.linalg.qr(A:matmul(torch.randn(A:size(-1), q, { dtype = A.dtype })))
  for _ = 1, niter do
    basis = torch.linalg.qr(A:matmul((torch.linalg.qr(H:matmul(basis)))))
  end
  local U, S, Vh = torch.linalg.svd(adjoint(basis):matmul(A), false)
  local V = adjoint(Vh)
  U = basis:matmul(U)
  if wide then return V, S, U end
  return U, S, V
end

local pca_spec = args "pca_lowrank(Tensor A, int q=nil, bool center=true, int niter=2)"

--- svd_lowrank of A with the mean of each column taken off (unless center is false): its principal components in V.
function M.pca_lowrank(...)
  local A, q, center, niter = pca_spec(...)
  if A.ndim < 2 then args.fail("pca_lowrank", "A must have at least 2 dims, got shape %s", tostring(A.shape)) end
  local least = math.min(A:size(-2), A:size(-1))
  q = q or math.min(6, least)
  if q < 0 or q > least then
    args.fail("pca_lowrank", "q(=%d) must be non-negative integer and not greater than min(m, n)=%d", q, least)
  end
  if center then A = A - A:mean(-2, true) end
  return M.svd_lowrank(A, q, niter)
end

return M
