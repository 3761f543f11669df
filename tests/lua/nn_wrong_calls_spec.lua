-- Wrong calls of every layer: each raises an error that names the argument, or gives a result; none stumbles inside.
local torch = require "lampad"
local nn = torch.nn

-- Constructor arguments of a layer of each class.
local layers = {
  Linear = { 3, 2 }, Bilinear = { 2, 3, 4 }, Conv1d = { 2, 3, 3 }, Conv2d = { 2, 3, 3 }, Conv3d = { 2, 3, 3 },
  ConvTranspose1d = { 2, 3, 3 }, ConvTranspose2d = { 2, 3, 3 }, ConvTranspose3d = { 2, 3, 3 }, BatchNorm1d = { 3 },
  BatchNorm2d = { 3 }, BatchNorm3d = { 3 }, InstanceNorm1d = { 3 }, InstanceNorm2d = { 3 }, InstanceNorm3d = { 3 },
  SyncBatchNorm = { 3 }, LayerNorm = { 3 }, GroupNorm = { 1, 3 }, RMSNorm = { 3 }, LocalResponseNorm = { 2 },
  CrossMapLRN2d = { 3 }, Embedding = { 3, 2 }, EmbeddingBag = { 3, 2 }, MaxPool1d = { 2 }, MaxPool2d = { 2 },
  MaxPool3d = { 2 }, AvgPool1d = { 2 }, AvgPool2d = { 2 }, AvgPool3d = { 2 }, AdaptiveAvgPool1d = { 2 },
  AdaptiveAvgPool2d = { { nil, 2 } }, AdaptiveAvgPool3d = { 2 }, AdaptiveMaxPool1d = { 2 }, AdaptiveMaxPool2d = { 2 },
  AdaptiveMaxPool3d = { { 2, nil, 1 } }, FractionalMaxPool2d = { 2, 2 }, FractionalMaxPool3d = { 2, 2 },
  LPPool1d = { 2, 2 }, LPPool2d = { 2, 2 }, LPPool3d = { 2, 2 }, MaxUnpool1d = { 2 }, MaxUnpool2d = { 2 },
  MaxUnpool3d = { 2 }, Dropout = {}, Dropout1d = {}, Dropout2d = {}, Dropout3d = {}, AlphaDropout = {},
  FeatureAlphaDropout = {}, ReLU = {}, ReLU6 = {}, RReLU = {}, LeakyReLU = {}, ELU = {}, CELU = {}, SELU = {}, SiLU = {},
  Mish = {}, GELU = {}, GLU = {}, Hardtanh = {}, Hardshrink = {}, Hardsigmoid = {}, Hardswish = {}, Softplus = {},
  Softshrink = {}, Softmax = {}, LogSoftmax = {}, Softmin = {}, Softmax2d = {}, Threshold = { 1, 2 }, PReLU = {},
  Sigmoid = {}, Tanh = {}, LogSigmoid = {}, Softsign = {}, Tanhshrink = {}, MultiheadAttention = { 4, 2 },
  TransformerEncoderLayer = { 4, 2, 6 }, TransformerDecoderLayer = { 4, 2, 6 }, Transformer = { 4, 2, 1, 1, 4 }, L1Loss = {},
  MSELoss = {}, NLLLoss = {}, CrossEntropyLoss = {}, BCELoss = {}, BCEWithLogitsLoss = {}, KLDivLoss = {},
  PoissonNLLLoss = {}, GaussianNLLLoss = {}, HuberLoss = {}, SmoothL1Loss = {}, CTCLoss = {}, MultiMarginLoss = {},
  MultiLabelMarginLoss = {}, MultiLabelSoftMarginLoss = {}, TripletMarginLoss = {}, TripletMarginWithDistanceLoss = {},
  HingeEmbeddingLoss = {}, MarginRankingLoss = {}, CosineEmbeddingLoss = {}, SoftMarginLoss = {},
  LinearCrossEntropyLoss = { 2, 3 }, AdaptiveLogSoftmaxWithLoss = { 4, 6, { 2 } }, CosineSimilarity = {},
  PairwiseDistance = {}, PixelShuffle = { 2 }, PixelUnshuffle = { 2 }, ChannelShuffle = { 2 },
  Upsample = { { scale_factor = 2 } }, UpsamplingBilinear2d = { 2 }, UpsamplingNearest2d = { 2 }, Fold = { 2, 1 },
  Unfold = { 2 }, Flatten = {}, Unflatten = { 1, { 2, 2 } }, ZeroPad2d = { 1 }, ReflectionPad1d = { 1 },
  ReplicationPad3d = { 1 }, CircularPad3d = { 1 }, ConstantPad2d = { 1, 2.0 }, LazyLinear = { 3 }, LazyConv2d = { 3, 2 },
  LazyConvTranspose1d = { 3, 2 }, LazyBatchNorm1d = {}, LazyInstanceNorm3d = {},
}

local function inputs()
  local t = torch.ones(2, 3)
  local s = torch.ones(3, 1, 4)
  return {
    {}, { 1 }, { "x" }, { {} }, { { input = 3 } }, { { foo = t } }, { t, 3 }, { t, "a" }, { torch.tensor(1.0) },
    { torch.ones(0) }, { torch.ones(2, 0, 3) }, { torch.ones(1, 2, 3, 4, 5, 6) },
    { torch.ones(2, 3, { dtype = torch.int64 }) }, { torch.ones(2, 3, { dtype = torch.bool }) }, { t, t, t, t, t, t },
    { t, torch.ones(7) }, { torch.ones(0, 3), torch.ones(0, 3), torch.ones(0, 3) }, { nn.ReLU() }, { print }, { true },
    { t, {} }, { torch.ones(2, 3, { dtype = torch.complex64 }) }, { torch.zeros(2, 3) / 0, t, t }, { torch.ones(2, 3, 4, 4) },
    { torch.ones(0, 2, 3, 3) }, { t, torch.zeros(2, { dtype = torch.int64 }) }, { s, s, s }, { t, nil, t }, { s, s, s, 3 },
    { s, s, s, { attn_mask = 3 } },
  }
end

local function stumbles(ok, message)
  message = tostring(message)
  if not ok and (message:find "attempt to" or message:find "bad argument") then return message end
  return false
end

local function call(fn, list)
  local count = 0
  for i in pairs(list) do count = math.max(count, i) end
  return pcall(fn, table.unpack(list, 1, count))
end

describe("wrong calls", function()
  for name, make in pairs(layers) do
    it("of " .. name .. " raise a sentence", function()
      for i, list in ipairs(inputs()) do
        local layer = nn[name](table.unpack(make))
        local trouble = stumbles(call(layer, list))
        assert.is_false(trouble, ("call %d: %s"):format(i, tostring(trouble)))
      end
      assert.is_false((pcall(nn[name](table.unpack(make)))))
    end)

    it("of the constructor of " .. name .. " raise a sentence", function()
      for _, v in ipairs {
        0, 1, -1, 3.5, 1e18, math.mininteger, 0 / 0, "x", "", true, false, torch.ones(2), torch.float32, print, { "a" }, { -1, 0 },
      } do
        for _, list in ipairs {
          { v }, { v, v }, { 2, v }, { 2, 2, v }, { 4, 2, 2, v }, { 4, 4, 1, 1, v }, { 4, 4, 1, 1, 0, v }, { 2, 2, { dtype = v } },
          { 2, 2, { device = v } }, { 2, { bias = v } }, { 2, { eps = v } },
        } do
          -- 10^18 layers would be made one after the other.
          local ok, result = call(nn[name], name == "Transformer" and v == 1e18 and make or list)
          assert.is_false(stumbles(ok, result), tostring(stumbles(ok, result)))
          if ok then assert.equal("string", type(tostring(result))) end
        end
      end
    end)
  end
end)

describe("arguments beyond those of forward", function()
  local x = torch.ones(2, 2)
  local function message(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    return err
  end

  it("raise, with the path of the module", function()
    local count = "Linear.forward%(%) takes 2 positional arguments but 3 were given"
    assert.matches("nn_wrong_calls_spec.lua:%d+: " .. count, message(nn.Linear(2, 2), x, x))
    assert.matches(count .. ".*\n  in 0 %(Linear%) of Sequential$", message(nn.Sequential(nn.Linear(2, 2)), x, x))
    assert.matches("in 1 %(Linear%) of Sequential$", message(nn.Sequential(nn.LSTM(2, 2), nn.Linear(2, 2)), x))
    assert.matches("MSELoss.forward%(%) takes 3 positional arguments but 4 were given", message(nn.MSELoss(), x, x, x))
    assert.matches("LSTM.forward%(%) takes 3 positional arguments but 6 were given", message(nn.LSTM(2, 2), x, nil, nil, nil, 2))
    local hooked = nn.Linear(2, 2)
    hooked:register_forward_pre_hook(function(_, list) return list[1], list[1] end)
    assert.matches(count, message(hooked, x))
  end)

  it("are counted for classes of the user's", function()
    local Net = nn.Module:extend "Net"
    function Net:init() self.fc = nn.Linear(2, 2) end
    function Net:forward(a, b) return self.fc(a, b) end
    assert.equal(2, Net()(x):size(1))
    assert.equal(2, Net()(x, nil, nil):size(1))
    assert.matches("3 were given.*\n  in fc %(Linear%) of Net$", message(Net(), x, x))
    assert.matches("Net.forward%(%) takes 3 positional arguments but 4 were given", message(Net(), x, x, { mask = x }))
    local Stub = nn.Module:extend "Stub"
    function Stub.forward() return 3 end
    assert.equal(3, Stub()(x, x))
    local Any = nn.Module:extend "Any"
    function Any:forward(...) return self and select("#", ...) end
    assert.equal(4, Any()(x, x, nil, nil))
  end)
end)
