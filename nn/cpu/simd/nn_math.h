/* exp for the vectorised loops, in plain C that the compiler turns into vectors. */
#ifndef LP_NN_SIMD_MATH_H
#define LP_NN_SIMD_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp(x) = 2^n * exp(r), |r| <= ln(2) / 2, by the Taylor polynomial of degree 7 (error
 * below 1e-8 relative, so 1 ulp of float after rounding). Below the normal range the
 * result is 0, above it inf; NaN stays NaN. */
static inline float nn_expf(float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
  float bounded = x < -104.0f ? -104.0f : x;
  bounded = bounded > 89.0f ? 89.0f : bounded;
  float shifted = bounded * 1.44269504088896341f + magic;
  float n = shifted - magic;
  float r = bounded - n * 0.693145751953125f;
  r = r - n * 1.42860682030941723e-6f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  /* 2^n in two factors, because n + 127 may leave the exponent's range at both ends. */
  int32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  /* Unsigned where a NaN's bits would overflow: its factors do not matter. */
  int32_t exponent = (int32_t)((uint32_t)bits - 0x4b400000u);
  int32_t half = exponent >> 1;
  /* Unsigned, as a NaN leaves any bits here; it comes through p. */
  uint32_t low = (uint32_t)(half + 127) << 23, high = (uint32_t)(exponent - half + 127) << 23;
  float a, b;
  memcpy(&a, &low, sizeof a);
  memcpy(&b, &high, sizeof b);
  return p * a * b;
}

#endif
