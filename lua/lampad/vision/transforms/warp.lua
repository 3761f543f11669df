-- RandomRotation, RandomAffine, RandomPerspective, ElasticTransform.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local F = require "lampad.vision.transforms.functional.warp"
local filter = require "lampad.vision.transforms.functional.filter"
local InterpolationMode = require "lampad.vision.transforms.interpolation"

local torch = core.torch
local fail = args.fail
local warp = {}

-- --- RandomRotation -------------------------------------------------------------------------------------
local rotation_spec = args [[RandomRotation(any degrees, any interpolation='nearest', bool expand=false, any center=nil,
  any fill=0)]]

--- Rotates by an angle in [-degrees, degrees], or {min, max}.
local RandomRotation = base.class "RandomRotation"
warp.RandomRotation = RandomRotation

function RandomRotation:init(...)
  local degrees, interpolation, expand, center, fill = rotation_spec(...)
  self.interpolation = InterpolationMode.of("RandomRotation", interpolation)
  self.degrees = base.angles("RandomRotation", "degrees", degrees, 2)
  self.center = center ~= nil and base.sequence("RandomRotation", "center", center, 2) or nil
  self.expand, self.fill = expand, base.fill("RandomRotation", fill)
end

--- Draws the angle.
function RandomRotation.get_params(degrees) return base.uniform(degrees[1], degrees[2]) end

function RandomRotation:forward(img)
  local fill = base.fill_for("RandomRotation", self.fill, img)
  return F.rotate(img, RandomRotation.get_params(self.degrees), { interpolation = self.interpolation, expand = self.expand,
    center = self.center, fill = fill })
end

function RandomRotation.__tostring(self)
  return ("RandomRotation(degrees=%s, interpolation=%s, expand=%s%s, fill=%s)"):format(base.list_text(self.degrees),
    self.interpolation.value, text.repr(self.expand), self.center and ", center=" .. text.repr(self.center) or "",
    text.repr(self.fill))
end

-- --- RandomAffine ---------------------------------------------------------------------------------------
local affine_spec = args [[RandomAffine(any degrees, any translate=nil, any scale=nil, any shear=nil,
  any interpolation='nearest', any fill=0, any center=nil)]]

--- Rotates, moves (translate: largest shares of width and height), scales ({min, max}) and shears (degrees: a number,
--- {min, max} or {min x, max x, min y, max y}).
local RandomAffine = base.class "RandomAffine"
warp.RandomAffine = RandomAffine

function RandomAffine:init(...)
  local degrees, translate, scale, shear, interpolation, fill, center = affine_spec(...)
  local what = "RandomAffine"
  self.interpolation = InterpolationMode.of(what, interpolation)
  self.degrees = base.angles(what, "degrees", degrees, 2)
  if translate ~= nil then
    self.translate = base.sequence(what, "translate", translate, 2)
    for _, t in ipairs(self.translate) do
      if not (t >= 0 and t <= 1) then fail(what, "translation values should be between 0 and 1") end
    end
  end
  if scale ~= nil then
    self.scale = base.sequence(what, "scale", scale, 2)
    for _, s in ipairs(self.scale) do
      if s <= 0 then fail(what, "scale values should be positive") end
    end
  end
  if shear ~= nil then self.shear = base.angles(what, "shear", shear, 2, 4) end
  self.fill = base.fill(what, fill)
  self.center = center ~= nil and base.sequence(what, "center", center, 2) or nil
end

--- Draws angle, {x, y}, scale, {shear x, shear y} for an image of {width, height}.
function RandomAffine.get_params(degrees, translate, scale_ranges, shears, img_size)
  local angle = base.uniform(degrees[1], degrees[2])
  local translations = { 0, 0 }
  if translate then
    local most_x, most_y = translate[1] * img_size[1] + 0.0, translate[2] * img_size[2] + 0.0
    translations[1] = common.round(base.uniform(-most_x, most_x))
    translations[2] = common.round(base.uniform(-most_y, most_y))
  end
  local scale = scale_ranges and base.uniform(scale_ranges[1], scale_ranges[2]) or 1.0
  local shear = { 0.0, 0.0 }
  if shears then
    shear[1] = base.uniform(shears[1], shears[2])
    if #shears == 4 then shear[2] = base.uniform(shears[3], shears[4]) end
  end
  return angle, translations, scale, shear
end

function RandomAffine:forward(img)
  local fill, _, height, width = base.fill_for("RandomAffine", self.fill, img)
  local angle, translations, scale, shear = RandomAffine.get_params(self.degrees, self.translate, self.scale, self.shear,
    { width, height })
  return F.affine(img, angle, translations, scale, shear, { interpolation = self.interpolation, fill = fill,
    center = self.center })
end

function RandomAffine.__tostring(self)
  local parts = { "RandomAffine(degrees=" .. base.list_text(self.degrees) }
  local function add(name, value, shown)
    if value ~= nil then parts[#parts + 1] = ", " .. name .. "=" .. (shown or text.repr(value)) end
  end
  add("translate", self.translate)
  add("scale", self.scale)
  add("shear", self.shear, base.list_text(self.shear))
  if self.interpolation ~= InterpolationMode.NEAREST then add("interpolation", true, self.interpolation.value) end
  if self.fill ~= 0 then add("fill", self.fill) end
  add("center", self.center)
  return table.concat(parts) .. ")"
end

-- --- RandomPerspective ----------------------------------------------------------------------------------
local perspective_spec = args [[RandomPerspective(float distortion_scale=0.5, float p=0.5, any interpolation='bilinear',
  any fill=0)]]

--- Moves the corners inwards, at most by distortion_scale of half the image, with probability p.
local RandomPerspective = base.class "RandomPerspective"
warp.RandomPerspective = RandomPerspective

function RandomPerspective:init(...)
  local interpolation, fill
  self.distortion_scale, self.p, interpolation, fill = perspective_spec(...)
  if not common.truncate(self.distortion_scale) then
    fail("RandomPerspective", "distortion_scale must be finite, got %s", tostring(self.distortion_scale))
  end
  self.interpolation = InterpolationMode.of("RandomPerspective", interpolation)
  self.fill = base.fill("RandomPerspective", fill)
end

--- Draws where the corners go: two lists of {x, y}.
function RandomPerspective.get_params(width, height, distortion_scale)
  local across = common.truncate(distortion_scale * (width // 2))
  local down = common.truncate(distortion_scale * (height // 2))
  local function left() return base.integer(0, across + 1) end
  local function right() return base.integer(width - across - 1, width) end
  local function top() return base.integer(0, down + 1) end
  local function bottom() return base.integer(height - down - 1, height) end
  local function corner(x, y)
    local drawn = x()
    return { drawn, y() }
  end
  local endpoints = { corner(left, top), corner(right, top), corner(right, bottom), corner(left, bottom) }
  return { { 0, 0 }, { width - 1, 0 }, { width - 1, height - 1 }, { 0, height - 1 } }, endpoints
end

function RandomPerspective:forward(img)
  local fill, _, height, width = base.fill_for("RandomPerspective", self.fill, img)
  if not base.chance(self.p) then return img end
  local startpoints, endpoints = RandomPerspective.get_params(width, height, self.distortion_scale)
  return F.perspective(img, startpoints, endpoints, self.interpolation, fill)
end

function RandomPerspective.__tostring(self) return base.describe(self, "p") end

-- --- ElasticTransform -----------------------------------------------------------------------------------
local elastic_spec = args "ElasticTransform(any alpha=50.0, any sigma=5.0, any interpolation='bilinear', any fill=0)"

local function pair_of_floats(name, value)
  if type(value) == "number" then return { value + 0.0, value + 0.0 } end
  local list = common.list(value)
  if not list then
    fail("ElasticTransform", "%s should be float or a sequence of floats. Got %s", name, text.describe(value))
  end
  if #list ~= 2 then
    fail("ElasticTransform", "If %s is a sequence its length should be 2. Got %d", name, #list)
  end
  return { list[1] + 0.0, list[2] + 0.0 }
end

--- Moves pixels as seen through water: alpha is the strength, sigma the smoothness.
local ElasticTransform = base.class "ElasticTransform"
warp.ElasticTransform = ElasticTransform

function ElasticTransform:init(...)
  local alpha, sigma, interpolation, fill = elastic_spec(...)
  self.alpha, self.sigma = pair_of_floats("alpha", alpha), pair_of_floats("sigma", sigma)
  self.interpolation = InterpolationMode.of("ElasticTransform", interpolation)
  local list = type(fill) == "number" and { fill } or common.list(fill)
  if not list then
    fail("ElasticTransform", "fill should be int or float or a list or tuple of them. Got %s", text.describe(fill))
  end
  self.fill = {}
  for i, v in ipairs(list) do self.fill[i] = v + 0.0 end
end

--- Draws a displacement (1, H, W, 2) for an image of size {height, width}.
function ElasticTransform.get_params(alpha, sigma, size)
  local function along(axis)
    local d = torch.rand(1, 1, size[1], size[2]) * 2 - 1
    if sigma[axis] > 0 then
      local kernel = common.truncate(8 * sigma[axis] + 1)
      if kernel % 2 == 0 then kernel = kernel + 1 end
      d = filter.gaussian_blur(d, { kernel, kernel }, sigma)
    end
    return d * alpha[axis] / size[3 - axis]
  end
  local dx = along(1)
  return torch.cat({ dx, along(2) }, 1):permute(0, 2, 3, 1)
end

function ElasticTransform:forward(img)
  local _, height, width = common.dimensions("ElasticTransform", img)
  local displacement = ElasticTransform.get_params(self.alpha, self.sigma, { height, width })
  return F.elastic_transform(img, displacement, self.interpolation, self.fill)
end

function ElasticTransform.__tostring(self)
  return ("ElasticTransform(alpha=%s, sigma=%s, interpolation=%s, fill=%s)"):format(base.list_text(self.alpha),
    base.list_text(self.sigma), tostring(self.interpolation), base.list_text(self.fill))
end

return warp
