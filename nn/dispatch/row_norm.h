/* Passes over dense rows that are normalised each by its own mean and deviation, or about
 * 0. What layer, RMS and, of small images, group normalisation are made of. */
#ifndef LP_NN_DISPATCH_ROW_NORM_H
#define LP_NN_DISPATCH_ROW_NORM_H

#include "core/tensor.h"

typedef struct RowNorm {
  LpDtype dtype;     /* of x, g, y, w and b */
  int64_t rows, n;   /* a row has n elements */
  const char *x, *g; /* g: the gradient of what nn_rows_forward has made */
  /* A weight and a shift for each element, of `period` rows, after which they begin anew;
   * from nn_row_weights, either may be NULL. */
  const char *w, *b;
  int64_t period;
  double *mean, *rstd; /* of each row; mean NULL: about 0 */
  char *y;             /* the result, or the gradient of x */
  double eps;
} RowNorm;

/* y, mean and rstd. */
void nn_rows_forward(RowNorm *j);
/* y, from mean and rstd. The gradients of w and of b are added to gw and gb, unless NULL:
 * `count` doubles, of which each stands for `plane` elements of a row that follow one
 * another, as in nn_row_weights. False: no memory. */
bool nn_rows_backward(RowNorm *j, double *gw, double *gb, int64_t count, int64_t plane);

/* A vector, NULL or each of its numbers `plane` times, as the weights of rows of n
 * elements; a new reference. */
bool nn_row_weights(LpTensor *vector, LpDtype dtype, int64_t plane, int64_t n,
                    LpTensor **weights);

#endif
