/* Counting elements by the bin they fall into, over threads. Owned by count.c. Must not
 * include dispatch or autograd headers. */
#ifndef LP_CPU_COUNT_H
#define LP_CPU_COUNT_H

#include "cpu/caps.h"
#include "lampad/base.h"

typedef struct LpCountKernels {
  /* The bin of each number, among n_bins equal ones from min to max; n_bins for numbers
   * outside and NaN. */
  void (*bins_f32)(int64_t *bins, const float *x, int64_t n, float min, float max,
                   int64_t n_bins);
  void (*bins_f64)(int64_t *bins, const double *x, int64_t n, double min, double max,
                   int64_t n_bins);
} LpCountKernels;

LP_DISPATCH(LpCountKernels, lp_count_kernels)

#define LP_COUNT_BLOCK 1024

/* The bins of elements [first, first + n), n <= LP_COUNT_BLOCK: in [0, n_bins), or n_bins
 * for an element that counts nowhere. */
typedef void (*LpBinsOf)(const void *ctx, int64_t first, int64_t n, int64_t *bins);

/* counts[b], b in [0, n_bins): how many of n elements fall into bin b. False when
 * interrupted or out of memory, with the error recorded. */
bool lp_count(int64_t *counts, int64_t n_bins, int64_t n, LpBinsOf bins_of,
              const void *ctx);

#endif
