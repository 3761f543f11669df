-- metrics.Metric: the base of all metrics. It keeps states that batches add to, and computes the value from them.
--
--   local accuracy = torch.metrics.Accuracy("multiclass", {num_classes = 10})
--   for x, y in loader:iter() do accuracy:update(net(x), y) end
--   print(accuracy:compute())
--
-- A subclass declares its states with add_state in init and defines update(...) and compute(). A state is a tensor, or a
-- list of tensors that grows. Source: torchmetrics.Metric.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"

local torch = core.torch
local Metric = class.extend(class.Object, "Metric")

function Metric.allocate(C)
  return setmetatable({ _states = {}, _order = {}, _updates = 0 }, C.__meta)
end

-- How two values of a state, of other batches, become one.
local mergers = {
  sum = function(a, b) return a + b end,
  max = function(a, b) return torch.maximum(a, b) end,
  min = function(a, b) return torch.minimum(a, b) end,
  cat = function(a, b) return table.move(b, 1, #b, #a + 1, table.move(a, 1, #a, 1, {})) end,
}

local function copy_of(value)
  if torch.is_tensor(value) then return value:detach():clone() end
  return table.move(value, 1, #value, 1, {})
end

local state_spec = args "add_state(str name, any default, str dist_reduce_fx=nil)"

--- add_state(name, default, dist_reduce_fx): a state that begins as `default`: a tensor, or an empty list with "cat".
--- dist_reduce_fx ("sum", "max", "min" or "cat") says how values of different batches combine.
function Metric:add_state(...)
  local name, default, reduce = state_spec(...)
  if not torch.is_tensor(default) and (type(default) ~= "table" or next(default) ~= nil) then
    args.fail("add_state", "state variable must be a tensor or an empty list, got %s", text.describe(default))
  end
  if reduce ~= nil and not mergers[reduce] then
    args.fail("add_state", "`dist_reduce_fx` must be one of 'sum', 'max', 'min', 'cat', got '%s'", reduce)
  end
  if not self._states[name] then self._order[#self._order + 1] = name end
  self._states[name] = { default = copy_of(default), reduce = reduce or not torch.is_tensor(default) and "cat" or nil }
  self[name] = copy_of(default)
end

function Metric:update()
  args.fail(nil, "%s does not define update(...), which adds a batch to the states", self.__name)
end

function Metric:compute()
  args.fail(nil, "%s does not define compute(), which gives the value of all batches so far", self.__name)
end

--- Sets every state back to its default.
function Metric:reset()
  for name, state in pairs(self._states) do self[name] = copy_of(state.default) end
  self._updates = 0
end

local function take_states(self)
  local taken = {}
  for name in pairs(self._states) do taken[name] = self[name] end
  return taken
end

--- Adds a batch and returns the value of that batch alone; metric(...) is the same.
function Metric:forward(...)
  local before, updates = take_states(self), self._updates
  self:reset()
  local ok, value = pcall(function(...)
    self:update(...)
    return self:compute()
  end, ...)
  if not ok then
    for name in pairs(self._states) do self[name] = before[name] end
    self._updates = updates
    error(value, 0)
  end
  local again = false
  for name, state in pairs(self._states) do
    local merge = mergers[state.reduce]
    if merge then self[name] = merge(before[name], self[name]) else again = true end
  end
  if again then -- a state that nothing merges: the batch is added once more, to the old states
    for name in pairs(self._states) do self[name] = before[name] end
    self:update(...)
  end
  self._updates = updates + 1
  return value
end

Metric.__meta.__call = function(self, ...) return self:forward(...) end

-- Every update runs without recording, and is counted, whoever defines it: extend wraps it when it is set.
local function counted(update)
  return function(self, ...)
    local _ <close> = torch.no_grad()
    update(self, ...)
    self._updates = self._updates + 1
  end
end

function Metric.extend(parent, name)
  local C = class.extend(parent, name)
  local meta = getmetatable(C)
  local set = meta.__newindex
  meta.__newindex = function(self, key, value) set(self, key, key == "update" and counted(value) or value) end
  return C
end

--- How many batches were added since the last reset.
function Metric:update_count() return self._updates end

--- True once a batch was added.
function Metric:update_called() return self._updates > 0 end

--- The states by name, in the order of add_state, and the number of updates: what load_state_dict takes to go on.
function Metric:state_dict()
  local result = OrderedDict()
  for _, name in ipairs(self._order) do result[name] = copy_of(self[name]) end
  result.update_count = self._updates
  return result
end

--- Takes over the states of a state_dict() of the same kind of metric.
function Metric:load_state_dict(state_dict)
  local what = self.__name .. ".load_state_dict"
  if type(state_dict) ~= "table" then args.fail(what, "state_dict must be a table, got %s", text.describe(state_dict)) end
  for _, name in ipairs(self._order) do
    local value, default = state_dict[name], self._states[name].default
    if value == nil then args.fail(what, "the state '%s' is missing", name) end
    if torch.is_tensor(value) ~= torch.is_tensor(default) then
      args.fail(what, "the state '%s' must be %s, got %s", name, torch.is_tensor(default) and "a tensor" or "a list of tensors",
        text.describe(value))
    end
    if torch.is_tensor(value) and value.shape ~= default.shape and default.ndim > 0 then
      args.fail(what, "size mismatch for the state '%s': %s in the state_dict, %s here", name, tostring(value.shape),
        tostring(default.shape))
    end
  end
  for _, name in ipairs(self._order) do self[name] = copy_of(state_dict[name]) end
  self._updates = state_dict.update_count or 0
end

--- Moves the states to a device, as metric:to("cuda").
function Metric:to(...)
  for _, name in ipairs(self._order) do
    local value = self[name]
    if torch.is_tensor(value) then
      self[name] = value:to(...)
    else
      for i = 1, #value do value[i] = value[i]:to(...) end
    end
    local state = self._states[name]
    if torch.is_tensor(state.default) then state.default = state.default:to(...) end
  end
  return self
end

--- An independent metric of the same settings and states.
function Metric:clone()
  local other = setmetatable({}, getmetatable(self))
  for key, value in pairs(self) do rawset(other, key, value) end
  for name in pairs(self._states) do other[name] = copy_of(self[name]) end
  local states = {}
  for name, state in pairs(self._states) do states[name] = { default = state.default, reduce = state.reduce } end
  rawset(other, "_states", states)
  return other
end

function Metric.__tostring(self) return self.__name .. "()" end

return Metric
