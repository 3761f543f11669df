-- The pruning methods of nn.utils.prune: classes that compute masks. A method is also the hook that multiplies the
-- parameter by its mask before each forward.
--
-- A class of a user: `local Mine = prune.BasePruningMethod:extend "Mine"`, with PRUNING_TYPE ("unstructured",
-- "structured" with a field `dim`, or "global") and compute_mask(self, t, default_mask); applied with
-- Mine:apply(module, name, <what Mine's init takes>).
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local class = require "lampad.class"
local hooks = require "lampad.nn.module_hooks"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"

local torch = core.torch
local fail = args.fail

-- --- the base ---------------------------------------------------------------------------------------------
local Base = class.extend(class.Object, "BasePruningMethod")

function Base.is_class(value)
  while type(value) == "table" and rawget(value, "__meta") do
    if value == Base then return true end
    value = rawget(value, "super")
  end
  return false
end

function Base:__call(module) rawset(module, self._tensor_name, self:apply_mask(module)) end

--- The mask for a tensor, given the one so far; each method defines it.
function Base:compute_mask()
  fail(nil, "Pruning method [%s] is missing the required \"compute_mask\" function", getmetatable(self).class.__name)
end

--- The pruned parameter.
function Base:apply_mask(module)
  local name = self._tensor_name
  if name == nil then fail("apply_mask", "Module %s has to be pruned", tostring(module)) end
  local original = module[name .. "_orig"]
  return module[name .. "_mask"]:to(original.dtype) * original
end

--- A pruned copy of a tensor: t * mask. default_mask: ones.
function Base:prune(t, default_mask, importance_scores)
  if args.is_named(default_mask) then
    args.check_names("prune", default_mask, { "default_mask", "importance_scores" })
    default_mask, importance_scores = default_mask.default_mask, default_mask.importance_scores
  end
  if importance_scores ~= nil and importance_scores.shape ~= t.shape then
    fail("prune", "importance_scores should have the same shape as tensor t")
  end
  return t * self:compute_mask(importance_scores or t, default_mask or torch.ones_like(t))
end

--- Takes the hook's work off the module: the parameter keeps its zeros.
function Base:remove(module)
  local name = self._tensor_name
  if name == nil then
    fail("remove", "Module %s has to be pruned before pruning can be removed", tostring(module))
  end
  local original, weight = module[name .. "_orig"], self:apply_mask(module)
  original.data = weight:detach()
  module:del(name .. "_orig")
  module:del(name .. "_mask")
  module:del(name)
  module[name] = original
end

-- --- applying ---------------------------------------------------------------------------------------------

-- The container or method that prunes module[name] already, taken out of the hooks.
local function take_old(module, name)
  for _, entry in ipairs(module._hooks and module._hooks.forward_pre or {}) do
    if class.isinstance(entry.fn, Base) and entry.fn._tensor_name == name then
      return entry.fn, function() hooks.drop(module._hooks, "forward_pre", entry) end
    end
  end
end

local Container -- below

-- A fresh method with the arguments of its init, and the scores: by name, or after the class's own arguments.
local function make(C, ...)
  local given = table.pack(...)
  local scores
  local options = given.n > 0 and args.options(given[given.n])
  if options and options.importance_scores ~= nil then
    local rest = {}
    for key, value in pairs(options) do rest[key] = value end
    scores, rest.importance_scores = rest.importance_scores, nil
    given[given.n] = rest
  elseif C.arity and given.n > C.arity then
    scores = given[given.n]
    given.n = C.arity
  end
  return C(table.unpack(given, 1, given.n)), scores
end

local function apply(C, module, name, ...)
  if args.is_named(module) and module.module ~= nil then -- all by name
    local options = {}
    for key, value in pairs(module) do options[key] = value end
    local by_name_module, by_name = options.module, options.name
    options.module, options.name = nil, nil
    return apply(C, by_name_module, by_name, options)
  end
  if not Module.is_module(module) then
    fail(C.__name, "argument 'module' must be a module, got %s", text.describe(module))
  end
  if type(name) ~= "string" then fail(C.__name, "argument 'name' must be a string, got %s", text.describe(name)) end
  local method, scores = make(C, ...)
  method._tensor_name = name
  local original = module[name]
  if type(original) ~= "userdata" or not torch.is_tensor(original) then
    fail(C.__name, "%s has no parameter named '%s'", module.__name, name)
  end
  if scores ~= nil and not torch.is_tensor(scores) then
    fail(C.__name, "importance_scores must be a tensor, got %s", text.describe(scores))
  end
  if scores ~= nil and scores.shape ~= original.shape then
    fail(C.__name, "importance_scores should have the same shape as parameter %s of %s", name, tostring(module))
  end
  if class.isinstance(method, Container) then
    fail("PruningContainer", "is no method to apply: apply several methods, they go into a container")
  end
  local old, drop = take_old(module, name)
  local default_mask
  if old then
    default_mask = module[name .. "_mask"]:detach():clone()
    local container = class.isinstance(old, Container) and old or Container(old)
    container:add_pruning_method(method)
    method = container
  else
    if not Parameter.is(original) then
      fail(C.__name, "'%s' of %s is not a parameter", name, module.__name)
    end
    default_mask = torch.ones_like(original)
  end
  local ok, mask = pcall(torch.no_grad, function() return method:compute_mask(scores or original, default_mask) end)
  if not ok then
    if old and method == old then method:drop_last() end
    error(mask, 0)
  end
  if old then
    drop()
  else
    module:del(name)
    module:register_parameter(name .. "_orig", original)
  end
  module:register_buffer(name .. "_mask", mask)
  rawset(module, name, method:apply_mask(module))
  module:register_forward_pre_hook(method)
  return method
end

-- Class.apply(module, ...) and Class:apply(module, ...) are the same; a class that defines its own apply hands its
-- own on.
local inherited = {}
local function give_apply(C)
  local function own(first, ...)
    if Base.is_class(first) then return apply(first, ...) end
    return apply(C, first, ...)
  end
  inherited[own] = true
  rawset(C, "apply", own)
end
give_apply(Base)

function Base.extend(parent, name)
  local C = class.extend(parent, name)
  if inherited[parent.apply] then give_apply(C) end
  return C
end

-- --- amounts ----------------------------------------------------------------------------------------------
local function check_amount(what, amount)
  if type(amount) ~= "number" then
    fail(what, "Invalid type for amount: %s. Must be int or float.", text.describe(amount))
  end
  local integer = math.type(amount) == "integer"
  if amount < 0 or not integer and not (amount <= 1) then
    fail(what, "amount=%s should either be a float in the range [0, 1] or a non-negative integer", text.repr(amount))
  end
  return amount
end

-- Halves go to the even neighbour.
local function round(x)
  local low = math.floor(x)
  local rest = x - low
  if rest > 0.5 or rest == 0.5 and low % 2 == 1 then low = low + 1 end
  return math.tointeger(low)
end

-- How many of `size` to prune.
local function count_of(what, amount, size)
  if math.type(amount) ~= "integer" then return round(amount * size) end
  if amount > size then
    fail(what, "amount=%d should be smaller than the number of parameters to prune=%d", amount, size)
  end
  return amount
end

-- --- masks of single elements -----------------------------------------------------------------------------
local Identity = Base:extend "Identity"
Identity.PRUNING_TYPE, Identity.arity = "unstructured", 0

--- Prunes nothing.
function Identity:compute_mask(_, default_mask) return default_mask end

-- A clone of the mask with zeros at the `count` places that pick(count) names.
local function zeroed(mask, count, pick)
  mask = mask:clone { memory_format = torch.contiguous_format }
  if count > 0 then mask:view(-1):index_fill_(0, pick(count), 0) end
  return mask
end

local RandomUnstructured = Base:extend "RandomUnstructured"
RandomUnstructured.PRUNING_TYPE, RandomUnstructured.arity = "unstructured", 1
local random_unstructured_spec = args "RandomUnstructured(any amount)"

--- amount: a fraction (float) or a number of elements (integer).
function RandomUnstructured:init(...) self.amount = check_amount("RandomUnstructured", random_unstructured_spec(...)) end

function RandomUnstructured:compute_mask(t, default_mask)
  return zeroed(default_mask, count_of("RandomUnstructured", self.amount, t:numel()), function(count)
    local _, places = torch.rand_like(t):view(-1):topk(count)
    return places
  end)
end

local L1Unstructured = Base:extend "L1Unstructured"
L1Unstructured.PRUNING_TYPE, L1Unstructured.arity = "unstructured", 1
local l1_spec = args "L1Unstructured(any amount)"

--- amount: a fraction (float) or a number of elements (integer); those of the smallest magnitude.
function L1Unstructured:init(...) self.amount = check_amount("L1Unstructured", l1_spec(...)) end

function L1Unstructured:compute_mask(t, default_mask)
  return zeroed(default_mask, count_of("L1Unstructured", self.amount, t:numel()), function(count)
    local _, places = t:abs():reshape(-1):topk(count, { largest = false })
    return places
  end)
end

-- --- masks of whole slices ----------------------------------------------------------------------------------
local function check_structured(what, t, dim)
  if t.ndim <= 1 then
    fail(what, "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape %s with %d "
      .. "dimensions", tostring(t.shape), t.ndim)
  end
  if dim >= t.ndim or dim < -t.ndim then fail(what, "Invalid index %d for tensor of size %s", dim, tostring(t.shape)) end
end

-- Ones in the slices `kept` (a bool vector) along dim, elsewhere zeros, times the mask so far.
local function slices(t, dim, kept, default_mask)
  local sizes = {}
  for d = 1, t.ndim do sizes[d] = 1 end
  sizes[(dim < 0 and dim + t.ndim or dim) + 1] = -1
  local mask = torch.zeros_like(t)
  mask:add_(kept:to(t.dtype):view(sizes))
  return mask:mul_(default_mask:to(mask.dtype))
end

local RandomStructured = Base:extend "RandomStructured"
RandomStructured.PRUNING_TYPE, RandomStructured.arity = "structured", 2
local random_structured_spec = args "RandomStructured(any amount, int dim=-1)"

--- amount: a fraction (float) or a number of slices (integer) along dim.
function RandomStructured:init(...)
  local amount, dim = random_structured_spec(...)
  self.amount, self.dim = check_amount("RandomStructured", amount), dim
end

function RandomStructured:compute_mask(t, default_mask)
  check_structured("RandomStructured", t, self.dim)
  local size = t:size(self.dim)
  local count = count_of("RandomStructured", self.amount, size)
  if count == 0 then return default_mask end
  local draws = torch.rand(size)
  local threshold = torch.kthvalue(draws, count)
  return slices(t, self.dim, draws:gt(threshold), default_mask)
end

local LnStructured = Base:extend "LnStructured"
LnStructured.PRUNING_TYPE, LnStructured.arity = "structured", 3
local ln_spec = args "LnStructured(any amount, any n, int dim=-1)"

--- amount: a fraction (float) or a number of slices (integer) along dim; those of the smallest norm of order n (a
--- number, "fro" or "nuc").
function LnStructured:init(...)
  local amount, n, dim = ln_spec(...)
  self.amount, self.n, self.dim = check_amount("LnStructured", amount), n, dim
end

function LnStructured:compute_mask(t, default_mask)
  check_structured("LnStructured", t, self.dim)
  local size = t:size(self.dim)
  local count = count_of("LnStructured", self.amount, size)
  if count == 0 then return default_mask end
  local others = {}
  for d = 0, t.ndim - 1 do
    if d ~= self.dim % t.ndim then others[#others + 1] = d end
  end
  local _, places = torch.norm(t, self.n, others):topk(size - count)
  local kept = torch.zeros(size, { dtype = torch.bool, device = t.device })
  return slices(t, self.dim, kept:index_fill_(0, places, true), default_mask)
end

local CustomFromMask = Base:extend "CustomFromMask"
CustomFromMask.PRUNING_TYPE, CustomFromMask.arity = "global", 1
local mask_spec = args "CustomFromMask(Tensor mask)"

--- mask: of the parameter's shape, zero where to prune.
function CustomFromMask:init(...) self.mask = mask_spec(...) end

function CustomFromMask:compute_mask(_, default_mask)
  if default_mask.shape ~= self.mask.shape then
    fail("CustomFromMask", "the mask must have the parameter's shape %s, got %s", tostring(default_mask.shape),
      tostring(self.mask.shape))
  end
  return default_mask * self.mask:to(default_mask.dtype)
end

-- --- several methods after one another --------------------------------------------------------------------
Container = Base:extend "PruningContainer"

--- PruningContainer(method, ...): methods of one parameter in the order they were applied. #c, c[0], c:iter().
function Container:init(...)
  rawset(self, "_pruning_methods", {})
  local given = { ... }
  if select("#", ...) == 1 and type(given[1]) == "table" and getmetatable(given[1]) == nil then given = given[1] end
  for i, method in ipairs(given) do
    if i == 1 and class.isinstance(method, Base) then self._tensor_name = method._tensor_name end
    self:add_pruning_method(method)
  end
end

--- Appends a method for the same parameter.
function Container:add_pruning_method(method)
  if method == nil then return end
  if not class.isinstance(method, Base) then
    fail("PruningContainer", "%s is not a BasePruningMethod subclass", text.describe(method))
  end
  if method._tensor_name ~= self._tensor_name then
    fail("PruningContainer", "Can only add pruning methods acting on the parameter named '%s' to PruningContainer. "
      .. "Found '%s'", tostring(self._tensor_name), tostring(method._tensor_name))
  end
  table.insert(self._pruning_methods, method)
end

function Container:drop_last() table.remove(self._pruning_methods) end

function Container.__len(self) return #self._pruning_methods end

function Container.make_index(C)
  return function(self, key)
    if math.type(key) ~= "integer" then return C[key] end
    local list = rawget(self, "_pruning_methods")
    if key < -#list or key >= #list then
      fail("PruningContainer", "index %d is out of range for a container of %d", key, #list)
    end
    return list[key % #list + 1]
  end
end
Container.__meta.__index = Container.make_index(Container)

--- Iterator over the methods.
function Container:iter()
  local i = 0
  return function()
    i = i + 1
    return self._pruning_methods[i]
  end
end

--- The mask of the last method, computed on what the mask so far leaves over.
function Container:compute_mask(t, default_mask)
  local method = self._pruning_methods[#self._pruning_methods]
  local mask = default_mask:to(t.dtype)
  local kind = method.PRUNING_TYPE
  local rows, dim -- what takes part: elements (a bool mask), slices along dim (a bool vector), or all
  if kind == "unstructured" then
    rows = mask:eq(1)
  elseif kind == "structured" then
    dim = method.dim
    if dim == nil then
      fail("PruningContainer", "Pruning methods of PRUNING_TYPE \"structured\" need to have the attribute `dim` defined.")
    end
    if dim < -t.ndim or dim >= t.ndim then
      fail("PruningContainer", "Index is out of bounds for tensor with dimensions %d", t.ndim)
    end
    dim = dim % t.ndim
    local others = {}
    for d = 0, t.ndim - 1 do
      if d ~= dim then others[#others + 1] = d end
    end
    rows = (#others > 0 and mask:sum(others) or mask):ne(0)
  elseif kind ~= "global" then
    fail("PruningContainer", "Unrecognized PRUNING_TYPE %s", tostring(kind))
  end
  if kind == "global" then return method:compute_mask(t, mask):to(mask.dtype) end
  local result = mask:clone()
  if kind == "unstructured" then
    result:masked_scatter_(rows, method:compute_mask(t[rows], mask[rows]):to(mask.dtype))
    return result
  end
  local places = rows:nonzero():squeeze(1)
  local partial = method:compute_mask(t:index_select(dim, places), mask:index_select(dim, places))
  return result:index_copy_(dim, places, partial:to(mask.dtype))
end

return {
  BasePruningMethod = Base, PruningContainer = Container, Identity = Identity, RandomUnstructured = RandomUnstructured,
  L1Unstructured = L1Unstructured, RandomStructured = RandomStructured, LnStructured = LnStructured,
  CustomFromMask = CustomFromMask,
}
