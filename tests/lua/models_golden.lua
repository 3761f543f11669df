-- Compares a network of vision.models with what torchvision wrote into tests/golden/models.txt
-- (scripts/gen/golden_models.py). For models_spec.lua and scripts/models.sh.
local torch = require "lampad"
local models = torch.vision.models

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local golden = { TOLERANCE = 1e-4 }

-- Sizes of the images where it is not 224, and in training where it is not 64, as in the generator.
local sizes = {
  inception_v3 = 299, swin_v2_b = 256, swin_v2_s = 256, swin_v2_t = 256, efficientnet_b1 = 240, efficientnet_b2 = 288,
  efficientnet_b3 = 300, efficientnet_b4 = 380, efficientnet_b5 = 456, efficientnet_b6 = 528, efficientnet_b7 = 600,
  efficientnet_v2_s = 384, efficientnet_v2_m = 480, efficientnet_v2_l = 480,
}

-- So deep that in training float32 alone leaves about the tolerance.
local double = { resnet101 = true, resnet152 = true, wide_resnet101_2 = true, resnext101_32x8d = true, resnext101_64x4d = true,
  inception_v3 = true, regnet_y_128gf = true }

local function stem()
  local list = {}
  for i, channels in ipairs { 16, 32, 64, 128 } do list[i] = models.vision_transformer.ConvStemConfig(channels, 3, 2) end
  return list
end

-- Networks with options: network, options, sizes of the images in evaluation and in training; as in the generator.
local nn = torch.nn
local variants = {
  ["resnet18 groups"] = { "resnet18", { num_classes = 10, norm_layer = function(c) return nn.GroupNorm(8, c) end } },
  ["resnet50 dilated"] = { "resnet50", { num_classes = 10, replace_stride_with_dilation = { false, true, true },
    zero_init_residual = true, width_per_group = 32 } },
  ["densenet121 drop"] = { "densenet121", { drop_rate = 0.2, bn_size = 2, num_classes = 7, memory_efficient = true } },
  ["googlenet plain"] = { "googlenet", { aux_logits = false, transform_input = true, init_weights = false, dropout = 0.4,
    num_classes = 10 } },
  ["googlenet aux"] = { "googlenet", { dropout_aux = 0.5, num_classes = 10, init_weights = false }, 64, 96 },
  ["inception_v3 plain"] = { "inception_v3", { aux_logits = false, transform_input = true, init_weights = false, dropout = 0.1,
    num_classes = 10 }, 96, 139 },
  ["vgg11 dropout"] = { "vgg11", { dropout = 0.2, init_weights = false, num_classes = 2 }, 32, 32 },
  ["mobilenet_v2 narrow"] = { "mobilenet_v2", { width_mult = 0.35, round_nearest = 4, dropout = 0.5, num_classes = 10 } },
  ["mobilenet_v3_large dilated"] = { "mobilenet_v3_large", { width_mult = 0.5, reduced_tail = true, dilated = true,
    num_classes = 10 } },
  ["mobilenet_v3_small wide"] = { "mobilenet_v3_small", { width_mult = 1.25, dropout = 0.4 } },
  ["mnasnet1_3 dropout"] = { "mnasnet1_3", { dropout = 0.6, num_classes = 10 } },
  ["efficientnet_b1 depth"] = { "efficientnet_b1", { stochastic_depth_prob = 0.6, dropout = 0.1, num_classes = 10 } },
  ["regnet_y_400mf width"] = { "regnet_y_400mf", { stem_width = 16, activation = nn.SiLU, num_classes = 10 } },
  ["convnext_tiny scale"] = { "convnext_tiny", { layer_scale = 0.5, stochastic_depth_prob = 0.5, num_classes = 10 } },
  ["vit_b_32 small"] = { "vit_b_32", { image_size = 64, representation_size = 48, dropout = 0.1, attention_dropout = 0.1,
    num_classes = 10 } },
  ["vit_b_16 stem"] = { "vit_b_16", { image_size = 64, num_classes = 10, conv_stem_configs = stem() } },
  ["swin_t dropout"] = { "swin_t", { dropout = 0.1, attention_dropout = 0.1, mlp_ratio = 2.0, num_classes = 10 }, 80, 72 },
  ["swin_v2_t dropout"] = { "swin_v2_t", { dropout = 0.1, attention_dropout = 0.1, num_classes = 10 }, 80, 72 },
  ["maxvit_t dropout"] = { "maxvit_t", { mlp_dropout = 0.1, attention_dropout = 0.1, num_classes = 10 }, 224, 224 },
}
golden.variants = variants

--- rows(): name -> {parameters, keys, text, sums, evaluated, trained}.
function golden.rows()
  local rows = {}
  for line in io.lines(here .. "/../golden/models.txt") do
    if line:sub(1, 1) ~= "#" then
      local fields = {}
      for field in (line .. "|"):gmatch "(.-)|" do fields[#fields + 1] = field end
      local function numbers(text)
        local list = {}
        for number in text:gmatch "%S+" do list[#list + 1] = tonumber(number) end
        return list
      end
      rows[fields[1]] = { parameters = tonumber(fields[2]), keys = tonumber(fields[3]), text = tonumber(fields[4]),
        sums = numbers(fields[5]), evaluated = numbers(fields[6]), trained = numbers(fields[7]) }
    end
  end
  return rows
end

-- The FNV-1a hash of 32 bits.
local function fnv(text)
  local hash = 0x811C9DC5
  for i = 1, #text do hash = ((hash ~ text:byte(i)) * 0x01000193) & 0xFFFFFFFF end
  return hash
end
golden.fnv = fnv

local function shape_text(shape)
  local list = { shape:unpack() }
  return "(" .. table.concat(list, ", ") .. (#list == 1 and "," or "") .. ")"
end

local function check(name, what, got, want, tolerance)
  if math.abs(got - want) > tolerance then
    error(("%s: %s is %.9g, torchvision has %.9g"):format(name, what, got, want), 0)
  end
end

-- Per output: up to 8 logits, the sum of all, the sum of absolute values, the greatest absolute value, which the tolerance is relative to.
local function check_logits(name, mode, output, want)
  local outputs = torch.is_tensor(output) and { output } or output
  local at = 0
  for i, y in ipairs(outputs) do
    y = y:double():flatten()
    local count = math.min(8, y:numel())
    local scale = want[at + count + 3] or error(("%s: output %d in %s is one too many"):format(name, i, mode), 0)
    local bound = golden.TOLERANCE * math.max(scale, 1e-3)
    for k = 1, count do check(name, mode .. ", logit " .. k - 1, y[k - 1]:item(), want[at + k], bound) end
    local bound_of_sums = bound * math.sqrt(y:numel())
    check(name, mode .. ", sum", y:sum():item(), want[at + count + 1], bound_of_sums)
    check(name, mode .. ", absolute sum", y:abs():sum():item(), want[at + count + 2], bound_of_sums)
    check(name, mode .. ", maximum", y:abs():max():item(), scale, bound)
    at = at + count + 3
  end
  check(name, mode .. ", numbers of the outputs", at, #want, 0)
end

--- check(name, row, trains): raises where the network differs from the row; `trains`: also a batch in training.
function golden.check(label, row, trains)
  local name, options, size, small = label, {}, sizes[label] or 224, label == "inception_v3" and 299 or 64
  if variants[label] then
    name, options, size, small = table.unpack(variants[label])
    size, small = size or 64, small or 64
  end
  torch.manual_seed(0)
  local model = models.get_model(name, options)
  local count = 0
  for p in model:parameters() do count = count + p:numel() end
  check(label, "number of parameters", count, row.parameters, 0)
  local keys, sums, i = {}, { 0, 0, 0 }, 0
  for key, t in model:state_dict():items() do
    i = i + 1
    keys[i] = key .. " " .. shape_text(t.shape)
    t = t:double()
    local absolute = t:abs():sum():item()
    sums[1], sums[2], sums[3] = sums[1] + t:sum():item(), sums[2] + absolute, sums[3] + i * absolute
  end
  check(label, "hash of keys and shapes", fnv(table.concat(keys, "\n")), row.keys, 0)
  check(label, "hash of the text", fnv(tostring(model)), row.text, 0)
  for k, what in ipairs { "sum", "absolute sum", "absolute sum by place" } do
    check(label, what .. " of the initial state", sums[k], row.sums[k], 1e-6 * row.sums[k == 1 and 2 or k])
  end
  torch.manual_seed(1)
  torch.no_grad(function()
    for key, p in model:named_parameters() do
      if key:find "layer_scale$" then p:fill_(0.1) end
      if key == "heads.head.weight" then p:normal_(0.0, 0.02) end
    end
    local x = torch.randn(1, 3, size, size)
    check_logits(label, "evaluation", model:eval()(x), row.evaluated)
    if not trains then return end
    local fixed = name:find "^vit_" or name:find "^maxvit"
    small = fixed and size or small
    x = torch.randn(fixed and 2 or 4, 3, small, small)
    if double[name] then
      model:double()
      x = x:double()
    end
    torch.manual_seed(2)
    check_logits(label, "training", model:train()(x), row.trained)
  end)
end

return golden
