/* See rnn_pairs.h. */
#include "cpu/rnn_pairs.h"

#include <string.h>

void lp_rnn_pairs_pack(void *block, const uint16_t *source, int64_t step, int64_t k_step,
                       int64_t count, int64_t k) {
  uint16_t *to = block;
  memset(to, 0, (size_t)((k + 1) / 2 * RNN_PAIRS_BYTES));
  /* A stretch of k stays in the nearest cache while its lines are used. */
  for (int64_t from = 0; from < k; from += 2 * RNN_PAIRS_COLUMNS) {
    const int64_t end =
        k - from < 2 * RNN_PAIRS_COLUMNS ? k : from + 2 * RNN_PAIRS_COLUMNS;
    for (int64_t c = 0; c < count; c++) {
      const uint16_t *column = source + c * step;
      for (int64_t p = from; p < end; p++)
        to[(p / 2 * RNN_PAIRS_COLUMNS + c) * 2 + p % 2] = column[p * k_step];
    }
  }
}

#ifdef LP_HAVE_X86_CAPS
#include "cpu/tiles.h"

#define PAIRS __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define INLINE PAIRS static inline __attribute__((always_inline))
#define ROWS                                                                             \
  6 /* with as many blocks sums fill the registers, but for B and a pair of A */

INLINE void tile(const int rows, const int blocks, const RnnPairs *t, int64_t row) {
  __m512 sum[ROWS][RNN_PAIRS_BLOCKS];
  const char *b[RNN_PAIRS_BLOCKS];
#pragma GCC unroll 4
  for (int j = 0; j < blocks; j++) {
    b[j] = t->at[j].b;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
      sum[i][j] = t->at[j].add ? _mm512_maskz_loadu_ps(lp_first(t->at[j].columns),
                                                       t->at[j].c + (row + i) * t->ldc)
                               : _mm512_setzero_ps();
  }
  const uint16_t *a = t->a + row * t->lda;
  for (int64_t p = 0; p < t->pairs; p++, a += 2) {
    __m512bh y[RNN_PAIRS_BLOCKS];
#pragma GCC unroll 4
    for (int j = 0; j < blocks; j++)
      y[j] = (__m512bh)_mm512_loadu_si512(b[j] + p * RNN_PAIRS_BYTES);
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
      int pair;
      memcpy(&pair, a + i * t->lda, sizeof pair);
      const __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int j = 0; j < blocks; j++) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], x, y[j]);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < blocks; j++)
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
      _mm512_mask_storeu_ps(t->at[j].c + (row + i) * t->ldc, lp_first(t->at[j].columns),
                            sum[i][j]);
}

typedef void (*Tile)(const RnnPairs *t, int64_t row);
#define TILE(rows, blocks)                                                               \
  PAIRS static void tile_##rows##_##blocks(const RnnPairs *t, int64_t row) {             \
    tile(rows, blocks, t, row);                                                          \
  }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3) TILE(rows, 4)
#define TILES_OF(rows)                                                                   \
  { tile_##rows##_1, tile_##rows##_2, tile_##rows##_3, tile_##rows##_4 }
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
static const Tile tiles[ROWS][RNN_PAIRS_BLOCKS] = {TILES_OF(1), TILES_OF(2), TILES_OF(3),
                                                   TILES_OF(4), TILES_OF(5), TILES_OF(6)};

void lp_rnn_pairs_product(const RnnPairs *t) {
  const int64_t count = (t->rows + ROWS - 1) / ROWS;
  for (int64_t i = 0, row = 0; i < count; i++) {
    const int64_t rows = (t->rows - row + count - i - 1) / (count - i); /* nearly even */
    tiles[rows - 1][t->count - 1](t, row);
    row += rows;
  }
}

#else /* rnn_split.c does not come here */

void lp_rnn_pairs_product(const RnnPairs *t) {
  (void)t;
}

#endif
