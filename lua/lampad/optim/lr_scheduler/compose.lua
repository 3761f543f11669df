-- Schedulers made of schedulers: ChainedScheduler runs all at each step, SequentialLR one after the other.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.optim.lr_scheduler.base"

local LRScheduler = base.LRScheduler
local compose = {}

local function check(what, optimizer, schedulers)
  for i, scheduler in ipairs(schedulers) do
    if type(scheduler) ~= "table" or scheduler.optimizer == nil then
      args.fail(what, "%s at index %d should have `optimizer` as its attribute, got %s", what, i - 1,
        text.describe(scheduler))
    end
    if class.isinstance(scheduler, require("lampad.optim.lr_scheduler.plateau").ReduceLROnPlateau) then
      args.fail(what, "%s does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be "
        .. "specified when calling `step`, but got one at index %d in the given schedulers sequence.", what, i - 1)
    end
    if scheduler.optimizer ~= optimizer then
      args.fail(what, "%s expects all schedulers to belong to the same optimizer, but got scheduler %s at index %d "
        .. "of another", what, tostring(scheduler.__name), i - 1)
    end
  end
end

-- What both have in common: a list of schedulers whose states go along.
local Composed = LRScheduler:extend "ComposedScheduler"
Composed._unsaved = { optimizer = true, _schedulers = true }

function Composed:state_dict()
  local result = LRScheduler.state_dict(self)
  result._schedulers = {}
  for i, scheduler in ipairs(self._schedulers) do result._schedulers[i] = scheduler:state_dict() end
  return result
end

function Composed:load_state_dict(state)
  LRScheduler.load_state_dict(self, state)
  for i, saved in ipairs(state._schedulers or {}) do
    if not self._schedulers[i] then
      args.fail(self.__name .. ".load_state_dict", "the state is of %d schedulers, expected %d", #state._schedulers,
        #self._schedulers)
    end
    self._schedulers[i]:load_state_dict(saved)
  end
end

-- --- ChainedScheduler -----------------------------------------------------------------------------------
local ChainedScheduler = Composed:extend "ChainedScheduler"
compose.ChainedScheduler = ChainedScheduler
local chained_spec = args "ChainedScheduler(any schedulers, any optimizer=nil)"

--- All schedulers of the list take a step at each step, each from the rate the one before has set.
function ChainedScheduler:init(...)
  local schedulers, optimizer = chained_spec(...)
  if type(schedulers) ~= "table" or #schedulers < 1 then
    args.fail("ChainedScheduler", "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.")
  end
  optimizer = optimizer or type(schedulers[1]) == "table" and schedulers[1].optimizer or nil
  check("ChainedScheduler", optimizer, schedulers)
  self._schedulers, self.optimizer = schedulers, optimizer
  self._last_lr = base.values_of(optimizer, "lr")
end

function ChainedScheduler:step()
  for _, scheduler in ipairs(self._schedulers) do scheduler:step() end
  self._last_lr = base.values_of(self.optimizer, "lr")
end

-- --- SequentialLR ---------------------------------------------------------------------------------------
local SequentialLR = Composed:extend "SequentialLR"
compose.SequentialLR = SequentialLR
local sequential_spec = args "SequentialLR(any optimizer, any schedulers, table milestones, int last_epoch=-1)"

-- Takes back the zeroth step that schedulers made when they were constructed.
local function undo(scheduler)
  if scheduler._schedulers then
    for _, inner in ipairs(scheduler._schedulers) do undo(inner) end
  elseif scheduler.last_epoch then
    scheduler.last_epoch = scheduler.last_epoch - 1
  end
end

--- The first scheduler up to the first milestone (an epoch), then the next, which starts at its own epoch 0.
function SequentialLR:init(...)
  local optimizer, schedulers, milestones, last_epoch = sequential_spec(...)
  if type(schedulers) ~= "table" or getmetatable(schedulers) ~= nil or #schedulers < 1 then
    args.fail("SequentialLR", "SequentialLR expects at least one scheduler, but got no scheduler.")
  end
  check("SequentialLR", optimizer, schedulers)
  base.check_optimizer("SequentialLR", optimizer)
  if #milestones ~= #schedulers - 1 then
    args.fail("SequentialLR", "Sequential Schedulers expects number of schedulers provided to be one more than the "
      .. "number of milestone points, but got number of schedulers %d and the number of milestones to be equal to %d",
      #schedulers, #milestones)
  end
  self._schedulers, self._milestones = schedulers, milestones
  self.last_epoch, self.optimizer = last_epoch + 1, optimizer
  for _, group in ipairs(optimizer.param_groups) do base.set(group, "lr", group.initial_lr) end
  undo(self)
  local first = schedulers[base.passed(milestones, 0) + 1]
  first:_initial_step()
  self._last_lr = first:get_last_lr()
end

function SequentialLR:step()
  self.last_epoch = self.last_epoch + 1
  local passed = base.passed(self._milestones, self.last_epoch)
  local scheduler = self._schedulers[passed + 1]
  if passed > 0 and self._milestones[passed] == self.last_epoch then
    scheduler:_update_lr(0)
  else
    scheduler:step()
  end
  self._last_lr = scheduler:get_last_lr()
end

return compose
