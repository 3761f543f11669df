-- metrics.functional: the metrics as functions of one batch: f1_score(preds, target, "multiclass", {num_classes = 3}). What follows
-- preds and target is what the class takes. Source: torchmetrics.functional.
local lazy = require "lampad.lazy"

local classes = {
  accuracy = "Accuracy", precision = "Precision", recall = "Recall", specificity = "Specificity", fbeta_score = "FBetaScore",
  f1_score = "F1Score", confusion_matrix = "ConfusionMatrix", auroc = "AUROC", average_precision = "AveragePrecision",
  mean_squared_error = "MeanSquaredError", mean_absolute_error = "MeanAbsoluteError", r2_score = "R2Score",
}

local files = {}
for name, class in pairs(classes) do
  files[name] = function()
    local C = require("lampad.metrics")[class]
    return function(preds, target, ...)
      local metric = C(...)
      metric:update(preds, target)
      return metric:compute()
    end
  end
end

return lazy(files)
