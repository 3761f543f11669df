-- Modules as functions: functional_call runs a module with other tensors in place of its parameters and buffers;
-- stack_module_state gathers those of an ensemble.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"

local torch = core.torch
local fail = args.fail

local modules = {}

local ordered = getmetatable(OrderedDict())
local function is_dict(v)
  return type(v) == "table" and (getmetatable(v) == ordered or getmetatable(v) == nil and #v == 0)
end

-- One map from a dict or a list of dicts.
local function merged(given)
  if is_dict(given) then return given end
  if type(given) ~= "table" or getmetatable(given) ~= nil then
    fail("functional_call", "Expected parameter_and_buffer_dicts to be a dict, or a list of dicts, but got %s",
      text.describe(given))
  end
  local all = {}
  for _, dict in ipairs(given) do
    if not is_dict(dict) then
      fail("functional_call", "Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    end
    for name, tensor in pairs(dict) do
      if all[name] ~= nil then
        fail("functional_call", "%s appeared in multiple dictionaries; behavior of functional call is ambiguous", name)
      end
      all[name] = tensor
    end
  end
  return all
end

-- Every place of the module tree that holds a parameter or buffer: full name -> {module, field, tensor}; and the
-- names that share a tensor.
local function places_of(module)
  local places, sharing = {}, {}
  local function note(prefix, owner, name, tensor)
    local full = prefix .. name
    places[full] = { owner, name, tensor }
    sharing[tensor] = sharing[tensor] or {}
    table.insert(sharing[tensor], full)
  end
  for prefix, owner in module:named_modules { remove_duplicate = false } do
    local dot = prefix == "" and "" or prefix .. "."
    for name, tensor in owner:named_parameters { recurse = false, remove_duplicate = false } do
      note(dot, owner, name, tensor)
    end
    for name, tensor in owner:named_buffers { recurse = false, remove_duplicate = false } do
      note(dot, owner, name, tensor)
    end
  end
  return places, sharing
end

-- The place of a name that is no parameter or buffer: a free attribute of the module there, for the call only.
local function new_place(module, full)
  local path, name = full:match "^(.*)%.([^.]*)$"
  local owner = module
  for part in (path or ""):gmatch "[^.]+" do
    local child = owner[part]
    if child == nil then fail("functional_call", "%s has no attribute `%s`", owner.__name, part) end
    if not owner.is_module(child) then fail("functional_call", "`%s` of %s is not an nn.Module", part, owner.__name) end
    owner = child
  end
  name = name or full
  local value = rawget(owner, name)
  if value ~= nil and not torch.is_tensor(value) then
    fail("functional_call", "attribute `%s` of %s is not an instance of torch.Tensor: %s", name, owner.__name,
      text.describe(value))
  end
  return { owner, name, value }
end

local function quoted(names)
  table.sort(names)
  for i, name in ipairs(names) do names[i] = "'" .. name .. "'" end
  return table.concat(names, ", ")
end

-- Raises unless the names are exactly those of the places.
local function check_strict(module, places, set)
  local missing, unexpected, lines = {}, {}, {}
  for name in pairs(places) do
    if set[name] == nil then missing[#missing + 1] = name end
  end
  for name in pairs(set) do
    if not places[name] then unexpected[#unexpected + 1] = name end
  end
  if #unexpected > 0 then lines[#lines + 1] = "\n\tUnexpected key(s): " .. quoted(unexpected) .. "." end
  if #missing > 0 then lines[#lines + 1] = "\n\tMissing key(s): " .. quoted(missing) .. "." end
  if #lines > 0 then
    fail("functional_call", "Error(s) in reparametrizing for %s:%s", module.__name, table.concat(lines))
  end
end

local option_names = { "args", "kwargs", "tie_weights", "strict" }

-- Whether a table holds nothing but options of functional_call.
local function is_options(v)
  if type(v) ~= "table" or not args.is_named(v) or next(v) == nil then return false end
  for key in pairs(v) do
    local known = false
    for _, name in ipairs(option_names) do known = known or name == key end
    if not known then return false end
  end
  return true
end

--- functional_call(module, parameters_and_buffers, args = nil, kwargs = nil, {tie_weights = true, strict = false}):
--- the module's forward with tensors from the map (full name -> tensor; or a list of such maps) in place of its own,
--- which stand there again afterwards. args: one value, or a list of them; kwargs: a table of named arguments.
--- tie_weights: a name stands for all names that share its tensor. strict: names must match exactly; else other names
--- are attributes during the call. Buffers that forward replaces (running statistics) are written back into the map.
function modules.functional_call(module, dicts, given, kwargs, options)
  local Module = require "lampad.nn.module"
  if not Module.is_module(module) then
    fail("functional_call", "argument 'module' must be a module, got %s", text.describe(module))
  end
  if kwargs == nil and options == nil and is_options(given) then
    options = given
    given, kwargs = options.args, options.kwargs
  end
  options = options or {}
  args.check_names("functional_call", options, option_names)
  local tensors = merged(dicts)
  local places, sharing = places_of(module)
  local set = {}
  for name, tensor in pairs(tensors) do
    if not (type(tensor) == "userdata" and torch.is_tensor(tensor)) then
      fail("functional_call", "%s is not an instance of torch.Tensor: %s", tostring(name), text.describe(tensor))
    end
    if type(name) ~= "string" then
      fail("functional_call", "names must be strings, got %s", text.describe(name))
    end
    set[name] = tensor
  end
  if options.tie_weights ~= false then
    for name, tensor in pairs(tensors) do
      for _, other in ipairs(places[name] and sharing[places[name][3]] or {}) do
        if tensors[other] ~= nil and tensors[other] ~= tensor then
          fail("functional_call", "functional_call got multiple values for keys [%s], which are tied. Consider "
            .. "using tie_weights=False", quoted { name, other })
        end
        if set[other] == nil then set[other] = tensor end
      end
    end
  end
  if options.strict then check_strict(module, places, set) end
  for name in pairs(set) do
    if not places[name] then places[name] = new_place(module, name) end
  end
  local list
  if given == nil then list = { n = 0 }
  elseif type(given) == "table" and getmetatable(given) == nil then
    list = { n = given.n or #given, table.unpack(given, 1, given.n or #given) }
  else
    list = { n = 1, given }
  end
  if kwargs ~= nil and next(kwargs) ~= nil then
    list.n = list.n + 1
    list[list.n] = kwargs
  end
  for name, tensor in pairs(set) do
    local place = places[name]
    rawset(place[1], place[2], tensor)
    if core.parameters and place[3] ~= nil and core.parameters[place[3]] then
      core.parameters[tensor] = core.parameters[tensor] or "stand-in"
    end
  end
  local function restore()
    for name, tensor in pairs(set) do
      local place = places[name]
      local now = rawget(place[1], place[2])
      if now ~= tensor and now ~= nil and tensors[name] ~= nil then tensors[name] = now end
      rawset(place[1], place[2], place[3])
      if core.parameters and core.parameters[tensor] == "stand-in" then core.parameters[tensor] = nil end
    end
  end
  local _ <close> = setmetatable({}, { __close = restore })
  return module(table.unpack(list, 1, list.n))
end

--- stack_module_state(models): parameters and buffers of models of one class, stacked along a new first dim: two
--- maps from full names to tensors, for vmap over functional_call.
function modules.stack_module_state(models)
  if type(models) ~= "table" or #models == 0 then
    fail("stack_module_state", "Expected at least one model, got 0")
  end
  local first = models[1]
  for _, m in ipairs(models) do
    if m.training ~= first.training then
      fail("stack_module_state", "Expected all models to have the same training/eval mode")
    end
    if getmetatable(m) ~= getmetatable(first) then
      fail("stack_module_state", "Expected all models to be of the same class")
    end
  end
  local function stacked(walk, parameters)
    local names, by_name = {}, {}
    for _, m in ipairs(models) do
      for name, tensor in walk(m) do
        if not by_name[name] then
          by_name[name] = {}
          names[#names + 1] = name
        end
        table.insert(by_name[name], tensor)
      end
    end
    local result = OrderedDict()
    for _, name in ipairs(names) do
      local list, detached = by_name[name], {}
      for i, tensor in ipairs(list) do
        if tensor.requires_grad ~= list[1].requires_grad then
          fail("stack_module_state", "Expected %s from each model to have the same .requires_grad", name)
        end
        detached[i] = tensor:detach()
      end
      result[name] = torch.stack(parameters and detached or list)
      if parameters then result[name]:requires_grad_(list[1].requires_grad) end
    end
    return result
  end
  return stacked(function(m) return m:named_parameters() end, true),
    stacked(function(m) return m:named_buffers() end, false)
end

--- replace_all_batch_norm_modules_(root): its batch norms no longer keep running statistics (which vmap could not
--- update), in training and in evaluation; returns root.
function modules.replace_all_batch_norm_modules_(root)
  for _, m in root:named_modules() do
    if m.track_running_stats ~= nil and m.running_mean ~= nil then
      m.running_mean, m.running_var, m.num_batches_tracked = nil, nil, nil
      m:_set { track_running_stats = false }
    end
  end
  return root
end

--- debug_unwrap(tensor, {recurse = true}): the batch behind a tensor inside vmap (all levels when recurse), to look at.
function modules.debug_unwrap(tensor, options)
  if not (type(tensor) == "userdata" and torch.is_tensor(tensor)) then
    fail("debug_unwrap", "argument 'tensor' must be a tensor, got %s", text.describe(tensor))
  end
  local recurse = options == nil or type(options) == "table" and options.recurse ~= false
  local physical = core.vmap_physical(tensor)
  if not physical then return tensor end
  return recurse and modules.debug_unwrap(physical) or physical
end

return modules
