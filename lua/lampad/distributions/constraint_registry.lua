-- torch.distributions.biject_to and transform_to: from a constraint to a transform of the real numbers onto its region.
--
-- biject_to gives bijections with a Jacobian (for samplers), transform_to any map that is cheap coordinate by coordinate
-- (for optimizers). Both can be told of constraints of your own with register.
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local constraints = require "lampad.distributions.constraints"
local transforms = require "lampad.distributions.transforms"

local Constraint = constraints.Constraint
local M = {}

--- ConstraintRegistry(): registry(constraint) gives the transform that the constraint's class is registered with.
local Registry = class.extend(class.Object, "ConstraintRegistry")
M.ConstraintRegistry = Registry

function Registry:init() self._registry = {} end

local function is_class_of_constraints(value)
  local c = type(value) == "table" and value or nil
  while c do
    if c == Constraint then return true end
    c = rawget(c, "super")
  end
  return false
end

--- register(constraint, factory): a class of constraints (or an object of it) and a function from a constraint to a
--- transform. Without factory it returns a function that takes it. Returns the factory.
function Registry:register(constraint, factory)
  if factory == nil then
    return function(later) return self:register(constraint, later) end
  end
  if class.isinstance(constraint, Constraint) then constraint = class.class_of(constraint) end
  if not is_class_of_constraints(constraint) then
    args.fail("register", "Expected constraint to be either a Constraint subclass or instance, but got %s",
      text.describe(constraint))
  end
  self._registry[constraint] = factory
  return factory
end

function Registry:__call(constraint)
  local of = class.class_of(constraint)
  local factory = of and self._registry[of]
  if not factory then
    args.fail("ConstraintRegistry", "Cannot transform %s constraints", of and of.__name or text.describe(constraint))
  end
  return factory(constraint)
end

local biject_to, transform_to = Registry(), Registry()
M.biject_to, M.transform_to = biject_to, transform_to

local function register_both(list, factory)
  for _, constraint in ipairs(list) do
    biject_to:register(constraint, factory)
    transform_to:register(constraint, factory)
  end
end

register_both({ constraints.real }, function() return transforms.identity_transform end)
register_both({ constraints.greater_than, constraints.greater_than_eq }, function(c) -- positive and nonnegative, too
  return transforms.ComposeTransform { transforms.ExpTransform(), transforms.AffineTransform(c.lower_bound, 1) }
end)
register_both({ constraints.less_than }, function(c)
  return transforms.ComposeTransform { transforms.ExpTransform(), transforms.AffineTransform(c.upper_bound, -1) }
end)
register_both({ constraints.interval, constraints.half_open_interval }, function(c)
  local low, high = c.lower_bound, c.upper_bound
  if type(low) == "number" and low == 0 and type(high) == "number" and high == 1 then
    return transforms.SigmoidTransform()
  end
  return transforms.ComposeTransform { transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low) }
end)
register_both({ constraints.corr_cholesky }, function() return transforms.CorrCholeskyTransform() end)

biject_to:register(constraints.simplex, function() return transforms.StickBreakingTransform() end)
transform_to:register(constraints.simplex, function() return transforms.SoftmaxTransform() end)
transform_to:register(constraints.lower_cholesky, function() return transforms.LowerCholeskyTransform() end)
for _, c in ipairs { constraints.positive_definite, constraints.positive_semidefinite } do
  transform_to:register(c, function() return transforms.PositiveDefiniteTransform() end)
end

-- Constraints made of others are transformed part by part.
for _, registry in ipairs { biject_to, transform_to } do
  local function each(list)
    local result = {}
    for i, c in ipairs(list) do result[i] = registry(c) end
    return result
  end
  registry:register(constraints.independent, function(c)
    return transforms.IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims)
  end)
  registry:register(constraints.cat, function(c) return transforms.CatTransform(each(c.cseq), c.dim, c.lengths) end)
  registry:register(constraints.stack, function(c) return transforms.StackTransform(each(c.cseq), c.dim) end)
end

return M
