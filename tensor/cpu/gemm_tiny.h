/* Many products of matrices of a few rows and columns, float32: a BLAS takes longer to
 * begin than to multiply. A row of B is one vector, a part of it as a rule; products by a
 * vector are sums of several rows at a time. See gemm.c for the choice. Kernels:
 * cpu/simd/gemm_tiny.c. */
#ifndef LP_CPU_GEMM_TINY_H
#define LP_CPU_GEMM_TINY_H

#include <stdint.h>
#include "cpu/caps.h"

#define LP_TINY_DEPTH 32

/* Element (i, p) of A lies at i * a_row + p * a_column, B's and C's likewise (C's columns
 * are neighbours); the next product's operands lie *_next elements on. */
typedef struct LpTinyGemm {
  int64_t m, n, k;
  const float *a, *b;
  float *c;
  int64_t a_row, a_column, a_next, b_row, b_column, b_next, c_row, c_next;
  float alpha, beta; /* beta = 0: C is not read */
} LpTinyGemm;

typedef struct LpTinyGemmKernels {
  int columns; /* at most; 0 without kernels */
  /* Products [begin, end); n up to `columns`, k up to LP_TINY_DEPTH where B's columns are
   * not neighbours. */
  void (*products)(const LpTinyGemm *g, int64_t begin, int64_t end);
  /* n = 1, and what is summed up lies together: a_column = b_row = 1. */
  void (*dots)(const LpTinyGemm *g, int64_t begin, int64_t end);
} LpTinyGemmKernels;

LP_DISPATCH(LpTinyGemmKernels, lp_tiny_gemm_kernels)

#endif
