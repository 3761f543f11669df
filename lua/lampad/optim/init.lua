-- torch.optim: optimizers and optim.lr_scheduler. Everything loads at first use.
return require "lampad.lazy" {
  Optimizer = "lampad.optim.optimizer", SGD = "lampad.optim.sgd", Adam = "lampad.optim.adam",
  AdamW = "lampad.optim.adamw", lr_scheduler = "lampad.optim.lr_scheduler",
}
