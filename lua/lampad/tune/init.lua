-- torch.tune: search for good hyper-parameters. The names are those of Optuna. Loads at first use.
local members = require("lampad.lazy").members

local files = members("lampad.tune.", { study = { "Study", "create_study" } })
files.GridSampler, files.RandomSampler, files.TPESampler = "lampad.tune.grid", "lampad.tune.random", "lampad.tune.tpe"
files.MedianPruner = "lampad.tune.median"

return require "lampad.lazy"(files)
