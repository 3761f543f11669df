-- Reductions over some dims.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

-- An operator from f(x, dims, keepdim); dims become an input at opset `since`. Without dims all are reduced, unless
-- noop_with_empty_axes says that then only `each` (what f does to single elements) is applied.
local function reduction(since, f, each)
  return function(node, x, axes_input)
    local dims = common.axes(node, axes_input, since, x.ndim) or {}
    if #dims == 0 then
      if node:flag "noop_with_empty_axes" then return each and each(x):to(x.dtype) or x end
      for d = 0, x.ndim - 1 do dims[#dims + 1] = d end
    end
    if #dims == 0 then return each and each(x):to(x.dtype) or x end
    return f(x, dims, node:flag("keepdims", 1)):to(x.dtype)
  end
end

local function sum(x, dims, keepdim) return torch.sum(x, dims, keepdim) end
local function square(x) return x * x end

op.ReduceSum = reduction(13, sum)
op.ReduceMean = reduction(18, function(x, dims, keepdim)
  if common.is_integer(x) then return torch.mean(x:to(torch.float64), dims, keepdim) end
  return torch.mean(x, dims, keepdim)
end)
op.ReduceL1 = reduction(18, function(x, dims, keepdim) return sum(x:abs(), dims, keepdim) end, torch.abs)
op.ReduceSumSquare = reduction(18, function(x, dims, keepdim) return sum(square(x), dims, keepdim) end, square)
op.ReduceL2 = reduction(18, function(x, dims, keepdim)
  if common.is_integer(x) then x = x:to(torch.float64) end
  return sum(square(x), dims, keepdim):sqrt()
end, torch.abs)
op.ReduceLogSum = reduction(18, function(x, dims, keepdim) return sum(x, dims, keepdim):log() end, torch.log)
op.ReduceLogSumExp = reduction(18, function(x, dims, keepdim)
  if x:numel() == 0 then return sum(x:exp(), dims, keepdim):log() end
  return torch.logsumexp(x, dims, keepdim)
end)

op.ReduceProd = reduction(18, function(x, dims, keepdim)
  table.sort(dims)
  for i = #dims, 1, -1 do x = torch.prod(x, dims[i], keepdim) end
  return x
end)

-- Largest and smallest; of no elements the number that is neutral.
local lowest = { [torch.int64] = math.mininteger, [torch.int32] = -2147483648, [torch.int16] = -32768, [torch.int8] = -128,
  [torch.uint8] = 0 }
local highest = { [torch.int64] = math.maxinteger, [torch.int32] = 2147483647, [torch.int16] = 32767, [torch.int8] = 127,
  [torch.uint8] = 255 }

local function extreme(f, neutral, integers)
  return value.ordered(reduction(18, function(x, dims, keepdim)
    if x.dtype == torch.bool then return f(x:to(torch.uint8), dims, keepdim) end
    if x:numel() > 0 then return f(x, dims, keepdim) end
    local shape = torch.sum(x, dims, keepdim).shape
    local start = neutral
    for dtype, limit in pairs(integers) do
      if dtype == x.dtype then start = limit end
    end
    return torch.full(shape, start, { dtype = x.dtype })
  end))
end

op.ReduceMax = extreme(torch.amax, -math.huge, lowest)
op.ReduceMin = extreme(torch.amin, math.huge, highest)

-- Positions of extremes: the first, or the last when select_last_index says so.
local function position(f)
  return value.ordered(value.kinds(function(node, x)
    local dim = node:axis(node:get("axis", 0), x.ndim)
    local keepdim = node:flag("keepdims", 1)
    if not node:flag "select_last_index" then return f(x, dim, keepdim) end
    return x:size(dim) - 1 - f(x:flip(dim), dim, keepdim)
  end, false))
end

op.ArgMax = position(torch.argmax)
op.ArgMin = position(torch.argmin)

return op
