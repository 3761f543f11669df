-- torch.optim: optimizers, optim.lr_scheduler, optim.swa_utils. Everything loads at first use.
local files = {
  Optimizer = "optimizer", SGD = "sgd", Adam = "adam", AdamW = "adamw", ASGD = "asgd", Adadelta = "adadelta",
  Adafactor = "adafactor", Adagrad = "adagrad", Adamax = "adamax", LBFGS = "lbfgs", Muon = "muon", NAdam = "nadam",
  RAdam = "radam", RMSprop = "rmsprop", Rprop = "rprop", SparseAdam = "sparse_adam", lr_scheduler = "lr_scheduler",
  swa_utils = "swa_utils", functional = "functional",
}
for name, file in pairs(files) do files[name] = "lampad.optim." .. file end

-- Python's module torch.optim.optimizer: the base class and the hooks of all optimizers.
function files.optimizer()
  local Optimizer = require "lampad.optim.optimizer"
  return {
    Optimizer = Optimizer,
    register_optimizer_step_pre_hook = Optimizer.register_optimizer_step_pre_hook,
    register_optimizer_step_post_hook = Optimizer.register_optimizer_step_post_hook,
  }
end

return require "lampad.lazy"(files)
