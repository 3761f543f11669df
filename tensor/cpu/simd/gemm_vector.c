/* The kernels of cpu/gemm_vector.h. */
#include "cpu/simd/simd.h"

#include "cpu/gemm_vector.h"

#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include "cpu/simd/lanes.h"

/* Sums of a tile fill the registers, but for B's vectors and an element of A. More
 * vectors and fewer rows would do, too: these take the fewest instructions for a product
 * that can be hidden, which counts where two threads share a core. */
#define ROWS 6
#if defined(LP_CAP_avx512)
#define VECTORS 4
#define BLOCK_ROWS 504
#else
#define VECTORS 2
#define BLOCK_ROWS 192
#endif
#define COLUMNS (VECTORS * LANES)
#define ACROSS 8 /* no less than ROWS */
#define LINE 64
#define CHUNK 16 /* of k */
#define FETCHED 8

static inline V spread(float x) {
#if defined(LP_CAP_avx512)
  V v = (V)_mm512_set1_ps(x);
#else
  V v = (V)_mm256_set1_ps(x);
#endif
  __asm__("" : "+v"(v)); /* loaded once, not by each of its products */
  return v;
}

#define INLINE static inline __attribute__((always_inline))

/* A's element of row i is at a[i * row_step], for the last rows at a_last[(i - 3) *
 * row_step]: two pointers and a step reach all. */
INLINE void sum_one(const int rows, const int vectors, const int64_t row_step,
                    const float *a, const float *a_last, const float *b,
                    V sum[ROWS][VECTORS]) {
  V y[VECTORS];
#pragma GCC unroll 4
  for (int j = 0; j < vectors; j++) y[j] = load(b + j * LANES);
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++) {
    const V x = spread(i < 3 ? a[i * row_step] : a_last[(i - 3) * row_step]);
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) sum[i][j] += x * y[j];
  }
}

INLINE void tile(const int rows, const int vectors, const bool across,
                 const LpVectorTile *t) {
  const int64_t row_step = across ? 1 : t->row_step;
  const int k_step = across ? ACROSS : 1;
  V sum[ROWS][VECTORS];
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) sum[i][j] = (V){0};
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors * LANES; j += LINE / (int)sizeof(float))
      __builtin_prefetch(t->c + i * t->ldc + j, 1);
  const float *a = t->a, *a_last = a + 3 * row_step, *b = t->b;
  const char *fetch = t->fetch;
  const int64_t fetch_step = t->fetch_step, fetch_next = t->fetch_next;
  int64_t p = t->k;
  for (; p >= CHUNK; p -= CHUNK) {
#pragma GCC unroll 8
    for (int q = 0; q < FETCHED; q++) __builtin_prefetch(fetch + q * fetch_step, 0, 2);
    fetch += fetch_next;
    for (int q = 0; q < CHUNK; q++, a += k_step, a_last += k_step, b += COLUMNS)
      sum_one(rows, vectors, row_step, a, a_last, b, sum);
  }
  for (; p > 0; p--, a += k_step, a_last += k_step, b += COLUMNS)
    sum_one(rows, vectors, row_step, a, a_last, b, sum);

  const float *from = t->from;
  const int64_t last = t->columns - (vectors - 1) * LANES; /* lanes of the last vector */
  const V alpha = spread(t->alpha), beta = spread(t->beta);
  /* All is read before anything is written: rows may lie a multiple of 4 KiB apart, and
   * what is read would wait for what seems to be the same place. */
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
      sum[i][j] *= alpha;
      if (!from) continue;
      const float *f = from + i * t->from_step + j * LANES;
      const bool whole = j < vectors - 1 || last == LANES;
      sum[i][j] += beta * (whole ? load(f) : load_part(f, last));
    }
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
      float *c = t->c + i * t->ldc + j * LANES;
      if (j < vectors - 1 || last == LANES)
        store(c, sum[i][j]);
      else
        store_part(c, sum[i][j], last);
    }
}

typedef void (*Tile)(const LpVectorTile *);
#define TILE(rows, vectors)                                                              \
  static void along_##rows##_##vectors(const LpVectorTile *t) {                          \
    tile(rows, vectors, false, t);                                                       \
  }                                                                                      \
  static void across_##rows##_##vectors(const LpVectorTile *t) {                         \
    tile(rows, vectors, true, t);                                                        \
  }
#if VECTORS == 4
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3) TILE(rows, 4)
#define TILES_OF(layout, rows)                                                           \
  { layout##_##rows##_1, layout##_##rows##_2, layout##_##rows##_3, layout##_##rows##_4 }
#else
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
#define TILES_OF(layout, rows)                                                           \
  { layout##_##rows##_1, layout##_##rows##_2 }
#endif
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#define ALL_TILES(layout)                                                                \
  {                                                                                      \
    TILES_OF(layout, 1), TILES_OF(layout, 2), TILES_OF(layout, 3), TILES_OF(layout, 4),  \
        TILES_OF(layout, 5), TILES_OF(layout, 6)                                         \
  }
static const Tile along[ROWS][VECTORS] = ALL_TILES(along);
static const Tile across[ROWS][VECTORS] = ALL_TILES(across);

static void tile_along(const LpVectorTile *t) {
  along[t->rows - 1][(t->columns - 1) / LANES](t);
}
static void tile_across(const LpVectorTile *t) {
  across[t->rows - 1][(t->columns - 1) / LANES](t);
}

/* --- packing
 * ----------------------------------------------------------------------------- */

static void pack_across(float *to, const float *a, int64_t lda, int64_t count,
                        int64_t k) {
  for (int64_t p = 0; p < k; p++, to += ACROSS, a += lda) {
    __builtin_prefetch(a + k * lda, 0, 2);
    store_part(to, load_part(a, count), ACROSS);
  }
}

static void pack_b(float *to, const float *b, int64_t ldb, int64_t count, int64_t k) {
  if (count == COLUMNS) {
    for (int64_t p = 0; p < k; p++, to += COLUMNS, b += ldb)
#pragma GCC unroll 4
      for (int j = 0; j < COLUMNS; j += LANES) store(to + j, load(b + j));
    return;
  }
  for (int64_t p = 0; p < k; p++, to += COLUMNS, b += ldb)
    for (int64_t j = 0; j < count; j += LANES) store(to + j, load_part(b + j, count - j));
}

/* A square of B^T turned over as it is loaded: its rows come in pieces of four, those of
 * every fourth row in a vector, and pieces are turned in place. */
INLINE V load_pieces(const float *b, int64_t step) {
#if defined(LP_CAP_avx512)
  __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(b));
  x = _mm512_insertf32x4(x, _mm_loadu_ps(b + step), 1);
  x = _mm512_insertf32x4(x, _mm_loadu_ps(b + 2 * step), 2);
  return (V)_mm512_insertf32x4(x, _mm_loadu_ps(b + 3 * step), 3);
#else
  return (V)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(b)),
                                 _mm_loadu_ps(b + step), 1);
#endif
}

#if defined(LP_CAP_avx512)
#define PAIRS_LOW(a, b) (V) _mm512_unpacklo_ps((__m512)(a), (__m512)(b))
#define PAIRS_HIGH(a, b) (V) _mm512_unpackhi_ps((__m512)(a), (__m512)(b))
#define HALVES_LOW(a, b) (V) _mm512_unpacklo_pd((__m512d)(a), (__m512d)(b))
#define HALVES_HIGH(a, b) (V) _mm512_unpackhi_pd((__m512d)(a), (__m512d)(b))
#else
#define PAIRS_LOW(a, b) (V) _mm256_unpacklo_ps((__m256)(a), (__m256)(b))
#define PAIRS_HIGH(a, b) (V) _mm256_unpackhi_ps((__m256)(a), (__m256)(b))
#define HALVES_LOW(a, b) (V) _mm256_unpacklo_pd((__m256d)(a), (__m256d)(b))
#define HALVES_HIGH(a, b) (V) _mm256_unpackhi_pd((__m256d)(a), (__m256d)(b))
#endif

INLINE void turn_whole(float *to, const float *b, int64_t ldb) {
#pragma GCC unroll 4
  for (int c = 0; c < LANES; c += 4, to += 4 * COLUMNS) {
    V x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) x[i] = load_pieces(b + i * ldb + c, 4 * ldb);
    const V low = PAIRS_LOW(x[0], x[1]), high = PAIRS_HIGH(x[0], x[1]),
            low_2 = PAIRS_LOW(x[2], x[3]), high_2 = PAIRS_HIGH(x[2], x[3]);
    store(to, HALVES_LOW(low, low_2));
    store(to + COLUMNS, HALVES_HIGH(low, low_2));
    store(to + 2 * COLUMNS, HALVES_LOW(high, high_2));
    store(to + 3 * COLUMNS, HALVES_HIGH(high, high_2));
  }
}

/* One that lacks rows, or part of k; zeros stand for them. */
static __attribute__((noinline)) void turn_part(float *to, const float *b, int64_t ldb,
                                                int64_t count, int64_t k) {
  _Alignas(LINE) float whole[LANES * LANES];
  for (int64_t i = 0; i < LANES; i++)
    store(whole + i * LANES, i < count ? load_part(b + i * ldb, k) : (V){0});
  turn_whole(to, whole, LANES);
}

static void pack_b_turned(float *to, const float *b, int64_t ldb, int64_t count,
                          int64_t k) {
  for (int64_t j = 0; j < count; j += LANES)
    for (int64_t p = 0; p < k; p += LANES) {
      float *square = to + p * COLUMNS + j;
      const float *from = b + j * ldb + p;
      if (count - j >= LANES && k - p >= LANES)
        turn_whole(square, from, ldb);
      else
        turn_part(square, from, ldb, count - j, k - p);
    }
}

const LpVectorKernels LP_SIMD(lp_vector_kernels) = {.rows = ROWS,
                                                    .columns = COLUMNS,
                                                    .across = ACROSS,
                                                    .block_rows = BLOCK_ROWS,
                                                    .tile_along = tile_along,
                                                    .tile_across = tile_across,
                                                    .pack_across = pack_across,
                                                    .pack_b = pack_b,
                                                    .pack_b_turned = pack_b_turned};

#else /* the BLAS has kernels for such machines */

const LpVectorKernels LP_SIMD(lp_vector_kernels) = {0};

#endif
