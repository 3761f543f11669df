/* float16 and bfloat16 as bit patterns: conversions to and from float, rounding to
 * nearest even, exact for denormals, infinities and NaN (quieted). Header only; the loops
 * over it vectorise, which the hardware's conversion of a single number (F16C) would
 * prevent: its bits are the same, and loops that do nothing but convert use its vectors.
 */
#ifndef LP_CORE_HALF_H
#define LP_CORE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t lp_float_bits(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return u;
}
static inline float lp_float_from_bits(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

static inline float lp_half_to_float(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
  uint32_t rest = (uint32_t)(h & 0x7fffu)
                  << 13;     /* exponent and mantissa in float's places */
  if (rest >= 0x0f800000u) { /* inf or NaN */
    if (rest > 0x0f800000u) rest |= 0x00400000u; /* quiet */
    return lp_float_from_bits(sign | 0x70000000u | rest);
  }
  /* Scaling by 2^112 rebias the exponent and normalises denormals, exactly. */
  return lp_float_from_bits(sign | lp_float_bits(lp_float_from_bits(rest) * 0x1p112f));
}

static inline uint16_t lp_half_from_float(float f) {
  uint32_t u = lp_float_bits(f);
  uint16_t sign = (uint16_t)((u >> 16) & 0x8000u);
  u &= 0x7fffffffu;
  if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x3ffu)); /* NaN */
  if (u >= 0x477ff000u)
    return (uint16_t)(sign | 0x7c00u); /* from 65520 on rounds to infinity */
  if (u < 0x38800000u) {
    /* Below 2^-14: adding 0.5 leaves the result, rounded to even by the FPU, in the low
     * bits. */
    float shifted = lp_float_from_bits(u) + 0.5f;
    return (uint16_t)(sign | (uint16_t)(lp_float_bits(shifted) - 0x3f000000u));
  }
  uint32_t odd = (u >> 13) & 1u;
  u += 0xc8000fffu + odd; /* rebias by -112 and round */
  return (uint16_t)(sign | (uint16_t)(u >> 13));
}

static inline float lp_bf16_to_float(uint16_t b) {
  return lp_float_from_bits((uint32_t)b << 16);
}

static inline uint16_t lp_bf16_from_float(float f) {
  uint32_t u = lp_float_bits(f);
  uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return (u & 0x7fffffffu) > 0x7f800000u ? (uint16_t)0x7fc0u : (uint16_t)rounded;
}

#endif
