/* Integer products, row by row: a row of C is a sum of scaled rows of B. Unsigned, so
 * that it wraps. */
#include "cpu/simd/simd.h"

#include "cpu/gemm_int.h"

#define COLUMNS 512 /* of C, kept in the cache while the rows of B pass */

#define ROWS(name, type, wide)                                                           \
  static void name(const LpIntGemm *g, int64_t begin, int64_t end) {                     \
    const type *a = g->a, *b = g->b;                                                     \
    for (int64_t i = begin; i < end; i++)                                                \
      for (int64_t first = 0; first < g->n; first += COLUMNS) {                          \
        int64_t n = g->n - first < COLUMNS ? g->n - first : COLUMNS;                     \
        type *restrict c = (type *)g->c + i * g->ldc + first;                            \
        for (int64_t j = 0; j < n; j++)                                                  \
          c[j] = g->beta ? (type)((wide)c[j] * (type)g->beta) : 0;                       \
        int64_t p = 0;                                                                   \
        for (; p + 4 <= g->k; p += 4) {                                                  \
          const type *r0 = b + p * g->ldb + first, *r1 = r0 + g->ldb, *r2 = r1 + g->ldb, \
                     *r3 = r2 + g->ldb;                                                  \
          const type *f = a + i * g->step_a + p * g->step_k;                             \
          type f0 = (type)(g->alpha * f[0]), f1 = (type)(g->alpha * f[g->step_k]);       \
          type f2 = (type)(g->alpha * f[2 * g->step_k]),                                 \
               f3 = (type)(g->alpha * f[3 * g->step_k]);                                 \
          for (int64_t j = 0; j < n; j++)                                                \
            c[j] = (type)(c[j] + (wide)f0 * r0[j] + (wide)f1 * r1[j] +                   \
                          (wide)f2 * r2[j] + (wide)f3 * r3[j]);                          \
        }                                                                                \
        for (; p < g->k; p++) {                                                          \
          const type *row = b + p * g->ldb + first;                                      \
          type factor = (type)(g->alpha * a[i * g->step_a + p * g->step_k]);             \
          for (int64_t j = 0; j < n; j++) c[j] = (type)(c[j] + (wide)factor * row[j]);   \
        }                                                                                \
      }                                                                                  \
  }
ROWS(rows_8, uint8_t, uint32_t)
ROWS(rows_16, uint16_t, uint32_t)
ROWS(rows_32, uint32_t, uint32_t)
ROWS(rows_64, uint64_t, uint64_t)

const LpIntGemmKernels LP_SIMD(lp_int_gemm_kernels) = {
    .rows = {rows_8, rows_16, rows_32, rows_64}};
