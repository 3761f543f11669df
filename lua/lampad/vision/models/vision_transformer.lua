-- Vision Transformer (Dosovitskiy et al. 2021).
local args = require "lampad.args"
local class = require "lampad.class"
local nn = require "lampad.nn"
local OrderedDict = require "lampad.ordered_dict"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local torch, F = zoo.torch, nn.functional
local layer_norm = zoo.with("LayerNorm", { eps = 1e-6 })

--- A convolution of a stem (Xiao et al. 2021) in the place of the patches: ConvStemConfig(out_channels, kernel_size, stride).
local ConvStemConfig = class.extend(class.Object, "ConvStemConfig")
local stem_spec = args "ConvStemConfig(int out_channels, int kernel_size, int stride, any norm_layer=nil, any activation_layer=nil)"

function ConvStemConfig:init(...)
  for name, value in pairs(stem_spec:collect(...)) do self[name] = value end
  self.norm_layer, self.activation_layer = self.norm_layer or nn.BatchNorm2d, self.activation_layer or nn.ReLU
end

-- --- the encoder -----------------------------------------------------------------------------------
local MLPBlock = layers.MLP:extend "MLPBlock"
MLPBlock._version = 2
local mlp_spec = args "MLPBlock(int in_dim, int mlp_dim, float dropout)"

--- Two linear layers with GELU between them.
function MLPBlock:init(...)
  local width, inner, dropout = mlp_spec(...)
  layers.MLP.init(self, width, { inner, width }, { activation_layer = nn.GELU, dropout = dropout })
  zoo.fill(self, { { nn.Linear, function(m)
    nn.init.xavier_uniform_(m.weight)
    if m.bias ~= nil then nn.init.normal_(m.bias, { std = 1e-6 }) end
  end } })
end

-- Files of version 1 name the linear layers linear_1 and linear_2.
function MLPBlock:_load_from_state_dict(state, prefix, metadata, ...)
  if metadata.version == nil or metadata.version < 2 then
    for i = 0, 1 do
      for _, part in ipairs { "weight", "bias" } do
        local value = OrderedDict.pop(state, ("%slinear_%d.%s"):format(prefix, i + 1, part))
        if value ~= nil then state[("%s%d.%s"):format(prefix, 3 * i, part)] = value end
      end
    end
  end
  nn.Module._load_from_state_dict(self, state, prefix, metadata, ...)
end

local function check_sequence(what, input)
  if input.ndim ~= 3 then
    args.fail(what, "Expected (batch_size, seq_length, hidden_dim) got %s", tostring(input.shape))
  end
end

local EncoderBlock = nn.Module:extend "EncoderBlock"
local block_spec = args [[EncoderBlock(int num_heads, int hidden_dim, int mlp_dim, float dropout, float attention_dropout,
  any norm_layer=nil)]]

--- Self-attention and an MLP, each after a LayerNorm and with a shortcut round it. (N, S, hidden_dim), as the result.
function EncoderBlock:init(...)
  local heads, width, mlp_dim, dropout, attention_dropout, norm = block_spec(...)
  norm = norm or layer_norm
  self:_set { num_heads = heads }
  self.ln_1 = norm(width)
  self.self_attention = nn.MultiheadAttention(width, heads, { dropout = attention_dropout, batch_first = true })
  self.dropout = nn.Dropout(dropout)
  self.ln_2 = norm(width)
  self.mlp = MLPBlock(width, mlp_dim, dropout)
end

function EncoderBlock:forward(input)
  check_sequence("EncoderBlock", input)
  local x = self.ln_1(input)
  x = self.dropout((self.self_attention(x, x, x, { need_weights = false }))) + input
  return x + self.mlp(self.ln_2(x))
end

local Encoder = nn.Module:extend "Encoder"
local encoder_spec = args [[Encoder(int seq_length, int num_layers, int num_heads, int hidden_dim, int mlp_dim, float dropout,
  float attention_dropout, any norm_layer=nil)]]

--- Adds what is learned of the positions and runs the blocks.
function Encoder:init(...)
  local o = encoder_spec:collect(...)
  local norm = o.norm_layer or layer_norm
  self.pos_embedding = nn.Parameter(torch.empty(1, o.seq_length, o.hidden_dim):normal_(0, 0.02))
  self.dropout = nn.Dropout(o.dropout)
  local blocks = nn.Sequential()
  for i = 0, o.num_layers - 1 do
    blocks:add_module("encoder_layer_" .. i,
      EncoderBlock(o.num_heads, o.hidden_dim, o.mlp_dim, o.dropout, o.attention_dropout, norm))
  end
  self.layers = blocks
  self.ln = norm(o.hidden_dim)
end

function Encoder:forward(input)
  check_sequence("Encoder", input)
  return self.ln(self.layers(self.dropout(input + self.pos_embedding)))
end

-- --- the network -----------------------------------------------------------------------------------
local VisionTransformer = nn.Module:extend "VisionTransformer"
local spec = args [[VisionTransformer(int image_size, int patch_size, int num_layers, int num_heads, int hidden_dim, int mlp_dim,
  float dropout=0.0, float attention_dropout=0.0, int num_classes=1000, int representation_size=nil, any norm_layer=nil,
  any conv_stem_configs=nil)]]

local function conv_stem(configs, width)
  local stem, from = nn.Sequential(), 3
  for i, c in ipairs(configs) do
    stem:add_module("conv_bn_relu_" .. i - 1, layers.Conv2dNormActivation(from, c.out_channels, c.kernel_size, c.stride,
      { norm_layer = c.norm_layer, activation_layer = c.activation_layer }))
    from = c.out_channels
  end
  stem:add_module("conv_last", nn.Conv2d(from, width, 1))
  return stem
end

--- Images (N, 3, image_size, image_size) -> logits (N, num_classes). representation_size: a layer before the last;
--- conv_stem_configs: a list of ConvStemConfig.
function VisionTransformer:init(...)
  local o = spec:collect(...)
  if o.image_size % o.patch_size ~= 0 then
    args.fail("VisionTransformer", "Input shape indivisible by patch size! (image_size %d, patch_size %d)", o.image_size, o.patch_size)
  end
  local norm, width = o.norm_layer or layer_norm, o.hidden_dim
  self:_set { image_size = o.image_size, patch_size = o.patch_size, hidden_dim = width, mlp_dim = o.mlp_dim,
    attention_dropout = o.attention_dropout, dropout = o.dropout, num_classes = o.num_classes,
    representation_size = o.representation_size, norm_layer = norm, seq_length = (o.image_size // o.patch_size) ^ 2 // 1 | 0 }
  self:_set { seq_length = self.seq_length + 1 } -- and the class token
  if o.conv_stem_configs then
    self.conv_proj = conv_stem(o.conv_stem_configs, width)
  else
    self.conv_proj = nn.Conv2d(3, width, o.patch_size, o.patch_size)
  end
  self.class_token = nn.Parameter(torch.zeros(1, 1, width))
  self.encoder = Encoder(self.seq_length, o.num_layers, o.num_heads, width, o.mlp_dim, o.dropout, o.attention_dropout, norm)
  local heads = nn.Sequential()
  if o.representation_size then
    heads:add_module("pre_logits", nn.Linear(width, o.representation_size))
    heads:add_module("act", nn.Tanh())
  end
  heads:add_module("head", nn.Linear(o.representation_size or width, o.num_classes))
  self.heads = heads
  self:_fill()
end

-- Weights and biases after the layers' own; the last layer starts with zeros.
function VisionTransformer:_fill()
  local stem, pre_logits, head = self.conv_proj, self.heads.pre_logits, self.heads.head
  local last = stem.conv_last
  if last ~= nil then
    nn.init.normal_(last.weight, 0.0, math.sqrt(2.0 / last.out_channels))
    zoo.zero_bias(last)
  else
    local fan_in = stem.in_channels * stem.kernel_size[1] * stem.kernel_size[2]
    nn.init.trunc_normal_(stem.weight, { std = math.sqrt(1 / fan_in) })
    zoo.zero_bias(stem)
  end
  if pre_logits ~= nil then
    nn.init.trunc_normal_(pre_logits.weight, { std = math.sqrt(1 / pre_logits.in_features) })
    zoo.zero_bias(pre_logits)
  end
  nn.init.zeros_(head.weight)
  zoo.zero_bias(head)
end

-- (N, 3, H, W) -> (N, patches, hidden_dim).
function VisionTransformer:_process_input(x)
  local n, _, height, width = x.shape:unpack()
  if height ~= self.image_size or width ~= self.image_size then
    args.fail("VisionTransformer", "Wrong image size! Expected %d x %d but got %d x %d; make the network with another "
      .. "image_size", self.image_size, self.image_size, height, width)
  end
  return self.conv_proj(x):reshape(n, self.hidden_dim, -1):permute(0, 2, 1)
end

function VisionTransformer:forward(x)
  if x.ndim ~= 4 then
    args.fail("VisionTransformer", "expected images (N, 3, H, W), got shape %s", tostring(x.shape))
  end
  x = self:_process_input(x)
  x = torch.cat({ self.class_token:expand(x:size(0), -1, -1), x }, 1)
  return self.heads(self.encoder(x):select(1, 0))
end

-- --- other image sizes --------------------------------------------------------------------------------
local interpolate_spec = args [[interpolate_embeddings(int image_size, int patch_size, any model_state,
  str interpolation_mode='bicubic', bool reset_heads=false)]]

--- interpolate_embeddings(image_size, patch_size, state_dict): the state_dict of a network for images of another size, its
--- embeddings of the positions interpolated; reset_heads leaves the entries of the heads out.
local function interpolate_embeddings(...)
  local image_size, patch_size, state, mode, reset_heads = interpolate_spec(...)
  local embedding = state["encoder.pos_embedding"]
  local n, length, width = embedding.shape:unpack()
  if n ~= 1 then
    args.fail("interpolate_embeddings", "Unexpected position embedding shape: %s", tostring(embedding.shape))
  end
  local edge = image_size // patch_size
  if edge * edge + 1 == length then return state end
  local old_edge = math.tointeger(math.sqrt(length - 1) // 1)
  if old_edge * old_edge ~= length - 1 then
    args.fail("interpolate_embeddings", "the number of positions (%d) is not a perfect square", length - 1)
  end
  local grid = embedding:narrow(1, 1, length - 1):permute(0, 2, 1):reshape(1, width, old_edge, old_edge)
  grid = F.interpolate(grid, { size = { edge, edge }, mode = mode, align_corners = true })
  grid = grid:reshape(1, width, edge * edge):permute(0, 2, 1)
  state["encoder.pos_embedding"] = torch.cat({ embedding:narrow(1, 0, 1), grid }, 1)
  if not reset_heads then return state end
  local kept = OrderedDict()
  for key, value in OrderedDict.items(OrderedDict.is(state) and state or OrderedDict(state)) do
    if key:sub(1, 5) ~= "heads" then kept[key] = value end
  end
  return kept
end

-- --- the builders --------------------------------------------------------------------------------------
local family = {
  VisionTransformer = VisionTransformer, ConvStemConfig = ConvStemConfig, MLPBlock = MLPBlock, EncoderBlock = EncoderBlock,
  Encoder = Encoder, interpolate_embeddings = interpolate_embeddings,
}

-- Patch size, layers, heads, width, width of the MLPs.
for name, row in pairs {
  vit_b_16 = { 16, 12, 12, 768, 3072 }, vit_b_32 = { 32, 12, 12, 768, 3072 }, vit_l_16 = { 16, 24, 16, 1024, 4096 },
  vit_l_32 = { 32, 24, 16, 1024, 4096 }, vit_h_14 = { 14, 32, 16, 1280, 5120 },
} do
  family[name] = zoo.builder(name, {
    prepare = function(options, weights) zoo.determine(name, options, "image_size", weights.meta.min_size[1]) end,
    build = function(options)
      local image_size = options.image_size or 224
      options.image_size = nil
      local patch, count, heads, width, mlp_dim = table.unpack(row)
      return VisionTransformer(image_size, patch, count, heads, width, mlp_dim, options)
    end,
  })
end

return family
