-- nn.Module: the base of every layer and network.
--
-- What an instance holds. Attributes stand directly in the instance table, so that `self.weight` and
-- `self.fc(x)` are plain table reads. A key that comes new passes __newindex, which notes its name in
-- `_order`; replacing a value needs no notice. Whether an attribute is a parameter, a buffer, a child or
-- plain data is decided by its value when somebody asks (named_parameters, state_dict, ...):
--   a Parameter -> parameter; a Module -> child; a name declared by register_buffer -> buffer.
-- So parameters and children come in the order of first assignment, `net.fc = other` replaces in place,
-- and `net.fc = nil` removes. Fields with a leading underscore set here by rawset are bookkeeping:
--   _order  names in order; _slot  name -> true for names in _order (also of removed ones)
--   _buffers  name -> persistent, for declared buffers; _hooks  tables of hooks by kind, or false
--   training  the mode flag, a public field
--
-- Note [Module path in errors]: the outermost call of a module runs under xpcall. At an error its handler
-- looks through the stack for functions whose first argument is a module, and adds the path of the innermost
-- one ("features.3 (Conv2d)") to the message. Calls inside cost nothing for it.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local Parameter = require "lampad.nn.parameter"
local OrderedDict = require "lampad.ordered_dict"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local known_parameters = Parameter.known
local rawget, rawset, getmetatable, type = rawget, rawset, getmetatable, type

local Module = class.extend(class.Object, "Module")
local meta = Module.__meta
meta.is_module = true

local function is_module(value)
  if type(value) ~= "table" then return false end
  local m = getmetatable(value)
  return type(m) == "table" and m.is_module == true
end
Module.is_module = is_module

function Module.allocate(C)
  return setmetatable({
    training = true, _order = {}, _slot = {}, _buffers = false, _hooks = false,
  }, C.__meta)
end

function meta.__newindex(self, key, value)
  if type(key) == "string" then
    local slot = rawget(self, "_slot")
    if not slot[key] then
      slot[key] = true
      local order = rawget(self, "_order")
      order[#order + 1] = key
    end
  end
  rawset(self, key, value)
end

--- Stores plain data (sizes, options) by name, without the notice __newindex takes.
function Module:_set(fields)
  for key, value in pairs(fields) do rawset(self, key, value) end
  return self
end

-- --- members -----------------------------------------------------------------------------------
local function check_name(self, what, name)
  if type(name) ~= "string" then
    args.fail(what, "the name must be a string, got %s", text.describe(name))
  end
  if name:find(".", 1, true) then
    args.fail(what, "the name can't contain \".\", got '%s'", name)
  end
  if name == "" then args.fail(what, "the name can't be empty string \"\"") end
  if rawget(self, name) == nil and self[name] ~= nil and type(self[name]) == "function" then
    args.fail(what, "attribute '%s' already exists", name)
  end
end

--- Declares a parameter; nil keeps the name free for one (a layer without bias).
function Module:register_parameter(name, parameter)
  check_name(self, "register_parameter", name)
  if parameter ~= nil and not Parameter.is(parameter) then
    args.fail("register_parameter", "cannot assign %s as parameter '%s' (nn.Parameter or nil expected)",
      text.describe(parameter), name)
  end
  self[name] = parameter
end

--- Declares a buffer: a tensor (or nil) of the module's state that is no parameter, such as running
--- statistics. A buffer that is not persistent stays out of state_dict().
function Module:register_buffer(name, tensor, persistent)
  if type(persistent) == "table" then
    args.check_names("register_buffer", persistent, { "persistent" })
    persistent = persistent.persistent
  end
  check_name(self, "register_buffer", name)
  if tensor ~= nil and not torch.is_tensor(tensor) and not is_lazy(tensor) then
    args.fail("register_buffer", "cannot assign %s as buffer '%s' (tensor or nil expected)",
      text.describe(tensor), name)
  end
  if not rawget(self, "_buffers") then rawset(self, "_buffers", {}) end
  self._buffers[name] = persistent ~= false
  if tensor == nil then meta.__newindex(self, name, nil) else self[name] = tensor end
end

--- Adds a child module under a name; the same as self[name] = module.
function Module:add_module(name, module)
  check_name(self, "add_module", name)
  if module ~= nil and not is_module(module) then
    args.fail("add_module", "%s is not a Module", text.describe(module))
  end
  self[name] = module
end
Module.register_module = Module.add_module

-- The direct members of a kind as parallel lists of names and values.
local function own_parameters(self)
  local names, values, order = {}, {}, rawget(self, "_order")
  for i = 1, #order do
    local name = order[i]
    local value = rawget(self, name)
    if type(value) == "userdata" and known_parameters[value] then
      names[#names + 1], values[#values + 1] = name, value
    end
  end
  return names, values
end

local function own_buffers(self, only_persistent)
  local names, values, buffers = {}, {}, rawget(self, "_buffers")
  if not buffers then return names, values end
  local order = rawget(self, "_order")
  for i = 1, #order do
    local name = order[i]
    local persistent = buffers[name]
    if persistent ~= nil and (persistent or not only_persistent) then
      local value = rawget(self, name)
      if type(value) == "userdata" and not known_parameters[value] and (torch.is_tensor(value) or is_lazy(value)) then
        names[#names + 1], values[#values + 1] = name, value
      end
    end
  end
  return names, values
end

local function own_children(self)
  local names, values, order = {}, {}, rawget(self, "_order")
  for i = 1, #order do
    local name = order[i]
    local value = rawget(self, name)
    if type(value) == "table" and is_module(value) then
      names[#names + 1], values[#values + 1] = name, value
    end
  end
  return names, values
end
Module.own_children = own_children

local function over(names, values)
  local i = 0
  return function()
    i = i + 1
    local value = values[i]
    if value ~= nil then return names[i], value end
  end
end

local function over_values(values)
  local i = 0
  return function()
    i = i + 1
    return values[i]
  end
end

local function join(prefix, name) return prefix == "" and name or prefix .. "." .. name end

local function collect_modules(self, prefix, seen, names, values, remove_duplicate)
  if seen[self] then return end
  if remove_duplicate then seen[self] = true end
  names[#names + 1], values[#values + 1] = prefix, self
  local child_names, children = own_children(self)
  for i = 1, #children do
    collect_modules(children[i], join(prefix, child_names[i]), seen, names, values, remove_duplicate)
  end
end

-- Members of a kind over the whole tree, each tensor once.
local function collect_members(self, own, prefix, recurse, remove_duplicate)
  local module_names, modules = { prefix }, { self }
  if recurse then
    module_names, modules = {}, {}
    collect_modules(self, prefix, {}, module_names, modules, remove_duplicate)
  end
  local names, values, seen = {}, {}, {}
  for m = 1, #modules do
    local member_names, members = own(modules[m])
    for i = 1, #members do
      local value = members[i]
      if not seen[value] then
        if remove_duplicate then seen[value] = true end
        names[#names + 1], values[#values + 1] = join(module_names[m], member_names[i]), value
      end
    end
  end
  return names, values
end

local named_spec = args "named_parameters(str prefix='', bool recurse=true, bool remove_duplicate=true)"
local modules_spec = args "named_modules(any memo=nil, str prefix='', bool remove_duplicate=true)"
local recurse_spec = args "parameters(bool recurse=true)"

--- Iterator over name, parameter: own ones first, then those of the children in order.
function Module:named_parameters(...)
  return over(collect_members(self, own_parameters, named_spec(...)))
end

--- Iterator over the parameters, each once.
function Module:parameters(...)
  local _, values = collect_members(self, own_parameters, "", recurse_spec(...), true)
  return over_values(values)
end

--- Iterator over name, buffer.
function Module:named_buffers(...)
  return over(collect_members(self, own_buffers, named_spec(...)))
end

--- Iterator over the buffers, each once.
function Module:buffers(...)
  local _, values = collect_members(self, own_buffers, "", recurse_spec(...), true)
  return over_values(values)
end

--- Iterator over name, module for the direct children, each module once.
function Module:named_children()
  local names, values, seen = {}, {}, {}
  local all_names, all = own_children(self)
  for i = 1, #all do
    if not seen[all[i]] then
      seen[all[i]] = true
      names[#names + 1], values[#values + 1] = all_names[i], all[i]
    end
  end
  return over(names, values)
end

--- Iterator over the direct children.
function Module:children()
  local next_child = self:named_children()
  return function()
    local _, child = next_child()
    return child
  end
end

--- Iterator over name, module for this module (name "") and all below it.
function Module:named_modules(...)
  local _, prefix, remove_duplicate = modules_spec(...)
  local names, values = {}, {}
  collect_modules(self, prefix, {}, names, values, remove_duplicate)
  return over(names, values)
end

--- Iterator over this module and all below it.
function Module:modules()
  local names, values = {}, {}
  collect_modules(self, "", {}, names, values, true)
  return over_values(values)
end

--- The module at a path such as "features.3"; "" is the module itself.
function Module:get_submodule(path)
  local module = self
  for name in path:gmatch("[^.]+") do
    local child = module[name]
    if child == nil then
      local names = own_children(module)
      local near = text.nearest(name, names)
      args.fail("get_submodule", "%s has no attribute `%s`%s", module.__name, name,
        near and "; did you mean '" .. near .. "'?" or "")
    end
    if not is_module(child) then
      args.fail("get_submodule", "`%s` of %s is not a Module", name, module.__name)
    end
    module = child
  end
  return module
end

local function get_member(self, path, what, fits)
  local parent, name = path:match("^(.*)%.([^.]+)$")
  local module = Module.get_submodule(self, parent or "")
  name = name or path
  local value = rawget(module, name)
  if value == nil then args.fail(what, "%s has no attribute `%s`", module.__name, name) end
  if not fits(module, name, value) then
    args.fail(what, "`%s` of %s is not a %s", name, module.__name, what:gsub("^get_", ""))
  end
  return value
end

--- The parameter at a path such as "fc.weight".
function Module:get_parameter(path)
  return get_member(self, path, "get_parameter", function(_, _, value) return Parameter.is(value) end)
end

--- The buffer at a path such as "bn.running_mean".
function Module:get_buffer(path)
  return get_member(self, path, "get_buffer", function(module, name)
    return module._buffers and module._buffers[name] ~= nil
  end)
end

-- --- modes, gradients, conversion -----------------------------------------------------------------
--- Sets training mode here and below; returns self.
function Module:train(mode)
  if mode == nil then mode = true end
  if type(mode) == "table" then mode = mode.mode ~= false end
  if type(mode) ~= "boolean" then
    args.fail("train", "training mode is expected to be boolean, got %s", text.describe(mode))
  end
  self.training = mode
  for child in self:children() do child:train(mode) end
  return self
end

--- Evaluation mode: train(false).
function Module:eval() return self:train(false) end

--- Whether autograd records the parameters; returns self.
function Module:requires_grad_(requires_grad)
  if type(requires_grad) == "table" then requires_grad = requires_grad.requires_grad end
  for p in self:parameters() do p:requires_grad_(requires_grad ~= false) end
  return self
end

--- Drops the gradients of all parameters (or fills them with zeros: set_to_none = false).
function Module:zero_grad(set_to_none)
  if type(set_to_none) == "table" then set_to_none = set_to_none.set_to_none end
  for p in self:parameters() do
    if set_to_none ~= false then
      p.grad = nil
    elseif p.grad ~= nil then
      p.grad:detach_():zero_()
    end
  end
end

--- Calls fn on every module below, then on this one; returns self.
function Module:apply(fn)
  for child in self:children() do child:apply(fn) end
  fn(self)
  return self
end

-- Puts every parameter's data and every buffer through `convert`; a Parameter stays the same object,
-- so that optimizers made before keep working.
local function convert_tensors(self, convert)
  local seen = {}
  torch.no_grad(function()
    for module in self:modules() do
      local _, parameters = own_parameters(module)
      for _, p in ipairs(parameters) do
        if not seen[p] then
          seen[p] = true
          local changed = convert(p)
          if not rawequal(changed, p) then
            local grad = p.grad
            -- A leaf changes its dtype between two states without gradient.
            local requires_grad = p.requires_grad
            p.grad = nil
            p:requires_grad_(false)
            p.data = changed
            p:requires_grad_(requires_grad)
            if grad ~= nil then p.grad = convert(grad) end
          end
        end
      end
      local names, buffers = own_buffers(module)
      for i, name in ipairs(names) do rawset(module, name, convert(buffers[i])) end
    end
  end)
  return self
end
Module._apply = convert_tensors

local function is_floating(t)
  return tostring(t.dtype):find "float" ~= nil
end

--- Moves to a dtype and/or device: to(torch.float64), to("cpu"), to{dtype = ..., device = ...}.
--- A dtype applies to floating point tensors only.
function Module:to(...)
  local given = { ... }
  local dtype, device
  for i = 1, select("#", ...) do
    local value = given[i]
    if args.is_named(value) then
      args.check_names("Module.to", value, { "device", "dtype", "non_blocking" })
      dtype, device = value.dtype or dtype, value.device or device
    elseif torch.is_tensor(value) then
      dtype, device = value.dtype, value.device
    elseif type(value) == "string" or tostring(value):find "^device" then
      device = value
    elseif value ~= nil and type(value) ~= "boolean" then
      dtype = value
    end
  end
  if dtype ~= nil and not (tostring(dtype):find "float" or tostring(dtype):find "complex") then
    args.fail("Module.to", "only accepts floating point or complex dtypes, but got desired dtype=%s",
      tostring(dtype))
  end
  return self:_apply(function(t)
    if device ~= nil then t = t:to(device) end
    if dtype ~= nil and is_floating(t) then t = t:to(dtype) end
    return t
  end)
end

local casts = { float = "float32", double = "float64", half = "float16", bfloat16 = "bfloat16" }
for method, dtype in pairs(casts) do
  Module[method] = function(self)
    return self:_apply(function(t) return is_floating(t) and t:to(torch[dtype]) or t end)
  end
end

--- Converts every parameter and buffer, integer ones too.
function Module:type(dtype)
  return self:_apply(function(t) return t:to(dtype) end)
end

function Module:cpu() return self:to("cpu") end
function Module:cuda(index) return self:to(index and "cuda:" .. index or "cuda") end

--- Returns self: tensors may be shared between threads as they are.
function Module.share_memory(self) return self end

--- A copy with its own tensors; what is shared inside the module stays shared in the copy.
function Module:deepcopy() return require("lampad.copy").deepcopy(self) end

-- --- state --------------------------------------------------------------------------------------------
local function run_hooks(self, kind, ...)
  local hooks = self._hooks and self._hooks[kind]
  if hooks then
    for hook in OrderedDict.values(hooks) do hook(self, ...) end
  end
end

--- Writes this module's own tensors into the map; layers with other state override it.
function Module:_save_to_state_dict(destination, prefix, keep_vars)
  local function save(names, values)
    for i = 1, #names do destination[prefix .. names[i]] = keep_vars and values[i] or values[i]:detach() end
  end
  save(own_parameters(self))
  save(own_buffers(self, true))
end

local function save_tree(self, destination, prefix, keep_vars)
  run_hooks(self, "state_dict_pre", prefix, keep_vars)
  local metadata = { version = self._version or 1 }
  destination._metadata[prefix:sub(1, -2)] = metadata
  self:_save_to_state_dict(destination, prefix, keep_vars)
  local names, children = own_children(self)
  for i = 1, #children do save_tree(children[i], destination, prefix .. names[i] .. ".", keep_vars) end
  run_hooks(self, "state_dict_post", destination, prefix, metadata)
end

local state_spec = args "state_dict(* , any destination=nil, str prefix='', bool keep_vars=false)"

--- An ordered map from names to tensors that share the module's memory.
function Module:state_dict(...)
  local destination, prefix, keep_vars = state_spec(...)
  destination = destination or OrderedDict()
  if destination._metadata == nil then destination._metadata = OrderedDict() end
  save_tree(self, destination, prefix, keep_vars)
  return destination
end

--- Copies this module's own tensors from the map. `report` has the lists missing, unexpected and errors.
function Module:_load_from_state_dict(state, prefix, metadata, report)
  local local_state, assign = {}, metadata.assign
  local function load(names, values)
    for i = 1, #names do
      local name, value = names[i], values[i]
      local_state[name] = true
      local key = prefix .. name
      local input = OrderedDict.get(state, key)
      if input == nil then
        report.missing[#report.missing + 1] = key
      elseif is_lazy(input) and is_lazy(value) then
        value:to(input.dtype) -- neither has a shape: nothing to copy
      elseif not torch.is_tensor(input) and not is_lazy(input) then
        report.errors[#report.errors + 1] = ('While copying the parameter named "%s", expected a tensor '
          .. "from the checkpoint but received %s"):format(key, text.describe(input))
      else
        if value.ndim == 0 and input.ndim == 1 and input:size(0) == 1 then input = input[0] end
        if value.shape ~= input.shape then
          report.errors[#report.errors + 1] = ("size mismatch for %s: copying a param with shape %s from "
            .. "checkpoint, the shape in current model is %s."):format(key, tostring(input.shape),
            tostring(value.shape))
        elseif assign then
          if Parameter.is(value) and not Parameter.is(input) then
            input = Parameter(input, value.requires_grad)
          end
          self[name] = input
        else
          local ok, message = pcall(torch.no_grad, function() value:copy_(input) end)
          if not ok then
            report.errors[#report.errors + 1] = ('While copying the parameter named "%s": %s')
              :format(key, tostring(message))
          end
        end
      end
    end
  end
  load(own_parameters(self))
  load(own_buffers(self, true))
  for key in OrderedDict.keys(state) do
    if type(key) == "string" and key:sub(1, #prefix) == prefix then
      local first, rest = key:sub(#prefix + 1):match("^([^.]*)(.*)$")
      local known = local_state[first]
      if rest ~= "" then known = is_module(rawget(self, first)) end
      if not known then report.unexpected[#report.unexpected + 1] = key end
    end
  end
end

local function load_tree(self, state, prefix, strict, assign, report)
  local saved = rawget(state, "_metadata")
  local metadata = { assign = assign }
  for key, value in pairs(saved and saved[prefix:sub(1, -2)] or {}) do metadata[key] = value end
  run_hooks(self, "load_state_dict_pre", state, prefix, metadata, strict, report.missing,
    report.unexpected, report.errors)
  self:_load_from_state_dict(state, prefix, metadata, report)
  local names, children = own_children(self)
  for i = 1, #children do
    load_tree(children[i], state, prefix .. names[i] .. ".", strict, assign, report)
  end
  run_hooks(self, "load_state_dict_post",
    { missing_keys = report.missing, unexpected_keys = report.unexpected })
end

local Incompatible = { __name = "IncompatibleKeys" }
function Incompatible.__tostring(self)
  if #self.missing_keys == 0 and #self.unexpected_keys == 0 then return "<All keys matched successfully>" end
  local function list(keys)
    local parts = {}
    for i, key in ipairs(keys) do parts[i] = "'" .. key .. "'" end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  return ("_IncompatibleKeys(missing_keys=%s, unexpected_keys=%s)"):format(list(self.missing_keys),
    list(self.unexpected_keys))
end

local function quoted(keys)
  local parts = {}
  for i, key in ipairs(keys) do parts[i] = '"' .. key .. '"' end
  return table.concat(parts, ", ")
end

local load_spec = args "load_state_dict(table state_dict, bool strict=true, bool assign=false)"

--- Copies a state_dict (an ordered map, or a plain table by name) into the module. With strict, every
--- key must match. Returns {missing_keys, unexpected_keys}.
function Module:load_state_dict(...)
  local state, strict, assign = load_spec(...)
  if not OrderedDict.is(state) then state = OrderedDict(state) end
  local report = { missing = {}, unexpected = {}, errors = {} }
  local work = OrderedDict.copy(state) -- hooks may change it
  load_tree(self, work, "", strict, assign, report)
  local errors = report.errors
  if strict then
    if #report.unexpected > 0 then
      table.insert(errors, 1, ("Unexpected key(s) in state_dict: %s. "):format(quoted(report.unexpected)))
    end
    if #report.missing > 0 then
      table.insert(errors, 1, ("Missing key(s) in state_dict: %s. "):format(quoted(report.missing)))
    end
  end
  if #errors > 0 then
    args.fail(nil, "%s", ("Error(s) in loading state_dict for %s:\n\t%s"):format(self.__name,
      table.concat(errors, "\n\t")))
  end
  return setmetatable({ missing_keys = report.missing, unexpected_keys = report.unexpected }, Incompatible)
end

-- --- text --------------------------------------------------------------------------------------------
--- The text between the parentheses of print(module); subclasses override it.
function Module:extra_repr() return "" end

-- Lines "(name): child" for print; containers override it.
function Module:_child_lines()
  local lines = {}
  local names, children = own_children(self)
  for i = 1, #children do
    lines[i] = "(" .. names[i] .. "): " .. text.indent(tostring(children[i]), 2)
  end
  return lines
end

function meta.__tostring(self)
  local extra = self:extra_repr()
  local lines = {}
  if extra ~= "" then
    for line in (extra .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  end
  local extra_count = #lines
  for _, line in ipairs(self:_child_lines()) do lines[#lines + 1] = line end
  if #lines == 0 then return self.__name .. "()" end
  if #lines == 1 and extra_count == 1 then return self.__name .. "(" .. lines[1] .. ")" end
  return self.__name .. "(\n  " .. table.concat(lines, "\n  ") .. "\n)"
end

-- --- calling ------------------------------------------------------------------------------------------
--- What net(x) computes; subclasses define it.
function Module:forward()
  args.fail(nil, "Module [%s] is missing the required \"forward\" function", self.__name)
end

local call_hooked -- below
local outermost = nil -- the module whose call is the outermost one: Note [Module path in errors]

-- The module whose method is the innermost running one, or nil.
local function innermost_module()
  for level = 3, math.huge do
    local info = debug.getinfo(level, "f")
    if not info or info.func == xpcall then return nil end
    local _, value = debug.getlocal(level, 1)
    if is_module(value) then return value end
  end
end

-- Where `module` is below `outer`: "features.3", "" for itself, nil when it is not.
local function path_below(outer, module)
  for name, candidate in outer:named_modules() do
    if candidate == module then return name end
  end
end

-- The message handler of the outermost call.
local function add_path(err)
  if type(err) ~= "string" or err == "interrupted" then return err end
  local outer = outermost
  local inner = innermost_module() or outer
  if inner == outer then return err .. "\n  in " .. inner.__name end
  local ok, path = pcall(path_below, outer, inner)
  return ("%s\n  in %s (%s) of %s"):format(err, ok and path or "?", inner.__name, outer.__name)
end

local function call_inner(self, ...)
  if self._hooks then return call_hooked(self, ...) end
  return self:forward(...)
end

local function leave_outermost(ok, ...)
  outermost = nil
  if ok then return ... end
  error((...), 0)
end

function meta.__call(self, ...)
  if outermost then
    if self._hooks then return call_hooked(self, ...) end
    return self:forward(...)
  end
  outermost = self
  return leave_outermost(xpcall(call_inner, add_path, self, ...))
end

-- --- hooks --------------------------------------------------------------------------------------------
local next_hook_id = 0

--- What register_*_hook returns; handle:remove() takes the hook out.
local Handle = class.extend(class.Object, "RemovableHandle")
function Handle:init(hooks, id) self.hooks, self.id = hooks, id end
function Handle:remove() self.hooks[self.id] = nil end

local function add_hook(self, kind, hook, options)
  local callable = type(hook) == "function" or (getmetatable(hook) or {}).__call
  if not callable then
    args.fail("register_" .. kind .. "_hook", "the hook must be a function, got %s", text.describe(hook))
  end
  if options ~= nil then
    args.check_names("register_" .. kind .. "_hook", options, { "prepend" })
  end
  if not self._hooks then rawset(self, "_hooks", {}) end
  local hooks = self._hooks[kind]
  next_hook_id = next_hook_id + 1
  if not hooks or (options and options.prepend) then
    local first = OrderedDict()
    first[next_hook_id] = hook
    if hooks then
      local old = OrderedDict.copy(hooks)
      for id in OrderedDict.keys(old) do hooks[id] = nil end
      OrderedDict.update(hooks, first)
      OrderedDict.update(hooks, old)
    else
      hooks = first
    end
    self._hooks[kind] = hooks
  else
    hooks[next_hook_id] = hook
  end
  return Handle(hooks, next_hook_id)
end

--- hook(module, args) before forward; `args` is the list of arguments. What it returns replaces them: a
--- list, or a single value.
function Module:register_forward_pre_hook(hook, options)
  return add_hook(self, "forward_pre", hook, options)
end

--- hook(module, args, output) after forward; several results come as a list. What it returns replaces
--- the output.
function Module:register_forward_hook(hook, options)
  return add_hook(self, "forward", hook, options)
end

--- hook(module, grad_input, grad_output) with lists of gradients, once those of the inputs are known.
--- A list it returns replaces grad_input.
function Module:register_full_backward_hook(hook, options)
  return add_hook(self, "full_backward", hook, options)
end

--- hook(module, grad_output) before the module's backward; a list it returns replaces grad_output.
function Module:register_full_backward_pre_hook(hook, options)
  return add_hook(self, "full_backward_pre", hook, options)
end

--- hook(module, prefix, keep_vars) before state_dict() reads the module.
function Module:register_state_dict_pre_hook(hook) return add_hook(self, "state_dict_pre", hook) end

--- hook(module, state_dict, prefix, metadata) after state_dict() has read the module.
function Module:register_state_dict_post_hook(hook) return add_hook(self, "state_dict_post", hook) end

--- hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors) before loading.
function Module:register_load_state_dict_pre_hook(hook) return add_hook(self, "load_state_dict_pre", hook) end

--- hook(module, incompatible_keys) after loading; it may edit the lists in place.
function Module:register_load_state_dict_post_hook(hook)
  return add_hook(self, "load_state_dict_post", hook)
end

local function is_plain_list(v) return type(v) == "table" and getmetatable(v) == nil end

local function live(self, kind)
  local hooks = self._hooks[kind]
  return hooks and #hooks > 0 and hooks or nil
end

function call_hooked(self, ...)
  local inputs = table.pack(...)
  local pre = live(self, "forward_pre")
  if pre then
    for hook in OrderedDict.values(pre) do
      local replacement = table.pack(hook(self, inputs))
      if is_plain_list(replacement[1]) then
        inputs = replacement[1]
        inputs.n = inputs.n or #inputs
      elseif replacement.n > 0 and replacement[1] ~= nil then
        inputs = replacement
      end
    end
  end
  local backward, backward_pre = live(self, "full_backward"), live(self, "full_backward_pre")
  local watch
  if (backward or backward_pre) and torch.is_grad_enabled() then
    watch = require("lampad.nn.backward_hook")(self, backward, backward_pre)
    inputs = watch:inputs(inputs)
  end
  local outputs = table.pack(self:forward(table.unpack(inputs, 1, inputs.n)))
  local post = live(self, "forward")
  if post then
    for hook in OrderedDict.values(post) do
      local shown = outputs[1]
      if outputs.n > 1 then shown = outputs end
      local replacement = table.pack(hook(self, inputs, shown))
      if outputs.n > 1 and is_plain_list(replacement[1]) then
        outputs = replacement[1]
        outputs.n = outputs.n or #outputs
      elseif replacement.n > 0 and replacement[1] ~= nil then
        outputs = replacement
      end
    end
  end
  if watch then outputs = watch:outputs(outputs) end
  return table.unpack(outputs, 1, outputs.n)
end

return Module
