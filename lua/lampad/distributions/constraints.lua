-- torch.distributions.constraints: regions in which a parameter or a value is valid.
--
-- A constraint has check(value), which gives a bool tensor with one entry for each event, event_dim (the number of the
-- last dims that make an event) and is_discrete. Constraints without parameters are objects (constraints.positive),
-- the others classes (constraints.interval(0, 1)). A class of your own: constraints.Constraint:extend "Mine".
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local class = require "lampad.class"
local property = require "lampad.distributions.property"
local shapes = require "lampad.distributions.shapes"

local torch = core.torch
local isinstance = class.isinstance
local constraints = {}

-- --- the base -------------------------------------------------------------------------------------------------

--- The base of all constraints.
local Constraint = property.base_class("Constraint", "is_discrete event_dim")
constraints.Constraint = Constraint
Constraint.is_discrete = false
Constraint.event_dim = 0

--- A bool tensor of the value's shape less the event's dims: whether each event lies in the region.
function Constraint:check() args.fail(self.__name, "check is not implemented") end

-- The names of the bounds, which __tostring shows.
Constraint.shown = {}

function Constraint:__tostring()
  local parts = {}
  for i, name in ipairs(self.shown) do parts[i] = name .. "=" .. shapes.text(self[name]) end
  return self.__name .. "(" .. table.concat(parts, ", ") .. ")"
end

local function check_constraint(what, name, value)
  if not isinstance(value, Constraint) then
    args.fail(what, "%s must be a Constraint, got %s", name, text.describe(value))
  end
  return value
end

-- --- regions that depend on other variables -------------------------------------------------------------------

local Dependent = Constraint:extend "Dependent"
local dependent_spec = args "dependent(*, bool is_discrete=nil, int event_dim=nil)"

--- A region that depends on other variables. constraints.dependent{is_discrete = true, event_dim = 1} says what is known.
function Dependent:init(...) self.known_discrete, self.known_event_dim = dependent_spec(...) end

function Dependent:is_discrete()
  if self.known_discrete == nil then args.fail(self.__name, ".is_discrete cannot be determined statically") end
  return self.known_discrete
end

function Dependent:event_dim()
  if self.known_event_dim == nil then args.fail(self.__name, ".event_dim cannot be determined statically") end
  return self.known_event_dim
end

function Dependent:check() args.fail(self.__name, "Cannot determine validity of dependent constraint") end

function Dependent:__call(...)
  local is_discrete, event_dim = dependent_spec(...)
  if is_discrete == nil then is_discrete = self.known_discrete end
  return Dependent { is_discrete = is_discrete, event_dim = event_dim or self.known_event_dim }
end

constraints.dependent = Dependent()

--- True for a constraint that depends on other variables and cannot be checked by itself.
function constraints.is_dependent(constraint) return isinstance(constraint, Dependent) end

local DependentProperty = Dependent:extend "DependentProperty"
constraints.dependent_property = DependentProperty
local property_spec = args "dependent_property(function fn, *, bool is_discrete=nil, int event_dim=nil)"

--- dependent_property(fn, {is_discrete, event_dim}): on a class a dependent constraint, on its instances fn(instance).
function DependentProperty:init(...) self.fn, self.known_discrete, self.known_event_dim = property_spec(...) end
function DependentProperty.__get(descriptor, instance) return descriptor.fn(instance) end

-- --- constraints of constraints -------------------------------------------------------------------------------

local Independent = Constraint:extend "IndependentConstraint"
constraints.independent = Independent
local independent_spec = args "independent(any base_constraint, int reinterpreted_batch_ndims)"

--- independent(base_constraint, reinterpreted_batch_ndims): the last batch dims belong to the event, which is valid only as
--- a whole.
function Independent:init(...)
  self.base_constraint, self.reinterpreted_batch_ndims = independent_spec(...)
  check_constraint("independent", "base_constraint", self.base_constraint)
  if self.reinterpreted_batch_ndims < 0 then
    args.fail("independent", "reinterpreted_batch_ndims must be >= 0, got %d", self.reinterpreted_batch_ndims)
  end
end

function Independent:is_discrete() return self.base_constraint.is_discrete end
function Independent:event_dim() return self.base_constraint.event_dim + self.reinterpreted_batch_ndims end

-- True where all of the last `count` dims are.
local function all_rightmost(valid, count)
  return valid:reshape(shapes.flat(valid.shape, count)):all(-1)
end

function Independent:check(value)
  local valid, count = self.base_constraint:check(value), self.reinterpreted_batch_ndims
  if valid.ndim < count then
    args.fail(self.__name, "Expected value.dim() >= %d but got %d", self.event_dim, value.ndim)
  end
  return all_rightmost(valid, count)
end

function Independent:__tostring()
  return ("%s(%s, %d)"):format(self.__name, tostring(self.base_constraint), self.reinterpreted_batch_ndims)
end

local Mixture = Constraint:extend "MixtureSameFamilyConstraint"
constraints.MixtureSameFamilyConstraint = Mixture
local mixture_spec = args "MixtureSameFamilyConstraint(any base_constraint)"

--- MixtureSameFamilyConstraint(base_constraint): the region of the components, for values without their dim.
function Mixture:init(...)
  self.base_constraint = check_constraint("MixtureSameFamilyConstraint", "base_constraint", (mixture_spec(...)))
end

function Mixture:is_discrete() return self.base_constraint.is_discrete end
function Mixture:event_dim() return self.base_constraint.event_dim end

function Mixture:check(value)
  local event_dim = self.event_dim
  if value.ndim < event_dim then
    args.fail(self.__name, "Expected value.dim() >= %d but got %d", event_dim, value.ndim)
  end
  local valid = self.base_constraint:check(value:unsqueeze(-1 - event_dim))
  return all_rightmost(valid, valid.ndim - (value.ndim - event_dim))
end

function Mixture:__tostring() return ("%s(%s)"):format(self.__name, tostring(self.base_constraint)) end

-- --- sets of numbers ------------------------------------------------------------------------------------------

-- A class of constraints with the bounds named, in order, whose check is fn(self, value).
local function bounded(name, public, bounds, is_discrete, check)
  local C = Constraint:extend(name)
  local list, signature = {}, {}
  for bound in bounds:gmatch "%S+" do
    list[#list + 1] = bound
    signature[#signature + 1] = "any " .. bound
  end
  local spec = args(public .. "(" .. table.concat(signature, ", ") .. ")")
  C.shown, C.is_discrete, C.check = list, is_discrete, check
  function C:init(...)
    local given = { spec(...) }
    for i, bound in ipairs(list) do
      if type(given[i]) ~= "number" and not (type(given[i]) == "userdata" and torch.is_tensor(given[i])) then
        args.fail(public, "argument '%s' must be a number or a tensor, got %s", bound, text.describe(given[i]))
      end
      self[bound] = given[i]
    end
  end
  return C
end

local function integral(value) return (value % 1):eq(0) end

constraints.integer_interval = bounded("IntegerInterval", "integer_interval", "lower_bound upper_bound", true,
  function(self, value) return integral(value) & value:ge(self.lower_bound) & value:le(self.upper_bound) end)
constraints.integer_less_than = bounded("IntegerLessThan", "integer_less_than", "upper_bound", true,
  function(self, value) return integral(value) & value:le(self.upper_bound) end)
constraints.integer_greater_than = bounded("IntegerGreaterThan", "integer_greater_than", "lower_bound", true,
  function(self, value) return integral(value) & value:ge(self.lower_bound) end)
constraints.greater_than = bounded("GreaterThan", "greater_than", "lower_bound", false,
  function(self, value) return value:gt(self.lower_bound) end)
constraints.greater_than_eq = bounded("GreaterThanEq", "greater_than_eq", "lower_bound", false,
  function(self, value) return value:ge(self.lower_bound) end)
constraints.less_than = bounded("LessThan", "less_than", "upper_bound", false,
  function(self, value) return value:lt(self.upper_bound) end)
constraints.interval = bounded("Interval", "interval", "lower_bound upper_bound", false,
  function(self, value) return value:ge(self.lower_bound) & value:le(self.upper_bound) end)
constraints.half_open_interval = bounded("HalfOpenInterval", "half_open_interval", "lower_bound upper_bound", false,
  function(self, value) return value:ge(self.lower_bound) & value:lt(self.upper_bound) end)
--- multinomial(upper_bound): counts whose sum is at most the bound.
constraints.multinomial = bounded("Multinomial", "multinomial", "upper_bound", true,
  function(self, value) return value:ge(0):all(-1) & value:sum(-1):le(self.upper_bound) end)
constraints.multinomial.event_dim = 1
constraints.multinomial.shown = {}

-- An object of a class of its own, whose check is a function of the value.
local function single(name, event_dim, is_discrete, check)
  local C = Constraint:extend(name)
  C.event_dim, C.is_discrete = event_dim, is_discrete
  function C:check(value) return check(value) end
  return C()
end

local function zero_or_one(value) return value:eq(0) | value:eq(1) end

constraints.boolean = single("Boolean", 0, true, zero_or_one)
constraints.one_hot = single("OneHot", 1, true,
  function(value) return zero_or_one(value):all(-1) & value:sum(-1):eq(1) end)
constraints.nonnegative_integer = constraints.integer_greater_than(0)
constraints.positive_integer = constraints.integer_greater_than(1)
-- The extended real line: all but NaN.
constraints.real = single("Real", 0, false, function(value) return value:eq(value) end)
constraints.real_vector = Independent(constraints.real, 1)
constraints.positive = constraints.greater_than(0.0)
constraints.nonnegative = constraints.greater_than_eq(0.0)
constraints.unit_interval = constraints.interval(0.0, 1.0)
constraints.simplex = single("Simplex", 1, false,
  function(value) return value:ge(0):all(-1) & (value:sum(-1) - 1):abs():lt(1e-6) end)

-- --- sets of matrices -----------------------------------------------------------------------------------------

local function lower_triangular(value) return all_rightmost(value:tril():eq(value), 2) end

local function lower_cholesky(value)
  return lower_triangular(value) & value:diagonal(0, -2, -1):gt(0):all(-1)
end

constraints.lower_triangular = single("LowerTriangular", 2, false, lower_triangular)
constraints.lower_cholesky = single("LowerCholesky", 2, false, lower_cholesky)
-- Lower triangular, the diagonal positive, each row of length 1 within a few roundings.
constraints.corr_cholesky = single("CorrCholesky", 2, false, function(value)
  local tolerance = torch.finfo(value.dtype).eps * value:size(-1) * 10
  local length = torch.linalg.norm(value:detach(), { dim = -1 })
  return lower_cholesky(value) & (length - 1):abs():le(tolerance):all(-1)
end)

local function square(value)
  return torch.full(shapes.slice(value.shape, 0, -2), value:size(-2) == value:size(-1),
    { dtype = torch.bool, device = value.device })
end

local function symmetric(value)
  local is_square = square(value)
  if not is_square:all():item() then return is_square end
  return torch.isclose(value, value.mT, { atol = 1e-6 }):all(-2):all(-1)
end

-- Symmetric matrices of which further(value) holds.
local function symmetric_and(further)
  return function(value)
    local valid = symmetric(value)
    if not valid:all():item() then return valid end
    return further(value)
  end
end

constraints.square = single("Square", 2, false, square)
constraints.symmetric = single("Symmetric", 2, false, symmetric)
constraints.positive_semidefinite = single("PositiveSemidefinite", 2, false,
  symmetric_and(function(value) return torch.linalg.eigvalsh(value):ge(0):all(-1) end))
constraints.positive_definite = single("PositiveDefinite", 2, false, symmetric_and(function(value)
  local _, info = torch.linalg.cholesky_ex(value)
  return info:eq(0)
end))

-- --- tensors made of parts ------------------------------------------------------------------------------------

local function check_list(what, list)
  if type(list) ~= "table" or getmetatable(list) ~= nil then
    args.fail(what, "argument 'cseq' must be a list of constraints, got %s", text.describe(list))
  end
  for i, c in ipairs(list) do check_constraint(what, "cseq at " .. i - 1, c) end
  return list
end

local function any_discrete(self)
  for _, c in ipairs(self.cseq) do
    if c.is_discrete then return true end
  end
  return false
end

local function largest_event(self)
  local most = 0
  for _, c in ipairs(self.cseq) do most = math.max(most, c.event_dim) end
  return most
end

local function check_dim(self, value)
  if self.dim < -value.ndim or self.dim >= value.ndim then
    args.fail(self.__name, "dim %d out of range for value with %d dimensions", self.dim, value.ndim)
  end
end

local Cat = Constraint:extend "Cat"
constraints.cat = Cat
Cat.is_discrete, Cat.event_dim = any_discrete, largest_event
local cat_spec = args "cat(any cseq, int dim=0, ints lengths=nil)"

--- cat(cseq, dim, lengths): the constraints of the parts that torch.cat joins along dim, each of its length.
function Cat:init(...)
  local lengths
  self.cseq, self.dim, lengths = cat_spec(...)
  check_list("cat", self.cseq)
  self.lengths = lengths or { shapes.ones(#self.cseq):unpack() }
  if #self.lengths ~= #self.cseq then
    args.fail("cat", "lengths (%d) must match cseq (%d)", #self.lengths, #self.cseq)
  end
end

function Cat:check(value)
  check_dim(self, value)
  local parts, start = {}, 0
  for i, c in ipairs(self.cseq) do
    parts[i] = c:check(value:narrow(self.dim, start, self.lengths[i]))
    start = start + self.lengths[i]
  end
  return torch.cat(parts, self.dim)
end

local Stack = Constraint:extend "Stack"
constraints.stack = Stack
Stack.is_discrete = any_discrete
local stack_spec = args "stack(any cseq, int dim=0)"

--- stack(cseq, dim): the constraints of the parts that torch.stack joins along dim.
function Stack:init(...)
  self.cseq, self.dim = stack_spec(...)
  check_list("stack", self.cseq)
end

function Stack:event_dim()
  local most = largest_event(self)
  return self.dim + most < 0 and most + 1 or most
end

function Stack:check(value)
  check_dim(self, value)
  local parts = {}
  for i = 1, math.min(value:size(self.dim), #self.cseq) do
    parts[i] = self.cseq[i]:check(value:select(self.dim, i - 1))
  end
  return torch.stack(parts, self.dim)
end

return constraints
