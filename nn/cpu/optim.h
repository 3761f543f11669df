/* Fused optimizer steps over n adjacent elements: one pass over memory. Tables are
 * indexed by nn_float_index; pointers are to elements of that dtype; 16-bit floats
 * compute in float. */
#ifndef LP_NN_CPU_OPTIM_H
#define LP_NN_CPU_OPTIM_H

#include "cpu/caps.h"
#include "core/tensor.h"

typedef struct LpSgdOptions {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize, first; /* first: the buffer takes the gradient */
} LpSgdOptions;

typedef struct LpAdamOptions {
  double lr, beta1, beta2, eps, weight_decay;
  double step_size, root_correction; /* lr / (1 - beta1^t), sqrt(1 - beta2^t) */
  bool maximize, decoupled;          /* decoupled: AdamW's weight decay */
} LpAdamOptions;

typedef struct LpOptimKernels {
  void (*sgd[4])(void *p, const void *g, void *buffer, int64_t n, const LpSgdOptions *o);
  /* largest: the running maximum of v (amsgrad), or NULL */
  void (*adam[4])(void *p, const void *g, void *m, void *v, void *largest, int64_t n,
                  const LpAdamOptions *o);
} LpOptimKernels;

LP_DISPATCH(LpOptimKernels, lp_optim_kernels)

#endif
