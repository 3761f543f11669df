-- Compares a network of vision.models with what torchvision wrote into tests/golden/models.txt
-- (scripts/gen/golden_models.py). For models_spec.lua and scripts/models.sh.
local torch = require "lampad"
local models = torch.vision.models

local golden = { TOLERANCE = 1e-4 }

-- Sizes of the images where it is not 224, and in training where it is not 64, as in the generator.
local sizes = {
  inception_v3 = 299, swin_v2_b = 256, swin_v2_s = 256, swin_v2_t = 256, efficientnet_b1 = 240, efficientnet_b2 = 288,
  efficientnet_b3 = 300, efficientnet_b4 = 380, efficientnet_b5 = 456, efficientnet_b6 = 528, efficientnet_b7 = 600,
  efficientnet_v2_s = 384, efficientnet_v2_m = 480, efficientnet_v2_l = 480,
}

--- rows(): name -> {parameters, keys, text, sums, evaluated, trained}.
function golden.rows()
  local rows = {}
  for line in io.lines(arg[0]:match "^(.*)/tests/" and arg[0]:match "^(.*)/tests/" .. "/tests/golden/models.txt"
    or "tests/golden/models.txt") do
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

-- Per output: 8 logits, their sum, the sum of absolute values, the greatest absolute value, which the tolerance is relative to.
local function check_logits(name, mode, output, want)
  local outputs = torch.is_tensor(output) and { output } or output
  if #want ~= 11 * #outputs then error(("%s: %d outputs in %s"):format(name, #outputs, mode), 0) end
  for i, y in ipairs(outputs) do
    y = y:double():flatten()
    local at = 11 * (i - 1)
    local scale = want[at + 11]
    local bound = golden.TOLERANCE * math.max(scale, 1e-3)
    for k = 1, 8 do check(name, mode .. ", logit " .. k - 1, y[k - 1]:item(), want[at + k], bound) end
    local bound_of_sums = bound * math.sqrt(y:numel())
    check(name, mode .. ", sum", y:sum():item(), want[at + 9], bound_of_sums)
    check(name, mode .. ", absolute sum", y:abs():sum():item(), want[at + 10], bound_of_sums)
    check(name, mode .. ", maximum", y:abs():max():item(), scale, bound)
  end
end

--- check(name, row, trains): raises where the network differs from the row; `trains`: also a batch in training.
function golden.check(name, row, trains)
  torch.manual_seed(0)
  local model = models.get_model(name)
  local count = 0
  for p in model:parameters() do count = count + p:numel() end
  check(name, "number of parameters", count, row.parameters, 0)
  local keys, sums, i = {}, { 0, 0, 0 }, 0
  for key, t in model:state_dict():items() do
    i = i + 1
    keys[i] = key .. " " .. shape_text(t.shape)
    t = t:double()
    local absolute = t:abs():sum():item()
    sums[1], sums[2], sums[3] = sums[1] + t:sum():item(), sums[2] + absolute, sums[3] + i * absolute
  end
  check(name, "hash of keys and shapes", fnv(table.concat(keys, "\n")), row.keys, 0)
  check(name, "hash of the text", fnv(tostring(model)), row.text, 0)
  for k, what in ipairs { "sum", "absolute sum", "absolute sum by place" } do
    check(name, what .. " of the initial state", sums[k], row.sums[k], 1e-6 * row.sums[k == 1 and 2 or k])
  end
  torch.manual_seed(1)
  torch.no_grad(function()
    for key, p in model:named_parameters() do
      if key:find "layer_scale$" then p:fill_(0.1) end
      if key == "heads.head.weight" then p:normal_(0.0, 0.02) end
    end
    local size = sizes[name] or 224
    local x = torch.randn(1, 3, size, size)
    check_logits(name, "evaluation", model:eval()(x), row.evaluated)
    if not trains then return end
    local fixed = name:find "^vit_" or name:find "^maxvit"
    local small = (fixed or name == "inception_v3") and size or 64
    x = torch.randn(fixed and 2 or 4, 3, small, small)
    torch.manual_seed(2)
    check_logits(name, "training", model:train()(x), row.trained)
  end)
end

return golden
