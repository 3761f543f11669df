/* The loops of convolutions by pairs; see conv_pairs.h. */
#include "cpu/conv_pairs.h"

#if defined(__x86_64__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/tiles.h"

#define ROWS LP_PAIRS_ROWS
#define PAIRS __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

PAIRS static inline __m512i load(const uint16_t *from, int64_t count) {
  if (!from) return _mm512_setzero_si512();
  return _mm512_maskz_loadu_epi16(lp_first_words(count), from);
}

/* 32 numbers of both rows, as pairs. */
PAIRS static inline void interleave(const uint16_t *first, const uint16_t *second,
                                    int64_t count, int64_t ahead, __m512i pairs[2]) {
  __builtin_prefetch(first + ahead);
  if (second) __builtin_prefetch(second + ahead);
  lp_pair_words(load(first, count), load(second, count), pairs);
}

PAIRS void lp_pairs_lay(const uint16_t *first, const uint16_t *second,
                        const LpPairsRun *runs, int64_t n_runs, int64_t ahead,
                        uint32_t *to) {
  for (; n_runs > 0; n_runs--, to += runs++->count)
    for (int64_t i = 0; i < runs->count; i += 32) {
      const int64_t at = runs->at + i;
      __m512i pairs[2];
      interleave(first + at, second ? second + at : NULL, runs->count - i, ahead, pairs);
      _mm512_storeu_si512(to + i, pairs[0]);
      _mm512_storeu_si512(to + i + 16, pairs[1]);
    }
}

PAIRS void lp_pairs_lay_panels(const uint16_t *first, const uint16_t *second,
                               int64_t count, int64_t ahead, uint32_t *to, int64_t step) {
  for (int64_t i = 0; i < count; i += 32, to += 4 * step) {
    __m512i pairs[2];
    interleave(first + i, second ? second + i : NULL, count - i, ahead, pairs);
    for (int j = 0; j < 2; j++) {
      uint32_t *at = to + 2 * j * step;
      _mm256_storeu_si256((__m256i *)at, _mm512_castsi512_si256(pairs[j]));
      _mm256_storeu_si256((__m256i *)(at + step), _mm512_extracti64x4_epi64(pairs[j], 1));
    }
  }
}

PAIRS static inline __m512 add_product(__m512 sum, uint32_t a, __m512i b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)b);
}

PAIRS void lp_pairs_multiply(int64_t depth, int64_t panels, const uint32_t *a,
                             int64_t step_a, const uint32_t *b, int64_t pitch_b,
                             float *sums, int64_t pitch, bool anew) {
  for (; panels > 0; panels--, a += step_a, sums += ROWS * pitch) {
    __m512 s[ROWS][2];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 2
      for (int j = 0; j < 2; j++)
        s[i][j] = anew ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * pitch + 16 * j);
    if (panels > 1 && !anew)
      for (int i = 0; i < ROWS; i++) {
        __builtin_prefetch(sums + (ROWS + i) * pitch, 1);
        __builtin_prefetch(sums + (ROWS + i) * pitch + 16, 1);
      }
    for (int64_t p = 0; p < depth; p++) {
      const __m512i b0 = _mm512_loadu_si512(b + p * pitch_b),
                    b1 = _mm512_loadu_si512(b + p * pitch_b + 16);
#pragma GCC unroll 8
      for (int i = 0; i < ROWS; i++) {
        const uint32_t row = a[p * ROWS + i];
        s[i][0] = add_product(s[i][0], row, b0);
        s[i][1] = add_product(s[i][1], row, b1);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 2
      for (int j = 0; j < 2; j++) _mm512_storeu_ps(sums + i * pitch + 16 * j, s[i][j]);
  }
}

PAIRS static inline void put(const float *from, int64_t count, bool rounded, char *to,
                             int64_t at) {
  const __m512 sums = _mm512_loadu_ps(from);
  if (rounded)
    _mm256_mask_storeu_epi16((uint16_t *)to + at, lp_first(count),
                             (__m256i)_mm512_cvtneps_pbh(sums));
  else
    _mm512_mask_storeu_ps((float *)to + at, lp_first(count), sums);
}

PAIRS void lp_pairs_finish(const float *sums, int64_t taps, int64_t c, bool rounded,
                           void *to) {
  if (taps == 1) {
    for (int64_t i = 0; i < c; i += 16) put(sums + i, c - i, rounded, to, i);
    return;
  }
  for (int64_t i = 0; i < c; i += 16)
    for (int64_t t = 0; t < taps; t += 16) {
      _Alignas(64) float lines[16][16];
      __m512i r[16];
      for (int64_t j = 0; j < 16; j++)
        r[j] = t + j < taps
                   ? _mm512_maskz_loadu_epi32(lp_first(c - i), sums + (t + j) * c + i)
                   : _mm512_setzero_si512();
      lp_turn_lines(r);
      for (int j = 0; j < 16; j++) _mm512_store_si512(lines[j], r[j]);
      for (int64_t j = 0; j < 16 && i + j < c; j++)
        put(lines[j], taps - t, rounded, to, (i + j) * taps + t);
    }
}

#else

void lp_pairs_lay(const uint16_t *first, const uint16_t *second, const LpPairsRun *runs,
                  int64_t n_runs, int64_t ahead, uint32_t *to) {}
void lp_pairs_lay_panels(const uint16_t *first, const uint16_t *second, int64_t count,
                         int64_t ahead, uint32_t *to, int64_t step) {}
void lp_pairs_multiply(int64_t depth, int64_t panels, const uint32_t *a, int64_t step_a,
                       const uint32_t *b, int64_t pitch_b, float *sums, int64_t pitch,
                       bool anew) {}
void lp_pairs_finish(const float *sums, int64_t taps, int64_t c, bool rounded, void *to) {
}

#endif
