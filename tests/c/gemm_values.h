/* Operands and judgement of the products' tests. */
#ifndef LP_TEST_GEMM_VALUES_H
#define LP_TEST_GEMM_VALUES_H

#include <math.h>
#include <stdlib.h>
#include "cpu/gemm.h"

static inline float random_float(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) / (1 << 23) - 1;
}

static inline float *random_floats(int64_t n, uint32_t seed) {
  float *x = malloc((size_t)(n ? n : 1) * sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = random_float(&seed);
  return x;
}

/* Of memory whose rows are `extra` elements longer than they need be. */
static inline LpGemm product(int64_t m, int64_t n, int64_t k, bool ta, bool tb,
                             int64_t extra) {
  return (LpGemm){.dtype = LP_FLOAT32,
                  .m = m,
                  .n = n,
                  .k = k,
                  .trans_a = ta,
                  .trans_b = tb,
                  .lda = (ta ? m : k) + extra,
                  .ldb = (tb ? k : n) + extra,
                  .ldc = n + extra,
                  .alpha = lp_scalar_float(1),
                  .beta = lp_scalar_float(0)};
}

/* The largest difference of C from the product in double, by the sum of absolute terms;
 * before: what C was, read with a beta other than 0 alone. */
static inline double worst_error(const LpGemm *g, const float *before) {
  const float *a = g->a, *b = g->b, *c = g->c, *row = g->row;
  const double alpha = lp_scalar_to_double(g->alpha), beta = lp_scalar_to_double(g->beta);
  double worst = 0;
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      double sum = row         ? row[j]
                   : beta != 0 ? beta * before[i * g->ldc + j]
                               : 0,
             size = fabs(sum);
      for (int64_t p = 0; p < g->k; p++) {
        const double x = alpha * a[g->trans_a ? p * g->lda + i : i * g->lda + p] *
                         b[g->trans_b ? j * g->ldb + p : p * g->ldb + j];
        sum += x;
        size += fabs(x);
      }
      const double error = fabs(c[i * g->ldc + j] - sum) / (size + 1e-30);
      if (!(error <= worst)) worst = error;
    }
  return worst;
}

#endif
