/* float32 products by way of lp_cpu_gemm, of the shapes that have kernels of their own:
 * against sums in double, with every scale, whatever lies beside C. */
#include <stdlib.h>
#include "cpu/gemm.h"
#include "gemm_values.h"
#include "test.h"

/* form: bits 0, 1 transpose; scales: 0 none, 1 alpha and beta, 2 a row. */
static void check_product(int64_t m, int64_t n, int64_t k, int form, int scales) {
  const bool ta = form & 1, tb = form & 2;
  LpGemm g = {.dtype = LP_FLOAT32,
              .m = m,
              .n = n,
              .k = k,
              .trans_a = ta,
              .trans_b = tb,
              .lda = (ta ? m : k) + 2,
              .ldb = (tb ? k : n) + 1,
              .ldc = n + 3,
              .alpha = lp_scalar_float(scales == 1 ? 0.5 : 1),
              .beta = lp_scalar_float(scales == 1 ? -2 : 0)};
  float *a = random_floats((ta ? k : m) * g.lda, 1),
        *b = random_floats((tb ? n : k) * g.ldb, 2), *row = random_floats(n, 5);
  float *c = random_floats(m * g.ldc, 3), *before = random_floats(m * g.ldc, 3);
  if (scales == 0)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i * g.ldc + j] = NAN; /* not to be read */
  g.a = a;
  g.b = b;
  g.c = c;
  g.row = scales == 2 ? row : NULL;
  EXPECT(lp_cpu_gemm(&g));
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = n; j < g.ldc; j++) EXPECT(c[i * g.ldc + j] == before[i * g.ldc + j]);
  EXPECT_NEAR(worst_error(&g, before), 0, 5e-7);
  free(a);
  free(b);
  free(c);
  free(before);
  free(row);
}

TEST(products_of_every_shape_are_right) {
  const int64_t sizes[][3] = {
      {1, 70, 500},  {2, 1100, 33},   {1, 200, 7},  {3, 5, 64},   {10, 65, 300},
      {48, 7, 1030}, {13, 130, 2050}, {16, 16, 16}, {20, 24, 20}, {17, 9, 50},
      {49, 33, 70},  {130, 140, 150}, {4, 3, 0},    {300, 1, 40}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < 4; form++)
      for (int scales = 0; scales < 3; scales++)
        check_product(sizes[s][0], sizes[s][1], sizes[s][2], form, scales);
}
