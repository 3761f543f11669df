/* The public pooling ops by number of dims. */
#include "autograd/node.h"
#include "dispatch/nn_util.h"
#include "impl.h"
#include "lampad/ops.h"

/* Indices are kept only for a gradient, and in 32 bits: half the memory of the public
 * ones. */
static LpTensor *max_values(LpTensor *self, int64_t ndim, LpInts kernel_size,
                            LpInts stride, LpInts padding, LpInts dilation,
                            bool ceil_mode) {
  LpTensor *results[2];
  LpDtype index_dtype = lp_wants_grad(self) ? LP_INT32 : LP_DTYPE_NONE;
  TRY(lp_max_pool(self, ndim, kernel_size, stride, padding, dilation, ceil_mode,
                  index_dtype, results));
  lp_tensor_release(results[1]);
  return results[0];
}

LpTensor *lp_composite_max_pool1d(LpTensor *self, LpInts kernel_size, LpInts stride,
                                  LpInts padding, LpInts dilation, bool ceil_mode) {
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
