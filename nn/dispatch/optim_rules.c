/* The elementwise optimizer rules: which state each has and which numbers a step turns
 * into the kernel's options. Checks and allocations come first; then steps and the other
 * scalar states advance, so that a failed call has changed nothing. */
#include <math.h>
#include "core/check.h"
#include "dispatch/optim.h"
#include "impl.h"

/* The i-th parameter's options. */
#define OPTIONS(type, i) ((type *)(void *)(s.options + (size_t)(i) * sizeof(type)))
#define EACH_PARAM(i) for (int64_t i = 0; i < params.count; i++)

static double advance(LpTensor *step) {
  return lp_optim_set(step, lp_optim_get(step) + 1);
}

/* A number as a scalar of the state holds it: PyTorch computes some of these in float32,
 * and ASGD's stay float32 numbers where a loaded state is float64. */
static double rounded(const LpTensor *scalar, double value) {
  return lp_dtype(scalar) == LP_FLOAT64 ? value : (double)(float)value;
}

/* The weight decay that goes into the gradient, and what a decoupled one leaves. */
static LpOptimGrad gradient(double weight_decay, bool maximize, bool decoupled) {
  return (LpOptimGrad){.decay = decoupled ? 0 : weight_decay, .maximize = maximize};
}
static double keeps(double lr, double weight_decay, bool decoupled) {
  return decoupled ? 1 - lr * weight_decay : 1;
}

bool lp_impl_sgd_step_(LpTensors params, LpTensors grads, LpTensors momentum_buffers,
                       double lr, double momentum, double dampening, double weight_decay,
                       bool nesterov, bool maximize, bool first) {
  LpOptimStep s = {.rule = LP_OPTIM_SGD,
                   .names = {"params", "grads", "momentum_buffers"},
                   .lists = {params, grads, momentum_buffers},
                   .nullable = {false, false, true}};
  TRY(lp_optim_begin(&s, sizeof(LpSgdOptions)));
  EACH_PARAM(i)
  *OPTIONS(LpSgdOptions, i) = (LpSgdOptions){
      gradient(weight_decay, maximize, false), lr, momentum, dampening, nesterov, first};
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_adam_step_(LpTensors params, LpTensors grads, LpTensors exp_avgs,
                        LpTensors exp_avg_sqs, LpTensors max_exp_avg_sqs, LpTensors steps,
                        double lr, double beta1, double beta2, double eps,
                        double weight_decay, bool amsgrad, bool maximize,
                        bool decoupled) {
  CHECK(!amsgrad || max_exp_avg_sqs.count == params.count, LP_ERR_ARGUMENT,
        "expected max_exp_avg_sqs for each of %lld params when amsgrad, got %lld",
        (long long)params.count, (long long)max_exp_avg_sqs.count);
  if (!amsgrad) max_exp_avg_sqs.count = 0;
  LpOptimStep s = {
      .rule = LP_OPTIM_ADAM,
      .names = {"params", "grads", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"},
      .lists = {params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs},
      .nullable = {[LP_OPTIM_STATE + 2] = true}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_begin(&s, sizeof(LpAdamOptions)));
  EACH_PARAM(i) {
    const double t = advance(steps.data[i]);
    *OPTIONS(LpAdamOptions, i) =
        (LpAdamOptions){.grad = gradient(weight_decay, maximize, decoupled),
                        .beta1 = beta1,
                        .beta2 = beta2,
                        .eps = eps,
                        .keep = keeps(lr, weight_decay, decoupled),
                        .step_size = lr / (1 - pow(beta1, t)),
                        .root_correction = sqrt(1 - pow(beta2, t))};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_adadelta_step_(LpTensors params, LpTensors grads, LpTensors square_avgs,
                            LpTensors acc_deltas, LpTensors steps, double lr, double rho,
                            double eps, double weight_decay, bool maximize) {
  LpOptimStep s = {.rule = LP_OPTIM_ADADELTA,
                   .names = {"params", "grads", "square_avgs", "acc_deltas"},
                   .lists = {params, grads, square_avgs, acc_deltas}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_begin(&s, sizeof(LpAdadeltaOptions)));
  EACH_PARAM(i) {
    advance(steps.data[i]);
    *OPTIONS(LpAdadeltaOptions, i) =
        (LpAdadeltaOptions){gradient(weight_decay, maximize, false), lr, rho, eps};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_adagrad_step_(LpTensors params, LpTensors grads, LpTensors sums,
                           LpTensors steps, double lr, double lr_decay, double eps,
                           double weight_decay, bool maximize) {
  LpOptimStep s = {.rule = LP_OPTIM_ADAGRAD,
                   .names = {"params", "grads", "sums"},
                   .lists = {params, grads, sums}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_begin(&s, sizeof(LpAdagradOptions)));
  EACH_PARAM(i) {
    const double t = advance(steps.data[i]);
    *OPTIONS(LpAdagradOptions, i) = (LpAdagradOptions){
        gradient(weight_decay, maximize, false), lr / (1 + (t - 1) * lr_decay), eps};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_adamax_step_(LpTensors params, LpTensors grads, LpTensors exp_avgs,
                          LpTensors exp_infs, LpTensors steps, double lr, double beta1,
                          double beta2, double eps, double weight_decay, bool maximize) {
  LpOptimStep s = {.rule = LP_OPTIM_ADAMAX,
                   .names = {"params", "grads", "exp_avgs", "exp_infs"},
                   .lists = {params, grads, exp_avgs, exp_infs}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_begin(&s, sizeof(LpAdamaxOptions)));
  EACH_PARAM(i) {
    const double t = advance(steps.data[i]);
    *OPTIONS(LpAdamaxOptions, i) =
        (LpAdamaxOptions){gradient(weight_decay, maximize, false), beta1, beta2, eps,
                          lr / (1 - pow(beta1, t))};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_asgd_step_(LpTensors params, LpTensors grads, LpTensors axs, LpTensors mus,
                        LpTensors etas, LpTensors steps, double lr, double lambd,
                        double alpha, double t0, double weight_decay, bool maximize) {
  LpOptimStep s = {.rule = LP_OPTIM_ASGD,
                   .names = {"params", "grads", "axs"},
                   .lists = {params, grads, axs}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_check_scalars(mus, params.count, "mus"));
  TRY(lp_optim_check_scalars(etas, params.count, "etas"));
  TRY(lp_optim_begin(&s, sizeof(LpAsgdOptions)));
  EACH_PARAM(i) {
    const double t = advance(steps.data[i]), eta = lp_optim_get(etas.data[i]);
    *OPTIONS(LpAsgdOptions, i) =
        (LpAsgdOptions){.grad = gradient(weight_decay, maximize, false),
                        .keep = 1 - lambd * eta,
                        .eta = eta,
                        .mu = lp_optim_get(mus.data[i])};
    lp_optim_set(etas.data[i],
                 rounded(steps.data[i], lr / pow(1 + lambd * lr * t, alpha)));
    lp_optim_set(mus.data[i], rounded(steps.data[i], 1 / fmax(1, t - t0)));
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_nadam_step_(LpTensors params, LpTensors grads, LpTensors exp_avgs,
                         LpTensors exp_avg_sqs, LpTensors mu_products, LpTensors steps,
                         double lr, double beta1, double beta2, double eps,
                         double momentum_decay, double weight_decay, bool maximize,
                         bool decoupled) {
  LpOptimStep s = {.rule = LP_OPTIM_NADAM,
                   .names = {"params", "grads", "exp_avgs", "exp_avg_sqs"},
                   .lists = {params, grads, exp_avgs, exp_avg_sqs}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_check_scalars(mu_products, params.count, "mu_products"));
  TRY(lp_optim_begin(&s, sizeof(LpNadamOptions)));
  EACH_PARAM(i) {
    const double t = advance(steps.data[i]);
    const double mu = beta1 * (1 - 0.5 * pow(0.96, t * momentum_decay));
    const double mu_next = beta1 * (1 - 0.5 * pow(0.96, (t + 1) * momentum_decay));
    LpTensor *stored = mu_products.data[i];
    const double factor = rounded(stored, mu);
    const double product = lp_optim_set(stored, lp_optim_get(stored) * factor);
    *OPTIONS(LpNadamOptions, i) =
        (LpNadamOptions){.grad = gradient(weight_decay, maximize, decoupled),
                         .beta1 = beta1,
                         .beta2 = beta2,
                         .eps = eps,
                         .keep = keeps(lr, weight_decay, decoupled),
                         .correction2 = 1 - pow(beta2, t),
                         .grad_step = -lr * (1 - mu) / (1 - product),
                         .avg_step = -lr * mu_next / (1 - product * mu_next)};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_radam_step_(LpTensors params, LpTensors grads, LpTensors exp_avgs,
                         LpTensors exp_avg_sqs, LpTensors steps, double lr, double beta1,
                         double beta2, double eps, double weight_decay, bool maximize,
                         bool decoupled) {
  LpOptimStep s = {.rule = LP_OPTIM_RADAM,
                   .names = {"params", "grads", "exp_avgs", "exp_avg_sqs"},
                   .lists = {params, grads, exp_avgs, exp_avg_sqs}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_begin(&s, sizeof(LpRadamOptions)));
  const double rho_inf = 2 / (1 - beta2) - 1;
  EACH_PARAM(i) {
    const double t = advance(steps.data[i]), power2 = pow(beta2, t);
    /* Liu et al. 2020: the length of the moving average's window decides whether its
     * variance is known well enough to divide by. */
    const double rho = rho_inf - 2 * t * power2 / (1 - power2);
    const bool rectified = rho > 5;
    double step_size = lr / (1 - pow(beta1, t));
    if (rectified)
      step_size *= sqrt(1 - power2) * sqrt((rho - 4) * (rho - 2) * rho_inf /
                                           ((rho_inf - 4) * (rho_inf - 2) * rho));
    *OPTIONS(LpRadamOptions, i) =
        (LpRadamOptions){.grad = gradient(weight_decay, maximize, decoupled),
                         .beta1 = beta1,
                         .beta2 = beta2,
                         .eps = eps,
                         .keep = keeps(lr, weight_decay, decoupled),
                         .step_size = step_size,
                         .rectified = rectified};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_rmsprop_step_(LpTensors params, LpTensors grads, LpTensors square_avgs,
                           LpTensors momentum_buffers, LpTensors grad_avgs,
                           LpTensors steps, double lr, double alpha, double eps,
                           double momentum, double weight_decay, bool maximize) {
  LpOptimStep s = {
      .rule = LP_OPTIM_RMSPROP,
      .names = {"params", "grads", "square_avgs", "momentum_buffers", "grad_avgs"},
      .lists = {params, grads, square_avgs, momentum_buffers, grad_avgs},
      .nullable = {[LP_OPTIM_STATE + 1] = true, [LP_OPTIM_STATE + 2] = true}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_begin(&s, sizeof(LpRmspropOptions)));
  EACH_PARAM(i) {
    advance(steps.data[i]);
    *OPTIONS(LpRmspropOptions, i) = (LpRmspropOptions){
        gradient(weight_decay, maximize, false), lr, alpha, eps, momentum};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}

bool lp_impl_rprop_step_(LpTensors params, LpTensors grads, LpTensors prevs,
                         LpTensors step_sizes, LpTensors steps, double eta_minus,
                         double eta_plus, double step_min, double step_max,
                         bool maximize) {
  LpOptimStep s = {.rule = LP_OPTIM_RPROP,
                   .names = {"params", "grads", "prevs", "step_sizes"},
                   .lists = {params, grads, prevs, step_sizes}};
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  TRY(lp_optim_begin(&s, sizeof(LpRpropOptions)));
  EACH_PARAM(i) {
    advance(steps.data[i]);
    *OPTIONS(LpRpropOptions, i) = (LpRpropOptions){
        gradient(0, maximize, false), eta_minus, eta_plus, step_min, step_max};
  }
  lp_optim_run(&s);
  return lp_optim_end(&s, true);
}
