-- torch.utils.data: datasets, samplers, DataLoader. Loads at first use.
local lazy = require "lampad.lazy"

local files = lazy.members("lampad.utils.data.", {
  dataset = { "Dataset", "IterableDataset", "TensorDataset", "StackDataset", "Subset", "ConcatDataset", "ChainDataset",
    "random_split" },
  sampler = { "Sampler", "SequentialSampler", "RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler",
    "DistributedSampler", "BatchSampler" },
  collate = { "default_collate", "default_convert" },
  dataloader = { "DataLoader" },
  worker_info = { "get_worker_info" },
  csv = { "CSVDataset" }, hdf5 = { "HDF5Dataset" }, lmdb = { "LMDBDataset" }, mapped = { "MappedDataset" },
})
-- PyTorch's modules, which scripts name too: torch.utils.data.sampler.SubsetRandomSampler.
for _, name in ipairs { "dataset", "sampler", "dataloader" } do files[name] = "lampad.utils.data." .. name end
files.distributed = "lampad.utils.data.sampler"

return lazy(files)
