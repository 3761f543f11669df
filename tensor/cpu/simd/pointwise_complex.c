/* Pointwise kernels on complex64 and complex128. */
#include "cpu/simd/kernels.h"

#define CATEGORY COMPLEX
#define IS_COMPLEX 1

#define T float _Complex
#define R float
#define FN(name) name##_c64
#define CX(name) name##f
#define VR(name) lp_##name##_f32
#define BR(name) __builtin_##name##f
#include "cpu/simd/template.h"
#undef T
#undef R
#undef FN
#undef CX
#undef VR
#undef BR

#define T double _Complex
#define R double
#define FN(name) name##_c128
#define CX(name) name
#define VR(name) lp_##name##_f64
#define BR(name) __builtin_##name
#include "cpu/simd/template.h"
