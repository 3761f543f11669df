/* The kernels of cpu/gemm_small.h. All sum in float32. */
#include "cpu/simd/simd.h"

#include "cpu/gemm_small.h"
#include "cpu/simd/lanes.h"

/* Accumulators that fit in the registers beside their operands. */
#if defined(LP_CAP_avx512)
#define DOT_ROWS 6
#define DOT_COLUMNS 4
#else
#define DOT_ROWS 3
#define DOT_COLUMNS 4
#endif

/* --- a few rows
 * ------------------------------------------------------------------------- */

#define AT_ONCE 8    /* rows of B */
#define COLUMNS 1024 /* of C, kept in the cache while the rows of B pass */

static inline __attribute__((always_inline)) void
add_rows(const int count, float *restrict c, const float x[AT_ONCE], const float *b,
         int64_t ldb, int64_t n) {
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    V sum = x[0] * load(b + j); /* by itself first: fewer roundings */
#pragma GCC unroll 8
    for (int q = 1; q < count; q++) sum += x[q] * load(b + q * ldb + j);
    store(c + j, load(c + j) + sum);
  }
  if (j == n) return;
  V sum = x[0] * load_part(b + j, n - j);
#pragma GCC unroll 8
  for (int q = 1; q < count; q++) sum += x[q] * load_part(b + q * ldb + j, n - j);
  store_part(c + j, load_part(c + j, n - j) + sum, n - j);
}

static void few_rows(const LpSmallGemm *g, int64_t begin, int64_t end) {
  for (int64_t column = begin; column < end; column += COLUMNS) {
    const int64_t n = end - column < COLUMNS ? end - column : COLUMNS;
    for (int64_t i = 0; i < g->m; i++) {
      float *c = g->c + i * g->ldc + column;
      for (int64_t j = 0; j < n; j++) c[j] = g->beta == 0 ? 0 : g->beta * c[j];
    }
    for (int64_t p = 0; p < g->k; p += AT_ONCE)
      for (int64_t i = 0; i < g->m; i++) {
        const float *a = g->a + i * g->step_a + p * g->step_k;
        const float *b = g->b + p * g->ldb + column;
        float *c = g->c + i * g->ldc + column, x[AT_ONCE];
        const int64_t count = g->k - p < AT_ONCE ? g->k - p : AT_ONCE;
        for (int64_t q = 0; q < count; q++) x[q] = g->alpha * a[q * g->step_k];
        if (count == AT_ONCE) add_rows(AT_ONCE, c, x, b, g->ldb, n);
        for (int64_t q = 0; count < AT_ONCE && q < count; q++)
          add_rows(1, c, x + q, b + q * g->ldb, g->ldb, n);
      }
  }
}

/* --- dot products
 * ----------------------------------------------------------------------- */

#define DEPTH 1024 /* of k: a few columns of B stay in the cache while A's rows pass */

static inline __attribute__((always_inline)) void
dot_tile(const int rows, const int columns, const LpSmallGemm *g, const float *a,
         const float *b, float *c, int64_t k, bool begin) {
  V sum[DOT_ROWS][DOT_COLUMNS];
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++) sum[i][j] = (V){0};
  const int64_t step_a = g->step_a, ldb = g->ldb;
  int64_t p = 0;
  for (; p + LANES <= k; p += LANES) {
    V y[DOT_COLUMNS];
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++) y[j] = load(b + j * ldb + p);
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
      const V x = load(a + i * step_a + p);
#pragma GCC unroll 4
      for (int j = 0; j < columns; j++) sum[i][j] += x * y[j];
    }
  }
  if (p < k) {
    V y[DOT_COLUMNS];
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++) y[j] = load_part(b + j * ldb + p, k - p);
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
      const V x = load_part(a + i * step_a + p, k - p);
#pragma GCC unroll 4
      for (int j = 0; j < columns; j++) sum[i][j] += x * y[j];
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++) {
      float *to = c + i * g->ldc + j;
      const float product = g->alpha * total(sum[i][j]);
      const float before = !begin ? *to : g->beta == 0 ? 0 : g->beta * *to;
      *to = before + product;
    }
}

typedef void (*DotTile)(const LpSmallGemm *, const float *, const float *, float *,
                        int64_t, bool);
#define DOT(rows, columns)                                                               \
  static void dot_##rows##_##columns(const LpSmallGemm *g, const float *a,               \
                                     const float *b, float *c, int64_t k, bool begin) {  \
    dot_tile(rows, columns, g, a, b, c, k, begin);                                       \
  }
#define DOTS(rows) DOT(rows, 1) DOT(rows, 2) DOT(rows, 3) DOT(rows, 4)
DOTS(1)
DOTS(2)
DOTS(3)
#if DOT_ROWS == 6
DOTS(4)
DOTS(5)
DOTS(6)
#endif
#define DOTS_OF(rows)                                                                    \
  { dot_##rows##_1, dot_##rows##_2, dot_##rows##_3, dot_##rows##_4 }
static const DotTile dot_tiles[DOT_ROWS][DOT_COLUMNS] = {
    DOTS_OF(1), DOTS_OF(2), DOTS_OF(3),
#if DOT_ROWS == 6
    DOTS_OF(4), DOTS_OF(5), DOTS_OF(6),
#endif
};

static void dots(const LpSmallGemm *g, int64_t begin, int64_t end) {
  const int64_t parts = (g->m + DOT_ROWS - 1) / DOT_ROWS;
  for (int64_t k0 = 0; k0 < g->k; k0 += DEPTH)
    for (int64_t column = begin; column < end; column += DOT_COLUMNS) {
      const int64_t columns = end - column < DOT_COLUMNS ? end - column : DOT_COLUMNS;
      for (int64_t part = 0, row = 0; part < parts; part++) {
        const int64_t rows = (g->m - row) / (parts - part);
        dot_tiles[rows - 1][columns - 1](
            g, g->a + row * g->step_a + k0, g->b + column * g->ldb + k0,
            g->c + row * g->ldc + column, g->k - k0 < DEPTH ? g->k - k0 : DEPTH, k0 == 0);
        row += rows;
      }
    }
}

/* --- turning B over
 * --------------------------------------------------------------------- */

static void turn(float *to, int64_t width, const LpSmallGemm *g) {
  for (int64_t j = 0; j < g->n; j += LANES)
    for (int64_t p = 0; p < g->k; p += LANES) {
      const int64_t columns = g->n - j < LANES ? g->n - j : LANES,
                    rows = g->k - p < LANES ? g->k - p : LANES;
      const float *b = g->b + j * g->ldb + p;
      V r[LANES];
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++)
        r[i] = i >= columns    ? (V){0}
               : rows == LANES ? load(b + i * g->ldb)
                               : load_part(b + i * g->ldb, rows);
      turn_square(r);
      for (int i = 0; i < rows; i++) {
        if (j + LANES <= width)
          store(to + (p + i) * width + j, r[i]);
        else
          store_part(to + (p + i) * width + j, r[i], columns);
      }
    }
}

const LpSmallGemmKernels LP_SIMD(lp_small_gemm_kernels) = {
    .few_rows = few_rows, .dots = dots, .turn = turn};
