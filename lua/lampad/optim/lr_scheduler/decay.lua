-- Schedulers that multiply the rate by a factor now and then: StepLR, MultiStepLR, ConstantLR, LinearLR, ExponentialLR,
-- PolynomialLR.
local args = require "lampad.args"
local text = require "lampad.text"
local LRScheduler = require("lampad.optim.lr_scheduler.base").LRScheduler

local decay = {}

-- --- StepLR -----------------------------------------------------------------------------------------
local StepLR = LRScheduler:extend "StepLR"
decay.StepLR = StepLR
local step_spec = args "StepLR(any optimizer, int step_size, float gamma=0.1, int last_epoch=-1)"

--- Times gamma every step_size epochs.
function StepLR:init(...)
  local optimizer, last_epoch
  optimizer, self.step_size, self.gamma, last_epoch = step_spec(...)
  if self.step_size <= 0 then args.fail("StepLR", "step_size must be positive, got %d", self.step_size) end
  LRScheduler.init(self, optimizer, last_epoch)
end

function StepLR:get_lr()
  self:_warn_outside_step()
  if self.last_epoch == 0 or self.last_epoch % self.step_size ~= 0 then return self:_map() end
  return self:_map(function(rate) return rate * self.gamma end)
end

function StepLR:_get_closed_form_lr()
  return self:_map(function(_, base) return base * self.gamma ^ (self.last_epoch // self.step_size) end)
end

-- --- MultiStepLR --------------------------------------------------------------------------------------
local MultiStepLR = LRScheduler:extend "MultiStepLR"
decay.MultiStepLR = MultiStepLR
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
  self:_warn_outside_step()
  local times = self.milestones[self.last_epoch]
  if not times then return self:_map() end
  return self:_map(function(rate) return rate * self.gamma ^ times end)
end

function MultiStepLR:_get_closed_form_lr()
  local passed = 0
  for epoch, times in pairs(self.milestones) do
    if epoch <= self.last_epoch then passed = passed + times end
  end
  return self:_map(function(_, base) return base * self.gamma ^ passed end)
end

-- --- ConstantLR -----------------------------------------------------------------------------------------
local ConstantLR = LRScheduler:extend "ConstantLR"
decay.ConstantLR = ConstantLR
local constant_spec = args [[ConstantLR(any optimizer, float factor=0.3333333333333333, int total_iters=5,
  int last_epoch=-1)]]

--- The base rate times factor until epoch total_iters, then the base rate.
function ConstantLR:init(...)
  local optimizer, last_epoch
  optimizer, self.factor, self.total_iters, last_epoch = constant_spec(...)
  if not (self.factor >= 0 and self.factor <= 1) then
    args.fail("ConstantLR", "Constant multiplicative factor expected to be between 0 and 1, got %s",
      text.repr(self.factor))
  end
  LRScheduler.init(self, optimizer, last_epoch)
end

function ConstantLR:get_lr()
  self:_warn_outside_step()
  if self.last_epoch == 0 then return self:_map(function(rate) return rate * self.factor end) end
  if self.last_epoch ~= self.total_iters then return self:_map() end
  if self.factor == 0 then
    args.fail("ConstantLR.step", "a rate of 0 cannot be brought back to the base rate: factor is 0 (division by zero)")
  end
  return self:_map(function(rate) return rate * (1.0 / self.factor) end)
end

function ConstantLR:_get_closed_form_lr()
  local after = self.last_epoch >= self.total_iters and 1 or 0
  return self:_map(function(_, base) return base * (self.factor + after * (1 - self.factor)) end)
end

-- --- LinearLR -----------------------------------------------------------------------------------------
local LinearLR = LRScheduler:extend "LinearLR"
decay.LinearLR = LinearLR
local linear_spec = args [[LinearLR(any optimizer, float start_factor=0.3333333333333333, float end_factor=1.0,
  int total_iters=5, int last_epoch=-1)]]

--- The base rate times a factor that goes straight from start_factor to end_factor in total_iters epochs.
function LinearLR:init(...)
  local optimizer, last_epoch
  optimizer, self.start_factor, self.end_factor, self.total_iters, last_epoch = linear_spec(...)
  if not (self.start_factor > 0 and self.start_factor <= 1) then
    args.fail("LinearLR", "Starting multiplicative factor expected to be greater than 0 and less or equal to 1, got %s",
      text.repr(self.start_factor))
  end
  if not (self.end_factor >= 0 and self.end_factor <= 1) then
    args.fail("LinearLR", "Ending multiplicative factor expected to be between 0 and 1, got %s",
      text.repr(self.end_factor))
  end
  LRScheduler.init(self, optimizer, last_epoch)
end

function LinearLR:get_lr()
  self:_warn_outside_step()
  local first, last, total, epoch = self.start_factor, self.end_factor, self.total_iters, self.last_epoch
  if epoch == 0 then return self:_map(function(rate) return rate * first end) end
  if self._is_initial or epoch > total then return self:_map() end
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

-- --- ExponentialLR ------------------------------------------------------------------------------------
local ExponentialLR = LRScheduler:extend "ExponentialLR"
decay.ExponentialLR = ExponentialLR
local exponential_spec = args "ExponentialLR(any optimizer, float gamma, int last_epoch=-1)"

--- Times gamma every epoch.
function ExponentialLR:init(...)
  local optimizer, last_epoch
  optimizer, self.gamma, last_epoch = exponential_spec(...)
  LRScheduler.init(self, optimizer, last_epoch)
end

function ExponentialLR:get_lr()
  self:_warn_outside_step()
  if self._is_initial then return self:_map() end
  return self:_map(function(rate) return rate * self.gamma end)
end

function ExponentialLR:_get_closed_form_lr()
  return self:_map(function(_, base) return base * self.gamma ^ self.last_epoch end)
end

-- --- PolynomialLR -------------------------------------------------------------------------------------
local PolynomialLR = LRScheduler:extend "PolynomialLR"
decay.PolynomialLR = PolynomialLR
local polynomial_spec = args "PolynomialLR(any optimizer, int total_iters=5, float power=1.0, int last_epoch=-1)"

--- The base rate times (1 - epoch / total_iters) ^ power, then 0.
function PolynomialLR:init(...)
  local optimizer, last_epoch
  optimizer, self.total_iters, self.power, last_epoch = polynomial_spec(...)
  LRScheduler.init(self, optimizer, last_epoch)
end

function PolynomialLR:get_lr()
  self:_warn_outside_step()
  local epoch, total = self.last_epoch, self.total_iters
  if self._is_initial or epoch > total then return self:_map() end
  local factor = ((1.0 - epoch / total) / (1.0 - (epoch - 1) / total)) ^ self.power
  return self:_map(function(rate) return rate * factor end)
end

function PolynomialLR:_get_closed_form_lr()
  local total = self.total_iters
  return self:_map(function(_, base) return base * (1.0 - math.min(total, self.last_epoch) / total) ^ self.power end)
end

return decay
