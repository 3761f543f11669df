/* The kernels of cpu/gemm_tiny.h. */
#include "cpu/simd/simd.h"

#include "cpu/gemm_tiny.h"

#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include "cpu/simd/lanes.h"

#define INLINE static inline __attribute__((always_inline))
#define ROWS 4 /* of a product at a time */

INLINE void store_row(const LpTinyGemm *g, float *c, V sum) {
  sum *= g->alpha;
  if (g->beta != 0) sum += g->beta * load_part(c, g->n);
  store_part(c, sum, g->n);
}

/* b: rows of B as vectors, b_row apart. */
INLINE void rows_of_product(const int rows, const LpTinyGemm *g, const float *a,
                            const float *b, int64_t b_row, int64_t b_lanes, float *c) {
  V sum[ROWS];
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) sum[i] = (V){0};
  for (int64_t p = 0; p < g->k; p++) {
    const V row = load_part(b + p * b_row, b_lanes);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) sum[i] += a[i * g->a_row + p * g->a_column] * row;
  }
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) store_row(g, c + i * g->c_row, sum[i]);
}

static void products(const LpTinyGemm *g, int64_t begin, int64_t end) {
  float turned[LP_TINY_DEPTH * LANES] = {0};
  const bool turns = g->b_column != 1;
  for (int64_t x = begin; x < end; x++) {
    const float *a = g->a + x * g->a_next, *b = g->b + x * g->b_next;
    float *c = g->c + x * g->c_next;
    if (turns && (x == begin || g->b_next != 0))
      for (int64_t j = 0; j < g->n; j++)
        for (int64_t p = 0; p < g->k; p++)
          turned[p * LANES + j] = b[p * g->b_row + j * g->b_column];
    const float *rows = turns ? turned : b;
    const int64_t row = turns ? LANES : g->b_row, lanes = turns ? LANES : g->n;
    int64_t i = 0;
    for (; i + ROWS <= g->m; i += ROWS)
      rows_of_product(ROWS, g, a + i * g->a_row, rows, row, lanes, c + i * g->c_row);
    a += i * g->a_row;
    c += i * g->c_row;
    switch (g->m - i) {
    case 1: rows_of_product(1, g, a, rows, row, lanes, c); break;
    case 2: rows_of_product(2, g, a, rows, row, lanes, c); break;
    case 3: rows_of_product(3, g, a, rows, row, lanes, c); break;
    default: break;
    }
  }
}

/* --- dots --- */

#define EIGHT 8

INLINE __m256 load_eight(const float *p, int64_t n) {
#if defined(LP_CAP_avx512)
  return _mm256_maskz_loadu_ps(n >= EIGHT ? 0xff : (__mmask8)((1u << n) - 1), p);
#else
  return _mm256_maskload_ps(p, mask_of(n));
#endif
}

INLINE __m256 eight_products(const LpTinyGemm *g, const float *a, const float *b) {
  __m256 sum = _mm256_mul_ps(load_eight(a, g->k),
                             load_eight(b, g->k)); /* a NaN beyond is not read */
  for (int64_t p = EIGHT; p < g->k; p += EIGHT)
    sum = _mm256_fmadd_ps(load_eight(a + p, g->k - p), load_eight(b + p, g->k - p), sum);
  return sum;
}

/* Lane r: the sum of lanes of x[r]. */
INLINE __m256 sums_of_eight(const __m256 x[EIGHT]) {
  const __m256 low =
                   _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3])),
               high =
                   _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20),
                       _mm256_permute2f128_ps(low, high, 0x31));
}

static void dots(const LpTinyGemm *g, int64_t begin, int64_t end) {
  const int64_t total = (end - begin) * g->m;
  int64_t product = begin, row = 0;
  for (int64_t done = 0; done < total; done += EIGHT) {
    const int64_t count = total - done < EIGHT ? total - done : EIGHT;
    __m256 x[EIGHT] = {0};
    float *at[EIGHT], sums[EIGHT];
    for (int64_t r = 0; r < count; r++) {
      x[r] = eight_products(g, g->a + product * g->a_next + row * g->a_row,
                            g->b + product * g->b_next);
      at[r] = g->c + product * g->c_next + row * g->c_row;
      if (++row == g->m) row = 0, product++;
    }
    _mm256_storeu_ps(sums, sums_of_eight(x));
    for (int64_t r = 0; r < count; r++) {
      const float sum = g->alpha * sums[r];
      *at[r] = g->beta == 0 ? sum : sum + g->beta * *at[r];
    }
  }
}

const LpTinyGemmKernels LP_SIMD(lp_tiny_gemm_kernels) = {
    .columns = LANES, .products = products, .dots = dots};

#else /* the BLAS has kernels for such machines */

const LpTinyGemmKernels LP_SIMD(lp_tiny_gemm_kernels) = {0};

#endif
