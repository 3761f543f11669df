/* Loops of region pooling (nn/dispatch/roi.c). Tables are indexed by nn_float_index of
 * the compute dtype: float, double.
 *
 * Note [Regions as two matrices]: averaging over a bin of samples, each of them a
 * bilinear mix of four pixels, is separable: the rows' weights of bin (i, j) depend on i
 * alone, the columns' on j alone. A region of one plane X is therefore A X B^T, with a
 * band of weights for each row of A and B; the number of samples only costs when the
 * bands are made. Max pooling uses the bands' ends alone. */
#ifndef LP_NN_CPU_ROI_H
#define LP_NN_CPU_ROI_H

#include <stdbool.h>
#include <stdint.h>
#include "cpu/caps.h"

typedef enum LpRoiKind {
  LP_ROI_ALIGN,      /* bilinear samples, corners as they are, sides of at least 1 */
  LP_ROI_ALIGN_HALF, /* the same half a pixel further up and left, sides as they are */
  LP_ROI_PS_ALIGN,   /* as ALIGN_HALF, each bin from a channel of its own */
  LP_ROI_MAX,        /* whole pixels, for max pooling */
  LP_ROI_PS_POOL     /* whole pixels, each bin from a channel of its own */
} LpRoiKind;

static inline bool lp_roi_by_bin(LpRoiKind kind) {
  return kind == LP_ROI_PS_ALIGN || kind == LP_ROI_PS_POOL;
}

typedef struct LpRoiShape {
  LpRoiKind kind;
  int64_t channels, in[2]; /* of the images: channels, height and width */
  int64_t out_channels, out[2];
  double scale;
  int64_t samples; /* along a side of a bin; <= 0: as many as the bin has pixels */
} LpRoiShape;

/* The bands of the bins along one side: bin i reads elements [lo[i], hi[i]) with weights
 * weight[i * size + element], of the compute dtype. */
typedef struct LpRoiBands {
  int64_t *lo, *hi;
  void *weight;
} LpRoiBands;

typedef struct LpRoiKernels {
  /* Both sides' bands for one region (batch index, x1, y1, x2, y2); *share is what the
   * sums are multiplied with. */
  void (*bands[2])(const LpRoiShape *s, const void *roi, const LpRoiBands sides[2],
                   void *share);
  /* y (out_channels, bins) from x (channels, height, width); row: room for a row of x. */
  void (*forward[2])(const LpRoiShape *s, const LpRoiBands sides[2], const void *share,
                     const void *x, void *row, void *y);
  /* gx += the shares of g, for out channels [begin, end); gx and g as x and y above. */
  void (*adjoint[2])(const LpRoiShape *s, const LpRoiBands sides[2], const void *share,
                     const void *g, int64_t begin, int64_t end, void *row, void *gx);
  /* The largest element of each bin and its flat index in the plane, -1 for an empty bin.
   */
  void (*max[2])(const LpRoiShape *s, const LpRoiBands sides[2], const void *x, void *y,
                 int64_t *index);
} LpRoiKernels;

LP_DISPATCH(LpRoiKernels, lp_roi_kernels)

#endif
