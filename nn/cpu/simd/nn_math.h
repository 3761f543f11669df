/* exp of weights: of what is not above the greatest number of a row, or its logsumexp. */
#ifndef LP_NN_SIMD_MATH_H
#define LP_NN_SIMD_MATH_H

#include "cpu/simd/vecmath.h"

/* exp(x) for x up to 88, within 1 ulp; 0 below the normal range. NaN stays NaN. */
static inline float nn_expf(float x) {
  float e = lp_exp_inner_f32(x);
  return x < -87.3f ? 0 : e;
}

#endif
