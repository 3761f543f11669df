/* Pointwise kernels on float64. */
#include "cpu/simd/kernels.h"

#define CATEGORY FLOAT
#define IS_FLOAT 1
#define T double
#define BITS uint64_t
#define FN(name) name##_f64
#define V(name) lp_##name##_f64
#define BI(name) __builtin_##name
#include "cpu/simd/template.h"
