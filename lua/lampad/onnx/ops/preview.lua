-- Operators of the domain ai.onnx.preview.
local core = require "lampad.core"

local torch = core.torch
local op = {}

op.FlexAttention = function(node, q, k, v)
  local precision = node:get "softmax_precision"
  local working = precision and node:element_type(precision).dtype or (q.dtype == torch.float64 and torch.float64 or torch.float32)
  local heads = q:size(1)
  local function shared(x) return x:size(1) == heads and x or x:repeat_interleave(heads // x:size(1), 1) end
  local function modify(name, t)
    local graph = node:get(name)
    return graph and node:run_graph(graph, t) or t
  end
  local scale = node:get("scale", 1 / math.sqrt(q:size(3)))
  local scores = torch.matmul(q:to(working), shared(k):to(working):transpose(2, 3)) * scale
  local probabilities = modify("prob_mod", torch.softmax(modify("score_mod", scores), -1))
  return torch.matmul(probabilities, shared(v):to(working)):to(q.dtype)
end

return op
