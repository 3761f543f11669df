-- optim.swa_utils: averages of a model's weights over the course of training: stochastic weight averaging (Izmailov et
-- al. 2018) and exponential moving averages (Polyak and Juditsky 1992).
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local base = require "lampad.optim.lr_scheduler.base"

local torch = core.torch
local swa = {}

-- --- averaging functions ------------------------------------------------------------------------------
local function check_decay(what, decay)
  if type(decay) == "table" then decay = decay.decay end
  if decay == nil then decay = 0.999 end
  if type(decay) ~= "number" or not (decay >= 0 and decay <= 1) then
    args.fail(what, "Invalid decay value %s provided. Please provide a value in [0,1] range.", text.repr(decay))
  end
  return decay
end

local function is_inexact(t) return t.dtype.is_floating_point or t.dtype.is_complex end

local function number(v) return torch.is_tensor(v) and v:item() or v end

-- averaged += weight * (current - averaged) for each of the lists; integers are rounded as copies are.
local function lerp_lists(averaged, current, weight)
  torch.no_grad(function()
    for i, t in ipairs(averaged) do
      if is_inexact(t) then
        t:lerp_(current[i], weight)
      else
        t:copy_(t * (1 - weight) + current[i] * weight)
      end
    end
  end)
end

--- get_ema_multi_avg_fn(decay = 0.999): a function(averaged list, current list, count) that moves the averages by the
--- share 1 - decay.
function swa.get_ema_multi_avg_fn(decay)
  decay = check_decay("get_ema_multi_avg_fn", decay)
  return function(averaged, current) lerp_lists(averaged, current, 1 - decay) end
end

--- get_swa_multi_avg_fn(): a function(averaged list, current list, count) for the equal average of all models.
function swa.get_swa_multi_avg_fn()
  return function(averaged, current, count) lerp_lists(averaged, current, 1 / (number(count) + 1)) end
end

--- get_ema_avg_fn(decay = 0.999): a function(averaged, current, count) -> the new average of one tensor.
function swa.get_ema_avg_fn(decay)
  decay = check_decay("get_ema_avg_fn", decay)
  return function(averaged, current)
    return torch.no_grad(function() return averaged * decay + current * (1 - decay) end)
  end
end

--- get_swa_avg_fn(): the same for the equal average.
function swa.get_swa_avg_fn()
  return function(averaged, current, count)
    return torch.no_grad(function() return averaged + (current - averaged) / (number(count) + 1) end)
  end
end

-- --- AveragedModel ------------------------------------------------------------------------------------
local AveragedModel = Module:extend "AveragedModel"
swa.AveragedModel = AveragedModel
local model_spec = args [[AveragedModel(Module model, any device=nil, function avg_fn=nil, function multi_avg_fn=nil,
  bool use_buffers=false)]]

--- A copy of the model, in `module`, that update_parameters(model) moves to the average. The default is the equal
--- average; avg_fn(averaged, current, count) gives another one for single tensors, multi_avg_fn for lists, in place.
--- use_buffers: average buffers too, instead of copying them.
function AveragedModel:init(...)
  local model, device, avg_fn, multi_avg_fn, use_buffers = model_spec(...)
  if avg_fn and multi_avg_fn then
    args.fail("AveragedModel", "Only one of avg_fn and multi_avg_fn should be provided")
  end
  self.module = model:deepcopy()
  if device ~= nil then self.module:to(device) end
  self:register_buffer("n_averaged", torch.tensor(0, { dtype = torch.int64 }))
  self:_set { avg_fn = avg_fn or false, multi_avg_fn = multi_avg_fn or false, use_buffers = use_buffers }
end

function AveragedModel:forward(...) return self.module(...) end

local function tensors_of(module, with_buffers)
  local result = {}
  for p in module:parameters() do result[#result + 1] = p:detach() end
  if with_buffers then
    for b in module:buffers() do result[#result + 1] = b:detach() end
  end
  return result
end

-- Lists of tensors of one dtype, in the order of first appearance.
local function by_dtype(averaged, current)
  local groups, order = {}, {}
  for i, t in ipairs(averaged) do
    local key = tostring(t.dtype)
    if not groups[key] then
      groups[key] = { {}, {} }
      order[#order + 1] = groups[key]
    end
    table.insert(groups[key][1], t)
    table.insert(groups[key][2], current[i])
  end
  return order
end

local function average(self, averaged, current)
  if self.avg_fn then
    for i, t in ipairs(averaged) do t:copy_(self.avg_fn(t, current[i], self.n_averaged)) end
    return
  end
  local fn = self.multi_avg_fn or swa.get_swa_multi_avg_fn()
  for _, lists in ipairs(by_dtype(averaged, current)) do fn(lists[1], lists[2], self.n_averaged) end
end

--- Takes the model's parameters into the average; the first call copies them.
function AveragedModel:update_parameters(model)
  if not Module.is_module(model) then
    args.fail("AveragedModel.update_parameters", "expected a module, got %s", text.describe(model))
  end
  local averaged, current = tensors_of(self.module, self.use_buffers), tensors_of(model, self.use_buffers)
  if #averaged ~= #current then
    args.fail("AveragedModel.update_parameters", "the model has %d tensors, the averaged one %d", #current, #averaged)
  end
  if self.n_averaged:item() == 0 then
    for i, t in ipairs(averaged) do t:copy_(current[i]) end
  else
    average(self, averaged, current)
  end
  if not self.use_buffers then
    local next_buffer = model:buffers()
    for b in self.module:buffers() do b:detach():copy_(next_buffer():detach()) end
  end
  self.n_averaged:add_(1)
end

-- --- update_bn ----------------------------------------------------------------------------------------
-- Instance normalisations keep their statistics.
local function is_batch_norm(module)
  local nn = require "lampad.nn"
  for _, C in ipairs { nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d } do
    if class.isinstance(module, C) then return true end
  end
  return false
end

local bn_spec = args "update_bn(any loader, Module model, any device=nil)"

--- Computes the running statistics of the model's batch normalisations anew, in one pass over the loader. Of a batch of
--- several values the first is the input.
function swa.update_bn(...)
  local loader, model, device = bn_spec(...)
  local momenta = {}
  for module in model:modules() do
    if is_batch_norm(module) then
      module:reset_running_stats()
      momenta[#momenta + 1] = { module, module.momentum }
    end
  end
  if #momenta == 0 then return end
  local iterator = require("lampad.iterate").iterator(loader)
  if not iterator then
    args.fail("update_bn", "loader must be a data loader, an iterator or a list of batches, got %s",
      text.describe(loader))
  end
  local was_training = model.training
  model:train()
  for _, row in ipairs(momenta) do rawset(row[1], "momentum", nil) end -- nil: the plain average of all batches
  local ok, err = pcall(torch.no_grad, function()
    for input in iterator do
      if type(input) == "table" and getmetatable(input) == nil then input = input[1] end
      if device ~= nil then input = input:to(device) end
      model(input)
    end
  end)
  for _, row in ipairs(momenta) do rawset(row[1], "momentum", row[2]) end
  model:train(was_training)
  if not ok then error(err, 0) end
end

-- --- SWALR --------------------------------------------------------------------------------------------
local SWALR = base.LRScheduler:extend "SWALR"
swa.SWALR = SWALR
local swalr_spec = args [[SWALR(any optimizer, any swa_lr, any anneal_epochs=10, str anneal_strategy='cos',
  int last_epoch=-1)]]

local anneal = {
  linear = function(t) return t end,
  cos = function(t) return (1 - math.cos(math.pi * t)) / 2 end,
}

--- From the rate in force to swa_lr (a number, or one a group) in anneal_epochs epochs, then constant.
function SWALR:init(...)
  local optimizer, swa_lr, epochs, strategy, last_epoch = swalr_spec(...)
  base.check_optimizer("SWALR", optimizer)
  for i, rate in ipairs(base.per_group("SWALR", "swa_lr", optimizer, swa_lr)) do
    optimizer.param_groups[i].swa_lr = rate
  end
  if not anneal[strategy] then
    args.fail("SWALR", "anneal_strategy must be one of 'cos' or 'linear', instead got %s", strategy)
  end
  if math.type(epochs) ~= "integer" or epochs < 0 then
    args.fail("SWALR", "anneal_epochs must be equal or greater than 0, got %s", text.repr(epochs))
  end
  self._anneal_strategy, self.anneal_epochs = strategy, epochs
  base.LRScheduler.init(self, optimizer, last_epoch)
end

function SWALR:get_lr()
  self:_warn_outside_step()
  local fn, epochs = anneal[self._anneal_strategy], self.anneal_epochs
  local step = self._step_count - 1
  if epochs == 0 then step = math.max(1, step) end
  -- The rate without annealing is what the last step's share of swa_lr leaves of the current one.
  local before = fn(math.max(0, math.min(1, (step - 1) / math.max(1, epochs))))
  local now = fn(math.max(0, math.min(1, step / math.max(1, epochs))))
  local result = {}
  for i, group in ipairs(self.optimizer.param_groups) do
    local own = before == 1 and group.swa_lr or (group.lr - before * group.swa_lr) / (1 - before)
    result[i] = group.swa_lr * now + own * (1 - now)
  end
  return result
end

return swa
