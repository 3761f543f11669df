/* Loops over one row of a table of embeddings; tables of functions are indexed by
 * nn_float_index of the rows' dtype. A sum is float, or double for rows of doubles. */
#ifndef LP_NN_CPU_BAG_H
#define LP_NN_CPU_BAG_H

#include <stdbool.h>
#include <stdint.h>
#include "cpu/caps.h"

typedef struct LpBagKernels {
  /* sum[c] += w * row[c] */
  void (*add_row[4])(void *sum, const void *row, double w, int64_t width);
  /* best[c] = row[c] and winner[c] = index where row[c] is larger, or first */
  void (*max_row[4])(void *best, int64_t *winner, const void *row, int64_t index,
                     bool first, int64_t width);
  /* the sum of a[c] * row[c] */
  double (*dot[4])(const void *a, const void *row, int64_t width);
} LpBagKernels;

LP_DISPATCH(LpBagKernels, lp_bag_kernels)

#endif
