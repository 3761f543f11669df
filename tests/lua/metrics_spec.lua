-- torch.metrics against torchmetrics' values (tests/golden/metrics.lua), and by hand where the definition is plain.
local torch = require "lampad"
local metrics = torch.metrics
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/metrics.lua")

local function tensors(batch) return torch.tensor(batch[1]), torch.tensor(batch[2]) end

local function make(code) return assert(load("return torch.metrics." .. code, "=golden", "t", { torch = torch }))() end

-- Nested lists of numbers: equal within 1e-5, NaN equal to itself.
local function same(expected, got, path)
  if type(expected) == "table" then
    if type(got) ~= "table" or #expected ~= #got then return path .. ": other sizes" end
    for i = 1, #expected do
      local trouble = same(expected[i], got[i], path .. "[" .. i - 1 .. "]")
      if trouble then return trouble end
    end
    return nil
  end
  local ok = expected == got or (expected ~= expected and got ~= got)
    or type(got) == "number" and math.abs(expected - got) <= 1e-5 * math.max(1, math.abs(expected))
  if not ok then return ("%s is %s, expected %s"):format(path, tostring(got), tostring(expected)) end
end

local function values(t)
  if t.ndim == 0 then return t:item() end
  return t:tolist()
end

local function expect(row, what, expected, t)
  local trouble = same(expected, values(t), what)
  if trouble then error(row.code .. " on " .. row.data .. ": " .. trouble, 2) end
end

describe("metrics", function()
  -- One test for each class, not for each of the hundreds of cases.
  local by_class, order = {}, {}
  for _, row in ipairs(golden.cases) do
    local name = row.code:match "^%w+"
    if not by_class[name] then
      by_class[name] = {}
      order[#order + 1] = name
    end
    table.insert(by_class[name], row)
  end
  for _, name in ipairs(order) do
    it(("%s has torchmetrics' values in %d cases"):format(name, #by_class[name]), function()
      for _, row in ipairs(by_class[name]) do
        local metric, batches = make(row.code), golden.data[row.data]
        expect(row, "the first batch", row.first, metric(tensors(batches[1])))
        expect(row, "computed after it", row.first, metric:compute())
        metric:update(tensors(batches[2]))
        expect(row, "both batches", row.value, metric:compute())
      end
    end)

    it(name .. " goes on from its state_dict, and resets", function()
      local path = os.tmpname()
      for i, row in ipairs(by_class[name]) do
        if i % 7 == 1 then
          local metric, batches = make(row.code), golden.data[row.data]
          metric:update(tensors(batches[1]))
          torch.save(metric:state_dict(), path)
          local other = make(row.code)
          other:load_state_dict(torch.load(path))
          assert.equal(1, other:update_count())
          other:update(tensors(batches[2]))
          expect(row, "resumed", row.value, other:compute())
          expect(row, "untouched", row.first, metric:compute())
          other:reset()
          assert.is_false(other:update_called())
          other:update(tensors(batches[1]))
          expect(row, "after reset", row.first, other:compute())
          local copy = other:clone()
          copy:update(tensors(batches[2]))
          expect(row, "clone", row.value, copy:compute())
          expect(row, "cloned", row.first, other:compute())
        end
      end
      os.remove(path)
    end)
  end

  it("count without num_classes for the micro average", function()
    local accuracy = metrics.Accuracy("multiclass")
    accuracy:update(torch.tensor { 0, 5, 2 }, torch.tensor { 0, 5, 1 })
    assert.is_near(2 / 3, accuracy:compute():item(), 1e-6)
  end)

  it("take empty batches", function()
    for _, code in ipairs { "Accuracy('multiclass', {num_classes = 3})", "ConfusionMatrix('multiclass', {num_classes = 3})",
      "AUROC('multiclass', {num_classes = 3})", "AUROC('multiclass', {num_classes = 3, thresholds = 5})" } do
      local metric = make(code)
      metric:update(torch.zeros(0, 3), torch.zeros(0, { dtype = torch.int64 }))
      metric:update(torch.eye(3), torch.arange(3))
      metric:compute()
    end
    assert.equal(0, metrics.Accuracy("binary"):compute():item())
  end)

  it("leave the graph alone", function()
    local x = torch.rand(5, { requires_grad = true })
    local mse, auroc = metrics.MSE(), metrics.AUROC "binary"
    mse:update(x, torch.zeros(5))
    auroc:update(x, torch.tensor { 0, 1, 0, 1, 1 })
    assert.is_false(mse:compute().requires_grad)
    assert.is_false(auroc:compute().requires_grad)
  end)

  it("aggregate", function()
    local mean = metrics.Mean()
    assert.equal(metrics.MeanMetric, metrics.Mean)
    mean:update(1)
    mean:update(torch.tensor { 2.0, 3.0 })
    assert.equal(2, mean:compute():item())
    mean:update(10, 3)
    assert.equal(6, mean:compute():item())
    assert.equal(7, mean(torch.tensor { 6.0, 8.0 }, torch.tensor { 1.0, 1.0 }):item())
    assert.equal(6.25, mean:compute():item())
    mean:reset()
    assert.is_true(mean:compute():isnan():item())
    local sum, max, min = metrics.SumMetric(), metrics.MaxMetric(), metrics.MinMetric()
    for _, v in ipairs { 3, -1, 2 } do
      sum:update(v)
      max(v)
      min:update(torch.tensor { v, v + 1 })
    end
    assert.same({ 4, 3, -1 }, { sum:compute():item(), max:compute():item(), min:compute():item() })
    local nan = 0 / 0
    local strict, other = metrics.MeanMetric { nan_strategy = "error" }, metrics.MeanMetric { nan_strategy = 5 }
    assert.error_matches(function() strict:update(nan) end, "nan")
    local ignoring = metrics.MeanMetric { nan_strategy = "ignore" }
    ignoring:update(torch.tensor { nan, 4.0 })
    assert.equal(4, ignoring:compute():item())
    other:update(torch.tensor { nan, 5.0 })
    assert.equal(5, other:compute():item())
  end)

  it("are functions of one batch too", function()
    local names = { Accuracy = "accuracy", Precision = "precision", Recall = "recall", Specificity = "specificity", FBetaScore = "fbeta_score",
      F1Score = "f1_score", ConfusionMatrix = "confusion_matrix", AUROC = "auroc", AveragePrecision = "average_precision",
      MeanSquaredError = "mean_squared_error", MeanAbsoluteError = "mean_absolute_error", R2Score = "r2_score" }
    for class, name in pairs(names) do
      local rows = by_class[class]
      for _, row in ipairs { rows[1], rows[#rows] } do
        local arguments = row.code:match "^%w+%((.*)%)$"
        local f = assert(load(("local p, t = ... return torch.metrics.functional.%s(p, t%s)"):format(name,
          arguments == "" and "" or ", " .. arguments), "=golden", "t", { torch = torch }))
        expect(row, name, row.first, f(tensors(golden.data[row.data][1])))
      end
    end
  end)

  it("form collections", function()
    local all = metrics.MetricCollection({ accuracy = metrics.Accuracy "binary", f1 = metrics.F1 "binary" }, { prefix = "val_" })
    local preds, target = torch.tensor { 0.9, 0.2, 0.7 }, torch.tensor { 1, 0, 0 }
    local batch = all(preds, target)
    local value = all:compute()
    assert.is_near(2 / 3, value.val_accuracy:item(), 1e-6)
    assert.is_near(2 / 3, batch.val_f1:item(), 1e-6)
    local other = metrics.MetricCollection { accuracy = metrics.Accuracy "binary", f1 = metrics.F1 "binary" }
    other:load_state_dict(all:state_dict())
    other:update(preds, target)
    assert.is_near(2 / 3, other:compute().accuracy:item(), 1e-6)
    other:reset()
    assert.is_false(other.metrics.f1:update_called())
    local listed = metrics.MetricCollection { metrics.Accuracy "binary", metrics.Recall "binary" }
    listed:update(preds, target)
    assert.equal(1, listed:compute().Recall:item())
    assert.error_matches(function() metrics.MetricCollection { a = 1 } end, "'a' must be a metric")
    assert.error_matches(function() other:load_state_dict {} end, "state of 'accuracy' is missing")
  end)

  it("are written by the user too", function()
    local Spread = metrics.Metric:extend "Spread"
    function Spread:init()
      self:add_state("low", torch.tensor(math.huge), "min")
      self:add_state("high", torch.tensor(-math.huge), "max")
      self:add_state("calls", torch.tensor(0))
    end
    function Spread:update(x)
      self.low, self.high = torch.minimum(self.low, x:min()), torch.maximum(self.high, x:max())
      self.calls = self.calls + 1
    end
    function Spread:compute() return self.high - self.low end
    local spread = Spread()
    assert.equal(1, spread(torch.tensor { 1.0, 2.0 }):item())
    assert.equal(2, spread(torch.tensor { 5.0, 7.0 }):item())
    assert.same({ 6, 2, 2 }, { spread:compute():item(), spread:update_count(), spread.calls:item() })
    assert.error_matches(function() metrics.Metric:extend "Empty"():update() end, "Empty does not define update")
    assert.error_matches(function() spread:add_state("x", 3) end, "tensor or an empty list")
    assert.error_matches(function() spread:add_state("x", {}, "mean") end, "dist_reduce_fx")
  end)

  it("say what is wrong", function()
    local function fails(pattern, f)
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.truthy(message:find(pattern, 1, true), message)
      assert.truthy(message:find("metrics_spec.lua:", 1, true), message)
    end
    fails("`task` must be", function() metrics.Accuracy "regression" end)
    fails("needs `num_classes`", function() metrics.F1Score("multiclass", { average = "macro" }) end)
    fails("needs `num_labels`", function() metrics.F1Score "multilabel" end)
    fails("must be larger than 1", function() metrics.Recall("multiclass", { num_classes = 1 }) end)
    fails("`average` must be", function() metrics.Recall("multiclass", { num_classes = 3, average = "mean" }) end)
    fails("`threshold`", function() metrics.Recall("binary", { threshold = 2 }) end)
    fails("`top_k`", function() metrics.Recall("multiclass", { num_classes = 3, top_k = 4 }) end)
    fails("`multidim_average`", function() metrics.Recall("binary", { multidim_average = "all" }) end)
    fails("unknown argument 'num_clases'", function() metrics.Recall("multiclass", { num_clases = 3 }) end)
    fails("`normalize`", function() metrics.ConfusionMatrix("binary", { normalize = "rows" }) end)
    fails("`max_fpr`", function() metrics.AUROC("binary", { max_fpr = 2 }) end)
    fails("got 'micro'", function() metrics.AUROC("multiclass", { num_classes = 3, average = "micro" }) end)
    fails("`thresholds`", function() metrics.AUROC("binary", { thresholds = 1 }) end)
    fails("`thresholds`", function() metrics.AUROC("binary", { thresholds = { 0.5, 2 } }) end)
    fails("`beta`", function() metrics.FBetaScore("binary", { beta = 0 }) end)
    fails("`zero_division`", function() metrics.Precision("binary", { zero_division = 3 }) end)
    fails("`multioutput`", function() metrics.R2Score { multioutput = "mean" } end)
    fails("`num_outputs`", function() metrics.MSE { num_outputs = 0 } end)
    fails("`nan_strategy`", function() metrics.Mean { nan_strategy = "skip" } end)
    local accuracy = metrics.Accuracy("multiclass", { num_classes = 3 })
    fails("must be a tensor", function() accuracy:update({ 1 }, torch.tensor { 1 }) end)
    fails("'preds' must be a tensor, got nil", function() accuracy:update() end)
    fails("'target' must be a tensor, got nil", function() metrics.MSE():update(torch.ones(2)) end)
    fails("tensor of integers", function() accuracy:update(torch.tensor { 1 }, torch.tensor { 1.0 }) end)
    fails("same shape", function() accuracy:update(torch.tensor { 1, 2 }, torch.tensor { 1 }) end)
    fails("expected 0 to 2", function() accuracy:update(torch.tensor { 1, 2 }, torch.tensor { 1, 3 }) end)
    fails("torch.Size([2, 3])", function() accuracy:update(torch.rand(2, 4), torch.tensor { 1, 2 }) end)
    fails("must be floating", function() metrics.AUROC("binary"):update(torch.tensor { 1 }, torch.tensor { 1 }) end)
    fails("num_labels = 3", function()
      metrics.Accuracy("multilabel", { num_labels = 3 }):update(torch.rand(2, 4), torch.zeros(2, 4, { dtype = torch.int64 }))
    end)
    fails("at least one update", function() metrics.AUROC("binary"):compute() end)
    fails("at least two samples", function() metrics.R2():compute() end)
    fails("state 'tp' is missing", function() accuracy:load_state_dict {} end)
    assert.equal(0, accuracy:update_count())
    -- A batch that fails in forward leaves what was there.
    accuracy(torch.tensor { 0, 1 }, torch.tensor { 0, 0 })
    fails("same shape", function() accuracy(torch.tensor { 0 }, torch.tensor { 0, 0 }) end)
    assert.equal(0.5, accuracy:compute():item())
    assert.equal(1, accuracy:update_count())
  end)

  it("average precision of a class that is not there, as torchmetrics", function()
    local preds, none = torch.tensor { { 0.7, 0.3 }, { 0.4, 0.6 } }, { num_classes = 2, average = "none" }
    local first = metrics.functional.average_precision(preds, torch.tensor { 0, 0 }, "multiclass", none)
    assert.is_nil(same({ 1., 0. }, first:tolist(), "only class 0"))
    local second = metrics.functional.average_precision(preds, torch.tensor { 1, 1 }, "multiclass", none)
    assert.is_nil(same({ 0 / 0, 1. }, second:tolist(), "only class 1"))
  end)

  it("take an empty table of options", function()
    local area = metrics.AUROC("binary", {})(torch.tensor { 0.2, 0.9 }, torch.tensor { 0, 1 })
    assert.equal(1., area:item())
  end)
end)
