-- F.multi_head_attention_forward: what nn.MultiheadAttention computes. Called once, by
-- lampad.nn.functional.
local core = require "lampad.core"
local args = require "lampad.args"

local torch = core.torch
local name = "multi_head_attention_forward"

local function fail(format, ...) args.fail(name, format, ...) end

--- A mask as numbers to add: true stands for -inf.
local function additive(mask, dtype, what)
  if mask == nil then return nil end
  if mask.dtype ~= torch.bool then
    if not mask.dtype.is_floating_point then
      fail("only bool and floating types of %s are supported, got %s", what, tostring(mask.dtype))
    end
    return mask
  end
  return torch.zeros(mask.shape, { dtype = dtype, device = mask.device }):masked_fill_(mask, -math.huge)
end

--- Defines the function in F.
return function(F)
  local spec = args(name .. [[(Tensor query, Tensor key, Tensor value, int embed_dim_to_check, int num_heads,
    Tensor? in_proj_weight, Tensor? in_proj_bias, Tensor? bias_k, Tensor? bias_v, bool add_zero_attn,
    float dropout_p, Tensor out_proj_weight, Tensor? out_proj_bias, bool training=true,
    Tensor key_padding_mask=nil, bool need_weights=true, Tensor attn_mask=nil, bool use_separate_proj_weight=false,
    Tensor q_proj_weight=nil, Tensor k_proj_weight=nil, Tensor v_proj_weight=nil, Tensor static_k=nil,
    Tensor static_v=nil, bool average_attn_weights=true, bool is_causal=false)]])

  -- Queries, keys and values of the heads, still side by side.
  local function project(o)
    local q, k, v, bias = o.query, o.key, o.value, o.in_proj_bias
    local bq, bk, bv
    if bias then bq, bk, bv = table.unpack(bias:chunk(3)) end
    if o.use_separate_proj_weight then
      for _, weight in ipairs { "q_proj_weight", "k_proj_weight", "v_proj_weight" } do
        if not o[weight] then fail("use_separate_proj_weight is True but %s is None", weight) end
      end
      return F.linear(q, o.q_proj_weight, bq), F.linear(k, o.k_proj_weight, bk), F.linear(v, o.v_proj_weight, bv)
    end
    if not o.in_proj_weight then fail("use_separate_proj_weight is False but in_proj_weight is None") end
    if rawequal(q, k) and rawequal(k, v) then
      return table.unpack(F.linear(q, o.in_proj_weight, bias):chunk(3, -1))
    end
    local wq, wk, wv = table.unpack(o.in_proj_weight:chunk(3))
    return F.linear(q, wq, bq), F.linear(k, wk, bk), F.linear(v, wv, bv)
  end

  local function check_shapes(o, batched)
    local query, key, value = o.query, o.key, o.value
    local padding, mask = o.key_padding_mask, o.attn_mask
    if query.ndim ~= 2 and query.ndim ~= 3 then
      fail("query should be unbatched 2D or batched 3D tensor but received %d-D query tensor", query.ndim)
    end
    local kind = batched and "batched (3-D)" or "unbatched (2-D)"
    if key.ndim ~= query.ndim or value.ndim ~= query.ndim then
      fail("For %s `query`, expected `key` and `value` to be %d-D but found %d-D and %d-D tensors respectively", kind,
        query.ndim, key.ndim, value.ndim)
    end
    if padding and padding.ndim ~= query.ndim - 1 then
      fail("For %s `query`, expected `key_padding_mask` to be `None` or %d-D but found %d-D tensor instead", kind,
        query.ndim - 1, padding.ndim)
    end
    if not mask then return end
    if mask.ndim ~= 2 and mask.ndim ~= 3 then
      fail("For %s `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found %d-D tensor instead", kind, mask.ndim)
    end
    if not batched and mask.ndim == 3 and (mask:size(0) ~= o.num_heads or mask:size(1) ~= query:size(0)
      or mask:size(2) ~= key:size(0)) then
      fail("Expected `attn_mask` shape to be (%d, %d, %d) but got %s", o.num_heads, query:size(0), key:size(0),
        tostring(mask.shape))
    end
  end

  --- Attention of num_heads heads over query (L, N, E), key and value (S, N, E), or without N: the result (L, N, E)
  --- and, with need_weights, the weights (N, L, S), of each head when average_attn_weights is false.
  F[name] = function(...)
    local o = spec:collect(...)
    local batched = o.query.ndim ~= 2
    check_shapes(o, batched)
    local dtype, mask, padding = o.query.dtype, o.attn_mask, o.key_padding_mask
    if not batched then
      for _, field in ipairs { "query", "key", "value" } do
        -- The same tensor stays the same, so that one product projects all three.
        if field ~= "query" and rawequal(o[field], o.unbatched) then
          o[field] = o.query
        else
          if field == "query" then o.unbatched = o.query end
          o[field] = o[field]:unsqueeze(1)
        end
      end
      if padding then padding = padding:unsqueeze(0) end
    end
    local length, batch, embed = o.query.shape:unpack()
    if o.is_causal and not mask then
      fail("Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
        .. "`generate_square_subsequent_mask` to create this mask.")
    end
    local causal = o.is_causal
    padding = additive(padding, dtype, "key_padding_mask")
    if causal and not padding and not o.need_weights then
      mask = nil -- the attention makes its own
    else
      mask = additive(mask, dtype, "attn_mask")
      causal = false
    end
    local heads = o.num_heads
    local width = embed // heads
    if embed ~= o.embed_dim_to_check then
      fail("was expecting embedding dimension of %d, but got %d", o.embed_dim_to_check, embed)
    end
    if width * heads ~= embed then fail("embed_dim %d not divisible by num_heads %d", embed, heads) end
    local sequence, batch_of_keys = o.key:size(0), o.key:size(1)
    if sequence ~= o.value:size(0) or batch_of_keys ~= o.value:size(1) then
      fail("key's sequence and batch dims (%d, %d) do not match value's (%d, %d)", sequence, batch_of_keys,
        o.value:size(0), o.value:size(1))
    elseif not o.use_separate_proj_weight and o.key:size(2) ~= o.value:size(2) then
      fail("key shape %s does not match value shape %s", tostring(o.key.shape), tostring(o.value.shape))
    end

    local q, k, v = project(o)
    if mask then
      local wanted = mask.ndim == 2 and { length, o.key:size(0) } or { batch * heads, length, o.key:size(0) }
      if mask.shape ~= torch.Size(wanted) then
        fail("The shape of the %dD attn_mask is %s, but should be (%s).", mask.ndim, tostring(mask.shape),
          table.concat(wanted, ", "))
      end
      if mask.ndim == 2 then mask = mask:unsqueeze(0) end
    end
    local function widen_masks()
      if mask then mask = F.pad(mask, { 0, 1 }) end
      if padding then padding = F.pad(padding, { 0, 1 }) end
    end
    if o.bias_k and o.bias_v then
      if o.static_k or o.static_v then fail("bias cannot be added to static key or value.") end
      k = torch.cat { k, o.bias_k:rep(1, batch, 1) }
      v = torch.cat { v, o.bias_v:rep(1, batch, 1) }
      widen_masks()
    elseif o.bias_k or o.bias_v then
      fail("bias_k and bias_v go together: one is set but the other is None")
    end

    -- (batch * heads, length, width) each
    local function split_heads(x) return x:reshape(x:size(0), batch * heads, width):transpose(0, 1) end
    local function fixed(x, what)
      if x.ndim ~= 3 or x:size(0) ~= batch * heads or x:size(2) ~= width then
        fail("%s must have the shape (%d, *, %d), got %s", what, batch * heads, width, tostring(x.shape))
      end
      return x
    end
    q = split_heads(q)
    k = o.static_k and fixed(o.static_k, "static_k") or split_heads(k)
    v = o.static_v and fixed(o.static_v, "static_v") or split_heads(v)
    if o.add_zero_attn then
      local none = torch.zeros({ batch * heads, 1, width }, { dtype = k.dtype, device = k.device })
      k, v = torch.cat({ k, none }, 1), torch.cat({ v, none }, 1)
      widen_masks()
    end
    local source = k:size(1)
    if padding then
      for i, size in ipairs { batch, source } do
        if padding:size(i - 1) ~= size then
          fail("Expected key_padding_mask.shape[%d] to be %d, but got %d", i - 1, size, padding:size(i - 1))
        end
      end
      padding = padding:view(batch, 1, 1, source):expand(-1, heads, -1, -1):reshape(batch * heads, 1, source)
      mask = mask and mask + padding or padding
    end
    local dropout = o.training and o.dropout_p or 0.0

    local weights, result
    if o.need_weights then
      local scores = (q * math.sqrt(1 / width)):bmm(k:transpose(-2, -1))
      if mask then scores = scores + mask end
      weights = F.softmax(scores, -1)
      if dropout > 0 then weights = F.dropout(weights, dropout) end
      result = weights:bmm(v):transpose(0, 1)
    else
      if mask then
        mask = mask:size(0) == 1 and mask:unsqueeze(0) or mask:view(batch, heads, -1, source)
      end
      result = F.scaled_dot_product_attention(q:view(batch, heads, length, width), k:view(batch, heads, source, width),
        v:view(batch, heads, source, width), mask, dropout, causal):permute(2, 0, 1, 3)
    end
    result = F.linear(result:reshape(length * batch, embed), o.out_proj_weight, o.out_proj_bias)
    result = result:view(length, batch, result:size(1))
    if not batched then result = result:squeeze(1) end
    if not weights then return result, nil end
    weights = weights:view(batch, heads, length, source)
    if o.average_attn_weights then weights = weights:mean(1) end
    return result, batched and weights or weights:squeeze(0)
  end
end
