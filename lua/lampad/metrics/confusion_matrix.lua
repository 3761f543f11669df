-- ConfusionMatrix: how often each class was taken for each; rows are true classes, columns predicted ones.
-- Source: torchmetrics.ConfusionMatrix.
local core = require "lampad.core"
local args = require "lampad.args"
local Metric = require "lampad.metrics.metric"
local inputs = require "lampad.metrics.inputs"

local torch = core.torch
local ConfusionMatrix = Metric:extend "ConfusionMatrix"
local spec = args [[ConfusionMatrix(str task, float threshold=0.5, int num_classes=nil, int num_labels=nil,
  str normalize=nil, int ignore_index=nil, bool validate_args=true)]]
local ways = { ["true"] = true, pred = true, all = true, none = true }

--- ConfusionMatrix(task, {num_classes, num_labels, threshold = 0.5, normalize, ignore_index}). compute() gives int64 of shape
--- (C, C), (2, 2) for binary and (L, 2, 2) for multilabel. normalize = "true" divides by the sums of the rows, "pred" of the
--- columns, "all" by that of the matrix; the result is float32, with 0 for 0 / 0.
function ConfusionMatrix:init(...)
  local o = spec:collect(...)
  o.normalize = o.normalize or "none"
  if not ways[o.normalize] then
    args.fail("ConfusionMatrix", "`normalize` must be 'true', 'pred', 'all' or 'none', got '%s'", o.normalize)
  end
  self.options = inputs.check_options("ConfusionMatrix", o)
  local shape = { 2, 2 }
  if o.task == "multiclass" then shape = { o.width, o.width } end
  if o.task == "multilabel" then shape = { o.width, 2, 2 } end
  self:add_state("confmat", torch.zeros(shape, { dtype = torch.int64 }), "sum")
end

--- update(preds, target): adds a batch.
function ConfusionMatrix:update(preds, target)
  local o = self.options
  if o.validate_args then inputs.check("ConfusionMatrix", o, preds, target) end
  local cells, keep
  if o.task == "multiclass" then
    preds, target = inputs.classes(o, preds, target)
    cells = target * o.width + preds
  else
    preds, target = inputs.decide(o, preds), target:to(torch.int64)
    cells = target * 2 + preds
  end
  if o.ignore_index then keep = target:ne(o.ignore_index) end
  if o.task == "multilabel" then -- each label counts in four cells of its own
    local first = torch.arange(o.width, { device = cells.device }) * 4
    cells = cells + first:reshape(o.width, table.unpack(torch.ones(cells.ndim - 2, { dtype = torch.int64 }):tolist()))
  end
  cells = keep and cells[keep] or cells:reshape(-1)
  self.confmat = self.confmat + torch.bincount(cells, nil, self.confmat:numel()):reshape(self.confmat.shape)
end

function ConfusionMatrix:compute()
  local way, counts = self.options.normalize, self.confmat
  if way == "none" then return counts end
  local dims = way == "true" and { -1 } or way == "pred" and { -2 } or { -2, -1 }
  return inputs.divide(counts, counts:sum(dims, true))
end

return { ConfusionMatrix = ConfusionMatrix }
