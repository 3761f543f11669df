-- MaxViT (Tu et al. 2022).
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local torch, F = zoo.torch, nn.functional
local Module = nn.Module
local Conv2dNormActivation = layers.Conv2dNormActivation
local family = {}

-- {height, width} after a 3x3 convolution of stride 2 and padding 1.
local function halved(size) return { (size[1] - 1) // 2 + 1, (size[2] - 1) // 2 + 1 } end

-- --- convolutions ----------------------------------------------------------------------------------
local MBConv = Module:extend "MBConv"
family.MBConv = MBConv
local conv_spec = args [[MBConv(int in_channels, int out_channels, float expansion_ratio, float squeeze_ratio, int stride,
  any activation_layer, any norm_layer, float p_stochastic_dropout=0.0)]]

--- Normalises, widens, convolves each channel by itself, squeezes and excites, narrows; with a shortcut round it all.
function MBConv:init(...)
  local o = conv_spec:collect(...)
  local from, to, norm, activation = o.in_channels, o.out_channels, o.norm_layer, o.activation_layer
  if o.stride ~= 1 or from ~= to then
    local proj = nn.Sequential()
    if o.stride == 2 then proj:append(nn.AvgPool2d(3, 2, 1)) end
    self.proj = proj:append(nn.Conv2d(from, to, 1))
  else
    self.proj = nn.Identity()
  end
  local wide, squeezed = math.tointeger(to * o.expansion_ratio // 1), math.tointeger(to * o.squeeze_ratio // 1)
  if o.p_stochastic_dropout ~= 0 then
    self.stochastic_depth = layers.StochasticDepth(o.p_stochastic_dropout, "row")
  else
    self.stochastic_depth = nn.Identity()
  end
  local function options(more)
    more.norm_layer, more.activation_layer, more.inplace = norm, activation, false
    return more
  end
  self.layers = nn.Sequential {
    { "pre_norm", norm(from) },
    { "conv_a", Conv2dNormActivation(from, wide, 1, 1, options { padding = 0 }) },
    { "conv_b", Conv2dNormActivation(wide, wide, 3, o.stride, options { padding = 1, groups = wide }) },
    { "squeeze_excitation", layers.SqueezeExcitation(wide, squeezed, { activation = nn.SiLU }) },
    { "conv_c", nn.Conv2d(wide, to, 1) },
  }
end

function MBConv:forward(x)
  return self.proj(x) + self.stochastic_depth(self.layers(x))
end

-- --- attention -------------------------------------------------------------------------------------
local RelativePositionalMultiHeadAttention = Module:extend "RelativePositionalMultiHeadAttention"
family.RelativePositionalMultiHeadAttention = RelativePositionalMultiHeadAttention
local attention_spec = args "RelativePositionalMultiHeadAttention(int feat_dim, int head_dim, int max_seq_len)"

--- Attention among the max_seq_len places of a square, with what is learned of their distances. (B, groups, places, feat_dim),
--- as the result.
function RelativePositionalMultiHeadAttention:init(...)
  local width, head_dim, count = attention_spec(...)
  if width % head_dim ~= 0 then
    args.fail("RelativePositionalMultiHeadAttention", "feat_dim: %d must be divisible by head_dim: %d", width, head_dim)
  end
  local heads, size = width // head_dim, math.tointeger(math.sqrt(count) // 1)
  self:_set { n_heads = heads, head_dim = head_dim, size = size, max_seq_len = count, scale_factor = width ^ -0.5 }
  self.to_qkv = nn.Linear(width, width * 3)
  self.merge = nn.Linear(width, width)
  self.relative_position_bias_table = nn.Parameter(torch.empty((2 * size - 1) ^ 2 // 1 | 0, heads))
  local index = require("lampad.vision.models.swin_transformer")._position_index(size, size)
  self:register_buffer("relative_position_index", index:view(size * size, size * size))
  nn.init.trunc_normal_(self.relative_position_bias_table, { std = 0.02 })
end

--- What is added to the scores: (1, heads, places, places).
function RelativePositionalMultiHeadAttention:get_relative_positional_bias()
  local count = self.max_seq_len
  local rows = self.relative_position_bias_table[self.relative_position_index:view(-1)]
  return rows:view(count, count, -1):permute(2, 0, 1):contiguous():unsqueeze(0)
end

function RelativePositionalMultiHeadAttention:forward(x)
  local batch, groups, places, width = x.shape:unpack()
  local parts = self.to_qkv(x):chunk(3, -1)
  for i = 1, 3 do
    parts[i] = parts[i]:reshape(batch, groups, places, self.n_heads, self.head_dim):permute(0, 1, 3, 2, 4)
  end
  local q, k, v = parts[1], parts[2] * self.scale_factor, parts[3]
  local scores = q:matmul(k:transpose(-2, -1)) + self:get_relative_positional_bias()
  local out = F.softmax(scores, { dim = -1 }):matmul(v)
  return self.merge(out:permute(0, 1, 3, 2, 4):reshape(batch, groups, places, width))
end

local SwapAxes = Module:extend "SwapAxes"
family.SwapAxes = SwapAxes
local swap_spec = args "SwapAxes(int a, int b)"

function SwapAxes:init(...)
  local a, b = swap_spec(...)
  self:_set { a = a, b = b }
end

function SwapAxes:forward(x) return x:transpose(self.a, self.b) end

local WindowPartition = Module:extend "WindowPartition"
family.WindowPartition = WindowPartition

--- (B, C, H, W) -> (B, squares, p * p, C), in squares of p x p.
function WindowPartition:forward(x, p)
  local batch, channels, height, width = x.shape:unpack()
  x = x:reshape(batch, channels, height // p, p, width // p, p):permute(0, 2, 4, 3, 5, 1)
  return x:reshape(batch, (height // p) * (width // p), p * p, channels)
end

local WindowDepartition = Module:extend "WindowDepartition"
family.WindowDepartition = WindowDepartition

--- Back, from h_partitions x w_partitions squares.
function WindowDepartition:forward(x, p, h_partitions, w_partitions)
  local batch, _, _, channels = x.shape:unpack()
  x = x:reshape(batch, h_partitions, w_partitions, p, p, channels):permute(0, 5, 1, 3, 2, 4)
  return x:reshape(batch, channels, h_partitions * p, w_partitions * p)
end

local PartitionAttentionLayer = Module:extend "PartitionAttentionLayer"
family.PartitionAttentionLayer = PartitionAttentionLayer
local partition_spec = args [[PartitionAttentionLayer(int in_channels, int head_dim, int partition_size, str partition_type,
  ints grid_size, int mlp_ratio, any activation_layer, any norm_layer, float attention_dropout, float mlp_dropout,
  float p_stochastic_dropout)]]

--- Attention and an MLP within squares of the image ("window") or among places spread evenly over it ("grid").
function PartitionAttentionLayer:init(...)
  local o = partition_spec:collect(...)
  local width, grid = o.in_channels, o.partition_type == "grid"
  if not grid and o.partition_type ~= "window" then
    args.fail("PartitionAttentionLayer", "partition_type must be either 'grid' or 'window', got '%s'", o.partition_type)
  end
  local partitions = o.grid_size[1] // o.partition_size
  self:_set { n_heads = width // o.head_dim, head_dim = o.head_dim, n_partitions = partitions, partition_type = o.partition_type,
    grid_size = o.grid_size, p = grid and partitions or o.partition_size, g = grid and o.partition_size or partitions }
  self.partition_op = WindowPartition()
  self.departition_op = WindowDepartition()
  self.partition_swap = grid and SwapAxes(-2, -3) or nn.Identity()
  self.departition_swap = grid and SwapAxes(-2, -3) or nn.Identity()
  self.attn_layer = nn.Sequential(o.norm_layer(width),
    RelativePositionalMultiHeadAttention(width, o.head_dim, o.partition_size ^ 2 // 1 | 0), nn.Dropout(o.attention_dropout))
  self.mlp_layer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width * o.mlp_ratio), o.activation_layer(),
    nn.Linear(width * o.mlp_ratio, width), nn.Dropout(o.mlp_dropout))
  self.stochastic_dropout = layers.StochasticDepth(o.p_stochastic_dropout, "row")
end

function PartitionAttentionLayer:forward(x)
  local p, size = self.p, self.grid_size
  if size[1] % p ~= 0 or size[2] % p ~= 0 then
    args.fail("PartitionAttentionLayer", "Grid size must be divisible by partition size. Got grid size of (%d, %d) and partition "
      .. "size of %d", size[1], size[2], p)
  end
  x = self.partition_swap(self.partition_op(x, p))
  x = x + self.stochastic_dropout(self.attn_layer(x))
  x = x + self.stochastic_dropout(self.mlp_layer(x))
  return self.departition_op(self.departition_swap(x), p, size[1] // p, size[2] // p)
end

-- --- the network -----------------------------------------------------------------------------------
local shared_arguments = [[float squeeze_ratio, float expansion_ratio, %sany norm_layer, any activation_layer, int head_dim,
  int mlp_ratio, float mlp_dropout, float attention_dropout, ]]

local MaxVitLayer = Module:extend "MaxVitLayer"
family.MaxVitLayer = MaxVitLayer
local layer_spec = args("MaxVitLayer(int in_channels, int out_channels, " .. shared_arguments:format "int stride, "
  .. "float p_stochastic_dropout, int partition_size, ints grid_size)")

--- A convolution block, attention in windows, attention on a grid.
function MaxVitLayer:init(...)
  local o = layer_spec:collect(...)
  local function attention(kind)
    return PartitionAttentionLayer {
      in_channels = o.out_channels, head_dim = o.head_dim, partition_size = o.partition_size, partition_type = kind,
      grid_size = o.grid_size, mlp_ratio = o.mlp_ratio, activation_layer = o.activation_layer, norm_layer = nn.LayerNorm,
      attention_dropout = o.attention_dropout, mlp_dropout = o.mlp_dropout, p_stochastic_dropout = o.p_stochastic_dropout,
    }
  end
  local seq = nn.Sequential()
  seq:add_module("MBconv", MBConv(o.in_channels, o.out_channels, o.expansion_ratio, o.squeeze_ratio, o.stride,
    o.activation_layer, o.norm_layer, o.p_stochastic_dropout))
  seq:add_module("window_attention", attention "window")
  seq:add_module("grid_attention", attention "grid")
  self.layers = seq
end

function MaxVitLayer:forward(x) return self.layers(x) end

local MaxVitBlock = Module:extend "MaxVitBlock"
family.MaxVitBlock = MaxVitBlock
local block_spec = args("MaxVitBlock(int in_channels, int out_channels, " .. shared_arguments:format ""
  .. "int partition_size, ints input_grid_size, int n_layers, floats p_stochastic)")

--- n_layers layers, the first of which halves the size.
function MaxVitBlock:init(...)
  local o = block_spec:collect(...)
  if #o.p_stochastic ~= o.n_layers then
    args.fail("MaxVitBlock", "p_stochastic must have length n_layers=%d, got %d", o.n_layers, #o.p_stochastic)
  end
  local size = halved(o.input_grid_size)
  self.layers = nn.ModuleList()
  self:_set { grid_size = size }
  for i, depth_prob in ipairs(o.p_stochastic) do
    self.layers:append(MaxVitLayer {
      in_channels = i == 1 and o.in_channels or o.out_channels, out_channels = o.out_channels, squeeze_ratio = o.squeeze_ratio,
      expansion_ratio = o.expansion_ratio, stride = i == 1 and 2 or 1, norm_layer = o.norm_layer,
      activation_layer = o.activation_layer, head_dim = o.head_dim, mlp_ratio = o.mlp_ratio, mlp_dropout = o.mlp_dropout,
      attention_dropout = o.attention_dropout, partition_size = o.partition_size, grid_size = size,
      p_stochastic_dropout = depth_prob,
    })
  end
end

function MaxVitBlock:forward(x)
  for layer in self.layers:iter() do x = layer(x) end
  return x
end

local MaxVit = Module:extend "MaxVit"
family.MaxVit = MaxVit
local spec = args [[MaxVit(ints input_size, int stem_channels, int partition_size, ints block_channels, ints block_layers,
  int head_dim, float stochastic_depth_prob, any norm_layer=nil, any activation_layer=nil, float squeeze_ratio=0.25,
  float expansion_ratio=4, int mlp_ratio=4, float mlp_dropout=0.0, float attention_dropout=0.0, int num_classes=1000)]]

--- input_size: {height, width} of the images, which every block must be able to cut into partitions. Images (N, 3, height,
--- width) -> logits (N, num_classes).
function MaxVit:init(...)
  local o = spec:collect(...)
  local norm, activation = o.norm_layer or zoo.with("BatchNorm2d", { eps = 0.001, momentum = 0.01 }), o.activation_layer or nn.GELU
  local size = halved(args.tuple("MaxVit", "input_size", o.input_size, 2))
  local inner = size
  for i = 1, #o.block_channels do
    inner = halved(inner)
    if inner[1] % o.partition_size ~= 0 or inner[2] % o.partition_size ~= 0 then
      args.fail("MaxVit", "Input size (%d, %d) of block %d is not divisible by partition size %d. Consider changing the partition "
        .. "size or the input size.", inner[1], inner[2], i - 1, o.partition_size)
    end
  end
  self.stem = nn.Sequential(
    Conv2dNormActivation(3, o.stem_channels, 3, 2, { norm_layer = norm, activation_layer = activation, bias = false, inplace = false }),
    Conv2dNormActivation(o.stem_channels, o.stem_channels, 3, 1, { norm_layer = false, activation_layer = false, bias = true }))
  self:_set { partition_size = o.partition_size }
  self.blocks = nn.ModuleList()
  local total, at, from = zoo.sum(o.block_layers), 0, o.stem_channels
  local step = o.stochastic_depth_prob / (total - 1)
  for i, to in ipairs(o.block_channels) do
    local depth_probs = {}
    for k = 1, o.block_layers[i] do
      depth_probs[k] = at == total - 1 and o.stochastic_depth_prob or at * step
      at = at + 1
    end
    local block = MaxVitBlock {
      in_channels = from, out_channels = to, squeeze_ratio = o.squeeze_ratio, expansion_ratio = o.expansion_ratio,
      norm_layer = norm, activation_layer = activation, head_dim = o.head_dim, mlp_ratio = o.mlp_ratio,
      mlp_dropout = o.mlp_dropout, attention_dropout = o.attention_dropout, partition_size = o.partition_size,
      input_grid_size = size, n_layers = o.block_layers[i], p_stochastic = depth_probs,
    }
    self.blocks:append(block)
    size, from = block.grid_size, to
  end
  self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(from), nn.Linear(from, from), nn.Tanh(),
    nn.Linear(from, o.num_classes, { bias = false }))
  zoo.fill(self, {
    { nn.Conv2d, nn.Linear, function(m)
      nn.init.normal_(m.weight, { std = 0.02 })
      zoo.zero_bias(m)
    end },
    { nn.BatchNorm2d, zoo.unit },
  })
end

function MaxVit:forward(x)
  x = self.stem(x)
  for block in self.blocks:iter() do x = block(x) end
  return self.classifier(x)
end

family.maxvit_t = zoo.builder("maxvit_t", {
  prepare = function(options, weights) zoo.determine("maxvit_t", options, "input_size", weights.meta.min_size) end,
  build = function(options)
    local input_size = options.input_size or { 224, 224 }
    options.input_size = nil
    options.stochastic_depth_prob = options.stochastic_depth_prob or 0.2
    return MaxVit(input_size, 64, 7, { 64, 128, 256, 512 }, { 2, 2, 5, 2 }, 32, options)
  end,
})

return family
