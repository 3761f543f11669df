-- vision.ops: feature pyramids (Lin et al. 2017; torchvision.ops.feature_pyramid_network).
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"
local iterate = require "lampad.iterate"
local nn = require "lampad.nn"

local torch = core.torch
local F = nn.functional
local classes = {}

local ExtraFPNBlock = nn.Module:extend "ExtraFPNBlock"
classes.ExtraFPNBlock = ExtraFPNBlock

--- The base of blocks that make further maps of a pyramid: forward(results, x, names) gets lists of the pyramid's maps, of
--- the maps it was made of and of their names, and returns the longer lists of maps and of names.
function ExtraFPNBlock.forward(_, results, _, names) return results, names end

local FeaturePyramidNetwork = nn.Module:extend "FeaturePyramidNetwork"
classes.FeaturePyramidNetwork = FeaturePyramidNetwork
FeaturePyramidNetwork._version = 2
local pyramid_spec = args [[FeaturePyramidNetwork(ints in_channels_list, int out_channels, any? extra_blocks=nil,
  any? norm_layer=nil)]]

local function initialise(conv)
  nn.init.kaiming_uniform_(conv.weight, 1)
  if conv.bias ~= nil then nn.init.constant_(conv.bias, 0) end
end

--- FeaturePyramidNetwork(in_channels_list, out_channels, extra_blocks = nil, norm_layer = nil): feature maps in order of
--- depth, of in_channels_list channels, become maps of out_channels channels that know of the deeper ones.
function FeaturePyramidNetwork:init(...)
  local channels, out, extra, norm = pyramid_spec(...)
  if type(channels) ~= "table" then channels = { channels } end
  local Block = require("lampad.vision.ops.layers").Conv2dNormActivation
  self.inner_blocks = nn.ModuleList()
  self.layer_blocks = nn.ModuleList()
  norm = norm or false
  for _, count in ipairs(channels) do
    if count == 0 then args.fail("FeaturePyramidNetwork", "in_channels=0 is currently not supported") end
    local inner = { kernel_size = 1, padding = 0, norm_layer = norm, activation_layer = false }
    local inner_block = Block(count, out, inner)
    local layer_block = Block(out, out, { kernel_size = 3, norm_layer = norm, activation_layer = false })
    self.inner_blocks:append(inner_block)
    self.layer_blocks:append(layer_block)
  end
  for module in self:modules() do
    if class.isinstance(module, nn.Conv2d) then initialise(module) end
  end
  if extra ~= nil and not class.isinstance(extra, ExtraFPNBlock) then
    args.fail("FeaturePyramidNetwork", "extra_blocks should be of type ExtraFPNBlock not %s", text.describe(extra))
  end
  self.extra_blocks = extra
end

-- Before version 2 the blocks were plain convolutions.
function FeaturePyramidNetwork:_load_from_state_dict(state, prefix, metadata, ...)
  if metadata.version == nil or metadata.version < 2 then
    for _, blocks in ipairs { "inner_blocks", "layer_blocks" } do
      for i = 0, #self.inner_blocks - 1 do
        for _, name in ipairs { "weight", "bias" } do
          local old = ("%s%s.%d.%s"):format(prefix, blocks, i, name)
          if OrderedDict.contains(state, old) then
            state[("%s%s.%d.0.%s"):format(prefix, blocks, i, name)] = state[old]
            state[old] = nil
          end
        end
      end
    end
  end
  nn.Module._load_from_state_dict(self, state, prefix, metadata, ...)
end

--- forward(x): x, an OrderedDict of feature maps (N, C_i, H_i, W_i), or a list of pairs {name, map}; the same names with
--- maps (N, out_channels, H_i, W_i), and those of extra_blocks.
function FeaturePyramidNetwork:forward(x)
  local names, maps = {}, {}
  if OrderedDict.is(x) then
    for name, map in OrderedDict.items(x) do names[#names + 1], maps[#maps + 1] = name, map end
  elseif type(x) == "table" and type(x[1]) == "table" then
    for i, pair in ipairs(x) do names[i], maps[i] = pair[1], pair[2] end
  else
    args.fail("FeaturePyramidNetwork", "x must be an OrderedDict of feature maps or a list of pairs {name, map}, got %s",
      text.describe(x))
  end
  if #maps ~= #self.inner_blocks then
    args.fail("FeaturePyramidNetwork", "expected %d feature maps, got %d", #self.inner_blocks, #maps)
  end
  local last = self.inner_blocks[#maps - 1](maps[#maps])
  local results = {}
  results[#maps] = self.layer_blocks[#maps - 1](last)
  for i = #maps - 1, 1, -1 do
    local lateral = self.inner_blocks[i - 1](maps[i])
    last = lateral + F.interpolate(last, { lateral:size(-2), lateral:size(-1) }, { mode = "nearest" })
    results[i] = self.layer_blocks[i - 1](last)
  end
  if self.extra_blocks ~= nil then results, names = self.extra_blocks(results, maps, names) end
  local out = OrderedDict()
  for i, name in ipairs(names) do out[name] = results[i] end
  return out
end

-- The lists of a block's call: names may come as any iterable, the maps as lists.
local function lists(what, maps, names)
  local list = iterate.list(names)
  if type(maps) ~= "table" or #maps == 0 or not torch.is_tensor(maps[#maps]) or not list then
    args.fail(what, "expected lists of feature maps and of their names")
  end
  return table.move(maps, 1, #maps, 1, {}), table.move(list, 1, #list, 1, {})
end

local LastLevelMaxPool = ExtraFPNBlock:extend "LastLevelMaxPool"
classes.LastLevelMaxPool = LastLevelMaxPool

--- One more map, "pool": every second pixel of the last.
function LastLevelMaxPool.forward(_, results, _, names)
  results, names = lists("LastLevelMaxPool", results, names)
  results[#results + 1] = F.max_pool2d(results[#results], 1, 2, 0)
  names[#names + 1] = "pool"
  return results, names
end

local LastLevelP6P7 = ExtraFPNBlock:extend "LastLevelP6P7"
classes.LastLevelP6P7 = LastLevelP6P7
local p6p7_spec = args "LastLevelP6P7(int in_channels, int out_channels)"

--- Two more maps, "p6" and "p7", by convolutions of stride 2 (RetinaNet): from the last map of the pyramid when it has
--- in_channels channels, else from the one that this was made of.
function LastLevelP6P7:init(...)
  local channels, out = p6p7_spec(...)
  self.p6 = nn.Conv2d(channels, out, 3, 2, 1)
  self.p7 = nn.Conv2d(out, out, 3, 2, 1)
  initialise(self.p6)
  initialise(self.p7)
  self:_set { use_P5 = channels == out }
end

function LastLevelP6P7:forward(results, maps, names)
  results, names = lists("LastLevelP6P7", results, names)
  local p6 = self.p6(self.use_P5 and results[#results] or maps[#maps])
  local p7 = self.p7(F.relu(p6))
  results[#results + 1], names[#names + 1] = p6, "p6"
  results[#results + 1], names[#names + 1] = p7, "p7"
  return results, names
end

for _, C in pairs(classes) do C:_guard_methods() end

return classes
