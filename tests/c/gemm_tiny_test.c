/* Batches of tiny products of float32: right for every size, layout and factor, without a
 * look at what lies beside the operands; the same however many threads share them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/gemm.h"
#include "gemm_values.h"
#include "test.h"

/* Random floats with NaN between them wherever no row has an element. */
static float *operand(int64_t count, int64_t next, int64_t rows, int64_t columns,
                      int64_t ld, uint32_t seed) {
  const int64_t size = (count - 1) * next + rows * ld;
  float *x = random_floats(size, seed);
  bool *used = calloc((size_t)size, 1);
  for (int64_t i = 0; i < count; i++)
    for (int64_t r = 0; r < rows; r++)
      memset(used + i * next + r * ld, 1, (size_t)columns);
  for (int64_t i = 0; i < size; i++)
    if (!used[i]) x[i] = NAN;
  free(used);
  return x;
}

static void try_batch(int64_t m, int64_t n, int64_t k, int form, int64_t count) {
  const bool trans_a = form & 1, trans_b = form & 2, shared = form & 4, scaled = form & 8;
  LpGemm g = product(m, n, k, trans_a, trans_b, form & 16 ? 3 : 0);
  if (scaled) g.alpha = lp_scalar_float(0.5), g.beta = lp_scalar_float(2);
  const int64_t a_rows = trans_a ? k : m, b_rows = trans_b ? n : k;
  const int64_t next_a = a_rows * g.lda + 1, next_b = shared ? 0 : b_rows * g.ldb + 2,
                next_c = m * g.ldc + 1;
  float *a = operand(count, next_a, a_rows, trans_a ? m : k, g.lda, 1),
        *b = operand(count, next_b, b_rows, trans_b ? k : n, g.ldb, 2),
        *before = operand(count, next_c, m, n, g.ldc, 3);
  const size_t bytes = (size_t)((count - 1) * next_c + m * g.ldc) * sizeof(float);
  float *c[3];
  for (int threads = 1; threads <= 3; threads++) {
    float *to = c[threads - 1] = malloc(bytes);
    memcpy(to, before, bytes);
    lp_set_num_threads(threads);
    g.a = a, g.b = b, g.c = to;
    EXPECT(lp_cpu_gemm_batch(&g, count, next_a, next_b, next_c));
    EXPECT(memcmp(to, c[0], bytes) == 0);
  }
  double worst = 0;
  for (int64_t i = 0; i < count; i++) {
    g.a = a + i * next_a, g.b = b + i * next_b, g.c = c[0] + i * next_c;
    const double error = worst_error(&g, before + i * next_c);
    if (!(error <= worst)) worst = error;
  }
  if (!(worst < 5e-7))
    test_failure(__FILE__, __LINE__, "%d x %d x %d, form %d, count %d: error %g", (int)m,
                 (int)n, (int)k, form, (int)count, worst);
  for (int i = 0; i < 3; i++) free(c[i]);
  free(a);
  free(b);
  free(before);
}

TEST(tiny_products_are_right) {
  const int threads = lp_num_threads();
  const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};
  const int n_sizes = sizeof sizes / sizeof *sizes;
  for (int i = 0; i < n_sizes; i++)
    for (int j = 0; j < n_sizes; j++)
      for (int p = 0; p < n_sizes; p++)
        for (int form = 0; form < 32; form += 1 + (i + j + p) % 3)
          try_batch(sizes[i], sizes[j], sizes[p], form, 5 + form % 9);
  try_batch(3, 3, 3, 2, 20000);
  try_batch(1, 1, 5, 0, 50001);
  lp_set_num_threads(threads);
}
