/* float32 products that are small in some way, by kernels of our own: a BLAS packs its
 * operands, which must be used often to be worth it. These read A and B where they lie;
 * see gemm.c for the choice. Kernels: cpu/simd/gemm_small.c. */
#ifndef LP_CPU_GEMM_SMALL_H
#define LP_CPU_GEMM_SMALL_H

#include <stdint.h>
#include "cpu/caps.h"

/* C (m x n, rows ldc apart) = alpha A B + beta C. Element (i, p) of A lies at i * step_a
 * + p * step_k. B's rows (trans_b: columns) lie ldb apart and are contiguous. */
typedef struct LpSmallGemm {
  int64_t m, n, k, step_a, step_k, ldb, ldc;
  const float *a, *b;
  float *c, alpha, beta;
} LpSmallGemm;

/* Columns begin .. end-1 of C. */
typedef void (*LpSmallGemmColumns)(const LpSmallGemm *g, int64_t begin, int64_t end);
typedef struct LpSmallGemmKernels {
  /* B's rows contiguous: they pass one after the other, for a few rows of A. */
  LpSmallGemmColumns few_rows;
  /* B's columns contiguous, and A's rows: elements of C are dot products. */
  LpSmallGemmColumns dots;
  /* to (k x width) = B turned over, width >= n; B's columns contiguous. */
  void (*turn)(float *to, int64_t width, const LpSmallGemm *g);
} LpSmallGemmKernels;

LP_DISPATCH(LpSmallGemmKernels, lp_small_gemm_kernels)

#endif
