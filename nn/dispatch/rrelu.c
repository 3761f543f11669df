/* The slopes of rrelu in training. */
#include "dispatch/nn_util.h"
#include "impl.h"
#include "lampad/ops.h"

LpTensor *lp_impl_rrelu_noise(LpTensor *self, double lower, double upper,
                              LpGenerator *generator) {
  CHECK_FLOATING(self, "input");
  LpTensor *x = nn_dense(self, LP_FLOAT64), *draws = NULL, *wanted = NULL,
           *noise = lp_tensor_new(lp_sizes(self), LP_FLOAT64, lp_device(self));
  const int64_t n = lp_numel(self);
  int64_t count = 0;
  bool ok = x && noise;
  const double *v = ok ? lp_data(x) : NULL;
  for (int64_t i = 0; ok && i < n; i++) count += v[i] <= 0;
  /* One draw in double for each element that is not positive, in order, as PyTorch. One
   * more is read, so that signs, which nobody foresees, are not branched on. */
  const int64_t room = count + 1;
  ok = ok && (draws = nn_zeros(&room, 1, LP_FLOAT64)) &&
       (wanted = lp_narrow(draws, 0, 0, count)) &&
       lp_uniform_(wanted, lower, upper, generator);
  if (ok) {
    const double *draw = lp_data(draws);
    double *to = lp_data(noise);
    for (int64_t i = 0; i < n; i++) {
      const bool drawn = v[i] <= 0;
      const double slope = *draw;
      to[i] = drawn ? slope : 1;
      draw += drawn;
    }
  }
  lp_tensor_release(wanted);
  lp_tensor_release(x);
  lp_tensor_release(draws);
  if (!ok) lp_drop(&noise);
  return nn_cast_take(noise, lp_dtype(self));
}
