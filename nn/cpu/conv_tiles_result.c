/* The result of a weight's gradient by tiles; see conv_tiles_parts.h. */
#include "cpu/conv_tiles_parts.h"
#include "cpu/caps.h"
#include "cpu/gemm_split.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/conv_tiles_vectors.h"

bool lp_tiles_supported(void) {
  return lp_split_supported() && lp_cpu_multiplies_bf16();
}

TILES static inline __m512 add_up(const float *sums, int64_t step, int64_t n) {
  __m512 sum = _mm512_loadu_ps(sums);
  for (int64_t i = 1; i < n; i++) sum = _mm512_add_ps(sum, _mm512_loadu_ps(sums += step));
  return sum;
}

TILES static inline void put_sums(const LpTilesResult *to, int64_t at, __m512 sums,
                                  int64_t count) {
  const __mmask16 there = (__mmask16)lp_first_words(count);
  if (to->rounded)
    _mm256_mask_storeu_epi16((uint16_t *)to->w + at, there,
                             (__m256i)_mm512_cvtneps_pbh(sums));
  else
    _mm512_mask_storeu_ps((float *)to->w + at, there, sums);
}

/* 16 channels of c of one k, for all taps: they lie tap by tap, and go to (c, taps), from
 * place `at` on. */
TILES static void finish_line(const LpTilesSweep *s, const float *sums, int64_t step,
                              int64_t n, const LpTilesResult *to, int64_t at,
                              int64_t count) {
  const int64_t taps = s->kernel_taps;
  if (taps == 1) {
    put_sums(to, at, add_up(sums, step, n), count);
    return;
  }
  for (int64_t t0 = 0; t0 < taps; t0 += 16, sums += 16 * LP_TILES_SUM_FLOATS) {
    const int64_t some = taps - t0 < 16 ? taps - t0 : 16;
    _Alignas(64) float lines[16][16] = {{0}};
    for (int64_t t = 0; t < some; t++)
      _mm512_store_ps(lines[t], add_up(sums + t * LP_TILES_SUM_FLOATS, step, n));
    turn_tile((char *)lines, (const char *)lines);
    for (int64_t c = 0; c < 16 && c < count; c++)
      put_sums(to, at + c * taps + t0, _mm512_load_ps(lines[c]), some);
  }
}

/* The taps of a row are channels of c here, but not in w. */
TILES static void finish_folded(const LpTilesSweep *s, const float *sums, int64_t step,
                                int64_t n, const LpTilesResult *to, int64_t at,
                                int64_t c0) {
  const int64_t row_taps = s->c / s->pitch;
  for (int64_t c = c0; c < c0 + 16 && c < s->c; c++)
    for (int64_t r = 0; r < s->h.taps; r++) {
      const float *from = sums + r * LP_TILES_SUM_FLOATS + c - c0;
      float sum = 0;
      for (int64_t i = 0; i < n; i++) sum += from[i * step];
      put_sums(to, at + (c % s->pitch * s->h.taps + r) * row_taps + c / s->pitch,
               _mm512_set1_ps(sum), 1);
    }
}

void lp_tiles_finish(const LpTilesSweep *s, int64_t k_block, int64_t c_block,
                     const float *sums, int64_t step, int64_t n,
                     const LpTilesResult *to) {
  for (int64_t i = 0; i < 32 && 32 * k_block + i < s->k; i++)
    for (int64_t half = 0; half < 2; half++) {
      const int64_t k = 32 * k_block + i, c = 32 * c_block + 16 * half;
      if (c >= s->c) break;
      const float *from = sums + (i / 16 * 2 + half) * 256 + i % 16 * 16;
      const int64_t at = k * s->c * s->kernel_taps;
      if (s->pitch != s->c)
        finish_folded(s, from, step, n, to, at, c);
      else
        finish_line(s, from, step, n, to, at + c * s->kernel_taps, s->c - c);
    }
}

#else

bool lp_tiles_supported(void) {
  return false;
}
void lp_tiles_finish(const LpTilesSweep *s, int64_t k_block, int64_t c_block,
                     const float *sums, int64_t step, int64_t n,
                     const LpTilesResult *to) {}

#endif
