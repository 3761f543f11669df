/* Softmax loops; tables are indexed by nn_float_index, pointers are to elements of that
 * dtype. The `inner` forms walk n steps of `stride` elements over m adjacent columns at
 * once. */
#ifndef LP_NN_CPU_SOFTMAX_H
#define LP_NN_CPU_SOFTMAX_H

#include "cpu/caps.h"
#include "core/tensor.h"

#define LP_SOFTMAX_COLUMNS 64
#define LP_SOFTMAX_ELEMS 2048

typedef struct LpSoftmaxKernels {
  /* [type][0: softmax, 1: log_softmax] */
  void (*row[4][2])(void *y, const void *x, int64_t n);
  void (*inner[4][2])(void *y, const void *x, int64_t n, int64_t stride, int64_t m);
  /* gx from g and the result y */
  void (*row_grad[4][2])(void *gx, const void *g, const void *y, int64_t n);
  void (*inner_grad[4][2])(void *gx, const void *g, const void *y, int64_t n,
                           int64_t stride, int64_t m);
  /* log(sum(exp(x))) */
  double (*logsumexp[4])(const void *x, int64_t n);
  /* y = scale * exp(x - shift) */
  void (*scaled_exp[4])(void *y, const void *x, int64_t n, double shift, double scale);
  /* The first of m columns of n elements, which follow each other row by row; m up to
   * LP_SOFTMAX_COLUMNS. */
  void (*column_logsumexp[4])(const void *x, int64_t n, int64_t m, double *to);
  /* The second of rows one after the other, LP_SOFTMAX_ELEMS elements at most. */
  void (*rows_scaled_exp[4])(void *y, const void *x, int64_t rows, int64_t n,
                             const double *shift, const double *scale);
  double (*get[4])(const void *x, int64_t i);
  void (*add_at[4])(void *x, int64_t i, double v);
} LpSoftmaxKernels;

LP_DISPATCH(LpSoftmaxKernels, lp_softmax_kernels)

#endif
