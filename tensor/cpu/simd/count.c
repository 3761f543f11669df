/* The bins of numbers, compiled once per instruction set; see cpu/count.h. */
#include "cpu/simd/simd.h"

#include "cpu/count.h"

/* (x - min) * n_bins / (max - min), in this order and precision. Numbers outside take
 * min's place on the way, lest they overflow an integer, and so does what has overflowed
 * the float. */
#define BINS(name, T)                                                                    \
  static void name(int64_t *restrict bins, const T *restrict x, int64_t n, T min, T max, \
                   int64_t n_bins) {                                                     \
    const T count = (T)n_bins, range = max - min;                                        \
    for (int64_t i = 0; i < n; i++) {                                                    \
      const bool inside = (x[i] >= min) & (x[i] <= max);                                 \
      T at = ((inside ? x[i] : min) - min) * count / range;                              \
      at = at < count ? at : count;                                                      \
      int64_t bin = (int64_t)at;                                                         \
      bin = bin < n_bins ? bin : n_bins - 1;                                             \
      bins[i] = inside ? bin : n_bins;                                                   \
    }                                                                                    \
  }
BINS(bins_f32, float)
BINS(bins_f64, double)

const LpCountKernels LP_SIMD(lp_count_kernels) = {.bins_f32 = bins_f32,
                                                  .bins_f64 = bins_f64};
