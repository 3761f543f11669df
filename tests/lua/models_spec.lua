-- vision.models: the smallest network of every family against torchvision's numbers (scripts/models.sh compares all of them),
-- weights and how they are fetched, lists, heads, features. Networks with options: models_options_spec.lua.
local torch = require "lampad"
local nn = torch.nn
local models = torch.vision.models
local warnings = torch.warnings
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local golden = dofile(here .. "/models_golden.lua")

local rows = golden.rows()

describe("vision.models", function()
  after_each(function() collectgarbage() end)

  for _, name in ipairs {
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t",
    "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5",
    "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_32",
  } do
    it("has " .. name .. " as torchvision makes it", function() golden.check(name, rows[name], name ~= "vgg11_bn") end)
  end

  it("lists its networks", function()
    local names = models.list_models()
    assert.equal(80, #names)
    for _, name in ipairs(names) do
      assert.truthy(rows[name], name)
      assert.equal("function", type(models[name]))
      assert.equal(models[name], models.get_model_builder(name:upper()))
      assert.equal(rows[name].parameters, name:find "googlenet" and 13004888 or name == "vit_b_16" and 86567656
        or name:find "^vit_h" and 632045800 or models.get_model_weights(name).DEFAULT.meta.num_params, name)
    end
    assert.same({ "resnet101", "resnet152", "resnet18", "resnet34", "resnet50" }, models.list_models { include = "resnet*" })
    assert.same({ "resnet18" }, models.list_models { include = { "resnet*" }, exclude = { "*1??", "resnet[35]*" } })
    assert.same({ "swin_v2_b", "swin_v2_s", "swin_v2_t" }, models.list_models(models, "*_v2_[!l-m]", "eff*"))
    assert.same({}, models.list_models { include = "nothing" })
    assert.error_matches(function() models.list_models { include = { 1 } } end, "filters must be strings")
    assert.error_matches(function() models.list_models(torch.nn) end, "argument 'module' must be vision.models or nil")
    assert.error_matches(function() models.get_model "resnet19" end, "Unknown model resnet19; did you mean 'resnet18'%?")
    assert.error_matches(function() models.get_model_builder(3) end, "argument 'name' must be a string")
  end)

  it("exports the classes by family", function()
    assert.equal(models.ResNet, models.resnet.ResNet)
    assert.equal(models.BasicBlock, models.resnet.BasicBlock)
    assert.truthy(torch.isinstance(models.get_model("squeezenet1_1", { num_classes = 3 }), models.SqueezeNet))
    for _, name in ipairs { "AlexNet", "ConvNeXt", "DenseNet", "EfficientNet", "GoogLeNet", "Inception3", "MaxVit", "MNASNet",
      "MobileNetV2", "MobileNetV3", "RegNet", "ShuffleNetV2", "SwinTransformer", "VGG", "VisionTransformer" } do
      assert.equal(name, models[name].__name)
    end
    assert.is_nil(models.NoSuchNetwork)
  end)

  it("lets heads be exchanged, layers frozen, added and deleted", function()
    local vgg = models.vgg11 { num_classes = 3 }
    vgg.classifier[6] = nn.Linear(4096, 2)
    for p in vgg.features:parameters() do p.requires_grad = false end
    local trained = {}
    for name, p in vgg:named_parameters() do
      if p.requires_grad then trained[#trained + 1] = name end
    end
    assert.same({ "classifier.0.weight", "classifier.0.bias", "classifier.3.weight", "classifier.3.bias", "classifier.6.weight",
      "classifier.6.bias" }, trained)
    vgg.classifier:add_module("7", nn.LogSoftmax(1))
    torch.del(vgg.classifier, 5)
    vgg.classifier[1] = nn.Identity()
    assert.equal(7, #vgg.classifier)
    local y = vgg:eval()(torch.randn(2, 3, 32, 32))
    assert.same({ 2, 2 }, { y.shape:unpack() })
    y:sum():backward()
    assert.is_nil(vgg.features[0].weight.grad)
    assert.truthy(vgg.classifier[0].weight.grad)
    local resnet = models.resnet18()
    resnet.fc = nn.Linear(resnet.fc.in_features, 2)
    assert.equal("fc.bias", (function() local last for name in resnet:named_parameters() do last = name end return last end)())
  end)

  it("trains in training mode and gives auxiliary results by name and number", function()
    local net = models.googlenet { num_classes = 4, init_weights = false }
    local out = net(torch.randn(2, 3, 64, 64))
    assert.equal(3, #out)
    assert.equal(out.logits, out[1])
    assert.equal(out.aux_logits2, out[2])
    assert.equal(out.aux_logits1, out[3])
    assert.truthy(tostring(out):find "^GoogLeNetOutputs%(logits=tensor%(")
    local loss = out.logits:sum() + out.aux_logits1:sum() + out.aux_logits2:sum()
    loss:backward()
    for name, p in net:named_parameters() do assert.truthy(p.grad, name) end
    assert.truthy(torch.is_tensor(net:eval()(torch.randn(1, 3, 64, 64))))
  end)
end)

describe("the weights", function()
  local fetched, state
  local before = rawget(torch, "hub")

  setup(function()
    rawset(torch, "hub", { load_state_dict_from_url = function(url, options)
      fetched = { url = url, options = options }
      return state
    end })
  end)
  teardown(function() rawset(torch, "hub", before) end)
  before_each(function() fetched = nil end)

  it("are enums of entries", function()
    local enum = models.ResNet50_Weights
    assert.equal("<enum 'ResNet50_Weights'>", tostring(enum))
    assert.equal(2, #enum)
    assert.equal(enum.IMAGENET1K_V2, enum.DEFAULT)
    assert.equal(enum.IMAGENET1K_V1, enum["IMAGENET1K_V1"])
    local names = {}
    for name, entry in pairs(enum) do
      names[#names + 1] = name
      assert.equal(entry, enum.verify(name))
      assert.equal(entry, enum:verify(tostring(entry)))
    end
    assert.same({ "IMAGENET1K_V1", "IMAGENET1K_V2" }, names)
    assert.is_nil(enum.verify(nil))
    local entry = models.get_weight "ResNet50_Weights.IMAGENET1K_V2"
    assert.equal(enum.DEFAULT, entry)
    assert.equal("ResNet50_Weights.IMAGENET1K_V2", tostring(entry))
    assert.equal("IMAGENET1K_V2", entry.name)
    assert.equal("https://download.pytorch.org/models/resnet50-11ad3fa6.pth", entry.url)
    assert.equal(25557032, entry.meta.num_params)
    assert.same({ 1, 1 }, entry.meta.min_size)
    assert.equal(1000, #entry.meta.categories)
    assert.equal("tench", entry.meta.categories[1])
    assert.equal("toilet tissue", entry.meta.categories[1000])
    assert.equal(80.858, entry.meta._metrics["ImageNet-1K"]["acc@1"])
    assert.is_nil(models.VGG16_Weights.IMAGENET1K_FEATURES.meta.categories)
    assert.equal(models.get_model_weights "resnet50", models.get_model_weights(models.resnet50))
    assert.equal(enum, models.get_model_weights "resnet50")
  end)

  it("come with their preprocessing", function()
    assert.equal(table.concat({ "ImageClassification(", "    crop_size=[224]", "    resize_size=[232]",
      "    mean=[0.485, 0.456, 0.406]", "    std=[0.229, 0.224, 0.225]", "    interpolation=InterpolationMode.BILINEAR", ")" }, "\n"),
      tostring(models.ResNet50_Weights.DEFAULT.transforms()))
    local preset = models.EfficientNet_V2_L_Weights.DEFAULT:transforms { crop_size = 100 }
    assert.same({ { 100 }, { 480 }, { 0.5, 0.5, 0.5 }, "bicubic" },
      { preset.crop_size, preset.resize_size, preset.mean, preset.interpolation })
    assert.truthy(preset:describe():find("cut to crop_size=[100]", 1, true))
  end)

  it("are fetched, checked against their hash and loaded", function()
    torch.manual_seed(5)
    state = models.squeezenet1_1():state_dict()
    local function check(options, expected)
      local net = models.squeezenet1_1(options)
      assert.equal("https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth", fetched.url)
      assert.same(expected or { progress = true, check_hash = true }, fetched.options)
      assert.truthy(torch.equal(state["classifier.1.weight"], net.classifier[1].weight))
    end
    check { weights = "DEFAULT" }
    check { weights = "IMAGENET1K_V1" }
    check({ weights = "SqueezeNet1_1_Weights.IMAGENET1K_V1", progress = false, num_classes = 1000, dropout = 0.1 },
      { progress = false, check_hash = true })
    check { weights = models.SqueezeNet1_1_Weights.DEFAULT }
    fetched = nil
    models.squeezenet1_1 { weights = false }
    models.squeezenet1_1 {}
    assert.is_nil(fetched)
  end)

  it("take the old style with a warning", function()
    local function warned(fn)
      local texts = {}
      for i, w in ipairs(warnings.catch_warnings(fn)) do texts[i] = w.message end
      return texts
    end
    local texts = warned(function() models.squeezenet1_1 { pretrained = true } end)
    assert.equal(2, #texts)
    assert.truthy(texts[1]:find "^The parameter 'pretrained' is deprecated")
    assert.truthy(texts[2]:find("`weights=SqueezeNet1_1_Weights.IMAGENET1K_V1`. You can also use", 1, true))
    assert.truthy(fetched)
    fetched = nil
    texts = warned(function() models.squeezenet1_1(true) end)
    assert.truthy(texts[1]:find "^Using 'weights' as positional parameter")
    assert.equal(2, #texts)
    assert.truthy(fetched)
    fetched = nil
    assert.equal(2, #warned(function() models.squeezenet1_1 { pretrained = false } end))
    assert.is_nil(fetched)
  end)

  it("say what does not fit", function()
    local function fails(message, fn) assert.error_matches(fn, message) end
    fails("ResNet18_Weights: no weights are named 'V3'; there are IMAGENET1K_V1 and DEFAULT",
      function() models.resnet18 { weights = "V3" } end)
    fails("expected ResNet18_Weights but received ResNet50_Weights",
      function() models.resnet18 { weights = models.ResNet50_Weights.DEFAULT } end)
    fails("no weights are named 'IMAGENET1K_V9'", function() return models.ResNet18_Weights.IMAGENET1K_V9 end)
    fails("cannot be changed", function() models.ResNet18_Weights.IMAGENET1K_V1 = 1 end)
    fails("resnet18: The parameter 'num_classes' expected value 1000 but got 10 instead",
      function() models.resnet18 { weights = "DEFAULT", num_classes = 10 } end)
    fails("vit_b_16: The parameter 'image_size' expected value 384 but got 224 instead",
      function() models.vit_b_16 { weights = "IMAGENET1K_SWAG_E2E_V1", image_size = 224 } end)
    fails("ResNet: unknown argument 'num_clases'; did you mean 'num_classes'%?", function() models.resnet18 { num_clases = 2 } end)
    fails("resnet18: argument 'progress' must be a boolean", function() models.resnet18 { progress = 1 } end)
    fails("Invalid weight name provided: 'resnet18'", function() models.get_weight "resnet18" end)
    fails("The weight enum 'Foo_Weights'", function() models.get_weight "Foo_Weights.DEFAULT" end)
    fails("No weights available for model vit_h_14",
      function() warnings.catch_warnings(function() models.vit_h_14 { pretrained = true } end) end)
    fails("takes at most 2 positional arguments", function() models.resnet18(nil, true, 3) end)
    fails("'weights' is given twice", function()
      warnings.catch_warnings(function() models.resnet18(nil, { weights = "DEFAULT" }) models.resnet18("DEFAULT", { weights = "DEFAULT" }) end)
    end)
  end)

  it("of old files get the names of today", function()
    -- DenseNet: norm.1.weight is norm1.weight today.
    state = torch.nn.Module.state_dict(models.densenet121())
    local old = {}
    for key, value in state:items() do old[(key:gsub("(denselayer%d+%.%a+)([12])%.", "%1.%2."))] = value end
    assert.truthy(old["features.denseblock1.denselayer2.conv.2.weight"])
    state = require "lampad.ordered_dict"(old)
    local net = models.densenet121 { weights = "DEFAULT" }
    assert.truthy(torch.equal(old["features.denseblock1.denselayer2.conv.2.weight"],
      net.features.denseblock1.denselayer2.conv2.weight))
    -- Vision Transformer: linear_1 of an MLPBlock is 0 today.
    local MLPBlock = models.vision_transformer.MLPBlock
    local block = MLPBlock(4, 8, 0.0)
    local w = { linear_1 = torch.randn(8, 4), linear_2 = torch.randn(4, 8) }
    block:load_state_dict { ["linear_1.weight"] = w.linear_1, ["linear_1.bias"] = torch.zeros(8), ["linear_2.weight"] = w.linear_2,
      ["linear_2.bias"] = torch.zeros(4) }
    assert.truthy(torch.equal(w.linear_1, block[0].weight) and torch.equal(w.linear_2, block[3].weight))
  end)

  it("of GoogLeNet and Inception come with auxiliary heads that go again", function()
    state = models.googlenet { init_weights = false }:state_dict()
    local net = models.googlenet { weights = "DEFAULT" }
    assert.is_nil(net.aux1)
    assert.truthy(net.transform_input)
    assert.is_false(net.aux_logits)
    assert.truthy(tostring(net):find("\n  (aux1): None\n", 1, true))
    assert.truthy(torch.is_tensor(net(torch.randn(2, 3, 64, 64))))
    assert.equal(1, #warnings.catch_warnings(function() net = models.googlenet { weights = "DEFAULT", aux_logits = true } end))
    assert.truthy(net.aux1)
    state = models.inception_v3 { init_weights = false }:state_dict()
    assert.is_nil(models.inception_v3 { weights = "DEFAULT", aux_logits = false, transform_input = false }.AuxLogits)
  end)
end)

describe("feature extraction", function()
  local extraction = models.feature_extraction

  it("gives what modules compute on the way", function()
    torch.manual_seed(0)
    local net = models.resnet18 { num_classes = 2 }
    local x = torch.randn(2, 3, 32, 32)
    local extractor = extraction.create_feature_extractor(net:eval(), { layer2 = "middle", avgpool = "last", ["layer1.0"] = "first" })
    local out = extractor(x)
    local names = {}
    for name in out:keys() do names[#names + 1] = name end
    assert.same({ "first", "middle", "last" }, names)
    assert.truthy(torch.equal(net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))), out.middle))
    assert.truthy(torch.equal(net(x), net.fc(out.last:flatten(1))))
    assert.is_nil(next(net.layer2._hooks and net.layer2._hooks.forward or {}))
    assert.equal(net.conv1, extractor.conv1)
    assert.equal(#net:state_dict(), #extractor:state_dict())
    assert.is_nil(net.training and true or nil)
    out.last:sum():backward()
    assert.truthy(net.conv1.weight.grad)
    assert.same({ 2, 512, 1, 1 }, { extractor:deepcopy()(x).last.shape:unpack() })
    -- What replaces a module afterwards is seen.
    extractor.layer2 = nn.Identity()
    assert.same({ 2, 64, 8, 8 }, { extraction.create_feature_extractor(extractor, { "layer2" })(x).layer2.shape:unpack() })
  end)

  it("has places for training and for evaluation", function()
    local net = models.squeezenet1_1()
    local extractor = extraction.create_feature_extractor(net, { train_return_nodes = { "features.3" }, eval_return_nodes = { "features" } })
    local x = torch.randn(1, 3, 64, 64)
    assert.truthy(extractor:train()(x)["features.3"])
    assert.truthy(extractor:eval()(x).features)
    local training, evaluation = extraction.get_graph_node_names(net)
    assert.equal("features.0", training[2])
    assert.same(training, evaluation)
  end)

  it("says what does not fit", function()
    local net = models.squeezenet1_1()
    local create = extraction.create_feature_extractor
    assert.error_matches(function() create(net, { "feature.3" }) end, "no module 'feature.3'; did you mean 'features.3'%?")
    assert.error_matches(function() create(net) end, "either 'return_nodes' or both")
    assert.error_matches(function() create(net, {}) end, "argument 'return_nodes' must be a list of paths")
    assert.error_matches(function() create(3, { "x" }) end, "argument 'model' must be a module")
    local extractor = create(net, { "features" })
    assert.error_matches(function() extractor(torch.randn(1, 2, 64, 64)) end, "expected input")
    assert.is_nil(next(net.features._hooks and net.features._hooks.forward or {}))
  end)

  it("has IntermediateLayerGetter", function()
    local net = models.resnet18 { num_classes = 2 }:eval()
    local getter = models._utils.IntermediateLayerGetter(net, { layer1 = "a", layer2 = "b" })
    local x = torch.randn(1, 3, 32, 32)
    local out = getter(x)
    assert.truthy(torch.equal(extraction.create_feature_extractor(net, { "layer2" })(x).layer2, out.b))
    assert.is_nil(getter.layer3)
    assert.error_matches(function() models._utils.IntermediateLayerGetter(net, { nothing = "a" }) end, "not present in model")
  end)
end)

-- What comes from outside this library.
local has_hub = pcall(require, "lampad.hub")
local has_transforms = torch.vision.transforms.functional ~= nil
local function when(condition) return condition and it or pending end

describe("the weights in use", function()
  when(has_transforms)("prepare images as torchvision does", function()
    torch.manual_seed(0)
    local image = torch.randint(0, 256, { 3, 40, 50 }):repeat_interleave(8, 1):repeat_interleave(8, 2):to(torch.uint8)
    for _, case in ipairs {
      { models.ResNet18_Weights.DEFAULT, 155284.192 },
      { models.EfficientNet_B0_Weights.DEFAULT, 160297.059 },
      { models.VGG16_Weights.IMAGENET1K_FEATURES, 8936196.24 },
    } do
      local y = case[1].transforms()(image)
      assert.same({ 3, 224, 224 }, { y.shape:unpack() })
      assert.near(case[2], y:double():abs():sum():item(), 1e-4 * case[2])
    end
  end)

  when(has_hub)("are taken from the cache without a network", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p '" .. folder .. "/checkpoints'"))
    local before = torch.hub.get_dir()
    torch.hub.set_dir(folder)
    torch.manual_seed(7)
    local saved = models.squeezenet1_1()
    torch.save(saved:state_dict(), folder .. "/checkpoints/squeezenet1_1-b8a52dc0.pth")
    torch.manual_seed(8)
    local ok, net = pcall(models.squeezenet1_1, { weights = "DEFAULT", progress = false })
    torch.hub.set_dir(before)
    os.execute("rm -r '" .. folder .. "'")
    assert.truthy(ok, net)
    assert.truthy(torch.equal(saved.features[0].weight, net.features[0].weight))
  end)
end)
