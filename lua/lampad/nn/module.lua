-- nn.Module: the base of every layer and network.
--
-- What an instance holds. Attributes stand directly in the instance table, so that `self.weight` and
-- `self.fc(x)` are plain table reads. A key that comes new passes __newindex, which notes its name in
-- `_order`; replacing a value needs no notice. Whether an attribute is a parameter, a buffer, a child or
-- plain data is decided by its value when somebody asks (named_parameters, state_dict, ...):
--   a Parameter -> parameter; a Module -> child; a name declared by register_buffer -> buffer.
-- So parameters and children come in the order of first assignment, `net.fc = other` replaces in place,
-- and `net.fc = nil` removes. What PyTorch refuses at once, a plain tensor in the place of a parameter or a number in that
-- of a module, is an error when somebody asks. Fields with a leading underscore set here by rawset are bookkeeping:
--   _order  names in order; _slot  name -> kind of the first value ("parameter", "module" or "value") for names in
--   _order, also of those set to nil
--   _persistence  name -> persistent, for declared buffers, or false; _hooks  lists of hooks by kind, or false
--   _modules, _parameters, _buffers  views of the members (module_members.lua)
--   training  the mode flag, a public field
--
-- module_state.lua adds state_dict() and load_state_dict(), module_call.lua calls and the hooks round them.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local colon = require "lampad.colon"
local text = require "lampad.text"
local Parameter = require "lampad.nn.parameter"
local known_buffers = require("lampad.nn.buffer").known
local hooks = require "lampad.nn.module_hooks"
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

local add_views -- below

function Module.allocate(C)
  return setmetatable(add_views {
    training = true, _order = {}, _slot = {}, _persistence = false, _hooks = false, _modules = false, _parameters = false,
    _buffers = false,
  }, C.__meta)
end

local function take_slot(self, key, kind)
  local slot = rawget(self, "_slot")
  if not slot[key] then
    slot[key] = kind
    local order = rawget(self, "_order")
    order[#order + 1] = key
  elseif kind ~= "value" then
    slot[key] = kind
  end
end

local function kind_of(value)
  if type(value) == "userdata" then return known_parameters[value] and "parameter" or "value" end
  return is_module(value) and "module" or "value"
end

local function declare_buffer(self, name, persistent)
  if not rawget(self, "_persistence") then rawset(self, "_persistence", {}) end
  self._persistence[name] = persistent
end

function meta.__newindex(self, key, value)
  if type(key) == "string" and value ~= nil then
    if known_buffers[value] ~= nil then declare_buffer(self, key, known_buffers[value]) end
    take_slot(self, key, kind_of(value))
    if hooks.registration then value = hooks.registered(self, key, value) end
  end
  rawset(self, key, value)
end

--- Stores plain data (sizes, options) by name, without the notice __newindex takes.
function Module:_set(fields)
  for key, value in pairs(fields) do rawset(self, key, value) end
  return self
end

--- Removes an attribute altogether (Python's del): its place in the order goes too.
function Module:del(name)
  if rawget(self, name) == nil and not rawget(self, "_slot")[name] then
    args.fail(nil, "'%s' object has no attribute '%s'", self.__name, tostring(name))
  end
  rawset(self, name, nil)
  if self._persistence then self._persistence[name] = nil end
  if self._slot[name] then
    self._slot[name] = nil
    local order = self._order
    for i = 1, #order do
      if order[i] == name then
        table.remove(order, i)
        break
      end
    end
  end
end

-- --- members -----------------------------------------------------------------------------------
-- Fields of the class that Python's has not: names a network may give its members all the same.
local lua_only = {}
for name in ("init super extend isinstance allocate make_index is_module own_children del deepcopy iter len "
  .. "enumerate extend_with contains class"):gmatch "%S+" do
  lua_only[name] = true
end

-- Raises unless `name` can be given to a member of the kind for which fits(existing value) holds.
local function check_name(self, what, kind, name, fits)
  if type(name) ~= "string" then
    args.fail(what, "%s name should be a string, got %s", kind, text.describe(name))
  end
  if name:find(".", 1, true) then
    args.fail(what, "%s name can't contain \".\", got '%s'", kind, name)
  end
  if name == "" then args.fail(what, "%s name can't be empty string \"\"", kind) end
  local existing = self[name]
  if existing ~= nil and not lua_only[name] and not fits(existing) then
    args.fail(what, "attribute '%s' already exists", name)
  end
end

-- self[name] = value, also where the name is there already; hooks on registration see it.
local function place(self, name, value, kind)
  take_slot(self, name, kind)
  if hooks.registration then value = hooks.registered(self, name, value) end
  rawset(self, name, value)
end

add_views = require "lampad.nn.module_members"(Module, { place = place, declare_buffer = declare_buffer })

local parameter_spec = args "register_parameter(any name, any param=nil)"

--- Declares a parameter; nil keeps the name free for one (a layer without bias).
function Module:register_parameter(...)
  local name, param = parameter_spec(...)
  check_name(self, "register_parameter", "parameter", name, Parameter.is)
  if param ~= nil and not Parameter.is(param) then
    args.fail("register_parameter", "cannot assign %s to parameter '%s' (nn.Parameter or nil expected)",
      text.describe(param), name)
  end
  if param ~= nil and param.grad_fn ~= nil then
    args.fail("register_parameter", "cannot assign a tensor that is no leaf to parameter '%s'; compute a value that "
      .. "depends on other tensors in forward", name)
  end
  place(self, name, param, "parameter")
end

local buffer_spec = args "register_buffer(any name, any tensor=nil, bool persistent=true)"

--- Declares a buffer: a tensor (or nil) of the module's state that is no parameter, such as running
--- statistics. A buffer that is not persistent stays out of state_dict().
function Module:register_buffer(...)
  local name, tensor, persistent = buffer_spec(...)
  local buffers = rawget(self, "_persistence")
  check_name(self, "register_buffer", "buffer", name, function() return buffers and buffers[name] ~= nil end)
  if tensor ~= nil and not torch.is_tensor(tensor) and not is_lazy(tensor) then
    args.fail("register_buffer", "cannot assign %s to buffer '%s' (tensor or nil expected)",
      text.describe(tensor), name)
  end
  declare_buffer(self, name, persistent)
  place(self, name, tensor, "value")
end

local module_spec = args "add_module(any name, any module=nil)"

--- Adds a child module under a name; the same as self[name] = module.
function Module:add_module(...)
  local name, module = module_spec(...)
  if module ~= nil and not is_module(module) then
    args.fail("add_module", "%s is not a Module", text.describe(module))
  end
  check_name(self, "add_module", "module", name, is_module)
  place(self, name, module, "module")
end
Module.register_module = Module.add_module

-- An attribute has a value that its place cannot hold.
local function refuse(name, value, kind, expected)
  args.fail(nil, "cannot assign %s as %s '%s' (%s or nil expected; torch.del(module, '%s') frees the name)",
    text.describe(value), kind, name, expected, name)
end

-- The direct members of a kind as parallel lists of names and values.
local function own_parameters(self)
  local names, values, order, slot = {}, {}, rawget(self, "_order"), rawget(self, "_slot")
  for i = 1, #order do
    local name = order[i]
    local value = rawget(self, name)
    if type(value) == "userdata" and known_parameters[value] then
      names[#names + 1], values[#values + 1] = name, value
    elseif value ~= nil and slot[name] == "parameter" and not is_module(value) then
      refuse(name, value, "parameter", "nn.Parameter")
    end
  end
  return names, values
end

local function own_buffers(self, only_persistent)
  local names, values, buffers = {}, {}, rawget(self, "_persistence")
  if not buffers then return names, values end
  local order = rawget(self, "_order")
  for i = 1, #order do
    local name = order[i]
    local persistent = buffers[name]
    if persistent ~= nil then
      local value = rawget(self, name)
      if type(value) == "userdata" and (torch.is_tensor(value) or is_lazy(value)) then
        if not known_parameters[value] and (persistent or not only_persistent) then
          names[#names + 1], values[#values + 1] = name, value
        end
      elseif value ~= nil and not is_module(value) then
        refuse(name, value, "buffer", "tensor")
      end
    end
  end
  return names, values
end

local function own_children(self)
  local names, values, order, slot = {}, {}, rawget(self, "_order"), rawget(self, "_slot")
  for i = 1, #order do
    local name = order[i]
    local value = rawget(self, name)
    if type(value) == "table" and is_module(value) then
      names[#names + 1], values[#values + 1] = name, value
    elseif value ~= nil and slot[name] == "module" and not known_parameters[value] then
      refuse(name, value, "child module", "nn.Module")
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

-- Appends this module and all below it; `seen` holds those to leave out.
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

local named = "(str prefix='', bool recurse=true, bool remove_duplicate=true)"
local named_parameters_spec, named_buffers_spec = args("named_parameters" .. named), args("named_buffers" .. named)
local parameters_spec, buffers_spec = args "parameters(bool recurse=true)", args "buffers(bool recurse=true)"
local named_modules_spec = args "named_modules(any memo=nil, str prefix='', bool remove_duplicate=true)"
local modules_spec = args "modules(bool remove_duplicate=true)"

--- Iterator over name, parameter: own ones first, then those of the children in order.
function Module:named_parameters(...)
  return over(collect_members(self, own_parameters, named_parameters_spec(...)))
end

--- Iterator over the parameters, each once.
function Module:parameters(...)
  local _, values = collect_members(self, own_parameters, "", parameters_spec(...), true)
  return over_values(values)
end

--- Iterator over name, buffer.
function Module:named_buffers(...)
  return over(collect_members(self, own_buffers, named_buffers_spec(...)))
end

--- Iterator over the buffers, each once.
function Module:buffers(...)
  local _, values = collect_members(self, own_buffers, "", buffers_spec(...), true)
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

--- Iterator over name, module for this module (name "") and all below it. `memo` (a table with modules as keys)
--- leaves out those in it and gets those that came.
function Module:named_modules(...)
  local memo, prefix, remove_duplicate = named_modules_spec(...)
  if memo ~= nil and (type(memo) ~= "table" or is_module(memo)) then
    args.fail("named_modules", "argument 'memo' must be a table, got %s", text.describe(memo))
  end
  local names, values = {}, {}
  collect_modules(self, prefix, memo or {}, names, values, remove_duplicate)
  return over(names, values)
end

--- Iterator over this module and all below it.
function Module:modules(...)
  local names, values = {}, {}
  collect_modules(self, "", {}, names, values, modules_spec(...))
  return over_values(values)
end

local function check_path(what, path)
  if type(path) ~= "string" then
    args.fail(what, "argument 'target' must be a string, got %s", text.describe(path))
  end
end

-- The child of that name, or an error in the function `what`.
local function child_of(module, name, what)
  local child = module[name]
  if child == nil then
    local near, edits = text.nearest(name, (own_children(module)))
    args.fail(what, "%s has no attribute `%s`%s", module.__name, name,
      near and edits <= 3 and edits < #name and "; did you mean '" .. near .. "'?" or "")
  end
  if not is_module(child) then
    args.fail(what, "`%s` of %s is not an nn.Module", name, module.__name)
  end
  return child
end

local function walk(self, path, what)
  local module = self
  if path == "" then return module end
  for name in (path .. "."):gmatch "([^.]*)%." do module = child_of(module, name, what) end
  return module
end

--- The module at a path such as "features.3"; "" is the module itself.
function Module:get_submodule(path)
  check_path("get_submodule", path)
  return walk(self, path, "get_submodule")
end

local submodule_spec = args "set_submodule(str target, any module, bool strict=false)"

--- Puts a module at a path such as "features.3", in place of the one there; a new name is made unless strict.
function Module:set_submodule(...)
  local path, module, strict = submodule_spec(...)
  if path == "" then args.fail("set_submodule", "cannot set the submodule without a target name") end
  if not is_module(module) then
    args.fail("set_submodule", "argument 'module' must be an nn.Module, got %s", text.describe(module))
  end
  local parent_path, name = path:match "^(.*)%.([^.]*)$"
  local parent = walk(self, parent_path or "", "set_submodule")
  name = name or path
  if strict or rawget(parent, name) ~= nil then child_of(parent, name, "set_submodule") end
  parent:add_module(name, module)
end

local function get_member(self, path, what, kind, fits)
  check_path(what, path)
  local parent, name = path:match("^(.*)%.([^.]+)$")
  local module = walk(self, parent or "", what)
  name = name or path
  local value = module[name]
  if value == nil then args.fail(what, "%s has no attribute `%s`", module.__name, name) end
  if not fits(module, name, value) then
    args.fail(what, "`%s` of %s is not %s", name, module.__name, kind)
  end
  return value
end

--- The parameter at a path such as "fc.weight".
function Module:get_parameter(path)
  return get_member(self, path, "get_parameter", "an nn.Parameter",
    function(_, _, value) return Parameter.is(value) end)
end

--- The buffer at a path such as "bn.running_mean".
function Module:get_buffer(path)
  return get_member(self, path, "get_buffer", "a buffer", function(module, name)
    return module._persistence and module._persistence[name] ~= nil
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
  if type(fn) ~= "function" and not (getmetatable(fn) or {}).__call then
    args.fail("apply", "argument 'fn' must be a function, got %s", text.describe(fn))
  end
  for child in self:children() do child:apply(fn) end
  fn(self)
  return self
end

-- Puts every parameter's data and every buffer through `convert`; a Parameter stays the same object,
-- so that optimizers made before keep working.
local function convert_tensors(self, convert, recurse)
  local seen = {}
  local function convert_one(module)
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
  torch.no_grad(function()
    if recurse == false then return convert_one(self) end
    for module in self:modules() do convert_one(module) end
  end)
  return self
end
Module._apply = convert_tensors

-- Also of parameters that have no shape yet.
local function is_floating(t) return t.dtype.is_floating_point or t.dtype.is_complex end

--- Moves to a dtype and/or device: to(torch.float64), to("cpu"), to(tensor), to{dtype = ..., device = ...,
--- memory_format = ...}. A dtype applies to floating point and complex tensors only, a memory format to those of 4
--- and 5 dims.
function Module:to(...)
  local given = { ... }
  local dtype, device, memory_format
  for i = 1, select("#", ...) do
    local value = given[i]
    if args.is_named(value) then
      args.check_names("Module.to", value, { "device", "dtype", "non_blocking", "memory_format", "tensor" })
      dtype, device = value.dtype or dtype, value.device or device
      memory_format = value.memory_format
      if value.tensor then dtype, device = value.tensor.dtype, value.tensor.device end
    elseif torch.is_tensor(value) then
      dtype, device = value.dtype, value.device
    elseif type(value) == "string" or tostring(value):find "^device" then
      device = value
    elseif torch.isinstance(value, torch.dtype) then
      dtype = value
    elseif value ~= nil and type(value) ~= "boolean" then
      args.fail("Module.to", "expected a dtype, a device or a tensor, got %s", text.describe(value))
    end
  end
  if type(device) == "string" and not pcall(torch.device, device) then
    args.fail("Module.to", 'expected a device ("cpu", "cuda", "cuda:0"), a dtype such as torch.float64 or a tensor, got %s',
      text.describe(device))
  end
  if dtype ~= nil and not torch.isinstance(dtype, torch.dtype) then
    args.fail("Module.to", "argument 'dtype' must be a dtype such as torch.float64, got %s", text.describe(dtype))
  end
  if dtype ~= nil and not (dtype.is_floating_point or dtype.is_complex) then
    args.fail("Module.to", "only accepts floating point or complex dtypes, but got desired dtype=%s",
      tostring(dtype))
  end
  return self:_apply(function(t)
    if device ~= nil then t = t:to(device) end
    if dtype ~= nil and is_floating(t) then t = t:to(dtype) end
    if memory_format ~= nil and (t.ndim == 4 or t.ndim == 5) then t = t:to { memory_format = memory_format } end
    return t
  end)
end

local casts = { float = "float32", double = "float64", half = "float16", bfloat16 = "bfloat16" }
for method, dtype in pairs(casts) do
  Module[method] = function(self)
    return self:_apply(function(t) return t.dtype.is_floating_point and t:to(torch[dtype]) or t end)
  end
end

--- Converts every parameter and buffer, integer ones too. dst_type: a dtype or a name such as "torch.DoubleTensor".
function Module:type(dst_type)
  return self:_apply(function(t) return t:type(dst_type) end)
end

function Module:cpu() return self:to("cpu") end
function Module:cuda(index) return self:to(type(index) == "number" and "cuda:" .. index or index or "cuda") end

local empty_spec = args "to_empty(*, device device=nil, bool recurse=true)"

--- to_empty{device = ..., recurse = true}: parameters and buffers on the device, without their values.
function Module:to_empty(...)
  local device, recurse = empty_spec(...)
  return self:_apply(function(t) return torch.empty_like(t, { device = device }) end, recurse)
end

--- Puts all tensors into memory that threads and workers share; returns self.
function Module:share_memory()
  return self:_apply(function(t) return t:share_memory_() end)
end

--- A copy with its own tensors; what is shared inside the module stays shared in the copy.
function Module:deepcopy() return require("lampad.copy").deepcopy(self) end

--- Returns self: there is no compiler, every op runs as it is called. Takes torch.compile's options.
function Module:compile(options)
  return torch.compile(self, options)
end

-- --- text --------------------------------------------------------------------------------------------
--- The text between the parentheses of print(module); subclasses override it.
function Module:extra_repr() return "" end

--- The name print shows.
function Module:_get_name() return self.__name end

-- Lines "(name): child" for print; containers override it. A child set to nil shows as None.
function Module:_child_lines()
  local lines = {}
  for _, name in ipairs(rawget(self, "_order")) do
    local value = rawget(self, name)
    if value == nil and self._slot[name] == "module" then
      lines[#lines + 1] = "(" .. name .. "): None"
    elseif is_module(value) then
      lines[#lines + 1] = "(" .. name .. "): " .. text.indent(tostring(value), 2)
    end
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
  local name = self:_get_name()
  if #lines == 0 then return name .. "()" end
  if #lines == 1 and extra_count == 1 then return name .. "(" .. lines[1] .. ")" end
  return name .. "(\n  " .. table.concat(lines, "\n  ") .. "\n)"
end

require "lampad.nn.module_state"(Module, own_parameters, own_buffers)
require "lampad.nn.module_call"(Module)

--- Makes the methods that a class of this library has itself say so when the colon before them is missing.
function Module._guard_methods(C)
  colon.guard(C, "a module", is_module, { init = true, forward = true, allocate = true, make_index = true,
    is_module = true, own_children = true, extend = true })
end
Module._guard_methods(Module)

return Module
