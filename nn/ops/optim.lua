-- Fused optimizer steps, in place over lists of parameters; for torch.optim, not for scripts. `steps` holds one number
-- a parameter, which the call counts up; state lists marked `?` may be empty where the rule does without.
local function rule(row)
  row.variants, row.module = "function", "optim_kernels"
  op(row)
end

rule{ "sgd_step_(Tensor[] params, Tensor[] grads, Tensor?[] momentum_buffers, *, float lr, float momentum=0, "
        .. "float dampening=0, float weight_decay=0, bool nesterov=false, bool maximize=false, bool first=false) -> ()",
    doc = "One step of SGD on every parameter. momentum_buffers may be empty (no momentum); first: the buffers take the "
      .. "gradients as they are." }
rule{ "adam_step_(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor?[] max_exp_avg_sqs, "
        .. "Tensor[] steps, *, float lr, float beta1, float beta2, float eps, float weight_decay=0, bool amsgrad=false, "
        .. "bool maximize=false, bool decoupled=false) -> ()",
    doc = "One step of Adam on every parameter; decoupled: AdamW's weight decay. max_exp_avg_sqs may be empty unless amsgrad." }
rule{ "adadelta_step_(Tensor[] params, Tensor[] grads, Tensor[] square_avgs, Tensor[] acc_deltas, Tensor[] steps, *, "
        .. "float lr, float rho, float eps, float weight_decay=0, bool maximize=false) -> ()",
    doc = "One step of Adadelta on every parameter." }
rule{ "adagrad_step_(Tensor[] params, Tensor[] grads, Tensor[] sums, Tensor[] steps, *, float lr, float lr_decay, "
        .. "float eps, float weight_decay=0, bool maximize=false) -> ()",
    doc = "One step of Adagrad on every parameter." }
rule{ "adamax_step_(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_infs, Tensor[] steps, *, "
        .. "float lr, float beta1, float beta2, float eps, float weight_decay=0, bool maximize=false) -> ()",
    doc = "One step of Adamax on every parameter." }
rule{ "asgd_step_(Tensor[] params, Tensor[] grads, Tensor[] axs, Tensor[] mus, Tensor[] etas, Tensor[] steps, *, "
        .. "float lr, float lambd, float alpha, float t0, float weight_decay=0, bool maximize=false) -> ()",
    doc = "One step of averaged SGD on every parameter; mus and etas hold one number each and are brought up to date." }
rule{ "nadam_step_(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] mu_products, "
        .. "Tensor[] steps, *, float lr, float beta1, float beta2, float eps, float momentum_decay, "
        .. "float weight_decay=0, bool maximize=false, bool decoupled=false) -> ()",
    doc = "One step of NAdam on every parameter; mu_products hold one number each and are brought up to date." }
rule{ "radam_step_(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] steps, *, "
        .. "float lr, float beta1, float beta2, float eps, float weight_decay=0, bool maximize=false, "
        .. "bool decoupled=false) -> ()",
    doc = "One step of RAdam on every parameter." }
rule{ "rmsprop_step_(Tensor[] params, Tensor[] grads, Tensor[] square_avgs, Tensor?[] momentum_buffers, "
        .. "Tensor?[] grad_avgs, Tensor[] steps, *, float lr, float alpha, float eps, float momentum=0, "
        .. "float weight_decay=0, bool maximize=false) -> ()",
    doc = "One step of RMSprop on every parameter. momentum_buffers may be empty (no momentum), grad_avgs too (not centered)." }
rule{ "rprop_step_(Tensor[] params, Tensor[] grads, Tensor[] prevs, Tensor[] step_sizes, Tensor[] steps, *, "
        .. "float eta_minus, float eta_plus, float step_min, float step_max, bool maximize=false) -> ()",
    doc = "One step of Rprop on every parameter." }
rule{ "adafactor_step_(Tensor[] params, Tensor[] grads, Tensor?[] row_vars, Tensor?[] col_vars, Tensor?[] variances, "
        .. "Tensor[] steps, *, float lr, float beta2_decay, float? eps1=nil, float eps2=0.001, float d=1, float weight_decay=0, "
        .. "bool maximize=false) -> ()",
    doc = "One step of Adafactor on every parameter. A parameter of two or more dims has row and column factors, another "
      .. "one a variance. eps1 nil: the dtype's resolution." }
