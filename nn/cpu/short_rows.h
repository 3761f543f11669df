/* Normalisation of rows of few elements, each by its own mean and deviation, many a call:
 * one by one they would leave most of a vector idle. For nn/dispatch/row_norm.c. */
#ifndef LP_NN_CPU_SHORT_ROWS_H
#define LP_NN_CPU_SHORT_ROWS_H

#include "cpu/caps.h"
#include "core/tensor.h"

#define LP_ROW_SHORT 64     /* rows of fewer elements are short */
#define LP_ROWS_TOGETHER 16 /* most rows of a call */

/* Weights and shifts, one for each element, follow one another as the rows do. */
typedef struct LpShortRows {
  int64_t rows, n;
  const void *x, *g, *w, *shift; /* w and shift may be NULL (1 and 0) */
  bool centred;                  /* about their means: otherwise about 0 */
  double eps;
  double *mean, *rstd; /* of each row; mean NULL unless centred */
  void *y;
  /* For the gradient, NULL or float32 sums that are added to, laid out as w: of
   * g * (x - mean) * rstd, and of g. */
  float *gw, *gb;
} LpShortRows;

/* By nn_float_index; none of float64. */
typedef struct LpShortRowKernels {
  /* y = (x - mean) * rstd * w + shift, and the rows' statistics. */
  void (*forward[4])(const LpShortRows *r);
  /* y = the gradient of x, by the statistics. */
  void (*backward[4])(const LpShortRows *r);
} LpShortRowKernels;

LP_DISPATCH(LpShortRowKernels, lp_short_row_kernels)

#endif
