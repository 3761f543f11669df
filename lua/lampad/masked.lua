-- torch.masked: reductions and normalisations of the elements that a mask marks true. The mask broadcasts to the input;
-- without one all elements count. What is left out counts as the reduction's neutral element.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local F = core.modules["nn.functional"]
local linalg = core.modules.linalg
local masked = {}

local INF = math.huge

local function is_integral(dtype) return not (dtype.is_floating_point or dtype.is_complex) end

-- The number itself, or for integers the end of their range in place of an infinity.
local function limit(dtype, value)
  if not is_integral(dtype) or (value ~= INF and value ~= -INF) then return value end
  if dtype == torch.bool then return value > 0 end
  local info = torch.iinfo(dtype)
  return value > 0 and info.max or info.min
end

local function full_mask(name, input, mask)
  if mask.ndim > input.ndim then
    args.fail(name, "mask must have at most the %d dims of input, got shape %s", input.ndim, tostring(mask.shape))
  end
  return mask:to(torch.bool):expand(input.shape)
end

-- input with `value` where the mask is false.
local function filled(name, input, mask, value)
  if mask == nil then return input end
  local neutral = torch.full({}, limit(input.dtype, value), { dtype = input.dtype })
  return torch.where(full_mask(name, input, mask), input, neutral)
end

-- dim as a list: all dims when it is nil or empty.
local function dims_of(input, dim)
  if type(dim) == "number" then return { dim } end
  if dim ~= nil and #dim > 0 then return dim end
  local all = {}
  for d = 0, input.ndim - 1 do all[d + 1] = d end
  return all
end

-- Sums and products of small integers are taken in int64, as torch.sum does.
local function widened(input, dtype)
  if dtype ~= nil then return input:to(dtype) end
  return is_integral(input.dtype) and input:to(torch.int64) or input
end

local function cast(input, dtype) return dtype ~= nil and input:to(dtype) or input end

-- --- reductions ---------------------------------------------------------------------------------------------

local tail = "(Tensor input, ints dim=nil, *, bool keepdim=false, dtype dtype=nil, Tensor mask=nil)"

local function reduction(name, doc)
  local spec = args(name .. tail)
  masked[name] = function(...) return doc(spec(...)) end
end

--- masked.sum(input, dim, {keepdim, dtype, mask})
reduction("sum", function(input, dim, keepdim, dtype, mask)
  local x = filled("sum", widened(input, dtype), mask, 0)
  return torch.sum(x, dims_of(input, dim), keepdim)
end)

--- masked.prod(input, dim, {keepdim, dtype, mask})
reduction("prod", function(input, dim, keepdim, dtype, mask)
  local x = filled("prod", widened(input, dtype), mask, 1)
  local dims = {}
  for i, d in ipairs(dims_of(input, dim)) do dims[i] = d < 0 and d + input.ndim or d end
  table.sort(dims, function(a, b) return a > b end)
  for _, d in ipairs(dims) do x = x:prod(d, keepdim) end
  return x
end)

--- masked.amax(input, dim, {keepdim, dtype, mask})
reduction("amax", function(input, dim, keepdim, dtype, mask)
  return torch.amax(filled("amax", cast(input, dtype), mask, -INF), dims_of(input, dim), keepdim)
end)

--- masked.amin(input, dim, {keepdim, dtype, mask})
reduction("amin", function(input, dim, keepdim, dtype, mask)
  return torch.amin(filled("amin", cast(input, dtype), mask, INF), dims_of(input, dim), keepdim)
end)

--- masked.logsumexp(input, dim, {keepdim, dtype, mask})
reduction("logsumexp", function(input, dim, keepdim, dtype, mask)
  local x = filled("logsumexp", cast(input, dtype), mask, -INF)
  return torch.logsumexp(x, dims_of(input, dim), keepdim):to(x.dtype)
end)

-- How many elements each result is made of, as int64.
local function counts(name, input, mask, dims, keepdim)
  local ones = torch.ones(input.shape, { dtype = torch.int64 })
  return torch.sum(filled(name, ones, mask, 0), dims, keepdim)
end

local function check_float(name, dtype)
  if is_integral(dtype) then
    args.fail(name, "could not infer output dtype: the input must be floating or complex, got %s", tostring(dtype))
  end
end

--- masked.mean(input, dim, {keepdim, dtype, mask})
reduction("mean", function(input, dim, keepdim, dtype, mask)
  local x, dims = cast(input, dtype), dims_of(input, dim)
  check_float("mean", x.dtype)
  if mask == nil then return torch.mean(x, dims, keepdim) end
  return torch.sum(filled("mean", x, mask, 0), dims, keepdim) / counts("mean", x, mask, dims, keepdim)
end)

for name, smallest in pairs { argmax = false, argmin = true } do
  local spec = args(name .. "(Tensor input, int dim=nil, *, bool keepdim=false, dtype dtype=nil, Tensor mask=nil)")
  --- masked.argmax(input, dim, {keepdim, dtype, mask}); argmin. As PyTorch, the indices come in the input's dtype.
  masked[name] = function(...)
    local input, dim, keepdim, dtype, mask = spec(...)
    local x = cast(input, dtype)
    return torch[name](filled(name, x, mask, smallest and INF or -INF), dim, keepdim):to(x.dtype)
  end
end

local median_spec = args "median(Tensor input, int dim=-1, *, bool keepdim=false, dtype dtype=nil, Tensor mask=nil)"
--- The medians along a dim; NaN where all is left out.
function masked.median(...)
  local input, dim, keepdim, dtype, mask = median_spec(...)
  local x = cast(input, dtype)
  local result_dtype = x.dtype
  if is_integral(result_dtype) then
    if mask ~= nil and counts("median", x, mask, { dim }, keepdim):eq(0):any():item() then
      args.fail("median", "expected no fully masked out rows if dtype is not floating point")
    end
    x = x:to(torch.float64)
  end
  local values = torch.nanmedian(filled("median", x, mask, 0 / 0), dim, keepdim)
  return values:to(result_dtype)
end

local norm_spec = args [[norm(Tensor input, any ord=2.0, ints dim=nil, *, bool keepdim=false, dtype dtype=nil,
  Tensor mask=nil)]]
--- Vector norms of order ord over dims.
function masked.norm(...)
  local input, ord, dim, keepdim, dtype, mask = norm_spec(...)
  local value = ord < 0 and INF or 0
  return linalg.vector_norm(filled("norm", cast(input, dtype), mask, value), ord, dims_of(input, dim), keepdim)
end

local function variance(name, ...)
  local spec = args(name .. [[(Tensor input, ints dim=nil, bool unbiased=nil, *, float correction=nil,
    bool keepdim=false, dtype dtype=nil, Tensor mask=nil)]])
  local input, dim, unbiased, correction, keepdim, dtype, mask = spec(...)
  if unbiased ~= nil and correction ~= nil then
    args.fail(name, "only one of 'unbiased' and 'correction' may be given")
  end
  if correction == nil then correction = unbiased == false and 0 or 1 end
  local x, dims = cast(input, dtype), dims_of(input, dim)
  if is_integral(x.dtype) then x = x:to(torch.get_default_dtype()) end
  local count = counts(name, x, mask, dims, true)
  local mean = torch.sum(filled(name, x, mask, 0), dims, true) / count
  local gap = x - mean
  local squares = gap:is_complex() and torch.real(gap * gap:conj()) or gap * gap
  local total = torch.sum(filled(name, squares, mask, 0), dims, keepdim)
  if not keepdim then count = count:reshape(total.shape) end
  return (total / (count - correction):clamp_min(0)):to(x.dtype)
end

--- masked.var(input, dim, unbiased, {correction, keepdim, dtype, mask})
function masked.var(...) return variance("var", ...) end
--- masked.std(input, dim, unbiased, {correction, keepdim, dtype, mask})
function masked.std(...) return variance("std", ...):sqrt() end

-- --- running and normalising -------------------------------------------------------------------------------------

for name, neutral in pairs { cumsum = 0, cumprod = 1 } do
  local spec = args(name .. "(Tensor input, int dim, *, dtype dtype=nil, Tensor mask=nil)")
  --- masked.cumsum(input, dim, {dtype, mask}); cumprod.
  masked[name] = function(...)
    local input, dim, dtype, mask = spec(...)
    local x = cast(input, dtype)
    return torch[name](filled(name, x, mask, neutral), dim, { dtype = x.dtype }) -- as PyTorch: integers keep their size
  end
end

for name, value in pairs { softmax = -INF, log_softmax = -INF, softmin = INF } do
  local spec = args(name .. "(Tensor input, int dim, *, dtype dtype=nil, Tensor mask=nil)")
  --- masked.softmax(input, dim, {dtype, mask}); log_softmax, softmin.
  masked[name] = function(...)
    local input, dim, dtype, mask = spec(...)
    return F[name](filled(name, cast(input, dtype), mask, value), dim)
  end
end

local normalize_spec = args [[normalize(Tensor input, any ord, int dim, *, float eps=1e-12, dtype dtype=nil,
  Tensor mask=nil)]]
--- Divides by the norm along dim, at least eps; 0 where the mask is false.
function masked.normalize(...)
  local input, ord, dim, eps, dtype, mask = normalize_spec(...)
  local x = cast(input, dtype)
  local norm = masked.norm(x, ord, dim, { keepdim = true, mask = mask })
  return filled("normalize", x, mask, 0) / norm:clamp_min(eps)
end

local logaddexp_spec = args [[logaddexp(Tensor input, Tensor other, *, dtype dtype=nil, Tensor input_mask=nil,
  Tensor other_mask=nil)]]
--- log(exp(input) + exp(other)), what is masked counting as exp(x) = 0.
function masked.logaddexp(...)
  local input, other, dtype, input_mask, other_mask = logaddexp_spec(...)
  return torch.logaddexp(filled("logaddexp", cast(input, dtype), input_mask, -INF),
    filled("logaddexp", cast(other, dtype), other_mask, -INF))
end

return masked
