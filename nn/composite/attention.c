/* Attention and gates. */
#include <math.h>
#include "composite/expr.h"
#include "impl.h"

LpTensor *lp_composite_glu(LpTensor *self, int64_t dim) {
  CHECK(lp_ndim(self) > 0, LP_ERR_ARGUMENT, "expected an input of at least 1 dim, got []");
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  int64_t n = lp_size(self, dim);
  CHECK(n % 2 == 0, LP_ERR_ARGUMENT, "expected an even size along dim %lld, got %s", (long long)dim, SHAPE_TEXT(self));
  Expr e = {0};
  LpTensor *a = keep(&e, lp_narrow(self, dim, 0, n / 2)), *b = keep(&e, lp_narrow(self, dim, n / 2, n / 2));
  LpTensor *gate = b ? keep(&e, lp_sigmoid(b)) : NULL;
  return expr_end(&e, x_mul(&e, a, gate));
}
