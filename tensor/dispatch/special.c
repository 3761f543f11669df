/* Special functions that need more than a row of the schema. Kernels by way of
 * dispatch/pointwise.h. */
#include "dispatch/pointwise.h"
#include "impl.h"

LpTensor *lp_impl_polygamma(LpTensor *out, int64_t n, LpTensor *self) {
  CHECK(n >= 0, LP_ERR_ARGUMENT, "n: expected a number of at least 0, got %lld",
        (long long)n);
  LpScalar order = lp_scalar_int(n);
  return lp_pointwise(LP_POINTWISE_EXTRA(LP_EXTRA_polygamma), out, &self, 1, &order);
}

LpTensor *lp_impl_polygamma_method(LpTensor *out, LpTensor *self, int64_t n) {
  return lp_impl_polygamma(out, n, self);
}

/* The gradient of an argument by which nobody has a formula. */
LpTensor *lp_impl_not_implemented(LpTensor *grad, const char *what) {
  CHECK(false, LP_ERR_AUTOGRAD, "the derivative for '%s' is not implemented", what);
}
