-- optim.lr_scheduler: learning rates as functions of the epoch. The rates are computed by PyTorch's
-- chained formulas, in its order of operations, so that the numbers agree to the last bit.
--
-- A scheduler sets group.initial_lr at first, takes its zeroth step in the constructor, and one more
-- with each scheduler:step() after the epoch's optimizer:step() calls.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"

local lr_scheduler = {}

-- --- LRScheduler: the base ------------------------------------------------------------------------
local LRScheduler = class.extend(class.Object, "LRScheduler")
lr_scheduler.LRScheduler = LRScheduler

local function rates(optimizer, name)
  local result = {}
  for i, group in ipairs(optimizer.param_groups) do result[i] = group[name] end
  return result
end

--- Subclasses call this last in their init; get_lr(self) gives the list of rates for self.last_epoch.
function LRScheduler:init(optimizer, last_epoch)
  if not class.isinstance(optimizer, Optimizer) then
    args.fail(self.__name, "%s is not an Optimizer", text.describe(optimizer))
  end
  last_epoch = last_epoch or -1
  self.optimizer = optimizer
  for i, group in ipairs(optimizer.param_groups) do
    if last_epoch == -1 then
      group.initial_lr = group.initial_lr or group.lr
    elseif group.initial_lr == nil then
      args.fail(self.__name, "param 'initial_lr' is not specified in param_groups[%d] when resuming with "
        .. "last_epoch = %d; load the optimizer's state_dict first", i - 1, last_epoch)
    end
  end
  self.base_lrs = rates(optimizer, "initial_lr")
  self.last_epoch = last_epoch
  self._step_count = 0
  self._is_initial = true
  self:step()
  self._is_initial = false
end

--- Moves to the next epoch, or to the given one, and sets the groups' rates.
function LRScheduler:step(epoch)
  if self._step_count == 1 and not self.optimizer._stepped then
    io.stderr:write("warning: lr_scheduler:step() was called before optimizer:step(); call them in the opposite "
      .. "order, or the first rate of the schedule is skipped\n")
  end
  self._step_count = self._step_count + 1
  local values
  if epoch == nil then
    self.last_epoch = self.last_epoch + 1
    values = self:get_lr()
  else
    self.last_epoch = epoch
    values = self._get_closed_form_lr and self:_get_closed_form_lr() or self:get_lr()
  end
  for i, group in ipairs(self.optimizer.param_groups) do group.lr = values[i] end
  self._last_lr = rates(self.optimizer, "lr")
end

--- The rates in force, one a group.
function LRScheduler:get_last_lr() return self._last_lr end

-- Every group's rate through fn(rate, base_rate).
function LRScheduler:_map(fn)
  local result = {}
  for i, group in ipairs(self.optimizer.param_groups) do result[i] = fn(group.lr, self.base_lrs[i]) end
  return result
end

local function same(rate) return rate end

local function copy_plain(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, member in pairs(value) do result[key] = copy_plain(member) end
  return result
end

--- Everything but the optimizer and functions, as a plain table.
function LRScheduler:state_dict()
  local result = {}
  for key, value in pairs(self) do
    if key ~= "optimizer" and key ~= "lr_lambdas" then result[key] = copy_plain(value) end
  end
  return result
end

function LRScheduler:load_state_dict(state)
  if type(state) ~= "table" then
    args.fail(self.__name .. ".load_state_dict", "expected a table, got %s", text.describe(state))
  end
  for key, value in pairs(state) do self[key] = copy_plain(value) end
end

-- --- StepLR -----------------------------------------------------------------------------------------
local StepLR = LRScheduler:extend "StepLR"
lr_scheduler.StepLR = StepLR
local step_spec = args "StepLR(any optimizer, int step_size, float gamma=0.1, int last_epoch=-1)"

--- Times gamma every step_size epochs.
function StepLR:init(...)
  local optimizer, last_epoch
  optimizer, self.step_size, self.gamma, last_epoch = step_spec(...)
  if self.step_size <= 0 then args.fail("StepLR", "step_size must be positive, got %d", self.step_size) end
  LRScheduler.init(self, optimizer, last_epoch)
end

function StepLR:get_lr()
  if self._is_initial or self.last_epoch % self.step_size ~= 0 then return self:_map(same) end
  return self:_map(function(rate) return rate * self.gamma end)
end

function StepLR:_get_closed_form_lr()
  return self:_map(function(_, base) return base * self.gamma ^ (self.last_epoch // self.step_size) end)
end

-- --- MultiStepLR --------------------------------------------------------------------------------------
local MultiStepLR = LRScheduler:extend "MultiStepLR"
lr_scheduler.MultiStepLR = MultiStepLR
local multi_spec = args "MultiStepLR(any optimizer, ints milestones, float gamma=0.1, int last_epoch=-1)"

--- Times gamma at each milestone epoch.
function MultiStepLR:init(...)
  local optimizer, milestones, last_epoch
  optimizer, milestones, self.gamma, last_epoch = multi_spec(...)
  self.milestones = {} -- epoch -> how often it is listed
  for _, epoch in ipairs(type(milestones) == "table" and milestones or { milestones }) do
    self.milestones[epoch] = (self.milestones[epoch] or 0) + 1
  end
  LRScheduler.init(self, optimizer, last_epoch)
end

function MultiStepLR:get_lr()
  local times = self.milestones[self.last_epoch]
  if self._is_initial or not times then return self:_map(same) end
  return self:_map(function(rate) return rate * self.gamma ^ times end)
end

function MultiStepLR:_get_closed_form_lr()
  local passed = 0
  for epoch, times in pairs(self.milestones) do
    if epoch <= self.last_epoch then passed = passed + times end
  end
  return self:_map(function(_, base) return base * self.gamma ^ passed end)
end

-- --- ExponentialLR ------------------------------------------------------------------------------------
local ExponentialLR = LRScheduler:extend "ExponentialLR"
lr_scheduler.ExponentialLR = ExponentialLR
local exponential_spec = args "ExponentialLR(any optimizer, float gamma, int last_epoch=-1)"

--- Times gamma every epoch.
function ExponentialLR:init(...)
  local optimizer, last_epoch
  optimizer, self.gamma, last_epoch = exponential_spec(...)
  LRScheduler.init(self, optimizer, last_epoch)
end

function ExponentialLR:get_lr()
  if self._is_initial then return self:_map(same) end
  return self:_map(function(rate) return rate * self.gamma end)
end

function ExponentialLR:_get_closed_form_lr()
  return self:_map(function(_, base) return base * self.gamma ^ self.last_epoch end)
end

-- --- CosineAnnealingLR (Loshchilov and Hutter 2017, without restarts) -----------------------------------
local CosineAnnealingLR = LRScheduler:extend "CosineAnnealingLR"
lr_scheduler.CosineAnnealingLR = CosineAnnealingLR
local cosine_spec = args "CosineAnnealingLR(any optimizer, int T_max, float eta_min=0.0, int last_epoch=-1)"

--- From the base rate to eta_min along half a cosine of T_max epochs.
function CosineAnnealingLR:init(...)
  local optimizer, last_epoch
  optimizer, self.T_max, self.eta_min, last_epoch = cosine_spec(...)
  if self.T_max <= 0 then args.fail("CosineAnnealingLR", "T_max must be positive, got %d", self.T_max) end
  LRScheduler.init(self, optimizer, last_epoch)
end

function CosineAnnealingLR:get_lr()
  local epoch, T, low = self.last_epoch, self.T_max, self.eta_min
  if self._is_initial then return self:_map(same) end
  if self._step_count == 1 and epoch > 0 then
    return self:_map(function(_, base) return low + (base - low) * (1 + math.cos(epoch * math.pi / T)) / 2 end)
  end
  if (epoch - 1 - T) % (2 * T) == 0 then
    return self:_map(function(rate, base) return rate + (base - low) * (1 - math.cos(math.pi / T)) / 2 end)
  end
  return self:_map(function(rate)
    return (1 + math.cos(math.pi * epoch / T)) / (1 + math.cos(math.pi * (epoch - 1) / T)) * (rate - low) + low
  end)
end

function CosineAnnealingLR:_get_closed_form_lr()
  local low = self.eta_min
  return self:_map(function(_, base)
    return low + (base - low) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
  end)
end

-- --- LambdaLR -----------------------------------------------------------------------------------------
local LambdaLR = LRScheduler:extend "LambdaLR"
lr_scheduler.LambdaLR = LambdaLR
local lambda_spec = args "LambdaLR(any optimizer, any lr_lambda, int last_epoch=-1)"

--- The base rate times lr_lambda(epoch); a list of functions gives one a group.
function LambdaLR:init(...)
  local optimizer, lr_lambda, last_epoch = lambda_spec(...)
  local groups = class.isinstance(optimizer, Optimizer) and #optimizer.param_groups or 0
  if type(lr_lambda) == "table" and getmetatable(lr_lambda) == nil then
    if #lr_lambda ~= groups then
      args.fail("LambdaLR", "Expected %d lr_lambdas, but got %d", groups, #lr_lambda)
    end
    self.lr_lambdas = lr_lambda
  else
    self.lr_lambdas = {}
    for i = 1, groups do self.lr_lambdas[i] = lr_lambda end
  end
  LRScheduler.init(self, optimizer, last_epoch)
end

function LambdaLR:get_lr()
  local result = {}
  for i, base in ipairs(self.base_lrs) do result[i] = base * self.lr_lambdas[i](self.last_epoch) end
  return result
end

-- --- LinearLR -----------------------------------------------------------------------------------------
local LinearLR = LRScheduler:extend "LinearLR"
lr_scheduler.LinearLR = LinearLR
local linear_spec = args [[LinearLR(any optimizer, float start_factor=0.3333333333333333, float end_factor=1.0,
  int total_iters=5, int last_epoch=-1)]]

--- The base rate times a factor that goes straight from start_factor to end_factor in total_iters epochs.
function LinearLR:init(...)
  local optimizer, last_epoch
  optimizer, self.start_factor, self.end_factor, self.total_iters, last_epoch = linear_spec(...)
  if self.start_factor > 1 or self.start_factor <= 0 then
    args.fail("LinearLR", "Starting multiplicative factor expected to be greater than 0 and less or equal to 1, got %s",
      text.repr(self.start_factor))
  end
  if self.end_factor > 1 or self.end_factor < 0 then
    args.fail("LinearLR", "Ending multiplicative factor expected to be between 0 and 1, got %s",
      text.repr(self.end_factor))
  end
  LRScheduler.init(self, optimizer, last_epoch)
end

function LinearLR:get_lr()
  local first, last, total, epoch = self.start_factor, self.end_factor, self.total_iters, self.last_epoch
  if epoch == 0 then return self:_map(function(rate) return rate * first end) end
  if self._is_initial or epoch > total then return self:_map(same) end
  return self:_map(function(rate)
    return rate * (1.0 + (last - first) / (total * first + (epoch - 1) * (last - first)))
  end)
end

function LinearLR:_get_closed_form_lr()
  local first, last, total = self.start_factor, self.end_factor, self.total_iters
  return self:_map(function(_, base)
    return base * (first + (last - first) * math.min(total, self.last_epoch) / total)
  end)
end

return lr_scheduler
