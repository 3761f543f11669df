-- torch.vision.models (torchvision.models): the networks for classification, with the builders, classes and weights under
-- torchvision's names. A family is loaded when one of its names is first used.
local args = require "lampad.args"
local lazy = require "lampad.lazy"
local text = require "lampad.text"

-- File -> classes that torchvision exports, then builders.
local families = {
  alexnet = { { "AlexNet" }, "alexnet" },
  convnext = { { "ConvNeXt" }, "convnext_base", "convnext_large", "convnext_small", "convnext_tiny" },
  densenet = { { "DenseNet" }, "densenet121", "densenet161", "densenet169", "densenet201" },
  efficientnet = { { "EfficientNet" }, "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l", "efficientnet_v2_m",
    "efficientnet_v2_s" },
  googlenet = { { "GoogLeNet", "GoogLeNetOutputs", "_GoogLeNetOutputs" }, "googlenet" },
  inception = { { "Inception3", "InceptionOutputs", "_InceptionOutputs" }, "inception_v3" },
  maxvit = { { "MaxVit" }, "maxvit_t" },
  mnasnet = { { "MNASNet" }, "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3" },
  mobilenetv2 = { { "MobileNetV2" }, "mobilenet_v2" },
  mobilenetv3 = { { "MobileNetV3" }, "mobilenet_v3_large", "mobilenet_v3_small" },
  regnet = { { "RegNet" }, "regnet_x_16gf", "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf",
    "regnet_x_800mf", "regnet_x_8gf", "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf",
    "regnet_y_400mf", "regnet_y_800mf", "regnet_y_8gf" },
  resnet = { { "ResNet", "BasicBlock", "Bottleneck" }, "resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
    "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d", "wide_resnet101_2", "wide_resnet50_2" },
  shufflenetv2 = { { "ShuffleNetV2" }, "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0" },
  squeezenet = { { "SqueezeNet" }, "squeezenet1_0", "squeezenet1_1" },
  swin_transformer = { { "SwinTransformer" }, "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t" },
  vgg = { { "VGG" }, "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn" },
  vision_transformer = { { "VisionTransformer" }, "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32" },
}

local prefix = "lampad.vision.models."
local files, file_of, builders = {}, {}, {}
local models -- the library, made at the end
for file in pairs(families) do
  files[file] = prefix .. file -- models.resnet is the module of that name
end
files.feature_extraction = prefix .. "feature_extraction"
-- Where torchvision keeps IntermediateLayerGetter.
files._utils = function() return { IntermediateLayerGetter = require(prefix .. "feature_extraction").IntermediateLayerGetter } end
for file, names in pairs(families) do
  local function load(name) return require(prefix .. file)[name] end
  for _, name in ipairs(names[1]) do files[name] = load end
  for i = 2, #names do
    files[names[i]], file_of[names[i]] = load, file
    builders[#builders + 1] = names[i]
  end
end
table.sort(builders)

local function weights() return require "lampad.vision.models.weights" end

files.feature_extraction = prefix .. "feature_extraction"
function files._utils()
  return { IntermediateLayerGetter = models.feature_extraction.IntermediateLayerGetter,
    _make_divisible = require(prefix .. "zoo").make_divisible }
end

files[1] = function(name)
  return name:find "_Weights$" and weights().enums[name] or nil
end

local function builder_of(what, name)
  if type(name) ~= "string" then
    args.fail(what, "argument 'name' must be a string, got %s", text.describe(name))
  end
  name = name:lower()
  if not file_of[name] then
    args.fail(what, "Unknown model %s; did you mean '%s'?", name, (text.nearest(name, builders)))
  end
  return models[name]
end

local api = {}

--- get_model_builder(name): the function vision.models[name].
function api.get_model_builder(name) return builder_of("get_model_builder", name) end

--- get_model(name, {weights = ..., ...}): the network of that name, with the builder's options.
function api.get_model(name, options) return builder_of("get_model", name)(options or {}) end

--- get_model_weights(name or builder): the enum of its weights.
function api.get_model_weights(name)
  if type(name) == "function" then
    for _, builder in ipairs(builders) do
      if rawget(models, builder) == name then return weights().of_model[builder] end
    end
    args.fail("get_model_weights", "the function is no builder of vision.models")
  end
  builder_of("get_model_weights", name)
  return weights().of_model[name:lower()]
end

--- get_weight("ResNet50_Weights.IMAGENET1K_V2"): the entry of that name.
function api.get_weight(name)
  local title, entry
  if type(name) == "string" then title, entry = name:match "^([^.]*)%.([^.]*)$" end
  if not title then args.fail("get_weight", "Invalid weight name provided: '%s'.", tostring(name)) end
  local enum = weights().enums[title]
    or args.fail("get_weight", "The weight enum '%s' for the specific method couldn't be retrieved.", title)
  return enum.verify(entry)
end

-- fnmatch's pattern as one of Lua's.
local function lua_pattern(wildcard)
  local pattern, i = "^", 1
  while i <= #wildcard do
    local c = wildcard:sub(i, i)
    local set = c == "[" and wildcard:match("^%[(!?%]?[^%]]*)%]", i)
    if c == "*" then
      pattern = pattern .. ".*"
    elseif c == "?" then
      pattern = pattern .. "."
    elseif set then
      pattern = pattern .. "[" .. set:gsub("%%", "%%%%"):gsub("^!", "^"):gsub("^%]", "%%]") .. "]"
      i = i + #set + 1
    else
      pattern = pattern .. c:gsub("%W", "%%%0")
    end
    i = i + 1
  end
  return pattern .. "$"
end

local list_spec = args "list_models(any module=nil, any include=nil, any exclude=nil)"

local function matches(name, filters)
  for _, filter in ipairs(type(filters) == "table" and filters or { filters }) do
    if type(filter) ~= "string" then
      args.fail("list_models", "filters must be strings such as \"resnet*\", got %s", text.describe(filter))
    end
    if name:find(lua_pattern(filter)) then return true end
  end
  return false
end

--- list_models{include = "resnet*", exclude = {"*18"}}: the sorted names of the networks; filters are a shell's patterns or
--- lists of them. module: vision.models or nil, there is no other.
function api.list_models(...)
  local module, include, exclude = list_spec(...)
  if module ~= nil and module ~= models then
    args.fail("list_models", "argument 'module' must be vision.models or nil, got %s", text.describe(module))
  end
  local names = {}
  for _, name in ipairs(builders) do
    local included = not include or type(include) == "table" and #include == 0 or matches(name, include)
    if included and not (exclude and matches(name, exclude)) then names[#names + 1] = name end
  end
  return names
end

for name, fn in pairs(api) do
  files[name] = function() return fn end
end

models = lazy(files, function()
  local names = {}
  for title in pairs(weights().enums) do names[#names + 1] = title end
  return names
end)

return models
