/* float16 and bfloat16 products, by way of lp_cpu_gemm, with a few rows or a vector above
 * all: against sums in double of the same numbers, with every instruction set. */
#include <stdlib.h>
#include "core/half.h"
#include "cpu/caps.h"
#include "cpu/gemm.h"
#include "gemm_values.h"
#include "test.h"

static uint16_t narrow(LpDtype dtype, float x) {
  return dtype == LP_BFLOAT16 ? lp_bf16_from_float(x) : lp_half_from_float(x);
}
static float widen(LpDtype dtype, uint16_t x) {
  return dtype == LP_BFLOAT16 ? lp_bf16_to_float(x) : lp_half_to_float(x);
}

/* Halves; the floats become the same numbers. */
static uint16_t *halves_of(LpDtype dtype, float *floats, int64_t n) {
  uint16_t *x = malloc((size_t)n * sizeof *x);
  for (int64_t i = 0; i < n; i++) {
    x[i] = narrow(dtype, floats[i]);
    floats[i] = widen(dtype, x[i]);
  }
  return x;
}

/* form: bits 0, 1 transpose, bit 2 alpha and beta, bit 3 a float32 C. */
static void check_product(LpDtype dtype, int64_t m, int64_t n, int64_t k, int form) {
  LpGemm g = product(m, n, k, form & 1, form & 2, 3);
  if (form & 4) {
    g.alpha = lp_scalar_float(0.5);
    g.beta = lp_scalar_float(-2);
  }
  const int64_t in_a = (g.trans_a ? k : m) * g.lda, in_b = (g.trans_b ? n : k) * g.ldb,
                in_c = m * g.ldc;
  float *a = random_floats(in_a, 1), *b = random_floats(in_b, 2),
        *before = random_floats(in_c, 3), *c = random_floats(in_c, 3);
  uint16_t *half_a = halves_of(dtype, a, in_a), *half_b = halves_of(dtype, b, in_b),
           *half_c = halves_of(dtype, before, in_c);
  LpGemm half = g;
  half.dtype = dtype;
  half.a = half_a;
  half.b = half_b;
  half.wide = form & 8;
  half.c = half.wide ? (void *)c : half_c;
  for (int64_t i = 0; i < in_c; i++) c[i] = before[i];
  if (!(form & 4))
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) { /* a NaN, not to be read */
        half_c[i * g.ldc + j] = 0x7fff;
        c[i * g.ldc + j] = NAN;
      }
  EXPECT(lp_cpu_gemm(&half));
  for (int64_t i = 0; i < in_c; i++) {
    if (!half.wide) c[i] = widen(dtype, half_c[i]);
    if (i % g.ldc >= n) EXPECT(c[i] == before[i]);
  }
  g.a = a;
  g.b = b;
  g.c = c;
  /* The sum is rounded once, to 8 or 11 bits, or not at all. */
  EXPECT_NEAR(worst_error(&g, before), 0,
              half.wide              ? 2e-6
              : dtype == LP_BFLOAT16 ? 3.92e-3
                                     : 4.9e-4);
  free(a);
  free(b);
  free(c);
  free(before);
  free(half_a);
  free(half_b);
  free(half_c);
}

TEST(half_products_are_right) {
  const int64_t depths[] = {0, 1, 15, 32, 33, 100, 520},
                sizes[][2] = {{1, 1},   {1, 70}, {2, 9},  {3, 131},
                              {4, 200}, {90, 1}, {9, 40}, {37, 70}};
  const LpCapability best = lp_cpu_capability;
  for (int c = 0; c <= (int)best; c++) {
    lp_cpu_capability = (LpCapability)c;
    for (int d = 0; d < 7; d++)
      for (int s = 0; s < 8; s++)
        for (int form = 0; form < 16; form++) {
          check_product(LP_BFLOAT16, sizes[s][0], sizes[s][1], depths[d], form);
          check_product(LP_FLOAT16, sizes[s][0], sizes[s][1], depths[d], form);
        }
  }
  lp_cpu_capability = best;
}

/* A product of one row by ones is the sum: exact, if each number is taken once. */
TEST(half_products_take_each_number_once) {
  for (int64_t k = 1; k < 140; k++) {
    uint16_t a[140], b[2 * 140], c[2];
    for (int64_t p = 0; p < k; p++) {
      a[p] = lp_bf16_from_float((float)(p % 2 ? -p : p));
      b[p] = b[k + p] = lp_bf16_from_float(1);
    }
    const LpGemm g = {.dtype = LP_BFLOAT16,
                      .m = 1,
                      .n = 2,
                      .k = k,
                      .trans_b = true,
                      .a = a,
                      .b = b,
                      .c = c,
                      .lda = k,
                      .ldb = k,
                      .ldc = 2,
                      .alpha = lp_scalar_float(1),
                      .beta = lp_scalar_float(0)};
    EXPECT(lp_cpu_gemm(&g));
    const float sum = (float)(k % 2 ? (k - 1) / 2 : -k / 2);
    EXPECT(lp_bf16_to_float(c[0]) == sum && lp_bf16_to_float(c[1]) == sum);
  }
}
