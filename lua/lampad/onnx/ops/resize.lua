-- Resize and its forerunner Upsample. Interpolation is separable: along each dim that changes, every result is a weighted
-- sum of a few inputs.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

-- Where output i lies in the input: r = { scale, size (input), out (whole output), exact (output as a fraction), from, to }.
local transforms = {
  half_pixel = function(i, r) return (i + 0.5) / r.scale - 0.5 end,
  half_pixel_symmetric = function(i, r)
    return r.size / 2 * (1 - r.out / r.exact) + (i + 0.5) / r.scale - 0.5
  end,
  pytorch_half_pixel = function(i, r) return r.out > 1 and (i + 0.5) / r.scale - 0.5 or 0.0 end,
  tf_half_pixel_for_nn = function(i, r) return (i + 0.5) / r.scale end,
  align_corners = function(i, r) return r.out > 1 and i * (r.size - 1) / (r.out - 1) or 0.0 end,
  asymmetric = function(i, r) return i / r.scale end,
  tf_crop_and_resize = function(i, r)
    if r.out > 1 then return r.from * (r.size - 1) + i * (r.to - r.from) * (r.size - 1) / (r.out - 1) end
    return 0.5 * (r.from + r.to) * (r.size - 1)
  end,
}

local roundings = {
  round_prefer_floor = function(x) return math.ceil(x - 0.5) end,
  round_prefer_ceil = function(x) return math.floor(x + 0.5) end,
  floor = math.floor, ceil = math.ceil,
}

-- Weight of an input at a distance, and how far it reaches.
local kernels = {
  linear = { reach = 1, weight = function(d) return math.max(0, 1 - math.abs(d)) end },
  cubic = { reach = 2, weight = function(d, a)
    d = math.abs(d)
    if d <= 1 then return (a + 2) * d ^ 3 - (a + 3) * d ^ 2 + 1 end
    if d < 2 then return a * d ^ 3 - 5 * a * d ^ 2 + 8 * a * d - 4 * a end
    return 0.0
  end },
}

kernels.bilinear = kernels.linear -- the name in opset 1

-- The inputs that a coordinate is made of, and their weights.
local function taps_of(node, kernel, x, r)
  local stretch = node:flag "antialias" and math.max(1, 1 / r.scale) or 1
  local a = node:get("cubic_coeff_a", -0.75)
  local reach = kernel.reach * stretch
  local indices, weights, sum = {}, {}, 0.0
  for i = math.ceil(x - reach), math.floor(x + reach) do
    local weight = kernel.weight((i - x) / stretch, a)
    local inside = i >= 0 and i < r.size
    if inside or not node:flag "exclude_outside" then
      indices[#indices + 1], weights[#weights + 1] = math.max(0, math.min(i, r.size - 1)), weight
      sum = sum + weight
    end
  end
  for k, weight in ipairs(weights) do weights[k] = weight / sum end
  return indices, weights
end

-- x along dim as weighted sums: the k-th input and weight of every result at a time.
local function combine(x, dim, indices, weights)
  local most = 0
  for _, list in ipairs(indices) do most = math.max(most, #list) end
  local working = x.dtype == torch.float64 and torch.float64 or torch.float32
  local wide, result = x:to(working), nil
  for k = 1, most do
    local at, weight = {}, {}
    for i = 1, #indices do at[i], weight[i] = indices[i][k] or 0, weights[i][k] or 0.0 end
    local part = wide:index_select(dim, torch.tensor(at))
      * common.along(torch.tensor(weight, { dtype = working }), dim, x.ndim)
    result = result and result + part or part
  end
  return common.is_integer(x) and torch.round(result):to(x.dtype) or result:to(x.dtype)
end

-- x resized along dim.
local function resize_dim(node, x, dim, r, mode)
  local transform = transforms[node:get("coordinate_transformation_mode", node.opset < 11 and "asymmetric" or "half_pixel")]
    or node:fail("unknown coordinate_transformation_mode '%s'", node:get "coordinate_transformation_mode")
  local outside, any_outside = {}, false
  local places = {}
  for i = 0, common.check_count(node, r.out) - 1 do
    places[i + 1] = transform(i, r)
    outside[i + 1] = r.from ~= nil and (places[i + 1] < 0 or places[i + 1] > r.size - 1)
    any_outside = any_outside or outside[i + 1]
  end
  local result
  if mode == "nearest" then
    local nearest = node:get("nearest_mode", node.opset < 11 and "floor" or "round_prefer_floor")
    local round = roundings[nearest] or node:fail("unknown nearest_mode '%s'", nearest)
    for i, place in ipairs(places) do places[i] = math.tointeger(math.max(0, math.min(round(place), r.size - 1))) end
    result = x:index_select(dim, torch.tensor(places, { dtype = torch.int64 }))
  else
    local kernel = kernels[mode] or node:fail("unknown mode '%s'", tostring(mode))
    local indices, weights = {}, {}
    for i, place in ipairs(places) do indices[i], weights[i] = taps_of(node, kernel, place, r) end
    result = r.out > 0 and combine(x, dim, indices, weights) or x:narrow(dim, 0, 0)
  end
  if any_outside then
    result = result:masked_fill(common.along(torch.tensor(outside), dim, x.ndim), node:get("extrapolation_value", 0.0))
  end
  return result
end

-- Output sizes asked for, with the aspect ratio kept when the node says so.
local function adjust_sizes(node, x, dims, sizes)
  local policy = node:get("keep_aspect_ratio_policy", "stretch")
  if policy == "stretch" then return sizes, {} end
  local scale
  for i, dim in ipairs(dims) do
    local own = sizes[i] / x:size(dim)
    if not scale then scale = own elseif policy == "not_larger" then scale = math.min(scale, own) else scale = math.max(scale, own) end
  end
  local adjusted, scales = {}, {}
  for i, dim in ipairs(dims) do
    adjusted[i], scales[i] = math.floor(scale * x:size(dim) + 0.5), scale
  end
  return adjusted, scales
end

op.Resize = function(node, x, roi, scales, sizes)
  if node.opset < 11 then roi, scales, sizes = nil, roi, nil end
  local axes, dims = node:get "axes", {}
  for i = 1, axes and #axes or x.ndim do dims[i] = axes and node:axis(axes[i], x.ndim) or i - 1 end
  local given_scales = scales and scales:numel() > 0 and scales:tolist()
  local given_sizes, kept_scales
  if not given_scales then
    if not sizes then node:fail "either scales or sizes must be given" end
    given_sizes, kept_scales = adjust_sizes(node, x, dims, common.ints(sizes))
  end
  local crop = node:get "coordinate_transformation_mode" == "tf_crop_and_resize"
  local corners = crop and roi and roi:tolist()
  for i, dim in ipairs(dims) do
    local r = { size = x:size(dim) }
    if corners then r.from, r.to = corners[i], corners[#dims + i] end
    if given_scales then
      r.scale = given_scales[i]
      r.exact = r.size * r.scale * (corners and r.to - r.from or 1)
      r.out = math.floor(r.exact)
    else
      r.out = given_sizes[i]
      r.scale = kept_scales[i] or r.out / r.size
      r.exact = kept_scales[i] and r.size * r.scale or r.out
    end
    if r.scale ~= 1 or r.out ~= r.size or corners then x = resize_dim(node, x, dim, r, node:get("mode", "nearest")) end
  end
  return x
end

op.Upsample = function(node, x, scales)
  if node.opset < 9 then
    scales = torch.tensor(node:get "scales" or { 1.0, 1.0, node:get("height_scale", 1.0), node:get("width_scale", 1.0) })
  end
  return op.Resize(node, x, scales)
end

return op
