/* Elementary functions for kernel loops: lp_exp_f32(x), lp_exp_f64(x), ...
 *
 * Note [Vector functions]: each function is declared to have vector variants. When gcc vectorises a
 * loop that calls lp_exp_f32 it calls the variant by the name that the x86-64 vector ABI gives it
 * (_ZGVeN16v_lp_exp_f32: AVX-512, 16 lanes), and a directive here equates that name with SLEEF's
 * function. So a kernel stays a plain scalar function, and still runs on vectors of exp.
 * For gcc to do so the call must not be conditional: compute both sides, then choose with FN(sel).
 * Where a loop is not vectorised the scalar functions of cpu/vecmath.c serve. */
#ifndef LP_CPU_VECMATH_H
#define LP_CPU_VECMATH_H

/* X(name, SLEEF's suffix: the error bound in tenths of an ulp) */
#define LP_MATH_1(X)                                                                     \
  X(exp, u10) X(exp2, u10) X(expm1, u10) X(log, u10) X(log2, u10) X(log10, u10)          \
  X(log1p, u10) X(sin, u10) X(cos, u10) X(tan, u10) X(asin, u10) X(acos, u10)            \
  X(atan, u10) X(sinh, u10) X(cosh, u10) X(tanh, u10) X(asinh, u10) X(acosh, u10)        \
  X(atanh, u10) X(erf, u10) X(erfc, u15) X(lgamma, u10)
#define LP_MATH_2(X) X(pow, u10) X(atan2, u10) X(hypot, u05)

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(LP_CAP)
#define LP_VECTOR_FUNCTION __attribute__((simd("notinbranch"), const, nothrow))
/* ISA letter of the ABI, lanes, operands, our name, SLEEF's name. */
#define LP_EQUATE(isa, lanes, args, name, target)                                        \
  __asm__(".set _ZGV" isa "N" #lanes args "_lp_" name ", Sleef_" target);
#define LP_EQUATE_SSE(name, args, ulp)                                                   \
  LP_EQUATE("b", 4, args, name "_f32", name "f4_" ulp)                                   \
  LP_EQUATE("b", 2, args, name "_f64", name "d2_" ulp)
#define LP_EQUATE_AVX2(name, args, ulp)                                                  \
  LP_EQUATE("d", 8, args, name "_f32", name "f8_" ulp "avx2")                            \
  LP_EQUATE("d", 4, args, name "_f64", name "d4_" ulp "avx2")
#define LP_EQUATE_AVX512(name, args, ulp)                                                \
  LP_EQUATE("e", 16, args, name "_f32", name "f16_" ulp "avx512f")                       \
  LP_EQUATE("e", 8, args, name "_f64", name "d8_" ulp "avx512f")
/* gcc may choose a narrower vector than the widest it has. */
#if defined(LP_CAP_avx512)
#define LP_EQUATE_ALL(name, args, ulp)                                                   \
  LP_EQUATE_SSE(name, args, ulp) LP_EQUATE_AVX2(name, args, ulp)                         \
  LP_EQUATE_AVX512(name, args, ulp)
#elif defined(LP_CAP_avx2)
#define LP_EQUATE_ALL(name, args, ulp)                                                   \
  LP_EQUATE_SSE(name, args, ulp) LP_EQUATE_AVX2(name, args, ulp)
#else
#define LP_EQUATE_ALL(name, args, ulp) LP_EQUATE_SSE(name, args, ulp)
#endif
#define LP_EQUATE_1(name, ulp) LP_EQUATE_ALL(#name, "v", #ulp)
#define LP_EQUATE_2(name, ulp) LP_EQUATE_ALL(#name, "vv", #ulp)
LP_MATH_1(LP_EQUATE_1)
LP_MATH_2(LP_EQUATE_2)
#else
#define LP_VECTOR_FUNCTION __attribute__((const, nothrow))
#endif

#define LP_DECLARE_1(name, ulp)                                                          \
  LP_VECTOR_FUNCTION float lp_##name##_f32(float);                                       \
  LP_VECTOR_FUNCTION double lp_##name##_f64(double);
#define LP_DECLARE_2(name, ulp)                                                          \
  LP_VECTOR_FUNCTION float lp_##name##_f32(float, float);                                \
  LP_VECTOR_FUNCTION double lp_##name##_f64(double, double);
LP_MATH_1(LP_DECLARE_1)
LP_MATH_2(LP_DECLARE_2)

#endif
