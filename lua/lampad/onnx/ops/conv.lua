-- Convolutions.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local common = require "lampad.onnx.ops.common"
local window = require "lampad.onnx.ops.window"

local torch = core.torch
local F = torch.nn.functional
local op = {}

-- The sizes of the kernel: weights are [out, in / groups, K1, K2, ...].
local function kernel_of(weight)
  local kernel = {}
  for d = 2, weight.ndim - 1 do kernel[d - 1] = weight:size(d) end
  return kernel
end

op.Conv = function(node, x, weight, bias)
  return window.convolve(node, x, weight, bias, window.of(node, x, kernel_of(weight)), node:get("group", 1))
end

local transposed = { torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d }

op.ConvTranspose = function(node, x, weight, bias)
  local kernel = kernel_of(weight)
  local dims = #kernel
  local run = transposed[dims] or node:fail("%d spatial dimensions; 1 to 3 are possible", dims)
  local w = window.of(node, x, kernel)
  local extra, wanted, auto = node:get "output_padding", node:get "output_shape", node:get("auto_pad", "NOTSET")
  -- The whole result without paddings; then they are cut off (or, where negative, put on).
  local result = run(x, weight, { stride = w.stride, dilation = w.dilation, groups = node:get("group", 1) })
  local amounts = {}
  for i = dims, 1, -1 do
    local pads = node:get "pads"
    local before, after = pads and pads[i] or 0, pads and pads[dims + i] or 0
    local full, added = (x:size(i + 1) - 1) * w.stride[i] + w.reach[i], extra and extra[i] or 0
    local target = wanted and wanted[#wanted - dims + i]
    if not target and (auto == "SAME_UPPER" or auto == "SAME_LOWER") then target = x:size(i + 1) * w.stride[i] end
    if target then
      local total = full + added - target
      before = auto == "SAME_UPPER" and total // 2 or total - total // 2
      after = total - before
    end
    amounts[#amounts + 1], amounts[#amounts + 2] = -before, added - after
  end
  result = F.pad(result, amounts)
  return bias and result + common.along(bias, 1, result.ndim) or result
end

-- --- integers -----------------------------------------------------------------------------------------
-- x minus its zero point as float64, in which sums of products of 8-bit integers are exact.
local function centred(x, zero, dim)
  local wide = x:to(torch.float64)
  if not zero then return wide end
  zero = zero:to(torch.float64)
  return wide - (zero:numel() > 1 and common.along(zero, dim, x.ndim) or zero:reshape({}))
end

local function convolve_integers(node, x, x_zero, weight, weight_zero)
  local w = window.of(node, x, kernel_of(weight))
  return window.convolve(node, centred(x, x_zero, 1), centred(weight, weight_zero, 0), nil, w, node:get("group", 1))
end

op.ConvInteger = function(node, x, weight, x_zero, weight_zero)
  return convolve_integers(node, x, x_zero, weight, weight_zero):to(torch.int32)
end

op.QLinearConv = function(node, x, x_scale, x_zero, weight, weight_scale, weight_zero, y_scale, y_zero, bias)
  local sum = convolve_integers(node, x, x_zero, weight, weight_zero)
  if bias then sum = sum + common.along(bias, 1, sum.ndim) end
  local scale = x_scale:to(torch.float64) * weight_scale:to(torch.float64) / y_scale:to(torch.float64)
  if scale:numel() > 1 then scale = common.along(scale, 1, sum.ndim) else scale = scale:reshape({}) end
  local low, high = table.unpack(require("lampad.onnx.types").range[value.type_of(y_zero).name])
  return (torch.round(sum * scale) + y_zero:to(torch.float64):reshape({})):clamp(low, high):to(y_zero.dtype)
end

-- --- deformable convolution ---------------------------------------------------------------------------
op.DeformConv = function(node, x, weight, offset, bias, mask)
  local kernel = kernel_of(weight)
  local dims, w = #kernel, window.of(node, x, kernel)
  local batch, channels = x:size(0), x:size(1)
  local groups, offset_groups = node:get("group", 1), node:get("offset_group", 1)
  local points, places = 1, 1 -- in a window; of the window
  for i = 1, dims do points, places = points * kernel[i], places * w.out[i] end

  -- The channels of an offset group move together: they are images of their own.
  local images = x:reshape { batch * offset_groups, channels // offset_groups, table.unpack(common.sizes(x), 3) }
  offset = offset:reshape(batch * offset_groups, points, dims, places)
  mask = mask and mask:reshape(batch * offset_groups, points, places)

  local columns = {}
  for point = 0, points - 1 do
    local coordinates, rest = {}, point
    for d = dims, 1, -1 do
      local own = rest % kernel[d]
      rest = rest // kernel[d]
      local sizes = {}
      for i = 1, dims do sizes[i] = i == d and w.out[d] or 1 end
      local base = (torch.arange(w.out[d], { dtype = x.dtype }) * w.stride[d] + (own * w.dilation[d] - w.before[d]))
        :reshape(sizes):expand(w.out):reshape(1, places)
      coordinates[d] = base + offset:select(1, point):select(1, d - 1)
    end
    local sampled = window.sample(images, coordinates) -- [batch * offset groups, channels / offset groups, places]
    if mask then sampled = sampled * mask:select(1, point):unsqueeze(1) end
    columns[point + 1] = sampled
  end
  local column = torch.stack(columns, 2):reshape(batch, groups, channels // groups * points, places)
  local kernels = weight:reshape(groups, weight:size(0) // groups, -1)
  local result = torch.matmul(kernels, column):reshape { batch, weight:size(0), table.unpack(w.out) }
  return bias and result + common.along(bias, 1, result.ndim) or result
end

-- --- a causal convolution that keeps its last inputs --------------------------------------------------
op.CausalConvWithState = function(node, x, weight, bias, past)
  local channels, width = x:size(1), weight:size(-1)
  past = past or torch.zeros(x:size(0), channels, width - 1, { dtype = x.dtype })
  local all = torch.cat({ past, x }, 2)
  local y = torch.conv1d(all, weight, bias, { groups = channels })
  local activation = node:get("activation", "none")
  if activation == "silu" or activation == "swish" then y = F.silu(y) end
  return y, all:narrow(2, all:size(2) - (width - 1), width - 1)
end

return op
