/* Products of float32 by vectors: right at every edge of a tile, a panel, a part of k;
 * the same however many threads share them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/gemm.h"
#include "cpu/gemm_vector.h"
#include "gemm_values.h"
#include "test.h"

static void fill(LpGemm *g) {
  g->a = random_floats((g->trans_a ? g->k : g->m) * g->lda, 1);
  g->b = random_floats((g->trans_b ? g->n : g->k) * g->ldb, 2);
  g->c = random_floats(g->m * g->ldc, 3);
}

static void release(LpGemm *g) {
  free((void *)g->a);
  free((void *)g->b);
  free(g->c);
}

TEST(vector_products_are_right_at_edges) {
  if (!lp_vector_supported()) return;
  const int64_t sizes[][3] = {{1, 2, 1},      {6, 64, 128},   {7, 65, 129},
                              {5, 15, 16},    {13, 17, 127},  {3, 130, 1},
                              {64, 49, 300},  {100, 90, 257}, {530, 40, 70},
                              {31, 1100, 40}, {8, 8, 3000},   {70, 70, 1100}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < 8; form++) {
      const bool add = form & 4;
      LpGemm g = product(sizes[s][0], sizes[s][1], sizes[s][2], form & 1, form & 2, 3);
      fill(&g);
      float *before = random_floats(g.m * g.ldc, 3);
      g.beta = lp_scalar_float(add);
      EXPECT(lp_vector_gemm(&g, 1, add));
      EXPECT_NEAR(worst_error(&g, add ? before : NULL), 0, 5e-7);
      const float *c = g.c; /* what lies beside C stays */
      for (int64_t i = 0; i < g.m; i++)
        for (int64_t j = g.n; j < g.ldc; j++)
          EXPECT(c[i * g.ldc + j] == before[i * g.ldc + j]);
      free(before);
      release(&g);
    }
}

TEST(vector_products_scale_and_add_a_row) {
  if (!lp_vector_supported()) return;
  for (int long_sum = 0; long_sum < 2; long_sum++) {
    LpGemm g = product(20, long_sum ? 30 : 200, long_sum ? 4000 : 300, false, true, 0);
    fill(&g);
    float *row = random_floats(g.n, 4), *c = g.c;
    float *plain = malloc((size_t)(g.m * g.n) * sizeof *plain);
    EXPECT(lp_vector_gemm(&g, 1, 0));
    memcpy(plain, c, (size_t)(g.m * g.n) * sizeof *plain);
    g.row = row;
    EXPECT(lp_vector_gemm(&g, 2, 0));
    for (int64_t i = 0; i < g.m * g.n; i++)
      EXPECT_NEAR(c[i], row[i % g.n] + 2 * plain[i], 1e-4);
    g.row = NULL;
    for (int64_t i = 0; i < g.m * g.n; i++) c[i] = 3;
    EXPECT(lp_vector_gemm(&g, -1, 0.5f));
    for (int64_t i = 0; i < g.m * g.n; i++) EXPECT_NEAR(c[i], 1.5f - plain[i], 1e-4);
    free(row);
    free(plain);
    release(&g);
  }
}

/* C is not read with beta 0; infinities and NaN go where they belong. */
TEST(vector_products_keep_infinities_apart) {
  if (!lp_vector_supported()) return;
  LpGemm g = product(40, 70, 50, false, false, 0);
  fill(&g);
  float *a = (float *)g.a, *b = (float *)g.b, *c = g.c;
  for (int64_t i = 0; i < g.m * g.n; i++) c[i] = NAN;
  a[3 * g.lda + 7] = INFINITY;
  b[9 * g.ldb + 66] = NAN;
  EXPECT(lp_vector_gemm(&g, 1, 0));
  for (int64_t i = 0; i < g.m; i++)
    for (int64_t j = 0; j < g.n; j++)
      EXPECT(j == 66  ? isnan(c[i * g.ldc + j])
             : i == 3 ? isinf(c[i * g.ldc + j])
                      : isfinite(c[i * g.ldc + j]));
  release(&g);
}

TEST(vector_products_do_not_depend_on_threads) {
  if (!lp_vector_supported()) return;
  const int threads = lp_num_threads();
  LpGemm g = product(260, 300, 500, true, true, 0);
  fill(&g);
  const size_t bytes = (size_t)(g.m * g.n) * sizeof(float);
  void *one = malloc(bytes);
  lp_set_num_threads(1);
  EXPECT(lp_vector_gemm(&g, 1, 0));
  memcpy(one, g.c, bytes);
  for (int t = 2; t < 9; t += 3) {
    lp_set_num_threads(t);
    memset(g.c, 0, bytes);
    EXPECT(lp_vector_gemm(&g, 1, 0));
    EXPECT(memcmp(one, g.c, bytes) == 0);
  }
  lp_set_num_threads(threads);
  free(one);
  release(&g);
}
