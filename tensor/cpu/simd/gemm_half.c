/* The kernels of cpu/gemm_half.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "core/half.h"
#include "cpu/gemm_half.h"
#include "cpu/simd/lanes.h"

#define INLINE static inline __attribute__((always_inline))
typedef uint32_t Bits __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef uint16_t Halves __attribute__((vector_size(LP_VECTOR_BYTES / 2)));

/* --- a vector of numbers
 * ------------------------------------------------------------------------------ */

INLINE V widen_bf16(const uint16_t *p) {
  Halves h;
  memcpy(&h, p, sizeof h);
  return (V)(__builtin_convertvector(h, Bits) << 16);
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

/* --- products
 * ------------------------------------------------------------------------------ */

#define DOT_COLUMNS 4 /* at once */
/* Vectors of a row of B at once, for each row of A, and rows of B that are fetched ahead.
 */
#if defined(LP_CAP_avx512)
#define IN_FLIGHT 4
#else
#define IN_FLIGHT 2
#endif
#define ROWS_AHEAD 8

#define NAME(x) x##_bf16
#define WIDEN widen_bf16
#define WIDEN_TWO widen_two_bf16
#define TO_FLOAT lp_bf16_to_float
#define FROM_FLOAT lp_bf16_from_float
#include "cpu/simd/gemm_half_body.h"

#define NAME(x) x##_f16
#define WIDEN widen_f16
#define WIDEN_TWO widen_two_f16
#define TO_FLOAT lp_half_to_float
#define FROM_FLOAT lp_half_from_float
#include "cpu/simd/gemm_half_body.h"

const LpHalfGemmTable LP_SIMD(lp_half_gemm_table) = {
    .float16 = {.rows = rows_f16, .dots = dots_f16, .block = 1},
    .bfloat16 = {.rows = rows_bf16, .dots = dots_bf16, .block = 2 * LANES}};
