/* Pointwise kernels on float32; float16 and bfloat16 are computed here, too. */
#include "cpu/simd/kernels.h"

#define CATEGORY FLOAT
#define IS_FLOAT 1
#define T float
#define BITS uint32_t
#define FN(name) name##_f32
#define V(name) lp_##name##_f32
#define BI(name) __builtin_##name##f
#define OWN_LOOPS "cpu/simd/stretches.h"
#include "cpu/simd/template.h"
