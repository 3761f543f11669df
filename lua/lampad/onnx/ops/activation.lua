-- Activation functions.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local F = torch.nn.functional
local op = {}

op.Relu = function(_, x) return torch.relu(x) end
op.Sigmoid = function(_, x) return torch.sigmoid(x) end
op.Tanh = function(_, x) return torch.tanh(x) end
op.Softplus = function(_, x) return F.softplus(x) end
op.Softsign = function(_, x) return F.softsign(x) end
op.Mish = function(_, x) return F.mish(x) end
op.HardSwish = function(_, x) return F.hardswish(x) end
op.LeakyRelu = function(node, x) return F.leaky_relu(x, node:get("alpha", 0.01)) end
op.Elu = function(node, x) return F.elu(x, node:get("alpha", 1.0)) end
op.Celu = function(node, x) return F.celu(x, node:get("alpha", 1.0)) end
op.Gelu = function(node, x) return F.gelu(x, { approximate = node:get("approximate", "none") }) end

op.Selu = function(node, x)
  local old = node.opset < 6
  local alpha, gamma = node:get("alpha", old and 1.6732 or 1.67326319217681884765625),
    node:get("gamma", old and 1.0507 or 1.05070102214813232421875)
  return torch.where(x:gt(0), x, alpha * torch.expm1(x)) * gamma
end

op.HardSigmoid = function(node, x) return (x * node:get("alpha", 0.2) + node:get("beta", 0.5)):clamp(0, 1) end

op.ThresholdedRelu = function(node, x)
  return torch.where(x:gt(node:get("alpha", 1.0)), x, torch.zeros_like(x))
end

op.PRelu = function(node, x, slope)
  -- Before opset 7 a slope of one dim stood for the channels.
  if node.opset < 7 and slope.ndim == 1 and slope:numel() > 1 and x.ndim > 1 then slope = common.along(slope, 1, x.ndim) end
  return torch.where(x:lt(0), x * slope, x)
end

op.Shrink = function(node, x)
  local bias, lambd = node:get("bias", 0.0), node:get("lambd", 0.5)
  local zero = torch.zeros_like(x)
  return torch.where(x:lt(-lambd), x + bias, torch.where(x:gt(lambd), x - bias, zero)):to(x.dtype)
end

op.Swish = function(node, x) return x * torch.sigmoid(x * node:get("alpha", 1.0)) end

op.SwiGLU = function(node, gate, x) return op.Swish(node, gate) * x end

-- Before opset 13 the dims from `axis` on were one.
local function over_axis(f)
  return function(node, x)
    if node.opset >= 13 then return f(x, node:axis(node:get("axis", -1), x.ndim)) end
    local axis, shape = node:get("axis", 1), x.shape
    axis = node:axis(axis, axis < 0 and x.ndim or x.ndim + 1)
    if axis == x.ndim then x = x:unsqueeze(-1) end
    return f(x:flatten(axis), axis):reshape(shape)
  end
end

op.Softmax = over_axis(function(x, dim) return torch.softmax(x, dim) end)
op.LogSoftmax = over_axis(function(x, dim) return torch.log_softmax(x, dim) end)
op.Hardmax = over_axis(function(x, dim)
  return torch.zeros_like(x):scatter(dim, x:argmax(dim, true), 1)
end)

return op
