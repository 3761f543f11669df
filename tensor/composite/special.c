/* Special functions written in terms of other ops, so that their gradients follow. */
#include <math.h>
#include "composite/steps.h"
#include "core/tensor.h"
#include "impl.h"
#include "lampad/ops.h"

/* The offsets 0, -1/2, ..., -(p - 1)/2 stand along a new last dim, which is summed. */
LpTensor *lp_composite_mvlgamma(LpTensor *self, int64_t p) {
  CHECK(p >= 1, LP_ERR_ARGUMENT, "p: expected a number of at least 1, got %lld",
        (long long)p);
  CHECK(self->dtype != LP_BOOL && !lp_dtype_is_complex(self->dtype), LP_ERR_TYPE,
        "self: expected a tensor of real numbers, got %s", lp_dtype_name(self->dtype));
  LpDtype dtype =
      lp_dtype_is_floating(self->dtype) ? (LpDtype)self->dtype : lp_default_dtype();
  Steps s = {0};
  STEP(offsets, lp_arange_start_step(lp_scalar_float(-0.5 * (double)(p - 1)),
                                     lp_scalar_float(0.25), lp_scalar_float(0.5), dtype,
                                     lp_device(self), false));
  STEP(column, lp_unsqueeze(self, -1));
  STEP(arguments, lp_add(column, offsets, lp_scalar_int(1)));
  STEP(logs, lp_lgamma(arguments));
  STEP(sum, lp_sum_dim(logs, lp_ints((int64_t[]){-1}, 1), false, LP_DTYPE_NONE));
  STEP(constant, lp_tensor_wrapped(lp_scalar_float(0.25 * (double)p * (double)(p - 1) *
                                                   1.14472988584940017414)));
  STEP(result, lp_add(sum, constant, lp_scalar_int(1)));
  return steps_finish(&s, result);
}
