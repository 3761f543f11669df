-- torch.utils: utils.data, the progress bar, the checkpoint file, deepcopy. Loads at first use.
return require "lampad.lazy" {
  data = "lampad.utils.data", tqdm = "lampad.tqdm", checkpoint_file = "lampad.checkpoint", copy = "lampad.copy",
}
