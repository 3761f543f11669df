-- Cosine annealing (Loshchilov and Hutter 2017), without and with restarts.
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.optim.lr_scheduler.base"

local LRScheduler = base.LRScheduler
local cosine = {}

-- --- CosineAnnealingLR ----------------------------------------------------------------------------------
local CosineAnnealingLR = LRScheduler:extend "CosineAnnealingLR"
cosine.CosineAnnealingLR = CosineAnnealingLR
local cosine_spec = args "CosineAnnealingLR(any optimizer, int T_max, float eta_min=0.0, int last_epoch=-1)"

--- From the base rate to eta_min along half a cosine of T_max epochs.
function CosineAnnealingLR:init(...)
  local optimizer, last_epoch
  optimizer, self.T_max, self.eta_min, last_epoch = cosine_spec(...)
  if self.T_max <= 0 then args.fail("CosineAnnealingLR", "T_max must be positive, got %d", self.T_max) end
  LRScheduler.init(self, optimizer, last_epoch)
end

function CosineAnnealingLR:get_lr()
  self:_warn_outside_step()
  local epoch, T, low = self.last_epoch, self.T_max, self.eta_min
  if self._is_initial then return self:_map() end
  if self._step_count == 1 and epoch > 0 then
    return self:_map(function(_, rate) return low + (rate - low) * (1 + math.cos(epoch * math.pi / T)) / 2 end)
  end
  if (epoch - 1 - T) % (2 * T) == 0 then
    return self:_map(function(rate, first) return rate + (first - low) * (1 - math.cos(math.pi / T)) / 2 end)
  end
  return self:_map(function(rate)
    return (1 + math.cos(math.pi * epoch / T)) / (1 + math.cos(math.pi * (epoch - 1) / T)) * (rate - low) + low
  end)
end

function CosineAnnealingLR:_get_closed_form_lr()
  local low = self.eta_min
  return self:_map(function(_, first)
    return low + (first - low) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
  end)
end

-- --- CosineAnnealingWarmRestarts --------------------------------------------------------------------------
local WarmRestarts = LRScheduler:extend "CosineAnnealingWarmRestarts"
cosine.CosineAnnealingWarmRestarts = WarmRestarts
local restarts_spec = args [[CosineAnnealingWarmRestarts(any optimizer, any T_0, any T_mult=1, any eta_min=0.0,
  int last_epoch=-1)]]

--- Half a cosine of T_0 epochs, then again, each T_mult times as long as the one before. step(epoch) takes fractions
--- too: step(epoch + batch / batches).
function WarmRestarts:init(...)
  local optimizer, last_epoch
  optimizer, self.T_0, self.T_mult, self.eta_min, last_epoch = restarts_spec(...)
  local what = "CosineAnnealingWarmRestarts"
  if math.type(self.T_0) ~= "integer" or self.T_0 <= 0 then
    args.fail(what, "Expected positive integer T_0, but got %s", text.repr(self.T_0))
  end
  if math.type(self.T_mult) ~= "integer" or self.T_mult < 1 then
    args.fail(what, "Expected integer T_mult >= 1, but got %s", text.repr(self.T_mult))
  end
  if type(self.eta_min) ~= "number" then
    args.fail(what, "Expected float or int eta_min, but got %s", text.describe(self.eta_min))
  end
  self.T_i, self.T_cur = self.T_0, last_epoch
  LRScheduler.init(self, optimizer, last_epoch)
end

function WarmRestarts:get_lr()
  self:_warn_outside_step()
  local low = self.eta_min
  return self:_map(function(_, first)
    return low + (first - low) * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
  end)
end

function WarmRestarts:step(epoch)
  if epoch == nil and self.last_epoch < 0 then epoch = 0 end
  if epoch == nil then
    epoch = self.last_epoch + 1
    self.T_cur = self.T_cur + 1
    if self.T_cur >= self.T_i then
      self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
    end
  else
    if epoch < 0 then
      args.fail("CosineAnnealingWarmRestarts.step", "Expected non-negative epoch, but got %s", text.repr(epoch))
    end
    if epoch < self.T_0 then
      self.T_i, self.T_cur = self.T_0, epoch
    elseif self.T_mult == 1 then
      self.T_cur = epoch % self.T_0
    else
      local n = math.floor(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1) / math.log(self.T_mult))
      self.T_cur = epoch - self.T_0 * (self.T_mult ^ n - 1) / (self.T_mult - 1)
      self.T_i = self.T_0 * self.T_mult ^ n
    end
  end
  self.last_epoch = math.floor(epoch)
  self:_set_lrs(self:_rates "get_lr")
end

return cosine
