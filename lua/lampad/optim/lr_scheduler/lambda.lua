-- Schedulers by a user's function of the epoch: LambdaLR, MultiplicativeLR.
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local Optimizer = require "lampad.optim.optimizer"
local base = require "lampad.optim.lr_scheduler.base"

local LRScheduler = base.LRScheduler
local lambda = {}

local function is_function(v)
  local meta = getmetatable(v)
  return type(v) == "function" or type(meta) == "table" and meta.__call ~= nil
end

-- One function a group, from one for all or a list.
local function functions_of(what, optimizer, given)
  local groups = class.isinstance(optimizer, Optimizer) and #optimizer.param_groups or 0
  local result = {}
  if type(given) == "table" and getmetatable(given) == nil then
    if #given ~= groups then args.fail(what, "Expected %d lr_lambdas, but got %d", groups, #given) end
    table.move(given, 1, groups, 1, result)
  else
    for i = 1, math.max(groups, 1) do result[i] = given end
  end
  for _, fn in ipairs(result) do
    if not is_function(fn) then
      args.fail(what, "lr_lambda should be a function, but got %s", text.describe(fn))
    end
  end
  return result
end

-- What both have in common: functions are not saved, fields of callable objects are.
local Lambda = LRScheduler:extend "LambdaScheduler"
Lambda._unsaved = { optimizer = true, lr_lambdas = true }

function Lambda:state_dict()
  local result = LRScheduler.state_dict(self)
  result.lr_lambdas = base.save_functions(self.lr_lambdas)
  return result
end

function Lambda:load_state_dict(state)
  LRScheduler.load_state_dict(self, state)
  base.load_functions(self.lr_lambdas, state.lr_lambdas)
end

-- --- LambdaLR -----------------------------------------------------------------------------------------
local LambdaLR = Lambda:extend "LambdaLR"
lambda.LambdaLR = LambdaLR
local lambda_spec = args "LambdaLR(any optimizer, any lr_lambda, int last_epoch=-1)"

--- The base rate times lr_lambda(epoch); a list of functions gives one a group.
function LambdaLR:init(...)
  local optimizer, lr_lambda, last_epoch = lambda_spec(...)
  self.lr_lambdas = functions_of("LambdaLR", optimizer, lr_lambda)
  LRScheduler.init(self, optimizer, last_epoch)
end

function LambdaLR:get_lr()
  self:_warn_outside_step()
  local result = {}
  for i, rate in ipairs(self.base_lrs) do result[i] = rate * self.lr_lambdas[i](self.last_epoch) end
  return result
end

-- --- MultiplicativeLR -----------------------------------------------------------------------------------
local MultiplicativeLR = Lambda:extend "MultiplicativeLR"
lambda.MultiplicativeLR = MultiplicativeLR
local multiplicative_spec = args "MultiplicativeLR(any optimizer, any lr_lambda, int last_epoch=-1)"

--- The rate times lr_lambda(epoch) at every epoch; a list of functions gives one a group.
function MultiplicativeLR:init(...)
  local optimizer, lr_lambda, last_epoch = multiplicative_spec(...)
  self.lr_lambdas = functions_of("MultiplicativeLR", optimizer, lr_lambda)
  LRScheduler.init(self, optimizer, last_epoch)
end

function MultiplicativeLR:get_lr()
  self:_warn_outside_step()
  if self._is_initial then return self:_map() end
  local result = {}
  for i, group in ipairs(self.optimizer.param_groups) do
    result[i] = group.lr * self.lr_lambdas[i](self.last_epoch)
  end
  return result
end

return lambda
