-- Small things that several families of operators need.
local core = require "lampad.core"

local torch = core.torch
local common = {}

--- The integers of a tensor as a flat list.
function common.ints(t)
  if t.ndim == 0 then return { t:item() } end
  local list = t:flatten():tolist()
  for i, v in ipairs(list) do list[i] = math.tointeger(v) or v end
  return list
end

--- The sizes of a tensor as a list.
function common.sizes(t) return { t.shape:unpack() } end

-- More elements than this are not made one by one in Lua.
local MOST_ELEMENTS = 1 << 26

--- Raises when a corrupt or absurd model asks for more elements than can be made one by one; gives the count.
function common.check_count(node, count)
  if count ~= count or count > MOST_ELEMENTS then node:fail("a result of %g elements is too large", count) end
  return count
end

--- True for the dtypes of whole numbers (bool is none).
function common.is_integer(t)
  local d = t.dtype
  return d == torch.int64 or d == torch.int32 or d == torch.int16 or d == torch.int8 or d == torch.uint8
end

--- Old operators (before opset 7) broadcast only when told to, and then align b's dims with a's from `axis` on.
function common.align(node, a, b)
  if node.opset >= 7 or not node:flag "broadcast" then return b end
  local axis = node:get("axis", a.ndim - b.ndim)
  if axis < 0 then axis = axis + a.ndim end
  local sizes = common.sizes(b)
  for _ = 1, a.ndim - axis - b.ndim do sizes[#sizes + 1] = 1 end
  return b:reshape(sizes)
end

--- A function of two tensors that was broadcast the old way once.
function common.binary(f)
  return function(node, a, b) return f(a, common.align(node, a, b)) end
end

--- Dims given by an attribute until opset `since`, by an input from there on; nil when there are none. Counted from 0.
function common.axes(node, input, since, ndim)
  local list
  if node.opset >= since then list = input and common.ints(input) else list = node:get "axes" end
  if not list then return nil end
  local result = {}
  for i, axis in ipairs(list) do result[i] = node:axis(axis, ndim) end
  return result
end

--- A column of numbers that stands at dim `dim` of a tensor with `ndim` dims.
function common.along(t, dim, ndim)
  local sizes = {}
  for d = 1, ndim do sizes[d] = d - 1 == dim and t:numel() or 1 end
  return t:reshape(sizes)
end

--- Indices with the negative ones counted from the end.
function common.wrap_indices(indices, size)
  indices = indices:to(torch.int64)
  return torch.where(indices:lt(0), indices + size, indices)
end

return common
