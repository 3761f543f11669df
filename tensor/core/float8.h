/* The four formats of floats in 8 bits that PyTorch has, as bit patterns: conversions to
 * and from float, rounding to nearest even. Sources: "FP8 Formats for Deep Learning"
 * (Micikevicius and others, 2022) and, for those without a negative zero (fnuz), "8-bit
 * Numerical Formats for Deep Neural Networks" (Noune and others, 2022). What is too large
 * becomes infinity in e5m2, the largest number in e4m3fn, NaN in the others, as in
 * PyTorch. Header only. */
#ifndef LP_CORE_FLOAT8_H
#define LP_CORE_FLOAT8_H

#include <stdbool.h>
#include "core/half.h"
#include "lampad/base.h"

/* sign, exponent, mantissa; the value of a normal number is 2^(exponent - bias) * 1.m */
typedef struct LpFloat8 {
  int mantissa_bits, bias;
  float overflow;    /* from here on */
  uint8_t too_large; /* ... the bits are these, with the sign */
  bool is_fnuz;      /* 0x80 is the only NaN, and there is no negative zero */
  bool has_infinity;
} LpFloat8;

#define LP_E4M3FN ((LpFloat8){3, 7, 464.0f, 0x7e, false, false})
#define LP_E5M2 ((LpFloat8){2, 15, 65536.0f, 0x7c, false, true})
#define LP_E4M3FNUZ ((LpFloat8){3, 8, 256.0f, 0x80, true, false})
#define LP_E5M2FNUZ ((LpFloat8){2, 16, 65536.0f, 0x80, true, false})

static inline LpFloat8 lp_float8_of(LpDtype dtype) {
  return dtype == LP_FLOAT8_E4M3FN     ? LP_E4M3FN
         : dtype == LP_FLOAT8_E5M2     ? LP_E5M2
         : dtype == LP_FLOAT8_E4M3FNUZ ? LP_E4M3FNUZ
                                       : LP_E5M2FNUZ;
}

static inline float lp_float8_to_float(uint8_t bits, LpFloat8 f) {
  const uint32_t sign = (uint32_t)(bits & 0x80) << 24, rest = bits & 0x7f;
  if (f.is_fnuz && bits == 0x80) return lp_float_from_bits(0x7fc00000u);
  if (!f.is_fnuz && !f.has_infinity && rest == 0x7f)
    return lp_float_from_bits(sign | 0x7fc00000u);
  if (f.has_infinity && rest >= 0x7c)
    return lp_float_from_bits(sign | (rest == 0x7c ? 0x7f800000u : 0x7fc00000u));
  /* In float's places the number is 2^(bias - 127) of what it should be: exactly mended,
   * denormals too. */
  const float scaled = lp_float_from_bits(rest << (23 - f.mantissa_bits));
  const float scale = lp_float_from_bits((uint32_t)(254 - f.bias) << 23);
  return lp_float_from_bits(sign | lp_float_bits(scaled * scale));
}

static inline uint8_t lp_float8_from_float(float value, LpFloat8 f) {
  uint32_t u = lp_float_bits(value);
  const uint8_t sign = (uint8_t)(u >> 24 & 0x80);
  uint32_t rest;
  u &= 0x7fffffffu;
  if (u > 0x7f800000u) return f.is_fnuz ? 0x80 : sign | 0x7f;
  if (lp_float_from_bits(u) >= f.overflow) return sign | f.too_large;
  const int shift = 23 - f.mantissa_bits;
  if (u < (uint32_t)(128 - f.bias) << 23) {
    /* Below the smallest normal number: adding a power of two leaves the result, rounded
     * to even by the FPU, in the low bits. */
    const uint32_t magic = (uint32_t)(128 - f.bias + shift) << 23;
    rest = lp_float_bits(lp_float_from_bits(u) + lp_float_from_bits(magic)) - magic;
  } else {
    u += (((uint32_t)1 << (shift - 1)) - 1) + (u >> shift & 1);
    rest = (u >> shift) - ((uint32_t)(127 - f.bias) << f.mantissa_bits);
  }
  if (f.is_fnuz && (rest == 0 || rest >= 0x80)) return (uint8_t)rest;
  return sign | (uint8_t)rest;
}

#endif
