/* Fractional windows over one plane, by nn_float_index; the moves of unpooling. */
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

/* n pixels of m planes that are interleaved with others, `inner` in all; by the logarithm
 * of the element size: large[index[i]] = small[i], and back. */
typedef void (*LpPlaneMove)(void *large, void *small, const int64_t *index, int64_t n,
                            int64_t inner, int64_t m);
extern const LpPlaneMove lp_plane_scatter[4], lp_plane_gather[4];

#endif
