/* LU factorisation of many small real matrices, a vector of them at a time: each lane
 * holds a matrix of its own. LAPACK's calls cost more than such matrices do. Kernels:
 * cpu/simd/lu_small.c. */
#ifndef LP_CPU_LU_SMALL_H
#define LP_CPU_LU_SMALL_H

#include "cpu/caps.h"
#include "lampad/tensor.h"

#define LP_SMALL_LU_MAX 16 /* the largest order, and the most right-hand sides */

/* P A = L U for `count` matrices of n x n, and what is wanted of it; all row-major,
 * contiguous, one after another. Each row's pivot is the first element of the largest
 * modulus in its column, as in LAPACK's getrf; a column of zeros is left as it is. */
typedef struct LpSmallLu {
  LpDtype dtype; /* LP_FLOAT32 or LP_FLOAT64 */
  int n, n_rhs;
  int64_t count;
  const void *a;
  void *lu;      /* NULL, or L (below its diagonal of ones) and U; may be a */
  int *pivots;   /* NULL, or n for each matrix, 1-based */
  int *info;     /* NULL, or for each 0 or the first pivot (1-based) that is 0 */
  void *x;       /* NULL, or right-hand sides that become solutions */
  bool left;     /* A X = B, x is n x n_rhs; else X A = B, x is n_rhs x n */
  bool identity; /* x need not be read: the right-hand sides are the identity */
} LpSmallLu;

/* Groups begin .. end - 1 of as many matrices as there are lanes. */
typedef struct LpSmallLuKernels {
  int lanes_f32, lanes_f64;
  void (*groups_f32)(const LpSmallLu *g, int64_t begin, int64_t end);
  void (*groups_f64)(const LpSmallLu *g, int64_t begin, int64_t end);
} LpSmallLuKernels;

LP_DISPATCH(LpSmallLuKernels, lp_small_lu_kernels)

/* Are matrices of n x n with so many right-hand sides for these kernels? */
static inline bool lp_small_lu_takes(LpDtype dtype, int64_t n, int64_t n_rhs) {
  return (dtype == LP_FLOAT32 || dtype == LP_FLOAT64) && n <= LP_SMALL_LU_MAX &&
         n_rhs <= LP_SMALL_LU_MAX;
}

/* All groups, shared among threads. */
void lp_small_lu(const LpSmallLu *g);

#endif
