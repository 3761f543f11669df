-- What the families of vision.models share: builders with their weights, the arithmetic of channel counts, filling layers.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local class = require "lampad.class"
local nn = require "lampad.nn"
local WeightsEnum = require "lampad.vision.models.weights_enum"

local zoo = {}

-- --- arithmetic ---------------------------------------------------------------------------------------
--- `value` rounded to a multiple of `divisor`, at least `least` (or the divisor), and never more than 10% below it
--- (the rule of MobileNet's authors).
function zoo.make_divisible(value, divisor, least)
  local rounded = math.max(least or divisor, math.tointeger((value + divisor / 2) // divisor) * divisor)
  if rounded < 0.9 * value then rounded = rounded + divisor end
  return rounded
end

--- The nearest integer, halves to the even one, as Python's round().
function zoo.round(value)
  local floor = math.floor(value)
  local rest = value - floor
  if rest > 0.5 or rest == 0.5 and floor % 2 == 1 then floor = floor + 1 end
  return floor
end

--- The sum of a list, or of a field of its members.
function zoo.sum(list, field)
  local total = 0
  for _, value in ipairs(list) do total = total + (field and value[field] or value) end
  return total
end

-- --- layers ---------------------------------------------------------------------------------------------
--- A function that makes nn layers of that name with these options, from the number of channels.
function zoo.with(name, options)
  return function(channels) return nn[name](channels, options) end
end

--- An activation of that name that works in place.
function zoo.inplace(name)
  return function() return nn[name] { inplace = true } end
end

--- Raises unless `list` is a list whose members are all of `Config`; what: the class, name: the argument.
function zoo.check_settings(what, name, list, Config)
  if type(list) ~= "table" or #list == 0 then args.fail(what, "The %s should not be empty", name) end
  for i, member in ipairs(list) do
    if not class.isinstance(member, Config) then
      args.fail(what, "The %s should be a list of %s, but member %d is %s", name, Config.__name, i, text.describe(member))
    end
  end
end

--- fill(model, rules): for every module of the model, in order, the rule of the first class it is of: pairs of
--- { class, ..., fn(module) }.
function zoo.fill(model, rules)
  for module in model:modules() do
    for _, rule in ipairs(rules) do
      local hit = false
      for i = 1, #rule - 1 do hit = hit or class.isinstance(module, rule[i]) end
      if hit then
        rule[#rule](module)
        break
      end
    end
  end
end

--- Zeros in the bias, where there is one.
function zoo.zero_bias(module)
  if module.bias ~= nil then nn.init.zeros_(module.bias) end
end

--- Weight 1, bias 0: what normalisations start with.
function zoo.unit(module)
  if module.weight ~= nil then nn.init.ones_(module.weight) end
  zoo.zero_bias(module)
end

--- Kaiming's normal numbers by the outputs, bias 0: what most convolutions start with.
function zoo.fan_out(module)
  nn.init.kaiming_normal_(module.weight, { mode = "fan_out", nonlinearity = "relu" })
  zoo.zero_bias(module)
end

--- Normal numbers of deviation 0.01, bias 0.
function zoo.small(module)
  nn.init.normal_(module.weight, 0, 0.01)
  zoo.zero_bias(module)
end

--- Results with names, such as GoogLeNet's: a list whose fields are also there by name; what: the title for print.
function zoo.named_results(what, names)
  local meta = { __name = what }
  local place = {}
  for i, name in ipairs(names) do place[name] = i end
  function meta.__index(self, key) return place[key] and rawget(self, place[key]) end
  function meta.__len() return #names end
  function meta.__tostring(self)
    local parts = {}
    for i, name in ipairs(names) do parts[i] = name .. "=" .. tostring(rawget(self, i)) end
    return what .. "(" .. table.concat(parts, ", ") .. ")"
  end
  return function(...) return setmetatable({ ... }, meta) end
end

-- --- builders ---------------------------------------------------------------------------------------------
local function warn(...) require("lampad.warnings").warn(string.format(...)) end

--- options.name must be absent or `value`; sets it. For what the weights determine.
local function determine(what, options, name, value)
  local given = options[name]
  if given ~= nil and text.repr(given) ~= text.repr(value) then
    args.fail(what, "The parameter '%s' expected value %s but got %s instead.", name, text.repr(value), text.repr(given))
  end
  options[name] = value
end
zoo.determine = determine

-- The weights that the arguments ask for, or nil; in the old style too: pretrained = true.
local function weights_of(what, enum, options, weights, positional)
  local title = enum.__name
  local old = type(weights) == "boolean" and weights
  if type(weights) ~= "boolean" then old = nil end
  if options.pretrained ~= nil then
    if weights ~= nil then args.fail(what, "'weights' and 'pretrained' cannot both be given; 'weights' is enough") end
    old = options.pretrained
    warn("The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, please use 'weights' instead.")
    options.pretrained = nil
  elseif old == false and not positional then
    return nil -- weights = false is Python's None
  end
  if old == nil then return enum.verify(weights) end
  local entry
  if old then
    entry = rawget(enum, "members").IMAGENET1K_V1 or args.fail(what, "No weights available for model %s", what)
  end
  warn("Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 and may be removed in the future. "
    .. "The current behavior is equivalent to passing `weights=%s`.%s", entry and tostring(entry) or "None",
    entry and (" You can also use `weights=%s.DEFAULT` to get the most up-to-date weights."):format(title) or "")
  return entry
end

--- builder(name, spec): the function vision.models[name]. Called with {weights = ..., progress = true, ...}; what else is in
--- the table goes to spec.build(options), which makes the network. Optional: spec.prepare(options, weights) before, when
--- there are weights; spec.convert(state) changes the loaded state_dict; spec.finish(model, asked, weights) after loading,
--- with a copy of the options the user gave.
function zoo.builder(name, spec)
  local signature = args(name .. "(any weights=nil, bool progress=true)")
  --- A network of vision.models: named options are weights, progress and those of its class (num_classes, ...). weights: an
  --- entry of its enum, the entry's name, "DEFAULT", or nil for a network as made for the seed; progress: a bar while they are
  --- fetched.
  local function build(...)
    local given = table.pack(...)
    local options, asked = {}, {}
    local named = given.n > 0 and args.options(given[given.n])
    if named then
      given[given.n], given.n = nil, given.n - 1
      for key, value in pairs(named) do options[key], asked[key] = value, value end
    end
    if given.n > 2 then signature(table.unpack(given, 1, given.n)) end
    if given.n > 0 then
      warn("Using %s as positional parameter(s) is deprecated since 0.13 and may be removed in the future. Please use keyword "
        .. "parameter(s) instead.", given.n == 1 and "'weights'" or "'weights' and 'progress'")
    end
    for i, key in ipairs { "weights", "progress" } do
      if i <= given.n then
        if options[key] ~= nil then args.fail(name, "argument '%s' is given twice, by position and by name", key) end
        options[key] = given[i]
      end
    end
    local weights, progress = options.weights, options.progress
    options.weights, options.progress = nil, nil
    progress = select(2, signature { progress = progress })
    local enum = require("lampad.vision.models.weights").of_model[name]
    weights = weights_of(name, enum, options, weights, given.n > 0)
    if weights then
      if spec.prepare then spec.prepare(options, weights) end
      local categories = weights.meta.categories
      if categories then determine(name, options, "num_classes", #categories) end
    end
    local model = spec.build(options)
    if weights then
      local state = weights:get_state_dict { progress = progress, check_hash = true }
      if spec.convert then state = spec.convert(state) end
      model:load_state_dict(state)
      if spec.finish then spec.finish(model, asked, weights) end
    end
    return model
  end
  return build
end

--- The enum that a builder takes its weights from: by the builder's name.
function zoo.weights_of_model(name) return require("lampad.vision.models.weights").of_model[name] end

zoo.WeightsEnum = WeightsEnum
zoo.torch = core.torch

return zoo
