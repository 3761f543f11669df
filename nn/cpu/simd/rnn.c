/* The kernels of cpu/rnn.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "cpu/rnn.h"
#include "cpu/simd/vecmath.h"

/* Rows of a tile: as many accumulators as registers allow, beside the vectors of B and
 * the element of A. */
#if defined(LP_CAP_avx512)
#define ACCUMULATORS 24
#else
#define ACCUMULATORS 12
#endif
#define MAX_ROWS 12

#define NAME_PASTE(a, b) a##_##b
#define NAME_OF(a, b) NAME_PASTE(a, b)
#define TYPED(name) NAME_OF(name, SUFFIX)

/* Bounded so that exp stays in its range; NaN passes. */
static inline float sigmoid_f32(float x) {
  float y = x < -87 ? -87 : x;
  return lp_gate_inner_f32(1, y > 87 ? 87 : y);
}
static inline double sigmoid_f64(double x) {
  return 1 / (1 + lp_exp_f64(-x));
}

#define T float
#define SUFFIX f32
#include "cpu/simd/rnn_body.h"
#undef T
#undef SUFFIX
#define T double
#define SUFFIX f64
#include "cpu/simd/rnn_body.h"
#undef T
#undef SUFFIX

#define BOTH(name)                                                                       \
  { name##_f32, name##_f64 }

const LpRnnKernels LP_SIMD(lp_rnn_kernels) = {
    .lanes = {LP_LANES(float), LP_LANES(double)},
    .pack = BOTH(pack),
    .product = BOTH(product),
    .forward = {BOTH(relu_forward), BOTH(tanh_forward), BOTH(lstm_forward),
                BOTH(gru_forward)},
    .backward = {BOTH(relu_backward), BOTH(tanh_backward), BOTH(lstm_backward),
                 BOTH(gru_backward)},
    .add = BOTH(add),
    .column_sums = BOTH(column_sums),
};
