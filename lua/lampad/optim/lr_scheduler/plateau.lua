-- ReduceLROnPlateau: a smaller rate when a measure has stopped getting better.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.optim.lr_scheduler.base"

local torch = core.torch
local LRScheduler = base.LRScheduler
local ReduceLROnPlateau = LRScheduler:extend "ReduceLROnPlateau"
local spec = args [[ReduceLROnPlateau(any optimizer, str mode='min', float factor=0.1, int patience=10,
  float threshold=0.0001, str threshold_mode='rel', int cooldown=0, any min_lr=0, float eps=1e-08)]]

--- step(metric) after each epoch: when the metric has not got better (mode 'min': smaller) by the threshold for more
--- than `patience` epochs, the rates are multiplied by factor, down to min_lr, and nothing is counted for `cooldown`
--- epochs.
function ReduceLROnPlateau:init(...)
  local o = spec:collect(...)
  if not (o.factor < 1) then args.fail("ReduceLROnPlateau", "Factor should be < 1.0, got %s", text.repr(o.factor)) end
  base.check_optimizer("ReduceLROnPlateau", o.optimizer)
  self.factor, self.optimizer = o.factor, o.optimizer
  local groups = #o.optimizer.param_groups
  self.min_lrs = {}
  if type(o.min_lr) == "table" then
    if #o.min_lr ~= groups then
      args.fail("ReduceLROnPlateau", "expected %d min_lrs, got %d", groups, #o.min_lr)
    end
    table.move(o.min_lr, 1, groups, 1, self.min_lrs)
  else
    self.default_min_lr = o.min_lr
    for i = 1, groups do self.min_lrs[i] = o.min_lr end
  end
  self.patience, self.cooldown, self.eps, self.last_epoch = o.patience, o.cooldown, o.eps, 0
  self._last_lr = base.values_of(self.optimizer, "lr")
  self:_init_is_better(o.mode, o.threshold, o.threshold_mode)
  self:_reset()
end

function ReduceLROnPlateau:_init_is_better(mode, threshold, threshold_mode)
  if mode ~= "min" and mode ~= "max" then args.fail("ReduceLROnPlateau", "mode %s is unknown!", mode) end
  if threshold_mode ~= "rel" and threshold_mode ~= "abs" then
    args.fail("ReduceLROnPlateau", "threshold mode %s is unknown!", threshold_mode)
  end
  self.mode_worse = mode == "min" and math.huge or -math.huge
  self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
end

function ReduceLROnPlateau:_reset()
  self.best, self.cooldown_counter, self.num_bad_epochs = self.mode_worse, 0, 0
end

function ReduceLROnPlateau:_is_better(value, best)
  if self.threshold_mode == "rel" then
    if self.mode == "min" then return value < best * (1.0 - self.threshold) end
    return value > best * (self.threshold + 1.0)
  end
  if self.mode == "min" then return value < best - self.threshold end
  return value > best + self.threshold
end

local function reduce(self)
  local groups = self.optimizer.param_groups
  if #groups ~= #self.min_lrs then
    if self.default_min_lr == nil then
      args.fail("ReduceLROnPlateau.step", "The number of param groups in the `optimizer` (%d) differs from when "
        .. "`ReduceLROnPlateau` was initialized (%d), usually due to a new param group being added to the optimizer. "
        .. "Please modify the `min_lrs` field to match the length of the `optimizer` param groups.", #groups,
        #self.min_lrs)
    end
    self.min_lrs = {}
    for i = 1, #groups do self.min_lrs[i] = self.default_min_lr end
  end
  for i, group in ipairs(groups) do
    local old = torch.is_tensor(group.lr) and group.lr:item() or group.lr
    local new = math.max(old * self.factor, self.min_lrs[i])
    if old - new > self.eps then base.set(group, "lr", new) end
  end
end

function ReduceLROnPlateau:step(metrics, epoch)
  local current = torch.is_tensor(metrics) and metrics:item() or metrics
  if type(current) ~= "number" then
    args.fail("ReduceLROnPlateau.step", "metrics must be a number or a tensor of one, got %s", text.describe(metrics))
  end
  if epoch == nil then epoch = self.last_epoch + 1 else base.warn_of_epoch() end
  self.last_epoch = epoch
  if self:_is_better(current, self.best) then
    self.best, self.num_bad_epochs = current, 0
  else
    self.num_bad_epochs = self.num_bad_epochs + 1
  end
  if self.cooldown_counter > 0 then
    self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
  end
  if self.num_bad_epochs > self.patience then
    reduce(self)
    self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
  end
  self._last_lr = base.values_of(self.optimizer, "lr")
end

-- The property in_cooldown: whether the scheduler is waiting after a reduction.
function ReduceLROnPlateau.make_index(C)
  return function(self, key)
    if key == "in_cooldown" then return self.cooldown_counter > 0 end
    return C[key]
  end
end
ReduceLROnPlateau.__meta.__index = ReduceLROnPlateau.make_index(ReduceLROnPlateau)

function ReduceLROnPlateau:load_state_dict(state)
  LRScheduler.load_state_dict(self, state)
  self:_init_is_better(self.mode, self.threshold, self.threshold_mode)
end

return { ReduceLROnPlateau = ReduceLROnPlateau }
