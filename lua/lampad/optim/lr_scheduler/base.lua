-- LRScheduler: the base of the schedulers. The rates are computed by PyTorch's chained formulas, in its order of
-- operations, so that the numbers agree to the last bit.
--
-- A scheduler sets group.initial_lr at first, takes its zeroth step in the constructor, and one more with each
-- scheduler:step() after the epoch's optimizer:step() calls. A rate that is a tensor is changed in place.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local colon = require "lampad.colon"
local text = require "lampad.text"
local python_kind = require "lampad.python_kind"
local Optimizer = require "lampad.optim.optimizer"
local warnings = require "lampad.warnings"

local torch = core.torch
local LRScheduler = class.extend(class.Object, "LRScheduler")
-- _LRScheduler is PyTorch's older name.
local base = { LRScheduler = LRScheduler }

-- Fields that state_dict() leaves out; functions never go into it.
LRScheduler._unsaved = { optimizer = true }

local function is_plain(v) return type(v) == "table" and getmetatable(v) == nil end

local function own(value) return torch.is_tensor(value) and value:clone() or value end

--- Raises unless the value is an optimizer.
function base.check_optimizer(what, optimizer)
  if not class.isinstance(optimizer, Optimizer) then
    args.fail(what, "%s is not an Optimizer", text.describe(optimizer))
  end
end

--- The groups' values of an option; tensors are copied.
function base.values_of(optimizer, name)
  local result = {}
  for i, group in ipairs(optimizer.param_groups) do result[i] = own(group[name]) end
  return result
end
local values_of = base.values_of

--- One value a group, from a number or a list of as many.
function base.per_group(what, name, optimizer, value)
  local groups, result = #optimizer.param_groups, {}
  if is_plain(value) then
    if #value ~= groups then
      args.fail(what, "%s must have the same length as optimizer.param_groups. %s has %d values, param_groups has %d.",
        name, name, #value, groups)
    end
    for i = 1, groups do result[i] = own(value[i]) end
  else
    for i = 1, groups do result[i] = own(value) end
  end
  return result
end

--- Sets an option of a group; a tensor in place.
function base.set(group, name, value)
  local old = group[name]
  if torch.is_tensor(old) then
    if torch.is_tensor(value) then value = value:item() end
    torch.no_grad(function() old:fill_(value) end)
  else
    group[name] = value
  end
end

--- Subclasses call this last in their init; get_lr(self) gives the list of rates for self.last_epoch.
function LRScheduler:init(optimizer, last_epoch)
  base.check_optimizer(self.__name, optimizer)
  last_epoch = last_epoch or -1
  self.optimizer = optimizer
  for i, group in ipairs(optimizer.param_groups) do
    if last_epoch == -1 then
      if group.initial_lr == nil then group.initial_lr = own(group.lr) end
    elseif group.initial_lr == nil then
      args.fail(self.__name, "param 'initial_lr' is not specified in param_groups[%d] when resuming with "
        .. "last_epoch = %d; load the optimizer's state_dict first", i - 1, last_epoch)
    end
  end
  self.base_lrs = values_of(optimizer, "initial_lr")
  self.last_epoch = last_epoch
  self._get_lr_called_within_step = false
  -- From here on the optimizer notes whether it has made a step.
  if optimizer._opt_called == nil then optimizer._opt_called = false end
  self:_initial_step()
end

function LRScheduler:_initial_step()
  self._step_count = 0
  self._is_initial = true
  self:step()
  self._is_initial = false
end

local function warn_of_order(self)
  if rawget(self.optimizer, "step") then
    warnings.warn("Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
      .. "Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`")
  elseif not self.optimizer._opt_called then
    warnings.warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order, "
      .. "or the first value of the learning rate schedule is skipped")
  end
end

function base.warn_of_epoch()
  warnings.warn("The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
    .. "Please use `scheduler.step()` to step the scheduler. If epoch is given, the closed form is used instead of the "
    .. "new chainable form, where available")
end

--- Moves to the next epoch, or to the given one, and sets the groups' rates.
function LRScheduler:step(epoch)
  if self._step_count == 1 then warn_of_order(self) end
  self._step_count = self._step_count + 1
  if epoch ~= nil then base.warn_of_epoch() end
  self:_update_lr(epoch)
end

-- The rates by a method of the scheduler.
local function rates(self, method)
  self._get_lr_called_within_step = true
  local ok, values = pcall(self[method], self)
  self._get_lr_called_within_step = false
  if not ok then error(values, 0) end
  return values
end

function LRScheduler:_set_lrs(values)
  for i, group in ipairs(self.optimizer.param_groups) do base.set(group, "lr", values[i]) end
  self._last_lr = values_of(self.optimizer, "lr")
end

function LRScheduler:_update_lr(epoch)
  local method = "get_lr"
  if epoch == nil then
    self.last_epoch = self.last_epoch + 1
  else
    self.last_epoch = epoch
    if self._get_closed_form_lr then method = "_get_closed_form_lr" end
  end
  self:_set_lrs(rates(self, method))
end

LRScheduler._rates = rates

--- The rates in force, one a group.
function LRScheduler:get_last_lr() return self._last_lr end

--- The rates of the current epoch, one a group; subclasses define it.
function LRScheduler:get_lr()
  args.fail(self.__name, "get_lr is not implemented: define get_lr() in the class, a list of rates for self.last_epoch")
end

-- Called by every get_lr: the chained formulas make sense only within a step.
function LRScheduler:_warn_outside_step()
  if not self._get_lr_called_within_step then
    warnings.warn "To get the last learning rate computed by the scheduler, please use `get_last_lr()`."
  end
end

-- Every group's rate through fn(rate, base_rate); fn nil: as they are.
function LRScheduler:_map(fn)
  if not fn then return values_of(self.optimizer, "lr") end
  local result = {}
  for i, group in ipairs(self.optimizer.param_groups) do result[i] = fn(group.lr, self.base_lrs[i]) end
  return result
end

-- --- state ------------------------------------------------------------------------------------------
function base.copy(value)
  if not is_plain(value) then return value end
  local result = {}
  for key, member in pairs(value) do result[key] = base.copy(member) end
  return result
end

--- Everything but the optimizer and functions, as a plain table.
function LRScheduler:state_dict()
  local result = {}
  for key, value in pairs(self) do
    if not self._unsaved[key] and type(value) ~= "function" then result[key] = base.copy(value) end
  end
  return result
end

--- Takes over a state_dict(). Functions are not part of it.
function LRScheduler:load_state_dict(state)
  if type(state) ~= "table" then
    args.fail(self.__name .. ".load_state_dict", "expected a table, got %s", text.describe(state))
  end
  for key, value in pairs(state) do
    -- What is None there is a function here, or nothing.
    if value ~= nil and not self._unsaved[key] then self[key] = base.copy(value) end
  end
end

--- What a list of functions has of state of its own: the fields of callable objects.
function base.save_functions(list)
  local result = python_kind.note({ n = #list }, "list") -- None for plain functions
  for i, fn in ipairs(list) do
    if type(fn) == "table" then
      result[i] = {}
      for key, value in pairs(fn) do result[i][key] = base.copy(value) end
    end
  end
  return result
end

--- The reverse of save_functions.
function base.load_functions(list, saved)
  for i, fields in pairs(saved or {}) do
    if type(fields) == "table" and type(list[i]) == "table" then
      for key, value in pairs(fields) do list[i][key] = base.copy(value) end
    end
  end
end

--- How many of the sorted numbers are at most x: Python's bisect_right.
function base.passed(sorted, x)
  local count = 0
  for _, value in ipairs(sorted) do
    if value <= x then count = count + 1 end
  end
  return count
end

colon.guard(LRScheduler, "a scheduler", function(value) return class.isinstance(value, LRScheduler) end,
  { init = true })

base._LRScheduler = LRScheduler:extend "_LRScheduler"

return base
