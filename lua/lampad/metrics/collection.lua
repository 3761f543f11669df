-- MetricCollection: several metrics that get the same batches.
--
--   local metrics = torch.metrics.MetricCollection {
--     accuracy = torch.metrics.Accuracy("multiclass", {num_classes = 10}),
--     f1 = torch.metrics.F1Score("multiclass", {num_classes = 10, average = "macro"}),
--   }
--   metrics:update(net(x), y)
--   for name, value in metrics:compute():items() do print(name, value:item()) end
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local OrderedDict = require "lampad.ordered_dict"
local Metric = require "lampad.metrics.metric"

local MetricCollection = class.extend(class.Object, "MetricCollection")
local spec = args "MetricCollection(table metrics, *, str prefix='', str postfix='')"

--- MetricCollection(metrics, {prefix, postfix}): a table by name (ordered by name), an OrderedDict, or a list, whose names are
--- those of the classes.
function MetricCollection:init(...)
  local given, prefix, postfix
  if select("#", ...) == 1 then
    given, prefix, postfix = (...), "", ""
  else
    given, prefix, postfix = spec(...)
  end
  if type(given) ~= "table" then
    args.fail("MetricCollection", "argument 'metrics' must be a table of metrics, got %s", text.describe(given))
  end
  local metrics = OrderedDict()
  if #given > 0 and not OrderedDict.is(given) then
    for _, metric in ipairs(given) do
      local name = type(metric) == "table" and metric.__name or "?"
      if metrics[name] then args.fail("MetricCollection", "two metrics named '%s': give a table with names", name) end
      metrics[name] = metric
    end
  else
    metrics = OrderedDict(given)
  end
  for name, metric in metrics:items() do
    if not class.isinstance(metric, Metric) then
      args.fail("MetricCollection", "'%s' must be a metric, got %s", tostring(name), text.describe(metric))
    end
  end
  self.metrics, self.prefix, self.postfix = metrics, prefix, postfix
end

local function each(self, call)
  local result = OrderedDict()
  for name, metric in OrderedDict.items(self.metrics) do
    result[self.prefix .. name .. self.postfix] = call(metric)
  end
  return result
end

--- Adds a batch to every metric.
function MetricCollection:update(...)
  for metric in OrderedDict.values(self.metrics) do metric:update(...) end
end

--- The values of all batches so far, an ordered map by name.
function MetricCollection:compute() return each(self, function(metric) return metric:compute() end) end

--- Adds a batch; the values of that batch alone. collection(...) is the same.
function MetricCollection:forward(...)
  local given = table.pack(...)
  return each(self, function(metric) return metric:forward(table.unpack(given, 1, given.n)) end)
end

MetricCollection.__meta.__call = function(self, ...) return self:forward(...) end

function MetricCollection:reset()
  for metric in OrderedDict.values(self.metrics) do metric:reset() end
end

--- The state_dicts of the metrics by name.
function MetricCollection:state_dict()
  local result = OrderedDict()
  for name, metric in OrderedDict.items(self.metrics) do result[name] = metric:state_dict() end
  return result
end

--- Takes over a state_dict() of a collection with the same names.
function MetricCollection:load_state_dict(state_dict)
  for name, metric in OrderedDict.items(self.metrics) do
    if type(state_dict) ~= "table" or state_dict[name] == nil then
      args.fail("MetricCollection.load_state_dict", "the state of '%s' is missing", name)
    end
    metric:load_state_dict(state_dict[name])
  end
end

function MetricCollection:to(...)
  for metric in OrderedDict.values(self.metrics) do metric:to(...) end
  return self
end

return MetricCollection
