/* The kernels of cpu/dots.h. */
#include "cpu/simd/simd.h"

#include "cpu/dots.h"
#include "cpu/simd/lanes_half.h"

#define DOTS(id, T, Sum)                                                                 \
  static void dots_##id(void *sums, const void *x, int64_t x_next, const void *y,        \
                        int64_t y_next, int64_t n, int64_t rows) {                       \
    for (int64_t r = 0; r < rows; r++)                                                   \
      ((Sum *)sums)[r] = dot_##id((const T *)((const char *)x + r * x_next),             \
                                  (const T *)((const char *)y + r * y_next), n);         \
  }

/* --- integers: unsigned, so that they wrap --- */

#define DOT_INT(id, T, Wide)                                                             \
  INLINE T dot_##id(const T *x, const T *y, int64_t n) {                                 \
    Wide sum = 0;                                                                        \
    for (int64_t i = 0; i < n; i++) sum += (Wide)x[i] * y[i];                            \
    return (T)sum;                                                                       \
  }                                                                                      \
  DOTS(id, T, T)
DOT_INT(8, uint8_t, uint32_t)
DOT_INT(16, uint16_t, uint32_t)
DOT_INT(32, uint32_t, uint32_t)
DOT_INT(64, uint64_t, uint64_t)

/* --- doubles --- */

#define LANES_F64 LP_LANES(double)
typedef double V64 __attribute__((vector_size(LP_VECTOR_BYTES)));

INLINE V64 product_f64(const double *x, const double *y) {
  V64 a, b;
  memcpy(&a, x, sizeof a);
  memcpy(&b, y, sizeof b);
  return a * b;
}

INLINE double dot_f64(const double *x, const double *y, int64_t n) {
  double sum = 0;
  int64_t p = 0;
  if (n >= LANES_F64) {
    V64 sums[2] = {0};
    for (; p + 2 * LANES_F64 <= n; p += 2 * LANES_F64) {
      sums[0] += product_f64(x + p, y + p);
      sums[1] += product_f64(x + p + LANES_F64, y + p + LANES_F64);
    }
    for (; p + LANES_F64 <= n; p += LANES_F64) sums[0] += product_f64(x + p, y + p);
    sums[0] += sums[1];
    for (int j = 0; j < LANES_F64; j++) sum += sums[0][j];
  }
  for (; p < n; p++) sum += x[p] * y[p];
  return sum;
}
DOTS(f64, double, double)

/* --- halves --- */

/* Fewer than a vector, and zeros behind them. */
INLINE void copy_part(uint16_t *to, const uint16_t *from, int64_t n) {
#if defined(LP_CAP_avx512) && defined(__x86_64__)
  _mm256_storeu_si256((void *)to, _mm256_maskz_loadu_epi16(mask_of(n), from));
#else
  for (int64_t i = 0; i < LANES; i++) to[i] = 0;
  for (int64_t i = 0; i < n; i++) to[i] = from[i];
#endif
}

#define DOT_HALF(id)                                                                     \
  INLINE float dot_##id(const uint16_t *x, const uint16_t *y, int64_t n) {               \
    V sums[4] = {0};                                                                     \
    int64_t p = 0;                                                                       \
    for (; p + 4 * LANES <= n; p += 4 * LANES)                                           \
      for (int j = 0; j < 4; j++)                                                        \
        sums[j] += widen_##id(x + p + j * LANES) * widen_##id(y + p + j * LANES);        \
    for (; p + LANES <= n; p += LANES) sums[0] += widen_##id(x + p) * widen_##id(y + p); \
    if (p < n) {                                                                         \
      uint16_t last[2][LANES];                                                           \
      copy_part(last[0], x + p, n - p);                                                  \
      copy_part(last[1], y + p, n - p);                                                  \
      sums[1] += widen_##id(last[0]) * widen_##id(last[1]);                              \
    }                                                                                    \
    return total((sums[0] + sums[1]) + (sums[2] + sums[3]));                             \
  }                                                                                      \
  DOTS(id, uint16_t, float)
DOT_HALF(f16)
DOT_HALF(bf16)

const LpDotKernels LP_SIMD(lp_dot_kernels) = {{[LP_UINT8] = dots_8,
                                               [LP_INT8] = dots_8,
                                               [LP_INT16] = dots_16,
                                               [LP_INT32] = dots_32,
                                               [LP_INT64] = dots_64,
                                               [LP_FLOAT64] = dots_f64,
                                               [LP_FLOAT16] = dots_f16,
                                               [LP_BFLOAT16] = dots_bf16}};
