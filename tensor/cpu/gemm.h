/* Matrix products on raw memory: C = alpha * op(A) op(B) + beta * C, row-major, any dtype
 * but bool.
 *
 * Note [Choice of GEMM]: float32 goes to kernels of our own: products that are small in
 * some way to gemm_small.h's or to OpenBLAS, which has little to set up; those with
 * beta = 0 that the tiles of AMX are estimated to make much sooner to gemm_split.h; the
 * others to vectors, gemm_vector.h. A processor without AVX2 leaves all to OpenBLAS,
 * where float64 and complex go, too. float16 and bfloat16 are converted and accumulated
 * in float32, rounded once; bfloat16 stays as it is where the processor multiplies it
 * (gemm_bf16.h), and both do where a few rows or a vector leave all time to reading
 * (gemm_half.h). Integers (which wrap) have a plain kernel.
 * All of them take their threads from OpenMP, so a product inside a parallel region runs
 * on one. Owned by gemm.c. */
#ifndef LP_CPU_GEMM_H
#define LP_CPU_GEMM_H

#include "lampad/tensor.h"

typedef struct LpGemm {
  LpDtype dtype;
  int64_t m, n, k;       /* op(A) is m x k, op(B) is k x n, C is m x n; none negative */
  bool trans_a, trans_b; /* the memory holds A^T (k x m), B^T (n x k) */
  const void *a, *b;
  void *c;
  int64_t lda, ldb, ldc; /* elements from one row of the memory to the next */
  LpScalar alpha, beta;  /* beta = 0: C is written without being read */
  bool wide;             /* of float16 and bfloat16: C and the row are float32 */
  const void *row;       /* NULL, or n elements to add to each row of C; then beta = 0 */
  const void *packed_b;  /* NULL, or B once more as lp_split_pack_b packed it */
  bool keeps_b; /* the way is chosen as if packed_b were there: it is, or will be */
} LpGemm;

/* False when memory for a conversion runs out or a size is beyond the BLAS's 32-bit
 * integers. */
bool lp_cpu_gemm(const LpGemm *g);
/* The same with a B, in the memory of `weight`, that is likely to serve again: where the
 * tiles then win, its packed form is kept from the second use on (Note [Kept weights] in
 * core/kept.h). The bits of C are the same each time. */
bool lp_cpu_gemm_keeping(const LpGemm *g, const LpTensor *weight);
/* Is a product of these sizes best made alone, what it is added to (alpha = beta = 1)
 * coming after? */
bool lp_cpu_gemm_prefers_add_after(LpDtype dtype, int64_t m, int64_t n, int64_t k);
/* The same for `count` products whose operands lie stride_* elements apart. */
bool lp_cpu_gemm_batch(const LpGemm *g, int64_t count, int64_t stride_a, int64_t stride_b,
                       int64_t stride_c);
/* The sum of the n products; conjugates x's elements when `conj`. *result is of the
 * dtype. */
void lp_cpu_dot(LpDtype dtype, int64_t n, const void *x, int64_t stride_x, const void *y,
                int64_t stride_y, bool conj, void *result);

#endif
