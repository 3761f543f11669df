-- nn.utils.prune: parameters with some of their elements held at zero. A pruned parameter `name` is kept as name_orig,
-- the buffer name_mask has ones and zeros, and a hook before forward (the pruning method itself) sets
-- module[name] = name_orig * name_mask. The methods are classes; the functions below apply them.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local class = require "lampad.class"
local hooks = require "lampad.nn.module_hooks"
local Module = require "lampad.nn.module"
local methods = require "lampad.nn.utils.prune_methods"

local torch = core.torch
local prune = {}
for name, C in pairs(methods) do prune[name] = C end

-- Applies a method; returns the module.
local function run(C, module, ...)
  C.apply(C, module, ...)
  return module
end

local identity_spec = args "identity(Module module, str name)"

--- identity(module, name): gives the parameter a mask of ones.
function prune.identity(...) return run(methods.Identity, identity_spec(...)) end

local random_spec = args "random_unstructured(Module module, str name, float amount)"

--- random_unstructured(module, name, amount): prunes elements at random; amount is a fraction (a float) or a number of
--- elements (an integer).
function prune.random_unstructured(...) return run(methods.RandomUnstructured, random_spec(...)) end

local l1_spec = args "l1_unstructured(Module module, str name, float amount, Tensor importance_scores=nil)"

--- l1_unstructured(module, name, amount, importance_scores = nil): prunes the elements of the smallest magnitude (of
--- the scores, where given).
function prune.l1_unstructured(...) return run(methods.L1Unstructured, l1_spec(...)) end

local random_structured_spec = args "random_structured(Module module, str name, float amount, int dim)"

--- random_structured(module, name, amount, dim): prunes whole slices along dim, at random; amount is a fraction or a
--- number of slices.
function prune.random_structured(...) return run(methods.RandomStructured, random_structured_spec(...)) end

local ln_spec = args [[ln_structured(Module module, str name, float amount, any n, int dim,
  Tensor importance_scores=nil)]]

--- ln_structured(module, name, amount, n, dim, importance_scores = nil): prunes the slices along dim with the smallest
--- norm of order n.
function prune.ln_structured(...) return run(methods.LnStructured, ln_spec(...)) end

local custom_spec = args "custom_from_mask(Module module, str name, Tensor mask)"

--- custom_from_mask(module, name, mask): prunes where the mask is zero.
function prune.custom_from_mask(...) return run(methods.CustomFromMask, custom_spec(...)) end

-- The two entries {module, name}.
local function check_pair(pair)
  if type(pair) ~= "table" or Module.is_module(pair) or not Module.is_module(pair[1]) or type(pair[2]) ~= "string" then
    args.fail("global_unstructured", "parameters must be a list of pairs {module, name}, got %s", text.describe(pair))
  end
end

--- global_unstructured(parameters, pruning_method, importance_scores = nil, {amount = ...}): prunes the elements of all
--- parameters together, as if they were one vector. parameters: list of {module, name}; pruning_method: an unstructured
--- class; importance_scores: scores by position, or by the pair's table; the other options go to the class.
function prune.global_unstructured(...)
  local what = "global_unstructured"
  local given = table.pack(...)
  local options = {}
  if given.n > 0 and args.is_named(given[given.n]) then
    for key, value in pairs(given[given.n]) do options[key] = value end
    given.n = given.n - 1
  end
  local function take(i, name)
    local value = given[i]
    if i > given.n then
      value = options[name]
      options[name] = nil
    end
    return value
  end
  local parameters, method_class = take(1, "parameters"), take(2, "pruning_method")
  local scores = take(3, "importance_scores") or {}
  if type(parameters) ~= "table" or Module.is_module(parameters) then
    args.fail(what, "parameters must be a list of pairs {module, name}, got %s", text.describe(parameters))
  end
  if not methods.BasePruningMethod.is_class(method_class) then
    args.fail(what, "pruning_method must be a class of prune, got %s", text.describe(method_class))
  end
  if type(scores) ~= "table" then
    args.fail(what, "importance_scores must be a table, got %s", text.describe(scores))
  end
  local importance, masks = {}, {}
  for i, pair in ipairs(parameters) do
    check_pair(pair)
    local tensor = pair[1][pair[2]]
    if tensor == nil then args.fail(what, "%s has no parameter named '%s'", pair[1].__name, pair[2]) end
    local score = scores[i] or scores[pair] or tensor
    if not torch.is_tensor(score) or score.shape ~= tensor.shape then
      args.fail(what, "importance_scores should have the same shape as parameter %s of %s", pair[2],
        tostring(pair[1]))
    end
    importance[i] = score:reshape(-1)
    masks[i] = (pair[1][pair[2] .. "_mask"] or torch.ones_like(tensor)):reshape(-1)
  end
  if #importance == 0 then args.fail(what, "parameters is empty") end
  local method = method_class(options)
  if method.PRUNING_TYPE ~= "unstructured" then
    args.fail(what, "Only \"unstructured\" PRUNING_TYPE supported for the `pruning_method`. Found method %s of type %s",
      method_class.__name, tostring(method.PRUNING_TYPE))
  end
  local container = methods.PruningContainer()
  container._tensor_name, method._tensor_name = "temp", "temp" -- only so that the container takes it
  container:add_pruning_method(method)
  local mask = torch.no_grad(function() return container:compute_mask(torch.cat(importance), torch.cat(masks)) end)
  local at = 0
  for _, pair in ipairs(parameters) do
    local tensor = pair[1][pair[2]]
    local count = tensor:numel()
    prune.custom_from_mask(pair[1], pair[2], mask:narrow(0, at, count):view(tensor.shape))
    at = at + count
  end
end

local remove_spec = args "remove(Module module, str name)"

--- Makes the pruning of a parameter permanent: the zeros stay, name_orig and name_mask go. Returns the module.
function prune.remove(...)
  local module, name = remove_spec(...)
  for _, entry in ipairs(module._hooks and module._hooks.forward_pre or {}) do
    if class.isinstance(entry.fn, methods.BasePruningMethod) and entry.fn._tensor_name == name then
      entry.fn:remove(module)
      hooks.drop(module._hooks, "forward_pre", entry)
      return module
    end
  end
  args.fail("remove", "Parameter '%s' of module %s has to be pruned before pruning can be removed", name,
    tostring(module))
end

local pruned_spec = args "is_pruned(Module module)"

--- Whether a parameter of the module or of one below it is pruned.
function prune.is_pruned(...)
  for module in pruned_spec(...):modules() do
    for _, entry in ipairs(module._hooks and module._hooks.forward_pre or {}) do
      if class.isinstance(entry.fn, methods.BasePruningMethod) then return true end
    end
  end
  return false
end

return prune
