-- PyTorch's modules of torch.utils.data, which scripts name too: torch.utils.data.sampler.SubsetRandomSampler.
local prefix = "lampad.utils.data."

return {
  dataset = require(prefix .. "dataset"), sampler = require(prefix .. "sampler"),
  dataloader = require(prefix .. "dataloader"), distributed = require(prefix .. "sampler"),
}
