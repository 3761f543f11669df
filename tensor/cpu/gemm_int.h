/* The inner kernels of integer matrix products; called by gemm.c. */
#ifndef LP_CPU_GEMM_INT_H
#define LP_CPU_GEMM_INT_H

#include <stdint.h>

/* C (n columns, rows ldc apart) = alpha * A B + beta * C. Element (i, p) of A lies at i *
 * step_a + p * step_k; the rows of B (k of them) lie ldb apart and are contiguous. */
typedef struct LpIntGemm {
  int64_t n, k, step_a, step_k, ldb, ldc;
  const void *a, *b;
  void *c;
  uint64_t alpha, beta;
} LpIntGemm;

typedef struct LpIntGemmKernels {
  /* Rows begin .. end-1 of C, for elements of 1, 2, 4 and 8 bytes. */
  void (*rows[4])(const LpIntGemm *g, int64_t begin, int64_t end);
} LpIntGemmKernels;

#endif
