/* Loops over boxes: suppression of overlapping ones, and overlaps of rotated ones. */
#ifndef LP_NN_CPU_BOXES_H
#define LP_NN_CPU_BOXES_H

#include <stdint.h>
#include "cpu/caps.h"

typedef struct LpBoxKernels {
  /* Of n boxes (5 columns of n: x1, y1, x2, y2, area), marks in dropped those after box i
   * whose overlap with it is greater than threshold. By compute dtype: float, double. */
  void (*suppress[2])(const void *columns, int64_t n, int64_t i, double threshold,
                      uint8_t *dropped);
} LpBoxKernels;

LP_DISPATCH(LpBoxKernels, lp_box_kernels)

/* Intersection over union of two boxes (cx, cy, w, h, degrees counter-clockwise). */
double lp_rotated_iou(const double a[5], const double b[5]);

#endif
