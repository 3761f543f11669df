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

/* X(name, SLEEF's suffix: the error bound in tenths of an ulp). What is
 * missing is below. */
#define LP_MATH_1(X)                                                                     \
  X(log1p, u10)                                                                          \
  X(tan, u10)                                                                            \
  X(sinh, u10)                                                                           \
  X(cosh, u10) X(asinh, u10) X(acosh, u10) X(atanh, u10) X(lgamma, u10)
#define LP_MATH_1_F32(X) X(sin, u35) X(cos, u35) X(asin, u10) X(acos, u10)
#define LP_MATH_1_F64(X) X(exp2, u10) X(sin, u10) X(cos, u10) X(erfc, u15)
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

/* Where training spends its time SLEEF's float versions cost several times an exp; its
 * versions for double are slower than those of vecmath_f64.h, too. float's
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
/* max(x, 0), one instruction on the bits; -0 and negative NaN give 0. */
static inline float lp_positive_f32(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = bits > 0 ? bits : 0;
  memcpy(&x, &bits, sizeof x);
  return x;
}
static inline double lp_sel_f64(_Bool c, double a, double b) {
  uint64_t mask = -(uint64_t)c, x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  x = (x & mask) | (y & ~mask);
  memcpy(&a, &x, sizeof a);
  return a;
}

#include "cpu/simd/vecmath_f64.h"

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

/* 2^n times 2^(bias - 127), n being in the low bits of `shifted`: a number to which 1.5 *
 * 2^23 was added, which rounds it. */
static inline float lp_power_of_two_f32(float shifted, uint32_t bias) {
  uint32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + (bias << 23);
  memcpy(&shifted, &bits, sizeof bits);
  return shifted;
}

/* exp(x) = 2^n (1 + part), by Cody and Waite's reduction; n stays in *shifted. */
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

/* exp for arguments in [-87, 88], without the ends' special cases. A NaN stays one. */
static inline float lp_exp_inner_f32(float x) {
  float shifted, part = lp_exp_parts_f32(x, &shifted);
  float scale = lp_power_of_two_f32(shifted, 127);
  return scale + scale * part;
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

/* q of 2^f = 1 + f q, |f| <= 1/2, within 0.05 ulp. */
static inline float lp_exp2_part_f32(float f) {
  float q = 1.53267814e-4f * f + 0.00133910251f;
  q = q * f + 0.00961850584f;
  q = q * f + 0.0555035956f;
  q = q * f + 0.240226477f;
  return q * f + 0.693147182f;
}

/* 2^x within 0.9 ulp, 1.1 without fused multiply-add. */
static inline float lp_exp2_inner_f32(float x) { /* |x| <= 126 */
  const float magic = 12582912.0f;
  float shifted = x + magic, f = x - (shifted - magic);
  float scale = lp_power_of_two_f32(shifted, 127);
  return scale + scale * f * lp_exp2_part_f32(f);
}
static inline float lp_exp2_f32(float x) {
  float y = x < -152.0f ? -152.0f : x;
  y = y > 129.0f ? 129.0f : y;
  float shift = y < -64 ? 64.0f : y > 64 ? -64.0f : 0.0f;
  float factor = y < -64 ? 0x1p-64f : y > 64 ? 0x1p64f : 1.0f;
  return lp_exp2_inner_f32(y + shift) * factor;
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

/* a / b for 1 <= b <= 2^126, within 0.51 ulp with fused multiply-add, 1.2 without; vector
 * division takes longer. A guess at 1 / b within 6 % by the exponent (its bits from a
 * constant), Newton's step with the factor that leaves the least error, 0.0015, another,
 * and then what the quotient lacks. */
static inline float lp_divide_f32(float a, float b) {
  uint32_t bits;
  memcpy(&bits, &b, sizeof bits);
  bits = 0x7ef231c7u - bits;
  float r;
  memcpy(&r, &bits, sizeof r);
  r = r * (2.0015f - b * r);
  r = r + r * (1 - b * r);
  float quotient = a * r;
  return quotient - r * (b * quotient - a); /* -0 stays */
}

/* atan by a polynomial in the lesser of |x| and 1 / |x|; within 1.6 ulp, 1.8 without
 * fused multiply-add. */
static inline float lp_atan_f32(float x) {
  float size = __builtin_fabsf(x);
  _Bool large = size > 1;
  float over = lp_sel_f32(size < 0x1p126f, lp_sel_f32(large, size, 1), 0x1p126f);
  float t = lp_divide_f32(lp_sel_f32(large, 1, size), over);
  float u = t * t, u2 = u * u, u4 = u2 * u2;
  float p01 = 0.199937671f * u - 0.333331525f, p23 = 0.106657863f * u - 0.142110035f;
  float p45 = 0.0432059765f * u - 0.0755172893f, p67 = 0.00291976007f * u - 0.0163642447f;
  float p = (p01 + u2 * p23) + u4 * (p45 + u2 * p67);
  float y = t + t * u * p;
  y = lp_sel_f32(large, 1.57079637f - (y + 4.37113883e-8f), y);
  return __builtin_copysignf(y, x);
}

/* (exp(2x) - 1) / (exp(2x) + 1), the numerator as 2^n (e^2h - 1) + (2^n - 1) by the
 * polynomial of lp_exp_parts_f32, so that small x keep their digits; one constant is
 * enough for log(2) / 2, as n is small where it matters. Within 2.6 ulp with fused
 * multiply-add, 3.4 without, and never above 1. */
static inline float lp_tanh_inner_f32(float x) { /* |x| <= 9 */
  const float magic = 12582912.0f;
  float shifted = x * 2.88539008f + magic, n = shifted - magic;
  float h = x - n * 0.34657359f, h2 = h * h;
  float low = 4 * 0.166665152f * h + 2 * 0.49999994f;
  float high = 16 * 0.00836941879f * h + 8 * 0.041668456f;
  float part = h + h2 * (low + h2 * (high + h2 * (32 * 0.00138131424f)));
  float twice = lp_power_of_two_f32(shifted, 128);
  float above = twice * part - (1 - 0.5f * twice);
  return __builtin_copysignf(lp_divide_f32(above, above + 2), x); /* -0 too */
}
static inline float lp_tanh_f32(float x) {
  float y = x < -9 ? -9 : x; /* 1 from there on */
  return lp_tanh_inner_f32(y > 9 ? 9 : y);
}

/* a sigmoid(z) = a / (1 + exp(-z)); the sigmoid is exp(z) where exp(-z) is too large.
 * Within 2.4 ulp where a and z are exact, 3.3 without fused multiply-add. */
static inline float lp_gate_inner_f32(float a, float z) { /* |z| <= 87 */
  return lp_divide_f32(a, 1 + lp_exp_inner_f32(-z));
}
static inline float lp_gate_f32(float a, float z) {
  float y = z < -87 ? -87 : z;
  float inner = lp_gate_inner_f32(a, y > 87 ? 87 : y);
  inner = lp_sel_f32(a == INFINITY, a, inner);
  return lp_sel_f32(z < -87, a * lp_exp_f32(z), inner);
}
static inline double lp_gate_f64(double a, double z) {
  return a / (1 + lp_exp_f64(-z));
}

/* s = sigmoid(z), returned, and *rest = 1 - s without cancellation. */
static inline float lp_sigmoids_inner_f32(float z, float *rest) { /* |z| <= 87 */
  float e = lp_exp_inner_f32(-z), s = lp_divide_f32(1, 1 + e);
  *rest = e * s;
  return s;
}
static inline float lp_sigmoids_f32(float z, float *rest) {
  float y = z < -87 ? -87 : z;
  float s = lp_sigmoids_inner_f32(y > 87 ? 87 : y, rest);
  *rest = lp_sel_f32(z > 87, 0, *rest);
  return lp_sel_f32(z < -87, 0, s);
}
static inline double lp_sigmoids_f64(double z, double *rest) {
  *rest = 1 / (1 + lp_exp_f64(z));
  return 1 / (1 + lp_exp_f64(-z));
}

/* mish(x) = x tanh(log(1 + e)), e = exp(x), by tanh(log(1 + e)) = w / (w + 2), w = e (e +
 * 2); x above 40, x exp(x) below -40. Within 4 ulp. */
static inline float lp_mish_inner_f32(float x) { /* |x| <= 40 */
  float e = lp_exp_inner_f32(x), w = e * (e + 2);
  return lp_divide_f32(x * w, w + 2);
}
static inline float lp_mish_f32(float x) {
  float y = x < -40 ? -40 : x;
  float result = lp_mish_inner_f32(y > 40 ? 40 : y);
  return lp_sel_f32(x < -40, x * lp_exp_f32(x), lp_sel_f32(x > 40, x, result));
}
static inline double lp_mish_f64(double x) {
  return x * lp_tanh_f64(lp_log1p_f64(lp_exp_f64(x)));
}
/* w / (w + 2) + 4 x e (e + 1) / (w + 2)^2. */
static inline float lp_mish_slope_inner_f32(float x) { /* |x| <= 40 */
  float e = lp_exp_inner_f32(x), w = e * (e + 2), r = lp_divide_f32(1, w + 2);
  return r * (w + 4 * x * (e * (e + 1) * r));
}
static inline float lp_mish_slope_f32(float x) {
  float y = x < -40 ? -40 : x;
  float result = lp_mish_slope_inner_f32(y > 40 ? 40 : y);
  return lp_sel_f32(x < -40, (1 + x) * lp_exp_f32(x), lp_sel_f32(x > 40, 1, result));
}
static inline double lp_mish_slope_f64(double x) {
  double rest, s = lp_sigmoids_f64(x, &rest),
               t = lp_tanh_f64(lp_log1p_f64(lp_exp_f64(x)));
  return t + x * s * (1 - t * t);
}

/* The normal distribution's tail above y, 0 <= y <= 5.8: log2(2 tail(y)) is y times a
 * polynomial. */
static inline float lp_normal_tail_inner_f32(float y) {
  const float magic = 12582912.0f;
  float u = y * y;
  float even = 5.7503149e-7f * u + 5.79666602e-5f;
  float odd = -1.79958979e-8f * u - 7.85848599e-6f;
  even = even * u - 1.36508344e-4f;
  odd = odd * u - 2.14803571e-4f;
  even = even * u - 0.0525537580f;
  odd = odd * u + 0.00711488398f;
  even = even * u - 1.15110779f;
  odd = odd * u - 0.459185570f;
  float p = odd * y + even;
  float shifted = p * y + magic, n = shifted - magic, f = p * y - n;
  float half = lp_power_of_two_f32(shifted, 126);
  return half + half * f * lp_exp2_part_f32(f);
}
/* For y >= 0. Further out, where it is below 4e-9, within 2e-4 of it, by the density and
 * the first terms of a continued fraction. */
static inline float lp_normal_tail_f32(float y) {
  float density = 0.398942280f * lp_exp_f32(-0.5f * y * y);
  float far = density / (y + 1 / (y + 2 / y));
  return lp_sel_f32(y <= 5.8f, lp_normal_tail_inner_f32(y <= 5.8f ? y : 5.8f), far);
}

static inline float lp_erf_near_f32(float x) { /* |x| <= 1 */
  float u = x * x;
  float p = 7.853857823647559e-05f;
  p = p * u - 0.0008010192541405559f;
  p = p * u + 0.005188327748328447f;
  p = p * u - 0.026853810995817184f;
  p = p * u + 0.1128358542919159f;
  p = p * u - 0.3761262595653534f;
  p = p * u + 1.1283791065216064f;
  return x * p;
}
/* Odd polynomial up to 1, 1 - erfc beyond; within 2.5 ulp. */
static inline float lp_erf_of_tail_f32(float x, float tail) {
  float large = __builtin_copysignf(1 - 2 * tail, x);
  return lp_sel_f32(__builtin_fabsf(x) < 1, lp_erf_near_f32(x), large);
}
static inline float lp_erf_inner_f32(float x) { /* |x| <= 4.1 */
  float y = __builtin_fabsf(x) * 1.41421356f;
  return lp_erf_of_tail_f32(x, lp_normal_tail_inner_f32(y));
}
static inline float lp_erf_f32(float x) {
  float y = __builtin_fabsf(x) * 1.41421356f;
  return lp_erf_of_tail_f32(x, lp_normal_tail_f32(y));
}

/* The normal distribution function, with digits left in the lower tail. */
static inline float lp_normal_cdf_inner_f32(float x) { /* |x| <= 5.8 */
  float tail = lp_normal_tail_inner_f32(__builtin_fabsf(x));
  return x < 0 ? tail : 1 - tail;
}
static inline float lp_normal_cdf_f32(float x) {
  float tail = lp_normal_tail_f32(__builtin_fabsf(x));
  return x < 0 ? tail : 1 - tail;
}
static inline double lp_normal_cdf_f64(double x) {
  return 0.5 * (1 + lp_erf_f64(x * 0.70710678118654752440));
}

/* x times the normal distribution function, as max(x, 0) - |x| tail(|x|) with digits left
 * in the lower tail: within 3.7 ulp above -1; what is lost of the tail's logarithm grows
 * to 65 ulp at -5.8 (1900 just beyond). */
static inline float lp_gelu_inner_f32(float x) { /* |x| <= 5.8 */
  float size = __builtin_fabsf(x), tail = lp_normal_tail_inner_f32(size);
  return __builtin_copysignf(lp_positive_f32(x) - size * tail, x); /* -0 too */
}
static inline float lp_gelu_f32(float x) {
  float size = __builtin_fabsf(x);
  float result = lp_positive_f32(x) - size * lp_normal_tail_f32(size);
  return __builtin_copysignf(x == INFINITY ? x : result, x); /* NaN at -inf, as PyTorch */
}
static inline double lp_gelu_f64(double x) {
  return x * lp_normal_cdf_f64(x);
}

/* log(1 + x) for x in [0, 1]: what the rounding of 1 + x loses is added again, divided by
 * 1 + x, for which a line is near enough. */
static inline float lp_log1p_unit_f32(float x) {
  float u = 1 + x, lost = x - (u - 1);
  return lp_log_normal_f32(u, 0) + lost * (1 - 0.5f * x);
}
static inline double lp_log1p_unit_f64(double x) {
  return lp_log1p_f64(x);
}

#include "cpu/simd/vecmath_special.h"

#endif
