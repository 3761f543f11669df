-- nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder and their layers (Vaswani et al. 2017; norm_first after
-- Xiong et al. 2020).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local MultiheadAttention = require "lampad.nn.attention"
local Linear = require "lampad.nn.linear"
local ModuleList = require("lampad.nn.containers").ModuleList
local LayerNorm = require("lampad.nn.norm").LayerNorm
local init = require "lampad.nn.initializers"
local backends = require "lampad.backends"
local F = require "lampad.nn.functional"

local torch = core.torch

local function activation_of(what, value)
  if value == nil or value == "relu" then return F.relu end
  if value == "gelu" then return F.gelu end
  if type(value) == "string" then args.fail(what, "activation should be relu/gelu, not %s", value) end
  if Module.is_module(value) or type(value) == "function" then return value end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__call then return value end
  args.fail(what, "activation must be 'relu', 'gelu' or a function, got %s", text.describe(value))
end

-- The classes of the declarative table are made by lampad.nn at first use; these names must be those.
local function layer(name, ...)
  return require("lampad.nn")[name](...)
end

--- A float mask as it is, a bool one as numbers to add: -inf where it is true.
local function canonical_mask(mask, name, dtype)
  if mask == nil or mask.dtype.is_floating_point then return mask end
  if mask.dtype ~= torch.bool then args.fail(nil, "only bool and floating types of %s are supported", name) end
  return torch.zeros(mask.shape, { dtype = dtype, device = mask.device }):masked_fill_(mask, -math.huge)
end

local function square_subsequent_mask(size, device, dtype)
  return torch.full({ size, size }, -math.huge, args.making(device, dtype)):triu(1)
end

-- Whether a mask is the causal one of `size` positions, unless that is said.
local function is_causal_mask(mask, said, size)
  if said ~= nil or mask == nil then return said == true end
  local causal = square_subsequent_mask(size, mask.device, mask.dtype)
  return mask.shape == causal.shape and mask:eq(causal):all():item()
end

-- The sequence length of x for the layers of a stack.
local function sequence_length(x, layers)
  local attention = layers[0].self_attn
  return x:size(x.ndim == 3 and attention ~= nil and attention.batch_first and 1 or 0)
end

local function clones(module, count)
  local list = ModuleList()
  for _ = 1, count do list:append(module:deepcopy()) end
  return list
end

local layer_arguments = [[(int d_model, int nhead, int dim_feedforward=2048, float dropout=0.1, any activation=nil,
  float layer_norm_eps=1e-05, bool batch_first=false, bool norm_first=false, bool bias=true, device device=nil,
  dtype dtype=nil)]]

-- The members of a layer of either kind; `attentions` are the names of its attentions.
local function make_layer(self, o, attentions)
  local making = { device = o.device, dtype = o.dtype, bias = o.bias }
  for _, name in ipairs(attentions) do
    self[name] = MultiheadAttention(o.d_model, o.nhead, {
      dropout = o.dropout, batch_first = o.batch_first, bias = o.bias, device = o.device, dtype = o.dtype,
    })
  end
  local count = #attentions + 1
  self.linear1 = Linear(o.d_model, o.dim_feedforward, making)
  self.dropout = layer("Dropout", o.dropout)
  self.linear2 = Linear(o.dim_feedforward, o.d_model, making)
  self:_set { norm_first = o.norm_first }
  making.eps = o.layer_norm_eps
  for i = 1, count do self["norm" .. i] = LayerNorm(o.d_model, making) end
  for i = 1, count do self["dropout" .. i] = layer("Dropout", o.dropout) end
  local activation = activation_of(self.__name, o.activation)
  if Module.is_module(activation) then
    self.activation = activation
  else
    self:_set { activation = activation }
  end
end

local function attend(attention, x, memory, mask, padding, causal)
  return (attention(x, memory, memory, padding, false, mask, true, causal))
end

local function feed_forward(self, x)
  return self.linear2(self.dropout(self.activation(self.linear1(x))))
end

-- --- the encoder ------------------------------------------------------------------------------------------
local EncoderLayer = Module:extend "TransformerEncoderLayer"
local encoder_layer_spec = args("TransformerEncoderLayer" .. layer_arguments)

--- Self-attention and a feed-forward network, each with dropout, a residual and a LayerNorm. activation: "relu" (the
--- default), "gelu", a function or a module.
function EncoderLayer:init(...)
  make_layer(self, encoder_layer_spec:collect(...), { "self_attn" })
end

local encoder_layer_call = args [[TransformerEncoderLayer.forward(Tensor src, Tensor src_mask=nil,
  Tensor src_key_padding_mask=nil, bool is_causal=false)]]

--- src (S, E), (S, N, E) or, with batch_first, (N, S, E); src_mask (S, S) or (N * nhead, S, S), src_key_padding_mask
--- (N, S): true stands for what is not attended, floats are added. is_causal says that src_mask is the causal one.
function EncoderLayer:forward(...)
  local x, mask, padding, causal = encoder_layer_call(...)
  padding = canonical_mask(padding, "src_key_padding_mask", x.dtype)
  mask = canonical_mask(mask, "src_mask", x.dtype)
  if self.norm_first then
    local y = self.norm1(x)
    x = x + self.dropout1(attend(self.self_attn, y, y, mask, padding, causal))
    return x + self.dropout2(feed_forward(self, self.norm2(x)))
  end
  x = self.norm1(x + self.dropout1(attend(self.self_attn, x, x, mask, padding, causal)))
  return self.norm2(x + self.dropout2(feed_forward(self, x)))
end

local Encoder = Module:extend "TransformerEncoder"
local encoder_spec = args [[TransformerEncoder(Module encoder_layer, int num_layers, Module norm=nil,
  bool enable_nested_tensor=true, bool mask_check=true)]]

-- 1 for relu, 2 for gelu, 0 for any other activation.
local function relu_or_gelu(activation)
  local name = Module.is_module(activation) and activation.__name
  if activation == F.relu or name == "ReLU" then return 1 end
  return (activation == F.gelu or name == "GELU") and 2 or 0
end

-- Why PyTorch would not run the layers on packed sequences in evaluation, or nil.
local function why_not_nested(encoder_layer)
  if not encoder_layer:isinstance(EncoderLayer) then return "the layer is no TransformerEncoderLayer" end
  local attention = encoder_layer.self_attn
  if encoder_layer.norm_first then return "norm_first" end
  if not attention.batch_first then return "no batch_first" end
  if not attention._qkv_same_embed_dim then return "embedding sizes" end
  if attention.in_proj_bias == nil then return "no bias" end
  if relu_or_gelu(encoder_layer.activation) == 0 then return "activation" end
  if encoder_layer.norm1.eps ~= encoder_layer.norm2.eps then return "eps" end
  if attention.num_heads % 2 == 1 then return "odd number of heads" end
end

--- num_layers copies of encoder_layer, then norm. enable_nested_tensor is as in PyTorch: in evaluation without gradients,
--- with a src_key_padding_mask, what is padding comes out as zeros (before norm); mask_check = false skips the check that
--- the padding is at the end of each sequence.
function Encoder:init(...)
  local encoder_layer, count, norm, nested, check = encoder_spec(...)
  self.layers = clones(encoder_layer, count)
  self:_set { num_layers = count, enable_nested_tensor = nested, mask_check = check,
    use_nested_tensor = nested and why_not_nested(encoder_layer) == nil }
  self.norm = norm
end

-- Whether every row of a float padding mask is zeros, then -inf.
local function is_left_aligned(padding)
  local there = padding:eq(0):to(torch.int64)
  return there:narrow(1, 0, 1):all():item()
    and there:eq((there:cummin(1))):all():item()
end

-- Note [Padding in evaluation]: PyTorch then packs the sequences, and fills the padding of the result with zeros. Here
-- the layers run on the whole batch; only that filling is to be seen.
local function fills_padding(self, x, mask, padding)
  if not self.use_nested_tensor or not padding or mask or x.ndim ~= 3 or not backends.mha.get_fastpath_enabled() then
    return false
  end
  local first = self.layers[0]
  if first.training then return false end
  if torch.is_grad_enabled() then
    if x.requires_grad then return false end
    for p in first:parameters() do
      if p.requires_grad then return false end
    end
  end
  return not self.mask_check or is_left_aligned(padding)
end

local encoder_call = args [[TransformerEncoder.forward(Tensor src, Tensor mask=nil, Tensor src_key_padding_mask=nil,
  bool is_causal=nil)]]

--- As for the layer. is_causal = nil: it is looked whether mask is the causal one.
function Encoder:forward(...)
  local x, mask, padding, causal = encoder_call(...)
  padding = canonical_mask(padding, "src_key_padding_mask", x.dtype)
  mask = canonical_mask(mask, "mask", x.dtype)
  local fills = fills_padding(self, x, mask, padding)
  local filled = fills and padding:ne(0)
  if fills then padding = canonical_mask(filled, "src_key_padding_mask", x.dtype) end
  causal = is_causal_mask(mask, causal, sequence_length(x, self.layers))
  for module in self.layers:iter() do x = module(x, mask, padding, causal) end
  if fills then x = x:masked_fill(filled:unsqueeze(-1), 0.0) end
  if self.norm ~= nil then x = self.norm(x) end
  return x
end

-- --- the decoder ------------------------------------------------------------------------------------------
local DecoderLayer = Module:extend "TransformerDecoderLayer"
local decoder_layer_spec = args("TransformerDecoderLayer" .. layer_arguments)

--- Self-attention, attention to the encoder's results and a feed-forward network, each with dropout, a residual and a
--- LayerNorm.
function DecoderLayer:init(...)
  make_layer(self, decoder_layer_spec:collect(...), { "self_attn", "multihead_attn" })
end

local decoder_arguments = [[(Tensor tgt, Tensor memory, Tensor tgt_mask=nil, Tensor memory_mask=nil,
  Tensor tgt_key_padding_mask=nil, Tensor memory_key_padding_mask=nil, bool tgt_is_causal=%s,
  bool memory_is_causal=false)]]
local decoder_layer_call = args("TransformerDecoderLayer.forward" .. decoder_arguments:format "false")

--- tgt and memory: sequences as for the encoder; masks and padding masks for both attentions.
function DecoderLayer:forward(...)
  local x, memory, mask, memory_mask, padding, memory_padding, causal, memory_causal = decoder_layer_call(...)
  if self.norm_first then
    local y = self.norm1(x)
    x = x + self.dropout1(attend(self.self_attn, y, y, mask, padding, causal))
    x = x + self.dropout2(attend(self.multihead_attn, self.norm2(x), memory, memory_mask, memory_padding, memory_causal))
    return x + self.dropout3(feed_forward(self, self.norm3(x)))
  end
  x = self.norm1(x + self.dropout1(attend(self.self_attn, x, x, mask, padding, causal)))
  x = self.norm2(x + self.dropout2(attend(self.multihead_attn, x, memory, memory_mask, memory_padding, memory_causal)))
  return self.norm3(x + self.dropout3(feed_forward(self, x)))
end

local Decoder = Module:extend "TransformerDecoder"
local decoder_spec = args "TransformerDecoder(Module decoder_layer, int num_layers, Module norm=nil)"

--- num_layers copies of decoder_layer, then norm.
function Decoder:init(...)
  local decoder_layer, count, norm = decoder_spec(...)
  self.layers = clones(decoder_layer, count)
  self:_set { num_layers = count }
  self.norm = norm
end

local decoder_call = args("TransformerDecoder.forward" .. decoder_arguments:format "nil")

--- As for the layer. tgt_is_causal = nil: it is looked whether tgt_mask is the causal one.
function Decoder:forward(...)
  local x, memory, mask, memory_mask, padding, memory_padding, causal, memory_causal = decoder_call(...)
  causal = is_causal_mask(mask, causal, sequence_length(x, self.layers))
  for module in self.layers:iter() do
    x = module(x, memory, mask, memory_mask, padding, memory_padding, causal, memory_causal)
  end
  if self.norm ~= nil then x = self.norm(x) end
  return x
end

-- --- both ---------------------------------------------------------------------------------------------------
local Transformer = Module:extend "Transformer"
local transformer_spec = args [[Transformer(int d_model=512, int nhead=8, int num_encoder_layers=6,
  int num_decoder_layers=6, int dim_feedforward=2048, float dropout=0.1, any activation=nil, any custom_encoder=nil,
  any custom_decoder=nil, float layer_norm_eps=1e-05, bool batch_first=false, bool norm_first=false, bool bias=true,
  device device=nil, dtype dtype=nil)]]

--- An encoder and a decoder, or those given as custom_encoder and custom_decoder; matrices from the Xavier uniform
--- distribution.
function Transformer:init(...)
  local o = transformer_spec:collect(...)
  local function half(Layer, Stack, count)
    local module = Layer(o.d_model, o.nhead, o.dim_feedforward, o.dropout, o.activation, o.layer_norm_eps, o.batch_first,
      o.norm_first, o.bias, { device = o.device, dtype = o.dtype })
    local norm = LayerNorm(o.d_model, { eps = o.layer_norm_eps, bias = o.bias, device = o.device, dtype = o.dtype })
    return Stack(module, count, norm)
  end
  self.encoder = o.custom_encoder or half(EncoderLayer, Encoder, o.num_encoder_layers)
  self.decoder = o.custom_decoder or half(DecoderLayer, Decoder, o.num_decoder_layers)
  self:_reset_parameters()
  self:_set { d_model = o.d_model, nhead = o.nhead, batch_first = o.batch_first }
end

local transformer_call = args [[Transformer.forward(Tensor src, Tensor tgt, Tensor src_mask=nil, Tensor tgt_mask=nil,
  Tensor memory_mask=nil, Tensor src_key_padding_mask=nil, Tensor tgt_key_padding_mask=nil,
  Tensor memory_key_padding_mask=nil, bool src_is_causal=nil, bool tgt_is_causal=nil, bool memory_is_causal=false)]]

--- src (S, N, E) and tgt (T, N, E), or with batch_first (N, S, E) and (N, T, E), or without a batch: what the decoder
--- gives for tgt, of its shape.
function Transformer:forward(...)
  local o = transformer_call:collect(...)
  local src, tgt = o.src, o.tgt
  local batch_dim = self.batch_first and 0 or 1
  if src.ndim == 3 and (tgt.ndim <= batch_dim or src:size(batch_dim) ~= tgt:size(batch_dim)) then
    args.fail("Transformer", "the batch number of src and tgt must be equal, got shapes %s and %s", tostring(src.shape),
      tostring(tgt.shape))
  end
  if src:size(-1) ~= self.d_model or tgt:size(-1) ~= self.d_model then
    args.fail("Transformer", "the feature number of src and tgt must be equal to d_model (%d), got shapes %s and %s",
      self.d_model, tostring(src.shape), tostring(tgt.shape))
  end
  local memory = self.encoder(src, {
    mask = o.src_mask, src_key_padding_mask = o.src_key_padding_mask, is_causal = o.src_is_causal,
  })
  return self.decoder(tgt, memory, {
    tgt_mask = o.tgt_mask, memory_mask = o.memory_mask, tgt_key_padding_mask = o.tgt_key_padding_mask,
    memory_key_padding_mask = o.memory_key_padding_mask, tgt_is_causal = o.tgt_is_causal,
    memory_is_causal = o.memory_is_causal,
  })
end

local mask_spec = args "generate_square_subsequent_mask(int sz, device device=nil, dtype dtype=nil)"

--- nn.Transformer.generate_square_subsequent_mask(sz): the causal mask (sz, sz): 0 where a position may look, else -inf.
function Transformer.generate_square_subsequent_mask(...)
  if Module.is_module((...)) then return square_subsequent_mask(mask_spec(select(2, ...))) end
  return square_subsequent_mask(mask_spec(...))
end

function Transformer:_reset_parameters()
  for p in self:parameters() do
    if p.ndim > 1 then init.xavier_uniform_(p) end
  end
end

return {
  Transformer = Transformer, TransformerEncoder = Encoder, TransformerDecoder = Decoder,
  TransformerEncoderLayer = EncoderLayer, TransformerDecoderLayer = DecoderLayer,
}
