/* Deformable convolution loops; see cpu/deform.h. */
#include <math.h>
#include <stddef.h>
#include "cpu/simd/simd.h"
#include "cpu/deform.h"

#define BLOCK 64 /* positions whose corners are found at once */

#define A float
#define SUFFIX f32
#include "cpu/simd/deform_body.h"
#undef A
#undef SUFFIX
#define A double
#define SUFFIX f64
#include "cpu/simd/deform_body.h"
#undef A
#undef SUFFIX

#define BOTH(name)                                                                       \
  { name##_f32, name##_f64 }

const LpDeformKernels LP_SIMD(lp_deform_kernels) = {
    .columns = BOTH(columns),
    .position_grad = BOTH(position_grad),
    .input_grad = BOTH(input_grad),
};
