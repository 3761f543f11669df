-- vision.models with the options of its classes, against torchvision's numbers; wrong options.
local torch = require "lampad"
local nn = torch.nn
local models = torch.vision.models
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local golden = dofile(here .. "/models_golden.lua")

local rows = golden.rows()

describe("vision.models with options", function()
  after_each(function() collectgarbage() end)

  local labels = {}
  for label in pairs(golden.variants) do labels[#labels + 1] = label end
  table.sort(labels)
  for _, label in ipairs(labels) do
    it("is as torchvision's: " .. label, function() golden.check(label, rows[label], true) end)
  end

  it("refuses what the classes refuse", function()
    local function fails(message, fn) assert.error_matches(fn, message) end
    local resnet = models.resnet
    fails("BasicBlock: only supports groups=1 and base_width=64", function() models.resnet18 { groups = 2 } end)
    fails("BasicBlock: dilation > 1 is not supported", function() models.resnet18 { replace_stride_with_dilation = { true, false, false } } end)
    fails("replace_stride_with_dilation should be nil or a list of 3", function() models.resnet50 { replace_stride_with_dilation = { true } } end)
    fails("layers must be a list of 4", function() models.ResNet(resnet.BasicBlock, { 1, 2 }) end)
    fails("resnext50_32x4d: The parameter 'groups' expected value 32 but got 4", function() models.resnext50_32x4d { groups = 4 } end)
    fails("Unsupported SqueezeNet version 2_0", function() models.SqueezeNet "2_0" end)
    fails("alpha should be greater than 0.0", function() models.MNASNet(0) end)
    fails("length of inception_blocks should be 7", function() models.Inception3 { inception_blocks = {} } end)
    fails("blocks length should be 3", function() models.GoogLeNet { blocks = { 1 } } end)
    fails("inverted_residual_setting should be a non%-empty list", function() models.MobileNetV2 { inverted_residual_setting = { { 1 } } } end)
    fails("The inverted_residual_setting should not be empty", function() models.MobileNetV3({}, 8) end)
    fails("should be a list of _MBConvConfig, but member 1 is", function() models.EfficientNet({ 3 }, 0.1) end)
    fails("argument 'norm_layer' is given by the network itself", function() models.efficientnet_b5 { norm_layer = nn.BatchNorm2d } end)
    fails("The block_setting should be a list of CNBlockConfig", function() models.ConvNeXt { block_setting = { 1 } } end)
    fails("Invalid RegNet settings", function() models.regnet.BlockParams.from_init_params(10, 3, 1.0, 2.0, 8) end)
    fails("argument 'block_params' must be a BlockParams", function() models.RegNet({}, 10) end)
    fails("expected stages_repeats as list of 3", function() models.ShuffleNetV2({ 1 }, { 1, 2, 3, 4, 5 }) end)
    fails("expected stages_out_channels as list of 5", function() models.ShuffleNetV2({ 1, 1, 1 }, { 1 }) end)
    fails("Invalid combination of stride 1", function() models.shufflenetv2.InvertedResidual(4, 6, 1) end)
    fails("Input shape indivisible by patch size", function() models.VisionTransformer(30, 16, 1, 1, 8, 8) end)
    local vit = models.VisionTransformer { image_size = 32, patch_size = 16, num_layers = 1, num_heads = 2, hidden_dim = 8, mlp_dim = 8 }
    fails("Wrong image size! Expected 32 x 32 but got 48 x 32", function() vit(torch.randn(1, 3, 48, 32)) end)
    fails("expected images", function() vit(torch.randn(3, 32, 32)) end)
    fails("Input size %(5, 5%) of block 0 is not divisible by partition size 7", function() models.maxvit_t { input_size = { 20, 20 } } end)
    fails("must be divisible by head_dim", function() models.maxvit.RelativePositionalMultiHeadAttention(10, 3, 4) end)
    fails("window_size must be a number or a list of 2", function() models.swin_transformer.ShiftedWindowAttention(8, { 1, 2, 3 }, { 0, 0 }, 2) end)
  end)

  it("makes networks of one's own from the classes", function()
    local configs = { models.efficientnet.FusedMBConvConfig(1, 3, 1, 8, 8, 1), models.efficientnet.MBConvConfig(4, 3, 2, 8, 16, 2) }
    local nets = {
      models.EfficientNet(configs, 0.1, { num_classes = 3 }),
      models.ConvNeXt({ models.convnext.CNBlockConfig(8, 16, 1), models.convnext.CNBlockConfig(16, nil, 1) }, { num_classes = 3 }),
      models.MobileNetV3({ models.mobilenetv3.InvertedResidualConfig(8, 3, 16, 8, true, "HS", 1, 1, 1.0) }, 16, 3),
      models.RegNet(models.regnet.BlockParams({ 1, 1 }, { 8, 16 }, { 8, 8 }, { 1.0, 1.0 }, { 2, 2 }), 3),
      models.DenseNet(4, { 2, 2 }, 8, { num_classes = 3 }),
      models.MNASNet(0.25, 3),
      models.ShuffleNetV2({ 1, 1, 1 }, { 8, 16, 24, 32, 40 }, 3),
      models.SwinTransformer { patch_size = { 2, 2 }, embed_dim = 8, depths = { 2, 2 }, num_heads = { 2, 2 }, window_size = { 3, 3 },
        num_classes = 3 },
      models.ResNet(models.resnet.Bottleneck, { 1, 1, 1, 1 }, 3, true),
    }
    for _, net in ipairs(nets) do
      local y = net(torch.randn(2, 3, 32, 32))
      assert.same({ 2, 3 }, { y.shape:unpack() }, tostring(net))
      y:pow(2):sum():backward()
      for name, p in net:named_parameters() do assert.truthy(p.grad, net.__name .. " " .. name) end
    end
    assert.equal("CNBlockConfig(input_channels=8, out_channels=None, num_layers=1)", tostring(models.convnext.CNBlockConfig(8, nil, 1)))
  end)

  it("interpolates what a Vision Transformer knows of positions", function()
    local options = { patch_size = 16, num_layers = 1, num_heads = 2, hidden_dim = 8, mlp_dim = 8, num_classes = 3 }
    local function make(image_size)
      options.image_size = image_size
      return models.VisionTransformer(options)
    end
    local small, large = make(32), make(64)
    local state = models.vision_transformer.interpolate_embeddings(64, 16, small:state_dict())
    assert.same({ 1, 17, 8 }, { state["encoder.pos_embedding"].shape:unpack() })
    large:load_state_dict(state)
    local before, after = small.encoder.pos_embedding, large.encoder.pos_embedding
    assert.truthy(torch.equal(before[{ 0, 0 }], after[{ 0, 0 }]))
    assert.truthy(torch.allclose(before[{ 0, 1 }], after[{ 0, 1 }]) and torch.allclose(before[{ 0, 4 }], after[{ 0, 16 }]))
    assert.is_nil(models.vision_transformer.interpolate_embeddings(64, 16, small:state_dict(), { reset_heads = true })["heads.head.bias"])
    assert.equal(#small:state_dict(), #models.vision_transformer.interpolate_embeddings(32, 16, small:state_dict()))
    assert.error_matches(function() models.vision_transformer.interpolate_embeddings(64, 16, { ["encoder.pos_embedding"] = torch.zeros(1, 4, 8) }) end,
      "not a perfect square")
  end)

  it("takes MNASNet's files of version 1", function()
    local net = models.mnasnet0_5()
    local state = net:state_dict()
    state._metadata[""].version = 1
    local w = { ["0"] = { 32, 3, 3, 3 }, ["3"] = { 32, 1, 3, 3 }, ["6"] = { 16, 32, 1, 1 }, ["8.0.layers.0"] = { 48, 16, 1, 1 } }
    for place, sizes in pairs(w) do state["layers." .. place .. ".weight"] = torch.randn(sizes) end
    for _, row in ipairs { { "1", 32 }, { "4", 32 }, { "7", 16 }, { "8.0.layers.1", 48 }, { "8.0.layers.4", 48 } } do
      for _, part in ipairs { "weight", "bias", "running_mean", "running_var" } do
        state["layers." .. row[1] .. "." .. part] = torch.ones(row[2])
      end
    end
    state["layers.8.0.layers.3.weight"] = torch.randn(48, 1, 3, 3)
    state["layers.8.0.layers.6.weight"] = torch.randn(16, 48, 1, 1)
    assert.equal(1, #torch.warnings.catch_warnings(function() net:load_state_dict(state) end))
    assert.same({ 32, 3, 3, 3 }, { net.layers[0].weight.shape:unpack() })
    assert.same({ 1, 1000 }, { net:eval()(torch.randn(1, 3, 64, 64)).shape:unpack() })
  end)

  it("computes dense layers again in the backward pass when asked", function()
    local function run(efficient)
      torch.manual_seed(0)
      local net = models.DenseNet(4, { 2, 2 }, 8, { num_classes = 3, memory_efficient = efficient })
      net(torch.randn(2, 3, 32, 32)):pow(2):sum():backward()
      return net
    end
    local a, b = run(false), run(true)
    for name, p in a:named_parameters() do assert.truthy(torch.allclose(p.grad, b:get_parameter(name).grad, 1e-4, 1e-5), name) end
  end)
end)
