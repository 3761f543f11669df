/* Loops over one dense row: sums, moments, affine maps and their gradients. Batch, layer,
 * group and instance normalisation are built on them (dispatch/norm.c). Tables are
 * indexed by nn_float_index; pointers are to elements of that dtype. Sums are accumulated
 * in float lanes over pieces of a few thousand elements, the pieces in double. */
#ifndef LP_NN_CPU_ROWS_H
#define LP_NN_CPU_ROWS_H

#include "cpu/caps.h"
#include "core/tensor.h"

/* A gate before a gradient (autograd/node.h, Note: gates): closed where y <= low and,
 * with an upper bound, unless y < high. y NULL: there is none. */
typedef struct LpRowGate {
  const void *y;
  double low, high;
  bool bounded;
} LpRowGate;

typedef struct LpRowKernels {
  double (*sum[4])(const void *x, int64_t n);
  /* *s += sum(x - pivot), *q += sum((x - pivot)^2) */
  void (*moments[4])(const void *x, int64_t n, double pivot, double *s, double *q);
  /* y = a * x + b */
  void (*affine[4])(void *y, const void *x, int64_t n, double a, double b);
  /* y = a * x + b with factors for each element, vectors of the compute dtype; no less
   * than low, no more than high */
  void (*affine_each[4])(void *y, const void *x, int64_t n, const void *a, const void *b,
                         double low, double high);
  /* *s += sum(g), *q += sum(g * (x - mean)), with g behind the gate */
  void (*grad_moments[4])(const void *g, LpRowGate gate, const void *x, int64_t n,
                          double mean, double *s, double *q);
  /* y = a * g + b * x + c, likewise */
  void (*combine[4])(void *y, const void *g, LpRowGate gate, const void *x, int64_t n,
                     double a, double b, double c);
  double (*first[4])(const void *x);
  /* sum += x; sum of the compute dtype */
  void (*add[4])(void *sum, const void *x, int64_t n);

  /* The same with a weight and a shift for each column; either may be NULL (1 and 0):
   * y = (x - mean) * a * w + shift */
  void (*weighted_center[4])(void *y, const void *x, int64_t n, double mean, double a,
                             const void *w, const void *shift);
  /* *s += sum(g * w), *q += sum(g * w * (x - mean)) */
  void (*weighted_grad_moments[4])(const void *g, const void *x, int64_t n, double mean,
                                   const void *w, double *s, double *q);
  /* y = a * g * w + b * x + c */
  void (*weighted_combine[4])(void *y, const void *g, const void *x, int64_t n,
                              const void *w, double a, double b, double c);
  /* gw += g * (a * x + b), gb += g; gw, gb of the compute dtype, either may be NULL */
  void (*weight_grads[4])(void *gw, void *gb, const void *g, const void *x, int64_t n,
                          double a, double b);

  /* Columns of a (rows, n) matrix whose rows lie `stride` elements apart; vectors of
   * doubles. */
  void (*column_moments[4])(const void *x, int64_t rows, int64_t stride, int64_t n,
                            const double *pivot, double *s, double *q);
  void (*column_affine[4])(void *y, const void *x, int64_t rows, int64_t stride,
                           int64_t n, const double *a, const double *b);
  void (*column_grad_moments[4])(const void *g, LpRowGate gate, const void *x,
                                 int64_t rows, int64_t stride, int64_t n,
                                 const double *mean, double *s, double *q);
  void (*column_combine[4])(void *y, const void *g, LpRowGate gate, const void *x,
                            int64_t rows, int64_t stride, int64_t n, const double *a,
                            const double *b, const double *c);

  /* rstd[i] = 1 / sqrt(variance[i] + eps) */
  void (*inverse_deviations)(const double *variance, double eps, double *rstd, int64_t n);
} LpRowKernels;

LP_DISPATCH(LpRowKernels, lp_row_kernels)

#endif
