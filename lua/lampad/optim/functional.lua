-- optim.functional: single steps over lists of parameters, gradients and states that the caller keeps, in place. The
-- options are named: functional.sgd(params, grads, buffers, {lr = 0.1, momentum = 0.9, ...}). foreach, fused, capturable and
-- has_complex are accepted and change nothing.
local core = require "lampad.core"
local args = require "lampad.args"
local Optimizer = require "lampad.optim.optimizer"

local torch = core.torch
local kernels = core.modules["optim_kernels"]
local number = Optimizer._number
local functional = {}

-- functional[name] = the checked call of run(options by name), without gradient recording.
local function define(signature, run)
  local spec = args(signature)
  functional[spec.name] = function(...)
    local o = spec:collect(...)
    if o.differentiable then
      args.fail(spec.name, "differentiable = true is an option of the optimizers; these functions change tensors in place")
    end
    for _, name in ipairs { "lr", "beta1", "beta2", "weight_decay" } do
      if o[name] ~= nil then o[name] = number(o[name]) end
    end
    local _ <close> = torch.no_grad()
    run(o)
  end
end

local common = ", bool foreach=nil, bool capturable=false, bool differentiable=false, bool fused=nil, bool has_complex=false"

define("sgd(table params, table d_p_list, table momentum_buffer_list, bool has_sparse_grad=false, bool foreach=nil, "
  .. "bool fused=nil, *, scalar weight_decay, float momentum, scalar lr, float dampening, bool nesterov, bool maximize)",
  function(o)
    local buffers, old, new = o.momentum_buffer_list, { {}, {}, {} }, { {}, {}, {} }
    for i, p in ipairs(o.params) do
      local lists = old
      if o.momentum ~= 0 and buffers[i] == nil then
        buffers[i], lists = torch.empty_like(p), new -- the caller keeps it
      end
      local n = #lists[1] + 1
      lists[1][n], lists[2][n] = p, o.d_p_list[i]
      if o.momentum ~= 0 then lists[3][n] = buffers[i] end
    end
    for first, lists in pairs { [true] = new, [false] = old } do
      kernels.sgd_step_(lists[1], lists[2], lists[3], {
        lr = o.lr, momentum = o.momentum, dampening = o.dampening, weight_decay = o.weight_decay,
        nesterov = o.nesterov, maximize = o.maximize, first = first,
      })
    end
  end)

local adam_lists = "table params, table grads, table exp_avgs, table exp_avg_sqs, table max_exp_avg_sqs, table state_steps"
local adam_options = "*, bool amsgrad, scalar beta1, scalar beta2, scalar lr, scalar weight_decay, float eps, bool maximize)"

local function adam(o)
  kernels.adam_step_(o.params, o.grads, o.exp_avgs, o.exp_avg_sqs, o.max_exp_avg_sqs, o.state_steps, {
    lr = o.lr, beta1 = o.beta1, beta2 = o.beta2, eps = o.eps, weight_decay = o.weight_decay, amsgrad = o.amsgrad,
    maximize = o.maximize, decoupled = o.decoupled_weight_decay,
  })
end

define("adam(" .. adam_lists .. common .. ", bool decoupled_weight_decay=false, " .. adam_options, adam)
define("adamw(" .. adam_lists .. common .. ", " .. adam_options, function(o)
  o.decoupled_weight_decay = true
  adam(o)
end)

define("adadelta(table params, table grads, table square_avgs, table acc_deltas, table state_steps" .. common
  .. ", *, scalar lr, float rho, float eps, scalar weight_decay, bool maximize)",
  function(o)
    kernels.adadelta_step_(o.params, o.grads, o.square_avgs, o.acc_deltas, o.state_steps, {
      lr = o.lr, rho = o.rho, eps = o.eps, weight_decay = o.weight_decay, maximize = o.maximize,
    })
  end)

define("adagrad(table params, table grads, table state_sums, table state_steps" .. common
  .. ", *, scalar lr, scalar weight_decay, float lr_decay, float eps, bool maximize)",
  function(o)
    kernels.adagrad_step_(o.params, o.grads, o.state_sums, o.state_steps, {
      lr = o.lr, lr_decay = o.lr_decay, eps = o.eps, weight_decay = o.weight_decay, maximize = o.maximize,
    })
  end)

define("adamax(table params, table grads, table exp_avgs, table exp_infs, table state_steps" .. common
  .. ", bool maximize=false, *, float eps, scalar beta1, scalar beta2, scalar lr, scalar weight_decay)",
  function(o)
    kernels.adamax_step_(o.params, o.grads, o.exp_avgs, o.exp_infs, o.state_steps, {
      lr = o.lr, beta1 = o.beta1, beta2 = o.beta2, eps = o.eps, weight_decay = o.weight_decay, maximize = o.maximize,
    })
  end)

define("asgd(table params, table grads, table axs, table mus, table etas, table state_steps" .. common
  .. ", bool maximize=false, *, float lambd, scalar lr, float t0, float alpha, scalar weight_decay)",
  function(o)
    kernels.asgd_step_(o.params, o.grads, o.axs, o.mus, o.etas, o.state_steps, {
      lr = o.lr, lambd = o.lambd, alpha = o.alpha, t0 = o.t0, weight_decay = o.weight_decay, maximize = o.maximize,
    })
  end)

define("nadam(table params, table grads, table exp_avgs, table exp_avg_sqs, table mu_products, table state_steps, "
  .. "bool decoupled_weight_decay=false" .. common .. ", bool maximize=false, *, scalar beta1, scalar beta2, scalar lr, "
  .. "scalar weight_decay, float momentum_decay, float eps)",
  function(o)
    kernels.nadam_step_(o.params, o.grads, o.exp_avgs, o.exp_avg_sqs, o.mu_products, o.state_steps, {
      lr = o.lr, beta1 = o.beta1, beta2 = o.beta2, eps = o.eps, momentum_decay = o.momentum_decay,
      weight_decay = o.weight_decay, maximize = o.maximize, decoupled = o.decoupled_weight_decay,
    })
  end)

define("radam(table params, table grads, table exp_avgs, table exp_avg_sqs, table state_steps, "
  .. "bool decoupled_weight_decay=false" .. common .. ", bool maximize=false, *, scalar beta1, scalar beta2, scalar lr, "
  .. "scalar weight_decay, float eps)",
  function(o)
    kernels.radam_step_(o.params, o.grads, o.exp_avgs, o.exp_avg_sqs, o.state_steps, {
      lr = o.lr, beta1 = o.beta1, beta2 = o.beta2, eps = o.eps, weight_decay = o.weight_decay, maximize = o.maximize,
      decoupled = o.decoupled_weight_decay,
    })
  end)

define("rmsprop(table params, table grads, table square_avgs, table grad_avgs, table momentum_buffer_list, "
  .. "table state_steps" .. common .. ", bool maximize=false, *, scalar lr, float alpha, float eps, scalar weight_decay, "
  .. "float momentum, bool centered)",
  function(o)
    kernels.rmsprop_step_(o.params, o.grads, o.square_avgs, o.momentum > 0 and o.momentum_buffer_list or {},
      o.centered and o.grad_avgs or {}, o.state_steps, {
        lr = o.lr, alpha = o.alpha, eps = o.eps, momentum = o.momentum, weight_decay = o.weight_decay,
        maximize = o.maximize,
      })
  end)

define("rprop(table params, table grads, table prevs, table step_sizes, table state_steps" .. common
  .. ", bool maximize=false, *, float step_size_min, float step_size_max, float etaminus, float etaplus)",
  function(o)
    kernels.rprop_step_(o.params, o.grads, o.prevs, o.step_sizes, o.state_steps, {
      eta_minus = o.etaminus, eta_plus = o.etaplus, step_min = o.step_size_min, step_max = o.step_size_max,
      maximize = o.maximize,
    })
  end)

-- The lists of factors may have holes; the kernel wants an entry a parameter.
local function filled(list, count, stand_in)
  local result = {}
  for i = 1, count do result[i] = list[i] or stand_in[i] end
  return result
end

define("adafactor(table params, table grads, table row_vars, table col_vars, table variances, table state_steps" .. common
  .. ", *, float d, scalar lr, float beta2_decay, scalar weight_decay, float eps1=nil, float eps2, bool maximize)",
  function(o)
    local count, steps = #o.params, o.state_steps
    kernels.adafactor_step_(o.params, o.grads, filled(o.row_vars, count, steps), filled(o.col_vars, count, steps),
      filled(o.variances, count, steps), steps, {
        lr = o.lr, beta2_decay = o.beta2_decay, eps1 = o.eps1, eps2 = o.eps2, d = o.d, weight_decay = o.weight_decay,
        maximize = o.maximize,
      })
  end)

define("muon(table params, table grads, table muon_momentum_bufs, *, bool foreach=nil, scalar lr, scalar weight_decay, "
  .. "float momentum, bool nesterov, floats ns_coefficients, int ns_steps, float eps, str adjust_lr_fn=nil, "
  .. "bool has_complex=false)",
  function(o)
    if o.foreach then args.fail("muon", "Foreach is not supported for Muon yet") end
    require("lampad.optim.muon").step_all(o.params, o.grads, o.muon_momentum_bufs, o)
  end)

define("sparse_adam(table params, table grads, table exp_avgs, table exp_avg_sqs, table state_steps, *, float eps, "
  .. "scalar beta1, scalar beta2, scalar lr, bool maximize)",
  function() args.fail("sparse_adam", "does not support dense gradients, and there are no sparse ones; use adam") end)

return functional
