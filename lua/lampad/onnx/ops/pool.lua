-- Poolings.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"
local window = require "lampad.onnx.ops.window"

local torch = core.torch
local F = torch.nn.functional
local op = {}

-- The spatial dims of x.
local function spatial_dims(x)
  local dims = {}
  for d = 2, x.ndim - 1 do dims[#dims + 1] = d end
  return dims
end

op.GlobalAveragePool = function(_, x) return x:mean(spatial_dims(x), true) end
op.GlobalMaxPool = function(_, x) return x:amax(spatial_dims(x), true) end
op.GlobalLpPool = function(node, x)
  local p = node:get("p", 2)
  return (x:abs() ^ p):sum(spatial_dims(x), true) ^ (1 / p)
end

-- Sums over windows of x, with zeros in the paddings.
local function padded_sum(node, x, w)
  return window.sum(node, window.pad(x, w, 0, window.overhang(x, w)), w)
end

op.AveragePool = function(node, x)
  local w = window.of(node, x, node:integers "kernel_shape")
  local ones = torch.ones({ 1, 1, table.unpack(common.sizes(x), 3) }, { dtype = x.dtype })
  if node:flag "count_include_pad" then
    -- The paddings count, but what a last window has beyond them does not.
    local bare = { before = w.before, after = w.after }
    local overhang = window.overhang(x, w)
    ones = torch.ones_like(window.pad(ones, bare, 0))
    local none = {}
    for i = 1, #overhang do none[i] = 0 end
    ones = window.pad(ones, { before = none, after = overhang }, 0)
    return padded_sum(node, x, w) / window.sum(node, ones, w)
  end
  return padded_sum(node, x, w) / padded_sum(node, ones, w)
end

op.LpPool = function(node, x)
  local p = node:get("p", 2)
  return padded_sum(node, x:abs() ^ p, window.of(node, x, node:integers "kernel_shape")) ^ (1 / p)
end

-- --- largest elements ---------------------------------------------------------------------------------
local max_pools = { F.max_pool1d, F.max_pool2d, F.max_pool3d }

local smallest = { ["torch.int64"] = math.mininteger, ["torch.int32"] = -2147483648, ["torch.int16"] = -32768,
  ["torch.int8"] = -128, ["torch.uint8"] = 0 }

-- Positions in the padded images as positions in the whole unpadded tensor; `storage_order` 1 counts the first spatial
-- dim fastest.
local function unpad_indices(node, indices, x, w, extra)
  local dims = #w.before
  local coordinates, rest = {}, indices
  for d = dims, 1, -1 do
    local size = x:size(d + 1) + w.before[d] + w.after[d] + extra[d]
    coordinates[d] = rest:remainder(size) - w.before[d]
    rest = torch.div(rest, size, { rounding_mode = "floor" })
  end
  local order = {}
  for d = 1, dims do order[d] = node:flag "storage_order" and dims + 1 - d or d end
  local flat, plane = torch.zeros_like(indices), 1
  for _, d in ipairs(order) do
    flat = flat * x:size(d + 1) + coordinates[d]
    plane = plane * x:size(d + 1)
  end
  local images = torch.arange(x:size(0) * x:size(1)) * plane
  local sizes = { x:size(0), x:size(1) }
  for _ = 1, dims do sizes[#sizes + 1] = 1 end
  return flat + images:reshape(sizes)
end

op.MaxPool = function(node, x)
  local w = window.of(node, x, node:integers "kernel_shape")
  local pool = max_pools[#w.kernel] or node:fail("%d spatial dimensions; 1 to 3 are possible", #w.kernel)
  local extra = window.overhang(x, w)
  local padded = window.pad(x, w, smallest[tostring(x.dtype)] or -math.huge, extra)
  local wants_indices = node.outputs[2] ~= nil and node.outputs[2] ~= ""
  local largest, indices = pool(padded, w.kernel, w.stride, 0, w.dilation, { return_indices = wants_indices })
  -- The padded end may leave room for more windows than there are.
  for d, count in ipairs(w.out) do
    largest = largest:narrow(d + 1, 0, count)
    indices = indices and indices:narrow(d + 1, 0, count)
  end
  return largest, indices and unpad_indices(node, indices, x, w, extra)
end

local max_unpools = { "max_unpool1d", "max_unpool2d", "max_unpool3d" }

op.MaxUnpool = function(node, x, indices, output_shape)
  local kernel = node:integers "kernel_shape"
  local dims = #kernel
  local strides, pads = node:get "strides", node:get "pads"
  local default, plane, sizes = {}, 1, output_shape and table.move(common.ints(output_shape), 3, 2 + dims, 1, {})
  for i = 1, dims do
    default[i] = (x:size(i + 1) - 1) * (strides and strides[i] or 1) + kernel[i] - (pads and pads[i] + pads[dims + i] or 0)
    plane = plane * default[i]
  end
  -- Indices count through the whole tensor of the default size; torch wants them within an image.
  local within = indices:remainder(plane)
  if sizes then
    -- In a larger result the same coordinates have other positions.
    local rest, flat, factor = within, torch.zeros_like(within), 1
    for d = dims, 1, -1 do
      flat = flat + rest:remainder(default[d]) * factor
      rest = torch.div(rest, default[d], { rounding_mode = "floor" })
      factor = factor * sizes[d]
    end
    within = flat
  end
  return F[max_unpools[dims]](x, within, kernel, strides or 1, pads and table.move(pads, 1, dims, 1, {}) or 0, sizes or default)
end

return op
