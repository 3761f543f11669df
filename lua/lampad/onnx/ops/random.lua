-- Random numbers. They follow torch.manual_seed, or the seed that a node gives.
local core = require "lampad.core"
local value = require "lampad.onnx.value"

local torch = core.torch
local op = {}

-- The named argument `generator` when the node has a seed.
local function drawing(node)
  local seed = node:get "seed"
  if not seed then return {} end
  return { generator = torch.Generator():manual_seed(math.floor(seed)) }
end

-- The dtype that a node asks for, else that of `like`, else float32.
local function dtype_of(node, like)
  local code = node:get "dtype"
  if code then return node:element_type(code).dtype end
  return like and like.dtype or torch.float32
end

local function uniform(node, shape, dtype)
  local low, high = node:get("low", 0.0), node:get("high", 1.0)
  return torch.empty(shape, { dtype = dtype }):uniform_(low, high, drawing(node))
end

local function normal(node, shape, dtype)
  return torch.empty(shape, { dtype = dtype }):normal_(node:get("mean", 0.0), node:get("scale", 1.0), drawing(node))
end

op.RandomUniform = function(node) return uniform(node, node:integers "shape", dtype_of(node)) end
op.RandomNormal = function(node) return normal(node, node:integers "shape", dtype_of(node)) end
op.RandomUniformLike = function(node, x) return uniform(node, x.shape, dtype_of(node, x)) end
op.RandomNormalLike = function(node, x) return normal(node, x.shape, dtype_of(node, x)) end

op.Bernoulli = function(node, x) return torch.bernoulli(x, drawing(node)):to(dtype_of(node, x)) end

op.Multinomial = function(node, x)
  local code = node:get("dtype", 6)
  return torch.multinomial(torch.softmax(x:to(torch.float32), 1), node:get("sample_size", 1), true, drawing(node))
    :to(node:element_type(code).dtype)
end

op.Dropout = value.op_of(function(node, x, ratio_input, training_input)
  local ratio, training = node:get("ratio", 0.5), false
  if node.opset >= 12 then
    ratio = ratio_input and ratio_input:item() or 0.5
    training = training_input ~= nil and training_input:item()
  end
  if not training or ratio == 0 then return x, torch.ones_like(x, { dtype = torch.bool }) end
  local kept = torch.empty(x.shape, { dtype = torch.float32 }):uniform_(0, 1, drawing(node)):ge(ratio)
  return torch.where(kept, x / (1 - ratio), torch.zeros_like(x)), kept
end)

return op
