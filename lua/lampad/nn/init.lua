-- torch.nn: layers, containers, losses, nn.functional, nn.init, nn.utils. Everything loads at first use.
local lazy = require "lampad.lazy"

local files = lazy.members("lampad.nn.", {
  conv = { "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d" },
  batchnorm = { "SyncBatchNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d" },
  uninitialized = { "UninitializedParameter", "UninitializedBuffer" },
  lazy_layers = {
    "LazyLinear", "LazyConv1d", "LazyConv2d", "LazyConv3d", "LazyConvTranspose1d", "LazyConvTranspose2d",
    "LazyConvTranspose3d", "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyInstanceNorm1d",
    "LazyInstanceNorm2d", "LazyInstanceNorm3d",
  },
  transformer = {
    "Transformer", "TransformerEncoder", "TransformerDecoder", "TransformerEncoderLayer", "TransformerDecoderLayer",
  },
  norm = { "LayerNorm", "GroupNorm", "RMSNorm" },
  rnn = { "RNNBase", "RNN", "LSTM", "GRU" },
  rnn_cell = { "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell" },
  unpool = { "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "FractionalMaxPool2d", "FractionalMaxPool3d" },
  containers = { "Sequential", "ModuleList", "ModuleDict" },
  parameter_containers = { "ParameterList", "ParameterDict" },
})
for name, file in pairs {
  Module = "module", Parameter = "parameter", Buffer = "buffer", Linear = "linear", Bilinear = "bilinear",
  Embedding = "embedding", EmbeddingBag = "embedding_bag", PReLU = "prelu", MultiheadAttention = "attention",
  AdaptiveLogSoftmaxWithLoss = "adaptive_softmax", LinearCrossEntropyLoss = "linear_cross_entropy",
  LinearCrossEntropyOptions = "linear_cross_entropy_options", CrossMapLRN2d = "cross_map_lrn", DataParallel = "data_parallel",
  LazyModuleMixin = "lazy_module", functional = "functional", init = "initializers", utils = "utils", modules = "modules",
} do
  files[name] = "lampad.nn." .. file
end

-- nn.parameter: torch.nn.parameter.
files.parameter = function()
  local uninitialized = require "lampad.nn.uninitialized"
  return {
    Parameter = require "lampad.nn.parameter", is_lazy = uninitialized.is_lazy,
    UninitializedParameter = uninitialized.UninitializedParameter, UninitializedBuffer = uninitialized.UninitializedBuffer,
  }
end

-- nn.parallel: torch.nn.parallel.
files.parallel = function() return { DataParallel = require "lampad.nn.data_parallel" } end

-- The layers of the declarative tables.
local tables = { "stateless", "losses" }

files[1] = function(name)
  for _, file in ipairs(tables) do
    local library = require("lampad.nn." .. file)
    if library.rows[name] then return library.make(name) end
  end
end

return lazy(files, function()
  local names = {}
  for _, file in ipairs(tables) do
    for name in pairs(require("lampad.nn." .. file).rows) do names[#names + 1] = name end
  end
  return names
end)
