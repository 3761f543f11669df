/* Rows of attention; see cpu/attention.h. */
#include "cpu/simd/simd.h"

#include <math.h>
#include "cpu/attention.h"
#include "cpu/simd/nn_math.h"

#define T float
#define FN(name) name##_f32
#define EXP nn_expf
#include "cpu/simd/attention_body.h"
#undef T
#undef FN
#undef EXP

#define T double
#define FN(name) name##_f64
#define EXP lp_exp_f64
#include "cpu/simd/attention_body.h"

#define BOTH(name)                                                                       \
  { name##_f32, name##_f64 }

const LpAttentionKernels LP_SIMD(lp_attention_kernels) = {.weigh = BOTH(weigh),
                                                          .unweigh = BOTH(unweigh),
                                                          .scale_rows = BOTH(scale_rows),
                                                          .inner_rows = BOTH(inner_rows),
                                                          .finish = BOTH(finish)};
