-- Fused optimizer steps, in place over lists of parameters; for torch.optim, not for scripts.
op{ "sgd_step_(Tensor[] params, Tensor[] grads, Tensor?[] momentum_buffers, *, float lr, float momentum=0, "
      .. "float dampening=0, float weight_decay=0, bool nesterov=false, bool maximize=false, bool first=false) -> ()",
    variants = "function", module = "optim_kernels",
    doc = "One step of SGD on every parameter. momentum_buffers may be empty (no momentum); first: the buffers take the "
      .. "gradients as they are." }
op{ "adam_step_(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] max_exp_avg_sqs, "
      .. "int step, *, float lr, float beta1, float beta2, float eps, float weight_decay=0, bool amsgrad=false, "
      .. "bool maximize=false, bool decoupled=false) -> ()",
    variants = "function", module = "optim_kernels",
    doc = "One step of Adam on every parameter, the step-th; decoupled: AdamW's weight decay. max_exp_avg_sqs may be "
      .. "empty unless amsgrad." }
