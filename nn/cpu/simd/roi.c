/* Region pooling loops; see cpu/roi.h. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "cpu/simd/simd.h"
#include "cpu/roi.h"
#include "lampad/base.h"

#define A float
#define SUFFIX f32
#include "cpu/simd/roi_body.h"
#undef A
#undef SUFFIX
#define A double
#define SUFFIX f64
#include "cpu/simd/roi_body.h"
#undef A
#undef SUFFIX

#define BOTH(name)                                                                       \
  { name##_f32, name##_f64 }

const LpRoiKernels LP_SIMD(lp_roi_kernels) = {
    .bands = BOTH(bands),
    .forward = BOTH(forward),
    .adjoint = BOTH(adjoint),
    .max = BOTH(max),
};
