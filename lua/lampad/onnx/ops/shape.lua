-- Shapes, slices, joining, padding, and tensors made from nothing but a shape.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local F = torch.nn.functional
local op = {}

-- --- shapes -------------------------------------------------------------------------------------------
op.Identity = value.raw(function(_, x) return x end)

op.Shape = value.kinds(function(node, x)
  local sizes = common.sizes(x)
  local function bound(i) return math.max(0, math.min(i < 0 and i + #sizes or i, #sizes)) end
  local from, to = bound(node:get("start", 0)), bound(node:get("end", #sizes))
  return torch.tensor(table.move(sizes, from + 1, to, 1, {}), { dtype = torch.int64 })
end, false)

op.Size = value.kinds(function(_, x) return torch.tensor(x:numel(), { dtype = torch.int64 }) end, false)

op.Reshape = function(node, x, shape)
  local sizes = node.opset < 5 and { table.unpack(node:integers "shape") } or common.ints(shape)
  if not node:flag "allowzero" then
    for i, size in ipairs(sizes) do
      if size == 0 then
        if i > x.ndim then node:fail("shape[%d] is 0, but the input has only %d dimensions", i - 1, x.ndim) end
        sizes[i] = x:size(i - 1)
      end
    end
  end
  return x:reshape(sizes)
end

op.Flatten = function(node, x)
  local axis = node:axis(node:get("axis", 1), x.ndim + 1)
  if node:get("axis", 1) < 0 then axis = node:axis(node:get "axis", x.ndim) end
  local rows = 1
  for d = 0, axis - 1 do rows = rows * x:size(d) end
  return x:reshape(rows, rows > 0 and x:numel() // rows or 0)
end

op.Squeeze = function(node, x, axes)
  local dims = common.axes(node, axes, 13, x.ndim)
  if not dims then return x:squeeze() end
  for _, d in ipairs(dims) do
    if x:size(d) ~= 1 then node:fail("cannot squeeze dim %d of size %d", d, x:size(d)) end
  end
  return #dims > 0 and x:squeeze(dims) or x
end

op.Unsqueeze = function(node, x, axes)
  local list = node.opset < 13 and node:integers "axes" or common.ints(axes)
  local dims = {}
  for i, axis in ipairs(list) do dims[i] = node:axis(axis, x.ndim + #list) end
  table.sort(dims)
  for _, d in ipairs(dims) do x = x:unsqueeze(d) end
  return x
end

op.Transpose = function(node, x)
  local dims = node:get "perm"
  if not dims then
    dims = {}
    for d = x.ndim - 1, 0, -1 do dims[#dims + 1] = d end
  end
  return x:permute(dims)
end

op.Expand = function(_, x, shape)
  local target, sizes = common.ints(shape), common.sizes(x)
  while #sizes < #target do table.insert(sizes, 1, 1) end
  for i = 1, #sizes do -- a size of 1 in either is stretched
    local wanted = target[#target - #sizes + i]
    if sizes[i] == 1 and wanted then sizes[i] = wanted end
  end
  return x:expand(sizes)
end

op.Tile = function(node, x, repeats, axis)
  if node.opset < 6 then
    local counts = {}
    for d = 0, x.ndim - 1 do counts[d + 1] = d == axis:item() and math.tointeger(repeats:item()) or 1 end
    return x:tile(counts)
  end
  return x:tile(common.ints(repeats))
end

-- --- joining and parting ------------------------------------------------------------------------------
op.Concat = function(node, ...)
  local axis = node:get("axis", node.opset < 4 and 1 or nil)
  local first = ...
  return torch.cat({ ... }, node:axis(axis or node:integer "axis", first.ndim))
end

op.Split = function(node, x, sizes)
  local dim = node:axis(node:get("axis", 0), x.ndim)
  local parts = node.opset < 13 and node:get "split" or (sizes and common.ints(sizes))
  if not parts then
    -- Parts of equal size; a smaller last one takes what is left.
    local count = #node.outputs
    local size = (x:size(dim) + count - 1) // count
    parts = {}
    for i = 1, count do parts[i] = math.max(0, math.min(size, x:size(dim) - (i - 1) * size)) end
  end
  return table.unpack(x:split(parts, dim))
end

-- Start, end and step of a slice, for a dim of this size: first index, count. As in NumPy, but for a start before the first
-- element and a negative step, which ONNX moves to the first element.
local function slice_bounds(from, to, step, size)
  local function bound(i, low, high)
    if i < 0 then i = math.max(i, -size - 1) + size end -- far below the range, adding could not help
    return math.max(low, math.min(i, high))
  end
  if step > 0 then
    from, to = bound(from, 0, size), bound(to, 0, size)
    return from, math.max(0, (to - from + step - 1) // step)
  end
  if size == 0 then return 0, 0 end
  from, to = bound(from, 0, size - 1), bound(to, -1, size - 1)
  return from, math.max(0, (from - to - step - 1) // -step)
end

op.Slice = function(node, x, starts, ends, axes, steps)
  if node.opset < 10 then
    starts, ends, axes = node:integers "starts", node:integers "ends", node:get "axes"
  else
    starts, ends = common.ints(starts), common.ints(ends)
    axes, steps = axes and common.ints(axes), steps and common.ints(steps)
  end
  for i = 1, #starts do
    local dim, step = node:axis(axes and axes[i] or i - 1, x.ndim), steps and steps[i] or 1
    if step == 0 then node:fail "a step of a slice is 0" end
    local from, count = slice_bounds(starts[i], ends[i], step, x:size(dim))
    if step == 1 or count == 0 then
      x = x:narrow(dim, count == 0 and 0 or from, count)
    else
      x = x:index_select(dim, torch.arange(count) * step + from)
    end
  end
  return x
end

op.DepthToSpace = function(node, x)
  local n, c, h, w = x.shape:unpack()
  local b = node:integer "blocksize"
  if node:get("mode", "DCR") == "CRD" then
    return x:reshape(n, c // (b * b), b, b, h, w):permute(0, 1, 4, 2, 5, 3):reshape(n, c // (b * b), h * b, w * b)
  end
  return x:reshape(n, b, b, c // (b * b), h, w):permute(0, 3, 4, 1, 5, 2):reshape(n, c // (b * b), h * b, w * b)
end

op.SpaceToDepth = function(node, x)
  local n, c, h, w = x.shape:unpack()
  local b = node:integer "blocksize"
  local blocks = x:reshape(n, c, h // b, b, w // b, b)
  if node:get("mode", "DCR") == "CRD" then
    return blocks:permute(0, 1, 3, 5, 2, 4):reshape(n, c * b * b, h // b, w // b)
  end
  return blocks:permute(0, 3, 5, 1, 2, 4):reshape(n, c * b * b, h // b, w // b)
end

op.ReverseSequence = function(node, x, lengths)
  local batch, time = node:get("batch_axis", 1), node:get("time_axis", 0)
  local size = x:size(time)
  -- Row b of `order` holds the time of each element of sequence b: reversed up to its length.
  local at, length = torch.arange(size):unsqueeze(0), lengths:unsqueeze(1)
  local order = torch.where(at:lt(length), length - 1 - at, at)
  if time < batch then order = order:t() end
  for _ = 3, x.ndim do order = order:unsqueeze(-1) end
  return x:gather(time, order:expand(x.shape))
end

-- --- padding ------------------------------------------------------------------------------------------
-- The indices in a row of `size` that the places i of a padded row show.
local pad_indices = {
  edge = function(i, size) return i:clamp(0, size - 1) end,
  wrap = function(i, size) return i:remainder(size) end,
  reflect = function(i, size)
    if size == 1 then return torch.zeros_like(i) end
    i = i:remainder(2 * (size - 1))
    return torch.where(i:lt(size), i, 2 * (size - 1) - i)
  end,
}

-- Pads one dim; negative counts cut.
local function pad_dim(node, x, dim, before, after, mode, fill)
  if before < 0 or after < 0 then
    local from = math.max(0, -before)
    x = x:narrow(dim, from, math.max(0, x:size(dim) - from - math.max(0, -after)))
    before, after = math.max(0, before), math.max(0, after)
  end
  if before == 0 and after == 0 then return x end
  local size = x:size(dim)
  if mode == "constant" then
    local parts = {}
    local function add(count)
      local sizes = common.sizes(x)
      sizes[dim + 1] = count
      parts[#parts + 1] = fill:reshape({}):expand(sizes)
    end
    if before > 0 then add(before) end
    parts[#parts + 1] = x
    if after > 0 then add(after) end
    return torch.cat(parts, dim)
  end
  local indices = pad_indices[mode] or node:fail("unknown mode '%s'", mode)
  if size == 0 then node:fail("mode '%s' needs elements in dim %d", mode, dim) end
  return x:index_select(dim, indices(torch.arange(-before, size + after), size))
end

op.Pad = function(node, x, pads, fill, axes)
  local counts
  if node.opset < 11 then
    counts = node:get "pads" or node:integers "paddings"
    fill = torch.tensor(node:get("value", 0.0)):to(x.dtype)
  else
    counts = common.ints(pads)
  end
  fill = fill or torch.zeros({}, { dtype = x.dtype })
  local dims = axes and common.ints(axes)
  local count = #counts // 2
  for i = 1, count do
    local dim = node:axis(dims and dims[i] or i - 1, x.ndim)
    x = pad_dim(node, x, dim, counts[i], counts[count + i], node:get("mode", "constant"), fill)
  end
  return x
end

op.CenterCropPad = function(node, x, shape)
  local axes, target = node:get "axes", common.ints(shape)
  for i, size in ipairs(target) do
    local dim = node:axis(axes and axes[i] or i - 1, x.ndim)
    local missing = size - x:size(dim)
    -- Cutting begins half a pixel left of the middle; padding adds the odd one on the right.
    local before = missing < 0 and -(-missing // 2) or missing // 2
    x = pad_dim(node, x, dim, before, missing - before, "constant", torch.zeros({}, { dtype = x.dtype }))
  end
  return x
end

-- --- triangles ----------------------------------------------------------------------------------------
op.Trilu = function(node, x, k)
  local diagonal = k and k:item() or 0
  if node:flag("upper", 1) then return x:triu(diagonal) end
  return x:tril(diagonal)
end

-- --- tensors from a shape -----------------------------------------------------------------------------
op.Constant = value.raw(function(node)
  local a = node.attributes
  local function of(list, dtype) return torch.tensor(list, { dtype = dtype }) end
  if a.value ~= nil then return a.value end
  if a.sparse_value ~= nil then return a.sparse_value end
  if a.value_float then return of(a.value_float, torch.float32) end
  if a.value_floats then return of(a.value_floats, torch.float32) end
  if a.value_int then return of(a.value_int, torch.int64) end
  if a.value_ints then return of(a.value_ints, torch.int64) end
  if a.value_string then return value.strings({ a.value_string }, {}) end
  if a.value_strings then return value.strings(a.value_strings, { #a.value_strings }) end
  return node:need "value"
end)

op.ConstantOfShape = value.raw(function(node, shape)
  local one = node:get "value" or torch.zeros(1)
  return value.lift(function(t) return t:reshape({}):expand(common.ints(shape)):clone() end, one)
end)

op.EyeLike = value.raw(function(node, x)
  local kind = node:element_type(node:get("dtype", value.type_of(x).code))
  local like = value.tensor_of(x)
  local ones = torch.ones(like:size(0), like:size(1), { dtype = kind.dtype })
  local k = node:get("k", 0)
  return value.typed(kind, ones:tril(k):triu(k))
end)

op.Range = function(_, start, limit, delta)
  local from, to, step = start:item(), limit:item(), delta:item()
  local count = math.max(0, math.ceil((to - from) / step))
  -- Every element is computed from the first, without adding up.
  if common.is_integer(start) then return torch.arange(count, { dtype = torch.int64 }):mul(step):add(from):to(start.dtype) end
  local places = torch.arange(count, { dtype = torch.float64 })
  return (places * step + from):to(start.dtype)
end

op.Col2Im = function(node, x, image_shape, block_shape)
  local image, block = common.ints(image_shape), common.ints(block_shape)
  local dims = #image
  local function per_dim(name, default)
    local list = node:get(name)
    if list then return list end
    list = {}
    for i = 1, dims do list[i] = default end
    return list
  end
  local strides, dilations, pads = per_dim("strides", 1), per_dim("dilations", 1), node:get "pads"
  local n, elements = x:size(0), 1
  for _, size in ipairs(block) do elements = elements * size end
  local channels = x:size(1) // elements

  -- Every dim's position in the padded image, for each place in the block and each block; then all dims as one index.
  local index, total = torch.zeros(1, 1, { dtype = torch.int64 }), 1
  local padded = {}
  for d = 1, dims do
    local before, after = pads and pads[d] or 0, pads and pads[dims + d] or 0
    padded[d] = { size = image[d] + before + after, before = before }
    local count = (padded[d].size - dilations[d] * (block[d] - 1) - 1) // strides[d] + 1
    local own = (torch.arange(block[d]) * dilations[d]):unsqueeze(1) + (torch.arange(count) * strides[d]):unsqueeze(0)
    index = (index:unsqueeze(1):unsqueeze(-1) * padded[d].size + own:unsqueeze(0):unsqueeze(2))
    index = index:reshape(index:size(0) * index:size(1), -1)
    total = total * padded[d].size
  end
  local flat = x:reshape(n, channels, -1)
  local sum = torch.zeros(n, channels, total, { dtype = x.dtype }):index_add(2, index:flatten(), flat)
  local sizes = { n, channels }
  for d = 1, dims do sizes[d + 2] = padded[d].size end
  local result = sum:reshape(sizes)
  for d = 1, dims do result = result:narrow(d + 1, padded[d].before, image[d]) end
  return result
end

op.AffineGrid = function(node, theta, size)
  return F.affine_grid(theta, common.ints(size), { align_corners = node:flag "align_corners" })
end

return op
