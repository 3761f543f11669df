-- Normalisations.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

local function along_channels(t, x) return common.along(t, 1, x.ndim) end

-- All dims but the channels.
local function other_dims(x)
  local dims = { 0 }
  for d = 2, x.ndim - 1 do dims[#dims + 1] = d end
  return dims
end

op.BatchNormalization = function(node, x, scale, bias, mean, var)
  local training = node:flag "training_mode" or (node.opset < 14 and #node.outputs > 1)
  local momentum = node:get("momentum", 0.9)
  local kept_mean, kept_var
  if training then
    local batch_mean, batch_var = x:mean(other_dims(x)), x:var(other_dims(x), { correction = 0 })
    kept_mean = mean * momentum + batch_mean:to(mean.dtype) * (1 - momentum)
    kept_var = var * momentum + batch_var:to(var.dtype) * (1 - momentum)
    mean, var = batch_mean, batch_var
  end
  local function shaped(t) return along_channels(t, x) end
  local y = (x - shaped(mean)) / torch.sqrt(shaped(var) + node:get("epsilon", 1e-5)) * shaped(scale) + shaped(bias)
  return y:to(x.dtype), kept_mean, kept_var
end

-- x minus its mean, over the root of its variance, over `dims`; also the mean and the inverse of the root.
local function standardise(x, dims, epsilon)
  local mean = x:mean(dims, true)
  local centred = x - mean
  local inverse = torch.rsqrt((centred * centred):mean(dims, true) + epsilon)
  return centred * inverse, mean, inverse
end

op.InstanceNormalization = function(node, x, scale, bias)
  local dims = {}
  for d = 2, x.ndim - 1 do dims[#dims + 1] = d end
  local y = standardise(x, dims, node:get("epsilon", 1e-5))
  return y * along_channels(scale, x) + along_channels(bias, x)
end

-- The dims from `axis` on.
local function trailing_dims(node, x)
  local dims = {}
  for d = node:axis(node:get("axis", -1), x.ndim), x.ndim - 1 do dims[#dims + 1] = d end
  return dims
end

-- stash_type 1 (the default) computes in float32, whatever the input is.
local function stashed(node, x)
  if node:get("stash_type", 1) == 1 and x.dtype ~= torch.float64 then return x:to(torch.float32) end
  return x
end

op.LayerNormalization = function(node, x, scale, bias)
  local y, mean, inverse = standardise(stashed(node, x), trailing_dims(node, x), node:get("epsilon", 1e-5))
  y = y:to(x.dtype) * scale
  return bias and y + bias or y, mean, inverse
end

op.RMSNormalization = function(node, x, scale)
  local wide = stashed(node, x)
  local inverse = torch.rsqrt((wide * wide):mean(trailing_dims(node, x), true) + node:get("epsilon", 1e-5))
  return (wide * inverse):to(x.dtype) * scale
end

op.GroupNormalization = function(node, x, scale, bias)
  local groups = node:integer "num_groups"
  local grouped = stashed(node, x):reshape(x:size(0), groups, -1)
  local y = standardise(grouped, { 2 }, node:get("epsilon", 1e-5)):to(x.dtype)
  if node.opset < 21 then -- one scale a group
    return (y * scale:reshape(1, groups, 1) + bias:reshape(1, groups, 1)):reshape(x.shape)
  end
  return y:reshape(x.shape) * along_channels(scale, x) + along_channels(bias, x)
end

op.MeanVarianceNormalization = function(node, x)
  local dims = node:get("axes", { 0, 2, 3 })
  local centred = x - x:mean(dims, true)
  return centred / ((centred * centred):mean(dims, true):sqrt() + 1e-9)
end

op.LpNormalization = function(node, x)
  local dim, p = node:axis(node:get("axis", -1), x.ndim), node:get("p", 2)
  local size = p == 1 and x:abs():sum(dim, true) or (x * x):sum(dim, true):sqrt()
  return torch.where(size:eq(0), torch.zeros_like(x), x / size)
end

op.LRN = function(node, x)
  local size, channels = node:integer "size", x:size(1)
  local before = (size - 1) // 2
  local squares, sum = x * x, torch.zeros_like(x)
  for shift = math.max(-before, 1 - channels), math.min(size - 1 - before, channels - 1) do
    -- Adds channel c + shift to channel c, where there is one.
    local from, to = math.max(0, shift), math.min(channels, channels + shift)
    if to > from then sum:narrow(1, from - shift, to - from):add_(squares:narrow(1, from, to - from)) end
  end
  return x / (node:get("bias", 1.0) + sum * (node:get("alpha", 1e-4) / size)) ^ node:get("beta", 0.75)
end

return op
