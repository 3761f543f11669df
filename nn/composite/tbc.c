/* conv_tbc: a convolution of sequences whose batch is the second dim. */
#include "composite/expr.h"
#include "impl.h"

LpTensor *lp_composite_conv_tbc(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                int64_t pad) {
  CHECK(lp_ndim(input) == 3, LP_ERR_ARGUMENT,
        "expected 'input' of 3 dims (time, batch, channels), got %s", SHAPE_TEXT(input));
  CHECK(lp_ndim(weight) == 3, LP_ERR_ARGUMENT,
        "expected 'weight' of 3 dims (kernel, in_channels, out_channels), got %s",
        SHAPE_TEXT(weight));
  CHECK(lp_ndim(bias) == 1 && lp_size(bias, 0) == lp_size(weight, 2), LP_ERR_ARGUMENT,
        "expected 'bias' of shape [%lld], got %s", (long long)lp_size(weight, 2),
        SHAPE_TEXT(bias));
  const int64_t to_nct[3] = {1, 2, 0}, to_oik[3] = {2, 1, 0}, to_tbc[3] = {2, 0, 1},
                one = 1;
  Expr e = {0};
  LpTensor *x = keep(&e, lp_permute(input, lp_ints(to_nct, 3))),
           *w = keep(&e, lp_permute(weight, lp_ints(to_oik, 3)));
  LpInts ones = lp_ints(&one, 1);
  LpTensor *y =
      x && w ? keep(&e, lp_conv1d(x, w, bias, ones, lp_ints(&pad, 1), ones, 1)) : NULL;
  return expr_end(&e, y ? keep(&e, lp_permute(y, lp_ints(to_tbc, 3))) : NULL);
}
