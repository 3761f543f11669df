/* prelu, and rrelu: its slope is a mean, or a tensor of draws. */
#include "composite/expr.h"
#include "impl.h"

LpTensor *lp_composite_prelu(LpTensor *self, LpTensor *weight) {
  int64_t ndim = lp_ndim(self), n = lp_numel(weight), shape[LP_MAX_DIMS],
          channels = ndim > 1 ? lp_size(self, 1) : 1;
  CHECK(lp_ndim(weight) <= 1, LP_ERR_ARGUMENT, "expected 'weight' of 0 or 1 dims, got %s",
        SHAPE_TEXT(weight));
  CHECK(
      n == 1 || n == channels, LP_ERR_ARGUMENT,
      "expected 'weight' of 1 element or one for each of the %lld channels of input %s, "
      "got %s",
      (long long)channels, SHAPE_TEXT(self), SHAPE_TEXT(weight));
  CHECK(lp_dtype(weight) == lp_dtype(self), LP_ERR_TYPE,
        "expected input and weight of one dtype, got %s and %s",
        lp_dtype_name(lp_dtype(self)), lp_dtype_name(lp_dtype(weight)));
  for (int64_t d = 0; d < ndim; d++) shape[d] = d == 1 ? n : 1;
  Expr e = {0};
  LpTensor *slope = x_reshape(&e, weight, lp_ints(shape, ndim));
  return expr_end(&e, slope ? keep(&e, lp_prelu_elements(self, slope)) : NULL);
}

LpTensor *lp_composite_rrelu(LpTensor *input, double lower, double upper, bool training,
                             LpGenerator *generator) {
  CHECK(lower <= upper, LP_ERR_ARGUMENT,
        "expected 'lower' to be at most 'upper', got %g and %g", lower, upper);
  if (!training) return lp_leaky_relu(input, lp_scalar_float((lower + upper) / 2));
  Expr e = {0};
  LpTensor *noise = keep(&e, lp_rrelu_noise(input, lower, upper, generator));
  return expr_end(&e, x_mul(&e, input, noise));
}
