-- nn.utils.parametrize: parameters and buffers that are functions of others. A module with a parametrized tensor gets
-- the child `parametrizations`, whose entry for the tensor holds the originals and the functions; its class becomes
-- one below the old, in which the tensor is computed when it is read and goes through right_inverse when it is set.
--
-- Note [Computed attributes]: a module's attributes stand in its instance table. A parametrized tensor does not, so
-- reading it reaches __index and setting it __newindex of the class; the entry in `parametrizations` tells both what to
-- do. The class itself knows no tensor: there is one per class, shared by all modules of it.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local containers = require "lampad.nn.containers"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local graph = require "lampad.autograd.graph"

local torch = core.torch
local parametrize = {}

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

-- --- caching --------------------------------------------------------------------------------------------
local cached_depth, cache = 0, {} -- cache: list of a parametrized tensor -> its value

--- cached(body), or a to-be-closed value: inside, each parametrized tensor is computed once.
function parametrize.cached(body)
  return graph.scope(function()
    cached_depth = cached_depth + 1
    return {}
  end, function()
    cached_depth = cached_depth - 1
    if cached_depth == 0 then cache = {} end
  end, body, "parametrize.cached")
end

-- --- the list of one tensor -----------------------------------------------------------------------------
local ParametrizationList = containers.ModuleList:extend "ParametrizationList"
parametrize.ParametrizationList = ParametrizationList

-- The functions stand under "0", "1", ...; a list whose originals are parametrized has another child.
function ParametrizationList:_members()
  local names, values = {}, {}
  while true do
    local name = tostring(#names)
    local value = rawget(self, name)
    if value == nil then return names, values end
    names[#names + 1], values[#values + 1] = name, value
  end
end

local list_spec = args "ParametrizationList(any modules, Tensor original, bool unsafe=false)"

local function register(module, name, tensor)
  if Parameter.is(tensor) then module:register_parameter(name, tensor) else module:register_buffer(name, tensor) end
end

-- A tensor's data in another's place; the first stays the same object, for optimizers.
local function replace_data(target, value)
  if rawequal(target, value) then return end
  torch.no_grad(function() target.data = value:detach() end)
end

local function check_same(what, message, a, b, field)
  if a[field] ~= b[field] then args.fail(what, message, field, tostring(a[field]), tostring(b[field])) end
end

--- ParametrizationList(modules, original): holds the tensor `original` as right_inverse makes it of the given one
--- (`original`, or `original0`, `original1`, ... where right_inverse returns several) and the functions to apply.
function ParametrizationList:init(...)
  local modules, original, unsafe = list_spec(...)
  containers.ModuleList.init(self, modules)
  local what = "register_parametrization"
  if #self == 0 then args.fail("ParametrizationList", "requires one or more modules") end
  self:_set { unsafe = unsafe }
  local shape, dtype = original.shape, original.dtype
  local results = table.pack(torch.no_grad(function() return self:_invert(original, true) end))
  local first = results[1]
  if results.n == 1 and type(first) == "table" and getmetatable(first) == nil then
    results = { n = #first, table.unpack(first) }
    self:_set { is_tensor = false }
  else
    self:_set { is_tensor = results.n == 1 }
  end
  self:_set { ntensors = results.n }
  for i = 1, results.n do
    if not is_tensor(results[i]) then
      args.fail(what, "'right_inverse' must return a Tensor or a list of tensors, got %s", text.describe(results[i]))
    end
  end
  if self.is_tensor then
    check_same(what, "When `right_inverse` outputs one tensor, it may not change the dtype.\noriginal.%s: %s\n"
      .. "right_inverse(original).dtype: %s", original, results[1], "dtype")
    replace_data(original, results[1])
    register(self, "original", original)
  else
    for i = 1, results.n do
      local part = results[i]
      if Parameter.is(original) then part = Parameter(part, original.requires_grad) end
      part:requires_grad_(original.requires_grad)
      register(self, "original" .. i - 1, part)
    end
  end
  if not unsafe then
    local value = self()
    if not is_tensor(value) then
      args.fail(what, "A parametrization must return a tensor. Got %s.", text.describe(value))
    end
    local message = "Registering a parametrization may not change the %s of the tensor, unless the `unsafe` flag is "
      .. "enabled.\nunparametrized: %s\nparametrized: %s"
    check_same(what, message, { dtype = dtype }, value, "dtype")
    check_same(what, message, { shape = shape }, value, "shape")
  end
end

-- Whether the parametrization has an inverse to apply; one whose `can_invert` says no has not.
local function invertible(module)
  return module.right_inverse ~= nil and (module.can_invert == nil or module:can_invert())
end

-- value through right_inverse of every parametrization, the last one first; those without are passed over when
-- `lenient`, else an error.
function ParametrizationList:_invert(value, lenient)
  local _, members = self:_members()
  local results = table.pack(value)
  for i = #members, 1, -1 do
    local module = members[i]
    if invertible(module) then
      results = table.pack(module:right_inverse(table.unpack(results, 1, results.n)))
    elseif not lenient then
      if module.right_inverse ~= nil then module:right_inverse(table.unpack(results, 1, results.n)) end
      args.fail("parametrize", "parametrization %s does not implement right_inverse.", module.__name)
    end
  end
  return table.unpack(results, 1, results.n)
end

--- Makes the originals such that forward gives `value`.
function ParametrizationList:right_inverse(value)
  torch.no_grad(function()
    local results = table.pack(self:_invert(value))
    if results.n == 1 and type(results[1]) == "table" and getmetatable(results[1]) == nil then
      results = { n = #results[1], table.unpack(results[1]) }
    end
    if results.n ~= self.ntensors then
      args.fail("parametrize", "'right_inverse' must return a list of tensors of length %d. Got %d.", self.ntensors,
        results.n)
    end
    for i = 1, results.n do
      local name = self.is_tensor and "original" or "original" .. i - 1
      if not is_tensor(results[i]) then
        args.fail("parametrize", "`right_inverse` should return a tensor. Got %s", text.describe(results[i]))
      end
      if results[i].dtype ~= self[name].dtype then
        args.fail("parametrize", "The tensor returned by `right_inverse` has dtype %s while `%s` has dtype %s",
          tostring(results[i].dtype), name, tostring(self[name].dtype))
      end
      replace_data(self[name], results[i])
    end
  end)
end

--- The parametrized tensor.
function ParametrizationList:forward()
  local _, members = self:_members()
  local value
  if self.is_tensor then
    value = members[1](self.original)
  else
    local originals = {}
    for i = 1, self.ntensors do originals[i] = self["original" .. i - 1] end
    value = members[1](table.unpack(originals, 1, self.ntensors))
  end
  for i = 2, #members do value = members[i](value) end
  return value
end

local function value_of(list)
  if cached_depth == 0 then return list() end
  local value = cache[list]
  if value == nil then
    value = list()
    cache[list] = value
  end
  return value
end

-- --- Note [Computed attributes] ---------------------------------------------------------------------------
local function list_of(module, name)
  local all = rawget(module, "parametrizations")
  local list = type(all) == "table" and rawget(all, name)
  return list and class.isinstance(list, ParametrizationList) and list or nil
end

local parametrized_classes = setmetatable({}, { __mode = "k" }) -- class -> the one below it

local function parametrized_class(base)
  local known = parametrized_classes[base]
  if known then return known end
  local C = base:extend("Parametrized" .. base.__name)
  local index, newindex = C.__meta.__index, C.__meta.__newindex
  if index == C then index = nil end
  C.__meta.__index = function(self, key)
    local list = list_of(self, key)
    if list then return value_of(list) end
    if index then return index(self, key) end
    return C[key]
  end
  C.__meta.__newindex = function(self, key, value)
    local list = list_of(self, key)
    if not list then return newindex(self, key, value) end
    if not is_tensor(value) then
      args.fail("parametrize", "cannot assign %s to the parametrized tensor '%s'", text.describe(value), key)
    end
    list:right_inverse(value)
    cache[list] = nil
  end
  parametrized_classes[base] = C
  return C
end

-- --- registration -------------------------------------------------------------------------------------------

-- A parametrization that joins others must keep dtype and shape, and so must its inverse.
local function check_added(module, name, parametrization)
  local what = "register_parametrization"
  local before = module[name]
  local after = parametrization(before)
  if not is_tensor(after) then
    args.fail(what, "A parametrization must return a tensor. Got %s.", text.describe(after))
  end
  for _, field in ipairs { "dtype", "shape" } do
    check_same(what, "Registering a parametrization may not change the %s of the tensor, unless the `unsafe` flag is "
      .. "enabled.\nmodule." .. name .. ": %s\nparametrization(module." .. name .. "): %s", before, after, field)
  end
  if not invertible(parametrization) then return end
  local inverse = parametrization:right_inverse(after)
  if not is_tensor(inverse) then
    args.fail(what, "parametrization.right_inverse must return a tensor. Got: %s", text.describe(inverse))
  end
  for _, field in ipairs { "dtype", "shape" } do
    check_same(what, "The tensor returned by parametrization.right_inverse must have the same %s as module." .. name
      .. ", unless the `unsafe` flag is enabled.\nmodule." .. name .. ": %s\nreturned: %s", before, inverse, field)
  end
end

local register_spec = args [[register_parametrization(Module module, str tensor_name, Module parametrization, *,
  bool unsafe=false)]]

--- From now on module[tensor_name] (a parameter or buffer) is parametrization(original); several compose in the order
--- of registration. A parametrization is a module with forward and, to set the tensor, right_inverse. unsafe: dtype and
--- shape may change, nothing is checked. Returns the module.
function parametrize.register_parametrization(...)
  local module, name, parametrization, unsafe = register_spec(...)
  parametrization:train(module.training)
  local list = list_of(module, name)
  if list then
    if not unsafe then check_added(module, name, parametrization) end
    list:append(parametrization)
    list:_set { unsafe = list.unsafe or unsafe }
    cache[list] = nil
    return module
  end
  local original = rawget(module, name)
  local is_buffer = module._persistence and module._persistence[name] ~= nil
  if not is_tensor(original) or not (is_buffer or Parameter.is(original)) then
    args.fail("register_parametrization", "Module '%s' does not have a parameter, a buffer, or a parametrized element "
      .. "with name '%s'", tostring(module), name)
  end
  list = ParametrizationList({ parametrization }, original, unsafe)
  module:del(name)
  if not parametrize.is_parametrized(module) then
    setmetatable(module, parametrized_class(getmetatable(module).class).__meta)
    module.parametrizations = containers.ModuleDict()
  end
  module.parametrizations:add_module(name, list)
  return module
end

--- Whether the module (or its tensor of that name) is parametrized.
function parametrize.is_parametrized(module, tensor_name)
  if type(tensor_name) == "table" then tensor_name = tensor_name.tensor_name end
  local all = Module.is_module(module) and rawget(module, "parametrizations")
  if not all or not class.isinstance(all, containers.ModuleDict) then return false end
  if tensor_name == nil then return #all > 0 end
  return all:contains(tensor_name)
end

--- The module's class as it was before the first parametrization.
function parametrize.type_before_parametrizations(module)
  if not Module.is_module(module) then
    args.fail("type_before_parametrizations", "argument 'module' must be a module, got %s", text.describe(module))
  end
  local C = getmetatable(module).class
  if parametrize.is_parametrized(module) then return C.super end
  return C
end

local remove_spec = args [[remove_parametrizations(Module module, str tensor_name, bool leave_parametrized=true)]]

--- Takes all parametrizations off the tensor. It keeps its computed value, or with leave_parametrized = false (for
--- parametrizations of one tensor only) the original one. Returns the module.
function parametrize.remove_parametrizations(...)
  local module, name, leave = remove_spec(...)
  local list = list_of(module, name)
  if not list then
    args.fail("remove_parametrizations", "Module %s does not have a parametrization on %s", tostring(module), name)
  end
  local original
  if list.is_tensor then
    original = list.original
    if leave then
      replace_data(original, torch.no_grad(function() return module[name] end))
    end
  elseif leave then
    local value = module[name]
    original = value.requires_grad and Parameter(value) or value
  else
    args.fail("remove_parametrizations", "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
      .. "parametrized in terms of a sequence of tensors.")
  end
  cache[list] = nil
  module.parametrizations:del(name)
  if not parametrize.is_parametrized(module) then
    module:del "parametrizations"
    setmetatable(module, getmetatable(module).class.super.__meta)
  end
  register(module, name, original)
  return module
end

local transfer_spec = args [[transfer_parametrizations_and_params(Module from_module, Module to_module,
  str tensor_name=nil)]]

--- Gives to_module the parametrizations (of one tensor, or all) and the parameters they start from. Returns to_module.
function parametrize.transfer_parametrizations_and_params(...)
  local from, to, tensor_name = transfer_spec(...)
  local what = "transfer_parametrizations_and_params"
  local all = rawget(from, "parametrizations")
  if not parametrize.is_parametrized(from) then return to end
  local names = tensor_name and { tensor_name } or {}
  if not tensor_name then
    for name in all:keys() do names[#names + 1] = name end
  end
  for _, name in ipairs(names) do
    local list = list_of(from, name)
    if not list then args.fail(what, "from_module has no parametrization on '%s'", name) end
    if rawget(to, name) == nil and not list_of(to, name) then
      to:register_parameter(name, Parameter(from[name]))
    end
    for parametrization in list:iter() do
      parametrize.register_parametrization(to, name, parametrization, { unsafe = list.unsafe })
    end
    local target = list_of(to, name)
    for i = 1, list.ntensors do
      local key = list.is_tensor and "original" or "original" .. i - 1
      rawset(target, key, list[key])
    end
  end
  return to
end

return parametrize
