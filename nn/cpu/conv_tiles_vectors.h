/* Words (bfloat16) in vectors, for the loops of convolutions by tiles. To be included
 * where there is x86-64 only. */
#ifndef LP_NN_CPU_CONV_TILES_VECTORS_H
#define LP_NN_CPU_CONV_TILES_VECTORS_H

#include "cpu/tiles.h"

#define TILES                                                                            \
  __attribute__((                                                                        \
      target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

static inline __mmask32 first_words(int64_t n) {
  return n >= 32 ? 0xffffffffu : n <= 0 ? 0 : (__mmask32)((1u << n) - 1);
}

/* Words i of both side by side: of the first 16 to `low`, of the others to `high`. */
TILES static inline void store_pairs(char *low, char *high, __m512i even, __m512i odd) {
  /* Within each 128 bits unpacking interleaves; the quarters are put in order before. */
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  const __m512i e = _mm512_permutexvar_epi64(order, even),
                o = _mm512_permutexvar_epi64(order, odd);
  _mm512_storeu_si512(low, _mm512_unpacklo_epi16(e, o));
  _mm512_storeu_si512(high, _mm512_unpackhi_epi16(e, o));
}

#endif
