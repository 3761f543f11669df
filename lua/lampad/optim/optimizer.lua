-- optim.Optimizer: parameter groups, state and its saving, hooks; what SGD, Adam, ... have in common.
--
-- A subclass of the library gives `_update(group, params, grads)`, which changes the parameters of one group in place
-- (params are those with a gradient), and may give `_check_group(group)`. A user's own optimizer defines `step(closure)`
-- as in PyTorch, with self.param_groups and self.state.
--
-- Note [Hooked steps]: `init` replaces the class's step by one that runs the step hooks and notes for learning rate
-- schedulers that a step was made, whoever wrote it. A step that calls its parent's step runs the hooks once.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local colon = require "lampad.colon"
local text = require "lampad.text"
local Dict = require "lampad.dict"
local OrderedDict = require "lampad.ordered_dict"
local python_kind = require "lampad.python_kind"
local hooks = require "lampad.optim.hooks"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local Optimizer = class.extend(class.Object, "Optimizer")

-- Names of the options of a class that may be nil, PyTorch's None: print shows them.
Optimizer.none_options = {}

-- --- hooks ------------------------------------------------------------------------------------------
local global_pre, global_post = {}, {}

--- hook(optimizer, args, kwargs) before every optimizer's step; a list it returns replaces the arguments.
function Optimizer.register_optimizer_step_pre_hook(hook)
  return hooks.add("register_optimizer_step_pre_hook", global_pre, hook)
end

--- hook(optimizer, args, kwargs) after every optimizer's step.
function Optimizer.register_optimizer_step_post_hook(hook)
  return hooks.add("register_optimizer_step_post_hook", global_post, hook)
end

local kinds = { step_pre = false, step_post = false, state_dict_pre = true, state_dict_post = true,
  load_state_dict_pre = true, load_state_dict_post = true }
for kind, may_prepend in pairs(kinds) do
  local name = "register_" .. kind .. "_hook"
  Optimizer[name] = function(self, hook, options)
    return hooks.add(self.__name .. "." .. name, self._hooks[kind], hook, may_prepend and options or nil)
  end
end

local function is_optimizer(value) return class.isinstance(value, Optimizer) end

-- Note [Hooked steps]
local wrapped = setmetatable({}, { __mode = "k" })

local function run_step(self, step, ...)
  local given = table.pack(...)
  local function replace(result)
    if type(result) ~= "table" then
      args.fail(self.__name .. ".step", "a step pre-hook must return nil or a list of arguments, got %s",
        text.describe(result))
    end
    given = table.move(result, 1, result.n or #result, 1, { n = result.n or #result })
  end
  hooks.run(global_pre, replace, self, given, {})
  hooks.run(self._hooks.step_pre, replace, self, given, {})
  local result = step(self, table.unpack(given, 1, given.n))
  hooks.run(self._hooks.step_post, nil, self, given, {})
  hooks.run(global_post, nil, self, given, {})
  return result
end

local function hooked(step)
  local function with_hooks(self, ...)
    if not is_optimizer(self) then colon.fail("step", "an optimizer", self) end
    if self._in_step then return step(self, ...) end
    if self._opt_called == false then self._opt_called = true end
    self._in_step = true
    local ok, result = pcall(run_step, self, step, ...)
    self._in_step = nil
    if not ok then error(result, 0) end
    return result
  end
  wrapped[with_hooks] = true
  return with_hooks
end

local function wrap_step(self)
  local C = class.class_of(self)
  if not wrapped[C.step] then rawset(C, "step", hooked(C.step)) end
end

-- --- making -----------------------------------------------------------------------------------------
local function is_plain(v) return type(v) == "table" and (getmetatable(v) == nil or Dict.is(v)) end

-- Parameters of lazy modules may come before they have a shape; they take no step until then, for want of a gradient.
local function is_tensor(value) return torch.is_tensor(value) or is_lazy(value) end

local function copy_table(value)
  if not is_plain(value) then return value end
  local result = {}
  for key, member in pairs(value) do result[key] = copy_table(member) end
  return result
end

-- A list of the members of an iterator, a list or an object with iter(); what comes as a pair (name, tensor), of an
-- iterator or as {name, tensor}, is left as such a list. nil for other values.
local function members(given)
  local iterate = require "lampad.iterate"
  local result = {}
  if is_plain(given) then
    return table.move(given, 1, #given, 1, result)
  end
  local meta = getmetatable(given)
  if type(given) == "userdata" or type(meta) == "table" and meta.is_module and not given.iter then return nil end
  local next_member = iterate.iterator(given)
  if not next_member then return nil end
  for first, second in next_member do
    if type(first) == "string" and is_tensor(second) then first = { first, second } end
    if second ~= nil and type(first) == "number" then first = second end
    result[#result + 1] = first
  end
  return result
end

-- The state: an entry for each parameter that has one, made when it is asked for. Entries are dicts, so that `#` counts
-- their fields as Python's len does.
local state_meta = {}
function state_meta.__index(state, p)
  local entry = Dict.new()
  state[p] = entry
  return entry
end
function state_meta.__len(state)
  local count = 0
  for _ in next, state do count = count + 1 end
  return count
end

--- params: an iterator or list of tensors, of pairs name, tensor (net:named_parameters()), or of groups
--- {params = ..., lr = ...}. defaults: the options of groups that do not set their own.
function Optimizer:init(params, defaults)
  wrap_step(self)
  self.defaults = defaults or {}
  self._hooks = {}
  for kind in pairs(kinds) do self._hooks[kind] = {} end
  self.state = setmetatable({}, state_meta)
  self.param_groups = {}
  local list = not is_tensor(params) and not OrderedDict.is(params) and members(params)
  if not list then
    args.fail(self.__name, "params must be an iterator or a list of tensors or groups, got %s",
      OrderedDict.is(params) and "an ordered map; a module's own tensors are net:parameters()" or text.describe(params))
  end
  if #list == 0 then
    local key = is_plain(params) and next(params)
    args.fail(self.__name, key and "params holds the key '" .. tostring(key)
      .. "' but no list entries; wrap a group in a list: {{params = ...}}"
      or "optimizer got an empty parameter list; an iterator such as net:parameters() serves only once")
  end
  if is_plain(list[1]) and type(list[1][1]) ~= "string" then
    for _, group in ipairs(list) do self:add_param_group(group) end
  else
    self:add_param_group { params = list }
  end
end

-- For the library's classes: checks the matched arguments, then makes the optimizer with them as defaults.
function Optimizer:_setup(o)
  local defaults = {}
  for name, value in pairs(o) do
    if name ~= "params" then defaults[name] = value end
  end
  self:_check_group(defaults)
  if o.fused then
    if o.differentiable then args.fail(self.__name, "`fused` does not support `differentiable`") end
    if o.foreach then args.fail(self.__name, "`fused` and `foreach` cannot be `True` together.") end
  end
  Optimizer.init(self, o.params, defaults)
end

function Optimizer:_check_group() end

-- A misspelt option is an error; a name unlike all options is the user's own, as in PyTorch.
local function check_option_names(self, what, given)
  local known = { "params", "param_names", "initial_lr", table.unpack(self.none_options) }
  for name in pairs(self.defaults) do known[#known + 1] = name end
  local is_known = {}
  for _, name in ipairs(known) do is_known[name] = true end
  for key in pairs(given) do
    if type(key) ~= "string" then
      args.fail(what, "a group holds named values, got the key %s", text.describe(key))
    end
    if not is_known[key] then
      local near, distance = text.nearest(key, known)
      if near and distance <= math.max(1, #key // 4) then
        args.fail(what, "unknown option '%s'; did you mean '%s'?", key, near)
      end
    end
  end
end

-- The tensors of a group and their names, if they have any.
local function split_names(what, list)
  local params, names = {}, {}
  for i, member in ipairs(list) do
    if is_plain(member) and type(member[1]) == "string" then
      names[#names + 1], params[i] = member[1], member[2]
    else
      params[i] = member
    end
  end
  if #names == 0 then return params end
  if #names ~= #params then
    args.fail(what, "all optimizer params should be with/without names. Some param names are missing")
  end
  return params, names
end

--- Adds a group: {params = tensor, list or iterator, lr = ..., ...}. What it does not set comes from the defaults.
function Optimizer:add_param_group(given)
  local what = self.__name .. ".add_param_group"
  if not is_plain(given) then
    args.fail(what, "param_group must be a table, got %s", text.describe(given))
  end
  check_option_names(self, what, given)
  local group = {}
  for name, value in pairs(self.defaults) do group[name] = copy_table(value) end
  for name, value in pairs(given) do group[name] = value end
  local list = is_tensor(group.params) and { group.params } or members(group.params)
  if not list then args.fail(what, "params must be tensors, got %s", text.describe(group.params)) end
  local names
  group.params, names = split_names(what, list)
  group.param_names = names or group.param_names
  local used = {}
  for _, other in ipairs(self.param_groups) do
    for _, p in ipairs(other.params) do used[p] = true end
  end
  local own, duplicate = {}, false
  for i, p in ipairs(group.params) do
    if not is_tensor(p) then
      args.fail(what, "optimizer can only optimize Tensors, but one of the params (number %d) is %s%s", i - 1,
        text.describe(p), type(getmetatable(p)) == "table" and getmetatable(p).is_module and "; pass net:parameters()" or "")
    end
    if not (p.is_leaf or p.retains_grad or self.defaults.differentiable) then
      args.fail(what, "can't optimize a non-leaf Tensor (parameter %d); optimize the tensors it was computed from, "
        .. "or x:detach()", i - 1)
    end
    duplicate = duplicate or own[p]
    own[p] = true
  end
  for _, other in ipairs(self.param_groups) do
    if (other.param_names == nil) ~= (group.param_names == nil) then
      args.fail(what, "all optimizer param groups should be with/without names. cannot add param group %s names to "
        .. "the optimizer", group.param_names and "with" or "without")
    end
  end
  for i, p in ipairs(group.params) do
    if used[p] then
      args.fail(what, "some parameters appear in more than one parameter group (parameter %d)", i - 1)
    end
  end
  self:_check_group(group)
  if duplicate then
    require("lampad.warnings").warn("optimizer contains a parameter group with duplicate parameters; in future, this "
      .. "will cause an error")
    self._duplicates = true
  end
  self.param_groups[#self.param_groups + 1] = group
end

-- --- steps ------------------------------------------------------------------------------------------
--- Drops the gradients (or fills them with zeros: set_to_none = false).
function Optimizer:zero_grad(set_to_none)
  if type(set_to_none) == "table" then
    args.check_names(self.__name .. ".zero_grad", set_to_none, { "set_to_none" })
    set_to_none = set_to_none.set_to_none
  end
  for _, group in ipairs(self.param_groups) do
    local params = group.params
    for i = 1, #params do
      local p = params[i]
      if set_to_none ~= false then
        p.grad = nil
      elseif p.grad ~= nil then
        p.grad:detach_():zero_()
      end
    end
  end
end

local update_group

-- A parameter listed twice takes two steps, one after the other: kernels want each tensor once.
local function update_duplicates(self, group)
  local parts = {}
  local times = {}
  for _, p in ipairs(group.params) do
    local k = (times[p] or 0) + 1
    times[p] = k
    parts[k] = parts[k] or {}
    table.insert(parts[k], p)
  end
  for _, part in ipairs(parts) do update_group(self, group, part) end
end

function update_group(self, group, all)
  local params, grads, n = {}, {}, 0
  for i = 1, #all do
    local grad = all[i].grad
    if grad ~= nil then
      n = n + 1
      params[n], grads[n] = all[i], grad
    end
  end
  if n == 0 then return end
  if group.capturable then
    args.fail(self.__name .. ".step", "If capturable=True, params and state_steps must be on supported devices: "
      .. "accelerators, which Lampad has none of; leave capturable false")
  end
  if group.fused then
    for i = 1, n do
      if params[i].dtype.is_complex then
        args.fail(self.__name .. ".step", "`fused=True` requires all the params to be floating point Tensors, but "
          .. "parameter %d is %s", i - 1, text.describe(params[i]))
      end
    end
  end
  if group.differentiable then
    require("lampad.optim.differentiable")[self._rule or self.__name](self, group, params, grads)
  else
    self:_update(group, params, grads)
  end
end

--- One step. A closure, if given, computes the loss again (with gradients) and its result is returned.
function Optimizer:step(closure)
  local loss
  if closure ~= nil then loss = torch.enable_grad(closure) end
  local _ <close> = torch.set_grad_enabled(self.defaults.differentiable == true)
  for _, group in ipairs(self.param_groups) do
    if self._duplicates then update_duplicates(self, group) else update_group(self, group, group.params) end
  end
  return loss
end

function Optimizer:_update()
  args.fail(self.__name, "step is not implemented: define step(closure) in the class")
end

-- The dtype of steps and other numbers in the state.
local function scalar_dtype()
  return torch.get_default_dtype() == torch.float64 and torch.float64 or torch.float32
end

--- A 0-d tensor for the state: a count of steps and the like.
function Optimizer._scalar(value) return torch.tensor(value + 0.0, { dtype = scalar_dtype() }) end

--- A number from an option that may be a tensor of one element (lr).
function Optimizer._number(value)
  if type(value) == "number" then return value end
  return value:item()
end

-- The state of every parameter as lists, in the order of `names`; start(state, p, grad) fills one that is empty.
function Optimizer:_collect(params, grads, start, names)
  local lists, all = {}, self.state
  for k = 1, #names do lists[k] = {} end
  for i = 1, #params do
    local p = params[i]
    local state = all[p]
    if next(state) == nil then start(state, p, grads[i]) end
    for k = 1, #names do
      local value = state[names[k]]
      if value == nil then
        args.fail(self.__name .. ".step", "the state of parameter %d holds no '%s': options that need it were set after "
          .. "its first step", i - 1, names[k])
      end
      lists[k][i] = value
    end
  end
  return table.unpack(lists)
end

-- --- checks of options ----------------------------------------------------------------------------
-- Raises "Invalid <what>: <value>" unless the option, a number or a tensor of one, is at least `low`.
function Optimizer:_at_least(group, name, what, low)
  local value = group[name]
  if torch.is_tensor(value) then
    if value:numel() ~= 1 then args.fail(self.__name, "Tensor %s must be 1-element", name) end
    value = value:item()
  end
  if type(value) ~= "number" then
    args.fail(self.__name, "%s must be a number, got %s", name, text.describe(group[name]))
  end
  if not (value >= (low or 0)) then
    args.fail(self.__name, "%s: %s", what:find " " and what or "Invalid " .. what, text.repr(value))
  end
end

-- The usual checks: lr, eps, weight_decay and betas where the group has them.
function Optimizer:_check_common(group)
  self:_at_least(group, "lr", "Invalid learning rate")
  if group.eps ~= nil then self:_at_least(group, "eps", "Invalid epsilon value") end
  if group.betas ~= nil then
    if not is_plain(group.betas) or #group.betas ~= 2 then
      args.fail(self.__name, "betas must be a list of two numbers, got %s", text.repr(group.betas))
    end
    for i = 1, 2 do
      local beta = group.betas[i]
      if torch.is_tensor(beta) then
        if beta:numel() ~= 1 then args.fail(self.__name, "Tensor betas[%d] must be 1-element", i - 1) end
        beta = beta:item()
      end
      if type(beta) ~= "number" or not (beta >= 0 and beta < 1) then
        args.fail(self.__name, "Invalid beta parameter at index %d: %s", i - 1, text.repr(beta))
      end
    end
  end
  if group.weight_decay ~= nil then self:_at_least(group, "weight_decay", "Invalid weight_decay value") end
end

-- --- state_dict ---------------------------------------------------------------------------------------
--- PyTorch's structure: {state = state by parameter number from 0, param_groups = the groups with their parameters'
--- numbers}. The tensors are the optimizer's own.
function Optimizer:state_dict()
  hooks.run(self._hooks.state_dict_pre, nil, self)
  local result = { state = Dict.new(), param_groups = {} }
  local numbers, count = {}, 0
  for i, group in ipairs(self.param_groups) do
    local names, is_there, params = {}, { params = true }, {}
    for name in pairs(group) do
      if not is_there[name] then names[#names + 1], is_there[name] = name, true end
    end
    for _, name in ipairs(self.none_options) do -- PyTorch misses those that are None
      if not is_there[name] then names[#names + 1] = name end
    end
    table.sort(names)
    names[#names + 1] = "params"
    for j, p in ipairs(group.params) do
      params[j], numbers[p] = count, count
      count = count + 1
    end
    local packed = Dict.new()
    Dict.fill(packed, names, function(k)
      if names[k] == "params" then return params end
      local value = copy_table(group[names[k]])
      -- Betas and the like are tuples in PyTorch.
      local is_tuple = type(value) == "table" and getmetatable(value) == nil and names[k] ~= "param_names"
      return is_tuple and python_kind.note(value, "tuple") or value
    end)
    result.param_groups[i] = packed
  end
  for key, value in pairs(self.state) do
    if not is_tensor(key) then
      result.state[key] = value
    elseif numbers[key] then
      result.state[numbers[key]] = value
    end
  end
  hooks.run(self._hooks.state_dict_post, function(replaced) result = replaced end, self, result)
  return result
end

-- A saved value for a parameter's state: tensors are copied, floating ones in the parameter's dtype, but for step.
local function restore(p, name, value)
  if torch.is_tensor(value) then
    local copy = value:detach():clone()
    if name ~= "step" and p.dtype.is_floating_point then copy = copy:to(p.dtype) end
    return copy:to(p.device)
  end
  if name == "step" and type(value) == "number" then return Optimizer._scalar(value) end
  if not is_plain(value) then return value end
  local result = name == nil and Dict.new() or {}
  for key, member in pairs(value) do result[key] = restore(p, key, member) end
  return result
end

-- What options are that older state_dicts lack; others stay as they were.
local absent = { maximize = false, differentiable = false, capturable = false, amsgrad = false, nesterov = false,
  decoupled_weight_decay = false, centered = false }

--- Takes over a state_dict() of an optimizer with the same groups, Lampad's or PyTorch's; tensors are copied.
function Optimizer:load_state_dict(state_dict)
  local what = self.__name .. ".load_state_dict"
  local function check(value)
    if type(value) ~= "table" or type(value.param_groups) ~= "table" or type(value.state) ~= "table" then
      args.fail(what, "expected a table with 'state' and 'param_groups', got %s", text.describe(value))
    end
  end
  check(state_dict)
  local work = {}
  for key, value in pairs(state_dict) do work[key] = value end
  hooks.run(self._hooks.load_state_dict_pre, function(replaced) work = replaced end, self, work)
  check(work)
  local groups = work.param_groups
  if #groups ~= #self.param_groups then
    args.fail(what, "loaded state dict has a different number of parameter groups (%d, the optimizer has %d)",
      #groups, #self.param_groups)
  end
  local by_number = {}
  for i, group in ipairs(groups) do
    local own = self.param_groups[i].params
    if type(group.params) ~= "table" or #group.params ~= #own then
      args.fail(what, "loaded state dict contains a parameter group that doesn't match the size of optimizer's "
        .. "group (group %d has %d parameters, expected %d)", i - 1,
        type(group.params) == "table" and #group.params or 0, #own)
    end
    for j, number in ipairs(group.params) do by_number[number] = own[j] end
  end
  local is_none_option = {}
  for _, name in ipairs(self.none_options) do is_none_option[name] = true end
  local state = setmetatable({}, state_meta)
  for key, saved in pairs(work.state) do
    local p = by_number[key]
    state[p or key] = p and restore(p, nil, saved) or saved
  end
  for i, group in ipairs(groups) do
    local own, options = self.param_groups[i], {}
    for name, value in pairs(group) do
      if name ~= "params" then options[name] = copy_table(value) end
    end
    options.params, options.param_names = own.params, options.param_names or own.param_names
    for name in pairs(self.defaults) do
      if options[name] == nil and not is_none_option[name] then
        if absent[name] ~= nil then options[name] = absent[name] else options[name] = own[name] end
      end
    end
    self.param_groups[i] = options
  end
  self.state = state
  self:_loaded()
  hooks.run(self._hooks.load_state_dict_post, nil, self)
end

-- Called when a state has been loaded.
function Optimizer:_loaded() end

-- --- text ---------------------------------------------------------------------------------------------
-- As in Python's f"{value}": a 0-d tensor is its number, a list of names has brackets.
local function option_text(name, value)
  if torch.is_tensor(value) and value.ndim == 0 then return text.repr(value:item()) end
  if name == "param_names" then
    local parts = {}
    for i, item in ipairs(value) do parts[i] = text.repr(item) end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  return text.str(value)
end

function Optimizer.__tostring(self)
  local lines = { self.__name .. " (" }
  for i, group in ipairs(self.param_groups) do
    lines[#lines + 1] = (i > 1 and "\n" or "") .. "Parameter Group " .. (i - 1)
    local names = {}
    for name in pairs(group) do
      if name ~= "params" then names[#names + 1] = name end
    end
    for _, name in ipairs(self.none_options) do
      if group[name] == nil then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      lines[#lines + 1] = ("    %s: %s"):format(name, option_text(name, group[name]))
    end
  end
  return table.concat(lines, "\n") .. "\n)"
end

colon.guard(Optimizer, "an optimizer", is_optimizer, { init = true, register_optimizer_step_pre_hook = true,
  register_optimizer_step_post_hook = true })

return Optimizer
