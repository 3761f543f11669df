-- Accuracy, Precision, Recall, Specificity, FBetaScore, F1Score: quotients of the numbers of true and false positives and
-- negatives of each class, averaged as asked. Source: torchmetrics' metrics of these names, whose values these are.
--
-- The numbers are kept by class: shape (C) with multidim_average = "global", (N, C) with "samplewise". Average "micro" adds
-- the classes first and keeps one number.
local core = require "lampad.core"
local args = require "lampad.args"
local Metric = require "lampad.metrics.metric"
local inputs = require "lampad.metrics.inputs"

local torch = core.torch
local divide = inputs.divide

local StatScores = Metric:extend "StatScores"
local names = { "tp", "fp", "tn", "fn" }

local common = [[str task, float threshold=0.5, int num_classes=nil, int num_labels=nil, str average='micro',
  str multidim_average='global', int? top_k=1, int ignore_index=nil, bool validate_args=true]]

function StatScores:_setup(o)
  o.free_width = true
  o.top_k = o.top_k or 1
  self.options = inputs.check_options(self.__name, o)
  local samplewise = o.multidim_average == "samplewise"
  for _, name in ipairs(names) do
    local one_number = o.average == "micro" and o.task ~= "binary"
    local zero = torch.zeros(one_number and 1 or o.width, { dtype = torch.int64 })
    self:add_state(name, samplewise and {} or zero, samplewise and "cat" or "sum")
  end
end

-- Numbers by class from class numbers (N, X): by counting three ways. Samples are counted apart by giving each its own classes.
local function count_classes(o, preds, target)
  local rows = o.multidim_average == "samplewise" and target:size(0) or 1
  local width = o.width or math.max(0, preds:numel() > 0 and math.max(preds:max():item(), target:max():item()) or 0) + 1
  preds, target = preds:reshape(rows, -1), target:reshape(rows, -1)
  if rows > 1 then
    local first = torch.arange(rows, { device = target.device }):unsqueeze(1) * width
    local keep = o.ignore_index and target:ne(o.ignore_index)
    preds, target = preds + first, target + first
    if keep then preds, target = preds[keep], target[keep] end
  elseif o.ignore_index then
    local keep = target:ne(o.ignore_index)
    preds, target = preds[keep], target[keep]
  end
  preds, target = preds:reshape(-1), target:reshape(-1)
  local function count(t) return torch.bincount(t, nil, rows * width):reshape(rows, width) end
  local tp = count(target[preds:eq(target)])
  local fp, fn = count(preds) - tp, count(target) - tp
  local tn = (tp + fn):sum(1, true) - tp - fp - fn
  return tp, fp, tn, fn
end

-- Numbers by label from yes and no (N, L, X).
local function count_labels(o, preds, target)
  local dims = o.multidim_average == "samplewise" and { 2 } or { 0, 2 }
  local yes, no = target:eq(1), target:eq(0)
  local function count(found, decided) return found:logical_and(decided):sum(dims) end
  local said_yes = preds:eq(1)
  local said_no = said_yes:logical_not()
  return count(yes, said_yes), count(no, said_yes), count(no, said_no), count(yes, said_no)
end

--- update(preds, target): adds a batch.
function StatScores:update(preds, target)
  local o = self.options
  if o.validate_args then inputs.check(self.__name, o, preds, target) end
  local counts
  if o.task == "multiclass" then
    preds, target = inputs.classes(o, preds, target)
    counts = { count_classes(o, preds, target) }
  else
    local labels = o.task == "multilabel" and o.width or 1
    preds, target = inputs.decide(o, preds), target:to(torch.int64)
    if o.ignore_index then target = target:masked_fill(target:eq(o.ignore_index), -1) end
    local rest = target:numel() // math.max(1, target:size(0) * labels)
    local shape = { target:size(0), labels, rest }
    counts = { count_labels(o, preds:reshape(shape), target:reshape(shape)) }
  end
  for i, name in ipairs(names) do
    local count = counts[i]
    if o.average == "micro" and o.task ~= "binary" then count = count:sum(-1, true) end
    if o.multidim_average == "samplewise" then
      table.insert(self[name], count)
    else
      self[name] = self[name] + count:reshape(self[name].shape)
    end
  end
end

function StatScores:compute()
  local o, counts = self.options, {}
  for i, name in ipairs(names) do
    local value = self[name]
    if not torch.is_tensor(value) then
      value = #value > 0 and torch.cat(value) or torch.zeros(0, o.average == "micro" and 1 or o.width, { dtype = torch.int64 })
    end
    counts[i] = value
  end
  local tp, fp, _, fn = table.unpack(counts)
  local score = self:_score(table.unpack(counts))
  if o.task == "binary" or o.average == "micro" then return score:squeeze(-1) end
  if o.average == "none" then return score end
  local weights
  if o.average == "weighted" then
    weights = (tp + fn):to(score.dtype)
  else
    weights = torch.ones_like(score)
    if o.task == "multiclass" then -- classes that never occur have no score
      local seen = tp + fn
      if o.top_k == 1 or not self.counts_true_only then seen = seen + fp end
      weights = weights:masked_fill(seen:eq(0), 0)
    end
  end
  return divide(weights * score, weights:sum(-1, true)):sum(-1)
end

-- --- the scores -----------------------------------------------------------------------------------
local function define(name, more, score)
  local C = StatScores:extend(name)
  local spec = args(name .. "(" .. common .. (more or ", float zero_division=0") .. ")")
  function C:init(...) self:_setup(spec:collect(...)) end
  C._score = score
  return C
end

--- Accuracy(task, {num_classes, num_labels, average = "micro", threshold = 0.5, top_k = 1, ignore_index,
--- multidim_average = "global"}): the part that is right. By class it is the recall, as in torchmetrics.
local Accuracy = define("Accuracy", "", function(self, tp, fp, tn, fn)
  if self.options.task == "multiclass" then return divide(tp, tp + fn) end
  return divide(tp + tn, tp + tn + fp + fn)
end)

--- Precision(task, {...}): tp / (tp + fp).
local Precision = define("Precision", nil, function(self, tp, fp)
  return divide(tp, tp + fp, self.options.zero_division)
end)

--- Recall(task, {...}): tp / (tp + fn).
local Recall = define("Recall", nil, function(self, tp, _, _, fn)
  return divide(tp, tp + fn, self.options.zero_division)
end)

--- Specificity(task, {...}): tn / (tn + fp).
local Specificity = define("Specificity", "", function(_, _, fp, tn) return divide(tn, tn + fp) end)

-- torchmetrics leaves out classes that no target has when top_k is larger than 1, except for the F scores.
Accuracy.counts_true_only, Precision.counts_true_only, Recall.counts_true_only = true, true, true

local function f_score(self, tp, fp, _, fn)
  local square = self.options.beta * self.options.beta
  return divide((1 + square) * tp, (1 + square) * tp + square * fn + fp, self.options.zero_division)
end

--- FBetaScore(task, {beta = 1, ...}): the harmonic mean of precision and recall, recall counting beta^2 times.
local FBetaScore = StatScores:extend "FBetaScore"
local beta_spec = args("FBetaScore(str task, float beta=1.0, " .. common:gsub("^str task, ", "") .. ", float zero_division=0)")
function FBetaScore:init(...)
  local o = beta_spec:collect(...)
  if o.beta <= 0 then args.fail("FBetaScore", "`beta` must be larger than 0, got %s", tostring(o.beta)) end
  self:_setup(o)
end
FBetaScore._score = f_score

--- F1Score(task, {...}): FBetaScore with beta = 1.
local F1Score = define("F1Score", nil, f_score)
local setup = F1Score.init
function F1Score:init(...)
  setup(self, ...)
  self.options.beta = 1.0
end

return {
  Accuracy = Accuracy, Precision = Precision, Recall = Recall, Specificity = Specificity, FBetaScore = FBetaScore,
  F1Score = F1Score,
}
