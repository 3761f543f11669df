/* Vectors of 16 bits as vectors of 32, and back. The compiler's own conversions take them
 * apart and put them together again, where the processor has an instruction. Included
 * after simd.h by files under cpu/simd/ alone. */
#ifndef LP_CPU_SIMD_WORDS_H
#define LP_CPU_SIMD_WORDS_H

#include "cpu/simd/simd.h"

#if defined(__x86_64__) && (defined(LP_CAP_avx512) || defined(LP_CAP_avx2))
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
typedef uint32_t Bits __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef uint16_t Halves __attribute__((vector_size(LP_VECTOR_BYTES / 2)));

#if defined(LP_CAP_avx512) && defined(__x86_64__)
INLINE Bits widen_words(Halves h) {
  return (Bits)_mm512_cvtepu16_epi32((__m256i)h);
}
INLINE Halves narrow_words(Bits b) {
  return (Halves)_mm512_cvtepi32_epi16((__m512i)b);
}
#elif defined(LP_CAP_avx2) && defined(__x86_64__)
INLINE Bits widen_words(Halves h) {
  return (Bits)_mm256_cvtepu16_epi32((__m128i)h);
}
/* Of words that fit. */
INLINE Halves narrow_words(Bits b) {
  return (Halves)_mm_packus_epi32(_mm256_castsi256_si128((__m256i)b),
                                  _mm256_extracti128_si256((__m256i)b, 1));
}
#else
INLINE Bits widen_words(Halves h) {
  return __builtin_convertvector(h, Bits);
}
INLINE Halves narrow_words(Bits b) {
  return __builtin_convertvector(b, Halves);
}
#endif

/* Floats as bfloat16: to the nearest, even ones of two. */
typedef float Floats __attribute__((vector_size(LP_VECTOR_BYTES)));
INLINE Halves bf16_of_floats(Floats v) {
  const Bits bits = (Bits)v, is_nan = (Bits)(v != v);
  const Bits rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return narrow_words((is_nan & 0x7fc0) | (~is_nan & rounded));
}

#endif
