/* Many dot products of rows: batches of products of a row by a column, integer matrices
 * by vectors, pieces of long vectors. See gemm.c; kernels: cpu/simd/dots.c. */
#ifndef LP_CPU_DOTS_H
#define LP_CPU_DOTS_H

#include "cpu/caps.h"
#include "lampad/base.h"

/* sums[r], r in [0, rows): of the n products of x's row r and y's, which lie x_next and
 * y_next bytes apart. Sums of halves are floats; those of integers wrap. */
typedef void (*LpDots)(void *sums, const void *x, int64_t x_next, const void *y,
                       int64_t y_next, int64_t n, int64_t rows);

typedef struct LpDotKernels {
  LpDots of[LP_DTYPE_COUNT]; /* NULL: none for this dtype */
} LpDotKernels;

LP_DISPATCH(LpDotKernels, lp_dot_kernels)

#endif
