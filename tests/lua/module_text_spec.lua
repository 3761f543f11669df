-- print(model) is PyTorch's text for nested models (tests/golden/print/modules.lua).
local torch = require "lampad"
local nn = torch.nn
local utils = nn.utils

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/print/modules.lua")

local models = {}

function models.alexnet()
  local AlexNet = nn.Module:extend "AlexNet"
  function AlexNet:init()
    self.features = nn.Sequential(
      nn.Conv2d(3, 64, { kernel_size = 11, stride = 4, padding = 2 }), nn.ReLU { inplace = true },
      nn.MaxPool2d { kernel_size = 3, stride = 2 }, nn.Conv2d(64, 192, { kernel_size = 5, padding = 2 }),
      nn.ReLU { inplace = true }, nn.MaxPool2d { kernel_size = 3, stride = 2 })
    self.avgpool = nn.AdaptiveAvgPool2d { 6, 6 }
    self.classifier = nn.Sequential(nn.Dropout { p = 0.5 }, nn.Linear(192 * 36, 40), nn.ReLU { inplace = true },
      nn.Linear(40, 10))
  end
  return AlexNet()
end

function models.vgg()
  local layers, channels = {}, 3
  for _, v in ipairs { 8, "M", 16, "M", 32, 32, "M" } do
    if v == "M" then
      layers[#layers + 1] = nn.MaxPool2d(2, 2)
    else
      layers[#layers + 1] = nn.Conv2d(channels, v, 3, { padding = 1 })
      layers[#layers + 1] = nn.BatchNorm2d(v)
      layers[#layers + 1] = nn.ReLU(true)
      channels = v
    end
  end
  local net = nn.Module()
  net.features = nn.Sequential(table.unpack(layers))
  net.avgpool = nn.AdaptiveAvgPool2d(7)
  return net
end

local BasicBlock = nn.Module:extend "BasicBlock"
function BasicBlock:init(cin, cout, stride)
  stride = stride or 1
  self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, { bias = false })
  self.bn1 = nn.BatchNorm2d(cout)
  self.relu = nn.ReLU { inplace = true }
  self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, { bias = false })
  self.bn2 = nn.BatchNorm2d(cout)
  self.downsample = nil
  if stride ~= 1 or cin ~= cout then
    self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, { bias = false }), nn.BatchNorm2d(cout))
  end
end

function models.resnet()
  local ResNet = nn.Module:extend "ResNet"
  function ResNet:init()
    self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, { bias = false })
    self.bn1 = nn.BatchNorm2d(8)
    self.relu = nn.ReLU { inplace = true }
    self.maxpool = nn.MaxPool2d(3, 2, 1)
    self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
    self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
    self.avgpool = nn.AdaptiveAvgPool2d { 1, 1 }
    self.fc = nn.Linear(16, 10)
  end
  return ResNet()
end

local MLP = nn.Module:extend "MLP"
function MLP:init(n)
  self.c_fc = nn.Linear(n, 4 * n)
  self.gelu = nn.GELU { approximate = "tanh" }
  self.c_proj = nn.Linear(4 * n, n)
  self.dropout = nn.Dropout(0.1)
end

local Block = nn.Module:extend "Block"
function Block:init(n)
  self.ln_1 = nn.LayerNorm(n)
  self.attn = nn.Linear(n, 3 * n, { bias = false })
  self.ln_2 = nn.LayerNorm(n, { eps = 1e-6 })
  self.mlp = MLP(n)
end

-- {make(), make(), ...}
local function times(count, make)
  local list = {}
  for i = 1, count do list[i] = make(i - 1) end
  return list
end

function models.gpt()
  local GPT = nn.Module:extend "GPT"
  function GPT:init()
    self.transformer = nn.ModuleDict { { "wte", nn.Embedding(50, 8) }, { "wpe", nn.Embedding(16, 8, { padding_idx = 0 }) },
      { "drop", nn.Dropout(0.1) }, { "h", nn.ModuleList(times(6, function() return Block(8) end)) },
      { "ln_f", nn.LayerNorm(8) } }
    self.lm_head = nn.Linear(8, 50, { bias = false })
  end
  return GPT()
end

function models.gpt_mixed() return nn.ModuleList { Block(8), Block(8), Block(4), nn.ReLU(), Block(4), Block(4) } end

function models.lists_of_lists()
  local list = nn.ModuleList(times(2, function()
    return nn.ModuleList(times(3, function() return nn.Linear(2, 2) end))
  end))
  return list + { nn.ModuleList() }
end

function models.module_dict()
  return nn.ModuleDict { { "conv", nn.Conv1d(1, 2, 3) }, { "pool", nn.ModuleDict { max = nn.MaxPool1d(2) } },
    { "act", nn.ModuleList { nn.ReLU(), nn.ReLU(), nn.LeakyReLU(0.2) } } }
end

function models.empty()
  local Net = nn.Module:extend "Net"
  function Net:init()
    self.a = nn.Sequential()
    self.b = nn.ModuleList()
    self.c = nn.ModuleDict()
    self.d = nn.ParameterList()
    self.e = nn.ParameterDict()
    self.f = nn.Module()
  end
  return Net()
end

function models.only_parameters()
  local Scale = nn.Module:extend "Scale"
  function Scale:init()
    self.weight = nn.Parameter(torch.ones(2))
    self:register_buffer("shift", torch.zeros(2))
  end
  return nn.Sequential(Scale(), Scale())
end

function models.extra_repr()
  local Custom = nn.Module:extend "Custom"
  function Custom:extra_repr() return "size=3, kind='x'" end
  return Custom()
end

function models.extra_repr_lines()
  local Custom = nn.Module:extend "Custom"
  function Custom:init() self.inner = nn.Linear(1, 1) end
  function Custom:extra_repr() return "first line\nsecond line" end
  return nn.Sequential(Custom(), nn.ReLU())
end

function models.extra_repr_lines_alone()
  local Custom = nn.Module:extend "Custom"
  function Custom:extra_repr() return "first line\nsecond line" end
  return nn.Sequential(Custom())
end

function models.named_sequential()
  return nn.Sequential { { "conv1", nn.Conv2d(1, 20, 5) }, { "relu1", nn.ReLU() },
    { "conv2", nn.Conv2d(20, 64, { 5, 3 }, { padding = "same" }) }, { "relu2", nn.ReLU() } }
end

function models.unet()
  local Double = nn.Sequential:extend "Double"
  function Double:init(a, b) self.super.init(self, nn.Conv2d(a, b, 3, { padding = 1 }), nn.ReLU()) end
  local UNet = nn.Module:extend "UNet"
  function UNet:init()
    self.down = nn.ModuleList { Double(1, 4), Double(4, 8) }
    self.up = nn.ModuleList { nn.ConvTranspose2d(8, 4, 2, { stride = 2 }), Double(8, 4) }
    self.pool = nn.MaxPool2d(2)
    self.head = nn.Conv2d(4, 1, 1)
  end
  return UNet()
end

function models.inception()
  local Inception = nn.Module:extend "Inception"
  function Inception:init()
    self.branch1 = nn.Conv2d(4, 2, 1)
    self.branch2 = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 3, { padding = 1 }))
    self.branch3 = nn.Sequential(nn.MaxPool2d(3, { stride = 1, padding = 1, ceil_mode = true }), nn.Conv2d(4, 2, 1))
  end
  return nn.Sequential(Inception(), Inception())
end

function models.mobilenet()
  local ConvBNReLU = nn.Sequential:extend "ConvBNReLU"
  function ConvBNReLU:init(a, b, k, groups)
    nn.Sequential.init(self, nn.Conv2d(a, b, k, { padding = k // 2, groups = groups, bias = false }),
      nn.BatchNorm2d(b, { eps = 0.001, momentum = 0.01 }), nn.ReLU6 { inplace = true })
  end
  local InvertedResidual = nn.Module:extend "InvertedResidual"
  function InvertedResidual:init(n, t)
    self.conv = nn.Sequential(ConvBNReLU(n, n * t, 1), ConvBNReLU(n * t, n * t, 3, n * t),
      nn.Conv2d(n * t, n, 1, { bias = false }), nn.BatchNorm2d(n))
  end
  return nn.Sequential(ConvBNReLU(3, 4, 3), InvertedResidual(4, 6))
end

function models.autoencoder()
  local net = nn.Module()
  net.encoder = nn.Sequential(nn.Conv3d(1, 2, 3, { stride = 2 }), nn.Hardswish(), nn.Flatten())
  net.decoder = nn.Sequential(nn.Unflatten(1, { 2, 3, 3, 3 }), nn.ConvTranspose3d(2, 1, 3, 2, { output_padding = 1 }),
    nn.Sigmoid(), nn.Upsample { scale_factor = 2 })
  return net
end

function models.parameters_inside()
  local net = nn.Module()
  net.weights = nn.ParameterList { nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4):double()),
    nn.Parameter(torch.tensor(1.0)) }
  net.named = nn.ParameterDict { left = torch.zeros(2), right = nn.Parameter(torch.zeros(2, 2):half()) }
  net.out = nn.Linear(2, 2)
  return net
end

function models.shared()
  local layer = nn.Linear(2, 2)
  local net = nn.Module()
  net.a = layer
  net.b = nn.Sequential(layer, layer)
  return net
end

function models.removed_child()
  local net = nn.Module()
  net.a = nn.Linear(1, 1)
  net.b = nn.ReLU()
  net.c = nn.Tanh()
  net.b = nil
  net:register_module("d", nil)
  torch.del(net, "c")
  return net
end

function models.parametrized()
  local Symmetric = nn.Module:extend "Symmetric"
  function Symmetric:forward(x) return x:triu() + x:triu(1).mT end
  local net = nn.Sequential(nn.Linear(3, 3), nn.Conv2d(1, 2, 3), nn.Linear(3, 3))
  utils.parametrize.register_parametrization(net[0], "weight", Symmetric())
  utils.parametrizations.weight_norm(net[1])
  utils.parametrizations.spectral_norm(utils.parametrizations.orthogonal(net[2]))
  return net
end

function models.parametrized_block()
  local block = Block(4)
  utils.parametrizations.spectral_norm(block.mlp.c_fc)
  return nn.ModuleList { block, Block(4) }
end

function models.normed_and_pruned()
  local net = nn.Sequential(utils.weight_norm(nn.Linear(2, 2)), utils.spectral_norm(nn.Linear(2, 2)), nn.Linear(2, 2))
  utils.prune.l1_unstructured(net[2], "weight", 0.5)
  return net
end

function models.attention()
  local Encoder = nn.Module:extend "Encoder"
  function Encoder:init()
    self.attn = nn.MultiheadAttention(8, 2, { batch_first = true })
    self.norm = nn.RMSNorm(8, { eps = 1e-5 })
    self.bags = nn.EmbeddingBag(10, 8, { mode = "sum" })
    self.bilinear = nn.Bilinear(2, 3, 4, { bias = false })
    self.group = nn.GroupNorm(2, 8)
    self.loss = nn.CrossEntropyLoss()
  end
  return Encoder()
end

function models.long_list()
  return nn.ModuleList(times(12, function(i) return i % 5 ~= 0 and nn.Linear(1, 1) or nn.Dropout(0.1) end))
end

function models.quantities()
  return nn.Sequential(nn.Softmax { dim = 1 }, nn.LogSoftmax(), nn.PReLU(), nn.Threshold(0.1, 20), nn.Identity(),
    nn.ZeroPad2d { 1, 2, 3, 4 }, nn.LocalResponseNorm(2), nn.Hardtanh(-2, 2), nn.PixelShuffle(3),
    nn.InstanceNorm2d(3), nn.Dropout2d(), nn.ConstantPad1d(2, 3.5))
end

describe("print(model)", function()
  local list = {}
  for name in pairs(golden) do list[#list + 1] = name end
  table.sort(list)
  for _, name in ipairs(list) do
    it("is PyTorch's text: " .. name, function() assert.equal(golden[name], tostring(models[name]())) end)
  end
end)
