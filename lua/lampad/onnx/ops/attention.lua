-- Attention and what goes with it.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

-- [batch, sequence, heads * size] as [batch, heads, sequence, size].
local function split_heads(node, x, heads, name)
  if x.ndim == 4 then return x end
  if not heads then node:fail("3-dimensional inputs need the attribute '%s'", name) end
  return x:reshape(x:size(0), x:size(1), heads, -1):transpose(1, 2)
end

local function merge_heads(x) return x:transpose(1, 2):flatten(2) end

-- Every head of keys or values as often as query heads share it.
local function share_heads(x, heads)
  if x:size(1) == heads then return x end
  return x:repeat_interleave(heads // x:size(1), 1)
end

-- What the mask, the causal rule and the valid lengths add to the scores [batch, heads, queries, keys]: 0 or -inf, and
-- what a float mask holds. nil when everything may be seen.
local function bias_of(node, scores, mask, past_length, valid_lengths)
  local batch, queries, keys = scores:size(0), scores:size(2), scores:size(3)
  local bias
  local function hide(allowed) -- a boolean tensor that broadcasts with the scores
    local own = torch.zeros(allowed.shape, { dtype = scores.dtype }):masked_fill(allowed:logical_not(), -math.huge)
    bias = bias and bias + own or own
  end
  if mask then
    if mask:size(-1) < keys then
      local sizes = common.sizes(mask)
      sizes[#sizes] = keys - mask:size(-1)
      local hidden = mask.dtype == torch.bool and torch.zeros(sizes, { dtype = torch.bool })
        or torch.full(sizes, -math.huge, { dtype = mask.dtype })
      mask = torch.cat({ mask, hidden }, -1)
    end
    if mask.dtype == torch.bool then hide(mask) else bias = mask:to(scores.dtype) end
  end
  local key = torch.arange(keys):reshape(1, 1, 1, keys)
  local valid = valid_lengths and valid_lengths:reshape(batch, 1, 1, 1)
  if valid then hide(key:lt(valid)) end
  local left, right = node:get("left_window_size", -1), node:get("right_window_size", -1)
  if node:flag "is_causal" or left >= 0 or right >= 0 then
    -- The position of each query: those before it are in the cache.
    local offset = valid and valid - queries or torch.full({ 1, 1, 1, 1 }, past_length, { dtype = torch.int64 })
    local query = torch.arange(queries):reshape(1, 1, queries, 1) + offset
    if node:flag "is_causal" then hide(key:le(query)) end
    if left >= 0 then hide(key:ge(query - left)) end
    if right >= 0 then hide(key:le(query + right)) end
  end
  return bias
end

-- A softmax in which rows that see nothing are 0.
local function masked_softmax(scores)
  local probabilities = torch.softmax(scores, -1)
  local blind = scores:eq(-math.huge):all(-1, true)
  return probabilities:masked_fill(blind, 0)
end

op.Attention = function(node, q, k, v, mask, past_key, past_value, valid_lengths)
  local flat = q.ndim == 3
  q = split_heads(node, q, node:get "q_num_heads", "q_num_heads")
  k = split_heads(node, k, node:get "kv_num_heads", "kv_num_heads")
  v = split_heads(node, v, node:get "kv_num_heads", "kv_num_heads")
  local past_length = 0
  if past_key then
    past_length = past_key:size(2)
    k, v = torch.cat({ past_key, k }, 2), torch.cat({ past_value, v }, 2)
  end
  local heads = q:size(1)
  -- The root of the scale goes to both factors, so that half precision does not overflow.
  local root = math.sqrt(node:get("scale", 1 / math.sqrt(q:size(3))))
  local raw = torch.matmul((q * root):to(q.dtype), (share_heads(k, heads) * root):to(k.dtype):transpose(2, 3))
  local cap = node:get("softcap", 0.0)
  local capped = cap > 0 and torch.tanh(raw / cap) * cap or raw
  local bias = bias_of(node, capped, mask, past_length, valid_lengths)
  local biased = bias and capped + bias or capped
  local precision = node:get "softmax_precision"
  local probabilities = masked_softmax(precision and biased:to(node:element_type(precision).dtype) or biased):to(q.dtype)
  local y = torch.matmul(probabilities:to(v.dtype), share_heads(v, heads))
  local shown = ({ [0] = raw, capped, biased, probabilities })[node:get("qk_matmul_output_mode", 0)]
  return flat and merge_heads(y) or y, k, v, shown
end

op.RotaryEmbedding = function(node, x, cos, sin, positions)
  local flat = x.ndim == 3
  local heads = split_heads(node, x, node:get "num_heads", "num_heads"):transpose(1, 2) -- [batch, sequence, heads, size]
  local rotated = node:get("rotary_embedding_dim", 0)
  if rotated == 0 then rotated = heads:size(3) end
  local turning, rest = heads:narrow(3, 0, rotated), heads:narrow(3, rotated, heads:size(3) - rotated)
  if positions then
    local function at(cache)
      return cache:index_select(0, positions:flatten()):reshape(positions:size(0), positions:size(1), -1)
    end
    cos, sin = at(cos), at(sin)
  end
  cos, sin = cos:unsqueeze(2), sin:unsqueeze(2)
  local first, second
  if node:flag "interleaved" then
    local pairs_ = turning:unflatten(3, { rotated // 2, 2 })
    first, second = pairs_:select(4, 0), pairs_:select(4, 1)
  else
    first, second = turning:narrow(3, 0, rotated // 2), turning:narrow(3, rotated // 2, rotated // 2)
  end
  local real, imaginary = cos * first - sin * second, sin * first + cos * second
  local turned
  if node:flag "interleaved" then
    turned = torch.stack({ real, imaginary }, 4):flatten(3)
  else
    turned = torch.cat({ real, imaginary }, 3)
  end
  local y = torch.cat({ turned, rest }, 3)
  return flat and y:reshape(x.shape) or y:transpose(1, 2)
end

-- --- linear attention ---------------------------------------------------------------------------------
-- A state S [batch, heads, key size, value size] is read by the queries and written by keys and values, step by step.
op.LinearAttention = function(node, q, k, v, past, decay, beta)
  local q_heads, heads = node:integer "q_num_heads", node:integer "kv_num_heads"
  local rule = node:get("update_rule", "gated_delta")
  local gated, delta = rule:find "gated" ~= nil, rule:find "delta" ~= nil
  local dtype = q.dtype
  local working = dtype == torch.float64 and dtype or torch.float32
  local function unpacked(x, count) return split_heads(node, x, count):to(working) end
  q, k, v = unpacked(q, q_heads), unpacked(k, heads), unpacked(v, heads)
  local scale = node:get("scale", 0.0)
  if scale == 0 then scale = 1 / math.sqrt(q:size(3)) end
  local state = past and past:to(working) or torch.zeros(q:size(0), heads, k:size(3), v:size(3), { dtype = working })
  decay = gated and unpacked(decay, heads):exp() -- [batch, heads, sequence, key size or 1]
  beta = delta and beta:transpose(1, 2):to(working):unsqueeze(3) -- [batch, heads or 1, sequence, 1]
  local outputs = {}
  for t = 0, q:size(2) - 1 do
    local key, written = k:narrow(2, t, 1), v:narrow(2, t, 1) -- [batch, heads, 1, size]
    if gated then state = state * decay:narrow(2, t, 1):transpose(2, 3) end
    if delta then written = (written - torch.matmul(key, state)) * beta:narrow(2, t, 1) end
    state = state + torch.matmul(key:transpose(2, 3), written)
    outputs[t + 1] = torch.matmul(q:narrow(2, t, 1), share_heads(state, q_heads)) * scale
  end
  return merge_heads(torch.cat(outputs, 2)):to(dtype), state:to(past and past.dtype or dtype)
end

return op
