/* Gamma variates and the derivatives of Gamma and Beta variates by their parameters, of
 * single doubles: no shapes, no checks, no locking. Called by dispatch/distributions.c
 * and, through the kernel lists, by the pointwise loops. */
#ifndef LP_CPU_RANDOM_GAMMA_H
#define LP_CPU_RANDOM_GAMMA_H

#include "core/generator.h"

/* A number of the Gamma distribution of the shape (>= 0, or NaN) and rate 1; `single`:
 * with PyTorch's float32 arithmetic for float32 tensors. */
double lp_cpu_random_gamma(LpGenerator *g, double shape, bool single);

/* d x / d alpha over 1 - x for x in (0, 1) from Beta(alpha, total - alpha), with its
 * distribution function held. */
double lp_dirichlet_grad_f64(double x, double alpha, double total);

#endif
