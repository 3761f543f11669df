-- torch.metrics: what a training run is measured by, with the names, arguments and values of torchmetrics. Loads at first use.
local members = require("lampad.lazy").members

local files = members("lampad.metrics.", {
  stat_scores = { "Accuracy", "Precision", "Recall", "Specificity", "FBetaScore", "F1Score" },
  confusion_matrix = { "ConfusionMatrix" },
  curves = { "AUROC", "AveragePrecision" },
  regression = { "MeanSquaredError", "MeanAbsoluteError", "R2Score" },
  aggregation = { "MeanMetric", "SumMetric", "MaxMetric", "MinMetric" },
})
files.Metric, files.MetricCollection = "lampad.metrics.metric", "lampad.metrics.collection"
files.functional = "lampad.metrics.functional"

-- Short names in use beside torchmetrics' own.
for short, long in pairs { F1 = "F1Score", R2 = "R2Score", Mean = "MeanMetric", MSE = "MeanSquaredError", MAE = "MeanAbsoluteError" } do
  files[short] = files[long]
end

return require "lampad.lazy"(files)
