/* Products of float32 out of bfloat16 pieces: as exact as float32's own, at every edge of
 * a tile; infinities are refused. Passes without the tile unit, where nothing is done. */
#include <stdlib.h>
#include "cpu/gemm.h"
#include "cpu/gemm_split.h"
#include "core/parallel.h"
#include "gemm_values.h"
#include "test.h"

TEST(split_products_are_float32_products) {
  if (!lp_split_supported()) return;
  const int64_t sizes[][3] = {
      {1, 1, 1},     {16, 16, 32},    {32, 32, 64},    {33, 17, 31},   {5, 40, 70},
      {64, 48, 33},  {100, 90, 600},  {31, 530, 1030}, {530, 520, 40}, {2100, 20, 40},
      {9, 2200, 33}, {1100, 36, 800}, {300, 700, 900}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < 16; form++) {
      const int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      const bool ta = form & 1, tb = form & 2, add = form & 4;
      LpGemm g = product(m, n, k, ta, tb, 3);
      g.beta = lp_scalar_float(add);
      float *a = random_floats((ta ? k : m) * g.lda, 1),
            *b = random_floats((tb ? n : k) * g.ldb, 2);
      float *c = random_floats(m * g.ldc, 3), *before = random_floats(m * g.ldc, 3);
      g.a = a;
      g.b = b;
      g.c = c;
      void *packed = NULL;
      if (form & 8) {
        packed = aligned_alloc(64, lp_split_packed_bytes(n, k));
        EXPECT(lp_split_pack_b(&g, packed));
        g.packed_b = packed;
      }
      bool refused;
      EXPECT(lp_split_gemm(&g, NULL, &refused) && !refused);
      EXPECT_NEAR(worst_error(&g, add ? before : NULL), 0, 3e-7);
      free(packed);
      /* What lies beside C stays. */
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = n; j < g.ldc; j++)
          EXPECT(c[i * g.ldc + j] == before[i * g.ldc + j]);
      free(a);
      free(b);
      free(c);
      free(before);
    }
}

TEST(split_products_refuse_infinities) {
  if (!lp_split_supported()) return;
  for (int which = 0; which < 2; which++) {
    float *a = random_floats(40 * 50, 1), *b = random_floats(50 * 40, 2), c[40 * 40];
    (which ? a : b)[777] = which ? INFINITY : NAN;
    LpGemm g = {.dtype = LP_FLOAT32,
                .m = 40,
                .n = 40,
                .k = 50,
                .a = a,
                .b = b,
                .c = c,
                .lda = 50,
                .ldb = 40,
                .ldc = 40,
                .alpha = lp_scalar_float(1),
                .beta = lp_scalar_float(0)};
    bool refused;
    EXPECT(!lp_split_gemm(&g, NULL, &refused) && refused);
    void *packed = aligned_alloc(64, lp_split_packed_bytes(40, 50));
    EXPECT(lp_split_pack_b(&g, packed) == (which == 1));
    free(packed);
    free(a);
    free(b);
  }
}

TEST(split_products_share_an_operand) {
  if (!lp_split_supported()) return;
  const int64_t m = 70, n = 128, more_n = 50, k = 300;
  float *a = random_floats(k * m, 1), *b = random_floats(k * n, 2),
        *b2 = random_floats(k * more_n, 3), *c = random_floats(m * n, 4),
        *c2 = random_floats(m * more_n, 5);
  LpGemm g = {.dtype = LP_FLOAT32,
              .m = m,
              .n = n,
              .k = k,
              .trans_a = true,
              .a = a,
              .b = b,
              .c = c,
              .lda = m,
              .ldb = n,
              .ldc = n,
              .alpha = lp_scalar_float(1),
              .beta = lp_scalar_float(0)};
  const LpSplitMore more = {.b = b2, .c = c2, .ldb = more_n, .ldc = more_n, .n = more_n};
  bool refused;
  EXPECT(lp_split_gemm(&g, &more, &refused) && !refused);
  EXPECT_NEAR(worst_error(&g, NULL), 0, 3e-7);
  LpGemm second = g;
  second.b = b2;
  second.c = c2;
  second.n = second.ldb = second.ldc = more_n;
  EXPECT_NEAR(worst_error(&second, NULL), 0, 3e-7);
  free(a);
  free(b);
  free(b2);
  free(c);
  free(c2);
}
