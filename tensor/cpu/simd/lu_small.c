/* The kernels of cpu/lu_small.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "cpu/copy.h"
#include "cpu/lu_small.h"

#define MAX LP_SMALL_LU_MAX

#define T float
#define INT int32_t
#define FN(name) name##_f32
#define TYPE(name) name##F32
#define TRANSPOSE LP_SIMD(lp_copy_kernels).transpose[2]
#include "cpu/simd/lu_small_body.h"
#undef T
#undef INT
#undef FN
#undef TYPE
#undef TRANSPOSE

#define T double
#define INT int64_t
#define FN(name) name##_f64
#define TYPE(name) name##F64
#define TRANSPOSE LP_SIMD(lp_copy_kernels).transpose[3]
#include "cpu/simd/lu_small_body.h"

const LpSmallLuKernels LP_SIMD(lp_small_lu_kernels) = {.lanes_f32 = LP_LANES(float),
                                                       .lanes_f64 = LP_LANES(double),
                                                       .groups_f32 = groups_f32,
                                                       .groups_f64 = groups_f64};
