-- Augmentation policies: AutoAugment (Cubuk et al. 2019), RandAugment (Cubuk et al. 2020), TrivialAugmentWide (Müller and
-- Hutter 2021), AugMix (Hendrycks et al. 2020), with torchvision's ranges of magnitudes and order of draws.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local convert = require "lampad.vision.transforms.functional.convert"
local colour = require "lampad.vision.transforms.functional.colour"
local filter = require "lampad.vision.transforms.functional.filter"
local warp = require "lampad.vision.transforms.functional.warp"
local InterpolationMode = require "lampad.vision.transforms.interpolation"

local torch = core.torch
local fail = args.fail
local auto = {}

-- --- operations ---------------------------------------------------------------------------------------
local function shear(img, x, y, mode, fill)
  return warp.affine(img, 0.0, { 0, 0 }, 1.0, { math.deg(math.atan(x)), math.deg(math.atan(y)) },
    { interpolation = mode, fill = fill, center = { 0, 0 } })
end

local function translate(img, x, y, mode, fill)
  return warp.affine(img, 0.0, { common.truncate(x), common.truncate(y) }, 1.0, { 0.0, 0.0 },
    { interpolation = mode, fill = fill })
end

-- name -> function(image, magnitude, interpolation, fill)
local operations = {
  ShearX = function(img, m, mode, fill) return shear(img, m, 0.0, mode, fill) end,
  ShearY = function(img, m, mode, fill) return shear(img, 0.0, m, mode, fill) end,
  TranslateX = function(img, m, mode, fill) return translate(img, m, 0, mode, fill) end,
  TranslateY = function(img, m, mode, fill) return translate(img, 0, m, mode, fill) end,
  Rotate = function(img, m, mode, fill) return warp.rotate(img, m, { interpolation = mode, fill = fill }) end,
  Brightness = function(img, m) return colour.adjust_brightness(img, 1.0 + m) end,
  Color = function(img, m) return colour.adjust_saturation(img, 1.0 + m) end,
  Contrast = function(img, m) return colour.adjust_contrast(img, 1.0 + m) end,
  Sharpness = function(img, m) return filter.adjust_sharpness(img, 1.0 + m) end,
  Posterize = function(img, m) return colour.posterize(img, common.truncate(m)) end,
  Solarize = function(img, m) return colour.solarize(img, m) end,
  AutoContrast = function(img) return colour.autocontrast(img) end,
  Equalize = function(img) return colour.equalize(img) end,
  Invert = function(img) return colour.invert(img) end,
  Identity = function(img) return img end,
}

-- --- magnitudes ---------------------------------------------------------------------------------------
-- A space is a list of {name, magnitudes or nil, signed?} in the order that draws count them.
local function line(to, bins) return torch.linspace(0.0, to, bins) end

local function posterize_bits(from, bins, range)
  return (torch.arange(bins) / ((bins - 1) / range)):round():neg():add(from)
end

-- Shears, shifts and a rotation up to the limits, then what every space has.
local function space(bins, limits)
  local list = {}
  local function add(name, magnitudes, signed) list[#list + 1] = { name, magnitudes, signed } end
  if limits.identity then add("Identity") end
  add("ShearX", line(limits.shear, bins), true)
  add("ShearY", line(limits.shear, bins), true)
  add("TranslateX", line(limits.across, bins), true)
  add("TranslateY", line(limits.down, bins), true)
  add("Rotate", line(limits.rotate, bins), true)
  local function add_colours()
    for _, name in ipairs { "Brightness", "Color", "Contrast", "Sharpness" } do add(name, line(limits.colour, bins), true) end
  end
  if limits.colours ~= "last" and limits.colours ~= "none" then add_colours() end
  add("Posterize", posterize_bits(limits.bits, bins, limits.bits_range))
  add("Solarize", torch.linspace(255.0, 0.0, bins))
  add("AutoContrast")
  add("Equalize")
  if limits.invert then add("Invert") end
  if limits.colours == "last" then add_colours() end
  return list
end

local function paper_limits(height, width)
  return { shear = 0.3, across = 150.0 / 331.0 * width, down = 150.0 / 331.0 * height, rotate = 30.0, colour = 0.9, bits = 8,
    bits_range = 4 }
end

-- The fill of a tensor as a list of floats; nil stays.
local function fill_for(what, self, img)
  local fill, _, height, width = base.fill_for(what, self.fill, img)
  return fill, height, width
end

local function check_fill(what, fill)
  if fill ~= nil and type(fill) ~= "number" and not common.list(fill) then
    fail(what, "argument 'fill' must be a number or a list of numbers, got %s", text.describe(fill))
  end
  return fill
end

local function apply(img, name, magnitude, self, fill)
  return operations[name](img, magnitude, self.interpolation, fill)
end

-- --- AutoAugment --------------------------------------------------------------------------------------
local AutoAugmentPolicy = class.extend(class.Object, "AutoAugmentPolicy")
auto.AutoAugmentPolicy = AutoAugmentPolicy

function AutoAugmentPolicy:init(name, value) self.name, self.value = name, value end
function AutoAugmentPolicy.__tostring(self) return "AutoAugmentPolicy." .. self.name end
function AutoAugmentPolicy.__eq(a, b) return a.value == b.value end

local policy_of = {}
for _, name in ipairs { "IMAGENET", "CIFAR10", "SVHN" } do
  local policy = AutoAugmentPolicy(name, name:lower())
  AutoAugmentPolicy[name], policy_of[policy.value] = policy, policy
end

-- Pairs of steps, each an operation, its probability and the position of its magnitude: the tables of the paper.
local tables = {
  imagenet = [[
    Posterize 0.4 8 + Rotate 0.6 9; Solarize 0.6 5 + AutoContrast 0.6; Equalize 0.8 + Equalize 0.6;
    Posterize 0.6 7 + Posterize 0.6 6; Equalize 0.4 + Solarize 0.2 4; Equalize 0.4 + Rotate 0.8 8;
    Solarize 0.6 3 + Equalize 0.6; Posterize 0.8 5 + Equalize 1.0; Rotate 0.2 3 + Solarize 0.6 8;
    Equalize 0.6 + Posterize 0.4 6; Rotate 0.8 8 + Color 0.4 0; Rotate 0.4 9 + Equalize 0.6; Equalize 0.0 + Equalize 0.8;
    Invert 0.6 + Equalize 1.0; Color 0.6 4 + Contrast 1.0 8; Rotate 0.8 8 + Color 1.0 2; Color 0.8 8 + Solarize 0.8 7;
    Sharpness 0.4 7 + Invert 0.6; ShearX 0.6 5 + Equalize 1.0; Color 0.4 0 + Equalize 0.6; Equalize 0.4 + Solarize 0.2 4;
    Solarize 0.6 5 + AutoContrast 0.6; Invert 0.6 + Equalize 1.0; Color 0.6 4 + Contrast 1.0 8; Equalize 0.8 + Equalize 0.6]],
  cifar10 = [[
    Invert 0.1 + Contrast 0.2 6; Rotate 0.7 2 + TranslateX 0.3 9; Sharpness 0.8 1 + Sharpness 0.9 3;
    ShearY 0.5 8 + TranslateY 0.7 9; AutoContrast 0.5 + Equalize 0.9; ShearY 0.2 7 + Posterize 0.3 7;
    Color 0.4 3 + Brightness 0.6 7; Sharpness 0.3 9 + Brightness 0.7 9; Equalize 0.6 + Equalize 0.5;
    Contrast 0.6 7 + Sharpness 0.6 5; Color 0.7 7 + TranslateX 0.5 8; Equalize 0.3 + AutoContrast 0.4;
    TranslateY 0.4 3 + Sharpness 0.2 6; Brightness 0.9 6 + Color 0.2 8; Solarize 0.5 2 + Invert 0.0;
    Equalize 0.2 + AutoContrast 0.6; Equalize 0.2 + Equalize 0.6; Color 0.9 9 + Equalize 0.6;
    AutoContrast 0.8 + Solarize 0.2 8; Brightness 0.1 3 + Color 0.7 0; Solarize 0.4 5 + AutoContrast 0.9;
    TranslateY 0.9 9 + TranslateY 0.7 9; AutoContrast 0.9 + Solarize 0.8 3; Equalize 0.8 + Invert 0.1;
    TranslateY 0.7 9 + AutoContrast 0.9]],
  svhn = [[
    ShearX 0.9 4 + Invert 0.2; ShearY 0.9 8 + Invert 0.7; Equalize 0.6 + Solarize 0.6 6; Invert 0.9 + Equalize 0.6;
    Equalize 0.6 + Rotate 0.9 3; ShearX 0.9 4 + AutoContrast 0.8; ShearY 0.9 8 + Invert 0.4; ShearY 0.9 5 + Solarize 0.2 6;
    Invert 0.9 + AutoContrast 0.8; Equalize 0.6 + Rotate 0.9 3; ShearX 0.9 4 + Solarize 0.3 3; ShearY 0.8 8 + Invert 0.7;
    Equalize 0.9 + TranslateY 0.6 6; Invert 0.9 + Equalize 0.6; Contrast 0.3 3 + Rotate 0.8 4; Invert 0.8 + TranslateY 0.0 2;
    ShearY 0.7 6 + Solarize 0.4 8; Invert 0.6 + Rotate 0.8 4; ShearY 0.3 7 + TranslateX 0.9 3; ShearX 0.1 6 + Invert 0.6;
    Solarize 0.7 2 + TranslateY 0.6 7; ShearY 0.8 4 + Invert 0.8; ShearX 0.7 9 + TranslateY 0.8 3;
    ShearY 0.8 5 + AutoContrast 0.7; ShearX 0.7 2 + Invert 0.1]],
}

local function policies_of(value)
  local list = {}
  for pair in tables[value]:gmatch "[^;]+" do
    local steps = {}
    for step in pair:gmatch "[^+]+" do
      local name, p, at = step:match "(%a+) ([%d.]+) ?(%d*)"
      steps[#steps + 1] = { name, tonumber(p), math.tointeger(tonumber(at)) }
    end
    list[#list + 1] = steps
  end
  return list
end

local auto_spec = args "AutoAugment(any policy='imagenet', any interpolation='nearest', any fill=nil)"

--- One of 25 pairs of operations that were found to help on a data set: policy "imagenet", "cifar10" or "svhn". Images of
--- mode RGB or L, or uint8 tensors of 1 or 3 channels.
local AutoAugment = base.class "AutoAugment"
auto.AutoAugment = AutoAugment

function AutoAugment:init(...)
  local policy, interpolation, fill = auto_spec(...)
  self.policy = policy_of[policy] or class.isinstance(policy, AutoAugmentPolicy) and policy
  if not self.policy then fail("AutoAugment", "The provided policy %s is not recognized.", text.repr(policy)) end
  self.interpolation, self.fill = InterpolationMode.of("AutoAugment", interpolation), check_fill("AutoAugment", fill)
  self.policies = policies_of(self.policy.value)
end

--- Draws the position of a pair, two numbers in [0, 1), two signs (0 or 1).
function AutoAugment.get_params(transform_num)
  local id = torch.randint(transform_num, base.one):item()
  local probs = torch.rand(2):tolist()
  return id, probs, torch.randint(2, { 2 }):tolist()
end

function AutoAugment:forward(img)
  local fill, height, width = fill_for("AutoAugment", self, img)
  local id, probs, signs = AutoAugment.get_params(#self.policies)
  local limits = paper_limits(height, width)
  limits.invert = true
  local by_name = {}
  for _, entry in ipairs(space(10, limits)) do by_name[entry[1]] = entry end
  for i, step in ipairs(self.policies[id + 1]) do
    local name, p, at = step[1], step[2], step[3]
    if probs[i] <= ("f"):unpack(("f"):pack(p)) then
      local entry = by_name[name]
      local magnitude = at and entry[2][at]:item() or 0.0
      if entry[3] and signs[i] == 0 then magnitude = -magnitude end
      img = apply(img, name, magnitude, self, fill)
    end
  end
  return img
end

function AutoAugment.__tostring(self)
  return ("AutoAugment(policy=%s, fill=%s)"):format(tostring(self.policy), text.repr(self.fill))
end

-- --- RandAugment --------------------------------------------------------------------------------------
-- Draws an operation of the space; `magnitude_at`, a position or a function that draws one.
local function draw_operation(list, magnitude_at)
  local entry = list[torch.randint(#list, base.one):item() + 1]
  local magnitude = 0.0
  if entry[2] then
    local at = type(magnitude_at) == "function" and magnitude_at(entry[2]) or magnitude_at
    magnitude = entry[2][at]:item()
  end
  if entry[3] and torch.randint(2, base.one):item() ~= 0 then magnitude = -magnitude end
  return entry[1], magnitude
end

local rand_spec = args [[RandAugment(int num_ops=2, int magnitude=9, int num_magnitude_bins=31, any interpolation='nearest',
  any fill=nil)]]

--- num_ops random operations, all of one magnitude.
local RandAugment = base.class "RandAugment"
auto.RandAugment = RandAugment

function RandAugment:init(...)
  local interpolation, fill
  self.num_ops, self.magnitude, self.num_magnitude_bins, interpolation, fill = rand_spec(...)
  if self.magnitude < 0 or self.magnitude >= self.num_magnitude_bins then
    fail("RandAugment", "magnitude must be 0 to %d (num_magnitude_bins - 1), got %d", self.num_magnitude_bins - 1,
      self.magnitude)
  end
  self.interpolation, self.fill = InterpolationMode.of("RandAugment", interpolation), check_fill("RandAugment", fill)
end

function RandAugment:forward(img)
  local fill, height, width = fill_for("RandAugment", self, img)
  local limits = paper_limits(height, width)
  limits.identity = true
  local list = space(self.num_magnitude_bins, limits)
  for _ = 1, self.num_ops do
    local name, magnitude = draw_operation(list, self.magnitude)
    img = apply(img, name, magnitude, self, fill)
  end
  return img
end

function RandAugment.__tostring(self)
  return ("RandAugment(num_ops=%d, magnitude=%d, num_magnitude_bins=%d, interpolation=%s, fill=%s)"):format(self.num_ops,
    self.magnitude, self.num_magnitude_bins, tostring(self.interpolation), text.repr(self.fill))
end

-- --- TrivialAugmentWide -------------------------------------------------------------------------------
local trivial_spec = args "TrivialAugmentWide(int num_magnitude_bins=31, any interpolation='nearest', any fill=nil)"

--- One random operation of a random magnitude.
local TrivialAugmentWide = base.class "TrivialAugmentWide"
auto.TrivialAugmentWide = TrivialAugmentWide

function TrivialAugmentWide:init(...)
  local interpolation, fill
  self.num_magnitude_bins, interpolation, fill = trivial_spec(...)
  self.interpolation = InterpolationMode.of("TrivialAugmentWide", interpolation)
  self.fill = check_fill("TrivialAugmentWide", fill)
end

function TrivialAugmentWide:forward(img)
  local fill = fill_for("TrivialAugmentWide", self, img)
  local list = space(self.num_magnitude_bins, { identity = true, shear = 0.99, across = 32.0, down = 32.0, rotate = 135.0,
    colour = 0.99, bits = 8, bits_range = 6 })
  local name, magnitude = draw_operation(list, function(magnitudes) return torch.randint(#magnitudes, base.one):item() end)
  return apply(img, name, magnitude, self, fill)
end

function TrivialAugmentWide.__tostring(self)
  return ("TrivialAugmentWide(num_magnitude_bins=%d, interpolation=%s, fill=%s)"):format(self.num_magnitude_bins,
    tostring(self.interpolation), text.repr(self.fill))
end

-- --- AugMix -------------------------------------------------------------------------------------------
local PARAMETER_MAX = 10
local mix_spec = args [[AugMix(int severity=3, int mixture_width=3, int chain_depth=-1, float alpha=1.0, bool all_ops=true,
  any interpolation='bilinear', any fill=nil)]]

--- A weighted mean of the image and of mixture_width chains of random operations (chain_depth each, -1: 1 to 3).
local AugMix = base.class "AugMix"
auto.AugMix = AugMix

function AugMix:init(...)
  local interpolation, fill
  self.severity, self.mixture_width, self.chain_depth, self.alpha, self.all_ops, interpolation, fill = mix_spec(...)
  if self.severity < 1 or self.severity > PARAMETER_MAX then
    fail("AugMix", "The severity must be between [1, %d]. Got %d instead.", PARAMETER_MAX, self.severity)
  end
  self.interpolation, self.fill = InterpolationMode.of("AugMix", interpolation), check_fill("AugMix", fill)
end

local function dirichlet(alpha, count, batch)
  return torch._sample_dirichlet(torch.full({ count }, alpha):expand(batch, -1))
end

function AugMix:forward(orig)
  local fill, height, width = fill_for("AugMix", self, orig)
  local is_image = common.is_image(orig)
  local img = is_image and convert.pil_to_tensor(orig) or orig
  local list = space(PARAMETER_MAX, { shear = 0.3, across = width / 3.0, down = height / 3.0, rotate = 30.0, colour = 0.9,
    bits = 4, bits_range = 4, colours = self.all_ops and "last" or "none" })
  local batch = img
  while batch.ndim < 4 do batch = batch:unsqueeze(0) end
  local n = batch:size(0)
  local function spread(weights) return weights:view(n, 1, 1, 1) end
  local shares = dirichlet(self.alpha, 2, n)
  local weights = dirichlet(self.alpha, self.mixture_width, n) * shares:select(1, 1):view(n, -1)
  local mix = spread(shares:select(1, 0)) * batch
  for i = 0, self.mixture_width - 1 do
    local augmented = batch
    local depth = self.chain_depth > 0 and self.chain_depth or torch.randint(1, 4, base.one):item()
    for _ = 1, depth do
      local name, magnitude = draw_operation(list, function() return torch.randint(self.severity, base.one):item() end)
      augmented = apply(augmented, name, magnitude, self, fill)
    end
    mix:add_(spread(weights:select(1, i)) * augmented)
  end
  mix = mix:view(img.shape):to(img.dtype)
  return is_image and convert.to_pil_image(mix) or mix
end

function AugMix.__tostring(self)
  return ("AugMix(severity=%d, mixture_width=%d, chain_depth=%d, alpha=%s, all_ops=%s, interpolation=%s, fill=%s)"):format(
    self.severity, self.mixture_width, self.chain_depth, text.repr(self.alpha), text.repr(self.all_ops),
    tostring(self.interpolation), text.repr(self.fill))
end

return auto
