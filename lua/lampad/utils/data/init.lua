-- torch.utils.data: datasets, samplers, DataLoader. Loads at first use.
local files = {
  Dataset = "dataset", IterableDataset = "dataset", TensorDataset = "dataset", Subset = "dataset",
  ConcatDataset = "dataset", random_split = "dataset",
  Sampler = "sampler", SequentialSampler = "sampler", RandomSampler = "sampler", SubsetRandomSampler = "sampler",
  BatchSampler = "sampler",
  default_collate = "collate", default_convert = "collate",
  DataLoader = "dataloader",
}
local data = {}

return setmetatable(data, {
  __index = function(_, name)
    local file = files[name]
    if not file then return nil end
    local value = require("lampad.utils.data." .. file)[name]
    data[name] = value
    return value
  end,
})
