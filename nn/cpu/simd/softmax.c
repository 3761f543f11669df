/* Softmax loops; see cpu/softmax.h. */
#include "cpu/simd/simd.h"
#include "cpu/simd/nn_math.h"
#include "cpu/softmax.h"

#define PIECE 4096
#define STEP 32 /* of a row at a time, each adding to a sum of its own */
#define COLUMNS LP_SOFTMAX_COLUMNS

#define BODY "cpu/simd/softmax_body.h"
#include "cpu/simd/nn_each.h"

#define PAIRS(a, b)                                                                      \
  {                                                                                      \
    {a##_f32, b##_f32}, {a##_f64, b##_f64}, {a##_f16, b##_f16}, {                        \
      a##_bf16, b##_bf16                                                                 \
    }                                                                                    \
  }

const LpSoftmaxKernels LP_SIMD(lp_softmax_kernels) = {
    .row = PAIRS(softmax_row, log_softmax_row),
    .inner = PAIRS(softmax_inner, log_softmax_inner),
    .row_grad = PAIRS(softmax_row_grad, log_softmax_row_grad),
    .inner_grad = PAIRS(softmax_inner_grad, log_softmax_inner_grad),
    .logsumexp = EACH_TYPE(logsumexp),
    .scaled_exp = EACH_TYPE(scaled_exp),
    .column_logsumexp = EACH_TYPE(column_logsumexp),
    .rows_scaled_exp = EACH_TYPE(rows_scaled_exp),
    .get = EACH_TYPE(get),
    .add_at = EACH_TYPE(add_at),
};
