/* The slopes of rrelu in training. */
#include "dispatch/nn_util.h"
#include "impl.h"
#include "lampad/ops.h"

LpTensor *lp_impl_rrelu_noise(LpTensor *self, double lower, double upper,
                              LpGenerator *generator) {
  CHECK_FLOATING(self, "input");
  LpTensor *x = nn_dense(self, LP_FLOAT64), *draws = NULL,
           *noise = lp_tensor_new(lp_sizes(self), LP_FLOAT64, lp_device(self));
  int64_t count = 0;
  bool ok = x && noise;
  for (int64_t i = 0; ok && i < lp_numel(x); i++) count += ((double *)lp_data(x))[i] <= 0;
  /* One draw in double for each element that is not positive, in order, as PyTorch. */
  ok = ok && (draws = nn_empty(&count, 1, LP_FLOAT64)) &&
       lp_uniform_(draws, lower, upper, generator);
  if (ok) {
    const double *v = lp_data(x), *draw = lp_data(draws);
    double *to = lp_data(noise);
    for (int64_t i = 0; i < lp_numel(x); i++) to[i] = v[i] <= 0 ? *draw++ : 1;
  }
  lp_tensor_release(x);
  lp_tensor_release(draws);
  if (!ok) lp_drop(&noise);
  return nn_cast_take(noise, lp_dtype(self));
}
