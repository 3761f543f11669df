-- torch.utils.data: datasets, samplers, DataLoader. Loads at first use.
local lazy = require "lampad.lazy"

return lazy(lazy.members("lampad.utils.data.", {
  dataset = { "Dataset", "IterableDataset", "TensorDataset", "Subset", "ConcatDataset", "random_split" },
  sampler = { "Sampler", "SequentialSampler", "RandomSampler", "SubsetRandomSampler", "BatchSampler" },
  collate = { "default_collate", "default_convert" },
  dataloader = { "DataLoader" },
  csv = { "CSVDataset" }, hdf5 = { "HDF5Dataset" }, lmdb = { "LMDBDataset" }, mapped = { "MappedDataset" },
}))
