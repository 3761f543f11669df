-- nn.MultiheadAttention.
local core = require "lampad.core"
local args = require "lampad.args"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local Linear = require "lampad.nn.linear"
local init = require "lampad.nn.initializers"
local F = require "lampad.nn.functional"

local torch = core.torch
-- The name that PyTorch's print shows.
local OutProjection = Linear:extend "NonDynamicallyQuantizableLinear"

local MultiheadAttention = Module:extend "MultiheadAttention"
local spec = args [[MultiheadAttention(int embed_dim, int num_heads, float dropout=0.0, bool bias=true,
  bool add_bias_kv=false, bool add_zero_attn=false, int kdim=nil, int vdim=nil, bool batch_first=false,
  device device=nil, dtype dtype=nil)]]

--- Attention of num_heads heads (Vaswani et al. 2017). Inputs (L, N, E), or (N, L, E) with batch_first, or
--- (L, E); keys of kdim and values of vdim features.
function MultiheadAttention:init(...)
  local o = spec:collect(...)
  local embed = o.embed_dim
  if embed <= 0 or o.num_heads <= 0 then
    args.fail("MultiheadAttention", "embed_dim and num_heads must be greater than 0, got embed_dim=%d and "
      .. "num_heads=%d instead", embed, o.num_heads)
  end
  local kdim, vdim = o.kdim or embed, o.vdim or embed
  local same = kdim == embed and vdim == embed
  if embed % o.num_heads ~= 0 then
    args.fail("MultiheadAttention", "embed_dim must be divisible by num_heads, got embed_dim=%d and num_heads=%d", embed,
      o.num_heads)
  end
  self:_set {
    embed_dim = embed, kdim = kdim, vdim = vdim, _qkv_same_embed_dim = same, num_heads = o.num_heads,
    dropout = o.dropout, batch_first = o.batch_first, head_dim = embed // o.num_heads, add_zero_attn = o.add_zero_attn,
  }
  local options = args.making(o.device, o.dtype)
  local function parameter(...) return Parameter(torch.empty({ ... }, options)) end
  if same then
    self.in_proj_weight = parameter(3 * embed, embed)
    for _, name in ipairs { "q", "k", "v" } do self:register_parameter(name .. "_proj_weight", nil) end
  else
    self.q_proj_weight = parameter(embed, embed)
    self.k_proj_weight = parameter(embed, kdim)
    self.v_proj_weight = parameter(embed, vdim)
    self:register_parameter("in_proj_weight", nil)
  end
  self:register_parameter("in_proj_bias", o.bias and parameter(3 * embed) or nil)
  self.out_proj = OutProjection(embed, embed, { bias = o.bias, device = o.device, dtype = o.dtype })
  self:register_parameter("bias_k", o.add_bias_kv and parameter(1, 1, embed) or nil)
  self:register_parameter("bias_v", o.add_bias_kv and parameter(1, 1, embed) or nil)
  self:_reset_parameters()
end

function MultiheadAttention:_reset_parameters()
  if self._qkv_same_embed_dim then
    init.xavier_uniform_(self.in_proj_weight)
  else
    init.xavier_uniform_(self.q_proj_weight)
    init.xavier_uniform_(self.k_proj_weight)
    init.xavier_uniform_(self.v_proj_weight)
  end
  if self.in_proj_bias ~= nil then
    init.constant_(self.in_proj_bias, 0)
    init.constant_(self.out_proj.bias, 0)
  end
  if self.bias_k ~= nil then init.xavier_normal_(self.bias_k) end
  if self.bias_v ~= nil then init.xavier_normal_(self.bias_v) end
end

local forward_spec = args [[MultiheadAttention.forward(Tensor query, Tensor key, Tensor value,
  Tensor key_padding_mask=nil, bool need_weights=true, Tensor attn_mask=nil, bool average_attn_weights=true,
  bool is_causal=false)]]

--- The attended values, and the weights (nil unless need_weights), averaged over the heads.
function MultiheadAttention:forward(...)
  local query, key, value, padding, need_weights, mask, average, causal = forward_spec(...)
  local turned = self.batch_first and query.ndim == 3
  if turned then
    -- The same tensor stays the same, so that one product projects all three.
    local seen = {}
    local function turn(x)
      seen[x] = seen[x] or x:transpose(0, 1)
      return seen[x]
    end
    query, key, value = turn(query), turn(key), turn(value)
  end
  local result, weights = F.multi_head_attention_forward(query, key, value, self.embed_dim, self.num_heads,
    self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn, self.dropout,
    self.out_proj.weight, self.out_proj.bias, {
      training = self.training, key_padding_mask = padding, need_weights = need_weights, attn_mask = mask,
      use_separate_proj_weight = not self._qkv_same_embed_dim, q_proj_weight = self.q_proj_weight,
      k_proj_weight = self.k_proj_weight, v_proj_weight = self.v_proj_weight, average_attn_weights = average,
      is_causal = causal,
    })
  return turned and result:transpose(0, 1) or result, weights
end

return MultiheadAttention
