-- AUROC and AveragePrecision: areas below curves that all thresholds together draw. Source: torchmetrics.
--
-- By default the scores themselves are kept, and each distinct score is a threshold (exact). With `thresholds` (a number of
-- them, a list or a tensor) only counts at these are kept: constant memory, an approximation.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Metric = require "lampad.metrics.metric"
local inputs = require "lampad.metrics.inputs"

local torch = core.torch
local Curve = Metric:extend "Curve"

local signature = [[(str task, any thresholds=nil, int num_classes=nil, int num_labels=nil, str average='macro'%s,
  int ignore_index=nil, bool validate_args=true)]]

local function threshold_tensor(what, thresholds)
  if math.type(thresholds) == "integer" then
    if thresholds < 2 then args.fail(what, "`thresholds` as a number must be larger than 1, got %d", thresholds) end
    return torch.linspace(0, 1, thresholds)
  end
  local ok, t = pcall(torch.as_tensor, thresholds, { dtype = torch.float32 })
  if not ok or t.ndim ~= 1 or t:numel() == 0 then
    args.fail(what, "`thresholds` must be an integer, a list of numbers or a 1-d tensor, got %s", text.describe(thresholds))
  end
  if not t:ge(0):logical_and(t:le(1)):all():item() then
    args.fail(what, "`thresholds` must be in the [0, 1] range, got %s", text.repr(t:tolist()))
  end
  return t:sort()
end

function Curve:_setup(o)
  local what = self.__name
  self.options = inputs.check_options(what, o)
  if o.task == "multiclass" and o.average == "micro" then
    args.fail(what, "`average` of a multiclass task must be 'macro', 'weighted' or 'none', got 'micro'")
  end
  -- An empty table in the place of the thresholds is one of options, none of which is set.
  if type(o.thresholds) == "table" and getmetatable(o.thresholds) == nil and next(o.thresholds) == nil then
    o.thresholds = nil
  end
  if o.thresholds ~= nil then
    self.thresholds = threshold_tensor(what, o.thresholds)
    -- Positive and negative scores at or above each threshold, and all of them, by class.
    local n = self.thresholds:size(0)
    self:add_state("tps", torch.zeros(o.width, n, { dtype = torch.int64 }), "sum")
    self:add_state("fps", torch.zeros(o.width, n, { dtype = torch.int64 }), "sum")
    self:add_state("positives", torch.zeros(o.width, { dtype = torch.int64 }), "sum")
    self:add_state("negatives", torch.zeros(o.width, { dtype = torch.int64 }), "sum")
  else
    self:add_state("preds", {}, "cat")
    self:add_state("target", {}, "cat")
  end
end

-- Scores (N, C) and what is true of them: class numbers (N) for multiclass, else (N, C).
local function flat(o, preds, target)
  target = target:to(torch.int64)
  if o.task == "binary" then
    preds, target = preds:reshape(-1), target:reshape(-1)
  else
    preds = preds:movedim(1, -1):reshape(-1, o.width)
    target = o.task == "multiclass" and target:reshape(-1) or target:movedim(1, -1):reshape(-1, o.width)
  end
  if o.ignore_index and o.task ~= "multilabel" then
    local keep = target:ne(o.ignore_index)
    preds, target = preds[keep], target[keep]
  end
  preds = inputs.probabilities(preds, o.task)
  if o.task == "binary" then return preds:unsqueeze(1), target:unsqueeze(1) end
  return preds, target
end

-- The scores of class c and whether each is true, without what is ignored.
local function of_class(o, preds, target, c)
  if o.task == "multiclass" then return preds:select(1, c), target:eq(c) end
  local scores, truth = preds:select(1, c), target:select(1, c)
  if o.task == "multilabel" and o.ignore_index then
    local keep = truth:ne(o.ignore_index)
    scores, truth = scores[keep], truth[keep]
  end
  return scores, truth:eq(1)
end

-- Adds, for each class, the numbers of scores at or above each threshold.
local function count_binned(self, preds, target)
  local o, n = self.options, self.thresholds:size(0)
  local rows = { tps = {}, fps = {}, positives = {}, negatives = {} }
  for c = 0, o.width - 1 do
    local scores, truth = of_class(o, preds, target, c)
    -- A score passes as many thresholds as are not above it: a histogram of that, summed from the end.
    local passed = torch.bucketize(scores:contiguous(), self.thresholds:to(scores.dtype), { right = true })
    local function above(which)
      return torch.bincount(passed[which], nil, n + 1):flip { 0 }:cumsum(0):flip { 0 }:narrow(0, 1, n)
    end
    rows.tps[c + 1], rows.fps[c + 1] = above(truth), above(truth:logical_not())
    rows.positives[c + 1] = truth:sum()
    rows.negatives[c + 1] = truth:numel() - truth:sum()
  end
  for name, list in pairs(rows) do self[name] = self[name] + torch.stack(list) end
end

--- update(preds, target): adds a batch of scores.
function Curve:update(preds, target)
  local o = self.options
  if o.validate_args then inputs.check(self.__name, o, preds, target, true) end
  preds, target = flat(o, preds:detach(), target)
  if self.thresholds then
    count_binned(self, preds, target)
  else
    table.insert(self.preds, preds)
    table.insert(self.target, target)
  end
end

-- True and false positives at each distinct score, from the highest, int64.
local function exact_counts(scores, truth)
  local n = scores:numel()
  if n == 0 then return torch.zeros(0, { dtype = torch.int64 }), torch.zeros(0, { dtype = torch.int64 }) end
  local order
  scores, order = scores:sort(-1, true)
  local ends = torch.cat { scores["1:"]:ne(scores[":-1"]):nonzero():reshape(-1), torch.tensor { n - 1 } }
  local tps = truth[order]:to(torch.int64):cumsum(0)[ends]
  return tps, ends + 1 - tps
end

-- For class c (nil: all together): tps, fps from the highest threshold on, and the numbers of positives and negatives.
local function counts_of(self, data, c)
  local o = self.options
  if self.thresholds then
    local function take(state) if c then return state[c] else return state:sum(0) end end
    return take(self.tps):flip { 0 }, take(self.fps):flip { 0 }, take(self.positives):item(), take(self.negatives):item()
  end
  local scores, truth
  if c then
    scores, truth = of_class(o, data.preds, data.target, c)
  else
    scores, truth = data.preds:reshape(-1), data.target:reshape(-1)
    if o.ignore_index then
      local keep = truth:ne(o.ignore_index)
      scores, truth = scores[keep], truth[keep]
    end
    truth = truth:eq(1)
  end
  local tps, fps = exact_counts(scores, truth)
  local positives = truth:sum():item()
  return tps, fps, positives, truth:numel() - positives
end

function Curve:compute()
  local o, data = self.options, nil
  if not self.thresholds then
    if #self.preds == 0 then args.fail(self.__name, "compute() needs at least one update()") end
    data = { preds = torch.cat(self.preds), target = torch.cat(self.target) }
    self._only_first = data.target:eq(0):all():item()
  end
  local function result(value) return torch.tensor(value, { dtype = torch.float32 }) end
  if o.task == "binary" then return result(self:_area(counts_of(self, data, 0))) end
  if o.average == "micro" then return result(self:_area(counts_of(self, data, nil))) end
  local areas, weights, sum, total = {}, {}, 0, 0
  for c = 0, o.width - 1 do
    local tps, fps, positives, negatives = counts_of(self, data, c)
    local area = self:_area(tps, fps, positives, negatives)
    areas[c + 1], weights[c + 1] = area, o.average == "weighted" and positives or 1
    if area == area then
      sum, total = sum + area * weights[c + 1], total + weights[c + 1]
    end
  end
  if o.average == "none" then return result(areas) end
  if o.average == "weighted" and total == 0 then return result(0.0) end
  return result(sum / total)
end

-- The integral of y over x by trapezoids.
local function trapezoids(x, y) return torch.trapezoid(y, x):item() end

-- --- AUROC --------------------------------------------------------------------------------------------
local AUROC = Curve:extend "AUROC"
local auroc_spec = args("AUROC" .. signature:format ", float max_fpr=nil")

--- AUROC(task, {num_classes, num_labels, average = "macro", thresholds, max_fpr, ignore_index}): the area below the curve of the
--- true positive rate over the false positive rate; the probability that a positive scores above a negative. max_fpr (binary)
--- takes the part up to that rate, scaled as McClish does.
function AUROC:init(...)
  local o = auroc_spec:collect(...)
  if o.max_fpr and not (o.max_fpr > 0 and o.max_fpr <= 1) then
    args.fail("AUROC", "`max_fpr` must be in the (0, 1] range, got %s", text.repr(o.max_fpr))
  end
  if o.max_fpr and o.task ~= "binary" then args.fail("AUROC", "`max_fpr` is for the binary task only") end
  self:_setup(o)
end

-- Without positives, or without negatives, the rate of these is taken as 0, as in torchmetrics.
function AUROC:_area(tps, fps, positives, negatives)
  local zero = torch.zeros(1, { dtype = torch.float64 })
  local tpr, fpr = tps:to(torch.float64) / math.max(positives, 1), fps:to(torch.float64) / math.max(negatives, 1)
  if not self.thresholds then tpr, fpr = torch.cat { zero, tpr }, torch.cat { zero, fpr } end
  local limit = self.options.max_fpr
  if not limit or limit == 1 or positives == 0 or negatives == 0 then return trapezoids(fpr, tpr) end
  local stop = torch.bucketize(torch.tensor(limit, { dtype = torch.float64 }), fpr, { right = true }):item()
  local x0, x1 = fpr[stop - 1]:item(), fpr[stop]:item()
  local y0, y1 = tpr[stop - 1]:item(), tpr[stop]:item()
  local y = torch.tensor({ y0 + (y1 - y0) * (limit - x0) / (x1 - x0) }, { dtype = torch.float64 })
  local x = torch.tensor({ limit }, { dtype = torch.float64 })
  local area = trapezoids(torch.cat { fpr:narrow(0, 0, stop), x }, torch.cat { tpr:narrow(0, 0, stop), y })
  local smallest = 0.5 * limit * limit
  return 0.5 * (1 + (area - smallest) / (limit - smallest))
end

-- --- AveragePrecision -----------------------------------------------------------------------------------
local AveragePrecision = Curve:extend "AveragePrecision"
local ap_spec = args("AveragePrecision" .. signature:format "")

--- AveragePrecision(task, {num_classes, num_labels, average = "macro", thresholds, ignore_index}): the mean of the precision at
--- each threshold, weighted by what the recall gains there.
function AveragePrecision:init(...) self:_setup(ap_spec:collect(...)) end

function AveragePrecision:_area(tps, fps, positives)
  tps, fps = tps:to(torch.float64), fps:to(torch.float64)
  local precision = inputs.divide(tps, tps + fps)
  if positives == 0 then
    -- Nothing to recall. As in torchmetrics the mean over classes leaves such a class out, if its scores were kept
    -- and other classes than the first were seen.
    return self.options.task == "multiclass" and not self.thresholds and not self._only_first and 0 / 0 or 0.0
  end
  local recall = tps / positives
  local before = torch.cat { torch.zeros(1, { dtype = torch.float64 }), recall[":-1"] }
  return ((recall - before) * precision):sum():item()
end

return { AUROC = AUROC, AveragePrecision = AveragePrecision }
