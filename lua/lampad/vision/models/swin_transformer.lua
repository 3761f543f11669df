-- Swin Transformer (Liu et al. 2021) and Swin Transformer V2 (Liu et al. 2022).
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local layers = require "lampad.vision.ops.layers"

local torch, F = zoo.torch, nn.functional
local Module = nn.Module
local family = {}

-- --- patches ---------------------------------------------------------------------------------------
-- (..., H, W, C) -> (..., H / 2, W / 2, 4 C): the four neighbours one after the other, column by column.
local function gather_patches(x)
  local height, width = x:size(-3), x:size(-2)
  x = F.pad(x, { 0, 0, 0, width % 2, 0, height % 2 })
  return torch.cat({ x["..., 0::2, 0::2, :"], x["..., 1::2, 0::2, :"], x["..., 0::2, 1::2, :"], x["..., 1::2, 1::2, :"] }, -1)
end

for version = 1, 2 do
  local name = version == 1 and "PatchMerging" or "PatchMergingV2"
  local PatchMerging = Module:extend(name)
  local spec = args(name .. "(int dim, any norm_layer=nil)")

  --- Half the height and width, twice the channels: (..., H, W, dim) -> (..., H / 2, W / 2, 2 * dim). Version 2 normalises
  --- after the linear layer.
  function PatchMerging:init(...)
    local dim, norm = spec(...)
    self:_set { dim = dim }
    self.reduction = nn.Linear(4 * dim, 2 * dim, { bias = false })
    self.norm = (norm or nn.LayerNorm)((version == 1 and 4 or 2) * dim)
  end

  function PatchMerging:forward(x)
    x = gather_patches(x)
    if version == 1 then return self.reduction(self.norm(x)) end
    return self.norm(self.reduction(x))
  end
  family[name] = PatchMerging
end

-- --- attention within windows ----------------------------------------------------------------------
-- (B, H, W, C) -> (B * windows, h * w, C), for windows of h x w.
local function to_windows(x, h, w)
  local batch, height, width, channels = x.shape:unpack()
  x = x:view(batch, height // h, h, width // w, w, channels)
  return x:permute(0, 1, 3, 2, 4, 5):reshape(-1, h * w, channels)
end

local function from_windows(x, h, w, batch, height, width)
  x = x:view(batch, height // h, width // w, h, w, -1)
  return x:permute(0, 1, 3, 2, 4, 5):reshape(batch, height, width, -1)
end

-- Where windows that a shift made reach over an edge: (windows, h * w, h * w), -100 between places of different regions, 0
-- else.
local function shift_mask(like, height, width, h, w, shift)
  local regions = like:new_zeros { 1, height, width, 1 }
  local count = 0
  local function bounds(size, window, by) return { { 0, size - window }, { size - window, size - by }, { size - by, size } } end
  for _, rows in ipairs(bounds(height, h, shift[1])) do
    for _, columns in ipairs(bounds(width, w, shift[2])) do
      -- A shift of 0 leaves the last region empty and the whole window in the one before it.
      local region = regions:narrow(1, rows[1], rows[2] - rows[1]):narrow(2, columns[1], columns[2] - columns[1])
      region:fill_(count)
      count = count + 1
    end
  end
  local flat = to_windows(regions, h, w):squeeze(-1)
  local difference = flat:unsqueeze(1) - flat:unsqueeze(2)
  return difference:ne(0):to(like.dtype):mul_(-100.0)
end

-- options: window, shift, heads, weights and biases of the linear layers, relative_bias, logit_scale, attention_dropout,
-- dropout, training.
local function attend(input, o)
  local batch, height, width, channels = input.shape:unpack()
  local h, w = o.window[1], o.window[2]
  local pad_right, pad_bottom = -width % w, -height % h
  local x = F.pad(input, { 0, 0, 0, pad_right, 0, pad_bottom })
  local padded_height, padded_width = height + pad_bottom, width + pad_right
  -- A window as large as the image needs no shift.
  local shift = { h < padded_height and o.shift[1] or 0, w < padded_width and o.shift[2] or 0 }
  local shifted = shift[1] + shift[2] > 0
  if shifted then x = x:roll({ -shift[1], -shift[2] }, { 1, 2 }) end
  x = to_windows(x, h, w)
  local count, area, heads = x:size(0), h * w, o.heads
  local qkv_bias = o.qkv_bias
  if o.logit_scale ~= nil and qkv_bias ~= nil then -- keys have no bias
    qkv_bias = qkv_bias:clone()
    qkv_bias:narrow(0, qkv_bias:numel() // 3, qkv_bias:numel() // 3):zero_()
  end
  local qkv = F.linear(x, o.qkv_weight, qkv_bias):reshape(count, area, 3, heads, channels // heads):permute(2, 0, 3, 1, 4)
  local q, k, v = qkv[0], qkv[1], qkv[2]
  local scores
  if o.logit_scale ~= nil then -- cosine attention
    scores = F.normalize(q, { dim = -1 }):matmul(F.normalize(k, { dim = -1 }):transpose(-2, -1))
    scores = scores * o.logit_scale:clamp { max = math.log(100.0) }:exp()
  else
    scores = (q * (channels // heads) ^ -0.5):matmul(k:transpose(-2, -1))
  end
  scores = scores + o.relative_bias
  if shifted then
    local mask = shift_mask(x, padded_height, padded_width, h, w, shift)
    local windows = mask:size(0)
    scores = scores:view(count // windows, windows, heads, area, area) + mask:unsqueeze(1):unsqueeze(0)
    scores = scores:view(-1, heads, area, area)
  end
  scores = F.dropout(F.softmax(scores, { dim = -1 }), o.attention_dropout, o.training)
  x = scores:matmul(v):transpose(1, 2):reshape(count, area, channels)
  x = F.dropout(F.linear(x, o.proj_weight, o.proj_bias), o.dropout, o.training)
  x = from_windows(x, h, w, batch, padded_height, padded_width)
  if shifted then x = x:roll(shift, { 1, 2 }) end
  return x:narrow(1, 0, height):narrow(2, 0, width):contiguous()
end

-- For places i, j of a window of h x w: the row of (2 h - 1) (2 w - 1) that their distance stands for, (h * w * h * w).
local function position_index(h, w)
  local grid = torch.meshgrid({ torch.arange(h), torch.arange(w) }, { indexing = "ij" })
  local y, x = grid[1]:flatten(), grid[2]:flatten()
  local dy, dx = y:unsqueeze(1) - y:unsqueeze(0) + (h - 1), x:unsqueeze(1) - x:unsqueeze(0) + (w - 1)
  return (dy * (2 * w - 1) + dx):flatten()
end
family._position_index = position_index

local ShiftedWindowAttention = Module:extend "ShiftedWindowAttention"
family.ShiftedWindowAttention = ShiftedWindowAttention
local attention_arguments = [[(int dim, ints window_size, ints shift_size, int num_heads, bool qkv_bias=true,
  bool proj_bias=true, float attention_dropout=0.0, float dropout=0.0)]]
local attention_spec = args("ShiftedWindowAttention" .. attention_arguments)

--- Attention within windows of window_size, which shift_size moves. (B, H, W, dim), as the result.
function ShiftedWindowAttention:init(...)
  self:_setup(attention_spec:collect(...))
end

function ShiftedWindowAttention:_setup(o)
  for _, name in ipairs { "window_size", "shift_size" } do o[name] = args.tuple(self.__name, name, o[name], 2) end
  self:_set { window_size = o.window_size, shift_size = o.shift_size, num_heads = o.num_heads,
    attention_dropout = o.attention_dropout, dropout = o.dropout }
  self.qkv = nn.Linear(o.dim, o.dim * 3, { bias = o.qkv_bias })
  self.proj = nn.Linear(o.dim, o.dim, { bias = o.proj_bias })
  self:define_relative_position_bias_table()
  self:register_buffer("relative_position_index", position_index(o.window_size[1], o.window_size[2]))
end

function ShiftedWindowAttention:define_relative_position_bias_table()
  local h, w = self.window_size[1], self.window_size[2]
  self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * h - 1) * (2 * w - 1), self.num_heads))
  nn.init.trunc_normal_(self.relative_position_bias_table, { std = 0.02 })
end

-- A table (distances, heads) -> (1, heads, places, places).
function ShiftedWindowAttention:_bias_from(rows)
  local area = self.window_size[1] * self.window_size[2]
  return rows[self.relative_position_index]:view(area, area, -1):permute(2, 0, 1):contiguous():unsqueeze(0)
end

--- What is added to the scores: (1, num_heads, places, places).
function ShiftedWindowAttention:get_relative_position_bias() return self:_bias_from(self.relative_position_bias_table) end

function ShiftedWindowAttention:forward(x)
  return attend(x, {
    window = self.window_size, shift = self.shift_size, heads = self.num_heads, qkv_weight = self.qkv.weight,
    qkv_bias = self.qkv.bias, proj_weight = self.proj.weight, proj_bias = self.proj.bias,
    relative_bias = self:get_relative_position_bias(), logit_scale = self.logit_scale,
    attention_dropout = self.attention_dropout, dropout = self.dropout, training = self.training,
  })
end

local ShiftedWindowAttentionV2 = ShiftedWindowAttention:extend "ShiftedWindowAttentionV2"
family.ShiftedWindowAttentionV2 = ShiftedWindowAttentionV2
local attention_v2_spec = args("ShiftedWindowAttentionV2" .. attention_arguments)

--- Cosine attention; what is added to the scores comes from a small network of the distances.
function ShiftedWindowAttentionV2:init(...)
  local o = attention_v2_spec:collect(...)
  self:_setup(o)
  self.logit_scale = nn.Parameter((torch.ones(o.num_heads, 1, 1) * 10):log())
  self.cpb_mlp = nn.Sequential(nn.Linear(2, 512), nn.ReLU(true), nn.Linear(512, o.num_heads, { bias = false }))
  local bias = self.qkv.bias
  if bias ~= nil then
    torch.no_grad(function() bias:narrow(0, bias:numel() // 3, bias:numel() // 3):zero_() end)
  end
end

-- Distances on a logarithmic scale: (1, 2 h - 1, 2 w - 1, 2).
function ShiftedWindowAttentionV2:define_relative_position_bias_table()
  local h, w = self.window_size[1], self.window_size[2]
  local grid = torch.meshgrid({ torch.arange(1 - h, h, { dtype = torch.float32 }), torch.arange(1 - w, w, { dtype = torch.float32 }) },
    { indexing = "ij" })
  local distances = torch.stack({ grid[1] / (h - 1), grid[2] / (w - 1) }, -1):unsqueeze(0) * 8
  self:register_buffer("relative_coords_table", distances:sign() * (distances:abs() + 1.0):log2() / 3.0)
end

function ShiftedWindowAttentionV2:get_relative_position_bias()
  local rows = self.cpb_mlp(self.relative_coords_table):view(-1, self.num_heads)
  return self:_bias_from(rows):sigmoid() * 16
end

-- --- blocks ----------------------------------------------------------------------------------------
local block_arguments = [[(int dim, int num_heads, ints window_size, ints shift_size, float mlp_ratio=4.0, float dropout=0.0,
  float attention_dropout=0.0, float stochastic_depth_prob=0.0, any norm_layer=nil, any attn_layer=nil)]]

local SwinTransformerBlock = Module:extend "SwinTransformerBlock"
family.SwinTransformerBlock = SwinTransformerBlock
local block_spec = args("SwinTransformerBlock" .. block_arguments)

--- Attention and an MLP, each after a normalisation and with a shortcut round it. (B, H, W, dim), as the result.
function SwinTransformerBlock:init(...) self:_setup(block_spec:collect(...), ShiftedWindowAttention) end

function SwinTransformerBlock:_setup(o, Attention)
  local norm = o.norm_layer or nn.LayerNorm
  self.norm1 = norm(o.dim)
  self.attn = (o.attn_layer or Attention)(o.dim, o.window_size, o.shift_size, o.num_heads,
    { attention_dropout = o.attention_dropout, dropout = o.dropout })
  self.stochastic_depth = layers.StochasticDepth(o.stochastic_depth_prob, "row")
  self.norm2 = norm(o.dim)
  self.mlp = layers.MLP(o.dim, { math.tointeger(o.dim * o.mlp_ratio // 1), o.dim },
    { activation_layer = nn.GELU, dropout = o.dropout })
  zoo.fill(self.mlp, { { nn.Linear, function(m)
    nn.init.xavier_uniform_(m.weight)
    if m.bias ~= nil then nn.init.normal_(m.bias, { std = 1e-6 }) end
  end } })
end

function SwinTransformerBlock:forward(x)
  x = x + self.stochastic_depth(self.attn(self.norm1(x)))
  return x + self.stochastic_depth(self.mlp(self.norm2(x)))
end

local SwinTransformerBlockV2 = SwinTransformerBlock:extend "SwinTransformerBlockV2"
family.SwinTransformerBlockV2 = SwinTransformerBlockV2
local block_v2_spec = args("SwinTransformerBlockV2" .. block_arguments)

--- The same with the normalisations after attention and MLP.
function SwinTransformerBlockV2:init(...) self:_setup(block_v2_spec:collect(...), ShiftedWindowAttentionV2) end

function SwinTransformerBlockV2:forward(x)
  x = x + self.stochastic_depth(self.norm1(self.attn(x)))
  return x + self.stochastic_depth(self.norm2(self.mlp(x)))
end

-- --- the network -----------------------------------------------------------------------------------
local SwinTransformer = Module:extend "SwinTransformer"
family.SwinTransformer = SwinTransformer
local spec = args [[SwinTransformer(ints patch_size, int embed_dim, ints depths, ints num_heads, ints window_size,
  float mlp_ratio=4.0, float dropout=0.0, float attention_dropout=0.0, float stochastic_depth_prob=0.1, int num_classes=1000,
  any norm_layer=nil, any block=nil, any downsample_layer=nil)]]

--- depths, num_heads: of the stages, each of which has twice the width of the one before. Images (N, 3, H, W) -> logits
--- (N, num_classes).
function SwinTransformer:init(...)
  local o = spec:collect(...)
  local norm, block = o.norm_layer or nn.LayerNorm, o.block or SwinTransformerBlock
  local window = args.tuple("SwinTransformer", "window_size", o.window_size, 2)
  local patch = args.tuple("SwinTransformer", "patch_size", o.patch_size, 2)
  self:_set { num_classes = o.num_classes }
  local features = nn.Sequential(nn.Sequential(nn.Conv2d(3, o.embed_dim, patch, patch), layers.Permute { 0, 2, 3, 1 },
    norm(o.embed_dim)))
  local total, at, dim = zoo.sum(o.depths), 0, o.embed_dim
  for i, depth in ipairs(o.depths) do
    local stage = nn.Sequential()
    for k = 1, depth do
      local shift = k % 2 == 1 and { 0, 0 } or { window[1] // 2, window[2] // 2 }
      stage:append(block(dim, o.num_heads[i], {
        window_size = window, shift_size = shift, mlp_ratio = o.mlp_ratio, dropout = o.dropout,
        attention_dropout = o.attention_dropout, stochastic_depth_prob = o.stochastic_depth_prob * at / (total - 1),
        norm_layer = norm,
      }))
      at = at + 1
    end
    features:append(stage)
    if i < #o.depths then
      features:append((o.downsample_layer or family.PatchMerging)(dim, norm))
      dim = 2 * dim
    end
  end
  self.features = features
  self.norm = norm(dim)
  self.permute = layers.Permute { 0, 3, 1, 2 }
  self.avgpool = nn.AdaptiveAvgPool2d(1)
  self.flatten = nn.Flatten(1)
  self.head = nn.Linear(dim, o.num_classes)
  zoo.fill(self, { { nn.Linear, function(m)
    nn.init.trunc_normal_(m.weight, { std = 0.02 })
    zoo.zero_bias(m)
  end } })
end

function SwinTransformer:forward(x)
  x = self.permute(self.norm(self.features(x)))
  return self.head(self.flatten(self.avgpool(x)))
end

-- --- the builders --------------------------------------------------------------------------------------
-- Width, blocks of the third stage (the others have 2), heads of the first (each later one has twice as many), depth.
for size, row in pairs { t = { 96, 6, 3, 0.2 }, s = { 96, 18, 3, 0.3 }, b = { 128, 18, 4, 0.5 } } do
  for version = 1, 2 do
    local name = (version == 1 and "swin_" or "swin_v2_") .. size
    family[name] = zoo.builder(name, {
      build = function(options)
        local width, third, heads, depth_prob = table.unpack(row)
        local window = version == 1 and 7 or 8
        options.stochastic_depth_prob = options.stochastic_depth_prob or depth_prob
        if version == 2 then
          options.block = options.block or SwinTransformerBlockV2
          options.downsample_layer = options.downsample_layer or family.PatchMergingV2
        end
        return SwinTransformer({ 4, 4 }, width, { 2, 2, third, 2 }, { heads, 2 * heads, 4 * heads, 8 * heads }, { window, window },
          options)
      end,
    })
  end
end

return family
