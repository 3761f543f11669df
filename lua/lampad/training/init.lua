-- torch.training: what a training loop needs beside the optimizer: when to stop, and files to go on from. Loads at first use.
return require "lampad.lazy" {
  EarlyStopping = "lampad.training.early_stopping", ModelCheckpoint = "lampad.training.model_checkpoint",
}
