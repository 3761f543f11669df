/* Pointwise kernels on float64. */
#include "cpu/simd/kernels.h"
#include "cpu/special.h"

#define CATEGORY FLOAT
#define IS_FLOAT 1
#define T double
#define BITS uint64_t
#define FN(name) name##_f64
#define V(name) lp_##name##_f64
#define BI(name) __builtin_##name
#include "cpu/simd/near_f64.h"
#if defined(LP_CAP_avx512)
#include "cpu/simd/wide_f64.h"
#endif
#if defined(__FMA__)
#define LP_OWN_LOOP_floor_divide_f64 ~, OWN
#define LP_OWN_LOOP_remainder_f64 ~, OWN
#define LP_OWN_LOOP_fmod_f64 ~, OWN
#define OWN_LOOPS "cpu/simd/quotients.h"
#endif
#include "cpu/simd/template.h"
