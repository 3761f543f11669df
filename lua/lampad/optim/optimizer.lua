-- optim.Optimizer: parameter groups, state and its saving; what SGD, Adam, ... have in common.
--
-- A subclass gives `_update(group, params, grads)`, which changes the parameters of one group in place;
-- `params` are those with a gradient. `self.state[p]` is a table kept for each parameter.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local Optimizer = class.extend(class.Object, "Optimizer")

-- PyTorch's options that are None here, for print and for reading its state_dicts.
Optimizer.none_options = { "foreach", "fused" }

--- params: an iterator or list of tensors, or a list of groups {params = ..., lr = ...}.
--- defaults: the options of groups that do not set their own.
function Optimizer:init(params, defaults)
  self.defaults = defaults
  self.state = {}
  self.param_groups = {}
  if torch.is_tensor(params) then
    args.fail(self.__name, "params must be an iterator or a list of tensors or tables, got %s",
      text.describe(params))
  end
  local list = iterate.list(params)
  if not list then
    args.fail(self.__name, "params must be an iterator or a list of tensors or tables, got %s",
      text.describe(params))
  end
  if #list == 0 then
    local key = type(params) == "table" and getmetatable(params) == nil and next(params)
    args.fail(self.__name, key ~= nil and key and "params holds the key '" .. tostring(key)
      .. "' but no list entries; wrap a group in a list: {{params = ...}}"
      or "optimizer got an empty parameter list; an iterator such as net:parameters() serves only once")
  end
  if type(list[1]) == "table" and getmetatable(list[1]) == nil then
    for _, group in ipairs(list) do self:add_param_group(group) end
  else
    self:add_param_group { params = list }
  end
end

--- Adds a group: {params = tensor, list or iterator, lr = ..., ...}.
function Optimizer:add_param_group(given)
  local what = self.__name .. ".add_param_group"
  if type(given) ~= "table" or getmetatable(given) ~= nil then
    args.fail(what, "param group must be a table, got %s", text.describe(given))
  end
  local names = { "params" }
  for name in pairs(self.defaults) do names[#names + 1] = name end
  names[#names + 1], names[#names + 2] = "initial_lr", "param_names"
  args.check_names(what, given, names)
  local group = {}
  for name, value in pairs(self.defaults) do group[name] = value end
  for name, value in pairs(given) do group[name] = value end
  local params = torch.is_tensor(group.params) and { group.params } or iterate.list(group.params)
  if not params then args.fail(what, "params must be tensors, got %s", text.describe(group.params)) end
  group.params = table.move(params, 1, #params, 1, {})
  local used = {}
  for _, other in ipairs(self.param_groups) do
    for _, p in ipairs(other.params) do used[p] = true end
  end
  for i, p in ipairs(group.params) do
    if not torch.is_tensor(p) then
      args.fail(what, "optimizer can only optimize tensors, but parameter %d is %s", i - 1, text.describe(p))
    end
    if not p.is_leaf then
      args.fail(what, "can't optimize a non-leaf tensor (parameter %d); optimize the tensors it was "
        .. "computed from, or x:detach()", i - 1)
    end
    if used[p] then
      args.fail(what, "some parameters appear in more than one parameter group, or twice in one (parameter %d)", i - 1)
    end
    used[p] = true
  end
  if self._check_group then self:_check_group(group) end
  self.param_groups[#self.param_groups + 1] = group
end

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

local function update_groups(self)
  for _, group in ipairs(self.param_groups) do
    local params, grads, all, n = {}, {}, group.params, 0
    for i = 1, #all do
      local grad = all[i].grad
      if grad ~= nil then
        n = n + 1
        params[n], grads[n] = all[i], grad
      end
    end
    if n > 0 then self:_update(group, params, grads) end
  end
end

--- One step. A closure, if given, computes the loss again (with gradients) and its result is returned.
function Optimizer:step(closure)
  local loss
  if closure ~= nil then loss = torch.enable_grad(closure) end
  torch.no_grad(function() update_groups(self) end)
  self._stepped = true
  return loss
end

-- --- state_dict ---------------------------------------------------------------------------------------
local function copy_options(group)
  local result = {}
  for name, value in pairs(group) do
    if name ~= "params" then
      result[name] = type(value) == "table" and table.move(value, 1, #value, 1, {}) or value
    end
  end
  return result
end

--- PyTorch's structure: state by parameter number from 0, and the groups with their parameters' numbers.
function Optimizer:state_dict()
  local result = { state = {}, param_groups = {} }
  local number = 0
  for i, group in ipairs(self.param_groups) do
    local packed = copy_options(group)
    packed.params = {}
    for j, p in ipairs(group.params) do
      packed.params[j] = number
      if self.state[p] then
        local entry = {}
        for name, value in pairs(self.state[p]) do
          -- PyTorch counts steps in a tensor.
          entry[name] = name == "step" and torch.tensor(value + 0.0) or value
        end
        result.state[number] = entry
      end
      number = number + 1
    end
    result.param_groups[i] = packed
  end
  return result
end

--- Takes over a state_dict() of an optimizer with the same groups; tensors are copied.
function Optimizer:load_state_dict(state_dict)
  local what = self.__name .. ".load_state_dict"
  local groups = type(state_dict) == "table" and state_dict.param_groups
  if type(groups) ~= "table" or type(state_dict.state) ~= "table" then
    args.fail(what, "expected a table with 'state' and 'param_groups', got %s", text.describe(state_dict))
  end
  if #groups ~= #self.param_groups then
    args.fail(what, "loaded state dict has a different number of parameter groups (%d, the optimizer has %d)",
      #groups, #self.param_groups)
  end
  for i, group in ipairs(groups) do
    if #group.params ~= #self.param_groups[i].params then
      args.fail(what, "loaded state dict contains a parameter group that doesn't match the size of optimizer's "
        .. "group (group %d has %d parameters, expected %d)", i - 1, #group.params, #self.param_groups[i].params)
    end
  end
  local state = {}
  for i, group in ipairs(groups) do
    local own = self.param_groups[i]
    for j, number in ipairs(group.params) do
      local p, saved = own.params[j], state_dict.state[number]
      if saved then
        local entry = {}
        for name, value in pairs(saved) do
          if torch.is_tensor(value) then
            if name == "step" then
              value = value:item()
            else
              value = value:detach():to(p.dtype):to(p.device):clone()
            end
          end
          entry[name] = value
        end
        state[p] = entry
      end
    end
    local options = copy_options(group)
    options.params = own.params
    self.param_groups[i] = options
  end
  self.state = state
end

--- The state of a parameter, made empty at first use.
function Optimizer:_state_of(p)
  local entry = self.state[p]
  if not entry then
    entry = {}
    self.state[p] = entry
  end
  return entry
end

--- Raises unless the group's option lies in range: check(group, "lr", group.lr >= 0).
function Optimizer:_require(group, name, holds)
  if not holds then
    args.fail(self.__name, "Invalid %s: %s", name == "lr" and "learning rate" or name .. " value",
      text.repr(group[name]))
  end
end

function Optimizer.__tostring(self)
  local lines = { self.__name .. " (" }
  for i, group in ipairs(self.param_groups) do
    lines[#lines + 1] = "Parameter Group " .. (i - 1)
    local names = table.move(self.none_options, 1, #self.none_options, 1, {})
    for name in pairs(group) do
      if name ~= "params" then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      lines[#lines + 1] = ("    %s: %s"):format(name, text.str(group[name]))
    end
  end
  return table.concat(lines, "\n") .. "\n)"
end

return Optimizer
