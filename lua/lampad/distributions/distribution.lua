-- torch.distributions.Distribution: the base of all distributions, and the rules that they share: checks of parameters and
-- values, shapes, expand, printing.
--
-- A subclass stores its parameters as fields named as its arguments, then calls Distribution.init(self, batch_shape,
-- event_shape, validate_args). Methods named as one of the attributes below are read without call: d.mean, d.variance.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"
local Parameter = require "lampad.nn.parameter"
local constraints = require "lampad.distributions.constraints"
local property = require "lampad.distributions.property"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"

local torch = core.torch

local Distribution = property.base_class("Distribution",
  "batch_shape event_shape arg_constraints support mean mode variance stddev has_rsample has_enumerate_support")

Distribution.has_rsample = false
Distribution.has_enumerate_support = false
Distribution._validate_args = true

--- The named constraints of a class's arguments, in order: constrained{ {"loc", constraints.real}, ... }.
function Distribution.constrained(list)
  local map = OrderedDict()
  for _, pair in ipairs(list) do map[pair[1]] = pair[2] end
  return map
end

-- --- set-up and checks ----------------------------------------------------------------------------------------

--- set_default_validate_args(value): whether distributions made from now on check parameters and values.
function Distribution.set_default_validate_args(value)
  if type(value) ~= "boolean" then
    args.fail("set_default_validate_args", "argument 'value' must be a boolean, got %s", text.describe(value))
  end
  Distribution._validate_args = value
end

local function warn(format, ...) io.stderr:write("warning: ", format:format(...), "\n") end
Distribution._warn = warn

-- Whether a class defines an attribute that this one leaves open.
local function defines(self, name) return getmetatable(self).class[name] ~= Distribution[name] end

-- "Tensor of shape (2,)", as PyTorch's messages describe a tensor.
local function described(value)
  return (Parameter.is(value) and "Parameter" or "Tensor") .. " of shape " .. shapes.tuple(value.shape)
end
Distribution._described = described

local function check_parameters(self)
  if not defines(self, "arg_constraints") then
    return warn("%s does not define `arg_constraints`. Please set `arg_constraints = {}` or initialize the distribution "
      .. "with `validate_args = false` to turn off validation.", self.__name)
  end
  local wanted = self.arg_constraints
  if not OrderedDict.is(wanted) then wanted = OrderedDict(wanted) end
  for name, constraint in OrderedDict.items(wanted) do
    local computed = rawget(self, name) == nil and property.is_lazy(getmetatable(self).class[name])
    if not constraints.is_dependent(constraint) and not computed then
      local value = self[name]
      if not constraint:check(value):all():item() then
        args.fail(self.__name, "Expected parameter %s (%s) of distribution %s to satisfy the constraint %s, but found "
          .. "invalid values:\n%s", name, described(value), tostring(self), tostring(constraint), shapes.text(value))
      end
    end
  end
end

local init_spec = args "Distribution(any batch_shape=nil, any event_shape=nil, bool validate_args=nil)"

--- Distribution.init(self, batch_shape, event_shape, validate_args): the last call of a subclass's init.
function Distribution:init(...)
  local batch_shape, event_shape, validate_args = init_spec(...)
  self._batch_shape = shapes.size(batch_shape, self.__name, "batch_shape")
  self._event_shape = shapes.size(event_shape, self.__name, "event_shape")
  if validate_args ~= nil then self._validate_args = validate_args end
  if self._validate_args then check_parameters(self) end
end

--- Raises unless the value is a tensor that fits the shapes and lies in the support. For log_prob, cdf and icdf.
function Distribution:_validate_sample(value)
  if not utils.is_tensor(value) then
    args.fail(self.__name, "The value argument to log_prob must be a Tensor, got %s", text.describe(value))
  end
  local event_dim, shape = #self._event_shape, value.shape
  local wanted = self._batch_shape .. self._event_shape
  if shapes.slice(shape, math.max(#shape - event_dim, 0)) ~= self._event_shape then
    args.fail(self.__name, "The right-most size of value must match event_shape: %s vs %s.", tostring(shape),
      tostring(self._event_shape))
  end
  for i = 1, math.min(#shape, #wanted) do
    local a, b = shape[-i], wanted[-i]
    if a ~= 1 and b ~= 1 and a ~= b then
      args.fail(self.__name, "Value is not broadcastable with batch_shape+event_shape: %s vs %s.", tostring(shape),
        tostring(wanted))
    end
  end
  if not defines(self, "support") then
    return warn("%s does not define `support` to enable sample validation. Please initialize the distribution with "
      .. "`validate_args = false` to turn off validation.", self.__name)
  end
  local support = self.support
  if not support:check(value):all():item() then
    args.fail(self.__name, "Expected value argument (%s) to be within the support (%s) of the distribution %s, but found "
      .. "invalid values:\n%s", described(value), tostring(support), tostring(self), shapes.text(value))
  end
end

-- --- shapes ---------------------------------------------------------------------------------------------------

--- The shape of the batch of parameters.
function Distribution:batch_shape() return self._batch_shape end

--- The shape of one draw.
function Distribution:event_shape() return self._event_shape end

--- The shape of a sample: sample_shape, batch_shape, event_shape.
function Distribution:_extended_shape(...)
  return shapes.sample(self.__name, ...) .. self._batch_shape .. self._event_shape
end

--- expand(batch_shape): the same distribution with its parameters expanded (not copied) to a batch shape.
function Distribution:expand() args.fail(self.__name, "expand is not implemented") end

--- What a class's expand does. `parts` maps the fields to carry over to the shape that follows the batch shape in them; a
--- field is a tensor or a distribution, and what is absent stays so. `kept` lists fields that are taken as they are.
function Distribution:_expand(Class, batch_shape, parts, kept)
  local class = getmetatable(self).class
  if class.init ~= Class.init then
    args.fail("expand", "Subclass %s of %s that defines a custom init must also define a custom expand.", class.__name,
      Class.__name)
  end
  batch_shape = shapes.size(batch_shape, "expand", "batch_shape")
  local new = class.allocate(class)
  for name, tail in pairs(parts) do
    local value = rawget(self, name)
    if value ~= nil then new[name] = value:expand(batch_shape .. tail) end
  end
  for _, name in ipairs(kept or {}) do new[name] = rawget(self, name) end
  new._batch_shape, new._event_shape = batch_shape, self._event_shape
  new._validate_args = self._validate_args
  return new
end

-- --- what a distribution may have -----------------------------------------------------------------------------

-- Each of these is left to the subclasses:
--   mean, mode, variance    of each distribution of the batch, of the shape batch_shape + event_shape
--   support, arg_constraints   the region of the values; those of the parameters by name
--   rsample(sample_shape)   draws that can be differentiated by the parameters
--   log_prob(value)         the logarithm of the density or probability, of the batch's shape
--   cdf(value), icdf(value) the distribution function and its inverse
--   entropy()               of each distribution of the batch
--   enumerate_support(expand = true)   all values along dim 0, for the batch or (expand = false) once
local function absent(name)
  Distribution[name] = function(self) args.fail(self.__name, "the distribution does not implement %s", name) end
end
for _, name in ipairs { "arg_constraints", "support", "mean", "mode", "variance", "rsample", "log_prob", "cdf", "icdf",
  "enumerate_support", "entropy" } do absent(name) end

--- The square root of the variance.
function Distribution:stddev() return self.variance:sqrt() end

--- sample(sample_shape): draws of the shape sample_shape + batch_shape + event_shape, without gradient. sample_shape is a
--- list, a torch.Size or numbers.
function Distribution:sample(...)
  local _ <close> = torch.no_grad()
  return self:rsample(...)
end

--- sample_n(n): as sample{n}.
function Distribution:sample_n(n) return self:sample(torch.Size { n }) end

--- exp(entropy).
function Distribution:perplexity() return self:entropy():exp() end

--- Name(parameter: value, ...): one-element parameters by value, others by shape.
function Distribution:__tostring()
  local parts, wanted = {}, defines(self, "arg_constraints") and self.arg_constraints or {}
  if not OrderedDict.is(wanted) then wanted = OrderedDict(wanted) end
  for name in OrderedDict.keys(wanted) do
    local value = rawget(self, name)
    if utils.is_tensor(value) then
      parts[#parts + 1] = name .. ": " .. (value:numel() == 1 and shapes.text(value) or tostring(value.shape))
    end
  end
  return self.__name .. "(" .. table.concat(parts, ", ") .. ")"
end

return Distribution
