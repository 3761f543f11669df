-- Windows that move over the spatial dims of a tensor [N, C, D1, D2, ...]: what convolutions and poolings share.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local F = torch.nn.functional
local window = {}

local function list_of(node, name, count, default)
  local list = node:get(name)
  if not list or #list == 0 then
    list = {}
    for i = 1, count do list[i] = default end
  end
  if #list ~= count then node:fail("attribute '%s' must have %d entries, got %d", name, count, #list) end
  return list
end

--- Strides, dilations and paddings of a node whose windows have the sizes `kernel`, for x: a table with lists
--- kernel, stride, dilation, before, after, reach (a window's extent) and out (the number of places).
--- Note [Last window]: with ceil_mode a last window may stand over the end, unless it begins in the padding there.
function window.of(node, x, kernel)
  local dims = x.ndim - 2
  if dims < 1 or #kernel ~= dims then
    node:fail("a tensor of %d dimensions does not fit a kernel of %d", x.ndim, #kernel)
  end
  local w = {
    kernel = kernel, stride = list_of(node, "strides", dims, 1), dilation = list_of(node, "dilations", dims, 1),
    before = {}, after = {}, reach = {}, out = {},
  }
  local pads, auto = list_of(node, "pads", 2 * dims, 0), node:get("auto_pad", "NOTSET")
  for i = 1, dims do
    local size, stride = x:size(i + 1), w.stride[i]
    if stride < 1 or w.dilation[i] < 1 or kernel[i] < 1 then
      node:fail "strides, dilations and kernel sizes must be at least 1"
    end
    local reach = (kernel[i] - 1) * w.dilation[i] + 1
    local before, after = pads[i], pads[dims + i]
    if auto == "SAME_UPPER" or auto == "SAME_LOWER" then
      local total = math.max(0, ((size + stride - 1) // stride - 1) * stride + reach - size)
      before = auto == "SAME_UPPER" and total // 2 or total - total // 2
      after = total - before
    elseif auto == "VALID" then
      before, after = 0, 0
    end
    local room = size + before + after - reach
    local out = room // stride + 1
    if node:flag "ceil_mode" then
      out = (room + stride - 1) // stride + 1
      if (out - 1) * stride >= size + before then out = out - 1 end
    end
    w.before[i], w.after[i], w.reach[i], w.out[i] = before, after, reach, out
  end
  return w
end

--- x with `fill` in the paddings; `extra` (a list) lengthens the ends further.
function window.pad(x, w, fill, extra)
  local amounts, any = {}, false
  for i = #w.before, 1, -1 do
    local after = w.after[i] + (extra and extra[i] or 0)
    amounts[#amounts + 1], amounts[#amounts + 2] = w.before[i], after
    any = any or w.before[i] ~= 0 or after ~= 0
  end
  if not any then return x end
  return F.pad(x, amounts, "constant", fill)
end

--- By how much the last windows stand over the padded end.
function window.overhang(x, w)
  local extra = {}
  for i = 1, #w.out do
    local needed = (w.out[i] - 1) * w.stride[i] + w.reach[i]
    extra[i] = math.max(0, needed - (x:size(i + 1) + w.before[i] + w.after[i]))
  end
  return extra
end

local convolutions = { torch.conv1d, torch.conv2d, torch.conv3d }

--- A convolution over any number of spatial dims that torch has.
function window.convolve(node, x, weight, bias, w, groups)
  local convolve = convolutions[#w.kernel] or node:fail("%d spatial dimensions; 1 to 3 are possible", #w.kernel)
  local padding, symmetric = {}, true
  for i = 1, #w.before do
    padding[i] = w.before[i]
    symmetric = symmetric and w.before[i] == w.after[i] and w.before[i] >= 0
  end
  if not symmetric then
    x = window.pad(x, w, 0)
    for i = 1, #padding do padding[i] = 0 end
  end
  return convolve(x, weight, bias, w.stride, padding, w.dilation, groups)
end

--- Sums over the windows of x, which is padded already.
function window.sum(node, x, w)
  local sizes = common.sizes(x)
  local planes = { sizes[1] * sizes[2], 1, table.unpack(sizes, 3) }
  local ones = torch.ones({ 1, 1, table.unpack(w.kernel) }, { dtype = x.dtype })
  local none = {}
  for i = 1, #w.kernel do none[i] = 0 end
  local bare = { kernel = w.kernel, stride = w.stride, dilation = w.dilation, before = none, after = none }
  local result = window.convolve(node, x:reshape(planes), ones, nil, bare, 1)
  local out = common.sizes(result)
  return result:reshape { sizes[1], sizes[2], table.unpack(out, 3) }
end

--- Values at fractional coordinates by N-linear interpolation, 0 outside. x is [B, C, D1, ...], `places` a list of
--- coordinate tensors [B, L] for D1, ...; the result is [B, C, L]. `join` (addition by default) joins the weighted corners.
function window.sample(x, places, join)
  local dims = #places
  local flat = x:flatten(2)
  local result
  for corner = 0, (1 << dims) - 1 do
    local index, weight
    for d = 1, dims do
      local size = x:size(d + 1)
      local low = places[d]:floor()
      local at = low + (corner >> d - 1 & 1)
      local share = 1 - (places[d] - at):abs()
      local inside = at:ge(0):logical_and(at:lt(size))
      share = torch.where(inside, share, torch.zeros_like(share))
      local own = at:clamp(0, math.max(size - 1, 0)):to(torch.int64)
      index = index and index * size + own or own
      weight = weight and weight * share or share
    end
    local picked = flat:gather(2, index:unsqueeze(1):expand(index:size(0), flat:size(1), index:size(1)))
    local part = picked * weight:unsqueeze(1)
    result = result and (join or torch.add)(result, part) or part
  end
  return result
end

return window
