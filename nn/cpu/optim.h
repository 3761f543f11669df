/* Fused optimizer steps over n adjacent elements: one pass over memory. Kernels are found
 * by rule and by nn_float_index; pointers are to elements of that dtype; 16-bit floats
 * compute in float. Complex tensors come as twice as many real ones. */
#ifndef LP_NN_CPU_OPTIM_H
#define LP_NN_CPU_OPTIM_H

#include "cpu/caps.h"
#include "core/tensor.h"

/* The places of a parameter's tensors in a kernel's list; up to three states follow. */
enum { LP_OPTIM_PARAM, LP_OPTIM_GRAD, LP_OPTIM_STATE, LP_OPTIM_LISTS = 5 };

typedef enum LpOptimRule {
  LP_OPTIM_SGD,      /* states: momentum buffer or NULL */
  LP_OPTIM_ADAM,     /* exp_avg, exp_avg_sq, their running maximum (amsgrad) or NULL */
  LP_OPTIM_ADADELTA, /* square_avg, acc_delta */
  LP_OPTIM_ADAGRAD,  /* sum */
  LP_OPTIM_ADAMAX,   /* exp_avg, exp_inf */
  LP_OPTIM_ASGD,     /* ax */
  LP_OPTIM_NADAM,    /* exp_avg, exp_avg_sq */
  LP_OPTIM_RADAM,    /* exp_avg, exp_avg_sq */
  LP_OPTIM_RMSPROP,  /* square_avg, momentum buffer or NULL, grad_avg or NULL */
  LP_OPTIM_RPROP,    /* prev, step_size */
  LP_OPTIM_RULES
} LpOptimRule;

/* What every rule does to the gradient first: (maximize ? -g : g) + decay * p. */
typedef struct LpOptimGrad {
  double decay;
  bool maximize;
} LpOptimGrad;

typedef struct LpSgdOptions {
  LpOptimGrad grad;
  double lr, momentum, dampening;
  bool nesterov, first; /* first: the buffer takes the gradient */
} LpSgdOptions;

/* The decoupled decay of a parameter is keep = 1 - lr * weight_decay, 1 for none. */
typedef struct LpAdamOptions {
  LpOptimGrad grad;
  double beta1, beta2, eps, keep;
  double step_size, root_correction; /* lr / (1 - beta1^t), sqrt(1 - beta2^t) */
} LpAdamOptions;

typedef struct LpAdadeltaOptions {
  LpOptimGrad grad;
  double lr, rho, eps;
} LpAdadeltaOptions;

typedef struct LpAdagradOptions {
  LpOptimGrad grad;
  double lr, eps; /* lr: decayed by the step */
} LpAdagradOptions;

typedef struct LpAdamaxOptions {
  LpOptimGrad grad;
  double beta1, beta2, eps, step_size; /* lr / (1 - beta1^t) */
} LpAdamaxOptions;

typedef struct LpAsgdOptions {
  LpOptimGrad grad;
  double keep, eta, mu; /* keep: 1 - lambd * eta */
} LpAsgdOptions;

typedef struct LpNadamOptions {
  LpOptimGrad grad;
  double beta1, beta2, eps, keep;
  double correction2, grad_step, avg_step; /* 1 - beta2^t; factors of g and of exp_avg */
} LpNadamOptions;

typedef struct LpRadamOptions {
  LpOptimGrad grad;
  double beta1, beta2, eps, keep;
  double step_size; /* of exp_avg, with the rectification */
  bool rectified;   /* divide by sqrt(exp_avg_sq) + eps */
} LpRadamOptions;

typedef struct LpRmspropOptions {
  LpOptimGrad grad;
  double lr, alpha, eps, momentum;
} LpRmspropOptions;

typedef struct LpRpropOptions {
  LpOptimGrad grad;
  double eta_minus, eta_plus, step_min, step_max;
} LpRpropOptions;

/* at: the list of pointers above; options: the rule's own struct. */
typedef void LpOptimKernel(void *const *at, int64_t n, const void *options);

/* Adafactor (Shazeer and Stern 2018): the second moment of a matrix is kept as one factor
 * for each row and each column. Row i of the [batches, rows, cols] gradient belongs to
 * matrix i / rows. A vector is one row whose column factors are its second moment. */
typedef struct LpFactored {
  const void *grad, *row_factors, *col_factors; /* row_factors: NULL for a vector */
  const double *row_scales; /* 1 / mean row factor of each matrix; NULL for a vector */
  int64_t rows, cols;
  double floor; /* of the estimated second moment */
  bool maximize;
} LpFactored;

typedef struct LpOptimKernels {
  LpOptimKernel *step[LP_OPTIM_RULES][4]; /* none for float16 */
  double (*sum_squares[4])(const void *x, int64_t n);
  /* factor[i] += weight * (mean(g[i][:]^2) - factor[i]) for rows of cols elements */
  void (*row_moments[4])(const void *g, void *factor, int64_t rows, int64_t cols,
                         double weight);
  /* factor[j] += weight * (mean(g[:][j]^2) - factor[j]) for n columns, n <=
   * LP_OPTIM_COLS, of each matrix; rows are cols elements apart, matrices rows * cols,
   * factors cols */
  void (*col_moments[4])(const void *g, void *factor, int64_t matrices, int64_t rows,
                         int64_t cols, int64_t n, double weight);
  /* Over rows begin to end: the sum of squares of the update, and p = keep * p - step *
   * update. */
  double (*factored_squares[4])(const LpFactored *f, int64_t begin, int64_t end);
  void (*factored_apply[4])(const LpFactored *f, void *p, int64_t begin, int64_t end,
                            double keep, double step);
} LpOptimKernels;

enum { LP_OPTIM_COLS = 256 };

LP_DISPATCH(LpOptimKernels, lp_optim_kernels)

#endif
