/* Loops of grid sampling: each position has 2^d (linear), 4^d (cubic) or one (nearest)
 * taps into a plane. Tables are indexed by nn_float_index of the grid's dtype; values are
 * float, or double where the grid is. */
#ifndef LP_NN_CPU_GRID_H
#define LP_NN_CPU_GRID_H

#include <stdbool.h>
#include <stdint.h>
#include "cpu/caps.h"

typedef enum LpGridMode { LP_GRID_LINEAR, LP_GRID_NEAREST, LP_GRID_CUBIC } LpGridMode;
typedef enum LpGridPadding {
  LP_GRID_ZEROS,
  LP_GRID_BORDER,
  LP_GRID_REFLECTION
} LpGridPadding;

typedef struct LpGridShape {
  int dims; /* 2 or 3 */
  int64_t
      in[3]; /* sizes of a plane by coordinate: width, height, depth; below 2^31 in all */
  int64_t positions, channels; /* of one image */
  LpGridMode mode;
  LpGridPadding padding;
  bool align_corners;
} LpGridShape;

/* Taps of one position. */
static inline int lp_grid_taps(const LpGridShape *s) {
  int each = s->mode == LP_GRID_LINEAR ? 2 : s->mode == LP_GRID_CUBIC ? 4 : 1;
  return s->dims == 2 ? each * each : each * each * each;
}

typedef struct LpGridKernels {
  /* Positions [begin, end) of one image. x: (channels, plane), grid: (positions, dims),
   * y and g: (channels, positions), ggrid as grid, in the values' type. */
  void (*sample[4])(const LpGridShape *s, const void *x, const void *grid, int64_t begin,
                    int64_t end, void *y);
  void (*grid_grad[4])(const LpGridShape *s, const void *x, const void *grid,
                       const void *g, int64_t begin, int64_t end, void *ggrid);
  /* gx (channels, plane) += the taps' shares, for channels [begin, end) */
  void (*input_grad[4])(const LpGridShape *s, const void *grid, const void *g,
                        int64_t begin, int64_t end, void *gx);
  /* The same over images that lie channels last: x, y, g and gx are (positions or plane,
   * channels). */
  void (*sample_last[4])(const LpGridShape *s, const void *x, const void *grid,
                         int64_t begin, int64_t end, void *y);
  void (*grid_grad_last[4])(const LpGridShape *s, const void *x, const void *grid,
                            const void *g, int64_t begin, int64_t end, void *ggrid);
  void (*input_grad_last[4])(const LpGridShape *s, const void *grid, const void *g,
                             int64_t begin, int64_t end, void *gx);
  /* (positions, taps): weights differentiated orders[d] times by coordinate d, 0 for taps
   * outside; flat indices, 0 for taps outside. */
  void (*weights[4])(const LpGridShape *s, const void *grid, const int64_t *orders,
                     int64_t begin, int64_t end, void *weights);
  void (*indices[4])(const LpGridShape *s, const void *grid, int64_t begin, int64_t end,
                     int64_t *indices);
} LpGridKernels;

LP_DISPATCH(LpGridKernels, lp_grid_kernels)

#endif
