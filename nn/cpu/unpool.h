/* Fractional windows and the scatter of unpooling over one plane; tables are indexed by
 * nn_float_index. */
#ifndef LP_NN_CPU_UNPOOL_H
#define LP_NN_CPU_UNPOOL_H

#include <stdint.h>
#include "core/tensor.h"

/* Sizes in order depth, height, width; missing leading dims have size and kernel 1. */
typedef struct LpFractionalShape {
  int64_t in[3], out[3], kernel[3];
} LpFractionalShape;

/* start[o] of `out` windows of `kernel` elements in `in` elements, for a sample in [0,
 * 1): the arithmetic is rounded to the dtype of `type`, as PyTorch's is. */
void lp_fractional_starts(int type, int64_t in, int64_t out, int64_t kernel,
                          double sample, int64_t *start);
/* The largest element of each window and its flat index; a NaN wins. x and y: one plane.
 */
extern void (*const lp_fractional_max[4])(const LpFractionalShape *s,
                                          const int64_t *const starts[3], const void *x,
                                          void *y, int64_t *index);

#endif
