/* rrelu: the slope is a mean, or a tensor of draws. */
#include "composite/expr.h"
#include "impl.h"

LpTensor *lp_composite_rrelu(LpTensor *input, double lower, double upper, bool training,
                             LpGenerator *generator) {
  CHECK(lower <= upper, LP_ERR_ARGUMENT,
        "expected 'lower' to be at most 'upper', got %g and %g", lower, upper);
  if (!training) return lp_leaky_relu(input, lp_scalar_float((lower + upper) / 2));
  Expr e = {0};
  LpTensor *noise = keep(&e, lp_rrelu_noise(input, lower, upper, generator));
  return expr_end(&e, x_mul(&e, input, noise));
}
