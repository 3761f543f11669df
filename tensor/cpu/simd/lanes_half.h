/* Vectors of halves as vectors of float32; beside lanes.h. */
#ifndef LP_CPU_SIMD_LANES_HALF_H
#define LP_CPU_SIMD_LANES_HALF_H

#include "core/half.h"
#include "cpu/simd/lanes.h"
#include "cpu/simd/words.h"

INLINE V widen_bf16(const uint16_t *p) {
  Halves h;
  memcpy(&h, p, sizeof h);
  return (V)(widen_words(h) << 16);
}

/* Those at even places, and at odd ones: so nothing has to cross the vector. */
INLINE void widen_two_bf16(const uint16_t *p, V *even, V *odd) {
  Bits both;
  memcpy(&both, p, sizeof both);
  *even = (V)(both << 16);
  *odd = (V)(both & 0xffff0000);
}

#if defined(LP_CAP_avx512) && defined(__x86_64__)
INLINE V widen_f16(const uint16_t *p) {
  return (V)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
#elif defined(LP_CAP_avx2) && defined(__x86_64__)
INLINE V widen_f16(const uint16_t *p) {
  return (V)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
#else
INLINE V widen_f16(const uint16_t *p) {
  V v;
  for (int i = 0; i < LANES; i++) v[i] = lp_half_to_float(p[i]);
  return v;
}
#endif

INLINE void widen_two_f16(const uint16_t *p, V *first, V *second) {
  *first = widen_f16(p);
  *second = widen_f16(p + LANES);
}

#endif
