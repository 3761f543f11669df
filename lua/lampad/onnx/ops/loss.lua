-- Losses.
local core = require "lampad.core"

local torch = core.torch
local op = {}

-- Negative log likelihood of the labels, from log probabilities [N, C, ...].
local function nll(node, log_prob, labels, weights)
  labels = labels:to(torch.int64)
  local ignore = node:get "ignore_index"
  local ignored = ignore and labels:eq(ignore)
  local known = ignored and labels:masked_fill(ignored, 0) or labels
  local loss = -log_prob:gather(1, known:unsqueeze(1)):squeeze(1)
  local weight = weights and weights:index_select(0, known:flatten()):reshape(known.shape) or torch.ones_like(loss)
  if ignored then weight = weight:masked_fill(ignored, 0) end
  loss = loss * weight
  if ignored then loss = loss:masked_fill(ignored, 0) end
  local reduction = node:get("reduction", "mean")
  if reduction == "none" then return loss end
  if reduction == "sum" then return loss:sum() end
  return loss:sum() / weight:sum()
end

op.NegativeLogLikelihoodLoss = nll

op.SoftmaxCrossEntropyLoss = function(node, scores, labels, weights)
  local log_prob = torch.log_softmax(scores, 1)
  return nll(node, log_prob, labels, weights), log_prob
end

return op
