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

-- --- a whole network --------------------------------------------------------------------------------------

local norms = { BatchNorm1d = true, BatchNorm2d = true, BatchNorm3d = true }
local layers = { Conv1d = "conv", Conv2d = "conv", Conv3d = "conv", ConvTranspose1d = "transposed",
  ConvTranspose2d = "transposed", ConvTranspose3d = "transposed", Linear = "linear" }

local function tensors_of(value, list)
  if torch.is_tensor(value) then
    list[#list + 1] = value
  elseif type(value) == "table" then
    for _, v in pairs(value) do tensors_of(v, list) end
  end
  return list
end

-- How many operations take the result of each node of the graph behind the tensors, by the node's number.
local function count_uses(outputs)
  local uses, seen, stack = {}, {}, {}
  local function visit(node)
    local id = node:_sequence_nr()
    uses[id] = (uses[id] or 0) + 1
    if not seen[id] then
      seen[id] = true
      stack[#stack + 1] = node
    end
  end
  for _, t in ipairs(outputs) do
    if t.grad_fn then visit(t.grad_fn) end
  end
  while #stack > 0 do
    local node = table.remove(stack)
    for _, edge in ipairs(node.next_functions) do
      if edge[1] and edge[1]:name() ~= "torch::autograd::AccumulateGrad" then visit(edge[1]) end
    end
  end
  return uses
end

-- Runs the model, recording; returns for each layer and norm by its path {module, calls, input, output}, and the uses.
local function trace(model, inputs)
  local records, hooks = {}, {}
  for path, module in model:named_modules() do
    local name = module:_get_name()
    if norms[name] or layers[name] then
      local record = { module = module, kind = layers[name], calls = 0 }
      records[path] = record
      hooks[#hooks + 1] = module:register_forward_hook(function(_, input, output)
        record.calls = record.calls + 1
        record.input, record.output = input[1], output
      end)
    end
  end
  local asked = {}
  for p in model:parameters() do
    asked[p] = p.requires_grad
    p:requires_grad_(true)
  end
  local ok, result = pcall(function()
    return torch.enable_grad(function() return table.pack(model(table.unpack(inputs, 1, inputs.n or #inputs))) end)
  end)
  for _, hook in ipairs(hooks) do hook:remove() end
  local uses = ok and count_uses(tensors_of(result, {}))
  for p, value in pairs(asked) do
    p.grad = nil
    p:requires_grad_(value)
  end
  if not ok then error(result, 0) end
  return records, uses
end

local function fits(layer, bn)
  if bn.running_mean == nil or bn.running_var == nil then return false end
  if next(layer._parameters) == nil or rawget(layer, "parametrizations") ~= nil then return false end
  if layers[layer:_get_name()] == "transposed" then return layer.groups == 1 end
  return true
end

local fuse_spec = args "fuse_conv_bn(Module model, any example_inputs)"

--- A copy of the model in evaluation mode whose batch norms are folded into the convolutions and linear layers before
--- them, with nn.Identity in their places: the same outputs in fewer passes over memory. example_inputs: a tensor, or
--- a list of the model's arguments; the model runs once on them, and the recorded graph tells which norms follow a
--- layer whose result nobody else takes. Others stay as they are.
function fusion.fuse_conv_bn(...)
  local model, inputs = fuse_spec(...)
  if torch.is_tensor(inputs) then inputs = { inputs } end
  if type(inputs) ~= "table" then
    args.fail("fuse_conv_bn", "argument 'example_inputs' must be a tensor or a list of the model's arguments, got %s",
      type(inputs))
  end
  local copy = model:deepcopy():eval()
  local records, uses = trace(copy, inputs)
  local by_node = {}
  for path, r in pairs(records) do
    if r.kind and r.calls == 1 and r.output.grad_fn then by_node[r.output.grad_fn:_sequence_nr()] = path end
  end
  local pairs_found = {}
  for path, r in pairs(records) do
    if not r.kind and r.calls == 1 and torch.is_tensor(r.input) and r.input.grad_fn then
      local id = r.input.grad_fn:_sequence_nr()
      local from = by_node[id]
      local layer = from and records[from].module
      if layer and uses[id] == 1 and fits(layer, r.module) and (records[from].kind ~= "linear" or r.input.ndim == 2) then
        pairs_found[#pairs_found + 1] = { from, path }
      end
    end
  end
  for _, pair in ipairs(pairs_found) do
    local record, bn = records[pair[1]], records[pair[2]].module
    local fused_layer = record.kind == "linear" and fusion.fuse_linear_bn_eval(record.module, bn)
      or fusion.fuse_conv_bn_eval(record.module, bn, record.kind == "transposed")
    copy:set_submodule(pair[1], fused_layer)
    copy:set_submodule(pair[2], torch.nn.Identity())
  end
  return copy
end

return fusion
