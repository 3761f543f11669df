-- Picking and placing elements by index; sorting, unique elements.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

-- --- picking ------------------------------------------------------------------------------------------
op.Gather = function(node, x, indices)
  local dim = node:axis(node:get("axis", 0), x.ndim)
  local wrapped = common.wrap_indices(indices, x:size(dim))
  local picked = x:index_select(dim, wrapped:flatten())
  -- The picked dim becomes the dims of the indices.
  local sizes = {}
  for d = 0, dim - 1 do sizes[#sizes + 1] = x:size(d) end
  for _, size in ipairs(common.sizes(indices)) do sizes[#sizes + 1] = size end
  for d = dim + 1, x.ndim - 1 do sizes[#sizes + 1] = x:size(d) end
  return picked:reshape(sizes)
end

op.GatherElements = function(node, x, indices)
  local dim = node:axis(node:get("axis", 0), x.ndim)
  return x:gather(dim, common.wrap_indices(indices, x:size(dim)))
end

-- Rows of coordinates (the last dim of `indices`) for the dims first, first + 1, ... of x, as one flat index.
local function flat_index(x, indices, first)
  local depth = indices:size(-1)
  local flat = torch.zeros_like(indices:select(-1, 0))
  for i = 0, depth - 1 do
    local size = x:size(first + i)
    local own = common.wrap_indices(indices:select(-1, i), size)
    if own:numel() > 0 and (own:lt(0):logical_or(own:ge(size))):any():item() then
      error(("index out of range for dim %d of size %d"):format(first + i, size), 0)
    end
    flat = flat * size + own
  end
  return flat
end

-- The product and the list of sizes of the dims from..to-1.
local function extent(x, from, to)
  local sizes, product = {}, 1
  for d = from, to - 1 do
    sizes[#sizes + 1] = x:size(d)
    product = product * x:size(d)
  end
  return product, sizes
end

op.GatherND = function(node, x, indices)
  local batch, depth = node:get("batch_dims", 0), indices:size(-1)
  local flat = flat_index(x, indices:to(torch.int64), batch)
  local batches = extent(x, 0, batch)
  local middle = extent(x, batch, batch + depth)
  local inner, sizes_behind = extent(x, batch + depth, x.ndim)
  local rows = flat:reshape(batches, -1)
  rows = rows + (torch.arange(batches) * middle):unsqueeze(1)
  local picked = x:reshape(batches * middle, inner):index_select(0, rows:flatten())
  local sizes = common.sizes(flat)
  for _, size in ipairs(sizes_behind) do sizes[#sizes + 1] = size end
  return picked:reshape(sizes)
end

op.Compress = function(node, x, condition)
  local axis = node:get "axis"
  if not axis then x = x:flatten() end
  local dim = node:axis(axis or 0, x.ndim)
  local places = condition:nonzero():flatten()
  return x:index_select(dim, places)
end

op.NonZero = value.kinds(function(_, x) return x:nonzero():t() end, false)

op.OneHot = value.raw(function(node, indices, depth, values)
  indices, depth = value.tensor_of(indices), math.tointeger(value.tensor_of(depth):item())
  local rank = indices.ndim + 1
  local dim = node:axis(node:get("axis", -1), rank)
  local wrapped = common.wrap_indices(indices, depth):unsqueeze(dim)
  local hot = wrapped:eq(common.along(torch.arange(depth), dim, rank))
  return value.lift(function(v)
    return torch.where(hot, v:select(0, 1), v:select(0, 0))
  end, values)
end)

-- --- placing ------------------------------------------------------------------------------------------
local reductions = { add = "sum", mul = "prod", max = "amax", min = "amin" }

-- scatter with one of ONNX's reductions, along one dim.
local function scatter(node, x, dim, indices, updates)
  local reduction = node:get("reduction", "none")
  if reduction == "none" then return x:scatter(dim, indices, updates) end
  local reduce = reductions[reduction] or node:fail("unknown reduction '%s'", reduction)
  return x:scatter_reduce(dim, indices, updates, reduce)
end

op.ScatterElements = value.ordered(function(node, x, indices, updates)
  local dim = node:axis(node:get("axis", 0), x.ndim)
  return scatter(node, x, dim, common.wrap_indices(indices, x:size(dim)), updates)
end)
op.Scatter = op.ScatterElements

op.ScatterND = value.ordered(function(node, x, indices, updates)
  local depth = indices:size(-1)
  local flat = flat_index(x, indices:to(torch.int64), 0):flatten()
  local rows, inner = extent(x, 0, depth), extent(x, depth, x.ndim)
  local placed = scatter(node, x:reshape(rows, inner), 0, flat:unsqueeze(1):expand(flat:numel(), inner),
    updates:reshape(flat:numel(), inner))
  return placed:reshape(x.shape)
end)

op.TensorScatter = function(node, cache, update, write_indices)
  local dim = node:axis(node:get("axis", -2), cache.ndim)
  local size = cache:size(dim)
  local first = write_indices or torch.zeros(cache:size(0), { dtype = torch.int64 })
  local places = first:unsqueeze(1) + torch.arange(update:size(dim)):unsqueeze(0) -- [batch, sequence]
  if node:get("mode", "linear") == "circular" then places = places % size end
  local sizes = {}
  for d = 0, cache.ndim - 1 do sizes[d + 1] = (d == 0 or d == dim) and update:size(d) or 1 end
  return cache:scatter(dim, places:reshape(sizes):expand(update.shape), update)
end

-- --- order --------------------------------------------------------------------------------------------
op.TopK = value.ordered(value.kinds(function(node, x, k)
  local count = node.opset < 10 and node:integer "k" or common.ints(k)[1]
  local dim = node:axis(node:get("axis", -1), x.ndim)
  -- A stable sort: of equal elements the first comes first.
  local sorted, order = x:sort { dim = dim, descending = node:flag("largest", 1), stable = true }
  return sorted:narrow(dim, 0, count), order:narrow(dim, 0, count)
end, true, false))

op.Unique = value.ordered(value.kinds(function(node, x)
  local axis = node:get "axis"
  local dim = axis and node:axis(axis, x.ndim)
  if not dim then
    x = x:flatten()
    dim = 0
  end
  local found, inverse, counts = torch.unique(x, { return_inverse = true, return_counts = true, dim = axis and dim or nil })
  -- Where each unique element stands first.
  local places = torch.arange(inverse:numel())
  local first = torch.full({ counts:numel() }, inverse:numel(), { dtype = torch.int64 })
  first = first:scatter_reduce(0, inverse, places, "amin")
  if not node:flag("sorted", 1) then
    local order = first:argsort()
    found, first, counts = found:index_select(dim, order), first:index_select(0, order), counts:index_select(0, order)
    inverse = order:argsort():index_select(0, inverse)
  end
  return found, first, inverse, counts
end, true, false, false, false))

return op
