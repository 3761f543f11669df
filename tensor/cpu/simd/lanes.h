/* Vectors of float32 by the compiler's extension, whole and in part; for the kernels of
 * matrix products. Included after simd.h by files under cpu/simd/ alone. */
#ifndef LP_CPU_SIMD_LANES_H
#define LP_CPU_SIMD_LANES_H

#include <string.h>
#include "cpu/simd/simd.h"

#define LANES LP_LANES(float)
typedef float V __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef int32_t VI __attribute__((vector_size(LP_VECTOR_BYTES)));

#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include <immintrin.h>
#endif

static inline V load(const float *p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void store(float *p, V v) {
  memcpy(p, &v, sizeof v);
}

/* The first n lanes, n up to LANES; the others zeros. */
#if defined(LP_CAP_avx512)
static inline __mmask16 mask_of(int64_t n) {
  return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}
static inline V load_part(const float *p, int64_t n) {
  return (V)_mm512_maskz_loadu_ps(mask_of(n), p);
}
static inline void store_part(float *p, V v, int64_t n) {
  _mm512_mask_storeu_ps(p, mask_of(n), (__m512)v);
}
#elif defined(LP_CAP_avx2)
static inline __m256i mask_of(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : n < 0 ? 0 : (int)n), lane);
}
static inline V load_part(const float *p, int64_t n) {
  return (V)_mm256_maskload_ps(p, mask_of(n));
}
static inline void store_part(float *p, V v, int64_t n) {
  _mm256_maskstore_ps(p, mask_of(n), (__m256)v);
}
#else
static inline V load_part(const float *p, int64_t n) {
  V v = {0};
  for (int64_t i = 0; i < LANES && i < n; i++) v[i] = p[i];
  return v;
}
static inline void store_part(float *p, V v, int64_t n) {
  for (int64_t i = 0; i < LANES && i < n; i++) p[i] = v[i];
}
#endif

/* The sum of the lanes. */
static inline float total(V v) {
#if defined(LP_CAP_avx512)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float sum[LANES];
  memcpy(sum, &v, sizeof v);
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) sum[i] += sum[i + width];
  return sum[0];
#endif
}

/* LANES vectors as a square, turned over: lanes are exchanged at distances 1, 2, 4 ... */
static inline __attribute__((always_inline)) void turn_square(V r[LANES]) {
#pragma GCC unroll 4
  for (int step = 1; step < LANES; step *= 2) {
    VI low, high;
#pragma GCC unroll 16
    for (int l = 0; l < LANES; l++) {
      low[l] = l & step ? l - step + LANES : l;
      high[l] = l & step ? l + LANES : l + step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) {
      if (i & step) continue;
      const V a = r[i], b = r[i + step];
      r[i] = __builtin_shuffle(a, b, low);
      r[i + step] = __builtin_shuffle(a, b, high);
    }
  }
}

#endif
