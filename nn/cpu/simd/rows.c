/* Row loops of the normalisations; see cpu/rows.h. */
#include <math.h>
#include "cpu/simd/simd.h"
#include "core/whole.h"
#include "cpu/rows.h"

#define PIECE 4096     /* elements whose sum stays in the lanes */
#define PIECE_ROWS 128 /* likewise for columns, where a sum has one lane */
#define COLUMNS 512    /* columns at a time: their sums stay in the first-level cache */

/* How many rows a column loop takes at a time: more than one where they are short and
 * follow one another, so that its innermost loop is worth starting. */
#define RUN 128
static inline int64_t rows_at_once(int64_t rows, int64_t stride, int64_t n) {
  return n > 0 && n < RUN && stride == n && rows > 1 ? lp_least(RUN / n, rows) : 1;
}

/* Calls `loops`, which takes the constants gated and bounded last, as the gate asks. */
#define GATED(loops, ...)                                                                \
  if (!gate.y)                                                                           \
    loops(__VA_ARGS__, false, false);                                                    \
  else if (!gate.bounded)                                                                \
    loops(__VA_ARGS__, true, false);                                                     \
  else                                                                                   \
    loops(__VA_ARGS__, true, true)

#define BODY "cpu/simd/rows_body.h"
#include "cpu/simd/nn_each.h"

static void inverse_deviations(const double *variance, double eps, double *rstd,
                               int64_t n) {
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) rstd[i] = 1 / sqrt(variance[i] + eps);
}

const LpRowKernels LP_SIMD(lp_row_kernels) = {
    .sum = EACH_TYPE(sum),
    .moments = EACH_TYPE(moments),
    .affine = EACH_TYPE(affine),
    .affine_each = EACH_TYPE(affine_each),
    .grad_moments = EACH_TYPE(grad_moments),
    .combine = EACH_TYPE(combine),
    .first = EACH_TYPE(first),
    .add = EACH_TYPE(add),
    .weighted_center = EACH_TYPE(weighted_center),
    .weighted_grad_moments = EACH_TYPE(weighted_grad_moments),
    .weighted_combine = EACH_TYPE(weighted_combine),
    .weight_grads = EACH_TYPE(weight_grads),
    .column_moments = EACH_TYPE(column_moments),
    .column_affine = EACH_TYPE(column_affine),
    .column_grad_moments = EACH_TYPE(column_grad_moments),
    .column_combine = EACH_TYPE(column_combine),
    .inverse_deviations = inverse_deviations,
};
