-- torch.utils.data: datasets, samplers, DataLoader. Loads at first use.
local lazy = require "lampad.lazy"

return lazy(lazy.members("lampad.utils.data.", {
  modules = { "dataset", "sampler", "dataloader", "distributed" },
  dataset = { "Dataset", "IterableDataset", "TensorDataset", "StackDataset", "Subset", "ConcatDataset", "ChainDataset",
    "random_split" },
  sampler = { "Sampler", "SequentialSampler", "RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler",
    "DistributedSampler", "BatchSampler" },
  collate = { "default_collate", "default_convert" },
  dataloader = { "DataLoader" },
  worker_info = { "get_worker_info" },
}))
