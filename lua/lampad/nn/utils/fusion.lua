-- nn.utils.fusion: a batch norm in evaluation is an affine map of each channel, so it can go into the weights of the
-- layer before it.
local core = require "lampad.core"
local args = require "lampad.args"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local fusion = {}

-- Scale and shift of the norm: y = x * scale + shift.
local function affine(mean, var, eps, weight, bias)
  local scale = torch.rsqrt(var + eps)
  if weight ~= nil then scale = weight * scale end
  local shift = -mean * scale
  if bias ~= nil then shift = shift + bias end
  return scale, shift
end

-- The new weight and bias as Parameters of the old ones' dtype; no bias takes the dtype of the running mean.
local function fused(weight, bias, scale_of_weight, scale, shift, mean)
  local new_weight = (weight * scale_of_weight):to(weight.dtype)
  local new_bias = bias ~= nil and (bias * scale + shift):to(bias.dtype) or shift:to(mean.dtype)
  return Parameter(new_weight, weight.requires_grad), Parameter(new_bias, bias == nil or bias.requires_grad)
end

local conv_spec = args [[fuse_conv_bn_weights(Tensor conv_w, Tensor? conv_b, Tensor bn_rm, Tensor bn_rv, float bn_eps,
  Tensor bn_w=nil, Tensor bn_b=nil, bool transpose=false)]]

--- The weight and bias of a convolution followed by a batch norm with these running statistics: two Parameters.
--- conv_w: (out, in, ...), with transpose (in, out, ...); the others (out) or nil.
function fusion.fuse_conv_bn_weights(...)
  local weight, bias, mean, var, eps, bn_weight, bn_bias, transpose = conv_spec(...)
  local scale, shift = affine(mean, var, eps, bn_weight, bn_bias)
  local sizes = {}
  for d = 1, weight.ndim do sizes[d] = 1 end
  sizes[transpose and 2 or 1] = -1
  return fused(weight, bias, scale:reshape(sizes), scale, shift, mean)
end

local linear_spec = args [[fuse_linear_bn_weights(Tensor linear_w, Tensor? linear_b, Tensor bn_rm, Tensor bn_rv,
  float bn_eps, Tensor bn_w=nil, Tensor bn_b=nil)]]

--- The same for a linear layer: linear_w (out, in).
function fusion.fuse_linear_bn_weights(...)
  local weight, bias, mean, var, eps, bn_weight, bn_bias = linear_spec(...)
  local scale, shift = affine(mean, var, eps, bn_weight, bn_bias)
  return fused(weight, bias, scale:unsqueeze(-1), scale, shift, mean)
end

local function check_modes(what, layer, bn)
  if layer.training or bn.training then args.fail(what, "Fusion only for eval! Call eval() on both modules first") end
  if bn.running_mean == nil or bn.running_var == nil then
    args.fail(what, "the batch norm has no running statistics to fuse (track_running_stats=False)")
  end
end

-- A copy of the layer with other weights.
local function with_weights(layer, weight, bias)
  local copy = layer:deepcopy()
  copy.weight = weight
  copy.bias = bias
  return copy
end

local eval_conv_spec = args "fuse_conv_bn_eval(Module conv, Module bn, bool transpose=false)"

--- A copy of the convolution that computes bn(conv(x)); both must be in evaluation mode. transpose: the convolution is
--- a transposed one (without groups).
function fusion.fuse_conv_bn_eval(...)
  local conv, bn, transpose = eval_conv_spec(...)
  check_modes("fuse_conv_bn_eval", conv, bn)
  return with_weights(conv, fusion.fuse_conv_bn_weights(conv.weight, conv.bias, bn.running_mean, bn.running_var,
    bn.eps, bn.weight, bn.bias, transpose))
end

local eval_linear_spec = args "fuse_linear_bn_eval(Module linear, Module bn)"

--- A copy of the linear layer that computes bn(linear(x)); both must be in evaluation mode.
function fusion.fuse_linear_bn_eval(...)
  local linear, bn = eval_linear_spec(...)
  check_modes("fuse_linear_bn_eval", linear, bn)
  if linear.out_features ~= bn.num_features and bn.num_features ~= 1 then
    args.fail("fuse_linear_bn_eval", "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got %d "
      .. "and %d", linear.out_features, bn.num_features)
  end
  return with_weights(linear, fusion.fuse_linear_bn_weights(linear.weight, linear.bias, bn.running_mean,
    bn.running_var, bn.eps, bn.weight, bn.bias))
end

return fusion
