/* The public pooling ops by number of dims. */
#include "autograd/node.h"
#include "composite/expr.h"
#include "impl.h"

/* Indices are kept only for a gradient, and in 32 bits: half the memory of the public
 * ones. */
static LpTensor *max_values(LpTensor *self, int64_t ndim, LpInts kernel_size,
                            LpInts stride, LpInts padding, LpInts dilation,
                            bool ceil_mode) {
  LpTensor *results[2];
  /* Under vmap the batch behind self may ask for what self does not. */
  const bool wanted = lp_wants_grad(self) || lp_requires_grad_below(self);
  LpDtype index_dtype = wanted ? LP_INT32 : LP_DTYPE_NONE;
  TRY(lp_max_pool(self, ndim, kernel_size, stride, padding, dilation, ceil_mode,
                  index_dtype, results));
  lp_tensor_release(results[1]);
  return results[0];
}

LpTensor *lp_composite_max_pool1d(LpTensor *self, LpInts kernel_size, LpInts stride,
                                  LpInts padding, LpInts dilation, bool ceil_mode) {
  CHECK_FLOATING(self, "input");
  return max_values(self, 1, kernel_size, stride, padding, dilation, ceil_mode);
}
LpTensor *lp_composite_max_pool2d(LpTensor *self, LpInts kernel_size, LpInts stride,
                                  LpInts padding, LpInts dilation, bool ceil_mode) {
  return max_values(self, 2, kernel_size, stride, padding, dilation, ceil_mode);
}
LpTensor *lp_composite_max_pool3d(LpTensor *self, LpInts kernel_size, LpInts stride,
                                  LpInts padding, LpInts dilation, bool ceil_mode) {
  return max_values(self, 3, kernel_size, stride, padding, dilation, ceil_mode);
}

/* The p-norm of each window: (sum of x^p)^(1 / p), by average pooling. */
static LpTensor *lp_pool(LpTensor *self, int64_t ndim, double p, LpInts kernel_size,
                         LpInts stride, bool ceil_mode) {
  const int64_t zero = 0;
  int64_t kernel[3];
  double elements = 1;
  CHECK(p != 0, LP_ERR_ARGUMENT, "norm_type must be a non-zero value, but got 0");
  TRY(nn_expand(kernel_size, (int)ndim, "kernel_size", kernel));
  for (int64_t d = 0; d < ndim; d++) elements *= (double)kernel[d];
  Expr e = {0};
  LpTensor *exponent = x_number(&e, p), *root = x_number(&e, 1 / p);
  LpTensor *powers = exponent ? keep(&e, lp_pow(self, exponent)) : NULL;
  const LpInts none = lp_ints(&zero, 1);
  const LpOptInt unset = {0};
  LpTensor *mean = !powers     ? NULL
                   : ndim == 3 ? keep(&e, lp_avg_pool3d(powers, kernel_size, stride, none,
                                                        ceil_mode, true, unset))
                               : keep(&e, lp_avg_pool(powers, ndim, kernel_size, stride,
                                                      none, ceil_mode, true, unset));
  LpTensor *magnitude = mean ? keep(&e, lp_abs(mean)) : NULL;
  LpTensor *sign = mean ? keep(&e, lp_sign(mean)) : NULL;
  LpTensor *sum = x_scale(&e, x_mul(&e, sign, magnitude), elements);
  return expr_end(&e, sum && root ? keep(&e, lp_pow(sum, root)) : NULL);
}
LpTensor *lp_composite_lp_pool1d(LpTensor *self, double norm_type, LpInts kernel_size,
                                 LpInts stride, bool ceil_mode) {
  return lp_pool(self, 1, norm_type, kernel_size, stride, ceil_mode);
}
LpTensor *lp_composite_lp_pool2d(LpTensor *self, double norm_type, LpInts kernel_size,
                                 LpInts stride, bool ceil_mode) {
  return lp_pool(self, 2, norm_type, kernel_size, stride, ceil_mode);
}
LpTensor *lp_composite_lp_pool3d(LpTensor *self, double norm_type, LpInts kernel_size,
                                 LpInts stride, bool ceil_mode) {
  return lp_pool(self, 3, norm_type, kernel_size, stride, ceil_mode);
}
