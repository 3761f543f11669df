-- MNASNet (Tan et al. 2019).
local args = require "lampad.args"
local text = require "lampad.text"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"

-- The paper's momentum of 0.9997, from the other side.
local norm_options = { momentum = 1 - 0.9997 }

local function conv(seq, from, to, kernel, stride, groups, options)
  seq:append(nn.Conv2d(from, to, kernel, { stride = stride, padding = kernel // 2, groups = groups or 1, bias = false }))
  seq:append(nn.BatchNorm2d(to, options))
end

local InvertedResidual = nn.Module:extend "_InvertedResidual"
local block_spec = args [[_InvertedResidual(int in_ch, int out_ch, int kernel_size, int stride, int expansion_factor,
  float bn_momentum=0.1)]]

--- Widens, convolves each channel by itself, narrows; with a shortcut where the shape stays.
function InvertedResidual:init(...)
  local from, to, kernel, stride, expansion, momentum = block_spec(...)
  if stride ~= 1 and stride ~= 2 then args.fail("_InvertedResidual", "stride should be 1 or 2 instead of %d", stride) end
  if kernel ~= 3 and kernel ~= 5 then args.fail("_InvertedResidual", "kernel_size should be 3 or 5 instead of %d", kernel) end
  local wide, options = from * expansion, { momentum = momentum }
  local seq = nn.Sequential()
  conv(seq, from, wide, 1, 1, 1, options)
  seq:append(nn.ReLU(true))
  conv(seq, wide, wide, kernel, stride, wide, options)
  seq:append(nn.ReLU(true))
  conv(seq, wide, to, 1, 1, 1, options)
  self.layers = seq
  self:_set { apply_residual = from == to and stride == 1 }
end

function InvertedResidual:forward(input)
  if self.apply_residual then return self.layers(input) + input end
  return self.layers(input)
end

local function round_to_8(value)
  local rounded = math.max(8, math.tointeger((value + 4) // 8) * 8)
  return rounded >= 0.9 * value and rounded or rounded + 8
end

-- Channels, kernel, stride, expansion and number of blocks of the six stacks.
local plan = { { 24, 3, 2, 3, 3 }, { 40, 5, 2, 3, 3 }, { 80, 5, 2, 6, 3 }, { 96, 3, 1, 6, 2 }, { 192, 5, 2, 6, 4 }, { 320, 3, 1, 6, 1 } }

local function stack(from, row, to)
  local seq = nn.Sequential()
  local _, kernel, stride, expansion, count = table.unpack(row)
  for i = 1, count do
    seq:append(InvertedResidual(i == 1 and from or to, to, kernel, i == 1 and stride or 1, expansion, norm_options.momentum))
  end
  return seq
end

-- The layers before the second stack, for networks whose first two widths are these.
local function stem(first, second, third)
  local seq = nn.Sequential()
  conv(seq, 3, first, 3, 2, 1, norm_options)
  seq:append(nn.ReLU(true))
  conv(seq, first, first, 3, 1, first, norm_options)
  seq:append(nn.ReLU(true))
  conv(seq, first, second, 1, 1, 1, norm_options)
  seq:append(stack(second, plan[1], third))
  return seq
end

local MNASNet = nn.Module:extend "MNASNet"
MNASNet._version = 2
local spec = args "MNASNet(float alpha, int num_classes=1000, float dropout=0.2)"

--- alpha: all channels times this, rounded to multiples of 8. Images (N, 3, H, W) -> logits (N, num_classes).
function MNASNet:init(...)
  local alpha, num_classes, dropout = spec(...)
  if alpha <= 0 then args.fail("MNASNet", "alpha should be greater than 0.0 instead of %s", text.repr(alpha)) end
  self:_set { alpha = alpha, num_classes = num_classes }
  local from = round_to_8(plan[1][1] * alpha)
  local seq = stem(round_to_8(32 * alpha), round_to_8(16 * alpha), from)
  for i = 2, #plan do
    local to = round_to_8(plan[i][1] * alpha)
    seq:append(stack(from, plan[i], to))
    from = to
  end
  conv(seq, from, 1280, 1, 1, 1, norm_options)
  seq:append(nn.ReLU(true))
  self.layers = seq
  self.classifier = nn.Sequential(nn.Dropout(dropout, true), nn.Linear(1280, num_classes))
  zoo.fill(self, {
    { nn.Conv2d, zoo.fan_out },
    { nn.BatchNorm2d, zoo.unit },
    { nn.Linear, function(m)
      nn.init.kaiming_uniform_(m.weight, { mode = "fan_out", nonlinearity = "sigmoid" })
      zoo.zero_bias(m)
    end },
  })
end

function MNASNet:forward(x)
  return self.classifier(self.layers(x):mean { dim = { 2, 3 } })
end

-- Checkpoints of version 1 did not scale the first two widths: the network takes their form.
function MNASNet:_load_from_state_dict(state, prefix, metadata, ...)
  if metadata.version == 1 and self.alpha ~= 1 then
    local old = stem(32, 16, round_to_8(plan[1][1] * self.alpha))
    for i = 0, #old - 1 do self.layers[i] = old[i] end
    self:_set { _version = 1 }
    require("lampad.warnings").warn("A new version of MNASNet model has been implemented. Your checkpoint was saved using the "
      .. "previous version. This checkpoint will load and work as before, but you may want to upgrade by training a newer model "
      .. "or transfer learning from an updated ImageNet checkpoint.")
  end
  nn.Module._load_from_state_dict(self, state, prefix, metadata, ...)
end

local family = { MNASNet = MNASNet, _InvertedResidual = InvertedResidual }
for name, alpha in pairs { mnasnet0_5 = 0.5, mnasnet0_75 = 0.75, mnasnet1_0 = 1.0, mnasnet1_3 = 1.3 } do
  family[name] = zoo.builder(name, { build = function(options) return MNASNet(alpha, options) end })
end
return family
