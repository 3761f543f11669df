-- torch.utils: utils.data, the progress bar, checkpoints of activations, the checkpoint file, deepcopy. Loads at first use.
return require "lampad.lazy" {
  data = "lampad.utils.data", tqdm = "lampad.tqdm", checkpoint = "lampad.utils.checkpoint", copy = "lampad.copy",
  model_zoo = "lampad.utils.model_zoo",
}
