-- CyclicLR (Smith 2017) and OneCycleLR (Smith and Topin 2019), which cycle the momentum (SGD's momentum, Adam's beta1)
-- against the rate.
local Dict = require "lampad.dict"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.optim.lr_scheduler.base"

local LRScheduler, per_group = base.LRScheduler, base.per_group
local cyclic = {}

local function set_momentum(group, use_beta1, value)
  if use_beta1 then
    group.betas = { value, table.unpack(group.betas, 2) }
  else
    group.momentum = value
  end
end

-- Whether the optimizer's momentum is called betas[0].
local function finds_beta1(what, optimizer)
  local defaults = optimizer.defaults
  if defaults.momentum == nil and defaults.betas == nil then
    args.fail(what, "optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
  end
  return defaults.betas ~= nil
end

local function start_momentum(optimizer, use_beta1, highest, lowest)
  for i, group in ipairs(optimizer.param_groups) do
    set_momentum(group, use_beta1, highest[i])
    group.max_momentum, group.base_momentum = highest[i], lowest[i]
  end
end

-- --- CyclicLR -------------------------------------------------------------------------------------------
local CyclicLR = LRScheduler:extend "CyclicLR"
cyclic.CyclicLR = CyclicLR
CyclicLR._unsaved = { optimizer = true, _scale_fn_custom = true }
local cyclic_spec = args [[CyclicLR(any optimizer, any base_lr, any max_lr, float step_size_up=2000,
  float step_size_down=nil, str mode='triangular', float gamma=1.0, any scale_fn=nil, str scale_mode='cycle',
  bool cycle_momentum=true, any base_momentum=0.8, any max_momentum=0.9, int last_epoch=-1)]]

local scale_modes = { triangular = "cycle", triangular2 = "cycle", exp_range = "iterations" }

--- Between base_lr and max_lr, step_size_up steps up and step_size_down down again. mode: 'triangular', 'triangular2'
--- (each cycle half as high), 'exp_range' (times gamma ^ step); or scale_fn(cycle or step, by scale_mode).
function CyclicLR:init(...)
  local o = cyclic_spec:collect(...)
  local optimizer = o.optimizer
  base.check_optimizer("CyclicLR", optimizer)
  self.optimizer = optimizer
  local base_lrs = per_group("CyclicLR", "base_lr", optimizer, o.base_lr)
  if o.last_epoch == -1 then
    for i, group in ipairs(optimizer.param_groups) do base.set(group, "lr", base_lrs[i]) end
  end
  self.max_lrs = per_group("CyclicLR", "max_lr", optimizer, o.max_lr)
  local up = o.step_size_up + 0.0
  self.total_size = up + (o.step_size_down or up)
  self.step_ratio = up / self.total_size
  if not scale_modes[o.mode] and o.scale_fn == nil then
    args.fail("CyclicLR", "mode is invalid and scale_fn is None: %s is not one of 'triangular', 'triangular2', "
      .. "'exp_range'", text.repr(o.mode))
  end
  self.mode, self.gamma = o.mode, o.gamma
  self._scale_fn_custom, self.scale_mode = o.scale_fn, o.scale_mode
  if o.scale_fn == nil then self.scale_mode = scale_modes[o.mode] end
  self.cycle_momentum = o.cycle_momentum
  if o.cycle_momentum then
    self.use_beta1 = finds_beta1("CyclicLR", optimizer)
    self.base_momentums = per_group("CyclicLR", "base_momentum", optimizer, o.base_momentum)
    self.max_momentums = per_group("CyclicLR", "max_momentum", optimizer, o.max_momentum)
    if o.last_epoch == -1 then
      start_momentum(optimizer, self.use_beta1, self.max_momentums, self.base_momentums)
    end
  end
  LRScheduler.init(self, optimizer, o.last_epoch)
  self.base_lrs = base_lrs
end

--- The height of a cycle: a function of its number from 1, or of the step.
function CyclicLR:scale_fn(x)
  if self._scale_fn_custom then return self._scale_fn_custom(x) end
  if self.mode == "triangular" then return 1.0 end
  if self.mode == "triangular2" then return 1 / 2.0 ^ (x - 1) end
  return self.gamma ^ x
end

function CyclicLR:get_lr()
  self:_warn_outside_step()
  local cycle = math.floor(1 + self.last_epoch / self.total_size)
  local x = 1.0 + self.last_epoch / self.total_size - cycle
  local part = x <= self.step_ratio and x / self.step_ratio or (x - 1) / (self.step_ratio - 1)
  local scale = self:scale_fn(self.scale_mode == "cycle" and cycle or self.last_epoch)
  local result = {}
  for i, group in ipairs(self.optimizer.param_groups) do
    local low, high = self.base_lrs[i], self.max_lrs[i]
    result[i] = low + (high - low) * part * scale
    if self.cycle_momentum then
      low, high = self.base_momentums[i], self.max_momentums[i]
      set_momentum(group, self.use_beta1, high - (high - low) * part * scale)
    end
  end
  return result
end

function CyclicLR:state_dict()
  local result = LRScheduler.state_dict(self)
  -- PyTorch misses the key when it is None.
  local custom, keys = base.save_functions({ self._scale_fn_custom })[1], {}
  for key in pairs(result) do keys[#keys + 1] = key end
  table.sort(keys)
  keys[#keys + 1] = "_scale_fn_custom"
  result._scale_fn_custom = custom
  local dict = Dict.new()
  Dict.fill(dict, keys, function(i) return result[keys[i]] end)
  return dict
end

function CyclicLR:load_state_dict(state)
  LRScheduler.load_state_dict(self, state)
  base.load_functions({ self._scale_fn_custom }, { state._scale_fn_custom })
end

-- --- OneCycleLR -----------------------------------------------------------------------------------------
local OneCycleLR = LRScheduler:extend "OneCycleLR"
cyclic.OneCycleLR = OneCycleLR
local one_spec = args [[OneCycleLR(any optimizer, any max_lr, any total_steps=nil, any epochs=nil, any steps_per_epoch=nil,
  float pct_start=0.3, str anneal_strategy='cos', bool cycle_momentum=true, any base_momentum=0.85,
  any max_momentum=0.95, float div_factor=25.0, float final_div_factor=10000.0, bool three_phase=false,
  int last_epoch=-1)]]

local anneal = {
  cos = function(first, last, part) return last + (first - last) / 2.0 * (math.cos(math.pi * part) + 1) end,
  linear = function(first, last, part) return (last - first) * part + first end,
}

local function positive(what, value)
  if math.type(value) ~= "integer" or value <= 0 then
    args.fail("OneCycleLR", "Expected positive integer %s, but got %s", what, text.repr(value))
  end
  return value
end

local function phase(end_step, start_lr, end_lr, start, last)
  return { end_step = end_step, start_lr = start_lr, end_lr = end_lr, start_momentum = start, end_momentum = last }
end

--- From max_lr / div_factor up to max_lr in the share pct_start of all steps, then down to the start divided by
--- final_div_factor; step after every batch. three_phase: down to the start first, as long as up.
function OneCycleLR:init(...)
  local o = one_spec:collect(...)
  local optimizer = o.optimizer
  base.check_optimizer("OneCycleLR", optimizer)
  self.optimizer = optimizer
  if o.total_steps ~= nil then
    self.total_steps = positive("total_steps", o.total_steps)
  elseif o.epochs ~= nil and o.steps_per_epoch ~= nil then
    self.total_steps = positive("epochs", o.epochs) * positive("steps_per_epoch", o.steps_per_epoch)
  else
    args.fail("OneCycleLR", "You must define either total_steps OR (epochs AND steps_per_epoch)")
  end
  if not (o.pct_start >= 0 and o.pct_start <= 1) then
    args.fail("OneCycleLR", "Expected float between 0 and 1 pct_start, but got %s", text.repr(o.pct_start))
  end
  local total, share = self.total_steps, o.pct_start + 0.0
  if o.three_phase then
    self._schedule_phases = {
      phase(share * total - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
      phase(2 * share * total - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
      phase(total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
    }
  else
    self._schedule_phases = {
      phase(share * total - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
      phase(total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"),
    }
  end
  if not anneal[o.anneal_strategy] then
    args.fail("OneCycleLR", "anneal_strategy must be one of 'cos' or 'linear', instead got %s", o.anneal_strategy)
  end
  self._anneal_func_type = o.anneal_strategy
  local max_lrs = per_group("OneCycleLR", "max_lr", optimizer, o.max_lr)
  if o.last_epoch == -1 then
    for i, group in ipairs(optimizer.param_groups) do
      group.initial_lr, group.max_lr = max_lrs[i] / o.div_factor, max_lrs[i]
      group.min_lr = group.initial_lr / o.final_div_factor
    end
  end
  self.cycle_momentum = o.cycle_momentum
  if o.cycle_momentum then
    self.use_beta1 = finds_beta1("OneCycleLR", optimizer)
    local highest = per_group("OneCycleLR", "max_momentum", optimizer, o.max_momentum)
    local lowest = per_group("OneCycleLR", "base_momentum", optimizer, o.base_momentum)
    if o.last_epoch == -1 then start_momentum(optimizer, self.use_beta1, highest, lowest) end
  end
  LRScheduler.init(self, optimizer, o.last_epoch)
end

function OneCycleLR:get_lr()
  self:_warn_outside_step()
  local step, fn = self.last_epoch, anneal[self._anneal_func_type]
  if step > self.total_steps then
    args.fail("OneCycleLR.step", "Tried to step %d times. The specified number of total steps is %d", step,
      self.total_steps)
  end
  local start, current = 0.0, nil
  for i, candidate in ipairs(self._schedule_phases) do
    if step <= candidate.end_step or i == #self._schedule_phases then
      current = candidate
      break
    end
    start = candidate.end_step
  end
  local part = (step - start) / (current.end_step - start)
  local result = {}
  for i, group in ipairs(self.optimizer.param_groups) do
    result[i] = fn(group[current.start_lr], group[current.end_lr], part)
    if self.cycle_momentum then
      set_momentum(group, self.use_beta1, fn(group[current.start_momentum], group[current.end_momentum], part))
    end
  end
  return result
end

return cyclic
