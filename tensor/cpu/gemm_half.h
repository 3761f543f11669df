/* Products of float16 and bfloat16 with a few rows, or a few columns: their time is that
 * of reading the large operand, once, as it is. Sums are float32, rounded once. See
 * gemm.c for the choice; kernels: cpu/simd/gemm_half.c. */
#ifndef LP_CPU_GEMM_HALF_H
#define LP_CPU_GEMM_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include "cpu/caps.h"

#define LP_HALF_ROWS 4 /* of A, at most */

/* C (m x n) = alpha A B + beta C. A is float32, rows k apart; B's rows (dots: columns)
 * lie ldb apart and are contiguous; element (i, j) of C lies at i * step_i + j * step_j.
 */
typedef struct LpHalfGemm {
  int64_t m, n, k, ldb, step_i, step_j;
  const float *a;
  const uint16_t *b;
  void *c; /* float32 when wide */
  bool wide;
  float alpha, beta;
} LpHalfGemm;

/* Columns begin .. end-1 of C. */
typedef void (*LpHalfGemmColumns)(const LpHalfGemm *g, int64_t begin, int64_t end);
typedef struct LpHalfGemmKernels {
  LpHalfGemmColumns rows, dots; /* B's rows contiguous, or its columns */
  /* For dots, of each whole block of so many numbers of a row of A those at even places
   * come first; 1: all are in order. */
  int block;
} LpHalfGemmKernels;

typedef struct LpHalfGemmTable {
  LpHalfGemmKernels float16, bfloat16;
} LpHalfGemmTable;

LP_DISPATCH(LpHalfGemmTable, lp_half_gemm_table)

#endif
