-- torch.distributions.TransformedDistribution: what transforms make of the numbers of a base distribution.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local transforms = require "lampad.distributions.transforms"
local utils = require "lampad.distributions.utils"
local Distribution = require "lampad.distributions.distribution"
local Independent = require "lampad.distributions.independent"

local torch = core.torch

local Transformed = Distribution:extend "TransformedDistribution"
local spec = args "TransformedDistribution(any base_distribution, any transforms, bool validate_args=nil)"

Transformed.arg_constraints = Transformed.constrained {}
utils.delegate(Transformed, "base_dist", "has_rsample")

local function check_transforms(value)
  local isinstance, Transform = class.isinstance, transforms.Transform
  if isinstance(value, Transform) then return { value } end
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    args.fail("TransformedDistribution", "transforms must be a Transform or list, but was %s", text.describe(value))
  end
  for _, t in ipairs(value) do
    if not isinstance(t, Transform) then
      args.fail("TransformedDistribution", "transforms must be a Transform or a list of Transforms, got %s in the list",
        text.describe(t))
    end
  end
  return value
end

--- TransformedDistribution(base_distribution, transforms, {validate_args}): transforms is one or a list, applied in order.
--- log p(y) = log p(x) - the logarithms of the Jacobians' determinants.
function Transformed:init(...)
  local base, list, validate_args = spec(...)
  if not class.isinstance(base, Distribution) then
    args.fail("TransformedDistribution", "argument 'base_distribution' must be a Distribution, got %s", text.describe(base))
  end
  self.transforms = check_transforms(list)
  local whole = transforms.ComposeTransform(self.transforms)
  local domain_dim, codomain_dim = whole.domain.event_dim, whole.codomain.event_dim
  local base_shape, base_event_dim = base.batch_shape .. base.event_shape, #base.event_shape
  if #base_shape < domain_dim then
    args.fail("TransformedDistribution", "base_distribution needs to have shape with size at least %d, but got %s.",
      domain_dim, tostring(base_shape))
  end
  -- The base takes part in the transforms' broadcasting, and gives up the batch dims that they mix.
  local forward_shape = whole:forward_shape(base_shape)
  local expanded = whole:inverse_shape(forward_shape)
  if base_shape ~= expanded then base = base:expand(shapes.slice(expanded, 0, #expanded - base_event_dim)) end
  if domain_dim > base_event_dim then base = Independent(base, domain_dim - base_event_dim) end
  self.base_dist = base
  local event_dim = math.max(codomain_dim, base_event_dim + codomain_dim - domain_dim)
  local cut = #forward_shape - event_dim
  Distribution.init(self, shapes.slice(forward_shape, 0, cut), shapes.slice(forward_shape, cut), validate_args)
end

--- What expand does for a class of transformed distributions; further parts are its own parameters.
function Transformed:_expand_transformed(Class, batch_shape, parts)
  batch_shape = shapes.size(batch_shape, "expand", "batch_shape")
  local new = self:_expand(Class, batch_shape, parts or {}, { "transforms" })
  local shape = batch_shape .. self.event_shape
  for i = #self.transforms, 1, -1 do shape = self.transforms[i]:inverse_shape(shape) end
  new.base_dist = self.base_dist:expand(shapes.slice(shape, 0, #shape - #self.base_dist.event_shape))
  return new
end

function Transformed:expand(batch_shape) return self:_expand_transformed(Transformed, batch_shape) end

Transformed.support = constraints.dependent_property(function(self)
  local last = self.transforms[#self.transforms]
  if not last then return self.base_dist.support end
  local support, event_dim = last.codomain, #self.event_shape
  if event_dim > support.event_dim then support = constraints.independent(support, event_dim - support.event_dim) end
  return support
end, { is_discrete = false })

local function forward(self, x)
  for _, t in ipairs(self.transforms) do x = t(x) end
  return x
end

function Transformed:sample(...)
  local _ <close> = torch.no_grad()
  return forward(self, self.base_dist:sample(...))
end

function Transformed:rsample(...) return forward(self, self.base_dist:rsample(...)) end

function Transformed:log_prob(value)
  if self._validate_args then self:_validate_sample(value) end
  local event_dim, y, result = #self.event_shape, value, 0.0
  for i = #self.transforms, 1, -1 do
    local t = self.transforms[i]
    local domain_dim = t.domain.event_dim
    local x = t.inv(y)
    event_dim = event_dim + domain_dim - t.codomain.event_dim
    result = result - utils.sum_rightmost(t:log_abs_det_jacobian(x, y), event_dim - domain_dim)
    y = x
  end
  return result + utils.sum_rightmost(self.base_dist:log_prob(y), event_dim - #self.base_dist.event_shape)
end

-- A decreasing transform swaps the ends of the distribution function.
local function monotone(self, value)
  local sign = 1
  for _, t in ipairs(self.transforms) do sign = sign * t.sign end
  if sign == 1 then return value end
  return sign * (value - 0.5) + 0.5
end

function Transformed:cdf(value)
  for i = #self.transforms, 1, -1 do value = self.transforms[i].inv(value) end
  if self._validate_args then self.base_dist:_validate_sample(value) end
  return monotone(self, self.base_dist:cdf(value))
end

function Transformed:icdf(value)
  value = utils.to_tensor(self.__name, "value", value)
  return forward(self, self.base_dist:icdf(monotone(self, value)))
end

return Transformed
