/* Elementary functions for kernel loops: lp_exp_f32(x), lp_exp_f64(x), ...
 *
 * Note [Vector functions]: each function is declared to have vector variants. When gcc
 * vectorises a loop that calls lp_exp_f32 it calls the variant by the name that the
 * x86-64 vector ABI gives it
 * (_ZGVeN16v_lp_exp_f32: AVX-512, 16 lanes), and a directive here equates that name with
 * SLEEF's function. So a kernel stays a plain scalar function, and still runs on vectors
 * of exp. For gcc to do so the call must not be conditional: compute both sides, then
 * choose with FN(sel). Where a loop is not vectorised the scalar functions of
 * cpu/vecmath.c serve. */
#ifndef LP_CPU_VECMATH_H
#define LP_CPU_VECMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* X(name, SLEEF's suffix: the error bound in tenths of an ulp). What float lacks is
 * below. */
#define LP_MATH_1(X)                                                                     \
  X(exp2, u10)                                                                           \
  X(log1p, u10)                                                                          \
  X(tan, u10)                                                                            \
  X(asin, u10) X(acos, u10) X(atan, u10) X(sinh, u10) X(cosh, u10) X(asinh, u10)         \
      X(acosh, u10) X(atanh, u10) X(erfc, u15) X(lgamma, u10)
#define LP_MATH_1_F32(X) X(sin, u35) X(cos, u35)
#define LP_MATH_1_F64(X)                                                                 \
  X(exp, u10)                                                                            \
  X(expm1, u10)                                                                          \
  X(sin, u10) X(cos, u10) X(tanh, u10) X(erf, u10) X(log, u10) X(log2, u10) X(log10, u10)
#define LP_MATH_2(X) X(pow, u10) X(atan2, u10) X(hypot, u05)

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(LP_CAP)
#define LP_VECTOR_FUNCTION __attribute__((simd("notinbranch"), const, nothrow))
/* ISA letter of the ABI, lanes, operands, our name, SLEEF's name. */
#define LP_EQUATE(isa, lanes, args, name, target)                                        \
  __asm__(".set _ZGV" isa "N" #lanes args "_lp_" name ", Sleef_" target);
#define LP_EQUATE_SSE_F32(name, args, ulp)                                               \
  LP_EQUATE("b", 4, args, name "_f32", name "f4_" ulp)
#define LP_EQUATE_SSE_F64(name, args, ulp)                                               \
  LP_EQUATE("b", 2, args, name "_f64", name "d2_" ulp)
#define LP_EQUATE_AVX2_F32(name, args, ulp)                                              \
  LP_EQUATE("d", 8, args, name "_f32", name "f8_" ulp "avx2")
#define LP_EQUATE_AVX2_F64(name, args, ulp)                                              \
  LP_EQUATE("d", 4, args, name "_f64", name "d4_" ulp "avx2")
#define LP_EQUATE_AVX512_F32(name, args, ulp)                                            \
  LP_EQUATE("e", 16, args, name "_f32", name "f16_" ulp "avx512f")
#define LP_EQUATE_AVX512_F64(name, args, ulp)                                            \
  LP_EQUATE("e", 8, args, name "_f64", name "d8_" ulp "avx512f")
/* gcc may choose a narrower vector than the widest it has. */
#if defined(LP_CAP_avx512)
#define LP_EQUATE_ALL(type, name, args, ulp)                                             \
  LP_EQUATE_SSE_##type(name, args, ulp) LP_EQUATE_AVX2_##type(name, args, ulp)           \
      LP_EQUATE_AVX512_##type(name, args, ulp)
#elif defined(LP_CAP_avx2)
#define LP_EQUATE_ALL(type, name, args, ulp)                                             \
  LP_EQUATE_SSE_##type(name, args, ulp) LP_EQUATE_AVX2_##type(name, args, ulp)
#else
#define LP_EQUATE_ALL(type, name, args, ulp) LP_EQUATE_SSE_##type(name, args, ulp)
#endif
#define LP_EQUATE_1_F32(name, ulp) LP_EQUATE_ALL(F32, #name, "v", #ulp)
#define LP_EQUATE_1_F64(name, ulp) LP_EQUATE_ALL(F64, #name, "v", #ulp)
#define LP_EQUATE_2_F32(name, ulp) LP_EQUATE_ALL(F32, #name, "vv", #ulp)
#define LP_EQUATE_2_F64(name, ulp) LP_EQUATE_ALL(F64, #name, "vv", #ulp)
LP_MATH_1(LP_EQUATE_1_F32)
LP_MATH_1(LP_EQUATE_1_F64)
LP_MATH_1_F32(LP_EQUATE_1_F32)
LP_MATH_1_F64(LP_EQUATE_1_F64)
LP_MATH_2(LP_EQUATE_2_F32)
LP_MATH_2(LP_EQUATE_2_F64)
#else
#define LP_VECTOR_FUNCTION __attribute__((const, nothrow))
#endif

#define LP_DECLARE_1_F32(name, ulp) LP_VECTOR_FUNCTION float lp_##name##_f32(float);
#define LP_DECLARE_1_F64(name, ulp) LP_VECTOR_FUNCTION double lp_##name##_f64(double);
#define LP_DECLARE_2_F32(name, ulp)                                                      \
  LP_VECTOR_FUNCTION float lp_##name##_f32(float, float);
#define LP_DECLARE_2_F64(name, ulp)                                                      \
  LP_VECTOR_FUNCTION double lp_##name##_f64(double, double);
LP_MATH_1(LP_DECLARE_1_F32)
LP_MATH_1(LP_DECLARE_1_F64)
LP_MATH_1_F32(LP_DECLARE_1_F32)
LP_MATH_1_F64(LP_DECLARE_1_F64)
LP_MATH_2(LP_DECLARE_2_F32)
LP_MATH_2(LP_DECLARE_2_F64)

/* --- functions of our own --------------------------------------------------------------
 */

/* Where training spends its time SLEEF's float versions cost several times an exp. The
 * polynomials are least-squares fits of the relative error, reweighted towards minimax
 * (Lawson's iteration); Estrin's form keeps chains of dependence short. */

/* c ? a : b of values already computed, as bits (Note [Vector functions]). */
static inline float lp_sel_f32(_Bool c, float a, float b) {
  uint32_t mask = -(uint32_t)c, x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  x = (x & mask) | (y & ~mask);
  memcpy(&a, &x, sizeof a);
  return a;
}
static inline double lp_sel_f64(_Bool c, double a, double b) {
  uint64_t mask = -(uint64_t)c, x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  x = (x & mask) | (y & ~mask);
  memcpy(&a, &x, sizeof a);
  return a;
}

/* x = 2^exponent (1 + r), r in [-1/3, 1/3), log(1 + r) = r + rest; returns the exponent.
 * x is positive and normal. Sums are written so that a fused multiply-add has one way to
 * enter them: bits do not depend on the loop. */
static inline float lp_log_parts_f32(float x, float *r_out, float *rest) {
  uint32_t bits, above;
  memcpy(&bits, &x, sizeof bits);
  above = bits - 0x3f2aaaab; /* 2/3 */
  bits -= above & 0xff800000;
  float r;
  memcpy(&r, &bits, sizeof r);
  r = r - 1;
  float r2 = r * r, r4 = r2 * r2;
  float q01 = -0.249997973f * r + 0.333332151f, q23 = -0.166804865f * r + 0.200104058f;
  float q45 = -0.121842779f * r + 0.140058622f, q67 = -0.12891601f * r + 0.139844671f;
  float q = (q01 + r2 * q23) + r4 * (q45 + r2 * q67);
  *r_out = r;
  *rest = r2 * (r * q - 0.5f);
  return (float)((int32_t)above >> 23);
}

/* Logarithms of a positive normal x whose exponent counts `shift` too much: within 1.3
 * ulp with fused multiply-add, 2.2 without. Powers of two (log2) and of ten (log10) give
 * whole numbers. */
static inline float lp_log_normal_f32(float x, float shift) {
  float r, rest, n = lp_log_parts_f32(x, &r, &rest) - shift;
  float y = (r + rest) + n * -2.12194440e-4f;
  return y + n * 0.693359375f;
}
/* n + r / log(2) may cancel: what its rounding loses is added again. */
static inline float lp_log2_normal_f32(float x, float shift) {
  const float scale = 1.44269504f;
  float r, rest, n = lp_log_parts_f32(x, &r, &rest) - shift;
  float high = n + r * scale, lost = r * scale - (high - n);
  return high + (lost + (rest + r * 1.3386083e-08f) * scale);
}
static inline float lp_log10_normal_f32(float x, float shift) {
  const float scale = 0.434294492f;
  float r, rest, n = lp_log_parts_f32(x, &r, &rest) - shift;
  float whole = n * 0.301025391f + 0.0f; /* exact: the factor has 12 bits */
  float high = whole + r * scale, lost = r * scale - (high - whole);
  lost = lost + n * 4.60503907e-6f;
  return high + (lost + (rest + r * -2.3e-8f) * scale);
}

/* For any x. The loops of pointwise_f32.c call the part above where all of a block is
 * normal. */
#define LP_LOG_OF_ANY(name)                                                              \
  static inline float lp_##name##_f32(float x) {                                         \
    _Bool tiny = x < 1.17549435e-38f;                                                    \
    float y = lp_##name##_normal_f32(x * (tiny ? 0x1p23f : 1.0f), tiny ? 23.0f : 0.0f);  \
    y = x < INFINITY ? y : x;                                                            \
    return x > 0 ? y : x == 0 ? -INFINITY : NAN;                                         \
  }
LP_LOG_OF_ANY(log)
LP_LOG_OF_ANY(log2)
LP_LOG_OF_ANY(log10)

/* exp(x) = 2^n (1 + part), by Cody and Waite's reduction; n is rounded by adding 1.5 *
 * 2^23, and stays in the low bits of *shifted. */
static inline float lp_exp_parts_f32(float x, float *shifted) {
  const float magic = 12582912.0f;
  *shifted = x * 1.44269504088896341f + magic;
  float n = *shifted - magic;
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float r2 = r * r, low = 0.166665152f * r + 0.49999994f;
  float high = 0.00836941879f * r + 0.041668456f;
  return r + r2 * (low + r2 * (high + r2 * 0.00138131424f));
}

/* exp for arguments in [-87, 88], without the ends' special cases: n is added to the
 * exponent. */
static inline float lp_exp_inner_f32(float x) {
  float shifted, p = 1 + lp_exp_parts_f32(x, &shifted);
  uint32_t bits, power;
  memcpy(&bits, &p, sizeof bits);
  memcpy(&power, &shifted, sizeof power);
  bits += power << 23;
  memcpy(&p, &bits, sizeof p);
  return p;
}

/* exp within 1 ulp. Where the result is normal its bits are those of lp_exp_inner_f32;
 * 2^n is two factors, as n may leave the exponent's range at both ends. A NaN comes
 * through the polynomial. */
static inline float lp_exp_f32(float x) {
  float bounded = x < -104.0f ? -104.0f : x;
  bounded = bounded > 89.0f ? 89.0f : bounded;
  float shifted, p = 1 + lp_exp_parts_f32(bounded, &shifted), a, b;
  uint32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  int32_t n = (int32_t)(bits - 0x4b400000u), half = n >> 1;
  uint32_t low = (uint32_t)(half + 127) << 23, high = ((uint32_t)n - (uint32_t)half + 127)
                                                      << 23;
  memcpy(&a, &low, sizeof a);
  memcpy(&b, &high, sizeof b);
  return p * a * b;
}

/* exp(x) - 1 as 2^n (e^r - 1) + (2^n - 1), so that small x keep their digits; within 2
 * ulp. Half of it is computed, as 2^n may be too large where the result is not. */
static inline float lp_expm1_f32(float x) {
  float y = x < -18.0f ? -18.0f : x; /* -1 below */
  y = y > 89.0f ? 89.0f : y;
  float shifted, part = lp_exp_parts_f32(y, &shifted), half;
  uint32_t power;
  memcpy(&power, &shifted, sizeof power);
  power = 0x3f000000u + (power << 23);
  memcpy(&half, &power, sizeof half);
  return __builtin_copysignf(2 * (half * part + (half - 0.5f)), x); /* -0 too */
}

/* 1 / x for 1 <= x <= 2^126, within 2 ulp: a guess at 12 % by the exponent (the bits of x
 * from those of a constant), then Newton's r (2 - x r) three times. Vector division takes
 * longer. */
static inline float lp_reciprocal_f32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = 0x7ef311c7u - bits;
  float r;
  memcpy(&r, &bits, sizeof r);
  r = r * (2 - x * r);
  r = r * (2 - x * r);
  return r + r * (1 - x * r);
}

/* (exp(2x) - 1) / (exp(2x) + 1), the numerator as 2^n (e^r - 1) + (2^n - 1) by the
 * reduction and the polynomial of lp_exp_inner_f32, so that small x keep their digits;
 * within 3 ulp. */
static inline float lp_tanh_f32(float x) {
  const float magic = 12582912.0f;
  float y = x < -9 ? -9 : x; /* 1 from there on */
  y = y > 9 ? 9 : y;
  float shifted = y * 2.88539008177792681f + magic, n = shifted - magic;
  float r = 2 * y - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float r2 = r * r, low = 0.166665152f * r + 0.49999994f;
  float high = 0.00836941879f * r + 0.041668456f;
  float q = (low + r2 * (high + r2 * 0.00138131424f)) * r2 + r;
  uint32_t power;
  memcpy(&power, &shifted, sizeof power);
  power = 0x3f800000u + (power << 23);
  float scale;
  memcpy(&scale, &power, sizeof scale);
  float above = scale * q + (scale - 1);
  return __builtin_copysignf(above * lp_reciprocal_f32(above + 2), x); /* -0 too */
}

/* erfc(z) for z >= 0: exp(-z^2 + P(z)), P the logarithm of erfcx on [0, 4.1]. Further
 * out, where erfc is below 1e-8, P stays at its end and the relative error grows. */
static inline float lp_erfc_tail_f32(float z) {
  float y = z < 4.1f ? z : 4.1f, y2 = y * y, y4 = y2 * y2;
  float p01 = -1.12839115f * y + 1.94001316e-07f;
  float p23 = -0.103250608f * y + 0.363501489f;
  float p45 = -0.000869348936f * y + 0.020083189f;
  float p67 = 0.000387837412f * y - 0.00100105722f;
  float p89 = 7.36690754e-06f * y - 7.30261236e-05f;
  float p =
      (p01 + p23 * y2) + y4 * ((p45 + p67 * y2) + y4 * (p89 - 3.17220696e-07f * y2));
  float power = p - z * z;
  return power > -87 ? lp_exp_inner_f32(power) : z != z ? z : 0;
}

/* Odd polynomial up to 1, 1 - erfc beyond; within 2 ulp. */
static inline float lp_erf_f32(float x) {
  float size = __builtin_fabsf(x), u = x * x;
  float p = 7.853857823647559e-05f;
  p = p * u - 0.0008010192541405559f;
  p = p * u + 0.005188327748328447f;
  p = p * u - 0.026853810995817184f;
  p = p * u + 0.1128358542919159f;
  p = p * u - 0.3761262595653534f;
  p = p * u + 1.1283791065216064f;
  float large = __builtin_copysignf(1 - lp_erfc_tail_f32(size), x);
  return lp_sel_f32(size < 1, x * p, large);
}

/* The normal distribution function, with digits left in the lower tail. */
static inline float lp_normal_cdf_f32(float x) {
  float tail = 0.5f * lp_erfc_tail_f32(__builtin_fabsf(x) * 0.70710678118654752440f);
  return x < 0 ? tail : 1 - tail;
}
static inline double lp_normal_cdf_f64(double x) {
  return 0.5 * (1 + lp_erf_f64(x * 0.70710678118654752440));
}

/* x times the normal distribution function, as max(x, 0) - |x| tail(|x|) with digits left
 * in the lower tail. log(tail) is a polynomial up to 5.798, that of lp_erfc_tail_f32 in
 * other units; `beyond` is what x^2 / 2 has more than at its end. */
static inline float lp_gelu_tail_f32(float y, float beyond) {
  float y2 = y * y, y4 = y2 * y2;
  float p01 = -0.797893034f * y - 0.693146987f;
  float p23 = -0.0365046025f * y - 0.318249255f;
  float p45 = -0.000153680632f * y + 0.00502079725f;
  float p67 = 3.4280308e-05f * y - 0.000125132153f;
  float p89 = 3.25574392e-07f * y - 4.56413273e-06f;
  float p =
      (p01 + p23 * y2) + y4 * ((p45 + p67 * y2) + y4 * (p89 - 9.91314675e-09f * y2));
  float power = p - beyond;
  return lp_sel_f32(power > -87, lp_exp_inner_f32(power), 0);
}
static inline float lp_gelu_inner_f32(float x) { /* |x| < 5.798 */
  float size = __builtin_fabsf(x);
  return __builtin_copysignf((x > 0 ? x : 0) - size * lp_gelu_tail_f32(size, 0), x);
}
static inline float lp_gelu_f32(float x) {
  float size = __builtin_fabsf(x), y = size < 5.798f ? size : 5.798f;
  float tail = lp_gelu_tail_f32(y, 0.5f * ((size - y) * (size + y)));
  float result = (x > 0 ? x : 0) - size * tail;
  return __builtin_copysignf(x == INFINITY ? x : result, x); /* NaN at -inf, as PyTorch */
}
static inline double lp_gelu_f64(double x) {
  return x * lp_normal_cdf_f64(x);
}

/* log(1 + x) for x >= 0: the rounding of 1 + x is made good by the factor (Kahan). */
static inline float lp_log1p_positive_f32(float x) {
  float u = 1 + x, y = lp_log_f32(u) * (x / (u - 1));
  return lp_sel_f32(u == 1, x, lp_sel_f32(u == INFINITY, u, y));
}
static inline double lp_log1p_positive_f64(double x) {
  double u = 1 + x, y = lp_log_f64(u) * (x / (u - 1));
  return lp_sel_f64(u == 1, x, lp_sel_f64(u == INFINITY, u, y));
}

#endif
