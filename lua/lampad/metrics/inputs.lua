-- What the classification metrics share: the options that say what the task is, checks of predictions and targets, and their
-- conversion to class numbers.
--
-- Predictions are probabilities, logits or class numbers:
--   binary      preds (N, ...) floating or 0/1          target (N, ...) of 0/1
--   multiclass  preds (N, C, ...) floating or (N, ...)  target (N, ...) of 0 .. C-1
--   multilabel  preds (N, L, ...) floating or 0/1       target (N, L, ...) of 0/1
-- Floating predictions outside [0, 1] are logits: sigmoid (softmax for multiclass) makes probabilities of them.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local torch = core.torch
local fail = args.fail
local inputs = {}

local tasks = { binary = true, multiclass = true, multilabel = true }
local averages = { micro = true, macro = true, weighted = true, none = true }

--- Checks the options of a metric, as spec:collect gave them, and completes them: o.width is the number of classes (1 for
--- binary; nil for a multiclass metric with average = "micro" and no num_classes).
function inputs.check_options(what, o)
  if not tasks[o.task] then
    fail(what, "`task` must be 'binary', 'multiclass' or 'multilabel', got '%s'", o.task)
  end
  o.average = o.average or "none"
  if not averages[o.average] then
    fail(what, "`average` must be 'micro', 'macro', 'weighted' or 'none', got '%s'", o.average)
  end
  if o.threshold and not (o.threshold >= 0 and o.threshold <= 1) then
    fail(what, "`threshold` must be in the [0, 1] range, got %s", text.repr(o.threshold))
  end
  if o.multidim_average and o.multidim_average ~= "global" and o.multidim_average ~= "samplewise" then
    fail(what, "`multidim_average` must be 'global' or 'samplewise', got '%s'", o.multidim_average)
  end
  if o.zero_division and o.zero_division ~= 0 and o.zero_division ~= 1 then
    fail(what, "`zero_division` must be 0 or 1, got %s", text.repr(o.zero_division))
  end
  local name = o.task == "multiclass" and "num_classes" or "num_labels"
  if o.task == "binary" then
    o.width = 1
  else
    o.width = o[name]
    if o.width == nil and not (o.task == "multiclass" and o.average == "micro" and o.top_k == 1 and o.free_width) then
      fail(what, "task '%s' needs `%s`", o.task, name)
    end
    if o.width and o.width < 2 then fail(what, "`%s` must be larger than 1, got %d", name, o.width) end
  end
  local top_k = o.top_k or 1
  if top_k < 1 or top_k > 1 and (o.task ~= "multiclass" or top_k > o.width) then
    fail(what, "`top_k` must be between 1 and the number of classes of a multiclass task, got %d", top_k)
  end
  return o
end

--- Raises unless both are tensors.
function inputs.check_pair(what, preds, target)
  if not torch.is_tensor(preds) then fail(what, "argument 'preds' must be a tensor, got %s", text.describe(preds)) end
  if not torch.is_tensor(target) then fail(what, "argument 'target' must be a tensor, got %s", text.describe(target)) end
end

local function check_tensors(what, preds, target)
  inputs.check_pair(what, preds, target)
  if target:is_floating_point() or target:is_complex() then
    fail(what, "`target` must be a tensor of integers, got %s", tostring(target.dtype))
  end
  if preds:is_complex() then fail(what, "`preds` must be real, got %s", tostring(preds.dtype)) end
end

-- The smallest and largest of the integers that are not ignored, or nil without any.
local function bounds(t, ignore_index)
  t = t:reshape(-1):to(torch.int64)
  if ignore_index then t = t[t:ne(ignore_index)] end
  if t:numel() == 0 then return nil end
  return t:min():item(), t:max():item()
end

local function check_range(what, name, t, width, ignore_index)
  local low, high = bounds(t, ignore_index)
  if low and (low < 0 or high >= width) then
    fail(what, "Detected values from %d to %d in `%s`, expected 0 to %d%s", low, high, name, width - 1,
      ignore_index and (" or ignore_index = %d"):format(ignore_index) or "")
  end
end

--- Checks shapes and values. `scores` asks for floating predictions, one for each class.
function inputs.check(what, o, preds, target, scores)
  check_tensors(what, preds, target)
  if scores and not preds:is_floating_point() then
    fail(what, "`preds` must be floating (probabilities or logits), got %s", tostring(preds.dtype))
  end
  local with_classes = preds.ndim == target.ndim + 1
  if o.task == "multiclass" and (with_classes or scores or o.top_k and o.top_k > 1) then
    local expected = { target:size(0), o.width or (preds.ndim > 1 and preds:size(1)) or 0 }
    for d = 1, target.ndim - 1 do expected[d + 2] = target:size(d) end
    if not with_classes or not preds:is_floating_point() or preds.shape ~= torch.Size(expected) then
      fail(what, "`preds` must be floating of shape %s for a target of shape %s, got %s of shape %s",
        tostring(torch.Size(expected)), tostring(target.shape), tostring(preds.dtype), tostring(preds.shape))
    end
  elseif preds.shape ~= target.shape then
    fail(what, "Expected `preds` and `target` to have the same shape, got %s and %s", tostring(preds.shape),
      tostring(target.shape))
  end
  if target.ndim == 0 then fail(what, "`preds` and `target` need a first dim of samples, got 0-d tensors") end
  if o.multidim_average == "samplewise" and target.ndim < (o.task == "multilabel" and 3 or 2) then
    fail(what, "multidim_average = 'samplewise' needs dims beyond the samples%s, got a target of shape %s",
      o.task == "multilabel" and " and labels" or "", tostring(target.shape))
  end
  if o.task == "multilabel" and (target.ndim < 2 or target:size(1) ~= o.width) then
    fail(what, "Expected dim 1 of `preds` and `target` to be num_labels = %d, got the shape %s", o.width,
      tostring(target.shape))
  end
  local values = o.task == "multiclass" and o.width or 2
  if o.task ~= "multiclass" or o.width then
    check_range(what, "target", target, values, o.ignore_index)
    if not preds:is_floating_point() then check_range(what, "preds", preds, values, o.ignore_index) end
  end
end

--- Probabilities from floating predictions: those that leave [0, 1] are logits.
function inputs.probabilities(preds, task)
  if preds:numel() == 0 or preds:ge(0):logical_and(preds:le(1)):all():item() then return preds end
  return task == "multiclass" and preds:softmax(1) or preds:sigmoid()
end

--- Whether a score means yes, as int64 of 0 and 1.
function inputs.decide(o, preds)
  if preds:is_floating_point() then preds = inputs.probabilities(preds, o.task):gt(o.threshold) end
  return preds:to(torch.int64)
end

--- The class numbers of multiclass predictions, int64, of target's shape. With top_k, a target among the k highest scores
--- counts as predicted, else the class with the highest one.
function inputs.classes(o, preds, target)
  target = target:to(torch.int64)
  if preds.ndim == target.ndim then return preds:to(torch.int64), target end
  if not o.top_k or o.top_k == 1 then return preds:argmax(1), target end
  local _, best = preds:topk(o.top_k, 1)
  local found = best:eq(target:unsqueeze(1)):any(1)
  return torch.where(found, target, best:select(1, 0)), target
end

--- num / den in float32 (float64 for float64 inputs), `instead` where den is 0.
function inputs.divide(num, den, instead)
  if not num:is_floating_point() then num = num:to(torch.float32) end
  if not den:is_floating_point() then den = den:to(torch.float32) end
  return torch.where(den:ne(0), num / den, torch.tensor(instead or 0.0, { dtype = num.dtype, device = num.device }))
end

return inputs
